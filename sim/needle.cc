#include "sim/needle.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "fp8/codec.h"
#include "sim/attention_recipe.h"
#include "sim/haystack.h"
#include "sim/random.h"

namespace lostbits::sim {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Sums from which OutputError follows.
struct ErrorSums {
  double difference2 = 0, exact2 = 0, dot = 0;

  void Add(double output, double exact) {
    difference2 += (output - exact) * (output - exact);
    exact2 += exact * exact;
    dot += output * exact;
  }
  OutputError Error() const { return {std::sqrt(difference2 / exact2), dot / exact2}; }
};

double ShareLost(const LostProducts& lost) {
  return static_cast<double>(lost.keys_p_zero + lost.keys_cut) / static_cast<double>(lost.keys);
}

bool ReadsBf16(const NeedleVariant& v) { return v.recipe.qk.a == fp8::kBF16; }

std::vector<uint16_t> ToBf16(const std::vector<uint8_t>& codes) {
  std::vector<uint16_t> out(codes.size());
  std::transform(codes.begin(), codes.end(), out.begin(), [](uint8_t code) {
    return static_cast<uint16_t>(fp8::Convert<fp8::kBF16, fp8::kE4M3FN>(code));
  });
  return out;
}

/// trials / kNeedleGroup haystacks side by side: the batch of an attention call.
struct Batch {
  std::vector<Haystack> stacks;
  std::vector<uint8_t> q, k, v;
  std::vector<uint16_t> q16, k16, v16;

  int64_t size() const { return static_cast<int64_t>(stacks.size()); }
  int rows() const { return stacks[0].rows(); }

