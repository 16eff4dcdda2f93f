#include "cuda/attention_bound.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "fp8/codec.h"

namespace lostbits::gpu {
namespace {

/// Value and |value|' of every code.
struct Code {
  double value, size;
};
std::array<Code, 256> Codes() {
  std::array<Code, 256> codes;
  for (size_t i = 0; i < 256; ++i) {
    const double x = fp8::Decode<fp8::kE4M3FN>(i);
    codes[i] = {x, x == 0 ? 0 : std::max(std::fabs(x), 0x1p-6)};
  }
  return codes;
}

}  // namespace

BoundedRow AttentionBound(const AttentionPlan& plan, const AttentionOperands& operands,
                          int64_t batch, int64_t query, int head) {
  static const std::array<Code, 256> codes = Codes();
  const AttentionShape& s = plan.shape;
  const auto d = static_cast<size_t>(s.head_dim);
  const int64_t line = int64_t{s.heads_kv} * s.head_dim;
  const int64_t kv = batch * s.seqlen_k * line + head / (s.heads_q / s.heads_kv) * s.head_dim;
  const uint8_t* q =
      operands.q.data() + ((batch * s.seqlen_q + query) * s.heads_q + head) * s.head_dim;
  const int64_t keys = std::clamp<int64_t>(
      s.causal ? query + s.seqlen_k - s.seqlen_q + 1 : s.seqlen_k, 0, s.seqlen_k);
  BoundedRow row{std::vector<double>(d), std::vector<double>(d), -INFINITY, 0};
  if (keys == 0) return row;

  std::vector<double> t(static_cast<size_t>(keys));  // log2 of weights
  double t_max = -INFINITY, t_size = 0, a_max = 0;
  for (int64_t k = 0; k < keys; ++k) {
    const uint8_t* key = operands.k.data() + kv + k * line;
    double x = 0, a = 0;
    for (size_t i = 0; i < d; ++i) {
      const Code &cq = codes[q[i]], &ck = codes[key[i]];
      x += cq.value * ck.value;
      a += cq.size * ck.size;
    }
    const double log_weight = x * double{plan.recipe.softmax_scale} * 0x1.71547652b82fep+0;
    t[static_cast<size_t>(k)] = log_weight;
    t_max = std::max(t_max, log_weight);
    t_size = std::max(t_size, std::fabs(log_weight));
    a_max = std::max(a_max, a);
  }
  double total = 0;
  std::vector<double> weighted(d), sizes(d);
  for (int64_t k = 0; k < keys; ++k) {
    const double w = std::exp2(t[static_cast<size_t>(k)] - t_max);
    const uint8_t* value = operands.v.data() + kv + k * line;
    total += w;
    for (size_t c = 0; c < d; ++c) {
      const Code& v = codes[value[c]];
      row.exact[c] += w * v.value;
      weighted[c] += w * v.size;
      sizes[c] += v.size;
    }
  }
  const double u = std::ldexp(1.0, -plan.recipe.pv.fraction_bits);
  const double tiles = std::ceil(static_cast<double>(keys) / plan.recipe.block_n) + s.splits;
  const double n = static_cast<double>(keys);
  const double step = plan.recipe.pv.group + 2;  // terms, c and the sum
  const double scores =
      step * u * static_cast<double>(d) / plan.recipe.qk.group * a_max * double{plan.scale_log2};
  const double log_error = scores + 0x1p-22 * (2 * (t_size + scores) + 8) + tiles * 0x1p-21;
  const double eta = std::exp2(log_error) - 1;
  const double additions = (n / 4 + tiles + 4) * 0x1p-24;
  const double phi = (1 + eta) * (1 + additions) - 1;
  const double products = step * u * plan.recipe.block_n / plan.recipe.pv.group;
  const double c1 = eta + (1 + eta) * (0x1p-4 + products * (1 + 0x1p-4) + tiles * 0x1p-22);
  const double c2 = (1 + eta) * (0x1p-18 + products * 0x1p-14);
  const double end = plan.recipe.output == fp8::kBF16 ? 0x1p-8 : 0x1p-21;
  for (size_t c = 0; c < d; ++c) {
    row.exact[c] /= total;
    const double exact = std::fabs(row.exact[c]);
    // Where the sum itself may be nothing, nothing is claimed.
    double bound =
        phi < 1 ? (c1 * weighted[c] / total + c2 * sizes[c] / total + phi * exact) / (1 - phi)
                : INFINITY;
    bound += end * (exact + bound);
    row.bound[c] = bound;
  }
  row.lse = t_max * std::numbers::ln2 + std::log(total);
  row.lse_bound = log_error * std::numbers::ln2 + additions / (1 - additions) +
                  0x1p-20 * (t_size * std::numbers::ln2 + std::log(n) + 8);
  return row;
}

}  // namespace lostbits::gpu
