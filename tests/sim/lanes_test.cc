// Lanes = integers: MultiplyAccumulate on every instruction set that Highway compiled, against
// DotChain one output at a time.
#include <algorithm>
#include <map>
#include <string>

#include "tests/sim/lanes_case.h"

namespace lostbits {
namespace {

using test::Layout;
using test::MatrixCase;
using test::Pattern;

class Lanes : public ::testing::TestWithParam<int64_t> {
 protected:
  test::ForcedTarget forced_{GetParam()};
};

std::string TargetOf(const ::testing::TestParamInfo<int64_t>& info) {
  return hwy::TargetName(info.param);
}
INSTANTIATE_TEST_SUITE_P(Every, Lanes, ::testing::ValuesIn(test::Targets()), TargetOf);

TEST_P(Lanes, RunWhereTheyAreSent) {
  EXPECT_STREQ(sim::InstructionSetName(), hwy::TargetName(GetParam()));
}

TEST_P(Lanes, EqualTheIntegersOnEveryMachineAndPattern) {
  test::Random r(20);
  sim::PackedB packed;  // one for all: what a larger operand left behind must not matter
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!sim::HasMatrixProduct(row.spec)) continue;
    for (int p = 0; p < test::kPatternCount; ++p) {
      for (int repeat = 0; repeat < 2; ++repeat) {
        const int m = r.Between(1, 7), n = r.Between(1, 37);
        const int k = r.Between(1, 2 * row.spec.k + 3);
        const MatrixCase x = DrawMatrix(r, row.spec, m, n, k, static_cast<Pattern>(p));
        const Layout layout = r.OneIn(2) ? Layout::kTransposed : Layout::kRowMajor;
        ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, layout, packed),
                              ExpectedProduct(row.spec, x)));
      }
    }
  }
}

// Sizes that are a multiple of nothing: strips, row blocks and groups all end early.
TEST_P(Lanes, EqualTheIntegersInEveryShape) {
  test::Random r(21);
  sim::PackedB packed;
  for (const char* name : {"hopper:wgmma:e4m3:f32",       "hopper:wgmma:e5m2.e4m3:f32",
                           "ada:mma.sync:e5m2:f32",       "blackwell:tcgen05:e4m3:f32",
                           "hopper:mma.sync:bf16:f32",    "volta:mma.sync:f16:f32",
                           "ampere:mma.sync:tf32:f32",    "hopper:wgmma:e4m3:f16",
                           "ada:mma.sync:e5m2.e4m3:f16",  "hopper:mma.sync:f16:f16",
                           "volta:mma.sync:f16:f16",      "blackwell:tcgen05:e5m2.e2m1:f16",
                           "blackwell:mma.sync:e4m3:f32", "hopper:mma.sync:e4m3.e5m2:f16",
                           "cdna1:mfma:f32:f32",          "cdna1:mfma:f16:f32",
                           "cdna1:mfma:bf16:f32",         "cdna2:mfma:f16:f32",
                           "cdna2:mfma:bf16:f32",         "cdna3:mfma:tf32:f32",
                           "cdna3:mfma:f16:f32",          "cdna3:mfma:e4m3fnuz.e5m2fnuz:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const int m = r.Between(0, 35) * 2 + 1, n = r.Between(0, 35) * 2 + 1;
      const int k = r.Between(0, 35) * 2 + 1;
      const MatrixCase x = DrawMatrix(r, row.spec, m, n, k, Pattern::kNormal);
      const std::vector<uint32_t> want = ExpectedProduct(row.spec, x);
      for (Layout layout : {Layout::kRowMajor, Layout::kTransposed}) {
        ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, layout, packed), want));
      }
    }
  }
}

// Sums longer than the part of B that stays in the cache: c waits in memory between two parts.
TEST_P(Lanes, CarryCFromPartToPart) {
  test::Random r(24);
  sim::PackedB packed;
  for (const char* name :
       {"hopper:wgmma:e4m3:f32", "ada:mma.sync:e5m2:f16", "blackwell:tcgen05:e4m3:f32",
        "hopper:mma.sync:bf16:f32", "hopper:mma.sync:e4m3:f32", "volta:mma.sync:f16:f16",
        "ampere:mma.sync:tf32:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    const MatrixCase x = DrawMatrix(r, row.spec, 5, 35, 1500 + r.Between(0, 9), Pattern::kNormal);
    const std::vector<uint32_t> want = ExpectedProduct(row.spec, x);
    for (Layout layout : {Layout::kRowMajor, Layout::kTransposed}) {
      ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, layout, packed), want));
    }
  }
}