  void SetMean(double mean) {
    v.clear();
    for (const Haystack& h : stacks) {
      const std::vector<uint8_t> values = HaystackValues(h, mean);
      v.insert(v.end(), values.begin(), values.end());
    }
    v16 = ToBf16(v);
  }
  AttentionInputs Inputs(bool bf16) const {
    const fp8::Format f = bf16 ? fp8::kBF16 : fp8::kE4M3FN;
    const auto pick = [&](const auto& narrow, const auto& wide) {
      return bf16 ? static_cast<const void*>(wide.data()) : narrow.data();
    };
    const int64_t n = stacks[0].keys, d = stacks[0].head_dim;
    AttentionInputs in;
    in.q = ContiguousHeads(pick(q, q16), f, size(), 1, rows(), d);
    in.k = ContiguousHeads(pick(k, k16), f, size(), n, 1, d);
    in.v = ContiguousHeads(pick(v, v16), f, size(), n, 1, d);
    return in;
  }
};

Batch MakeBatch(const NeedleOptions& options, int64_t context) {
  Batch batch;
  for (int i = 0; i < options.trials / kNeedleGroup; ++i) {
    // One seed a (study seed, context, haystack).
    const uint64_t seed =
        Random(options.seed, static_cast<uint64_t>(context) * 64 + static_cast<uint64_t>(i)).Next();
    batch.stacks.push_back(
        MakeHaystack(context, options.head_dim, options.weights, kNeedleGroup, seed));
    const Haystack& h = batch.stacks.back();
    batch.q.insert(batch.q.end(), h.q.begin(), h.q.end());
    batch.k.insert(batch.k.end(), h.k.begin(), h.k.end());
  }
  batch.q16 = ToBf16(batch.q);
  batch.k16 = ToBf16(batch.k);
  return batch;
}

/// The softmax weight of each row's needle, from exact log-sum-exp values [batch, rows, 1].
std::vector<double> RealisedWeights(const Batch& batch, const std::vector<double>& lse) {
  std::vector<double> weights;
  for (const Haystack& h : batch.stacks) {
    const size_t d = static_cast<size_t>(h.head_dim);
    for (int r = 0; r < h.rows(); ++r) {
      const size_t row = static_cast<size_t>(r);
      const size_t key = static_cast<size_t>(h.needle[row]);
      double dot = 0;
      for (size_t c = 0; c < d; ++c)
        dot += static_cast<double>(fp8::Decode<fp8::kE4M3FN>(h.q[row * d + c])) *
               static_cast<double>(fp8::Decode<fp8::kE4M3FN>(h.k[key * d + c]));
      const double logit = dot / std::sqrt(static_cast<double>(h.head_dim));
      weights.push_back(std::exp(logit - lse[weights.size()]));
    }
  }
  return weights;
}

/// The cells of one (context, mean, variant): one a weight.
void AddCells(const NeedleOptions& options, const Batch& batch, double mean,
              const std::string& variant, const std::vector<double>& output,
              const std::vector<double>& exact, const std::vector<double>& realised,
              const std::vector<double>& keys_lost, std::vector<NeedleCell>* cells) {
  const size_t d = static_cast<size_t>(options.head_dim), rows = static_cast<size_t>(batch.rows());
  for (size_t w = 0; w < options.weights.size(); ++w) {
    NeedleCell cell;
    cell.context = batch.stacks[0].keys;
    cell.mean = mean;
    cell.weight = options.weights[w];
    cell.variant = variant;
    cell.trials = options.trials;
    cell.keys_lost = keys_lost[w];
    ErrorSums sums;
    for (size_t b = 0; b < batch.stacks.size(); ++b) {
      const Haystack& h = batch.stacks[b];
      for (size_t r = w * kNeedleGroup; r < (w + 1) * kNeedleGroup; ++r) {
        const size_t at = (b * rows + r) * d;
        const int read = ReadOut(h, mean, std::span(output).subspan(at, d));
        cell.found += read == h.codeword[static_cast<size_t>(h.needle[r])];
        for (size_t c = 0; c < d; ++c) sums.Add(output[at + c], exact[at + c]);
        cell.realised_weight += realised[b * rows + r] / options.trials;
      }
    }
    cell.error = sums.Error();
    cells->push_back(cell);
  }
}

/// One row of every weight, counted key by key.
std::vector<double> SampleKeysLost(const NeedleVariant& variant, const AttentionInputs& in,
                                   size_t weights, int threads) {
  std::vector<double> lost(weights);
  const int count = static_cast<int>(weights);
#pragma omp parallel for num_threads(threads > 0 ? threads : omp_get_max_threads())
  for (int w = 0; w < count; ++w)
    lost[static_cast<size_t>(w)] =
        ShareLost(CountLostProducts(variant.recipe, in, 0, 0, w * kNeedleGroup, {.threads = 1}));
  return lost;
}

std::vector<double> Widen(const std::vector<float>& x) { return {x.begin(), x.end()}; }

void Check(bool fine, const std::string& expected_and_got) {
  if (!fine) throw std::invalid_argument("needle: expected " + expected_and_got);
}

void Validate(const NeedleOptions& o) {
  Check(!o.contexts.empty() && !o.means.empty() && !o.weights.empty(),
        "at least one context, one mean and one weight");
  for (int64_t n : o.contexts)
    Check(n >= 1024 && n <= (1 << 20),
          "contexts from 1024 to 1048576 keys, got " + std::to_string(n));
  for (double w : o.weights)
    Check(w > 0 && w < 1, "needle weights between 0 and 1, got " + std::to_string(w));
  for (double m : o.means)
    Check(std::abs(m) <= 64, "means within +-64 codeword entries, got " + std::to_string(m));
  Check(o.trials > 0 && o.trials % kNeedleGroup == 0 && o.trials <= 64 * kNeedleGroup,
        "trials to be a multiple of " + std::to_string(kNeedleGroup) + " up to " +
            std::to_string(64 * kNeedleGroup) + ", got " + std::to_string(o.trials));
  Check(static_cast<int64_t>(o.weights.size()) * kNeedleGroup * 4 <= 1024,
        "at most 32 weights, got " + std::to_string(o.weights.size()));
}

}  // namespace

