#include "sim/compare.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "fp8/codec.h"
#include "sim/accum.h"
#include "sim/arch_check.h"
#include "sim/error.h"

namespace lostbits::sim {
namespace {

/// What a flow has besides the features that every flow has.
bool SameFlow(const AccumSpec& u, const AccumSpec& v) {
  if (u.flow != v.flow) return false;
  if (AddsCLate(u.flow)) return u.sum_bits == v.sum_bits && u.final_bits == v.final_bits;
  return u.flow != Flow::kTree || u.flush == v.flush;
}

bool SameFeature(const GemmRecipe& x, const GemmRecipe& y, Feature feature) {
  const AccumSpec &u = x.unit, &v = y.unit;
  const bool grids = HasGrid(u.flow) && HasGrid(v.flow);
  switch (feature) {
    case Feature::kOperands: return u.a == v.a && u.b == v.b;
    case Feature::kFlow: return SameFlow(u, v);
    case Feature::kGroup: return u.group == v.group && u.k == v.k;
    case Feature::kFraction: return !grids || u.fraction_bits == v.fraction_bits;
    case Feature::kResult: return u.acc == v.acc && u.out == v.out && u.rounding == v.rounding;
    case Feature::kClamp: return !grids || u.e_zero == v.e_zero;
    case Feature::kUnderflow: return u.signed_underflow == v.signed_underflow;
    case Feature::kPromotion: return x.promote_every * u.k == y.promote_every * v.k;
    case Feature::kSplitK:
      return x.split_k == y.split_k && x.split_tile * u.k == y.split_tile * v.k &&
             x.partial == y.partial;
    case Feature::kOutput: return x.output == y.output;
  }
  return true;
}

/// The value of an output word.
double ValueOf(fp8::Format f, uint32_t word) { return fp8::Decode(f, word); }

struct Outputs {
  fp8::Format format;
  std::vector<uint32_t> words;

  bool Equal(const Outputs& other, size_t i) const {
    if (format == other.format) return words[i] == other.words[i];
    const double x = ValueOf(format, words[i]), y = ValueOf(other.format, other.words[i]);
    return x == y || (std::isnan(x) && std::isnan(y));
  }
};

Outputs Run(const GemmRecipe& recipe, const ComparedKernel& a, const ComparedKernel& b,
            int threads) {
  const bool formats_of_a = recipe.unit.a == a.recipe.unit.a && recipe.unit.b == a.recipe.unit.b;
  const GemmInputs& in = formats_of_a ? a.in : b.in;
  const int64_t m = in.a.rows, n = in.b_transposed ? in.b.rows : in.b.cols;
  Outputs out{recipe.output, std::vector<uint32_t>(static_cast<size_t>(m * n))};
  Gemm(recipe, in, MatrixView<uint32_t>(out.words.data(), m, n), threads);
  return out;
}

/// One output of a kernel that hands its accumulator from instruction to instruction, and nothing
/// else: no promotion, no splits, no other output format.
class Chain {
 public:
  Chain(const ComparedKernel& kernel, int64_t row, int64_t col)
      : unit_(kernel.recipe.unit), in_(kernel.in), row_(row), col_(col) {}

  static bool Fits(const GemmRecipe& r) {
    return r.promote_every == 0 && r.split_k == 1 && r.output == r.unit.acc &&
           r.scale_a == GemmScaling::kNone && r.scale_b == GemmScaling::kNone;
  }

  /// The output after products up to `end`, from where the last call ended.
  Outputs UpTo(int64_t end) {
    std::vector<Unpacked> a, b;
    for (int64_t i = done_; i < end; ++i) {
      a.push_back(fp8::Unpack(unit_.a, in_.a(row_, i)));
      b.push_back(fp8::Unpack(unit_.b, in_.b_transposed ? in_.b(col_, i) : in_.b(i, col_)));
    }
    word_ = DotChain(unit_, a.data(), b.data(), end - done_, word_);
    done_ = end;
    return {unit_.acc, {static_cast<uint32_t>(word_)}};
  }

