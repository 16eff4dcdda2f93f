// 2^x, log2 and tanh on chosen inputs; all 2^32 of them are in exp2_exhaustive_test.cc.
#include "sim/exp2.h"

#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_bin_float.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "sim/random.h"
#include "sim/softmax.h"
#include "sim/softmax_lanes.h"
#include "tests/sim/exp2_reference.h"

namespace lostbits::test {
namespace {

using sim::Random;

using fp8::BitCast;

std::vector<float> Inputs() {
  std::vector<float> x;
  for (uint32_t high = 0; high < 0x1'0000; ++high)
    for (const uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0xffffu, 0x5a3cu})
      x.push_back(BitCast<float>(high << 16 | low));
  Random random(1);
  for (int i = 0; i < 400'000; ++i) x.push_back(static_cast<float>(160 * random.Uniform() - 155));
  for (int i = -160; i <= 130; ++i)  // exact powers and their neighbours
    for (const int step : {-1, 0, 1}) {
      const auto bits = BitCast<int32_t>(static_cast<float>(i));
      x.push_back(BitCast<float>(bits + step));
    }
  return x;
}

TEST(Exp2Test, CorrectlyRounded) {
  for (const float x : Inputs()) {
    const uint32_t got = BitCast<uint32_t>(sim::Exp2CorrectlyRounded(x));
    const uint32_t want = Exp2Nearest(x).word;
    ASSERT_EQ(got, want) << std::hex << "2^x of 0x" << BitCast<uint32_t>(x) << " (" << std::hexfloat
                         << x << "): 0x" << std::hex << got << ", nearest 0x" << want;
  }
}

TEST(Exp2Test, Limits) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sim::Exp2CorrectlyRounded(inf), inf);
  EXPECT_EQ(BitCast<uint32_t>(sim::Exp2CorrectlyRounded(-inf)), 0u);
  EXPECT_EQ(BitCast<uint32_t>(sim::Exp2CorrectlyRounded(-NAN)), 0x7fff'ffffu);
  EXPECT_EQ(sim::Exp2CorrectlyRounded(-149), 0x1p-149f);
  EXPECT_EQ(sim::Exp2CorrectlyRounded(-150), 0);                     // a tie, to even
  EXPECT_EQ(sim::Exp2CorrectlyRounded(-0x1.2bfffep+7f), 0x1p-149f);  // just above it
  EXPECT_EQ(sim::Exp2CorrectlyRounded(128), inf);
  EXPECT_EQ(sim::Exp2CorrectlyRounded(-0.0f), 1);
}

TEST(Exp2Test, FlushToZero) {
  sim::SoftmaxParams p{{true}, sim::Exp2Model::kCorrectlyRounded, nullptr, {}, 1, 8};
  sim::SoftmaxRow row;
  EXPECT_EQ(sim::Exp2(p, &row, -126), 0x1p-126f);
  EXPECT_EQ(BitCast<uint32_t>(sim::Exp2(p, &row, -126.5f)), 0u);
  EXPECT_EQ(sim::Exp2(p, &row, 0x1p-149f), 1);
  p.math.ftz = false;
  EXPECT_GT(sim::Exp2(p, &row, -126.5f), 0);
  const sim::Fp32 ftz{true}, keep{false};
  EXPECT_EQ(BitCast<uint32_t>(ftz.Mul(-0x1p-100f, 0x1p-30f)), 0x8000'0000u);
  EXPECT_EQ(keep.Mul(-0x1p-100f, 0x1p-30f), -0x1p-130f);
  EXPECT_EQ(ftz.Add(0x1p-127f, 0x1p-127f), 0);  // operands go first
}

// All of a tile at once, on the instruction set of this machine.
TEST(Exp2Test, LanesEqualTheScalarPath) {
  const std::vector<float> x = Inputs();
  const auto n = static_cast<int>(x.size()) - 3;  // an odd end
  for (const bool ftz : {true, false})
    for (const bool fused : {true, false})
      for (const float scale : {1.0f, 0.12752f, 0x1.8p-40f}) {
        sim::SoftmaxParams p{{ftz}, sim::Exp2Model::kCorrectlyRounded, nullptr, {}, scale, 8};
        p.fma.p_argument = fused;
        sim::SoftmaxRow row;
        std::vector<float> lanes = x, scalar = x;
        sim::SoftmaxProbabilityLanes(p, scale == 1 ? 0 : -6.37f, lanes.data(), n);
        sim::SoftmaxProbabilities(p, scale == 1 ? 0 : -6.37f, scalar.data(), n, &row);
        for (size_t i = 0; i < x.size(); ++i)
          ASSERT_EQ(BitCast<uint32_t>(lanes[i]), BitCast<uint32_t>(scalar[i]))
              << std::hexfloat << x[i] << ", ftz " << ftz << ", fused " << fused << ", scale "
              << scale;
      }
}

TEST(Exp2Test, PolynomialWithinOneUlp) {
  for (const float x : Inputs()) {
    const Exp2Reference want = Exp2Nearest(x);
    const float got = sim::Exp2Polynomial(x);
    if (std::isnan(x) || x >= 128 || x <= -126) {
      const bool close =
          BitCast<uint32_t>(got) == want.word ||
          (x > -151 && x <= -126 && std::abs(static_cast<double>(got) - want.value) <= 0x1p-149);
      ASSERT_TRUE(close) << std::hexfloat << x << " " << got;
      continue;
    }
    const double ulp = std::ldexp(1.0, std::ilogb(want.value) - 23);
    ASSERT_LT(std::abs(static_cast<double>(got) - want.value), 0.8755 * ulp) << std::hexfloat << x;
  }
}

TEST(Exp2Test, CapturedTable) {
  const uint32_t words[] = {0x3f80'0001, 0x3f80'0002};
  const sim::Exp2Table::Segment segments[] = {{0x3e00'0000, 1, words}, {0xc080'0000, 2, words}};
  const sim::Exp2Table table{segments, 2};
  float y = 0;
  EXPECT_TRUE(table.Find(BitCast<float>(0xc080'0001), &y));
  EXPECT_EQ(BitCast<uint32_t>(y), 0x3f80'0002u);
  EXPECT_FALSE(table.Find(BitCast<float>(0xc080'0002), &y));
  EXPECT_FALSE(table.Find(BitCast<float>(0xc07f'ffff), &y));
}

// The two-double fma equals the library's (hardware's or soft) on operands made to cancel.
TEST(Exp2Test, FusedMultiplyAdd) {
  Random random(3);
  for (int i = 0; i < 2'000'000; ++i) {
    const auto draw = [&] { return BitCast<float>(static_cast<uint32_t>(random.Next() >> 32)); };
    const float a = draw(), b = draw();
    float c = draw();
    if (i % 2 == 0) c = -a * b * (1 + static_cast<float>(random.Between(-3, 3)) * 0x1p-23f);
    if (i % 4 == 1) c = static_cast<float>(random.Normal()) * 0x1p-25f * a * b;
    const float got = sim::FusedMultiplyAdd(a, b, c), want = std::fma(a, b, c);
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got));
      continue;
    }
    ASSERT_EQ(BitCast<uint32_t>(got), BitCast<uint32_t>(want))
        << std::hexfloat << a << " * " << b << " + " << c;
  }
}

using Wide = boost::multiprecision::cpp_bin_float_100;

TEST(Exp2Test, DoublesWithinTheirBounds) {
  Random random(5);
  for (int i = 0; i < 4'000; ++i) {
    const double scale = std::ldexp(1.0, random.Between(-40, 8));
    const double x = random.Normal() * scale;
    const auto relative = [](double got, const Wide& want) {
      return std::abs(static_cast<double>((Wide(got) - want) / want));
    };
    if (std::abs(x) < 1000) {
      ASSERT_LT(relative(sim::Exp2Double(x), exp2(Wide(x))), 0x1p-52) << std::hexfloat << x;
    }
    ASSERT_LT(relative(sim::TanhDouble(x), tanh(Wide(x))), 0x1p-49) << std::hexfloat << x;
    const double y = i % 2 == 0 ? std::abs(x) : 1 + std::ldexp(x, -10) / scale;
    ASSERT_LT(relative(sim::Log2Double(y), log2(Wide(y))), 0x1p-49) << std::hexfloat << y;
  }
  EXPECT_EQ(sim::TanhDouble(0), 0);
  EXPECT_EQ(sim::Log2Double(1), 0);
  EXPECT_EQ(sim::Log2Double(0), -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace lostbits::test
