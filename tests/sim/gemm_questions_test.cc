// What a GEMM recipe means, by cases small enough to do in the head: units of Hopper wgmma FP8,
// K = 32, 13 bits below the largest exponent, 13 fraction bits kept.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "sim/gemm_recipe.h"
#include "tests/sim/gemm_plain.h"

namespace lostbits {
namespace {

using sim::GemmRecipe;
using sim::GemmScaling;

constexpr int kK = 32;

// E5M2 codes.
constexpr uint8_t kOne = 0x3C, kMinusOne = 0xBC;
uint8_t PowerOfTwo(int e) { return static_cast<uint8_t>((e + 15) << 2); }

// One output whose instruction i has the single product a[i] * b[i]: 1 x K times K x 1.
struct Dot {
  std::vector<uint8_t> a, b;
  std::vector<float> scale_a, scale_b;
  uint32_t c = 0;
  bool has_c = false;

  void Add(uint8_t x, uint8_t y = kOne) {
    a.resize(a.size() + kK);
    b.resize(b.size() + kK);
    a[a.size() - kK + 5] = x;
    b[b.size() - kK + 5] = y;
  }
  uint32_t Run(const GemmRecipe& recipe) const {
    const auto k = static_cast<int64_t>(a.size());
    sim::GemmInputs in;
    in.a = {a.data(), recipe.unit.a, 1, k, k};
    in.b = {b.data(), recipe.unit.b, 1, k, k};
    in.b_transposed = true;
    in.scale_a = {scale_a.data(), scale_a.empty() ? 0 : 1, static_cast<int64_t>(scale_a.size())};
    in.scale_b = {scale_b.data(), static_cast<int64_t>(scale_b.size()), scale_b.empty() ? 0 : 1};
    if (has_c) in.c = {&c, 1, 1};
    uint32_t d = 0xDEAD'BEEF;
    sim::Gemm(recipe, in, {&d, 1, 1}, 1);
    return d;
  }
};

GemmRecipe Hopper() { return {.unit = test::Row("hopper:wgmma:e5m2:f32").spec}; }

Dot OneThenTwoSmall() {
  Dot dot;
  dot.Add(kOne);
  dot.Add(PowerOfTwo(-14));
  dot.Add(PowerOfTwo(-14));
  return dot;
}

TEST(GemmPromotion, IntervalDecidesWhatTheAccumulatorLoses) {
  const Dot dot = OneThenTwoSmall();
  GemmRecipe recipe = Hopper();
  EXPECT_EQ(dot.Run(recipe), 0x3F80'0000u);  // never: both 2^-14 lie below 1's 13 bits
  recipe.promote_every = 1;
  EXPECT_EQ(dot.Run(recipe), 0x3F80'0400u);  // 1 + 2^-14 + 2^-14
  recipe.promote_every = 2;
  EXPECT_EQ(dot.Run(recipe), 0x3F80'0200u);  // (1 and a lost 2^-14) + 2^-14: the rest is promoted
  recipe.promote_every = 3;
  EXPECT_EQ(dot.Run(recipe), 0x3F80'0000u);
}

TEST(GemmPromotion, AddsToCInFP32) {
  Dot dot = OneThenTwoSmall();
  dot.has_c = true;
  dot.c = 0x3F80'0001;  // 1 + 2^-23
  GemmRecipe recipe = Hopper();
  EXPECT_EQ(dot.Run(recipe), 0x4000'0000u);  // c enters the unit: 2
  recipe.promote_every = 1;
  EXPECT_EQ(dot.Run(recipe), 0x4000'0200u);  // RN(c + 1) = 2 (tie to even), + 2^-13 in all
}

TEST(GemmPromotion, RoundsToNearestEven) {
  Dot dot;  // 2^23 + 0.5 is a tie, 2^23 + 1 + 0.5 too; truncation would give 2^23, 2^23 + 1
  dot.Add(PowerOfTwo(15), PowerOfTwo(8));
  dot.Add(PowerOfTwo(-1));
  GemmRecipe recipe = Hopper();
  recipe.promote_every = 1;
  EXPECT_EQ(dot.Run(recipe), 0x4B00'0000u);
  dot.Add(kOne);
  dot.Add(PowerOfTwo(-1));
  EXPECT_EQ(dot.Run(recipe), 0x4B00'0002u);
}

TEST(GemmPromotion, ScalesAndAddsInOneRounding) {
  Dot dot;  // blocks of 128 k = 4 instructions
  dot.Add(kOne);
  for (int i = 1; i < 4; ++i) dot.Add(0);
  dot.Add(kMinusOne);
  for (int i = 5; i < 8; ++i) dot.Add(0);
  const float x = 1 + 0x1p-12f;
  // sum = 1 * 1 * (1 + 2^-11), then - RN(x * x): x * x = 1 + 2^-11 + 2^-24, a tie that goes to
  // 1 + 2^-11 when the two scales are multiplied.
  dot.scale_a = {1, x};
  dot.scale_b = {1 + 0x1p-11f, x};
  GemmRecipe recipe = Hopper();
  recipe.promote_every = 4;
  recipe.scale_a = recipe.scale_b = GemmScaling::kBlock128;
  EXPECT_EQ(dot.Run(recipe), 0u);
  // The product with the partial is not rounded: x * (partial x') - RN(x x') leaves 2^-24.
  Dot fused;
  fused.Add(kMinusOne);
  for (int i = 1; i < 4; ++i) fused.Add(0);
  fused.Add(kOne);  // partial = 1 + 2^-12: two products of one instruction
  fused.a[4 * kK] = PowerOfTwo(-12);
  fused.b[4 * kK] = kOne;
  for (int i = 5; i < 8; ++i) fused.Add(0);
  fused.scale_a = {1 + 0x1p-11f, x};
  fused.scale_b = {1, 1};
  EXPECT_EQ(fused.Run(recipe), 0x3380'0000u);  // 2^-24; FMUL then FADD would give 0
}

TEST(GemmSplit, SumsRangesInAscendingOrder) {
  Dot dot;
  dot.Add(PowerOfTwo(15), PowerOfTwo(9));  // 2^24
  dot.Add(kOne);
  dot.Add(kOne);
  GemmRecipe recipe = Hopper();
  recipe.split_k = 3;
  EXPECT_EQ(dot.Run(recipe), 0x4B80'0000u);  // (2^24 + 1) + 1: two ties to even
  Dot reversed;
  reversed.Add(kOne);
  reversed.Add(kOne);
  reversed.Add(PowerOfTwo(15), PowerOfTwo(9));
  EXPECT_EQ(reversed.Run(recipe), 0x4B80'0001u);  // (1 + 1) + 2^24
}

TEST(GemmSplit, RangesAreContiguousAndRoundedUp) {
  // Five instructions in three ranges: {0, 1}, {2, 3}, {4}. Within a range 1 swallows 2^-14.
  GemmRecipe recipe = Hopper();
  recipe.split_k = 3;
  const uint32_t kLost = 0x3F80'0000, kKept = 0x3F80'0200;
  for (int big = 0; big < 5; ++big) {
    for (int small = 0; small < 5; ++small) {
      if (big == small) continue;
      Dot dot;
      for (int i = 0; i < 5; ++i) {
        dot.Add(i == big ? kOne : i == small ? PowerOfTwo(-14) : uint8_t{0});
      }
      // Order does not matter: c is cut to the products' grid, and products to c's.
      EXPECT_EQ(dot.Run(recipe), big / 2 == small / 2 ? kLost : kKept) << big << ' ' << small;
    }
  }
  // With promotion every 2, five instructions are three intervals; two ranges: {0..3}, {4}.
  recipe.split_k = 2;
  recipe.promote_every = 2;
  recipe.partial = fp8::kBF16;  // shows where ranges end: 1 + 2^-14 is lost when it leaves one
  for (int small = 1; small < 5; ++small) {
    Dot dot;
    for (int i = 0; i < 5; ++i) {
      dot.Add(i == 0 ? kOne : i == small ? PowerOfTwo(-14) : uint8_t{0});
    }
    EXPECT_EQ(dot.Run(recipe), small == 4 ? kKept : kLost) << small;
  }
}

TEST(GemmSplit, RangesAreOfWholeTiles) {
  // Seven instructions in tiles of two, {0, 1} {2, 3} {4, 5} {6}; three ranges: {0..3}, {4..6}.
  GemmRecipe recipe = Hopper();
  recipe.split_k = 3;
  recipe.split_tile = 2;
  for (int small = 1; small < 7; ++small) {
    Dot dot;
    for (int i = 0; i < 7; ++i) dot.Add(i == 0 ? kOne : i == small ? PowerOfTwo(-14) : uint8_t{0});
    EXPECT_EQ(dot.Run(recipe), small < 4 ? 0x3F80'0000u : 0x3F80'0200u) << small;
  }
}

TEST(GemmSplit, RoundsPartialsToNearestEvenBF16) {
  GemmRecipe recipe = Hopper();
  recipe.split_k = 2;
  recipe.partial = fp8::kBF16;
  const auto run = [&](int numerator) {  // 1 + numerator * 2^-8 in the first range
    Dot dot;
    dot.Add(kOne);
    for (int bit = 0; bit < 2; ++bit) {
      if ((numerator >> bit & 1) == 0) continue;
      dot.a[static_cast<size_t>(bit)] = PowerOfTwo(bit - 8);
      dot.b[static_cast<size_t>(bit)] = kOne;
    }
    dot.Add(0);
    return dot.Run(recipe);
  };
  EXPECT_EQ(run(1), 0x3F80'0000u);  // tie, down to even
  EXPECT_EQ(run(2), 0x3F81'0000u);
  EXPECT_EQ(run(3), 0x3F82'0000u);  // tie, up to even
}

TEST(GemmTensorScale, MultipliesTheFinishedSumOnceByTheRoundedProduct) {
  // s = RN(x * x) = 1 + 2^-11, sum = 3: RN(3 s) = 3 + 3 * 2^-11 exactly. x * (x * 3), each rounded,
  // would be one unit more: x * 3 = 3 + 3 * 2^-12; times x: + 3 * 2^-24, above half a unit (2^-23).
  Dot dot;
  dot.Add(kOne);
  dot.a[0] = PowerOfTwo(1);
  dot.b[0] = kOne;
  const float x = 1 + 0x1p-12f;
  dot.scale_a = {x};
  dot.scale_b = {x};
  GemmRecipe recipe = Hopper();
  recipe.scale_a = recipe.scale_b = GemmScaling::kPerTensor;
  EXPECT_EQ(dot.Run(recipe), 0x4040'1800u);
  EXPECT_NE(fp8::BitCast<uint32_t>(x * (x * 3.0f)), 0x4040'1800u);  // the case tells them apart
}

TEST(GemmOutput, RoundsOnceAndOverflowsToInf) {
  Dot dot;
  dot.Add(PowerOfTwo(15), PowerOfTwo(9));
  GemmRecipe recipe = Hopper();
  recipe.output = fp8::kBF16;
  EXPECT_EQ(dot.Run(recipe), 0x4B80u);
  recipe.output = fp8::kFP16;
  EXPECT_EQ(dot.Run(recipe), 0x7C00u);
  dot.a[0] = 0x7D;  // NaN
  EXPECT_EQ(dot.Run(recipe), 0x7FFFu);
  recipe.output = fp8::kFP32;
  EXPECT_EQ(dot.Run(recipe), 0x7FFF'FFFFu);
  recipe.promote_every = 1;
  EXPECT_EQ(dot.Run(recipe), 0x7FFF'FFFFu);
}

TEST(GemmOutput, WithoutProductsIsC) {
  const GemmRecipe recipe = Hopper();
  sim::GemmInputs in;
  in.a.format = in.b.format = fp8::kE5M2;
  in.a.rows = 1;
  in.b.cols = 2;
  const uint32_t c[] = {0x8000'0000, 0x3F80'0001};
  uint32_t d[] = {1, 1};
  sim::Gemm(recipe, in, {d, 1, 2}, 1);
  EXPECT_EQ(d[0], 0u);
  in.c = {c, 1, 2};
  sim::Gemm(recipe, in, {d, 1, 2}, 1);
  EXPECT_EQ(d[0], 0x8000'0000u);
  EXPECT_EQ(d[1], 0x3F80'0001u);
}

// What the refusal of a call says, or "" if it is accepted.
template <class Change>
std::string Refusal(Change change) {
  GemmRecipe recipe = Hopper();
  std::vector<uint8_t> codes(256 * 256);
  std::vector<uint32_t> words(64 * 64);
  std::vector<float> scales(64, 1.0f);
  sim::GemmInputs in;
  in.a = {codes.data(), recipe.unit.a, 2, 256, 256};
  in.b = {codes.data(), recipe.unit.b, 256, 3, 3};
  sim::MatrixView<uint32_t> d(words.data(), 2, 3);
  int threads = 1;
  change(recipe, in, d, scales, threads);
  try {
    sim::Gemm(recipe, in, d, threads);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "";
}

TEST(GemmRefuses, WhatDoesNotFitInOneLine) {
  using Scales = std::vector<float>;
  using View = sim::MatrixView<uint32_t>;
  const auto same = [](GemmRecipe&, sim::GemmInputs&, View&, Scales&, int&) {};
  EXPECT_EQ(Refusal(same), "");
  EXPECT_EQ(
      Refusal([](GemmRecipe&, sim::GemmInputs& in, View&, Scales&, int&) { in.b.rows = 255; }),
      "Gemm: K differs: a is 2 x 256, b is 255 x 3");
  EXPECT_EQ(Refusal([](GemmRecipe&, sim::GemmInputs& in, View&, Scales&, int&) {
              in.b_transposed = true;
            }),
            "Gemm: K differs: a is 2 x 256, b is 256 x 3 (transposed)");
  EXPECT_EQ(Refusal([](GemmRecipe&, sim::GemmInputs&, View& d, Scales&, int&) { d.rows = 3; }),
            "Gemm: d must be 2 x 3, got 3 x 3");
  EXPECT_EQ(Refusal([](GemmRecipe&, sim::GemmInputs& in, View&, Scales&, int&) {
              in.a.format = fp8::kE4M3FN;
            }),
            "Gemm: a is not in the format of the unit");
  EXPECT_EQ(Refusal([](GemmRecipe& r, sim::GemmInputs&, View&, Scales&, int&) { r.split_k = 0; }),
            "Gemm: split_k must be 1 or more, got 0");
  EXPECT_EQ(
      Refusal([](GemmRecipe& r, sim::GemmInputs&, View&, Scales&, int&) { r.split_tile = 4; }),
      "Gemm: split_tile needs split_k above 1, got 1");
  EXPECT_EQ(Refusal([](GemmRecipe& r, sim::GemmInputs&, View&, Scales&, int&) {
              r.split_k = 2;
              r.promote_every = 4;
              r.split_tile = 6;
            }),
            "Gemm: split_tile must be a multiple of promote_every, 0 or more, got 6 and 4");
  EXPECT_EQ(
      Refusal([](GemmRecipe& r, sim::GemmInputs&, View&, Scales&, int&) { r.promote_every = -1; }),
      "Gemm: promote_every must be 0 or more, got -1");
  EXPECT_EQ(Refusal([](GemmRecipe&, sim::GemmInputs&, View&, Scales&, int& t) { t = 0; }),
            "Gemm: threads must be 1 or more, got 0");
  EXPECT_EQ(Refusal([](GemmRecipe& r, sim::GemmInputs&, View&, Scales&, int&) {
              r.scale_a = GemmScaling::kBlock128;
              r.promote_every = 3;
            }),
            "Gemm: block scales need promote_every * 32 to divide 128, got promote_every 3");
  EXPECT_EQ(Refusal([](GemmRecipe& r, sim::GemmInputs& in, View&, Scales& s, int&) {
              r.scale_a = GemmScaling::kBlock128;
              r.promote_every = 4;
              in.scale_a = {s.data(), 2, 1};
            }),
            "Gemm: scale_a must be 2 x 2, got 2 x 1");
  EXPECT_EQ(Refusal([](GemmRecipe& r, sim::GemmInputs& in, View&, Scales& s, int&) {
              r.scale_b = GemmScaling::kBlock128;
              r.promote_every = 4;
              s[1] = __builtin_nanf("");
              in.scale_b = {s.data(), 2, 1};
            }),
            "Gemm: scale_b(1, 0) is NaN");
  EXPECT_EQ(Refusal([](GemmRecipe& r, sim::GemmInputs& in, View& d, Scales&, int&) {
              r.split_k = 2;
              in.c = d;
            }),
            "Gemm: an initial c needs split_k 1, got 2");
  EXPECT_EQ(Refusal([](GemmRecipe& r, sim::GemmInputs& in, View& d, Scales& s, int&) {
              r.scale_a = GemmScaling::kPerTensor;
              in.scale_a = {s.data(), 1, 1};
              in.c = d;
            }),
            "Gemm: an initial c and per-tensor scales exclude each other");
  EXPECT_EQ(
      Refusal([](GemmRecipe& r, sim::GemmInputs&, View&, Scales&, int&) {
        r.unit = test::Row("hopper:wgmma:e5m2:f16").spec;
        r.output = fp8::kFP16;
        r.promote_every = 4;
      }),
      "Gemm: a unit with FP16 accumulators takes no promotion, split or scale, and gives FP16");
}

}  // namespace
}  // namespace lostbits
