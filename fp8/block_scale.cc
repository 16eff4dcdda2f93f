#include "fp8/block_scale.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "fp8/codec.h"

namespace lostbits::fp8 {
namespace {

Format FormatOf(ScaleRule rule) {
  switch (rule) {
    case ScaleRule::kMx:
    case ScaleRule::kUp: return kE8M0;
    case ScaleRule::kNvfp4: return kE4M3FN;
    case ScaleRule::kToMax:
    case ScaleRule::kCompressedTensors: break;
  }
  return kFP32;
}

uint32_t ScaleCode(ScaleRule rule, float amax, Format element, float tensor) {
  switch (rule) {
    case ScaleRule::kCompressedTensors:
      return std::bit_cast<uint32_t>(ScaleCompressedTensors(amax, element));
    case ScaleRule::kMx: return PowerOfTwoScaleMx(amax, element);
    case ScaleRule::kUp: return PowerOfTwoScaleUp(amax, element);
    case ScaleRule::kNvfp4: return Nvfp4BlockScale(amax, tensor);
    case ScaleRule::kToMax: break;
  }
  return std::bit_cast<uint32_t>(ScaleToMax(amax, element));
}

template <class Visit>
void ForEach(const BlockGrid& grid, Visit visit) {
  for (int64_t r = 0, i = 0; r < grid.rows; ++r) {
    for (int64_t c = 0; c < grid.cols; ++c, ++i)
      visit(static_cast<size_t>(i), static_cast<size_t>(grid.BlockOf(r, c)));
  }
}

}  // namespace

BlockGrid GridOf(const ScaleKind& kind, int64_t rows, int64_t cols, int64_t head_cols) {
  const int64_t widest = kind.per_head ? head_cols : cols;
  return {rows, cols, kind.rows == 0 ? rows : kind.rows, kind.cols == 0 ? widest : kind.cols};
}

float BlockScales::Value(int64_t block) const {
  return Decode(format, codes[static_cast<size_t>(block)]) * tensor;
}

BlockScales ChooseScales(std::span<const float> x, const BlockGrid& grid, const ScaleKind& kind,
                         ScaleRule rule, Format element) {
  if (FormatOf(rule) != kind.scale)
    throw std::invalid_argument(std::string("rule: it gives no scales for ") + kind.name);
  std::vector<float> amax(static_cast<size_t>(grid.Blocks()), 0.0f);
  ForEach(grid, [&](size_t i, size_t block) {
    if (!std::isfinite(x[i]))
      throw std::invalid_argument("x: expected finite values, found " + std::to_string(x[i]) +
                                  " at element " + std::to_string(i));
    amax[block] = std::max(amax[block], std::fabs(x[i]));
  });
  BlockScales scales{.grid = grid, .format = kind.scale, .codes = {}};
  if (rule == ScaleRule::kNvfp4)
    scales.tensor = Nvfp4TensorScale(*std::max_element(amax.begin(), amax.end()));
  for (float largest : amax)
    scales.codes.push_back(ScaleCode(rule, largest, element, scales.tensor));
  return scales;
}

void DivideByScales(std::span<const float> x, const BlockScales& scales, std::span<float> out) {
  std::vector<float> values;
  for (int64_t block = 0; block < scales.grid.Blocks(); ++block)
    values.push_back(scales.Value(block));
  ForEach(scales.grid, [&](size_t i, size_t block) {
    out[i] = values[block] == 0 ? 0.0f : x[i] / values[block];
  });
}

}  // namespace lostbits::fp8
