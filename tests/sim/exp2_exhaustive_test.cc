// Every float: the correctly rounded 2^x, scalar and in lanes, against long double and, near
// midpoints, 330 bits; and the largest error of the polynomial.
#include <gtest/gtest.h>

#include <atomic>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <vector>

#include "sim/exp2.h"
#include "sim/softmax_lanes.h"
#include "tests/sim/exp2_reference.h"

namespace lostbits::test {
namespace {

using fp8::BitCast;

TEST(Exp2ExhaustiveTest, AllFloats) {
  constexpr int64_t kChunks = 1 << 12;
  constexpr int kChunk = 1 << 20;
  std::atomic<int64_t> wrong{0}, hard{0};
  std::atomic<uint32_t> first_wrong{0};
  double worst = 0;
  uint32_t worst_input = 0;
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t chunk = 0; chunk < kChunks; ++chunk) {
    double chunk_worst = 0;
    uint32_t chunk_input = 0;
    // The lanes, on the same inputs: 2^(x * 1 - 0).
    const sim::SoftmaxParams plain{{false}, sim::Exp2Model::kCorrectlyRounded, nullptr, {}, 1, 8};
    std::vector<float> lanes(kChunk);
    for (int64_t i = 0; i < kChunk; ++i)
      lanes[static_cast<size_t>(i)] = BitCast<float>(static_cast<uint32_t>(chunk * kChunk + i));
    sim::SoftmaxProbabilityLanes(plain, 0, lanes.data(), kChunk);
    for (int64_t i = chunk * kChunk; i < (chunk + 1) * kChunk; ++i) {
      const auto bits = static_cast<uint32_t>(i);
      const auto x = BitCast<float>(bits);
      const Exp2Reference want = Exp2Nearest(x);
      if (want.hard) ++hard;
      const float lane = lanes[static_cast<size_t>(i - chunk * kChunk)];
      if (BitCast<uint32_t>(sim::Exp2CorrectlyRounded(x)) != want.word ||
          BitCast<uint32_t>(lane) != want.word) {
        ++wrong;
        first_wrong = bits;
      }
      const float polynomial = sim::Exp2Polynomial(x);
      if (want.value < 0x1p-126) {
        // Specials and results below half a subnormal agree; subnormal results may differ by one.
        const uint32_t got = BitCast<uint32_t>(polynomial);
        if (got != want.word && (want.value == 0 || got + 1 < want.word || got > want.word + 1)) {
          ++wrong;
          first_wrong = bits;
        }
        continue;
      }
      const double ulp = std::ldexp(1.0, std::ilogb(want.value) - 23);
      const double error = std::abs(static_cast<double>(polynomial) - want.value) / ulp;
      if (error > chunk_worst) {
        chunk_worst = error;
        chunk_input = bits;
      }
    }
#pragma omp critical
    if (chunk_worst > worst) {
      worst = chunk_worst;
      worst_input = chunk_input;
    }
  }
  std::printf("%" PRId64 " inputs decided by 330 bits; polynomial: at most %.4f ulp, at 0x%08X\n",
              hard.load(), worst, worst_input);
  EXPECT_EQ(wrong, 0) << "for example at 0x" << std::hex << first_wrong;
  EXPECT_GT(hard, 0);
  EXPECT_LT(worst, 0.8755);
}

}  // namespace
}  // namespace lostbits::test
