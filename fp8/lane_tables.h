// What the lanes of fp8/codec-inl.h need to know of a policy. Filled in by fp8/codec.h itself, so a
// lane never invents a special code.
#ifndef LOSTBITS_FP8_LANE_TABLES_H_
#define LOSTBITS_FP8_LANE_TABLES_H_

#include <cstdint>
#include <limits>

#include "fp8/codec.h"

namespace lostbits::fp8 {

/// Magnitude codes for the magnitudes that arithmetic does not settle.
struct EncodeTable {
  uint32_t last_finite;  ///< bits of the largest float that is rounded to a finite number
  uint32_t overflow;     ///< for all finite floats above it
  uint32_t infinity;
  uint32_t nan;       ///< with a sign bit, should the policy set it
  uint32_t nan_sign;  ///< 0x80 to copy a NaN's sign
};

struct DecodeTable {
  uint32_t nan;
  uint32_t nan_sign;  ///< 0x8000'0000 to copy a NaN's sign
};

/// Whether the lanes can carry out a policy; others go through the integers.
constexpr bool LanesEncode(Format f, const EncodePolicy& p) {
  const bool keeps_payload = f == kE5M2 && p.nan_payload == NanPayload::kKeep;
  return (f == kE4M3FN || f == kE5M2) && p.rounding == Rounding::kNearestEven && !keeps_payload;
}
constexpr bool LanesDecode(Format f, const DecodePolicy& d) {
  return (f == kE4M3FN || f == kE5M2) && !d.keep_payload;
}

constexpr EncodeTable MakeEncodeTable(Format f, const EncodePolicy& p) {
  const auto code = [&](float x) { return static_cast<uint32_t>(Pack(f, Unpack(x), p).code); };
  // The next number of the lattice would have an even significand in E5M2 and an odd one in E4M3FN,
  // so the midpoint itself overflows in E5M2 (61440) and does not in E4M3FN (464).
  const float largest = std::numeric_limits<float>::max();
  return {.last_finite = BitCast<uint32_t>(f == kE5M2 ? 61440.0f : 464.0f) - (f == kE5M2 ? 1 : 0),
          .overflow = code(largest),
          .infinity = code(std::numeric_limits<float>::infinity()),
          .nan = static_cast<uint32_t>(NanCode(f, false, p)),
          .nan_sign = p.nan_sign == NanSign::kKeep ? 0x80u : 0u};
}

constexpr DecodeTable MakeDecodeTable(const DecodePolicy& d) {
  return {.nan = d.nan, .nan_sign = d.keep_sign ? 0x8000'0000u : 0u};
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_LANE_TABLES_H_