// A late c comes after two groups, which no part of k may separate; here 25 of them would fit.
TEST_P(Lanes, KeepTheHalvesOfAnInstructionTogether) {
  test::Random r(25);
  sim::PackedB packed;
  sim::ArchRow row = test::Row("hopper:mma.sync:e4m3:f32");
  row.spec.group = 20;
  row.spec.k = 40;
  EXPECT_STREQ(sim::LanePathName(row.spec), GetParam() == HWY_SCALAR ? "integer" : "cut");
  const MatrixCase x = DrawMatrix(r, row.spec, 5, 19, 1100, Pattern::kNormal);
  ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, Layout::kRowMajor, packed),
                        ExpectedProduct(row.spec, x)));
}

// One Inf or NaN, in each place of A and of B, beside each kind of c.
TEST_P(Lanes, SendSpecialsAnywhereToTheIntegers) {
  test::Random r(22);
  sim::PackedB packed;
  // +0, -0, smallest subnormal, largest subnormal, smallest normal, all bits 1, largest, Inf, NaN.
  constexpr uint32_t kFloats[] = {0x0000'0000, 0x8000'0000, 0x0000'0001, 0x807F'FFFF, 0x0080'0000,
                                  0x3FFF'FFFF, 0xFF7F'FFFF, 0x7F80'0000, 0xFF80'0000, 0xFFC0'0001};
  constexpr uint32_t kHalves[] = {0x0000, 0x8000, 0x0001, 0x83FF, 0x0400,
                                  0x3FFF, 0xFBFF, 0x7C00, 0xFC00, 0xFE01};
  for (const char* name :
       {"hopper:wgmma:e5m2:f32", "ada:mma.sync:e4m3:f32", "blackwell:tcgen05:e4m3.e5m2:f32",
        "hopper:mma.sync:bf16:f32", "ampere:mma.sync:tf32:f32", "hopper:wgmma:e5m2:f16",
        "ampere:mma.sync:f16:f16", "blackwell:mma.sync:e5m2:f32", "hopper:mma.sync:e4m3:f16",
        "cdna1:mfma:f32:f32", "cdna1:mfma:f16:f32", "cdna2:mfma_1k:bf16:f32", "cdna3:mfma:bf16:f32",
        "cdna3:mfma:e5m2fnuz:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    const auto& addends = row.spec.acc == fp8::kFP16 ? kHalves : kFloats;
    const int k = 2 * row.spec.group;
    for (int place = 0; place < 2 * k; ++place) {
      MatrixCase x =
          DrawMatrix(r, row.spec, 5, 19, k, r.OneIn(2) ? Pattern::kNormal : Pattern::kZeros);
      for (uint32_t& c : x.c) c = addends[r.Below(static_cast<uint32_t>(std::size(addends)))];
      const auto at = static_cast<size_t>(place % k);
      if (place < k) {
        x.a[r.Below(5)][at] = static_cast<uint32_t>(test::SpecialCode(r, row.spec.a));
      } else {
        x.b[r.Below(19)][at] = static_cast<uint32_t>(test::SpecialCode(r, row.spec.b));
      }
      ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, Layout::kRowMajor, packed),
                            ExpectedProduct(row.spec, x)));
    }
  }
}

// All products largest and of one sign, c beside them: sums of 32 and 33 bits, and the longest
// carry.
TEST_P(Lanes, HoldTheLargestSums) {
  sim::PackedB packed;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!sim::HasMatrixProduct(row.spec)) continue;
    const sim::AccumSpec& s = row.spec;
    const auto code = [&](fp8::Format f, bool negative) {  // all mantissa bits set, exponent 0
      const uint64_t field = static_cast<uint64_t>(f.bias);
      return static_cast<uint32_t>(test::MakeCode(f, negative, field, ~uint64_t{0}));
    };
    MatrixCase x;
    x.what = "largest sums";
    const auto k = static_cast<size_t>(s.k);
    for (bool negative : {false, true}) x.a.emplace_back(k, code(s.a, negative));
    x.a.push_back(x.a[0]);
    x.a[2].back() = code(s.a, true);
    for (bool negative : {false, true}) x.b.emplace_back(k, code(s.b, negative));
    for (int extra = -2; extra <= 2; ++extra) {
      x.c.clear();
      for (size_t i = 0; i < 6; ++i) {
        const auto field = static_cast<uint64_t>(s.acc.bias + extra);
        x.c.push_back(
            static_cast<uint32_t>(test::MakeCode(s.acc, i % 2 != 0, field, ~uint64_t{0})));
      }
      ASSERT_TRUE(
          SameWords(row, x, LaneProduct(s, x, Layout::kTransposed, packed), ExpectedProduct(s, x)));
    }
  }
}

