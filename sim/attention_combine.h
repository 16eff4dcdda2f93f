// [S] The splits of one row as one: FlashAttention-3's second kernel.
//
// Source: vllm-project/flash-attention, commit 617264c1, hopper/flash_fwd_combine_kernel.h:575-687.
#ifndef LOSTBITS_SIM_ATTENTION_COMBINE_H_
#define LOSTBITS_SIM_ATTENTION_COMBINE_H_

#include <cstdint>

#include "fp8/hd.h"
#include "sim/softmax.h"

namespace lostbits::sim {

inline constexpr int kMaxSplits = 256;  ///< AttentionRecipe::num_splits

/// lse[s * stride], -Inf for a split without keys -> weight[s], a split's share of the whole sum, 0
/// where it does not count. Returns the row's LSE. `state`: for an exp2 table that lacks an input.
FP8_HD inline float SplitWeights(const SoftmaxParams& p, int splits, int64_t head_dim,
                                 const float* lse, int64_t stride, SoftmaxRow* state,
                                 float* weight) {
  const Fp32& math = p.math;
  float lse_max = NegativeInfinity();
  int valid = 0;
  for (int s = 0; s < splits; ++s) {
    const float x = lse[s * stride];
    if (x > lse_max) lse_max = x;
    if (x != NegativeInfinity()) valid = s + 1;
  }
  const float lse_max_or_zero = lse_max == NegativeInfinity() ? 0 : lse_max;
  // A column of splits is summed by 32 threads, 16 for d <= 64 (:111, launch template :68,
  // flash_api.cpp:447-450): each its own splits in steps of that number, then a butterfly.
  const int lanes = head_dim <= 64 ? 16 : 32;
  float partial[32] = {};
  for (int s = 0; s < splits; ++s) {
    const float distance = math.Add(lse[s * stride], -lse_max_or_zero);
    weight[s] = Exp2(p, state, math.Mul(distance, kLog2E));  // __expf
    partial[s % lanes] = math.Add(partial[s % lanes], weight[s]);
  }
  for (int away = lanes / 2; away > 0; away /= 2)
    for (int lane = 0; lane < away; ++lane)
      partial[lane] = math.Add(partial[lane], partial[lane + away]);
  const float sum = partial[0];
  const float inverse = sum == 0 || sum != sum ? 0 : math.Flush(1 / sum);
  for (int s = 0; s < splits; ++s) {
    const float w = math.Mul(weight[s], inverse);
    weight[s] = s < valid && w > 0 ? w : 0;  // :673
  }
  return math.MulAdd(p.fma.combine_lse, Log2(math, sum), kLn2, lse_max);
}

/// One column of a row: the split s at o[s * stride].
FP8_HD inline float CombineColumn(const SoftmaxParams& p, int splits, const float* weight,
                                  const float* o, int64_t stride) {
  float result = 0;
  for (int s = 0; s < splits; ++s)
    if (weight[s] > 0) result = p.math.MulAdd(p.fma.combine, weight[s], o[s * stride], result);
  return result;
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_COMBINE_H_
