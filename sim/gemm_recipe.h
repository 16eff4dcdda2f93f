// A whole GEMM kernel: the matrix unit of sim/gemm.h, and everything a kernel does around it that
// decides bits. Steps, each with its rounding:
//
//   1. k is cut into whole instructions, the last one zero-padded, and these into promotion
//      intervals of promote_every (one interval if 0). split_k > 1 gives each range ceil(tiles /
//      split_k) consecutive tiles of split_tile instructions (if 0: of an interval, or of one
//      instruction without promotion); ranges that come out empty do not exist.
//   2. Within an interval the unit chains its instructions. It starts from +0 where there is
//      promotion; otherwise from c, or from +0 in a split range.
//   3. Promotion, after each interval, the last and possibly shorter one included:
//        no block scales   sum = RN(sum + partial)                        (FADD)
//        block scales      sum = RN(RN(scale_a * scale_b) * partial + sum)  (FMUL, FFMA)
//      sum starts from c, or from +0. An operand that has no block scale counts 1 here.
//   4. Split: total = +0; for each range in ascending k: total = RN(total + p), p the range's sum,
//      rounded to nearest even into `partial`.
//   5. Per-tensor scales: total = RN(s * total), s = RN(scale_a * scale_b) if both have one, else
//      the one there is.
//   6. Output: rounded to nearest even into `output`; beyond its range Inf.
//
// RN is FP32, nearest even, subnormals kept. Every NaN result is 0x7FFFFFFF (0x7FFF in 16 bits).
// Steps 3 to 6 run with the default floating-point environment whatever the caller's is.
#ifndef LOSTBITS_SIM_GEMM_RECIPE_H_
#define LOSTBITS_SIM_GEMM_RECIPE_H_

#include <cstdint>

#include "sim/gemm.h"
#include "sim/recipe.h"
#include "sim/view.h"

namespace lostbits::sim {

/// k of one block of GemmScaling::kBlock128, and columns of one of B's.
inline constexpr int kScaleBlock = 128;

/// The inputs of D = A B: a is M x K; b is K x N, or its transpose N x K.
struct GemmInputs {
  CodeView a;
  CodeView b;
  bool b_transposed = false;
  /// kPerTensor: 1 x 1. kBlock128: M x ceil(K / 128).
  MatrixView<const float> scale_a;
  /// kPerTensor: 1 x 1. kBlock128: ceil(K / 128) x ceil(N / 128), also if b is transposed.
  MatrixView<const float> scale_b;
  /// M x N words of recipe.unit.acc, or no data: c = +0. Not with split_k > 1 (a range would have
  /// to be chosen for it), nor with per-tensor scales (which would scale it).
  MatrixView<const uint32_t> c;
};

/// Computes d (M x N words of recipe.output; 16-bit ones in the low half). d must not alias a or b;
/// it may be c. Runs `threads` threads over tiles of d; the bits do not depend on their number.
/// Throws std::invalid_argument if shapes or formats do not match, if a scale is NaN, and for
/// recipes that no kernel defines: promotion, scales, splits or another output with FP16
/// accumulators; block scales without an interval that divides 128; a split_tile without ranges, or
/// that cuts an interval.
void Gemm(const GemmRecipe& recipe, const GemmInputs& in, MatrixView<uint32_t> d, int threads);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_RECIPE_H_
