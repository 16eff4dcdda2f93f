// The worked example, and the inputs that tell one hypothesis about a machine from another: what
// every row of the table must answer, and what the rejected hypothesis would have answered.
// Both spellings (sim/accum.h and sim/spec.h) answer every question.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

#include "sim/spec.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using test::Row;

struct Pair {
  int k;
  uint32_t a, b;
};

/// The answer of `spec` to products a*b at the given k, all others +0, plus c; checked to be the
/// same by value.
uint32_t Ask(const AccumSpec& spec, std::initializer_list<Pair> pairs, uint32_t c) {
  int n = spec.k;
  for (const Pair& p : pairs) n = std::max(n, p.k + 1);
  std::vector<uint32_t> a(static_cast<size_t>(n)), b(static_cast<size_t>(n));
  for (const Pair& p : pairs) {
    a[static_cast<size_t>(p.k)] = p.a;
    b[static_cast<size_t>(p.k)] = p.b;
  }
  const uint32_t word = test::DotCodes(spec, a, b, c);
  EXPECT_EQ(test::Hex(word), test::Hex(sim::spec::Chain(spec, a.data(), b.data(), n, c)))
      << "spec.h disagrees on " << test::DotLine(spec, a, b, c);
  return word;
}
uint32_t Ask(const char* machine, std::initializer_list<Pair> pairs, uint32_t c) {
  return Ask(Row(machine).spec, pairs, c);
}

#define EXPECT_WORD(expected, ask) EXPECT_EQ(test::Hex(expected), test::Hex(ask))