// Where c comes last, t + c is one rounding: t as far below c as 24 bits reach and farther, ties,
// carries, cancellation, subnormal and overflowing sums.
TEST_P(Lanes, AddLateOnce) {
  test::Random r(25);
  sim::PackedB packed;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (row.spec.flow != sim::Flow::kInterleavedLateC) continue;
    for (int repeat = 0; repeat < 8; ++repeat) {
      MatrixCase x = DrawMatrix(r, row.spec, 9, 32, r.Between(1, 5), Pattern::kFinite);
      x.what = "late c";
      for (uint32_t& c : x.c) {
        c = static_cast<uint32_t>(test::AddendWord(r, row.spec.acc, r.Between(-32, 32)));
        if (r.OneIn(4)) c &= ~uint32_t{0x1FF};  // ends far above its last place
      }
      ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, Layout::kRowMajor, packed),
                            ExpectedProduct(row.spec, x)));
    }
  }
}

// FP16 products far below FP16's range, under an e_zero that reaches there: a unit that no row of
// the table has.
TEST_P(Lanes, RoundWhatLiesFarBelowFp16ToZero) {
  sim::PackedB packed;
  sim::ArchRow row = test::Row("hopper:mma.sync:f16:f16");
  row.spec.e_zero = -100;
  EXPECT_STREQ(sim::LanePathName(row.spec), GetParam() == HWY_SCALAR ? "integer" : "cut");
  MatrixCase x;
  x.what = "far below";
  for (uint32_t code : {0x0001, 0x0003, 0x0400, 0x0FFF, 0x3C01}) {
    for (uint32_t sign : {0x0000, 0x8000}) {
      x.a.push_back({sign | code, 0x0001});
      x.b.push_back({0x0002, 0x8000 | code});
    }
  }
  x.c.assign(x.a.size() * x.b.size(), 0);
  ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, Layout::kTransposed, packed),
                        ExpectedProduct(row.spec, x)));
}

// Formats and parameters that no row of the table has: FP4, FP6, FNUZ, other F, other e_zero, other
// lengths of an interleaved instruction.
TEST_P(Lanes, EqualTheIntegersOnUnitsOutsideTheTable) {
  test::Random r(23);
  sim::PackedB packed;
  const fp8::Format formats[] = {fp8::kE2M1, fp8::kE2M3, fp8::kE3M2, fp8::kE4M3FNUZ, fp8::kE5M2FNUZ,
                                 fp8::kE3M4, fp8::kE4M3, fp8::kFP16, fp8::kBF16};
  std::map<std::string, int> count;
  for (int repeat = 0; repeat < 500; ++repeat) {
    sim::ArchRow row = test::Row("blackwell:tcgen05:e4m3:f32");
    row.spec.a = formats[r.Below(std::size(formats))];
    row.spec.b = formats[r.Below(std::size(formats))];
    row.spec.group = 4 << r.Below(4);
    row.spec.k = row.spec.group << r.Below(2);
    row.spec.fraction_bits = r.OneIn(3) ? 13 : r.Between(20, 26);
    if (row.spec.fraction_bits == 13) row.spec.out = sim::kE8M13;
    row.spec.e_zero = r.OneIn(2) ? -133 : r.Between(-160, -60);
    if (r.OneIn(2)) {
      row.spec.acc = row.spec.out = fp8::kFP16;
      row.spec.rounding = fp8::Rounding::kNearestEven;
      row.spec.e_zero = r.OneIn(2) ? -21 : r.Between(-60, 10);
    }
    // Defined for operands that are FP16 numbers.
    const int lowest = std::min(fp8::MinExponent(row.spec.a), fp8::MinExponent(row.spec.b));
    if (lowest >= fp8::MinExponent(fp8::kFP16) && row.spec.k == 2 * row.spec.group && r.OneIn(2)) {
      row.spec.flow = sim::Flow::kInterleavedLateC;
      count["late"] += std::string("cut") == sim::LanePathName(row.spec);
    }
    ++count[sim::LanePathName(row.spec)];
    const auto pattern = static_cast<Pattern>(r.Below(test::kPatternCount));
    const MatrixCase x =
        DrawMatrix(r, row.spec, r.Between(1, 6), r.Between(1, 20), r.Between(1, 70), pattern);
    ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, Layout::kTransposed, packed),
                          ExpectedProduct(row.spec, x)))
        << "a E" << int{row.spec.a.exponent_bits} << 'M' << int{row.spec.a.mantissa_bits} << ", b E"
        << int{row.spec.b.exponent_bits} << 'M' << int{row.spec.b.mantissa_bits} << ", L "
        << row.spec.group << ", F " << row.spec.fraction_bits << ", e_zero " << row.spec.e_zero;
  }
  if (GetParam() == HWY_SCALAR) return;
  EXPECT_EQ(count["bytes"] > 0, GetParam() <= HWY_AVX3_DL);
  EXPECT_GT(count["cut"], 60);
  EXPECT_GT(count["late"], 10);
  EXPECT_GT(count["wide"], 10);
}

