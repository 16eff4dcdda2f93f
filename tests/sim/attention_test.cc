// The contract of sim/attention.h: tiles, refusals, empty rows, sampling, strides, lost products.
#include "sim/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>

#include "sim/accum.h"
#include "sim/attention_recipe.h"
#include "tests/sim/attention_problem.h"

namespace lostbits::test {
namespace {

using sim::AttentionRecipe;
using sim::FlashAttention3Options;
using sim::PvAccumulation;

AttentionRecipe Recipe(int head_dim) {
  FlashAttention3Options o;
  o.head_dim = head_dim;
  AttentionRecipe recipe = FlashAttention3Recipe(o);
  recipe.output = fp8::kFP32;
  return recipe;
}

// hopper/tile_size.h at 617264c1, read again here by hand: block_m x block_n.
TEST(AttentionRecipeTest, Tiles) {
  const auto tile = [](const FlashAttention3Options& o) {
    const auto t = TileOf(o);
    return std::to_string(t.block_m) + "x" + std::to_string(t.block_n) +
           (t.overlap ? "" : " serial");
  };
  constexpr auto kOne = PvAccumulation::kOneLevel, kTwo = PvAccumulation::kPerTile;
  const struct {
    int d;
    const char *two, *one, *one_tma, *bf16, *bf16_tma, *bf16_causal;
  } kTable[] = {{64, "192x128", "192x160", "192x160", "192x160", "192x192", "192x128"},
                {96, "128x128", "192x128", "192x128", "192x128", "192x144", "192x144"},
                {128, "128x192", "128x160", "128x224", "128x128", "128x160", "128x128"},
                {192, "128x96", "128x160", "128x160", "128x96", "128x96", "128x96"},
                {256, "128x128 serial", "128x128 serial", "128x128", "128x80", "128x80", "128x80"}};
  for (const auto& row : kTable) {
    FlashAttention3Options o;
    o.head_dim = row.d;
    EXPECT_EQ(tile(o), row.two) << row.d;
    o.accumulation = kOne;
    EXPECT_EQ(tile(o), row.one) << row.d;
    o.paged_non_tma = false;
    EXPECT_EQ(tile(o), row.one_tma) << row.d;
    o.bf16 = true;
    EXPECT_EQ(tile(o), row.bf16_tma) << row.d;
    o.causal = true;
    EXPECT_EQ(tile(o), row.bf16_causal) << row.d;
    o.causal = false;
    o.paged_non_tma = true;
    EXPECT_EQ(tile(o), row.bf16) << row.d;
  }
  FlashAttention3Options o{.head_dim = 64, .decode = true, .accumulation = kTwo};
  EXPECT_EQ(tile(o), "64x128");
  o.head_dim = 128;
  EXPECT_EQ(tile(o), "64x96");
  o.bf16 = true;
  EXPECT_EQ(tile(o), "64x128");
  o.paged_non_tma = false;
  EXPECT_EQ(tile(o), "64x176");
  o.head_dim = 64;
  EXPECT_EQ(tile(o), "64x192");
  FlashAttention3Options local{.head_dim = 256, .window_left = 100, .window_right = 0};
  EXPECT_EQ(tile(local), "128x64 serial");
  EXPECT_THROW(sim::TileOf({.head_dim = 96, .decode = true}), std::invalid_argument);
  EXPECT_THROW(sim::TileOf({.head_dim = 128, .decode = true, .window_left = 9}),
               std::invalid_argument);
  EXPECT_THROW(sim::TileOf({.head_dim = 257}), std::invalid_argument);
}

TEST(AttentionTest, RefusesInOneLineThatNamesBothSides) {
  AttentionProblem good({1, 2, 10, 2, 1, 64}, fp8::kE4M3FN);
  good.FillNormal(1);
  const auto refusal = [&](const AttentionRecipe& recipe, const sim::AttentionInputs& in,
                           const sim::AttentionOptions& options = {}) -> std::string {
    std::vector<float> o(2 * 2 * 64);
    try {
      AttentionForward(recipe, in, {o.data(), nullptr}, options);
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "accepted";
  };
  const auto expect = [&](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "got: " << text << "\nwant: " << part;
  };
  EXPECT_EQ(refusal(Recipe(64), good.Inputs()), "accepted");
  expect(refusal(Recipe(128), good.Inputs()),
         "head_dim of the recipe is 128, but Q is [1, 2, 2, 64]");

  sim::AttentionInputs in = good.Inputs();
  in.v.seqlen = 9;
  expect(refusal(Recipe(64), in), "K [1, 10, 1, 64] and V [1, 9, 1, 64] differ");
  in = good.Inputs();
  in.q.batch = 2;
  expect(refusal(Recipe(64), in), "Q [2, 2, 2, 64] and K [1, 10, 1, 64]");
  in = good.Inputs();
  in.k.heads = in.v.heads = 3;
  expect(refusal(Recipe(64), in), "2 heads, expected a multiple of K's 3");
  in = good.Inputs();
  in.q.format = fp8::kBF16;
  expect(refusal(Recipe(64), in), "formats of Q and K");
  for (const float bad : {0.0f, -1.0f, NAN, INFINITY}) {
    in = good.Inputs();
    in.k_descale = {&bad, 0, 0};
    expect(refusal(Recipe(64), in), "k_descale of batch 0, KV head 0 is ");
  }
  in = good.Inputs();
  const int64_t numbers[] = {0, 7};
  in.query_numbers = numbers;
  in.query_length = 7;
  expect(refusal(Recipe(64), in), "query_numbers[1] is 7, expected 0 to 6");

  AttentionRecipe recipe = Recipe(64);
  recipe.exp2 = sim::Exp2Model::kTable;
  expect(refusal(recipe, good.Inputs()), "captured exp2 table and none was given");
  recipe = Recipe(64);
  recipe.p_format = sim::PFormat::kNone;
  expect(refusal(recipe, good.Inputs()), "unrounded P needs PvAccumulation::kExact");
  recipe = Recipe(64);
  recipe.p_format = sim::PFormat::kBF16;
  expect(refusal(recipe, good.Inputs()), "does not take P's format");
  recipe = Recipe(64);
  recipe.block_n = 100;
  expect(refusal(recipe, good.Inputs()), "block_n is 100, expected a positive multiple of 8");
  recipe = Recipe(64);
  recipe.accumulation = PvAccumulation::kEveryNTiles;
  expect(refusal(recipe, good.Inputs()), "interval is 0");
  recipe = Recipe(64);
  recipe.num_splits = 257;
  expect(refusal(recipe, good.Inputs()), "num_splits is 257");
}

TEST(AttentionTest, RowsThatSeeNoKey) {
  AttentionProblem p({1, 6, 4, 1, 1, 64}, fp8::kE4M3FN);  // causal: rows 0 and 1 see nothing
  p.FillNormal(2);
  AttentionRecipe recipe = Recipe(64);
  recipe.causal = true;
  for (const int splits : {1, 3}) {
    recipe.num_splits = splits;
    const AttentionResult r = RunForward(recipe, p);
    for (size_t row = 0; row < 6; ++row) {
      const bool empty = row < 2;
      EXPECT_EQ(r.lse[row] == 0xff80'0000, empty) << row;
      for (size_t c = 0; c < 64; ++c)
        if (empty) {
          EXPECT_EQ(r.o[row * 64 + c], 0u) << row << ", " << c;
        }
    }
    EXPECT_NE(r.o[2 * 64], 0u);
  }
  AttentionProblem none({1, 2, 0, 1, 1, 64}, fp8::kE4M3FN);  // no keys at all
  const AttentionResult r = RunForward(Recipe(64), none);
  EXPECT_EQ(r.lse[1], 0xff80'0000u);
  EXPECT_EQ(r.o[64], 0u);
}

// A sampled row is the row of the full run, at any position and with any neighbours.
TEST(AttentionTest, SampledRowsEqualTheFullRun) {
  for (const int window : {-1, 50}) {
    AttentionProblem full({1, 150, 300, 2, 1, 64}, fp8::kE4M3FN);
    full.FillNormal(3);
    AttentionRecipe recipe = Recipe(64);
    recipe.causal = true;
    recipe.window_left = window;
    recipe.block_m = 64;
    recipe.num_splits = 2;
    const AttentionResult all = RunForward(recipe, full);
    AttentionProblem some({1, 4, 300, 2, 1, 64}, fp8::kE4M3FN);
    some.k = full.k;
    some.v = full.v;
    some.query_length = 150;
    some.query_numbers = {149, 3, 64, 63};
    for (size_t i = 0; i < 4; ++i)
      std::copy_n(full.q.begin() + some.query_numbers[i] * 128, 128,
                  some.q.begin() + static_cast<int64_t>(i) * 128);
    const AttentionResult sampled = RunForward(recipe, some);
    for (size_t i = 0; i < 4; ++i)
      for (size_t c = 0; c < 128; ++c)
        ASSERT_EQ(sampled.o[i * 128 + c],
                  all.o[static_cast<size_t>(some.query_numbers[i]) * 128 + c])
            << "row " << some.query_numbers[i] << ", element " << c << ", window " << window;
  }
}

// K and V read through strides: heads first in memory.
TEST(AttentionTest, Strides) {
  AttentionProblem p({1, 2, 200, 2, 2, 64}, fp8::kE4M3FN);
  p.FillNormal(6);
  std::vector<uint8_t> k(p.k.size()), v(p.v.size());
  for (size_t key = 0; key < 200; ++key)
    for (size_t h = 0; h < 2; ++h)
      for (size_t c = 0; c < 64; ++c) {
        k[(h * 200 + key) * 64 + c] = p.k[(key * 2 + h) * 64 + c];
        v[(h * 200 + key) * 64 + c] = p.v[(key * 2 + h) * 64 + c];
      }
  sim::AttentionInputs in = p.Inputs();
  in.k = {k.data(), p.format, 1, 200, 2, 64, 0, 64, 200 * 64};
  in.v = {v.data(), p.format, 1, 200, 2, 64, 0, 64, 200 * 64};
  std::vector<float> o(2 * 2 * 64);
  AttentionForward(Recipe(64), in, {o.data(), nullptr});
  const AttentionResult straight = RunForward(Recipe(64), p);
  for (size_t i = 0; i < o.size(); ++i) ASSERT_EQ(fp8::BitCast<uint32_t>(o[i]), straight.o[i]);
}

TEST(AttentionTest, ProgressRisesToOne) {
  AttentionProblem p({2, 3, 100, 4, 2, 64}, fp8::kE4M3FN);
  p.FillNormal(6);
  std::vector<double> seen;
  sim::AttentionOptions options;
  options.threads = 2;
  options.progress = [&](double done) { seen.push_back(done); };
  RunForward(Recipe(64), p, options);
  ASSERT_FALSE(seen.empty());
  for (size_t i = 1; i < seen.size(); ++i) EXPECT_GE(seen[i], seen[i - 1]);
  EXPECT_EQ(seen.back(), 1);
}

// A table filled from the correctly rounded model gives that model's bits; one with a hole says so.
TEST(AttentionTest, CapturedTable) {
  AttentionProblem p({1, 1, 40, 1, 1, 64}, fp8::kE4M3FN);
  p.FillNormal(8);
  p.Fill(&p.q, *std::make_unique<Random>(1), [](Random&, int64_t) { return 0.0; });
  const uint32_t eight[] = {0x4380'0000};  // equal scores: every argument is 8, and 2^8 = 256
  const sim::Exp2Table::Segment segments[] = {{0x4100'0000, 1, eight}, {0xff80'0000, 1, nullptr}};
  const uint32_t zero[] = {0};
  sim::Exp2Table::Segment both[] = {segments[0], {0xff80'0000, 1, zero}};
  sim::Exp2Table table{both, 2};
  sim::AttentionOptions options;
  options.exp2_table = &table;
  AttentionRecipe recipe = Recipe(64);
  const AttentionResult want = RunForward(recipe, p);
  recipe.exp2 = sim::Exp2Model::kTable;
  EXPECT_EQ(RunForward(recipe, p, options).o, want.o);
  table.segment_count = 1;  // masked keys ask for 2^-inf
  try {
    RunForward(recipe, p, options);
    ADD_FAILURE() << "a missing table entry went unnoticed";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("0xFF800000"), std::string::npos) << error.what();
  }
}

TEST(LostProductsTest, UniformKeys) {
  FlashAttention3Options o{.head_dim = 64, .accumulation = PvAccumulation::kOneLevel};
  AttentionRecipe one = FlashAttention3Recipe(o);
  AttentionProblem p({1, 1, 32768, 1, 1, 64}, fp8::kE4M3FN);
  p.Fill(&p.v, *std::make_unique<Random>(1), [](Random&, int64_t i) { return i % 64 < 16; });
  // 256 * 1 a term: from 2^14 of them on, one is below the 13th fraction bit of the sum.
  sim::LostProducts lost = CountLostProducts(one, p.Inputs(), 0, 0, 0);
  EXPECT_EQ(lost.keys, 32768);
  EXPECT_EQ(lost.keys_cut, 16384);
  EXPECT_EQ(lost.products, 32768 * 16);
  EXPECT_EQ(lost.products_cut, 16384 * 16);
  EXPECT_EQ(lost.keys_p_zero, 0);
  one.accumulation = PvAccumulation::kPerTile;
  EXPECT_EQ(CountLostProducts(one, p.Inputs(), 0, 0, 0).products_cut, 0);
  one.accumulation = PvAccumulation::kOneLevel;
  one.num_splits = 2;  // 205 tiles of 160 keys: 103 in the first split
  EXPECT_EQ(CountLostProducts(one, p.Inputs(), 0, 0, 0).products_cut, (103 * 160 - 16384) * 16);
  one.num_splits = 1;
  one.accumulation = PvAccumulation::kEveryNTiles;
  one.interval = 16384 / one.block_n;
  EXPECT_EQ(CountLostProducts(one, p.Inputs(), 0, 0, 0).products_cut, 0);
}

// By value, on one tile: the products of a group against the largest exponent and 13 bits.
TEST(LostProductsTest, OneTileByValue) {
  FlashAttention3Options o{.head_dim = 64, .accumulation = PvAccumulation::kOneLevel};
  const AttentionRecipe recipe = FlashAttention3Recipe(o);
  AttentionProblem p({1, 1, 70, 1, 1, 64}, fp8::kE4M3FN);
  p.FillNormal(12);
  Random random(13);
  p.Fill(&p.q, random, [](Random& r, int64_t) { return 6 * r.Normal(); });
  p.Fill(&p.v, random, [](Random& r, int64_t) {
    const int e = r.Between(-8, 8);
    return r.OneIn(9) ? 0.0 : std::ldexp(r.Normal(), e);
  });
  // The scores from exact dots: what rounds differently is P, by less than its own rounding here.
  std::vector<double> score;
  for (int64_t key = 0; key < 70; ++key) {
    std::vector<fp8::Unpacked> a, b;
    for (int64_t c = 0; c < 64; ++c) {
      a.push_back(fp8::Unpack(fp8::kE4M3FN, p.q[static_cast<size_t>(c)]));
      b.push_back(fp8::Unpack(fp8::kE4M3FN, p.k[static_cast<size_t>(key * 64 + c)]));
    }
    score.push_back(fp8::BitCast<float>(
        static_cast<uint32_t>(sim::DotChain(recipe.qk, a.data(), b.data(), 64, 0))));
  }
  const double max = *std::max_element(score.begin(), score.end());
  const auto exponent = [](double x) { return std::max(std::ilogb(x), -6); };  // E4M3's subnormals
  int64_t products = 0, cut = 0, p_zero = 0;
  std::vector<double> prob;
  for (const double s : score) {
    const auto unrounded =
        static_cast<float>(std::exp2((s - max) * recipe.softmax_scale * 1.4426950408889634 + 8));
    prob.push_back(fp8::Decode<fp8::kE4M3FN>(fp8::Encode<fp8::kE4M3FN>(unrounded)));
    p_zero += prob.back() == 0;
  }
  for (int64_t c = 0; c < 64; ++c) {
    double sum = 0;
    for (int64_t first = 0; first < 70; first += 32) {
      int e_max = -133;
      if (sum != 0) e_max = std::max(e_max, std::ilogb(sum));
      std::vector<double> terms;
      for (int64_t key = first; key < std::min<int64_t>(70, first + 32); ++key) {
        const double v = fp8::Decode<fp8::kE4M3FN>(p.v[static_cast<size_t>(key * 64 + c)]);
        const double w = prob[static_cast<size_t>(key)];
        if (v * w == 0) continue;
        e_max = std::max(e_max, exponent(w) + exponent(v));
        terms.push_back(v * w);
      }
      const double unit = std::ldexp(1.0, e_max - 13);
      double total = std::trunc(sum / unit);
      for (const double t : terms) {
        ++products;
        cut += std::abs(t) < unit;
        total += std::trunc(t / unit);
      }
      sum = total * unit;
      if (sum != 0) {  // to 14 bits, toward zero
        const double last = std::ldexp(1.0, std::ilogb(sum) - 13);
        sum = std::trunc(sum / last) * last;
      }
    }
  }
  const sim::LostProducts lost = CountLostProducts(recipe, p.Inputs(), 0, 0, 0);
  EXPECT_EQ(lost.keys, 70);
  EXPECT_EQ(lost.keys_p_zero, p_zero);
  EXPECT_EQ(lost.products, products);
  EXPECT_EQ(lost.products_cut, cut);
  EXPECT_GT(cut, 100);
  EXPECT_GT(p_zero, 0);
}

// Few rows: all threads share one block, more keys than they take at a time.
TEST(AttentionTest, ThreadsOnOneBlockChangeNoBit) {
  AttentionProblem problem({1, 1, 20'000, 64, 1, 64}, fp8::kE4M3FN);
  problem.FillNormal(18);
  for (const auto accumulation : {PvAccumulation::kOneLevel, PvAccumulation::kPerTile}) {
    AttentionRecipe recipe =
        sim::FlashAttention3Recipe({.head_dim = 64, .decode = true, .accumulation = accumulation});
    const AttentionResult one = RunForward(recipe, problem, {.threads = 1});
    for (const int threads : {2, 3, 7}) {
      const AttentionResult team = RunForward(recipe, problem, {.threads = threads});
      EXPECT_EQ(team.o, one.o) << threads;
      EXPECT_EQ(team.lse, one.lse) << threads;
    }
  }
}

// FP32 and binary64 steps run in an environment of their own, on every thread.
TEST(AttentionTest, CallersRoundingModeChangesNoBit) {
  AttentionProblem problem({1, 3, 200, 2, 1, 64}, fp8::kE4M3FN);
  problem.FillNormal(17);
  AttentionRecipe recipe = Recipe(64);
  recipe.num_splits = 2;
  const AttentionResult expected = RunForward(recipe, problem);
  const std::vector<double> exact = RunExact(recipe, problem);
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    ASSERT_EQ(std::fesetround(mode), 0);
    const AttentionResult got = RunForward(recipe, problem, {.threads = 2});
    const std::vector<double> exact_got = RunExact(recipe, problem);
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(after, mode);
    EXPECT_EQ(got.o, expected.o) << "mode " << mode;
    EXPECT_EQ(got.lse, expected.lse) << "mode " << mode;
    EXPECT_EQ(exact_got, exact) << "mode " << mode;
  }
}

}  // namespace
}  // namespace lostbits::test
