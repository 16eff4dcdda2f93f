#include "sim/needle.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

#include "fp8/codec.h"
#include "sim/attention_block.h"
#include "sim/attention_count.h"
#include "sim/attention_exact.h"
#include "sim/attention_recipe.h"
#include "sim/haystack.h"
#include "sim/needle_sums.h"
#include "sim/parallel_for.h"
#include "sim/random.h"

namespace lostbits::sim {
namespace {

std::vector<uint16_t> ToBf16(const std::vector<uint8_t>& codes) {
  uint16_t wide[256];
  for (uint32_t code = 0; code < 256; ++code)
    wide[code] = static_cast<uint16_t>(fp8::Convert<fp8::kBF16, fp8::kE4M3FN>(code));
  std::vector<uint16_t> out(codes.size());
  std::transform(codes.begin(), codes.end(), out.begin(), [&](uint8_t code) { return wide[code]; });
  return out;
}

/// The variants that share scores and P: indices into the study's list.
using Family = std::vector<size_t>;

std::vector<Family> Families(const std::vector<NeedleVariant>& variants) {
  std::vector<Family> families;
  for (size_t i = 0; i < variants.size(); ++i) {
    const auto same = std::find_if(families.begin(), families.end(), [&](const Family& f) {
      return ShareWeights(variants[f[0]].recipe, variants[i].recipe);
    });
    if (same != families.end()) {
      same->push_back(i);
    } else {
      families.push_back({i});
    }
  }
  // The longest work first.
  std::stable_sort(families.begin(), families.end(),
                   [](const Family& x, const Family& y) { return x.size() > y.size(); });
  return families;
}

/// One haystack in both formats, and the values of all means side by side: `width` columns.
struct Stack {
  Haystack h;
  std::vector<uint16_t> q16, k16;
  int64_t width = 0;
  // kCodewords x width: what a key of each codeword carries.
  std::vector<uint8_t> code;
  std::vector<uint16_t> code16;
  std::vector<double> value;

  /// V is a stand-in of the right shape: values come from Tiles and Rows.
  AttentionInputs Inputs(bool bf16) const {
    const fp8::Format f = bf16 ? fp8::kBF16 : fp8::kE4M3FN;
    const auto pick = [&](const auto& narrow, const auto& wide) {
      return bf16 ? static_cast<const void*>(wide.data()) : narrow.data();
    };
    AttentionInputs in;
    in.q = ContiguousHeads(pick(h.q, q16), f, 1, 1, h.rows(), h.head_dim);
    in.k = ContiguousHeads(pick(h.k, k16), f, 1, h.keys, 1, h.head_dim);
    in.v = in.k;
    return in;
  }

  KeyTileSource Tiles(bool bf16, int64_t block_n) const {
    const fp8::Format f = bf16 ? fp8::kBF16 : fp8::kE4M3FN;
    const auto row = static_cast<size_t>(width) * (bf16 ? 2 : 1);
    const auto* table = bf16 ? reinterpret_cast<const uint8_t*>(code16.data()) : code.data();
    return [=, this, tile = std::vector<uint8_t>()](int64_t first) mutable {
      tile.assign(static_cast<size_t>(block_n) * row, 0);
      const int64_t end = std::min(first + block_n, h.keys);
      for (int64_t key = first; key < end; ++key)
        std::memcpy(tile.data() + static_cast<size_t>(key - first) * row,
                    table + h.codeword[static_cast<size_t>(key)] * row, row);
      return CodeView{tile.data(), f, block_n, width, width};
    };
  }

