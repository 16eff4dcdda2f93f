// Questions that every row of the table answers: Inf, NaN and zeros, F, L; and a published probe.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/sim/accum_ask.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using sim::ArchRow;
using sim::Flow;
using test::Ask;
using test::CodeFor;
using test::Pair;
using test::Row;

TEST(AccumQuestions, D7SpecialValues) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const AccumSpec& s = row.spec;
    const uint64_t minus_zero = fp8::SignMask(s.acc);
    const uint64_t nan = minus_zero - 1, inf = CodeFor(s.acc, HUGE_VAL);
    const uint64_t minus_inf = minus_zero | inf;
    const uint64_t one_a = CodeFor(s.a, 1), one_b = CodeFor(s.b, 1);
    const uint64_t minus_a = CodeFor(s.a, -1);
    const int last = s.k - 1;
    EXPECT_WORD(nan, Ask(s, {{0, one_a, one_b}}, minus_inf + 1));  // any NaN c
    EXPECT_WORD(inf, Ask(s, {{0, minus_a, one_b}}, inf));
    EXPECT_WORD(minus_inf, Ask(s, {{0, one_a, one_b}}, minus_inf));
    // Zeros: a sum with a product of +0 is +0; emulated FP8 adds +0 to c.
    EXPECT_WORD(0u, Ask(s, {}, 0));
    EXPECT_WORD(0u, Ask(s, {}, minus_zero));
    EXPECT_WORD(0u, Ask(s, {{0, one_a, one_b}, {1, minus_a, one_b}}, 0));
    if (fp8::HasNan(s.a)) {
      const uint64_t nan_a = CodeFor(s.a, std::numeric_limits<double>::quiet_NaN());
      EXPECT_WORD(nan, Ask(s, {{last, nan_a, one_b}}, 0));
      EXPECT_WORD(nan, Ask(s, {{0, nan_a | fp8::SignMask(s.a), 0}}, 0));  // NaN * 0
    }
    if (!fp8::HasInf(s.a)) continue;
    const uint64_t inf_a = CodeFor(s.a, HUGE_VAL), minus_inf_a = CodeFor(s.a, -HUGE_VAL);
    EXPECT_WORD(inf, Ask(s, {{last, inf_a, one_b}}, 0));
    EXPECT_WORD(minus_inf, Ask(s, {{last, minus_inf_a, one_b}, {0, one_a, one_b}}, 0));
    EXPECT_WORD(nan, Ask(s, {{0, inf_a, 0}}, 0));
    EXPECT_WORD(nan, Ask(s, {{0, inf_a, one_b}}, minus_inf));
    EXPECT_WORD(nan, Ask(s, {{0, inf_a, one_b}, {last, minus_inf_a, one_b}}, 0));
  }
}

// Sums of nothing but -0: +0, but for an fma, which is as IEEE 754-2019 6.3 has it.
TEST(AccumQuestions, D7SumOfMinusZeros) {
  for (const ArchRow& row : sim::kArchTable) {
    const AccumSpec& s = row.spec;
    if (s.a.specials == fp8::Specials::kFnuz) continue;  // no -0
    std::vector<Pair> pairs;
    for (int i = 0; i < s.k; ++i) pairs.push_back({i, fp8::SignMask(s.a), CodeFor(s.b, 1)});
    const uint64_t minus_zero = fp8::SignMask(s.acc);
    EXPECT_WORD(s.flow == Flow::kExact && s.group == 1 ? minus_zero : 0, Ask(s, pairs, minus_zero))
        << test::Name(row);
  }
}