std::vector<NeedleVariant> DefaultNeedleVariants(int head_dim) {
  const auto decode = head_dim == 64 || head_dim == 128;  // the only two such kernels
  const auto hopper = [&](bool bf16, PvAccumulation accumulation, int interval) {
    AttentionRecipe r = FlashAttention3Recipe({.head_dim = head_dim,
                                               .bf16 = bf16,
                                               .decode = decode,
                                               .accumulation = accumulation,
                                               .interval = interval});
    r.output = fp8::kFP32;  // BF16's own rounding, 2^-9, would hide the differences below it
    return r;
  };
  AttentionRecipe blackwell = BlackwellFp8Recipe(head_dim);
  blackwell.output = fp8::kFP32;
  return {{"BF16", hopper(true, PvAccumulation::kOneLevel, 0)},
          {"FP8 one-level", hopper(false, PvAccumulation::kOneLevel, 0)},
          {"FP8 two-level, every tile", hopper(false, PvAccumulation::kPerTile, 0)},
          {"FP8 two-level, every 4", hopper(false, PvAccumulation::kEveryNTiles, 4)},
          {"FP8 two-level, every 64", hopper(false, PvAccumulation::kEveryNTiles, 64)},
          {"FP8 Blackwell", blackwell}};
}

std::vector<NeedleCell> RunNeedle(const NeedleOptions& options,
                                  const std::vector<NeedleVariant>& variants,
                                  const std::function<void(double)>& progress) {
  Validate(options);
  double total = 0, done = 0;
  for (int64_t n : options.contexts) total += static_cast<double>(n);
  total *= static_cast<double>(options.means.size() * (variants.size() + 1));
  const auto advance = [&](int64_t context) {
    done += static_cast<double>(context);
    if (progress) progress(done / total);
  };

  std::vector<NeedleCell> cells;
  for (int64_t context : options.contexts) {
    Batch batch = MakeBatch(options, context);
    const size_t outputs =
        static_cast<size_t>(batch.size() * batch.rows()) * static_cast<size_t>(options.head_dim);
    for (double mean : options.means) {
      batch.SetMean(mean);
      std::vector<double> exact(outputs), lse(outputs / static_cast<size_t>(options.head_dim));
      AttentionExact(variants.at(0).recipe, batch.Inputs(ReadsBf16(variants[0])), exact.data(),
                     lse.data(), options.threads);
      const std::vector<double> realised = RealisedWeights(batch, lse);
      // Weight by weight, variants next to each other.
      const size_t first = cells.size();
      AddCells(options, batch, mean, "exact", exact, exact, realised,
               std::vector<double>(options.weights.size(), kNan), &cells);
      advance(context);
      for (const NeedleVariant& variant : variants) {
        const AttentionInputs in = batch.Inputs(ReadsBf16(variant));
        std::vector<float> o(outputs);
        AttentionForward(variant.recipe, in, {.o = o.data()}, {.threads = options.threads});
        AddCells(options, batch, mean, variant.name, Widen(o), exact, realised,
                 SampleKeysLost(variant, in, options.weights.size(), options.threads), &cells);
        advance(context);
      }
      std::stable_sort(cells.begin() + static_cast<ptrdiff_t>(first), cells.end(),
                       [&](const NeedleCell& a, const NeedleCell& b) {
                         const auto rank = [&](double w) {
                           return std::find(options.weights.begin(), options.weights.end(), w);
                         };
                         return rank(a.weight) < rank(b.weight);
                       });
    }
  }
  return cells;
}

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
  add("exact on E4M3", quantised, [](int64_t, int64_t) { return kNan; });
  for (size_t i = 0; i < variants.size(); ++i) {
    const AttentionInputs& in = ReadsBf16(variants[i]) ? bf16 : e4m3;
    const AttentionRecipe recipe = with(variants[i].recipe);
    std::vector<float> o(outputs);
    AttentionForward(recipe, in, {.o = o.data()}, {.threads = threads});
    add(variants[i].name, Widen(o), [&](int64_t b, int64_t head) {
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