  ExactValues Rows() const {
    return [this](int64_t key, double*) {
      return value.data() + h.codeword[static_cast<size_t>(key)] * static_cast<size_t>(width);
    };
  }
};

Stack MakeStack(const NeedleOptions& options, int64_t context, int64_t index, bool bf16) {
  // One seed a (study seed, context, haystack).
  const uint64_t seed =
      Random(options.seed, static_cast<uint64_t>(context) * 64 + static_cast<uint64_t>(index))
          .Next();
  Stack s;
  s.h = MakeHaystack(context, options.head_dim, options.weights, kNeedleGroup, seed);
  const auto d = static_cast<size_t>(options.head_dim), means = options.means.size();
  s.width = static_cast<int64_t>(means * d);
  s.code.resize(kCodewords * means * d);
  for (size_t m = 0; m < means; ++m) {
    const std::vector<uint8_t> one = CodewordValues(s.h, options.means[m]);
    for (size_t w = 0; w < kCodewords; ++w)
      std::copy_n(one.begin() + static_cast<ptrdiff_t>(w * d), d,
                  s.code.begin() + static_cast<ptrdiff_t>((w * means + m) * d));
  }
  for (const uint8_t code : s.code) s.value.push_back(fp8::Decode<fp8::kE4M3FN>(code));
  if (!bf16) return s;
  s.q16 = ToBf16(s.h.q);
  s.k16 = ToBf16(s.h.k);
  s.code16 = ToBf16(s.code);
  return s;
}

/// What a stack leaves behind. Outputs are [row][mean][head_dim].
struct StackResult {
  std::vector<double> exact, realised;      // realised: softmax weight of each row's needle
  std::vector<std::vector<float>> output;   // of each variant
  std::vector<std::vector<uint8_t>> found;  // [exact, then variants][row][mean]
};

/// The softmax weight of each row's needle, from exact log-sum-exp values.
std::vector<double> RealisedWeights(const Haystack& h, const std::vector<double>& lse) {
  std::vector<double> weights;
  const size_t d = static_cast<size_t>(h.head_dim);
  for (int r = 0; r < h.rows(); ++r) {
    const size_t row = static_cast<size_t>(r);
    const size_t key = static_cast<size_t>(h.needle[row]);
    double dot = 0;
    for (size_t c = 0; c < d; ++c)
      dot += static_cast<double>(fp8::Decode<fp8::kE4M3FN>(h.q[row * d + c])) *
             static_cast<double>(fp8::Decode<fp8::kE4M3FN>(h.k[key * d + c]));
    const double logit = dot / std::sqrt(static_cast<double>(h.head_dim));
    weights.push_back(std::exp(logit - lse[row]));
  }
  return weights;
}

/// One context of a study.
class Context {
 public:
  Context(const NeedleOptions& options, const std::vector<NeedleVariant>& variants, int64_t keys)
      : options_(options),
        variants_(variants),
        keys_(keys),
        families_(Families(variants)),
        rows_(options.weights.size() * kNeedleGroup),
        results_(static_cast<size_t>(options.trials / kNeedleGroup)),
        keys_lost_(variants.size() * options.weights.size()) {
    for (StackResult& r : results_) {
      r.output.resize(variants.size());
      r.found.resize(variants.size() + 1);
    }
  }

  int64_t Stacks() const { return static_cast<int64_t>(results_.size()); }

  /// Stacks [first, first + count) side by side.
  void Run(int64_t first, int64_t count, int threads) {
    const bool bf16 = std::any_of(variants_.begin(), variants_.end(), ReadsBf16);
    stacks_.resize(static_cast<size_t>(count));
    ParallelFor(count, threads, {}, [&](int64_t i) -> std::string {
      stacks_[static_cast<size_t>(i)] = MakeStack(options_, keys_, first + i, bf16);
      return "";
    });
    const int64_t families = static_cast<int64_t>(families_.size());
    const int64_t whole = (families + 1) * count;
    const int64_t counted = first == 0 ? static_cast<int64_t>(keys_lost_.size()) : 0;
    ParallelFor(whole + counted, threads, {}, [&](int64_t i) -> std::string {
      if (i >= whole) {
        CountLost(static_cast<size_t>(i - whole));
        return "";
      }
      const Stack& stack = stacks_[static_cast<size_t>(i % count)];
      StackResult* result = &results_[static_cast<size_t>(first + i % count)];
      if (i / count == families) {
        RunExact(stack, result);
        return "";
      }
      return RunFamily(families_[static_cast<size_t>(i / count)], stack, result);
    });
  }

  /// Appends the cells, ordered by mean, weight, variant.
  void Cells(std::vector<NeedleCell>* cells) const {
    for (size_t mean = 0; mean < options_.means.size(); ++mean)
      for (size_t weight = 0; weight < options_.weights.size(); ++weight)
        for (size_t v = 0; v <= variants_.size(); ++v) cells->push_back(Cell(mean, weight, v));
  }

 private:
  size_t width() const { return options_.means.size() * static_cast<size_t>(options_.head_dim); }

  void RunExact(const Stack& stack, StackResult* result) const {
    result->exact.resize(rows_ * width());
    std::vector<double> lse(rows_);
    AttentionRecipe recipe = variants_[0].recipe;  // scale and masks
    ExactBlock(recipe, stack.Inputs(false), stack.Rows(), stack.width, result->exact.data(),
               lse.data());
    result->realised = RealisedWeights(stack.h, lse);
    result->found[0] = ReadAll(stack, result->exact);
  }

  std::string RunFamily(const Family& family, const Stack& stack, StackResult* result) const {
    const bool bf16 = ReadsBf16(variants_[family[0]]);
    std::vector<AttentionRecipe> recipes;
    for (const size_t v : family) recipes.push_back(variants_[v].recipe);
    const size_t cells = rows_ * width();
    std::vector<float> o(cells * family.size()), lse(rows_);
    const std::string error =
        ForwardBlock(recipes, stack.Inputs(bf16), {}, {0, 0, 0, static_cast<int64_t>(rows_), 0},
                     stack.Tiles(bf16, recipes[0].block_n), stack.width, o.data(), lse.data());
    for (size_t i = 0; i < family.size() && error.empty(); ++i) {
      std::vector<float>& output = result->output[family[i]];
      const auto begin = o.begin() + static_cast<ptrdiff_t>(i * cells);
      output.assign(begin, begin + static_cast<ptrdiff_t>(cells));
      result->found[family[i] + 1] = ReadAll(stack, {output.begin(), output.end()});
    }
    return error;
  }

