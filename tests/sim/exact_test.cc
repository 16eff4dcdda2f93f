// The exact oracle: sums by hand, the definition of a correctly rounded result checked with exact
// integers, specials, and matrices.
#include "sim/exact.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <vector>

#include "sim/accum.h"
#include "sim/spec.h"
#include "tests/support/generator.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

using boost::multiprecision::cpp_int;
using fp8::Format;

/// x * 2^1200 exactly. x is finite and a multiple of 2^-1074.
cpp_int Scaled(double x) {
  int exponent;
  const double fraction = std::frexp(x, &exponent);
  cpp_int out = static_cast<int64_t>(std::ldexp(fraction, 53));
  const int shift = exponent - 53 + 1200;
  return shift >= 0 ? cpp_int(out << shift) : cpp_int(out >> -shift);
}

/// Says whether `rounded` is `exact` (times 2^1200) rounded to nearest even in T.
template <class T>
::testing::AssertionResult IsNearestEven(const cpp_int& exact, T rounded) {
  if (exact == 0) {
    if (rounded == 0 && !std::signbit(rounded)) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "expected +0, got " << rounded;
  }
  if (std::signbit(rounded) != (exact < 0))
    return ::testing::AssertionFailure() << "wrong sign: " << rounded;
  const T infinity = std::numeric_limits<T>::infinity();
  const cpp_int size = abs(exact);
  const T magnitude = std::abs(rounded);
  // Inf stands for the number after the largest one.
  const auto value = [&](T x) {
    if (!std::isinf(x)) return Scaled(static_cast<double>(x));
    return cpp_int(cpp_int(1) << (1200 + std::numeric_limits<T>::max_exponent));
  };
  const cpp_int here = value(magnitude);
  const cpp_int distance = abs(cpp_int(size - here));
  uint64_t bits = 0;
  std::memcpy(&bits, &magnitude, sizeof magnitude);
  const bool odd = bits % 2 == 1;
  for (T next : {std::nextafter(magnitude, T{0}), std::nextafter(magnitude, infinity)}) {
    if (next == magnitude) continue;  // beyond Inf, below 0
    const cpp_int other = abs(cpp_int(size - value(next)));
    if (std::isinf(magnitude) && size >= here) break;
    if (other < distance || (other == distance && odd))
      return ::testing::AssertionFailure() << rounded << " is not nearest: " << next << " is";
  }
  return ::testing::AssertionSuccess();
}

void ExpectExact(Format fa, Format fb, const test::DotCase& dot) {
  cpp_int exact = 0;
  double special = 0;
  const auto add = [&](double x, double y) {
    if (!std::isfinite(x) || !std::isfinite(y)) {
      special += x * y;
    } else {
      exact += (Scaled(x) * Scaled(y)) >> 1200;  // both are multiples of 2^-149
    }
  };
  for (size_t i = 0; i < dot.a.size(); ++i)
    add(sim::spec::Value(fa, dot.a[i]), sim::spec::Value(fb, dot.b[i]));
  add(sim::spec::Value(fp8::kFP32, dot.c), 1);
  const std::vector<uint32_t> a(dot.a.begin(), dot.a.end()), b(dot.b.begin(), dot.b.end());
  const auto n = static_cast<int64_t>(a.size());
  const auto c = static_cast<uint32_t>(dot.c);
  const uint64_t word64 = sim::ExactDot(fa, a.data(), fb, b.data(), n, fp8::kFP32, c, fp8::kFP64);
  const auto word32 = static_cast<uint32_t>(
      sim::ExactDot(fa, a.data(), fb, b.data(), n, fp8::kFP32, c, fp8::kFP32));
  const double in64 = fp8::BitCast<double>(word64);
  const float in32 = fp8::BitCast<float>(word32);
  if (special != 0) {
    if (std::isnan(special)) {
      ASSERT_EQ(test::Hex(word64, 16), "7FFFFFFFFFFFFFFF");
      ASSERT_EQ(test::Hex(word32), "7FFFFFFF");
    } else {
      ASSERT_EQ(in64, special);
      ASSERT_EQ(static_cast<double>(in32), special);
    }
    return;
  }
  ASSERT_TRUE(IsNearestEven(exact, in64)) << test::Name(dot.pattern);
  ASSERT_TRUE(IsNearestEven(exact, in32)) << test::Name(dot.pattern);
}

