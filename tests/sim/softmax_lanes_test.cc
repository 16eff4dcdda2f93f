// A tile's softmax and the update of O: lanes = the scalar steps of sim/softmax.h, on every
// instruction set.
#include "sim/softmax_lanes.h"

#include <limits>
#include <string>
#include <vector>

#include "sim/random.h"
#include "tests/sim/lanes_case.h"

namespace lostbits::test {
namespace {

using fp8::BitCast;
using sim::SoftmaxParams;
using sim::SoftmaxRow;

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Scores of every kind that decides something: masked, NaN, zeros of both signs, subnormal, equal.
float Score(sim::Random& random, int kind) {
  switch (kind) {
    case 0: return static_cast<float>(8 * random.Normal());
    case 1: return random.OneIn(2) ? -kInf : static_cast<float>(random.Normal());
    case 2: return random.OneIn(3) ? BitCast<float>(sim::kFp32Nan) : random.OneIn(2) ? -0.0f : 0.0f;
    case 3: return BitCast<float>(random.Below(0x0100'0000) | random.Below(2) << 31);
    case 4: return BitCast<float>(static_cast<uint32_t>(random.Next()));
    case 5: return -kInf;
    case 6: return BitCast<float>(sim::kFp32Nan);
    default: return static_cast<float>(200 * random.Normal());
  }
}

void ExpectSameRow(const SoftmaxRow& got, const SoftmaxRow& want, const std::string& where) {
  ASSERT_EQ(BitCast<uint32_t>(got.max), BitCast<uint32_t>(want.max)) << where;
  for (int q = 0; q < 4; ++q)
    ASSERT_TRUE(BitCast<uint32_t>(got.sum[q]) == BitCast<uint32_t>(want.sum[q]) ||
                (sim::IsNan(got.sum[q]) && sim::IsNan(want.sum[q])))  // whose payload shows nowhere
        << where << ", thread " << q << ": " << std::hexfloat << got.sum[q] << ", scalar "
        << want.sum[q];
}

TEST(SoftmaxLanesTest, StepsEqualTheScalarOnes) {
  for (const int64_t target : Targets()) {
    const ForcedTarget forced(target);
    sim::Random random(3);
    for (int run = 0; run < 400; ++run) {
      const bool ftz = random.OneIn(2);
      SoftmaxParams p{{ftz}, sim::Exp2Model::kCorrectlyRounded, nullptr,
                      {},    run % 5 == 0 ? -0.3f : 0.12752f,   random.OneIn(2) ? 8.0f : 0.0f};
      p.fma.p_argument = random.OneIn(2);
      p.fma.max_scaled = random.OneIn(2);
      SoftmaxRow lanes, scalar;
      for (int tile = 0; tile < 4; ++tile) {
        const int n = 8 * random.Between(1, 28), kind = random.Between(0, 7);
        const bool check_inf = tile == 0 || random.OneIn(2);
        std::vector<float> s;
        for (int i = 0; i < n; ++i) s.push_back(Score(random, kind));
        std::vector<float> t = s;
        const float got = SoftmaxStepLanes(p, check_inf, s.data(), n, &lanes);
        const float want = SoftmaxStep(p, check_inf, t.data(), n, &scalar);
        const std::string where = std::string(hwy::TargetName(target)) + ", run " +
                                  std::to_string(run) + ", tile " + std::to_string(tile) +
                                  ", scores " + std::to_string(kind);
        ASSERT_EQ(BitCast<uint32_t>(got), BitCast<uint32_t>(want)) << where;
        for (size_t i = 0; i < s.size(); ++i)
          ASSERT_EQ(BitCast<uint32_t>(s[i]), BitCast<uint32_t>(t[i]))
              << where << ", key " << i << ": " << std::hexfloat << s[i] << ", scalar " << t[i];
        ExpectSameRow(lanes, scalar, where);
      }
    }
  }
}

// 2^x within 2^-44 of a midpoint of two floats, on the side the short polynomial takes for the
// other: nine of the 74 that a search over 2^-27 <= |x| < 256 found.
TEST(SoftmaxLanesTest, PowersNextToAMidpoint) {
  for (const int64_t target : Targets()) {
    const ForcedTarget forced(target);
    for (const uint32_t bits :
         {0x4033'49c8u, 0x40f9'a4e4u, 0x41a6'6939u, 0x41d6'6939u, 0xbe1f'29deu, 0xc0c6'5b1cu,
          0xc133'2d8eu, 0xc1c9'96c7u, 0xc1e9'96c7u}) {
      const SoftmaxParams p{{false}, sim::Exp2Model::kCorrectlyRounded, nullptr, {}, 1, 8};
      std::vector<float> x(16, BitCast<float>(bits));
      SoftmaxProbabilityLanes(p, 0, x.data(), 16);
      const uint32_t want = BitCast<uint32_t>(sim::Exp2CorrectlyRounded(BitCast<float>(bits)));
      for (const float got : x)
        ASSERT_EQ(BitCast<uint32_t>(got), want)
            << hwy::TargetName(target) << std::hex << ", 2^x of 0x" << bits;
    }
  }
}

TEST(SoftmaxLanesTest, UpdateOfARow) {
  for (const int64_t target : Targets()) {
    const ForcedTarget forced(target);
    sim::Random random(5);
    for (int run = 0; run < 300; ++run) {
      const sim::Fp32 math{random.OneIn(2)};
      const bool fused = random.OneIn(2);
      const int n = random.Between(1, 40);
      std::vector<float> o, tile;
      for (int i = 0; i < n; ++i) {
        o.push_back(Score(random, random.Between(0, 7)));
        tile.push_back(Score(random, random.Between(0, 7)));
      }
      const float scale = random.OneIn(4) ? Score(random, 3) : static_cast<float>(random.Uniform());
      std::vector<float> scaled = o, added = o;
      ScaleLanes(math, scale, scaled.data(), n);
      ScaleAndAddLanes(math, fused, scale, tile.data(), added.data(), n);
      const auto expect = [&](float got, float want) {
        if (sim::IsNan(want)) {
          ASSERT_TRUE(sim::IsNan(got));
          return;
        }
        ASSERT_EQ(BitCast<uint32_t>(got), BitCast<uint32_t>(want))
            << hwy::TargetName(target) << ", run " << run << ", ftz " << math.ftz << ", fused "
            << fused;
      };
      for (size_t i = 0; i < o.size(); ++i) {
        expect(scaled[i], math.Mul(o[i], scale));
        expect(added[i], math.MulAdd(fused, o[i], scale, tile[i]));
      }
    }
  }
}

}  // namespace
}  // namespace lostbits::test