// Packed on each instruction set, multiplied on each: where the other lacks the form, by the
// integers.
void ExpectSameWordsOnEveryPair(const sim::ArchRow& row, const MatrixCase& x) {
  const std::vector<uint32_t> want = ExpectedProduct(row.spec, x);
  const int64_t m = x.m(), n = x.n(), k = x.k();
  test::StoredMatrix a(row.spec.a, m, k, 0), b(row.spec.b, n, k, 0);
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t i = 0; i < m; ++i) a.Set(i, p, x.a[size_t(i)][size_t(p)]);
    for (int64_t j = 0; j < n; ++j) b.Set(j, p, x.b[size_t(j)][size_t(p)]);
  }
  for (int64_t packs : test::Targets()) {
    sim::PackedB packed, later;
    {
      const test::ForcedTarget forced(packs);
      packed.PackTransposed(row.spec, b.View());
      later.PackTransposed(row.spec, b.View(), sim::Packing::kLater);
    }
    for (int64_t multiplies : test::Targets()) {
      const test::ForcedTarget forced(multiplies);
      for (const sim::PackedB* with : {&packed, &later}) {
        std::vector<uint32_t> c = x.c;
        sim::MultiplyAccumulate(row.spec, a.View(), *with, {c.data(), m, n});
        ASSERT_TRUE(SameWords(row, x, c, want)) << "packed on " << hwy::TargetName(packs);
      }
    }
  }
}

TEST(LanesLayout, ServesEveryInstructionSet) {
  test::Random r(24);
  for (const char* name :
       {"hopper:wgmma:e4m3:f32", "hopper:mma.sync:tf32:f32", "hopper:mma.sync:e4m3:f16",
        "cdna3:mfma:f32:f32", "cdna1:mfma:f16:f32", "cdna2:mfma:f16:f32", "cdna3:mfma:f16:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    ExpectSameWordsOnEveryPair(row, DrawMatrix(r, row.spec, 3, 21, 40, Pattern::kRawBits));
  }
}

// Beside a late c an E4M3 subnormal has the exponent of the FP16 number it becomes: 2^15 * 2^-9
// lets 2^-17 pass. A unit that no row of the table has; those with FP8 alone cannot tell.
TEST(LanesLayout, LiftsSubnormalsOnEveryInstructionSet) {
  sim::ArchRow row = test::Row("hopper:mma.sync:e4m3:f32");
  row.spec.a = fp8::kFP16;
  MatrixCase x;
  x.what = "subnormal of B is largest";
  x.a = {{0x7800, 0x2001}};
  x.b = {{0x01, 0x38}};
  x.c = {0};
  ASSERT_EQ(ExpectedProduct(row.spec, x)[0], 0x4280'0401u);  // 2^6 + 2^-7 + 2^-17
  ExpectSameWordsOnEveryPair(row, x);
}

// Which machines have lanes at all: a plan that silently fell back would still be right, and slow.
TEST_P(Lanes, ServeTheMachinesTheyClaim) {
  const bool vectors = GetParam() != HWY_SCALAR, bytes = GetParam() <= HWY_AVX3_DL;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!sim::HasMatrixProduct(row.spec)) continue;
    const sim::Flow flow = row.spec.flow;
    const char* want = sim::AddsCLate(flow)                                    ? "late floor"
                       : flow == sim::Flow::kExact && row.spec.group > 1       ? "double"
                       : flow == sim::Flow::kExact || flow == sim::Flow::kTree ? "float"
                       : !vectors                                              ? "integer"
                       : row.spec.a == fp8::kBF16 || row.spec.a == fp8::kTF32  ? "wide"
                       : row.spec.fraction_bits == 13 && bytes                 ? "bytes"
                                                                               : "cut";
    EXPECT_STREQ(sim::LanePathName(row.spec), want) << test::Name(row);
    // Nor does the least e_zero that a source claims take them away.
    sim::AccumSpec other = row.spec;
    if (!sim::AddsCLate(flow) && flow != sim::Flow::kExact && flow != sim::Flow::kTree) {
      other.e_zero = -133;
    }
    EXPECT_STREQ(sim::LanePathName(other), want) << test::Name(row);
  }
}

}  // namespace
}  // namespace lostbits
