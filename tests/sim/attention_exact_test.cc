// Exact attention against 330 bits, within the bound that its header states.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <limits>
#include <string>

#include "sim/attention_recipe.h"
#include "tests/sim/attention_problem.h"

namespace lostbits::test {
namespace {

using Wide = boost::multiprecision::cpp_bin_float_100;

Wide Value(const AttentionProblem& p, const std::vector<uint8_t>& x, int64_t index) {
  const auto at = static_cast<size_t>(index) * p.Width();
  uint32_t code = x[at];
  if (p.Width() == 2) code |= static_cast<uint32_t>(x[at + 1]) << 8;
  return fp8::Decode(p.format, code);
}

/// What a key's score is and whether the row sees it, straight from the words of recipe.h.
void CheckRow(const sim::AttentionRecipe& recipe, const AttentionProblem& p, int64_t b, int64_t i,
              int64_t h, const double* o, double lse) {
  const AttentionShape& s = p.shape;
  const int64_t hk = h / (s.heads_q / s.heads_kv), at = b * s.heads_kv + hk;
  const auto descale = [&](const std::vector<float>& x) {
    return Wide(x.empty() ? 1.0f : x[static_cast<size_t>(at)]);
  };
  const int64_t query = p.query_numbers.empty() ? i : p.query_numbers[static_cast<size_t>(i)];
  const int64_t length = p.query_numbers.empty() ? s.seqlen_q : p.query_length;
  const int64_t diagonal = query + s.seqlen_k - length;
  const Wide scale = Wide(recipe.softmax_scale) * descale(p.q_descale) * descale(p.k_descale);

  std::vector<Wide> weight;
  std::vector<int64_t> keys;
  Wide largest = 0, sum = 0;
  for (int64_t key = 0; key < s.seqlen_k; ++key) {
    if (recipe.causal && key > diagonal) continue;
    if (recipe.window_left >= 0 && key < diagonal - recipe.window_left) continue;
    if (!recipe.causal && recipe.window_right >= 0 && key > diagonal + recipe.window_right)
      continue;
    Wide dot = 0, size = 0;
    for (int64_t c = 0; c < s.dim; ++c) {
      const Wide term = Value(p, p.q, ((b * s.seqlen_q + i) * s.heads_q + h) * s.dim + c) *
                        Value(p, p.k, ((b * s.seqlen_k + key) * s.heads_kv + hk) * s.dim + c);
      dot += term;
      size += abs(term);
    }
    Wide score = dot * scale;
    if (recipe.softcap > 0) score = recipe.softcap * tanh(score / Wide(recipe.softcap));
    largest = std::max<Wide>(largest, size * scale);
    weight.push_back(exp(score));
    keys.push_back(key);
    sum += weight.back();
  }
  if (!p.sinks.empty()) sum += exp(Wide(p.sinks[static_cast<size_t>(h)]));
  const Wide unit = Wide(0x1p-44) * (1 + largest);
  if (keys.empty() && p.sinks.empty()) {
    EXPECT_EQ(lse, -std::numeric_limits<double>::infinity());
  } else {
    EXPECT_LE(abs(Wide(lse) - log(sum)), unit * (1 + abs(log(sum))));
  }
  for (int64_t c = 0; c < s.dim; ++c) {
    Wide value = 0, size = 0;
    for (size_t j = 0; j < keys.size(); ++j) {
      const Wide v = Value(p, p.v, ((b * s.seqlen_k + keys[j]) * s.heads_kv + hk) * s.dim + c);
      value += weight[j] / sum * v;
      size += weight[j] / sum * abs(v);
    }
    ASSERT_LE(abs(Wide(o[c]) - value * descale(p.v_descale)), unit * descale(p.v_descale) * size)
        << "batch " << b << ", row " << i << ", head " << h << ", channel " << c << ": " << o[c]
        << ", true " << value * descale(p.v_descale);
  }
}

TEST(AttentionExactTest, WithinItsBoundOfThreeHundredBits) {
  Random random(17);
  for (int n = 0; n < 20; ++n) {
    sim::FlashAttention3Options options;
    options.head_dim = 16;
    options.bf16 = n % 3 == 2;
    sim::AttentionRecipe recipe = FlashAttention3Recipe(options);
    recipe.causal = random.OneIn(3);
    if (random.OneIn(3)) recipe.window_left = random.Between(0, 20);
    if (random.OneIn(3)) recipe.window_right = random.Between(0, 5);
    if (random.OneIn(3)) recipe.softcap = 3;
    recipe.num_splits = random.Between(1, 3);  // must not matter
    recipe.softmax_scale = n % 5 == 4 ? 8.0f : 0.25f;
    AttentionShape shape{random.Between(1, 2),  random.Between(1, 3),
                         random.Between(1, 50), 6,
                         random.Between(1, 2),  16};
    AttentionProblem p(shape, options.bf16 ? fp8::kBF16 : fp8::kE4M3FN);
    p.FillNormal(random.Next());
    for (int64_t j = 0; j < shape.batch * shape.heads_kv && random.OneIn(2) && !options.bf16; ++j) {
      p.q_descale.assign(static_cast<size_t>(shape.batch * shape.heads_kv), 0.37f);
      p.v_descale.assign(static_cast<size_t>(shape.batch * shape.heads_kv), 1.9f);
      p.k_descale.push_back(static_cast<float>(0.5 + random.Uniform()));
      p.k_descale.resize(static_cast<size_t>(shape.batch * shape.heads_kv), 0.71f);
    }
    if (random.OneIn(3)) p.sinks = {0.5f, -1.25f, 2, -3, 0, 1.75f};
    if (random.OneIn(3)) {
      p.query_length = shape.seqlen_q + 20;
      for (int64_t i = 0; i < shape.seqlen_q; ++i)
        p.query_numbers.push_back(random.Below(static_cast<uint32_t>(p.query_length)));
    }
    const auto rows = static_cast<size_t>(shape.batch * shape.seqlen_q * shape.heads_q);
    std::vector<double> o(rows * 16), lse(rows);
    sim::AttentionExact(recipe, p.Inputs(), o.data(), lse.data(), 1);
    for (int64_t b = 0; b < shape.batch; ++b)
      for (int64_t i = 0; i < shape.seqlen_q; ++i)
        for (int64_t h = 0; h < shape.heads_q; ++h) {
          const int64_t row = (b * shape.seqlen_q + i) * shape.heads_q + h;
          const int64_t lse_at = (b * shape.heads_q + h) * shape.seqlen_q + i;
          CheckRow(recipe, p, b, i, h, o.data() + row * 16, lse[static_cast<size_t>(lse_at)]);
          ASSERT_FALSE(HasFatalFailure()) << "case " << n;
        }
  }
}

TEST(AttentionExactTest, SameBitsOnAnyThreadCount) {
  AttentionProblem p({2, 3, 700, 4, 2, 64}, fp8::kE4M3FN);
  p.FillNormal(4);
  sim::FlashAttention3Options options;
  options.head_dim = 64;
  const sim::AttentionRecipe recipe = FlashAttention3Recipe(options);
  std::vector<double> one(2 * 3 * 4 * 64), two(one.size());
  sim::AttentionExact(recipe, p.Inputs(), one.data(), nullptr, 1);
  sim::AttentionExact(recipe, p.Inputs(), two.data(), nullptr, 2);
  EXPECT_EQ(one, two);
}

}  // namespace
}  // namespace lostbits::test
