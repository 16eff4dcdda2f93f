// AddNearestEven in FP16 against the exact double sum, one addend at a time.
#ifndef LOSTBITS_TESTS_SIM_ACCUM_ADD_H_
#define LOSTBITS_TESTS_SIM_ACCUM_ADD_H_

#include <cstdint>

#include "fp8/codec.h"
#include "sim/accum.h"

namespace lostbits::test {

/// Every FP16 x against the given y: the sum of two halves is exact in double.
inline int64_t CountUnequalFp16(uint32_t y) {
  constexpr fp8::EncodePolicy kIeee{.overflow = fp8::Overflow::kToSpecial,
                                    .inf = fp8::InfRule::kKeep};
  const double y_value = static_cast<double>(fp8::Decode<fp8::kFP16>(y));
  int64_t unequal = 0;
  for (uint32_t x = 0; x < 65536; ++x) {
    const double sum = static_cast<double>(fp8::Decode<fp8::kFP16>(x)) + y_value;
    if (sim::AddNearestEven(fp8::kFP16, x, y) != fp8::Encode<fp8::kFP16>(sum, kIeee)) ++unequal;
  }
  return unequal;
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_ACCUM_ADD_H_
