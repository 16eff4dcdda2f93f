// Lanes = integers where each of the floating-point lanes could go wrong: the second rounding of an
// exact sum, subnormals and zeros, the exponents at which late sums leave FP32, settings that no
// row of the table has.
#include <algorithm>
#include <cmath>
#include <string>

#include "sim/arch_check.h"
#include "tests/sim/lanes_case.h"

namespace lostbits {
namespace {

using test::Layout;
using test::MatrixCase;
using test::Pattern;
using test::Random;

class AmdLanes : public ::testing::TestWithParam<int64_t> {
 protected:
  ::testing::AssertionResult Same(const sim::ArchRow& row, const MatrixCase& x) {
    return SameWords(row, x, LaneProduct(row.spec, x, Layout::kTransposed, packed_),
                     ExpectedProduct(row.spec, x));
  }

 private:
  test::ForcedTarget forced_{GetParam()};
  sim::PackedB packed_;
};
INSTANTIATE_TEST_SUITE_P(Every, AmdLanes, ::testing::ValuesIn(test::Targets()),
                         [](const auto& target) { return hwy::TargetName(target.param); });

bool IsAmd(const sim::ArchRow& row) {
  return sim::HasMatrixProduct(row.spec) && std::string(row.arch).starts_with("cdna");
}

// (-1)^negative * 2^exponent, or as near as the format comes.
uint32_t PowerOfTwo(fp8::Format f, int exponent, bool negative) {
  const double x = std::ldexp(negative ? -1 : 1, exponent);
  return static_cast<uint32_t>(test::CodeOf(f, x));
}

// A zero matrix: rows of A and columns of B are then given their few products.
MatrixCase Zeros(const char* what, int m, int n, int k) {
  MatrixCase x;
  x.what = what;
  x.a.assign(static_cast<size_t>(m), std::vector<uint32_t>(static_cast<size_t>(k), 0));
  x.b.assign(static_cast<size_t>(n), std::vector<uint32_t>(static_cast<size_t>(k), 0));
  x.c.assign(static_cast<size_t>(m * n), 0);
  return x;
}

// Product i of every output at about 2^exponent.
void SetProduct(MatrixCase& x, const sim::AccumSpec& s, size_t i, int exponent, bool negative) {
  for (auto& row : x.a) row[i] = PowerOfTwo(s.a, exponent / 2, negative);
  for (auto& column : x.b) column[i] = PowerOfTwo(s.b, exponent - exponent / 2, false);
}

// c + half a unit of its last place, and a product far below that decides the tie.
TEST_P(AmdLanes, RoundAnExactSumOnce) {
  Random r(60);
  for (const char* name : {"cdna1:mfma:f16:f32", "cdna1:mfma:bf16:f32", "cdna1:mfma:f32:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    const bool small = row.spec.a == fp8::kFP16;
    for (int repeat = 0; repeat < 200; ++repeat) {
      MatrixCase x = Zeros("ties", 1, 24, row.spec.group);
      const int e_c = small ? r.Between(-10, 20) : r.Between(-60, 60);
      const int depth = r.Between(1, row.spec.group == 1 ? 0 : 44) + 1;
      SetProduct(x, row.spec, 0, e_c - 24, r.OneIn(2));
      if (row.spec.group > 1) SetProduct(x, row.spec, 1, e_c - 24 - depth, r.OneIn(2));
      for (uint32_t& c : x.c) {
        c = static_cast<uint32_t>(test::CodeWithExponent(r, fp8::kFP32, e_c + r.Between(0, 1)));
        if (r.OneIn(2)) c &= 0xFF80'0000;  // a power of two: half the unit below it
      }
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// Results of an fma or of an exact sum that are subnormal, where FP64 keeps more bits than FP32.
TEST_P(AmdLanes, RoundSubnormalSumsOnce) {
  Random r(61);
  for (const char* name : {"cdna1:mfma:bf16:f32", "cdna2:mfma:f32:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    for (int repeat = 0; repeat < 200; ++repeat) {
      MatrixCase x = Zeros("subnormal", 3, 24, row.spec.group);
      for (size_t i = 0; i < static_cast<size_t>(row.spec.group); ++i) {
        const int e = -126 - r.Between(0, 50);
        for (auto& a : x.a) {
          a[i] = static_cast<uint32_t>(test::CodeWithExponent(r, row.spec.a, e / 2));
        }
        for (auto& b : x.b) {
          b[i] = static_cast<uint32_t>(test::CodeWithExponent(r, row.spec.b, e - e / 2));
        }
      }
      if (row.spec.group > 1 && r.OneIn(2)) {  // half of FP32's last place, and what decides it
        SetProduct(x, row.spec, 0, -150, r.OneIn(2));
        SetProduct(x, row.spec, 1, -182 - r.Between(0, 4), r.OneIn(2));
      }
      for (uint32_t& c : x.c) {
        c = r.OneIn(4) ? 0 : static_cast<uint32_t>(test::CodeWithExponent(r, fp8::kFP32, -127));
      }
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// -2^-200 rounds to +0 in a unit whose underflow has no sign.
TEST_P(AmdLanes, LeaveUnsignedUnderflowToTheIntegers) {
  sim::ArchRow row = test::Row("cdna1:mfma:bf16:f32");
  row.spec.signed_underflow = false;
  MatrixCase x = Zeros("underflow", 2, 20, row.spec.k);
  SetProduct(x, row.spec, x.a[0].size() - 1, -200, true);  // a later group would add +0
  ASSERT_TRUE(Same(row, x));
}

// One huge and one tiny product, with and without the other's negative: FP64 holds no such sum.
TEST_P(AmdLanes, SendSumsThatSpreadTooFarToTheIntegers) {
  Random r(62);
  for (const char* name : {"cdna1:mfma:f16:f32", "cdna1:mfma:bf16:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    for (int repeat = 0; repeat < 100; ++repeat) {
      MatrixCase x = Zeros("spread", 2, 20, row.spec.group);
      const int high = r.Between(6, 12);
      SetProduct(x, row.spec, 0, high, false);
      SetProduct(x, row.spec, 1, high - r.Between(30, 58), r.OneIn(2));
      if (row.spec.group > 2) SetProduct(x, row.spec, 2, high, r.OneIn(2));
      const bool cancels = r.OneIn(2);
      for (uint32_t& c : x.c) {
        c = cancels ? PowerOfTwo(fp8::kFP32, high, true)
                    : static_cast<uint32_t>(test::AddendWord(r, fp8::kFP32, high));
      }
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// Every sign of every zero, in whole and in padded groups; products that cancel.
TEST_P(AmdLanes, GiveZerosTheirSign) {
  Random r(63);
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!IsAmd(row)) continue;
    for (int repeat = 0; repeat < 12; ++repeat) {
      const int k = r.OneIn(2) ? row.spec.k : r.Between(1, 2 * row.spec.k);
      MatrixCase x = Zeros("zeros", 5, 20, k);
      for (auto* side : {&x.a, &x.b}) {
        const fp8::Format f = side == &x.a ? row.spec.a : row.spec.b;
        for (auto& codes : *side) {
          for (uint32_t& code : codes) {
            code = static_cast<uint32_t>(r.OneIn(4) ? test::CodeOf(f, 1) : test::ZeroCode(r, f));
          }
        }
      }
      if (r.OneIn(3)) {  // +0 * -1 in every place
        for (auto& a : x.a) a.assign(a.size(), 0);
        for (auto& b : x.b) b.assign(b.size(), PowerOfTwo(row.spec.b, 0, true));
      }
      for (uint32_t& c : x.c) c = r.OneIn(3) ? 0xBF80'0000 : r.OneIn(2) ? 0x8000'0000 : 0;
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// Products, sums and c on both sides of the smallest normal number, through two instructions: what
// is flushed, and which sign it keeps.
TEST_P(AmdLanes, FlushAtTheBoundary) {
  Random r(64);
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (row.spec.flow != sim::Flow::kTree) continue;
    for (int repeat = 0; repeat < 60; ++repeat) {
      MatrixCase x = Zeros("flush", 4, 20, r.OneIn(2) ? row.spec.group : 2 * row.spec.k);
      const int low = std::max(-126, 2 * fp8::MinExponent(row.spec.a));
      for (auto& a : x.a) {
        for (uint32_t& code : a) {
          code = static_cast<uint32_t>(
              test::CodeWithExponent(r, row.spec.a, low / 2 - r.Between(-1, 1)));
        }
      }
      for (auto& b : x.b) {
        for (uint32_t& code : b) {
          code = static_cast<uint32_t>(
              test::CodeWithExponent(r, row.spec.b, low - low / 2 - r.Between(-1, 1)));
        }
      }
      for (uint32_t& c : x.c) {
        c = static_cast<uint32_t>(test::CodeWithExponent(r, fp8::kFP32, -126 - r.Between(-2, 1)));
      }
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// Largest products where FP32 shows no product below them, and where products turn to Inf; c far
// above and far below.
TEST_P(AmdLanes, CutProductsAtTheEndsOfTheRange) {
  Random r(65);
  for (const char* name : {"cdna3:mfma:bf16:f32", "cdna3:mfma:tf32:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    for (int repeat = 0; repeat < 300; ++repeat) {
      MatrixCase x = Zeros("range", 2, 20, row.spec.group);
      const bool high = r.OneIn(2);
      const int around = high ? 126 : -90;
      for (size_t i = 0; i < x.a[0].size(); ++i) {
        const int e = around - (high ? r.Between(-1, 3) : r.Between(-1, 40));
        for (auto& a : x.a) {
          a[i] = static_cast<uint32_t>(test::CodeWithExponent(r, row.spec.a, e / 2));
        }
        for (auto& b : x.b) {
          b[i] = static_cast<uint32_t>(test::CodeWithExponent(r, row.spec.b, e - e / 2));
        }
      }
      for (uint32_t& c : x.c) {
        c = static_cast<uint32_t>(test::AddendWord(r, fp8::kFP32, around - r.Between(-2, 36)));
      }
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// Sums of both signs against c at every distance: floors, ties, and a c that is gone.
TEST_P(AmdLanes, FloorLateSums) {
  Random r(66);
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!IsAmd(row) || !sim::AddsCLate(row.spec.flow)) continue;
    for (int repeat = 0; repeat < 60; ++repeat) {
      MatrixCase x = DrawMatrix(r, row.spec, 4, 24, row.spec.group,
                                r.OneIn(2) ? Pattern::kEqualExponents : Pattern::kNormal);
      x.what = "late";
      if (r.OneIn(2)) {  // one product, a power of two: exact halves
        x = Zeros("late halves", 4, 24, row.spec.group);
        SetProduct(x, row.spec, r.Below(2), r.Between(-8, 8), r.OneIn(2));
      }
      for (uint32_t& c : x.c) {
        c = static_cast<uint32_t>(test::CodeWithExponent(r, fp8::kFP32, r.Between(-40, 40)));
        if (r.OneIn(4)) c &= 0xFF80'0000;
        if (r.OneIn(4)) c |= 0x0000'0001;
      }
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// One small product beside zeros times large numbers, which set no maximum.
TEST_P(AmdLanes, LetZeroProductsSetNoLateMaximum) {
  Random r(68);
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!IsAmd(row) || !sim::AddsCLate(row.spec.flow)) continue;
    for (int repeat = 0; repeat < 20; ++repeat) {
      MatrixCase x = Zeros("late zeros", 4, 24, row.spec.group);
      const size_t at = r.Below(static_cast<uint32_t>(row.spec.group));
      for (auto& a : x.a) {
        a[at] = static_cast<uint32_t>(test::CodeWithExponent(r, row.spec.a, -20));
      }
      for (auto& b : x.b) {
        for (uint32_t& code : b) {
          code = static_cast<uint32_t>(test::CodeWithExponent(r, row.spec.b, 100));
        }
        b[at] = static_cast<uint32_t>(test::CodeWithExponent(r, row.spec.b, -20));
      }
      for (uint32_t& c : x.c) {
        if (r.OneIn(2)) c = static_cast<uint32_t>(test::CodeWithExponent(r, fp8::kFP32, -50));
      }
      ASSERT_TRUE(Same(row, x));
    }
  }
}

// Settings that no row has. What the lanes cannot do goes to the integers.
TEST_P(AmdLanes, EqualTheIntegersOnUnitsOutsideTheTable) {
  Random r(67);
  const fp8::Format formats[] = {fp8::kFP32, fp8::kTF32,       fp8::kFP16,     fp8::kBF16,
                                 fp8::kE5M2, fp8::kE4M3FNUZ,   fp8::kE5M2FNUZ, fp8::kE4M3FN,
                                 fp8::kE2M1, fp8::kE4M3B11FNUZ};
  const fp8::Rounding roundings[] = {fp8::Rounding::kTowardZero, fp8::Rounding::kDown,
                                     fp8::Rounding::kNearestAway};
  int lanes = 0, integers = 0;
  for (int repeat = 0; repeat < 600; ++repeat) {
    const char* names[] = {"cdna1:mfma:f16:f32", "cdna2:mfma:bf16:f32", "cdna3:mfma:f16:f32",
                           "cdna3:mfma:e4m3fnuz:f32"};
    sim::ArchRow row = test::Row(names[r.Below(4)]);
    sim::AccumSpec& s = row.spec;
    s.a = formats[r.Below(std::size(formats))];
    s.b = formats[r.Below(std::size(formats))];
    s.group = s.flow == sim::Flow::kTree ? 2 << r.Below(2) : 1 << r.Below(6);
    s.k = s.group << r.Below(2);
    if (s.flow == sim::Flow::kTree) s.flush = r.OneIn(2);
    if (sim::AddsCLate(s.flow)) {
      s.fraction_bits = r.Between(22, 28);
      s.sum_bits = s.fraction_bits + r.Between(0, 22);
      s.final_bits = r.OneIn(3) ? 0 : r.Between(23, 45);
      s.e_zero = r.OneIn(2) ? -126 : r.Between(-200, 140);
    }
    if (r.OneIn(8)) s.signed_underflow = false;
    if (r.OneIn(8)) s.rounding = roundings[r.Below(std::size(roundings))];
    if (!sim::WhyNoMachine(s).empty()) continue;
    (std::string("integer") == sim::LanePathName(s) ? integers : lanes) += 1;
    const auto pattern = static_cast<Pattern>(r.Below(test::kPatternCount));
    const MatrixCase x =
        DrawMatrix(r, s, r.Between(1, 9), r.Between(1, 20), r.Between(1, 70), pattern);
    ASSERT_TRUE(Same(row, x)) << "a E" << int{s.a.exponent_bits} << 'M' << int{s.a.mantissa_bits}
                              << ", b E" << int{s.b.exponent_bits} << 'M' << int{s.b.mantissa_bits}
                              << ", " << sim::FlowName(s.flow) << ", L " << s.group << ", F "
                              << s.fraction_bits << ", sum_bits " << s.sum_bits << ", final_bits "
                              << s.final_bits << ", e_zero " << s.e_zero
                              << (s.flush ? ", flush" : "");
  }
  EXPECT_GT(lanes, 200);
  EXPECT_GT(integers, 50);
}

}  // namespace
}  // namespace lostbits
