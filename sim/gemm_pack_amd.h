// What the lanes that run in floating point read: operands as FP32 numbers, and what else a group
// needs of them. They serve the flows of sim/accum_amd.h. Not part of the public interface.
#ifndef LOSTBITS_SIM_GEMM_PACK_AMD_H_
#define LOSTBITS_SIM_GEMM_PACK_AMD_H_

#include <cstdint>

#include "sim/arch.h"
#include "sim/gemm_pack.h"

namespace lostbits::sim {

constexpr bool IsFloatPath(LanePath path) {
  return path == LanePath::kFloat || path == LanePath::kDouble || path == LanePath::kLateFloor;
}

/// PlanLanes for the flows of sim/accum_amd.h.
LanePlan PlanFloatLanes(const AccumSpec& spec);

/// Bytes of one group of a strip of B, and of a row of A, and where its second part begins. First
/// come the values as FP32 (those of A under kDouble as FP64), element (k, j) of B at
/// k * kStrip + j. Then:
///   kDouble     the spread of the group's exponents as int32: SpreadLimit
///   kLateFloor  exponents as int16, in B in the order of sim/gemm_pack.h, biased by kExponentBias
struct FloatLayout {
  int64_t second, bytes;
};
FloatLayout FloatStripLayout(const AccumSpec& spec, LanePath path);
FloatLayout FloatRowLayout(const AccumSpec& spec, LanePath path);

/// kDouble: products are multiples of 2^(smallest exponents of a and b - their mantissa bits) and
/// below 2^(largest exponents + 2). While the spread (largest exponent less smallest, of numbers
/// that are not zero) of a and that of b add up to at most this, every partial sum of a group's
/// products is a double.
constexpr int SpreadLimit(const AccumSpec& s) {
  const int carries = fp8::BitWidth(static_cast<uint64_t>(s.group) - 1);
  return 53 - 2 - carries - s.a.mantissa_bits - s.b.mantissa_bits;
}

/// kLateFloor: the exponents that a group's largest product may have. Below 2^127 * 2 no product
/// counts as Inf; above the other limit, one that lies too deep for FP32 also lies below the grid.
inline constexpr int kLateHighest = 126;
inline constexpr int kLateLowest = -90;

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_PACK_AMD_H_
