// The inputs that tell one hypothesis about an AMD unit from another. Both spellings
// (sim/accum_amd.h and sim/spec_amd.h) answer every question.
#include <gtest/gtest.h>

#include <string_view>

#include "tests/sim/accum_ask.h"

namespace lostbits {
namespace {

using sim::ArchRow;
using sim::Dispute;
using test::Ask;
using test::CodeFor;
using test::OtherSide;
using test::Pair;
using test::Row;

TEST(AccumQuestionsAmd, D4A1BitsOfTheProductsSumOnCdna3) {
  const std::vector<Pair> pairs = {{0, 0xA800, 0x2C00}, {1, 0x0C00, 0x0800}, {2, 0x0010, 0x0C00}};
  const char* machine = "cdna3:mfma:f16:f32";
  EXPECT_WORD(0x3F7F'8001u, Ask(machine, pairs, 0x3F80'0000));
  EXPECT_WORD(0x3F7F'8000u, Ask(OtherSide(machine, Dispute::kLateBits), pairs, 0x3F80'0000));
}

TEST(AccumQuestionsAmd, D5A2ExactOrPairwiseOnCdna1) {
  // (2^24 + 1) + (-2^24): a rounded 2^24 + 1 loses the 1.
  const std::vector<Pair> f16 = {{0, 0x6C00, 0x6C00}, {1, 0x3C00, 0x3C00}, {2, 0xEC00, 0x6C00}};
  EXPECT_WORD(0x3F80'0000u, Ask("cdna1:mfma:f16:f32", f16, 0));
  EXPECT_WORD(0u, Ask(OtherSide("cdna1:mfma:f16:f32", Dispute::kPairwise), f16, 0));
  const std::vector<Pair> bf16 = {{0, 0x4580, 0x4580}, {1, 0x3F80, 0x3F80}};
  EXPECT_WORD(0x3F80'0000u, Ask("cdna1:mfma:bf16:f32", bf16, 0xCB80'0000));
  EXPECT_WORD(0u, Ask(OtherSide("cdna1:mfma:bf16:f32", Dispute::kPairwise), bf16, 0xCB80'0000));
}

// Groups of CDNA1: the sum is exact over four products and c, or two; the next group rounds anew.
TEST(AccumQuestionsAmd, GroupLengthOnCdna1) {
  const auto ask = [](const char* machine, int at) {  // 2^24 + 1, and -2^24 at k = at
    const sim::AccumSpec& s = Row(machine).spec;
    const uint64_t big = CodeFor(s.a, 4096), one = CodeFor(s.a, 1);
    return Ask(s, {{0, big, big}, {1, one, one}, {at, big | 0x8000, big}}, 0);
  };
  EXPECT_WORD(0x3F80'0000u, ask("cdna1:mfma:f16:f32", 3));
  EXPECT_WORD(0u, ask("cdna1:mfma:f16:f32", 4));
  EXPECT_WORD(0u, ask("cdna1:mfma:bf16:f32", 2));
}

// What breaks a tie may lie far below both spellings' doubles: it counts all the same.
TEST(AccumQuestionsAmd, ExactSumsRoundOnce) {
  // 2^24 + 1 is a tie, to even. A little more than 1, and it is not.
  const sim::AccumSpec& f32 = Row("cdna1:mfma:f32:f32").spec;
  EXPECT_WORD(0x4B80'0000u, Ask(f32, {{0, 0x3F80'0000, 0x3F80'0000}}, 0x4B80'0000));
  EXPECT_WORD(0x4B80'0001u, Ask(f32, {{0, 0x3F80'0001, 0x3F80'0000}}, 0x4B80'0000));
  const sim::AccumSpec& bf16 = Row("cdna1:mfma:bf16:f32").spec;
  EXPECT_WORD(0x4B80'0000u, Ask(bf16, {{0, 0x3F80, 0x3F80}}, 0x4B80'0000));
  EXPECT_WORD(0x4B80'0001u, Ask(bf16, {{0, 0x3F80, 0x3F80}, {1, 0x1000, 0x1000}}, 0x4B80'0000));
  EXPECT_WORD(0x4B80'0000u, Ask(bf16, {{0, 0x3F80, 0x3F80}, {1, 0x9000, 0x1000}}, 0x4B80'0000));
  // FP64: (1 + 2^-52)^2 = 1 + 2^-51 + 2^-104. Less 1 + 2^-51, only fma keeps 2^-104.
  EXPECT_WORD(0x3970'0000'0000'0000u,
              Ask("cdna3:mfma:f64:f64", {{0, 0x3FF0'0000'0000'0001, 0x3FF0'0000'0000'0001}},
                  0xBFF0'0000'0000'0002));
}

// Floors lean toward minus infinity: 1 + 2^-26 is 1, 1 - 2^-26 is less.
TEST(AccumQuestionsAmd, FloorsOfCdna3LeanDown) {
  for (const char* machine : {"cdna3:mfma:f16:f32", "cdna3:mfma:bf16:f32", "cdna3:mfma:tf32:f32"}) {
    const uint64_t one = CodeFor(Row(machine).spec.a, 1);
    EXPECT_WORD(0x3F80'0000u, Ask(machine, {{0, one, one}}, 0x3280'0000)) << machine;
    EXPECT_WORD(0x3F7F'FFFFu, Ask(machine, {{0, one, one}}, 0xB280'0000)) << machine;
  }
  // FP8 drops a c this small; one of exponent E - 25 it still floors.
  const char* fp8 = "cdna3:mfma:e4m3fnuz:f32";
  const uint64_t one = CodeFor(fp8::kE4M3FNUZ, 1);
  EXPECT_WORD(0x3F80'0000u, Ask(fp8, {{0, one, one}}, 0xB280'0000));  // -2^-26
  EXPECT_WORD(0x3F7F'FFFFu, Ask(fp8, {{0, one, one}}, 0xB300'0000));  // -2^-25
}

