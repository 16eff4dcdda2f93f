// An attention problem that owns its tensors, drawn from a seed.
#ifndef LOSTBITS_TESTS_SIM_ATTENTION_PROBLEM_H_
#define LOSTBITS_TESTS_SIM_ATTENTION_PROBLEM_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "fp8/codec.h"
#include "sim/attention.h"
#include "sim/random.h"

namespace lostbits::test {

using sim::Random;

struct AttentionShape {
  int64_t batch = 1, seqlen_q = 1, seqlen_k = 1, heads_q = 1, heads_kv = 1, dim = 64;
};

struct AttentionProblem {
  AttentionShape shape;
  fp8::Format format;
  std::vector<uint8_t> q, k, v;                        // codes, one or two bytes each
  std::vector<float> q_descale, k_descale, v_descale;  // empty: 1
  std::vector<float> sinks;                            // empty: none
  std::vector<int64_t> query_numbers;                  // empty: all rows
  int64_t query_length = 0;

  using Draw = std::function<double(Random&, int64_t index)>;

  AttentionProblem(const AttentionShape& s, fp8::Format f) : shape(s), format(f) {
    q.resize(static_cast<size_t>(s.batch * s.seqlen_q * s.heads_q * s.dim) * Width());
    k.resize(static_cast<size_t>(s.batch * s.seqlen_k * s.heads_kv * s.dim) * Width());
    v.resize(k.size());
  }

  size_t Width() const { return format == fp8::kBF16 ? 2 : 1; }

  void Set(std::vector<uint8_t>* x, int64_t index, double value) const {
    const auto f = static_cast<float>(value);
    const auto at = static_cast<size_t>(index) * Width();
    if (format == fp8::kBF16) {
      const uint32_t code = fp8::Encode<fp8::kBF16>(f);
      (*x)[at] = static_cast<uint8_t>(code);
      (*x)[at + 1] = static_cast<uint8_t>(code >> 8);
    } else if (format == fp8::kE5M2) {
      (*x)[at] = static_cast<uint8_t>(fp8::Encode<fp8::kE5M2>(f));
    } else {
      (*x)[at] = static_cast<uint8_t>(fp8::Encode<fp8::kE4M3FN>(f));
    }
  }
  void Fill(std::vector<uint8_t>* x, Random& random, const Draw& draw) const {
    const auto count = static_cast<int64_t>(x->size() / Width());
    for (int64_t i = 0; i < count; ++i) Set(x, i, draw(random, i));
  }
  void FillNormal(uint64_t seed) {
    Random random(seed);
    const Draw normal = [](Random& r, int64_t) { return r.Normal(); };
    Fill(&q, random, normal);
    Fill(&k, random, normal);
    Fill(&v, random, normal);
  }

  sim::AttentionInputs Inputs() const {
    const AttentionShape& s = shape;
    sim::AttentionInputs in;
    in.q = sim::ContiguousHeads(q.data(), format, s.batch, s.seqlen_q, s.heads_q, s.dim);
    in.k = sim::ContiguousHeads(k.data(), format, s.batch, s.seqlen_k, s.heads_kv, s.dim);
    in.v = sim::ContiguousHeads(v.data(), format, s.batch, s.seqlen_k, s.heads_kv, s.dim);
    const auto view = [&](const std::vector<float>& x) {
      return sim::DescaleView{x.empty() ? nullptr : x.data(), s.heads_kv, 1};
    };
    in.q_descale = view(q_descale);
    in.k_descale = view(k_descale);
    in.v_descale = view(v_descale);
    if (!sinks.empty()) in.sinks = sinks.data();
    if (!query_numbers.empty()) {
      in.query_numbers = query_numbers.data();
      in.query_length = query_length;
    }
    return in;
  }
};

/// Outputs as bit patterns, so that NaN equals NaN and -0 differs from +0.
struct AttentionResult {
  std::vector<uint32_t> o;    // [batch, seqlen_q, heads_q, dim]
  std::vector<uint32_t> lse;  // [batch, heads_q, seqlen_q]

  float O(size_t i) const { return fp8::BitCast<float>(o[i]); }
};

inline AttentionResult RunForward(const sim::AttentionRecipe& recipe,
                                  const AttentionProblem& problem,
                                  const sim::AttentionOptions& options = {.threads = 1}) {
  const AttentionShape& s = problem.shape;
  const auto rows = static_cast<size_t>(s.batch * s.seqlen_q * s.heads_q);
  const size_t cells = rows * static_cast<size_t>(s.dim);
  std::vector<float> lse(rows);
  AttentionResult result;
  if (recipe.output == fp8::kFP32) {
    std::vector<float> o(cells);
    sim::AttentionForward(recipe, problem.Inputs(), {o.data(), lse.data()}, options);
    for (const float x : o) result.o.push_back(fp8::BitCast<uint32_t>(x));
  } else {
    std::vector<uint16_t> o(cells);
    sim::AttentionForward(recipe, problem.Inputs(), {o.data(), lse.data()}, options);
    for (const uint16_t x : o) result.o.push_back(uint32_t{x} << 16);
  }
  for (const float x : lse) result.lse.push_back(fp8::BitCast<uint32_t>(x));
  return result;
}

inline std::vector<double> RunExact(const sim::AttentionRecipe& recipe,
                                    const AttentionProblem& problem) {
  const AttentionShape& s = problem.shape;
  std::vector<double> o(static_cast<size_t>(s.batch * s.seqlen_q * s.heads_q * s.dim));
  sim::AttentionExact(recipe, problem.Inputs(), o.data());
  return o;
}

/// |a - b| / |b| over all elements (2-norms).
inline double RelativeError(const AttentionResult& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    const double e = static_cast<double>(a.O(i)) - b[i];
    difference += e * e;
    norm += b[i] * b[i];
  }
  return __builtin_sqrt(difference / norm);
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_ATTENTION_PROBLEM_H_
