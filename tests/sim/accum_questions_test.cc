// The inputs that tell one hypothesis about an NVIDIA unit from another: what every row of the
// table must answer, and what the rejected hypothesis would have answered. Both spellings
// (sim/accum.h and sim/spec.h) answer every question.
#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

#include "tests/sim/accum_ask.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using sim::ArchRow;
using sim::Dispute;
using test::Ask;
using test::OtherSide;
using test::Row;

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
  const auto ask = [](const AccumSpec& spec, uint64_t a1) {
    return Ask(spec, {{0, 0x3400, 0x0080}, {1, a1, 0x0080}}, 0);
  };
  for (const char* machine :
       {"hopper:mma.sync:bf16:f32", "hopper:wgmma:bf16:f32", "blackwell:mma.sync:bf16:f32",
        "blackwell:tcgen05:bf16:f32", "rtx_blackwell:mma.sync:bf16:f32"}) {
    SCOPED_TRACE(machine);
    const AccumSpec& spec = Row(machine).spec;
    EXPECT_WORD(0u, ask(spec, 0xB280));  // S1: -2^-152 is seen
    EXPECT_WORD(0u, ask(spec, 0xAF80));  // S1b: -2^-158 is seen
    EXPECT_WORD(1u, ask(spec, 0xAF00));  // S1c: -2^-159 is not
    EXPECT_WORD(1u, ask(OtherSide(machine, Dispute::kClampFp32), 0xB280));
    EXPECT_WORD(1u, ask(test::With(spec, "e_zero=-132"), 0xAF80));
    EXPECT_WORD(0u, ask(test::With(spec, "e_zero=-134"), 0xAF00));
  }
  for (const char* machine : {"ampere:mma.sync:bf16:f32", "ada:mma.sync:bf16:f32"}) {
    SCOPED_TRACE(machine);
    const AccumSpec& spec = Row(machine).spec;
    EXPECT_WORD(0u, ask(spec, 0xB080));  // S1d: -2^-156 = 2^(-132 - 24) is seen
    EXPECT_WORD(1u, ask(spec, 0xB000));
    EXPECT_WORD(1u, ask(test::With(spec, "e_zero=-131"), 0xB080));
    EXPECT_WORD(1u, ask(OtherSide(machine, Dispute::kClampFp32), 0xB080));
  }
}

TEST(AccumQuestions, D2S2SmallestExponentOfFp16Output) {
  // 2^-25 is half the smallest subnormal: anything seen beside it rounds up.
  const auto ask = [](const AccumSpec& spec, uint64_t a1) {
    return Ask(spec, {{0, 0x1000, 0x0400}, {1, a1, 0x0001}}, 0);
  };
  int rows = 0;
  for (const ArchRow& row : sim::kArchTable) {
    if (std::string_view(row.in) != "f16" || std::string_view(row.out) != "f16") continue;
    SCOPED_TRACE(test::Name(row));
    ++rows;
    // 2^-24 * a1 * 2^-24 is seen down to 2^(e_zero - F).
    for (const AccumSpec& spec : {row.spec, OtherSide(row, Dispute::kClampFp16)}) {
      const int last = std::max(spec.e_zero - spec.fraction_bits + 48, 0);
      EXPECT_WORD(1u, ask(spec, uint64_t{1} << last));
      if (last > 0) {
        EXPECT_WORD(0u, ask(spec, uint64_t{1} << (last - 1)));
      }
    }
  }
  EXPECT_EQ(rows, 10);

  struct Answers {
    const char* machine;
    uint64_t a1, row, other;
  };
  constexpr Answers kAnswers[] = {{"hopper:mma.sync:f16:f16", 4, 1, 1},
                                  {"hopper:mma.sync:f16:f16", 2, 0, 1},  // -21: cut; -22: seen
                                  {"hopper:mma.sync:f16:f16", 1, 0, 0},
                                  {"hopper:wgmma:f16:f16", 4, 1, 1},
                                  {"hopper:wgmma:f16:f16", 2, 0, 1},  // -133: all is seen
                                  {"hopper:wgmma:f16:f16", 1, 0, 1},
                                  {"blackwell:tcgen05:f16:f16", 1, 0, 1},
                                  {"ampere:mma.sync:f16:f16", 8, 0, 1},  // S2a: -20 and -21
                                  {"ada:mma.sync:f16:f16", 8, 0, 1},
                                  {"turing:mma.sync:f16:f16", 8, 0, 1},
                                  {"volta:mma.sync:f16:f16", 0x20, 0, 1},  // S2v: -19 and -20
                                  {"turing:mma.sync.m8n8k4:f16:f16", 0x20, 0, 1}};
  for (const Answers& x : kAnswers) {
    EXPECT_WORD(x.row, ask(Row(x.machine).spec, x.a1)) << x.machine;
    EXPECT_WORD(x.other, ask(OtherSide(x.machine, Dispute::kClampFp16), x.a1)) << x.machine;
  }
}

