#include "fp8/block_scale.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

constexpr int64_t kRows = 140, kCols = 300, kHead = 100;  // multiples of no block

std::vector<float> Matrix() {
  std::mt19937 generator(8);
  std::vector<float> x;
  for (int64_t i = 0; i < kRows * kCols; ++i)
    x.push_back(std::ldexp(static_cast<float>(generator() % 2001) - 1000.0f,
                           static_cast<int>(generator() % 30) - 20));
  return x;
}

struct Choice {
  const ScaleKind& kind;
  ScaleRule rule;
  Format element;
};
const Choice kChoices[] = {
    {kScaleKinds[0], ScaleRule::kToMax, kE4M3FN},            // tensor
    {kScaleKinds[1], ScaleRule::kCompressedTensors, kE5M2},  // head
    {kScaleKinds[2], ScaleRule::kToMax, kE4M3FN},            // 1x128
    {kScaleKinds[3], ScaleRule::kToMax, kE4M3FN},            // 128x128
    {kScaleKinds[4], ScaleRule::kMx, kE2M1},
    {kScaleKinds[4], ScaleRule::kUp, kE4M3FN},
    {kScaleKinds[5], ScaleRule::kNvfp4, kE2M1},
};

/// The definition: an element's block is all elements that share its row and column ranges.
float AmaxAround(const std::vector<float>& x, const ScaleKind& kind, int64_t row, int64_t col) {
  const int64_t height = kind.rows == 0 ? kRows : kind.rows;
  const int64_t width = kind.per_head ? kHead : kind.cols == 0 ? kCols : kind.cols;
  float amax = 0;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kCols; ++c) {
      if (r / height == row / height && c / width == col / width)
        amax = std::max(amax, std::fabs(x[static_cast<size_t>(r * kCols + c)]));
    }
  }
  return amax;
}

float ScaleByHand(const Choice& choice, float amax, float tensor_amax) {
  switch (choice.rule) {
    case ScaleRule::kToMax: return ScaleToMax(amax, choice.element);
    case ScaleRule::kCompressedTensors: return ScaleCompressedTensors(amax, choice.element);
    case ScaleRule::kMx: return Decode<kE8M0>(PowerOfTwoScaleMx(amax, choice.element));
    case ScaleRule::kUp: return Decode<kE8M0>(PowerOfTwoScaleUp(amax, choice.element));
    case ScaleRule::kNvfp4: break;
  }
  const float tensor = Nvfp4TensorScale(tensor_amax);
  return Decode<kE4M3FN>(Nvfp4BlockScale(amax, tensor)) * tensor;
}

TEST(BlockScales, EveryElementIsDividedByTheScaleOfItsBlock) {
  const std::vector<float> x = Matrix();
  for (const Choice& choice : kChoices) {
    const BlockGrid grid = GridOf(choice.kind, kRows, kCols, kHead);
    const BlockScales scales = ChooseScales(x, grid, choice.kind, choice.rule, choice.element);
    ASSERT_EQ(scales.codes.size(), static_cast<size_t>(grid.Blocks()));
    std::vector<float> quotients(x.size());
    DivideByScales(x, scales, quotients);
    const float tensor_amax = AmaxAround(x, kScaleKinds[0], 0, 0);
    for (int64_t row : {0L, 1L, 127L, 128L, kRows - 1}) {
      for (int64_t col : {0L, 15L, 16L, 31L, 99L, 100L, 127L, 128L, kCols - 1}) {
        const size_t i = static_cast<size_t>(row * kCols + col);
        const float amax = AmaxAround(x, choice.kind, row, col);
        const float scale = ScaleByHand(choice, amax, tensor_amax);
        ASSERT_EQ(scales.Value(grid.BlockOf(row, col)), scale) << choice.kind.name << " " << i;
        ASSERT_EQ(quotients[i], scale == 0 ? 0.0f : x[i] / scale) << choice.kind.name << " " << i;
      }
    }
  }
}

TEST(BlockScales, ABlockFarBelowTheTensorIsZero) {
  std::vector<float> x(32, -1e-30f);
  x[20] = 1;
  const ScaleKind& kind = kScaleKinds[5];
  const BlockScales scales =
      ChooseScales(x, GridOf(kind, 1, 32, 32), kind, ScaleRule::kNvfp4, kE2M1);
  EXPECT_EQ(scales.Value(0), 0);
  DivideByScales(x, scales, x);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(std::bit_cast<uint32_t>(x[i]), 0u);
  EXPECT_EQ(x[20], 6);
}

TEST(BlockScales, Refuses) {
  const ScaleKind& kind = kScaleKinds[0];
  const BlockGrid grid = GridOf(kind, 1, 4, 4);
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()})
    EXPECT_THROW(
        ChooseScales(std::vector<float>{1, 2, 3, bad}, grid, kind, ScaleRule::kToMax, kE4M3FN),
        std::invalid_argument);
  EXPECT_THROW(ChooseScales(std::vector<float>(4), grid, kind, ScaleRule::kMx, kE4M3FN),
               std::invalid_argument);
}

}  // namespace
}  // namespace lostbits::fp8
