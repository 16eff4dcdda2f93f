#include "sim/compare_attention.h"

#include <algorithm>
#include <cmath>

#include "fp8/codec.h"

namespace lostbits::sim {
namespace {

bool SameFeature(const AttentionRecipe& x, const AttentionRecipe& y, AttentionFeature feature) {
  switch (feature) {
    case AttentionFeature::kUnits:
      return x.qk == y.qk && x.pv == y.pv && x.p_format == y.p_format &&
             x.max_offset == y.max_offset;
    case AttentionFeature::kTile:
      return x.block_m == y.block_m && x.block_n == y.block_n && x.overlap == y.overlap;
    case AttentionFeature::kAccumulation:
      return x.accumulation == y.accumulation && x.interval == y.interval;
    case AttentionFeature::kSplits: return x.num_splits == y.num_splits;
    case AttentionFeature::kOrder: return x.order == y.order;
  }
  return true;
}

/// BF16 words of the output on the first `keys` keys.
std::vector<uint16_t> Run(AttentionRecipe recipe, const ComparedAttention& a,
                          const ComparedAttention& b, int64_t keys, int threads) {
  AttentionInputs in = recipe.qk.a == a.recipe.qk.a ? a.in : b.in;
  in.k.seqlen = in.v.seqlen = keys;
  recipe.output = fp8::kBF16;
  std::vector<uint16_t> o(static_cast<size_t>(in.q.seqlen * in.q.heads * in.q.dim));
  AttentionForward(recipe, in, {.o = o.data(), .lse = nullptr},
                   {.threads = threads, .exp2_table = nullptr, .progress = {}});
  return o;
}

}  // namespace

std::vector<AttentionFeature> DifferingFeatures(const AttentionRecipe& x,
                                                const AttentionRecipe& y) {
  std::vector<AttentionFeature> found;
  for (int i = 0; i <= static_cast<int>(AttentionFeature::kOrder); ++i) {
    const auto feature = static_cast<AttentionFeature>(i);
    if (!SameFeature(x, y, feature)) found.push_back(feature);
  }
  return found;
}

AttentionRecipe WithFeature(const AttentionRecipe& to, const AttentionRecipe& from,
                            AttentionFeature feature) {
  AttentionRecipe r = to;
  switch (feature) {
    case AttentionFeature::kUnits:
      r.qk = from.qk;
      r.pv = from.pv;
      r.p_format = from.p_format;
      r.max_offset = from.max_offset;
      break;
    case AttentionFeature::kTile:
      r.block_m = from.block_m;
      r.block_n = from.block_n;
      r.overlap = from.overlap;
      break;
    case AttentionFeature::kAccumulation:
      r.accumulation = from.accumulation;
      r.interval = from.interval;
      break;
    case AttentionFeature::kSplits: r.num_splits = from.num_splits; break;
    case AttentionFeature::kOrder: r.order = from.order; break;
  }
  return r;
}

AttentionComparison CompareAttention(const ComparedAttention& a, const ComparedAttention& b,
                                     int64_t keys, bool attribute, int threads) {
  const std::vector<uint16_t> x = Run(a.recipe, a, b, keys, threads);
  const std::vector<uint16_t> y = Run(b.recipe, a, b, keys, threads);
  AttentionComparison c;
  c.keys = keys;
  c.outputs = static_cast<int64_t>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double u = fp8::Decode<fp8::kBF16>(x[i]), v = fp8::Decode<fp8::kBF16>(y[i]);
    c.different += x[i] != y[i];
    if (!std::isfinite(u) || !std::isfinite(v)) continue;
    c.max_absolute = std::max(c.max_absolute, std::abs(u - v));
    c.max_value = std::max(c.max_value, std::abs(u));
  }
  if (!attribute) return c;
  const auto becomes = [&](const AttentionRecipe& from, const AttentionRecipe& to,
                           const std::vector<uint16_t>& wanted, AttentionFeature feature) {
    const std::vector<uint16_t> got = Run(WithFeature(from, to, feature), a, b, keys, threads);
    int64_t count = 0;
    for (size_t i = 0; i < x.size(); ++i) count += x[i] != y[i] && got[i] == wanted[i];
    return count;
  };
  for (const AttentionFeature feature : DifferingFeatures(a.recipe, b.recipe))
    c.features.push_back({feature, becomes(a.recipe, b.recipe, y, feature),
                          becomes(b.recipe, a.recipe, x, feature)});
  return c;
}

}  // namespace lostbits::sim