TEST(AccumQuestions, WorkedExampleOfThreeFp8Units) {
  // e4m3: 15 * 15, 1.125 * 0.0234375, -0.875 * 2^-7 and 2^-9 * 0.5, plus 0.3f.
  const auto on = [](const char* machine) {
    return Ask(machine, {{0, 0x57, 0x57}, {1, 0x39, 0x0C}, {2, 0xB6, 0x04}, {3, 0x01, 0x30}},
               0x3E99'999A);
  };
  EXPECT_WORD(0x4361'5000u, on("hopper:wgmma:e4m3:f32"));
  EXPECT_WORD(0x4361'520Cu, on("blackwell:tcgen05:e4m3:f32"));
  EXPECT_WORD(0x4361'520Du, on("hopper:mma.sync:e4m3:f32"));
  EXPECT_WORD(0x4361'520Du, on("blackwell:mma.sync:e4m3:f32"));
}

TEST(AccumQuestions, D1S1SmallestExponentOfBf16) {
  // 2^-149 less a smaller product: the clamp decides whether the smaller one is still seen.
  const auto ask = [](AccumSpec spec, uint32_t a1) {
    return Ask(spec, {{0, 0x3400, 0x0080}, {1, a1, 0x0080}}, 0);
  };
  for (const char* machine : {"hopper:mma.sync:bf16:f32", "hopper:wgmma:bf16:f32",
                              "blackwell:mma.sync:bf16:f32", "blackwell:tcgen05:bf16:f32"}) {
    SCOPED_TRACE(machine);
    AccumSpec spec = Row(machine).spec;
    EXPECT_WORD(0u, ask(spec, 0xB280));  // S1: -2^-152 is seen
    EXPECT_WORD(0u, ask(spec, 0xAF80));  // S1b: -2^-158 is seen
    EXPECT_WORD(1u, ask(spec, 0xAF00));  // S1c: -2^-159 is not
    spec.e_zero = -126;                  // MM1's value
    EXPECT_WORD(1u, ask(spec, 0xB280));
    spec.e_zero = -132;
    EXPECT_WORD(1u, ask(spec, 0xAF80));
    spec.e_zero = -134;
    EXPECT_WORD(0u, ask(spec, 0xAF00));
  }
  for (const char* machine : {"ampere:mma.sync:bf16:f32", "ada:mma.sync:bf16:f32"}) {
    SCOPED_TRACE(machine);
    AccumSpec spec = Row(machine).spec;
    EXPECT_WORD(0u, ask(spec, 0xB080));  // S1d: -2^-156 = 2^(-132 - 24) is seen
    EXPECT_WORD(1u, ask(spec, 0xB000));
    spec.e_zero = -131;
    EXPECT_WORD(1u, ask(spec, 0xB080));
  }
}

TEST(AccumQuestions, D2S2SmallestExponentOfFp16Output) {
  // 2^-25 is half the smallest subnormal: anything seen beside it rounds up.
  const auto ask = [](AccumSpec spec, uint32_t a1) {
    return Ask(spec, {{0, 0x1000, 0x0400}, {1, a1, 0x0001}}, 0);
  };
  for (const char* machine : {"hopper:mma.sync:f16:f16", "blackwell:mma.sync:f16:f16"}) {
    SCOPED_TRACE(machine);
    AccumSpec spec = Row(machine).spec;
    EXPECT_WORD(1u, ask(spec, 4));
    EXPECT_WORD(1u, ask(spec, 2));
    EXPECT_WORD(0u, ask(spec, 1));
    spec.e_zero = -21;  // MAT's value
    EXPECT_WORD(1u, ask(spec, 4));
    EXPECT_WORD(0u, ask(spec, 2));
    EXPECT_WORD(0u, ask(spec, 1));
  }
  for (uint32_t a1 : {4u, 2u, 1u}) EXPECT_WORD(1u, ask(Row("hopper:wgmma:f16:f16").spec, a1));

  AccumSpec ampere = Row("ampere:mma.sync:f16:f16").spec;  // S2a
  EXPECT_WORD(1u, ask(ampere, 8));
  EXPECT_WORD(0u, ask(ampere, 4));
  ampere.e_zero = -20;
  EXPECT_WORD(0u, ask(ampere, 8));
  EXPECT_WORD(1u, ask(Row("ada:mma.sync:f16:f16").spec, 8));
  AccumSpec volta = Row("volta:mma.sync:f16:f16").spec;  // S2v
  EXPECT_WORD(1u, ask(volta, 0x20));
  EXPECT_WORD(0u, ask(volta, 0x10));
  volta.e_zero = -19;
  EXPECT_WORD(0u, ask(volta, 0x20));
}

TEST(AccumQuestions, D3S9InterleaveOfEmulatedFp8) {
  const auto ask = [](AccumSpec spec) {
    return Ask(spec, {{0, 0x3C, 0x3C}, {1, 0x0C, 0x08}, {2, 0xBC, 0x3C}}, 0);
  };
  for (const char* machine : {"hopper:mma.sync:e5m2:f32", "blackwell:mma.sync:e5m2:f32"}) {
    AccumSpec spec = Row(machine).spec;
    EXPECT_WORD(0u, ask(spec)) << machine;
    spec.flow = sim::Flow::kChained;  // sequential halves
    EXPECT_WORD(0x3300'0000u, ask(spec)) << machine;
    spec.group = 32;
    EXPECT_WORD(0x3300'0000u, ask(spec)) << machine;
  }
}

TEST(AccumQuestions, S3ProductIsNotRenormalised) {
  const auto ask = [](uint32_t a0, uint32_t b0) {
    return Ask("hopper:mma.sync:f16:f32",
               {{0, a0, b0},
                {1, 0x1000, 0x0400},
                {2, 0x1000, 0x0400},
                {3, 0x1000, 0x0400},
                {4, 0x1000, 0x0400},
                {5, 0x1000, 0x0400},
                {6, 0x1000, 0x0400},
                {7, 0x1000, 0x0400},
                {8, 0x1000, 0x0400}},
               0);
  };
  EXPECT_WORD(0x4010'0001u, ask(0x3E00, 0x3E00));  // 1.5 * 1.5 has exponent 0
  EXPECT_WORD(0x4010'0000u, ask(0x4080, 0x3C00));  // 2.25 * 1 has exponent 1
}

TEST(AccumQuestions, S4GroupLength) {
  const auto ampere = [](AccumSpec spec) {
    return Ask(spec, {{0, 0x3C00, 0x3C00}, {1, 0x1000, 0x0800}, {8, 0xBC00, 0x3C00}}, 0);
  };
  EXPECT_WORD(0u, ampere(Row("ampere:mma.sync:f16:f32").spec));
  EXPECT_WORD(0u, ampere(Row("ada:mma.sync:f16:f32").spec));
  EXPECT_WORD(0x3380'0000u, ampere(Row("hopper:mma.sync:f16:f32").spec));

  const auto volta = [](AccumSpec spec) {  // S4b
    return Ask(spec,
               {{0, 0x3C00, 0x3C00},
                {1, 0x3C00, 0x3C00},
                {2, 0x1000, 0x0C00},
                {4, 0xBC00, 0x3C00},
                {5, 0xBC00, 0x3C00}},
               0);
  };
  AccumSpec spec = Row("volta:mma.sync:f16:f32").spec;
  EXPECT_WORD(0u, volta(spec));
  spec.group = spec.k = 8;
  EXPECT_WORD(0x3400'0000u, volta(spec));

  const auto tf32 = [](const char* machine) {  // S4c: 1, 2^-11 * 2^-13, then -1 at k = 4
    return Ask(machine,
               {{0, 0x3F80'0000, 0x3F80'0000},
                {1, 0x3A00'0000, 0x3900'0000},
                {4, 0xBF80'0000, 0x3F80'0000}},
               0);
  };
  EXPECT_WORD(0u, tf32("ampere:mma.sync:tf32:f32"));
  EXPECT_WORD(0u, tf32("hopper:wmma:tf32:f32"));
  EXPECT_WORD(0u, tf32("blackwell:wmma:tf32:f32"));
  EXPECT_WORD(0x3380'0000u, tf32("hopper:mma.sync:tf32:f32"));
  EXPECT_WORD(0x3380'0000u, tf32("hopper:wgmma:tf32:f32"));
}

TEST(AccumQuestions, S5AccumulatorOfFp8) {
  for (const char* machine : {"hopper:wgmma:e4m3:f32", "hopper:wgmma:e5m2:f32",
                              "ada:mma.sync:e4m3:f32", "ada:mma.sync:e5m2:f32"}) {
    EXPECT_WORD(0x3F80'0000u, Ask(machine, {}, 0x3F80'0200)) << machine;  // 1 + 2^-14 is cut
    EXPECT_WORD(0x3F80'0400u, Ask(machine, {}, 0x3F80'0400)) << machine;  // 1 + 2^-13 is not
  }
  EXPECT_WORD(0x3F80'0200u, Ask("hopper:mma.sync:e4m3:f32", {}, 0x3F80'0200));
  EXPECT_WORD(0x3F80'0200u, Ask("blackwell:tcgen05:e4m3:f32", {}, 0x3F80'0200));
  // S5b: 1 * 1 + (2^-14 + 2^-23)
  EXPECT_WORD(0x3F80'0000u, Ask("hopper:wgmma:e4m3:f32", {{0, 0x38, 0x38}}, 0x3880'4000));
  EXPECT_WORD(0x3F80'0201u, Ask("blackwell:tcgen05:e4m3:f32", {{0, 0x38, 0x38}}, 0x3880'4000));
}

TEST(AccumQuestions, S10SubnormalKeepsTheSmallestExponent) {
  // 2^-9 * 2^-9 has exponent -12, not -18, so c = 2^-28 falls below the grid.
  EXPECT_WORD(0x3680'0000u, Ask("hopper:wgmma:e4m3:f32", {{0, 0x01, 0x01}}, 0x3180'0000));
}

TEST(AccumQuestions, S7S8OverflowAndUnderflow) {
  for (const char* machine : {"ampere:mma.sync:bf16:f32", "hopper:mma.sync:bf16:f32",
                              "hopper:wgmma:bf16:f32", "blackwell:tcgen05:bf16:f32"}) {
    SCOPED_TRACE(machine);
    // S7: 2^127 + 2^127 is Inf even under truncation.
    EXPECT_WORD(0x7F80'0000u, Ask(machine, {{0, 0x7F00, 0x3F80}, {1, 0x7F00, 0x3F80}}, 0));
    EXPECT_WORD(0xFF80'0000u, Ask(machine, {{0, 0xFF00, 0x3F80}, {1, 0x7F00, 0xBF80}}, 0));
    // S7b: 2^137 inside does no harm if it cancels.
    EXPECT_WORD(0u,
                Ask(machine, {{0, 0x7F00, 0x4480}, {1, 0xFF00, 0x4480}, {2, 0x3F80, 0x3F80}}, 0));
    // S8: -2^-126 * 2^-30 is a negative zero, but the next group's zeros make it +0.
    const AccumSpec& spec = Row(machine).spec;
    EXPECT_WORD(0x8000'0000u, Ask(machine, {{spec.k - 1, 0x8080, 0x3080}}, 0));
    EXPECT_WORD(spec.group == spec.k ? 0x8000'0000u : 0u, Ask(machine, {{0, 0x8080, 0x3080}}, 0));
  }
  // FP16 output: 65519 rounds to 65504, 65520 to Inf.
  const char* f16 = "hopper:mma.sync:f16:f16";
  EXPECT_WORD(0x7BFFu, Ask(f16, {{0, 0x7BFF, 0x3C00}, {1, 0x4B80, 0x3C00}}, 0));
  EXPECT_WORD(0x7C00u, Ask(f16, {{0, 0x7BFF, 0x3C00}, {1, 0x4C00, 0x3C00}}, 0));
  EXPECT_WORD(0xFC00u, Ask(f16, {{0, 0xFBFF, 0x3C00}, {1, 0xCC00, 0x3C00}}, 0));
}

TEST(AccumQuestions, D7SpecialValues) {
  struct Words {
    uint32_t nan, inf, minus_inf, minus_zero;
  };
  constexpr Words kFp32{0x7FFF'FFFF, 0x7F80'0000, 0xFF80'0000, 0x8000'0000};
  constexpr Words kFp16{0x7FFF, 0x7C00, 0xFC00, 0x8000};
  for (const sim::ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const Words w = row.spec.acc == fp8::kFP16 ? kFp16 : kFp32;
    const AccumSpec& s = row.spec;
    const auto code = [](fp8::Format f, double x) {
      return static_cast<uint32_t>(fp8::Pack(f, fp8::Unpack(x), {.inf = fp8::InfRule::kKeep}).code);
    };
    const uint32_t one_a = code(s.a, 1), one_b = code(s.b, 1);
    const uint32_t nan_a = code(s.a, std::numeric_limits<double>::quiet_NaN());
    const uint32_t sign_a = static_cast<uint32_t>(fp8::SignMask(s.a));
    const int last = s.k - 1;
    EXPECT_WORD(w.nan, Ask(s, {{last, nan_a, one_b}}, 0));
    EXPECT_WORD(w.nan, Ask(s, {{0, nan_a | sign_a, 0}}, 0));           // NaN * 0
    EXPECT_WORD(w.nan, Ask(s, {{0, one_a, one_b}}, w.minus_inf + 1));  // any NaN c
    EXPECT_WORD(w.inf, Ask(s, {{0, one_a | sign_a, one_b}}, w.inf));
    EXPECT_WORD(w.minus_inf, Ask(s, {{0, one_a, one_b}}, w.minus_inf));
    // Zeros: every sum of zeros that goes through a group is +0; emulated FP8 adds +0 to c.
    EXPECT_WORD(0u, Ask(s, {}, 0));
    EXPECT_WORD(0u, Ask(s, {{0, sign_a, one_b}}, w.minus_zero));
    EXPECT_WORD(0u, Ask(s, {{0, one_a, one_b}, {1, one_a | sign_a, one_b}}, 0));
    if (!fp8::HasInf(s.a)) continue;
    const uint32_t inf_a = code(s.a, HUGE_VAL);
    EXPECT_WORD(w.inf, Ask(s, {{last, inf_a, one_b}}, 0));
    EXPECT_WORD(w.minus_inf, Ask(s, {{last, inf_a | sign_a, one_b}, {0, one_a, one_b}}, 0));
    EXPECT_WORD(w.nan, Ask(s, {{0, inf_a, 0}}, 0));
    EXPECT_WORD(w.nan, Ask(s, {{0, inf_a, one_b}}, w.minus_inf));
    EXPECT_WORD(w.nan, Ask(s, {{0, inf_a, one_b}, {last, inf_a | sign_a, one_b}}, 0));
  }
}

// The probe of MMA-Sim 2's paper (its equation 10 and table 8): 2^23 - 2^23 - .5 - .25 - .125.
TEST(AccumQuestions, ProbeOfFractionBits) {
  const auto f16 = [](const char* machine) {
    return Ask(machine,
               {{0, 0xEC00, 0x6800}, {1, 0xB800, 0x3C00}, {2, 0xB400, 0x3C00}, {3, 0xB000, 0x3C00}},
               0x4B00'0000);
  };
  EXPECT_WORD(0u, f16("volta:mma.sync:f16:f32"));
  EXPECT_WORD(0xBF00'0000u, f16("ampere:mma.sync:f16:f32"));  // -0.5
  EXPECT_WORD(0xBF40'0000u, f16("hopper:mma.sync:f16:f32"));  // -0.75
  EXPECT_WORD(
      0u, Ask("hopper:wgmma:e5m2:f32",
              {{0, 0xF8, 0x5C}, {1, 0xB8, 0x3C}, {2, 0xB4, 0x3C}, {3, 0xB0, 0x3C}}, 0x4B00'0000));
}

/// The code of 2^exponent.
uint32_t Power(fp8::Format f, int exponent) {
  return static_cast<uint32_t>(fp8::Pack(f, {fp8::Class::kFinite, false, exponent, 0, 1}).code);
}

// F and L of every row, both sides of each: 2^14 - 2^14 at k = 0 and 1 sets the grid to 2^(14 - F).
TEST(AccumQuestions, FractionBitsAndGroupLengthOfEveryRow) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const AccumSpec& s = row.spec;
    const uint32_t big_a = Power(s.a, 7), big_b = Power(s.b, 7);
    const uint32_t minus_a = big_a | static_cast<uint32_t>(fp8::SignMask(s.a));
    const auto product = [&](int k, int exponent) {
      const int half = exponent >= 0 ? exponent / 2 : -(1 - exponent) / 2;
      return Pair{k, Power(s.a, half), Power(s.b, exponent - half)};
    };
    const auto ask = [&](Pair x, Pair y) {
      return Ask(s, {{0, big_a, big_b}, {1, minus_a, big_b}, x, y}, 0);
    };
    const auto ask_one = [&](Pair x) { return ask(x, x); };
    // The first group's other products: 2, 3, ..., or 4, 5, ... where k is interleaved.
    const bool late = s.flow == sim::Flow::kInterleavedLateC;
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
}

// A machine nobody has built: one row of data, no code.
TEST(AccumQuestions, HypotheticalMachineIsOneRow) {
  constexpr AccumSpec kWide{.a = fp8::kE2M1,
                            .b = fp8::kE3M2,
                            .acc = fp8::kFP32,
                            .out = {8, 10, 127, fp8::Specials::kIeee, 13},
                            .rounding = fp8::Rounding::kTowardZero,
                            .group = 8,
                            .fraction_bits = 9,
                            .e_zero = -100,
                            .k = 24};
  // 6 * 28 = 168 (exponent 2 + 4 = 6, grid 2^-3); 0.5 * 0.0625 falls below it; c = -0.3 becomes
  // -0.25, so 167.75. The second group (k = 8) adds 1 * 1.
  EXPECT_WORD(0x4328'C000u,
              Ask(kWide, {{0, 0x7, 0x1F}, {1, 0x1, 0x01}, {8, 0x2, 0x0C}}, 0xBE99'999A));
}

}  // namespace
}  // namespace lostbits