 private:
  const AccumSpec& unit_;
  const GemmInputs& in_;
  int64_t row_, col_, done_ = 0;
  uint64_t word_ = 0;
};

}  // namespace

std::vector<Feature> DifferingFeatures(const GemmRecipe& x, const GemmRecipe& y) {
  std::vector<Feature> found;
  for (int i = 0; i <= static_cast<int>(Feature::kOutput); ++i) {
    const auto feature = static_cast<Feature>(i);
    if (!SameFeature(x, y, feature)) found.push_back(feature);
  }
  return found;
}

std::optional<GemmRecipe> WithFeature(const GemmRecipe& to, const GemmRecipe& from,
                                      Feature feature) {
  GemmRecipe r = to;
  AccumSpec& s = r.unit;
  const AccumSpec& f = from.unit;
  int interval = to.promote_every * to.unit.k, tile = to.split_tile * to.unit.k;  // in products
  switch (feature) {
    case Feature::kOperands:
      s.a = f.a;
      s.b = f.b;
      break;
    case Feature::kFlow:
      s.flow = f.flow;
      s.flush = f.flush;
      s.sum_bits = f.sum_bits;
      s.final_bits = f.final_bits;
      if (HasGrid(to.unit.flow) != HasGrid(f.flow)) {
        s.fraction_bits = f.fraction_bits;
        s.e_zero = f.e_zero;
      }
      break;
    case Feature::kGroup:
      s.group = f.group;
      s.k = f.k;
      break;
    case Feature::kFraction: s.fraction_bits = f.fraction_bits; break;
    case Feature::kResult:
      s.acc = f.acc;
      s.out = f.out;
      s.rounding = f.rounding;
      if (to.unit.acc != f.acc) r.output = from.output;
      break;
    case Feature::kClamp: s.e_zero = f.e_zero; break;
    case Feature::kUnderflow: s.signed_underflow = f.signed_underflow; break;
    case Feature::kPromotion: interval = from.promote_every * f.k; break;
    case Feature::kSplitK:
      r.split_k = from.split_k;
      tile = from.split_tile * f.k;
      r.partial = from.partial;
      break;
    case Feature::kOutput: r.output = from.output; break;
  }
  if (!WhyNoMachine(s).empty() || interval % s.k != 0 || tile % s.k != 0) return std::nullopt;
  if (interval != 0 && tile % interval != 0) return std::nullopt;
  r.promote_every = interval / s.k;
  r.split_tile = tile / s.k;
  // FP16 accumulators know no promotion, split or other output (sim/gemm_recipe.h).
  const bool fp16 = s.acc == fp8::kFP16;
  if (fp16 && (r.promote_every != 0 || r.split_k != 1 || r.output != fp8::kFP16))
    return std::nullopt;
  return r;
}

fp8::Format ResultFormat(const GemmRecipe& r) {
  const bool as_the_unit_gives_it =
      r.promote_every == 0 && r.split_k == 1 && r.output == r.unit.acc;
  return as_the_unit_gives_it ? r.unit.out : r.output;
}

KernelComparison CompareKernels(const ComparedKernel& a, const ComparedKernel& b, bool attribute,
                                MatrixView<uint32_t> a_words, MatrixView<uint32_t> b_words,
                                int threads) {
  const Outputs x = Run(a.recipe, a, a, threads), y = Run(b.recipe, b, b, threads);
  if (x.words.size() != y.words.size())
    throw std::invalid_argument("CompareKernels: outputs of " + std::to_string(x.words.size()) +
                                " and " + std::to_string(y.words.size()) + " elements");
  const int64_t m = a_words.rows, n = a_words.cols;
  const fp8::Format result_a = ResultFormat(a.recipe), result_b = ResultFormat(b.recipe);
  KernelComparison c;
  c.outputs = m * n;
  c.ulp_format = result_a.mantissa_bits < result_b.mantissa_bits ? result_a : result_b;
  std::vector<size_t> different;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<size_t>(i * n + j);
      a_words(i, j) = x.words[at];
      b_words(i, j) = y.words[at];
      if (x.Equal(y, at)) continue;
      if (different.empty()) {
        c.row = i;
        c.col = j;
      }
      different.push_back(at);
      const double u = ValueOf(x.format, x.words[at]), v = ValueOf(y.format, y.words[at]);
      if (!std::isfinite(u) || !std::isfinite(v)) {
        ++c.specials;
        continue;
      }
      const double ulp = std::abs(u - v) / Ulp(c.ulp_format, std::max(std::abs(u), std::abs(v)));
      if (c.worst_row < 0 || ulp > c.max_ulp) {
        c.max_ulp = ulp;
        c.worst_row = i;
        c.worst_col = j;
      }
    }
  }
  c.different = static_cast<int64_t>(different.size());
  if (!attribute) return c;

  const auto difference = [&](const Outputs& p, const Outputs& q) {
    double sum = 0;
    for (const size_t i : different) {
      const double d = ValueOf(p.format, p.words[i]) - ValueOf(q.format, q.words[i]);
      if (std::isfinite(d)) sum += d * d;
    }
    return std::sqrt(sum);
  };
  const double whole = difference(x, y);
  const auto held_against = [&](const GemmRecipe& moved, const Outputs& wanted) {
    const Outputs got = Run(moved, a, b, threads);
    const auto equal = std::count_if(different.begin(), different.end(),
                                     [&](size_t i) { return got.Equal(wanted, i); });
    return Move{equal, whole == 0 ? 0 : difference(got, wanted) / whole};
  };
  const auto move = [&](const GemmRecipe& from, const GemmRecipe& to, const Outputs& wanted,
                        Feature feature) -> std::optional<Move> {
    const std::optional<GemmRecipe> moved = WithFeature(from, to, feature);
    if (!moved) return std::nullopt;
    return held_against(*moved, wanted);
  };
  const std::vector<Feature> features = DifferingFeatures(a.recipe, b.recipe);
  bool one_explains = different.empty();
  for (const Feature feature : features) {
    c.features.push_back(
        {feature, move(a.recipe, b.recipe, y, feature), move(b.recipe, a.recipe, x, feature)});
    for (const std::optional<Move>& done : {c.features.back().a_to_b, c.features.back().b_to_a})
      one_explains = one_explains || (done && done->equal == c.different);
  }
  for (size_t i = 0; i < features.size() && !one_explains; ++i) {
    for (size_t j = 0; j < features.size() && !c.pair; ++j) {
      if (i == j) continue;  // both orders: one of them may pass through no machine
      const std::optional<GemmRecipe> first = WithFeature(a.recipe, b.recipe, features[i]);
      const std::optional<Move> both =
          first ? move(*first, b.recipe, y, features[j]) : std::nullopt;
      if (both && both->equal == c.different) c.pair = {features[i], features[j]};
    }
  }
  return c;
}

