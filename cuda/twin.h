// The simulator's answer to one output of a tile, on host and device alike: sim/accum.h, told where
// the operands lie.
#ifndef LOSTBITS_CUDA_TWIN_H_
#define LOSTBITS_CUDA_TWIN_H_

#include <cstdint>

#include "cuda/generator.h"
#include "cuda/unit.h"
#include "sim/accum.h"

namespace lostbits::gpu {

/// a: row of a; b: column of b; shape.row_bytes bytes each. Without block scales.
FP8_HD constexpr uint32_t TwinOutput(const sim::AccumSpec& spec, const TileShape& s,
                                     const uint8_t* a, const uint8_t* b, uint32_t c) {
  fp8::Unpacked ua[kMaxUnitK], ub[kMaxUnitK];
  const int bytes = s.row_bytes / s.k;
  for (int i = 0; i < s.k; ++i) {
    ua[i] = fp8::Unpack(spec.a, LoadCode(a, i, bytes));
    ub[i] = fp8::Unpack(spec.b, LoadCode(b, i, bytes));
  }
  return static_cast<uint32_t>(sim::DotChain(spec, ua, ub, s.k, c));
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_TWIN_H_
