// Every measure of the error report, on cases small enough to work out by hand.
#include "sim/error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace lostbits {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

sim::ErrorReport Report(const std::vector<double>& o, const std::vector<double>& t, int64_t cols,
                        fp8::Format f = fp8::kFP32) {
  const auto rows = static_cast<int64_t>(o.size()) / cols;
  return sim::Compare(sim::MatrixView<const double>(o.data(), rows, cols),
                      sim::MatrixView<const double>(t.data(), rows, cols), f);
}

TEST(Error, EqualMatrices) {
  const auto r = Report({1, -2, 0, 4}, {1, -2, -0.0, 4}, 2);
  EXPECT_EQ(r.finite, 4);
  EXPECT_EQ(r.unequal, 0);
  EXPECT_EQ(r.max_absolute, 0);
  EXPECT_EQ(r.max_relative, 0);
  EXPECT_EQ(r.max_ulp, 0);
  EXPECT_EQ(r.sqnr_db, HUGE_VAL);
  EXPECT_EQ(r.bias, 0);
  EXPECT_EQ(r.gain, 1);
  EXPECT_EQ(r.worst_ulp.row, -1);
  EXPECT_EQ(r.worst_absolute.col, -1);
}

TEST(Error, MeasuresByHand) {
  // e = 0, +1, -0.5, 0; t = 1, 4, 0.5, 3.
  const auto r = Report({1, 5, 0, 3}, {1, 4, 0.5, 3}, 2, fp8::kBF16);
  EXPECT_EQ(r.finite, 4);
  EXPECT_EQ(r.unequal, 2);
  EXPECT_EQ(r.max_absolute, 1);
  EXPECT_EQ(r.worst_absolute.row, 0);
  EXPECT_EQ(r.worst_absolute.col, 1);
  EXPECT_EQ(r.worst_absolute.output, 5);
  EXPECT_EQ(r.worst_absolute.reference, 4);
  EXPECT_EQ(r.max_relative, 1);     // 0.5 / 0.5
  EXPECT_EQ(r.max_ulp, 0.5 * 256);  // ulp(0.5) = 2^-8, beats 1 / 2^-5
  EXPECT_EQ(r.worst_ulp.row, 1);
  EXPECT_EQ(r.worst_ulp.col, 0);
  EXPECT_DOUBLE_EQ(r.sqnr_db, 10 * std::log10(26.25 / 1.25));
  EXPECT_DOUBLE_EQ(r.bias, 0.5 / 8.5);
  EXPECT_DOUBLE_EQ(r.gain, (1 + 20 + 0 + 9) / 26.25);
}

TEST(Error, BiasKeepsItsSignAndUsesMagnitudes) {
  const auto r = Report({0.75, -1.25}, {1, -1}, 2);
  EXPECT_DOUBLE_EQ(r.bias, -0.25);
  EXPECT_DOUBLE_EQ(r.gain, 1);  // 0.75 + 1.25 over 2: the error is orthogonal to t
}

TEST(Error, GainIsTheScaleAlongTheReference) {
  const auto r = Report({0.9, 1.8, -0.9}, {1, 2, -1}, 3);
  EXPECT_DOUBLE_EQ(r.gain, 0.9);
  EXPECT_DOUBLE_EQ(r.sqnr_db, 20);
}

TEST(Error, FirstOfEqualWorstElementsIsNamed) {
  const auto r = Report({2, 1, 2, 1}, {1, 1, 1, 1}, 2);
  EXPECT_EQ(r.worst_absolute.row, 0);
  EXPECT_EQ(r.worst_absolute.col, 0);
  EXPECT_EQ(r.worst_ulp.col, 0);
}

TEST(Error, ZeroReferences) {
  const auto r = Report({0x1p-24, 0}, {0, 0}, 2, fp8::kFP16);
  EXPECT_EQ(r.nonzero_at_zero, 1);
  EXPECT_EQ(r.max_relative, 0);
  EXPECT_EQ(r.max_ulp, 1);  // the smallest subnormal
  EXPECT_EQ(r.sqnr_db, -HUGE_VAL);
  EXPECT_EQ(r.bias, HUGE_VAL);
  EXPECT_TRUE(std::isnan(r.gain));
  EXPECT_EQ(Report({0}, {0}, 1).sqnr_db, HUGE_VAL);
  EXPECT_EQ(Report({0}, {0}, 1).bias, 0);
}

TEST(Error, SpecialsAreCountedApart) {
  const auto r = Report({kNan, kNan, 1, HUGE_VAL, HUGE_VAL, HUGE_VAL, 1, kNan},
                        {kNan, 1, kNan, HUGE_VAL, -HUGE_VAL, 7, 1, HUGE_VAL}, 4);
  EXPECT_EQ(r.equal_specials, 2);
  EXPECT_EQ(r.nan_mismatches, 3);
  EXPECT_EQ(r.inf_mismatches, 2);
  EXPECT_EQ(r.finite, 1);
  EXPECT_EQ(r.unequal, 0);
  EXPECT_EQ(r.sqnr_db, HUGE_VAL);
}

TEST(Error, UlpFollowsTheFormat) {
  EXPECT_EQ(sim::Ulp(fp8::kFP32, 1), 0x1p-23);
  EXPECT_EQ(sim::Ulp(fp8::kFP32, -1.999), 0x1p-23);
  EXPECT_EQ(sim::Ulp(fp8::kFP32, 2), 0x1p-22);
  EXPECT_EQ(sim::Ulp(fp8::kFP32, 0), 0x1p-149);
  EXPECT_EQ(sim::Ulp(fp8::kFP32, 0x1p-140), 0x1p-149);
  EXPECT_EQ(sim::Ulp(fp8::kBF16, 0.75), 0x1p-8);
  EXPECT_EQ(sim::Ulp(fp8::kE4M3FN, 448), 32);
  EXPECT_EQ(sim::Ulp(fp8::kE4M3FN, 600), 64);
}

// A million errors of 2^-60 beside one of 1: a plain sum would lose them all.
TEST(Error, SumsAreCompensated) {
  std::vector<double> o(1'000'001, 0x1p-60), t(1'000'001, 0);
  o[0] = 1;
  t[0] = 1;
  o[1] = 1;  // e = 1
  const auto r = Report(o, t, 1'000'001);
  EXPECT_EQ(r.bias, 1 + 999'999 * 0x1p-60);
}

TEST(Error, FloatsViewsAndShapes) {
  const std::vector<float> o = {1, 99, 2, 99};
  const std::vector<double> t = {1, 77, 3, 77};
  const auto r = sim::Compare(sim::MatrixView<const float>(o.data(), 2, 1, 2),
                              sim::MatrixView<const double>(t.data(), 2, 1, 2), fp8::kFP32);
  EXPECT_EQ(r.finite, 2);
  EXPECT_EQ(r.max_absolute, 1);
  EXPECT_EQ(r.worst_absolute.row, 1);
  try {
    sim::Compare(sim::MatrixView<const float>(o.data(), 2, 2),
                 sim::MatrixView<const double>(t.data(), 2, 1), fp8::kFP32);
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(e.what(), "error report: output is 2 x 2, expected the reference's shape 2 x 1");
  }
  EXPECT_EQ(Report({}, {}, 1).finite, 0);
}

}  // namespace
}  // namespace lostbits
