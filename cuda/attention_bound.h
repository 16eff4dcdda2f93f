// How far v2 may be from exact attention, whatever 2^x it uses. Derived in order of execution for
// finite E4M3 inputs; u = 2^-F of the unit (2^-13), |x|' = max(|x|, 2^-6) for x != 0: what a
// subnormal's exponent stands for. Weights w are relative to the row's largest, W their sum.
//
//   scores    A step of 32 products cuts 33 terms and its sum, each by less than u times the
//             largest exponent's power of two, which no sum A = sum |q_i|' |k_i|' is below:
//             34 u A a step, d / 32 steps. In log2 of a weight: times scale_log2.
//   2^x       relative 2^-22 (PTX ISA, ex2.approx.ftz.f32) or less; FP32 roundings of arguments
//             2^-22 (2 |t|max + 8); of the factors between T tiles, T 2^-21. All together: weights
//             are off by a factor within 2^+-D, eta = 2^D - 1. Numerator and sum share it.
//   P to E4M3 2^-4 of it, or 2^-10 where it is subnormal; P is 2^8 w at most: 2^-18 of w = 1.
//   P V       a tile from zero, 4 steps: 34 * 4 u sum P' |V|'; FP32 sums over tiles: T 2^-22.
//   row sum   n / 4 + T + 4 FP32 additions of what is positive: phi.
//   the end   division and product, 2^-22; BF16 2^-8.
//   LSE       log W, so ln 2 D and phi; FP32 roundings, of splits too: each of a number that is
//             not above L = ln 2 |t|max + ln n + 8, a few at most: 2^-20 L.
//
//   |O - exact| <= (c1 sum_k w_k |V_k|' / W + c2 sum_k |V_k|' / W + phi |exact|) / (1 - phi) + end
//   |LSE - exact| <= ln 2 D + phi / (1 - phi) + 2^-20 L, where phi is of the additions alone
#ifndef LOSTBITS_CUDA_ATTENTION_BOUND_H_
#define LOSTBITS_CUDA_ATTENTION_BOUND_H_

#include <vector>

#include "cuda/attention_plan.h"

namespace lostbits::gpu {

struct BoundedRow {
  std::vector<double> exact;  ///< head_dim
  std::vector<double> bound;  ///< Inf where nothing can be said
  double lse, lse_bound;      ///< -Inf and 0 of a row that sees no key
};
/// One (batch, query, head). Cost: 2 d operations a key.
BoundedRow AttentionBound(const AttentionPlan& plan, const AttentionOperands& operands,
                          int64_t batch, int64_t query, int head);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_ATTENTION_BOUND_H_
