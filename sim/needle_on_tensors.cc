// The needle study's comparison on tensors of a user's own.
#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>

#include "sim/needle_sums.h"

namespace lostbits::sim {

std::vector<HeadError> CompareOnTensors(const AttentionInputs& bf16, const AttentionInputs& e4m3,
                                        bool causal, float softmax_scale,
                                        const std::vector<NeedleVariant>& variants, int threads,
                                        const std::function<void(double)>& progress) {
  const HeadsView& q = bf16.q;
  const size_t outputs = static_cast<size_t>(q.batch * q.seqlen * q.heads * q.dim);
  const auto with = [&](AttentionRecipe r) {
    r.causal = causal;
    r.softmax_scale = softmax_scale;
    return r;
  };
  std::vector<double> truth(outputs), quantised(outputs);
  // Exact attention takes only the scale and the mask from a recipe, but checks its formats.
  const auto reading = [&](bool wide) {
    const auto v = std::find_if(variants.begin(), variants.end(),
                                [&](const NeedleVariant& x) { return ReadsBf16(x) == wide; });
    if (v == variants.end())
      throw std::invalid_argument("needle: expected a BF16 and an E4M3 variant at least");
    return with(v->recipe);
  };
  AttentionExact(reading(true), bf16, truth.data(), nullptr, threads);
  AttentionExact(reading(false), e4m3, quantised.data(), nullptr, threads);

  const int64_t group = q.heads / bf16.k.heads;
  std::vector<HeadError> result;
  const auto add = [&](const std::string& name, const std::vector<double>& output,
                       const std::function<double(int64_t batch, int64_t head)>& keys_lost) {
    for (int64_t b = 0; b < q.batch; ++b) {
      for (int64_t h = 0; h < bf16.k.heads; ++h) {
        ErrorSums sums;
        for (int64_t s = 0; s < q.seqlen; ++s) {
          const int64_t begin = ((b * q.seqlen + s) * q.heads + h * group) * q.dim;
          for (int64_t i = begin; i < begin + group * q.dim; ++i)
            sums.Add(output[static_cast<size_t>(i)], truth[static_cast<size_t>(i)]);
        }
        result.push_back({b, h, name, sums.Error(), keys_lost(b, h * group)});
      }
    }
  };
  add("exact on E4M3", quantised,
      [](int64_t, int64_t) { return std::numeric_limits<double>::quiet_NaN(); });
  for (size_t i = 0; i < variants.size(); ++i) {
    const AttentionInputs& in = ReadsBf16(variants[i]) ? bf16 : e4m3;
    const AttentionRecipe recipe = with(variants[i].recipe);
    std::vector<float> o(outputs);
    AttentionForward(recipe, in, {.o = o.data()}, {.threads = threads});
    add(variants[i].name, {o.begin(), o.end()}, [&](int64_t b, int64_t head) {
      return ShareLost(CountLostProducts(recipe, in, b, 0, head, {.threads = 1}));
    });
    if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(variants.size()));
  }
  std::stable_sort(result.begin(), result.end(), [](const HeadError& x, const HeadError& y) {
    return x.batch != y.batch ? x.batch < y.batch : x.kv_head < y.kv_head;
  });
  return result;
}

}  // namespace lostbits::sim
