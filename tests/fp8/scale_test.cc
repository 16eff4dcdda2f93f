#include "fp8/scale.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

static_assert(MaxFinite(kE4M3FN) == 448.0f && MaxFinite(kE2M1) == 6.0f);
static_assert(ScaleToMax(448.0f, kE4M3FN) == 1.0f && ScaleToMax(0.0f, kE4M3FN) == 1.0f);

TEST(Scale, ToMaxPutsTheLargestElementOnTheLargestCode) {
  std::mt19937 generator(1);
  for (const Format f : {kE4M3FN, kE5M2, kE2M1, kE4M3FNUZ}) {
    for (int i = 0; i < 1000; ++i) {
      const float amax = std::ldexp(1.0f + static_cast<float>(generator() % 8'388'608) * 0x1p-23f,
                                    static_cast<int>(generator() % 60) - 30);
      const float scale = ScaleToMax(amax, f);
      EXPECT_EQ(Pack(f, Unpack(amax / scale)).code, MaxMagnitude(f)) << Hex(amax);
    }
  }
}

TEST(Scale, CompressedTensorsHasAFloor) {
  EXPECT_EQ(ScaleCompressedTensors(0.0f, kE4M3FN), 0x1p-23f);
  EXPECT_EQ(ScaleCompressedTensors(896.0f, kE4M3FN), 2.0f);
}

// A bfloat16 scale may lie below amax / 448 by up to 2^-9: then amax itself saturates harmlessly.
TEST(Scale, StoredInBfloat16StillKeepsAmaxBelow464) {
  for (uint32_t i = 0; i < 65'536; ++i) {
    const float amax = 1.0f + static_cast<float>(i) * 0x1p-16f;
    const float scale = Decode<kBF16>(Encode<kBF16>(ScaleToMax(amax, kE4M3FN)));
    ASSERT_EQ(Encode<kE4M3FN>(amax / scale, {.overflow = Overflow::kToSpecial}), 0x7Eu)
        << Hex(amax);
  }
}

// Up: the smallest power of two that keeps amax in range, checked by trying its half.
TEST(PowerOfTwoScale, UpIsTheSmallestThatDoesNotSaturate) {
  for (const Format f : {kE4M3FN, kE5M2, kE2M3, kE3M2, kE2M1}) {
    const double largest = MaxFinite(f);
    std::vector<float> amaxes;
    for (int e = -100; e < 100; ++e) {
      const float x = std::ldexp(MaxFinite(f), e);
      amaxes.insert(amaxes.end(), {x, std::nextafter(x, 0.0f), std::nextafter(x, 1e38f),
                                   std::ldexp(1.0f, e), std::ldexp(1.3f, e)});
    }
    for (const float amax : amaxes) {
      const double scale = std::ldexp(1.0, PowerOfTwoScaleUp(amax, f) - 127);
      ASSERT_LE(amax / scale, largest) << Hex(amax);
      ASSERT_GT(amax / (scale / 2), largest) << Hex(amax);
    }
  }
  EXPECT_EQ(PowerOfTwoScaleUp(0.0f, kE4M3FN), 0);
}

// MX v1.0 section 6.3, by the formula.
TEST(PowerOfTwoScale, MxIsTheFloorOfTheLogarithm) {
  for (const Format f : {kE4M3FN, kE5M2, kE2M3, kE3M2, kE2M1}) {
    const int e_max = std::ilogb(MaxFinite(f));
    for (int e = -100; e < 120; ++e) {
      for (const float x : {1.0f, 1.5f, 1.9999999f}) {
        const float amax = std::ldexp(x, e);
        ASSERT_EQ(PowerOfTwoScaleMx(amax, f) - 127, std::ilogb(amax) - e_max) << Hex(amax);
      }
    }
    EXPECT_EQ(PowerOfTwoScaleMx(0.0f, f), 0);
    EXPECT_EQ(PowerOfTwoScaleMx(0x1p-126f, f), static_cast<uint8_t>(std::max(0, 1 - e_max)));
  }
  EXPECT_EQ(PowerOfTwoScaleMx(500.0f, kE4M3FN), 127);  // scale 1: 500 saturates
  EXPECT_EQ(PowerOfTwoScaleUp(500.0f, kE4M3FN), 128);  // scale 2: it does not
}

TEST(Nvfp4, TheLargestBlockGetsTheLargestBlockScale) {
  for (const float amax : {1.0f, 6.0f, 2688.0f, 0.37f, 1e-4f}) {
    const float tensor = Nvfp4TensorScale(amax);
    EXPECT_EQ(Nvfp4BlockScale(amax, tensor), 0x7E) << Hex(amax);
    EXPECT_EQ(Nvfp4BlockScale(0.0f, tensor), 0x00);
  }
  EXPECT_EQ(Nvfp4TensorScale(2688.0f), 1.0f);
  // A quotient that would vanish: a block of zeros beside it is still no 0 / 0.
  const float least = Nvfp4TensorScale(0x1p-149f);
  EXPECT_EQ(least, 0x1p-149f);
  EXPECT_EQ(Nvfp4BlockScale(0.0f, least), 0x00);
  EXPECT_EQ(ScaleToMax(0x1p-149f, kE4M3FN), 0x1p-149f);
  EXPECT_EQ(Nvfp4BlockScale(6.0f, 1.0f), 0x38);  // 1
}

TEST(ScaleKinds, AreTheSix) {
  ASSERT_EQ(std::size(kScaleKinds), 6u);
  EXPECT_TRUE(kScaleKinds[4].scale == kE8M0 && kScaleKinds[4].cols == 32);
  EXPECT_TRUE(kScaleKinds[5].scale == kE4M3FN && kScaleKinds[5].cols == 16);
}

}  // namespace
}  // namespace lostbits::fp8