ComparedKernel FirstProducts(const ComparedKernel& kernel, int64_t k) {
  ComparedKernel first = kernel;
  first.in.a = kernel.in.a.Cols(0, k);
  first.in.b = kernel.in.b_transposed ? kernel.in.b.Cols(0, k) : kernel.in.b.Rows(0, k);
  return first;
}

int64_t FirstDifference(const ComparedKernel& a, const ComparedKernel& b, int64_t row,
                        int64_t col) {
  if (a.recipe.split_k != 1 || b.recipe.split_k != 1) return 0;
  const bool chains = Chain::Fits(a.recipe) && Chain::Fits(b.recipe);
  Chain chain_a(a, row, col), chain_b(b, row, col);
  const auto prefix = [&](const ComparedKernel& kernel, int64_t k) {
    ComparedKernel one = FirstProducts(kernel, k);
    one.in.a = one.in.a.Rows(row, 1);
    one.in.b = one.in.b_transposed ? one.in.b.Rows(col, 1) : one.in.b.Cols(col, 1);
    return Run(one.recipe, one, one, 1);
  };
  const int64_t length = a.in.a.cols;
  const int64_t step = std::lcm(a.recipe.unit.k, b.recipe.unit.k);
  for (int64_t done = 0; done < length;) {
    done = std::min(done + step, length);
    const bool equal = chains ? chain_a.UpTo(done).Equal(chain_b.UpTo(done), 0)
                              : prefix(a, done).Equal(prefix(b, done), 0);
    if (!equal) return done;
  }
  return 0;
}

}  // namespace lostbits::sim