// CDNA3: even and odd k of FP8 have grids of their own. 2^16 at k = 0; 2^-10 twice.
TEST(AccumQuestionsAmd, EvenAndOddProductsOfCdna3) {
  const auto ask = [](int second) {
    const auto code = [](double x) { return CodeFor(fp8::kE5M2FNUZ, x); };
    const uint64_t small = code(0x1p-5), one = code(0x1p-4);
    return Ask("cdna3:mfma:e5m2fnuz:f32",
               {{0, code(256), code(256)},
                {1, small, one},
                {second, small, one},
                {4, code(-256), code(256)}},
               0);
  };
  EXPECT_WORD(0x3B80'0000u, ask(3));  // 2^-9 + 2^-9 = 2^-8, a multiple of 2^(16 - 24)
  EXPECT_WORD(0u, ask(2));            // each alone is cut or floored away
}

// CDNA3: a product of 2^128 or more is Inf before anything is added.
TEST(AccumQuestionsAmd, ProductsOfCdna3Overflow) {
  const char* machine = "cdna3:mfma:bf16:f32";
  EXPECT_WORD(0x7F80'0000u, Ask(machine, {{0, 0x7F00, 0x4000}, {1, 0xFF00, 0x3F80}}, 0));
  EXPECT_WORD(0x7FFF'FFFFu, Ask(machine, {{0, 0x7F00, 0x4000}, {1, 0xFF00, 0x4000}}, 0));
  EXPECT_WORD(0u, Ask(machine, {{0, 0x7F00, 0x3F80}, {1, 0xFF00, 0x3F80}}, 0));
}

// CDNA2: subnormal operands and c count as +0, subnormal results as zeros of their sign.
TEST(AccumQuestionsAmd, FlushesOfCdna2) {
  EXPECT_WORD(0u, Ask("cdna2:mfma:f16:f32", {{0, 0x03FF, 0x7800}}, 0));
  EXPECT_WORD(0u, Ask("cdna2:mfma:f16:f32", {}, 0x807F'FFFF));
  for (const char* machine : {"cdna2:mfma:bf16:f32", "cdna2:mfma_1k:bf16:f32"}) {
    EXPECT_WORD(0u, Ask(machine, {{0, 0x007F, 0x7E80}}, 0)) << machine;
    EXPECT_WORD(0u, Ask(machine, {{0, 0x0080, 0x3F00}}, 0)) << machine;  // 2^-127
    EXPECT_WORD(0x0080'0000u, Ask(machine, {{0, 0x0080, 0x3F80}}, 0)) << machine;
    // The difference 2^-127 of two normal products is flushed, too.
    EXPECT_WORD(0u, Ask(machine, {{0, 0x00C0, 0x3F80}, {1, 0x8080, 0x3F80}}, 0)) << machine;
  }
  // CDNA1 and CDNA3 keep them.
  EXPECT_WORD(0x0040'0000u, Ask("cdna1:mfma:bf16:f32", {{0, 0x0080, 0x3F00}}, 0));
  EXPECT_WORD(0x0040'0000u, Ask("cdna3:mfma:bf16:f32", {{0, 0x0080, 0x3F00}}, 0));
}

}  // namespace
}  // namespace lostbits
