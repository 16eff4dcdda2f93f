// Two kernels on the same inputs: where their results part, by how much, and which of the features
// in which they differ is to blame.
//
// Blame is measured, not guessed: each feature is moved alone from one recipe to the other, and the
// outputs are computed again.
#ifndef LOSTBITS_SIM_COMPARE_H_
#define LOSTBITS_SIM_COMPARE_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "sim/gemm_recipe.h"

namespace lostbits::sim {

/// A part of a GEMM recipe that decides bits by itself.
enum class Feature : uint8_t {
  kOperands,   ///< formats of a and b
  kFlow,       ///< flow, and with it what only one of the two flows has: F and e_zero (a grid),
               ///< sum_bits and final_bits (a late c), flush (a tree)
  kGroup,      ///< group and k
  kFraction,   ///< fraction_bits, where both flows have a grid
  kResult,     ///< acc, out and rounding of a group's result; the output format with acc
  kClamp,      ///< e_zero, where both flows have a grid
  kUnderflow,  ///< signed_underflow
  kPromotion,  ///< promote_every
  kSplitK,     ///< split_k, split_tile and partial
  kOutput,     ///< output format
};

/// The features in which two recipes differ, in the order of the enum. What a flow does not read
/// makes no difference.
std::vector<Feature> DifferingFeatures(const GemmRecipe& x, const GemmRecipe& y);

/// `to` with one feature of `from`. A promotion interval keeps its length in products where k
/// changes. nullopt if that makes no machine (sim/arch_check.h), or an interval that is no whole
/// number of instructions.
std::optional<GemmRecipe> WithFeature(const GemmRecipe& to, const GemmRecipe& from,
                                      Feature feature);

/// What moving one feature does to the outputs that differ.
struct Move {
  int64_t equal = 0;    ///< how many now have the other kernel's word
  double rms_left = 0;  ///< root mean square of the difference now, over what it was; finite ones
};
struct Attribution {
  Feature feature;
  /// A with this feature of B, held against B; and the other way round. nullopt where that makes no
  /// machine.
  std::optional<Move> a_to_b, b_to_a;
};

struct KernelComparison {
  int64_t outputs = 0;
  int64_t different = 0;  ///< words differ; of different formats: values differ (NaN equals NaN)
  int64_t specials = 0;   ///< of them, those where either is NaN or Inf; not in max_ulp
  double max_ulp = 0;     ///< at the larger of the two; of the less precise: ulp_format
  fp8::Format ulp_format{};
  int64_t row = -1, col = -1;              ///< the first that differs, in row order
  int64_t worst_row = -1, worst_col = -1;  ///< the first with max_ulp
  std::vector<Attribution> features;
  /// Where no feature makes all differing outputs equal by itself: two that do together, if any.
  std::optional<std::pair<Feature, Feature>> pair;
};

/// One kernel, with its inputs in its own formats, and what it gives.
struct ComparedKernel {
  GemmRecipe recipe;
  GemmInputs in;  ///< no c, no scales
};

/// The precision a kernel's outputs really have: E8M13 where that is what the unit hands on.
fp8::Format ResultFormat(const GemmRecipe& recipe);

/// The kernel on the first k products.
ComparedKernel FirstProducts(const ComparedKernel& kernel, int64_t k);

/// Runs both and, if `attribute`, every feature's move, and if need be every pair's. a_words and
/// b_words (M x N) receive the outputs. Throws as Gemm does, and if the shapes of the two differ.
KernelComparison CompareKernels(const ComparedKernel& a, const ComparedKernel& b, bool attribute,
                                MatrixView<uint32_t> a_words, MatrixView<uint32_t> b_words,
                                int threads);

/// The smallest number of products, in steps of both kernels' instructions, after which output
/// [row, col] of the two differs; 0 if it never does. Always 0 if a kernel splits k: what its
/// ranges are depends on all of k, so a shorter one is another kernel. Costs K multiply-adds a
/// kernel; with promotion or an output that is not the accumulator K^2 / (2 step), for every prefix
/// is run anew.
int64_t FirstDifference(const ComparedKernel& a, const ComparedKernel& b, int64_t row, int64_t col);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_COMPARE_H_