  /// Whether each row's needle is read out of its output under each mean.
  std::vector<uint8_t> ReadAll(const Stack& stack, const std::vector<double>& output) const {
    const auto d = static_cast<size_t>(options_.head_dim);
    std::vector<uint8_t> found;
    for (size_t r = 0; r < rows_; ++r)
      for (size_t m = 0; m < options_.means.size(); ++m) {
        const auto row = std::span(output).subspan(r * width() + m * d, d);
        const int read = ReadOut(stack.h, options_.means[m], row);
        found.push_back(read == stack.h.codeword[static_cast<size_t>(stack.h.needle[r])]);
      }
    return found;
  }

  /// One row of one weight under one variant, counted key by key, in the first haystack.
  void CountLost(size_t i) {
    const NeedleVariant& variant = variants_[i / options_.weights.size()];
    const bool bf16 = ReadsBf16(variant);
    const auto head = static_cast<int64_t>(i % options_.weights.size() * kNeedleGroup);
    for (const LostProducts& lost :
         CountLostInLanes(variant.recipe, stacks_[0].Inputs(bf16), {0, 0, head},
                          stacks_[0].Tiles(bf16, variant.recipe.block_n),
                          static_cast<int64_t>(options_.means.size())))
      keys_lost_[i].push_back(ShareLost(lost));
  }

  /// v: 0 is exact attention, then the variants.
  NeedleCell Cell(size_t mean, size_t weight, size_t v) const {
    const auto d = static_cast<size_t>(options_.head_dim);
    NeedleCell cell;
    cell.context = keys_;
    cell.mean = options_.means[mean];
    cell.weight = options_.weights[weight];
    cell.variant = v == 0 ? "exact" : variants_[v - 1].name;
    cell.trials = options_.trials;
    cell.keys_lost = v == 0 ? std::numeric_limits<double>::quiet_NaN()
                            : keys_lost_[(v - 1) * options_.weights.size() + weight][mean];
    ErrorSums sums;
    for (const StackResult& stack : results_) {
      for (size_t r = weight * kNeedleGroup; r < (weight + 1) * kNeedleGroup; ++r) {
        cell.found += stack.found[v][r * options_.means.size() + mean];
        const size_t at = r * width() + mean * d;
        for (size_t c = at; c < at + d; ++c)
          sums.Add(v == 0 ? stack.exact[c] : stack.output[v - 1][c], stack.exact[c]);
        cell.realised_weight += stack.realised[r] / options_.trials;
      }
    }
    cell.error = sums.Error();
    return cell;
  }

  const NeedleOptions& options_;
  const std::vector<NeedleVariant>& variants_;
  const int64_t keys_;
  const std::vector<Family> families_;
  const size_t rows_;  // of a stack
  std::vector<Stack> stacks_;
  std::vector<StackResult> results_;
  std::vector<std::vector<double>> keys_lost_;  // [variant, weight][mean]
};

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

/// What AttentionForward would refuse, before any work.
void CheckVariants(const NeedleOptions& o, const std::vector<NeedleVariant>& variants) {
  Check(!variants.empty(), "at least one variant");
  const int64_t heads = static_cast<int64_t>(o.weights.size()) * kNeedleGroup;
  for (const NeedleVariant& v : variants) {
    const fp8::Format f = ReadsBf16(v) ? fp8::kBF16 : fp8::kE4M3FN;
    AttentionInputs in;
    in.q = ContiguousHeads(&in, f, 1, 1, heads, o.head_dim);
    in.k = in.v = ContiguousHeads(&in, f, 1, o.contexts[0], 1, o.head_dim);
    CheckCountable(v.recipe, in, {0, 0, 0}, {});
    Check(v.recipe.num_splits == 1, "variants without splits, got " + v.name);
  }
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
  CheckVariants(options, variants);
  const int threads = ThreadCount(options.threads);
  double total = 0, done = 0;
  for (int64_t n : options.contexts) total += static_cast<double>(n);
  std::vector<NeedleCell> cells;
  for (int64_t keys : options.contexts) {
    Context context(options, variants, keys);
    const int64_t stacks = context.Stacks();
    for (int64_t first = 0; first < stacks; first += threads) {
      const int64_t count = std::min<int64_t>(threads, stacks - first);
      context.Run(first, count, threads);
      done += static_cast<double>(keys * count) / static_cast<double>(stacks);
      if (progress) progress(done / total);
    }
    context.Cells(&cells);
  }
  return cells;
}

}  // namespace lostbits::sim