TEST(AccumQuestions, D3S9InterleaveOfEmulatedFp8) {
  const auto ask = [](const AccumSpec& spec) {
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

// An E4M3 subnormal is a normal number in FP16, and aligns as one: 2^-9 * 2^15 has exponent 6, its
// grid is 2^-19, and 2^-19 survives beside it. With E4M3's own exponent the grid were 2^-16.
TEST(AccumQuestions, EmulatedFp8AlignsByFp16Exponents) {
  for (const char* machine :
       {"hopper:mma.sync:e4m3.e5m2:f32", "blackwell:mma.sync:e4m3.e5m2:f32"}) {
    EXPECT_WORD(0x3600'0000u, Ask(machine,
                                  {{0, 0x01, 0x78},   // 2^-9 * 2^15
                                   {1, 0x01, 0xF8},   // less the same
                                   {4, 0x08, 0x08}},  // 2^-6 * 2^-13
                                  0))
        << machine;
  }
}

TEST(AccumQuestions, S3ProductIsNotRenormalised) {
  const auto ask = [](uint64_t a0, uint64_t b0) {
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
  const auto ampere = [](const char* machine) {
    return Ask(machine, {{0, 0x3C00, 0x3C00}, {1, 0x1000, 0x0800}, {8, 0xBC00, 0x3C00}}, 0);
  };
  EXPECT_WORD(0u, ampere("turing:mma.sync:f16:f32"));
  EXPECT_WORD(0u, ampere("ampere:mma.sync:f16:f32"));
  EXPECT_WORD(0u, ampere("ada:mma.sync:f16:f32"));
  EXPECT_WORD(0x3380'0000u, ampere("hopper:mma.sync:f16:f32"));

  const auto volta = [](const AccumSpec& spec) {  // S4b
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
}

TEST(AccumQuestions, D6S4cGroupLengthOfWmmaTf32) {
  const auto ask = [](const AccumSpec& spec) {  // 1, 2^-11 * 2^-13, then -1 at k = 4
    return Ask(spec,
               {{0, 0x3F80'0000, 0x3F80'0000},
                {1, 0x3A00'0000, 0x3900'0000},
                {4, 0xBF80'0000, 0x3F80'0000}},
               0);
  };
  EXPECT_WORD(0u, ask(Row("ampere:mma.sync:tf32:f32").spec));
  for (const char* machine : {"hopper:wmma:tf32:f32", "blackwell:wmma:tf32:f32"}) {
    EXPECT_WORD(0u, ask(Row(machine).spec)) << machine;
    EXPECT_WORD(0x3380'0000u, ask(OtherSide(machine, Dispute::kWmmaTf32))) << machine;
  }
  for (const char* machine :
       {"hopper:mma.sync:tf32:f32", "hopper:wgmma:tf32:f32", "blackwell:tcgen05:tf32:f32"})
    EXPECT_WORD(0x3380'0000u, ask(Row(machine).spec)) << machine;
}

// 2^-149 less 2^-164, each the dot of a block of its own. Scales 2^-147 and 2^-162.
TEST(AccumQuestions, D8ExponentOfZeroInBlockScaledFp4) {
  int rows = 0;
  for (const ArchRow& row : sim::kArchTable) {
    if (row.spec.flow != sim::Flow::kBlockDot || row.spec.scale != fp8::kE8M0) continue;
    SCOPED_TRACE(test::Name(row));
    ++rows;
    const auto ask = [&](const AccumSpec& spec) {  // 0.5 * 0.5, then -0.5 * 0.5
      return Ask(spec, {{0, 0x1, 0x1}, {spec.block, 0x9, 0x1}}, 0, {0x00, 0x00}, {0x6B, 0x5C});
    };
    EXPECT_WORD(0u, ask(row.spec));
    EXPECT_WORD(1u, ask(OtherSide(row, Dispute::kBlockClamp)));
  }
  EXPECT_EQ(rows, 6);
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

TEST(AccumQuestions, S7Overflow) {
  for (const char* machine : {"ampere:mma.sync:bf16:f32", "hopper:mma.sync:bf16:f32",
                              "hopper:wgmma:bf16:f32", "blackwell:tcgen05:bf16:f32"}) {
    SCOPED_TRACE(machine);
    // S7: 2^127 + 2^127 is Inf even under truncation.
    EXPECT_WORD(0x7F80'0000u, Ask(machine, {{0, 0x7F00, 0x3F80}, {1, 0x7F00, 0x3F80}}, 0));
    EXPECT_WORD(0xFF80'0000u, Ask(machine, {{0, 0xFF00, 0x3F80}, {1, 0x7F00, 0xBF80}}, 0));
    // S7b: 2^137 inside does no harm if it cancels.
    EXPECT_WORD(0u,
                Ask(machine, {{0, 0x7F00, 0x4480}, {1, 0xFF00, 0x4480}, {2, 0x3F80, 0x3F80}}, 0));
  }
  // FP16 output: 65519 rounds to 65504, 65520 to Inf.
  const char* f16 = "hopper:mma.sync:f16:f16";
  EXPECT_WORD(0x7BFFu, Ask(f16, {{0, 0x7BFF, 0x3C00}, {1, 0x4B80, 0x3C00}}, 0));
  EXPECT_WORD(0x7C00u, Ask(f16, {{0, 0x7BFF, 0x3C00}, {1, 0x4C00, 0x3C00}}, 0));
  EXPECT_WORD(0xFC00u, Ask(f16, {{0, 0xFBFF, 0x3C00}, {1, 0xCC00, 0x3C00}}, 0));
}

TEST(AccumQuestions, S8SignOfUnderflow) {
  int rows = 0;
  for (const ArchRow& row : sim::kArchTable) {
    if (std::string_view(row.in) != "bf16" || row.spec.flow != sim::Flow::kChained) continue;
    SCOPED_TRACE(test::Name(row));
    ++rows;
    // -2^-126 * 2^-30, in the first group and in the last: zeros of a later group make it +0.
    const int last = row.spec.k - 1;
    const bool one_group = row.spec.group == row.spec.k;
    EXPECT_WORD(0u, Ask(row.spec, {{0, 0x8080, 0x3080}}, 0));
    EXPECT_WORD(0u, Ask(row.spec, {{last, 0x8080, 0x3080}}, 0));
    const AccumSpec other = OtherSide(row, Dispute::kUnderflow);
    EXPECT_WORD(one_group ? 0x8000'0000u : 0u, Ask(other, {{0, 0x8080, 0x3080}}, 0));
    EXPECT_WORD(0x8000'0000u, Ask(other, {{last, 0x8080, 0x3080}}, 0));
  }
  EXPECT_EQ(rows, 7);
  // FP16: -2^-26.
  const char* f16 = "hopper:mma.sync:f16:f16";
  EXPECT_WORD(0u, Ask(f16, {{0, 0x8400, 0x0C00}}, 0));
  EXPECT_WORD(0x8000u, Ask(OtherSide(f16, Dispute::kUnderflow), {{0, 0x8400, 0x0C00}}, 0));
}

}  // namespace
}  // namespace lostbits