TEST(ExactDot, RoundsTheExactSumOnce) {
  const std::pair<Format, Format> pairs[] = {
      {fp8::kE4M3FN, fp8::kE4M3FN}, {fp8::kE4M3FN, fp8::kE5M2}, {fp8::kE5M2, fp8::kE5M2},
      {fp8::kFP16, fp8::kFP16},     {fp8::kBF16, fp8::kBF16},   {fp8::kTF32, fp8::kTF32},
      {fp8::kFP32, fp8::kFP32},     {fp8::kE2M1, fp8::kE8M0},   {fp8::kFP32, fp8::kE4M3FNUZ}};
  test::Random r(5);
  for (const auto& [fa, fb] : pairs) {
    for (int i = 0; i < 1000; ++i) {
      const test::DotCase dot = test::GenerateDot(r, fa, fb, fp8::kFP32, r.Between(0, 40));
      ASSERT_NO_FATAL_FAILURE(ExpectExact(fa, fb, dot))
          << "case " << i << ": " << test::DotLine(fa, fb, fp8::kFP32, dot.a, dot.b, dot.c);
    }
  }
}

TEST(ExactDot, ByHand) {
  // 448 * 448 + 2^-9 * 2^-9: 18 + 18 bits apart, kept in double, lost in float.
  const uint32_t a[] = {0x7E, 0x01}, b[] = {0x7E, 0x01};
  EXPECT_EQ(sim::ExactDotDouble(fp8::kE4M3FN, a, fp8::kE4M3FN, b, 2), 200704.0 + 0x1p-18);
  EXPECT_EQ(sim::ExactDotFloat(fp8::kE4M3FN, a, fp8::kE4M3FN, b, 2), 200704.0f);
  // 2^127 * 2^127 - 2^127 * 2^127 + 2^-149 * 1 cancels to the smallest number.
  const uint32_t c[] = {0x7F00'0000, 0xFF00'0000, 0x0000'0001};
  const uint32_t d[] = {0x7F00'0000, 0x7F00'0000, 0x3F80'0000};
  EXPECT_EQ(sim::ExactDotFloat(fp8::kFP32, c, fp8::kFP32, d, 3), 0x1p-149f);
  EXPECT_EQ(sim::ExactDotFloat(fp8::kFP32, c, fp8::kFP32, d, 1), HUGE_VALF);
  // A tie that anything below it breaks: 1 + 2^-24 + 2^-200.
  const uint32_t e[] = {0x3F80'0000, 0x3F80'0000, 0x0D80'0000};
  const uint32_t f[] = {0x3F80'0000, 0x3380'0000, 0x0D80'0000};
  EXPECT_EQ(sim::ExactDotFloat(fp8::kFP32, e, fp8::kFP32, f, 2), 1.0f);
  EXPECT_EQ(sim::ExactDotFloat(fp8::kFP32, e, fp8::kFP32, f, 3), 1.0f + 0x1p-23f);
  // Underflow keeps the sign, an exact zero is +0.
  const uint32_t g[] = {0x8000'0001}, h[] = {0x0000'0001}, zero[] = {0};
  EXPECT_TRUE(std::signbit(sim::ExactDotFloat(fp8::kFP32, g, fp8::kFP32, h, 1)));
  EXPECT_FALSE(std::signbit(sim::ExactDotFloat(fp8::kFP32, g, fp8::kFP32, zero, 1)));
  EXPECT_EQ(sim::ExactDot(fp8::kE4M3FN, nullptr, fp8::kE4M3FN, nullptr, 0, fp8::kFP16, 0x3C01,
                          fp8::kFP16),
            0x3C01u);
}

// Operands that just fit 62 bits each: the sum of 32 of their products does not fit 128.
TEST(ExactDot, WidthsAddUp) {
  constexpr uint32_t kBig = 0x5E7F'FFFF, kOne = 0x3F80'0000;  // (2^24 - 1) * 2^38
  std::vector<uint32_t> a(32, kBig);
  a.push_back(kOne);
  const double big = fp8::BitCast<float>(kBig);
  EXPECT_EQ(sim::ExactDotDouble(fp8::kFP32, a.data(), fp8::kFP32, a.data(), 33), 32 * (big * big));
}

TEST(ExactDot, RefusesWhatItCannotHold) {
  const uint32_t x[] = {0};
  EXPECT_THROW(sim::ExactDotDouble(fp8::kFP64, x, fp8::kFP32, x, 1), std::invalid_argument);
  EXPECT_THROW(sim::ExactDot(fp8::kFP32, x, fp8::kFP32, x, 1, fp8::kFP32, 0, fp8::kE4M3FN),
               std::invalid_argument);
}

/// A matrix of random codes, one byte or two each.
template <class T>
std::vector<T> RandomCodes(test::Random& r, Format f, size_t count) {
  std::vector<T> out(count);
  for (T& x : out) x = static_cast<T>(r.OneIn(50) ? test::RawCode(r, f) : test::NormalCode(r, f));
  return out;
}

template <class T>
void ExpectGemm(Format f) {
  constexpr int64_t kM = 9, kK = 70, kN = 7, kPad = 3;
  test::Random r(6);
  const std::vector<T> a = RandomCodes<T>(r, f, kM * (kK + kPad));
  const std::vector<T> b = RandomCodes<T>(r, f, kK * (kN + kPad));
  std::vector<T> bt(kN * kK);
  for (int64_t k = 0; k < kK; ++k) {
    for (int64_t j = 0; j < kN; ++j)
      bt[static_cast<size_t>(j * kK + k)] = b[static_cast<size_t>(k * (kN + kPad) + j)];
  }
  const sim::CodeView va{a.data(), f, kM, kK, kK + kPad}, vb{b.data(), f, kK, kN, kN + kPad},
      vbt{bt.data(), f, kN, kK, kK};
  std::vector<double> out(kM * kN), out_t(kM * kN);
  std::vector<float> single(kM * kN), single_t(kM * kN);
  sim::ExactGemm(va, vb, sim::MatrixView<double>(out.data(), kM, kN));
  sim::ExactGemmTransposed(va, vbt, sim::MatrixView<double>(out_t.data(), kM, kN));
  sim::ExactGemm(va, vb, sim::MatrixView<float>(single.data(), kM, kN));
  sim::ExactGemmTransposed(va, vbt, sim::MatrixView<float>(single_t.data(), kM, kN));
  for (int64_t i = 0; i < kM; ++i) {
    for (int64_t j = 0; j < kN; ++j) {
      std::vector<uint32_t> x, y;
      for (int64_t k = 0; k < kK; ++k) {
        x.push_back(va(i, k));
        y.push_back(vb(k, j));
      }
      const size_t at = static_cast<size_t>(i * kN + j);
      const double expected = sim::ExactDotDouble(f, x.data(), f, y.data(), kK);
      const float expected_single = sim::ExactDotFloat(f, x.data(), f, y.data(), kK);
      const auto equal = [](auto u, auto v) { return u == v || (std::isnan(u) && std::isnan(v)); };
      for (double got : {out[at], out_t[at]})
        EXPECT_TRUE(equal(got, expected)) << i << "," << j << ": " << got << " " << expected;
      for (float got : {single[at], single_t[at]}) {
        EXPECT_TRUE(equal(got, expected_single))
            << i << "," << j << ": " << got << " " << expected_single;
      }
    }
  }
}

TEST(ExactGemm, EqualsDotProducts) {
  ExpectGemm<uint8_t>(fp8::kE4M3FN);
  ExpectGemm<uint8_t>(fp8::kE5M2);
  ExpectGemm<uint16_t>(fp8::kFP16);
  ExpectGemm<uint16_t>(fp8::kBF16);
  ExpectGemm<uint32_t>(fp8::kFP32);
}

TEST(ExactGemm, AnyThreadCountGivesTheSameBits) {
  constexpr int64_t kM = 33, kK = 64, kN = 29;
  test::Random r(7);
  const auto a = RandomCodes<uint8_t>(r, fp8::kE4M3FN, kM * kK);
  const auto b = RandomCodes<uint8_t>(r, fp8::kE4M3FN, kK * kN);
  const auto run = [&](int threads) {
    std::vector<double> out(kM * kN);
    const int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    sim::ExactGemm({a.data(), fp8::kE4M3FN, kM, kK, kK}, {b.data(), fp8::kE4M3FN, kK, kN, kN},
                   sim::MatrixView<double>(out.data(), kM, kN));
    omp_set_num_threads(before);
    std::vector<uint64_t> bits;
    for (double x : out) bits.push_back(fp8::BitCast<uint64_t>(x));
    return bits;
  };
  EXPECT_EQ(run(1), run(5));
}

TEST(ExactGemm, RefusesShapesThatDoNotFit) {
  const uint8_t x[64] = {};
  double out[64];
  const auto f = fp8::kE4M3FN;
  EXPECT_THROW(sim::ExactGemm({x, f, 2, 3, 3}, {x, f, 4, 2, 2}, sim::MatrixView<double>(out, 2, 2)),
               std::invalid_argument);
  EXPECT_THROW(sim::ExactGemm({x, f, 2, 3, 3}, {x, f, 3, 2, 2}, sim::MatrixView<double>(out, 3, 2)),
               std::invalid_argument);
  try {
    sim::ExactGemmTransposed({x, f, 2, 3, 3}, {x, f, 3, 2, 2}, sim::MatrixView<double>(out, 2, 3));
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(
        e.what(),
        "exact GEMM: a is 2 x 3, b is 2 x 3, expected out 2 x 3 and equal K, got out 2 x 3");
  }
}

}  // namespace
}  // namespace lostbits