// Scales: 0xFF and (ue4m3) 0x7F are NaN, whatever they multiply; the sign of ue4m3 is ignored.
TEST(AccumQuestions, SpecialScales) {
  for (const ArchRow& row : sim::kArchTable) {
    const AccumSpec& s = row.spec;
    if (s.block == 0) continue;
    SCOPED_TRACE(test::Name(row));
    const size_t blocks = static_cast<size_t>(s.k / s.block);
    const bool signed_code = s.scale == fp8::kE4M3FN;
    const uint64_t one = CodeFor(s.scale, 1), nan = signed_code ? 0x7F : 0xFF;
    const std::vector<uint64_t> ones(blocks, one);
    std::vector<uint64_t> last_nan(blocks - 1, one);
    last_nan.push_back(nan);
    EXPECT_WORD(0x7FFF'FFFFu, Ask(s, {}, 0, last_nan, ones));
    EXPECT_WORD(0x7FFF'FFFFu, Ask(s, {}, 0x7F80'0000, ones, last_nan));
    const std::vector<Pair> one_by_one = {{s.k - 1, CodeFor(s.a, 1), CodeFor(s.b, 1)}};
    EXPECT_WORD(0x3F80'0000u, Ask(s, one_by_one, 0, ones, ones));
    if (!signed_code) continue;
    EXPECT_WORD(0x3F80'0000u, Ask(s, one_by_one, 0, std::vector<uint64_t>(blocks, one | 0x80)));
    EXPECT_WORD(0u, Ask(s, one_by_one, 0, std::vector<uint64_t>(blocks, 0x80)));
    EXPECT_WORD(0x7FFF'FFFFu, Ask(s, {}, 0, std::vector<uint64_t>(blocks, 0xFF)));
    EXPECT_WORD(0x3C00'0000u,  // 4 * 2^-9: a subnormal scale has its value
                Ask(s, {{0, 0x6, 0x2}}, 0, std::vector<uint64_t>(blocks, 0x01)));
  }
}

// The probe of MMA-Sim 2's paper (its equation 10 and table 8): 2^23 - 2^23 - .5 - .25 - .125. What
// remains says how many bits the unit keeps, and on which side it cuts.
TEST(AccumQuestions, ProbeOfFractionBits) {
  const auto probe = [](const char* machine) {
    const AccumSpec& s = Row(machine).spec;
    const auto product = [&](int k, double a, double b) {
      return Pair{k, CodeFor(s.a, a), CodeFor(s.b, b)};
    };
    const uint64_t word = Ask(
        s, {product(0, -4096, 2048), product(1, -.5, 1), product(2, -.25, 1), product(3, -.125, 1)},
        0x4B00'0000);
    return sim::spec::Value(s.acc, word);
  };
  EXPECT_EQ(probe("volta:mma.sync:f16:f32"), 0);
  EXPECT_EQ(probe("ampere:mma.sync:f16:f32"), -.5);
  EXPECT_EQ(probe("hopper:mma.sync:f16:f32"), -.75);
  EXPECT_EQ(probe("blackwell:tcgen05:e5m2:f32"), -.75);
  EXPECT_EQ(probe("ada:mma.sync:e5m2:f32"), 0);
  EXPECT_EQ(probe("hopper:wgmma:e5m2:f32"), 0);
  EXPECT_EQ(probe("cdna3:mfma:f16:f32"), -.5);
  EXPECT_EQ(probe("cdna3:mfma:e5m2fnuz:f32"), -1);
  EXPECT_EQ(probe("cdna1:mfma:f16:f32"), -.875);
  EXPECT_EQ(probe("cdna2:mfma:f16:f32"), 0);
}

// The same where FP4 needs its scales for such numbers: -2^7 * 2^16, then (-1 - .5 - .25) / 2.
TEST(AccumQuestions, ProbeOfFractionBitsInFp4) {
  for (const ArchRow& row : sim::kArchTable) {
    const AccumSpec& s = row.spec;
    if (s.flow != Flow::kBlockDot) continue;
    std::vector<Pair> pairs;
    const auto add = [&](int k, double a, double b) {
      pairs.push_back({k, CodeFor(s.a, a), CodeFor(s.b, b)});
    };
    for (int k = 0; k < 8; ++k) add(k, -4, 4);
    add(32, -2, .5);
    add(33, -1, .5);
    add(34, -.5, .5);
    std::vector<uint64_t> scale_a, scale_b;
    for (int k = 0; k < s.k; k += s.block) {
      scale_a.push_back(CodeFor(s.scale, k < 32 ? 256 : .5));
      scale_b.push_back(CodeFor(s.scale, k < 32 ? 256 : 1));
    }
    EXPECT_WORD(CodeFor(fp8::kFP32, -.875), Ask(s, pairs, 0x4B00'0000, scale_a, scale_b))
        << test::Name(row);
  }
}

/// The code of 2^exponent.
uint64_t Power(fp8::Format f, int exponent) { return CodeFor(f, std::ldexp(1.0, exponent)); }

// F and L of every row that aligns c and products together, both sides of each: 2^14 - 2^14 at
// k = 0 and 1 sets the grid to 2^(14 - F). FP6 and FP4 cannot reach that far.
TEST(AccumQuestions, FractionBitsAndGroupLengthOfEveryRow) {
  int rows = 0;
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const AccumSpec& s = row.spec;
    if (s.flow != Flow::kChained && s.flow != Flow::kInterleavedLateC) continue;
    if (s.a.exponent_bits < 4 || s.b.exponent_bits < 4) continue;
    ++rows;
    const uint64_t big_a = Power(s.a, 7), big_b = Power(s.b, 7);
    const uint64_t minus_a = big_a | fp8::SignMask(s.a);
    const auto product = [&](int k, int exponent) {
      const int half = exponent >= 0 ? exponent / 2 : -(1 - exponent) / 2;
      return Pair{k, Power(s.a, half), Power(s.b, exponent - half)};
    };
    const auto ask = [&](Pair x, Pair y) {
      return Ask(s, {{0, big_a, big_b}, {1, minus_a, big_b}, x, y}, 0);
    };
    const auto ask_one = [&](Pair x) { return ask(x, x); };
    // The first group's other products: 2, 3, ..., or 4, 5, ... where k is interleaved.
    const bool late = s.flow == Flow::kInterleavedLateC;
    const int third = late ? 4 : 2, last = late ? s.k - 3 : s.group - 1;
    const int grid = 14 - s.fraction_bits;
    EXPECT_WORD(Power(s.acc, grid), ask_one(product(third, grid)));
    EXPECT_WORD(0u, ask(product(third, grid - 1), product(third + 1, grid - 1)));
    EXPECT_WORD(0u, ask_one(product(last, grid - 1)));
    // The next group has a grid of its own.
    const int next = late ? 2 : s.group;
    if (next < s.k) {
      EXPECT_WORD(Power(s.acc, grid - 1), ask_one(product(next, grid - 1)));
    }
  }
  EXPECT_GE(rows, 80);
}

}  // namespace
}  // namespace lostbits
