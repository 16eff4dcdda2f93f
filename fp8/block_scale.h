// A matrix in blocks that share a scale: the scales, and the matrix divided by them.
//
// fp8/scale.h says which elements share a scale and how a largest magnitude becomes one; this is
// that, applied to a whole matrix. The caller's rounding mode must be to nearest.
#ifndef LOSTBITS_FP8_BLOCK_SCALE_H_
#define LOSTBITS_FP8_BLOCK_SCALE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fp8/format.h"
#include "fp8/scale.h"

namespace lostbits::fp8 {

/// Blocks of a rows x cols matrix; the last ones of a row or a column may be smaller.
struct BlockGrid {
  int64_t rows = 0, cols = 0;              ///< of the matrix, at least 1
  int64_t block_rows = 1, block_cols = 1;  ///< of a block, at least 1

  constexpr int64_t RowBlocks() const { return (rows + block_rows - 1) / block_rows; }
  constexpr int64_t ColBlocks() const { return (cols + block_cols - 1) / block_cols; }
  constexpr int64_t Blocks() const { return RowBlocks() * ColBlocks(); }
  constexpr int64_t BlockOf(int64_t row, int64_t col) const {
    return row / block_rows * ColBlocks() + col / block_cols;
  }
};

/// The blocks of a kind. A head is `head_cols` neighbouring columns; other kinds ignore it.
BlockGrid GridOf(const ScaleKind& kind, int64_t rows, int64_t cols, int64_t head_cols);

/// How the largest magnitude of a block becomes its scale.
enum class ScaleRule : uint8_t {
  kToMax,              ///< ScaleToMax: FP32 scales
  kCompressedTensors,  ///< ScaleCompressedTensors: FP32 scales
  kMx,                 ///< PowerOfTwoScaleMx: E8M0 scales; the largest elements may saturate
  kUp,                 ///< PowerOfTwoScaleUp: E8M0 scales; nothing saturates
  kNvfp4,              ///< Nvfp4TensorScale and Nvfp4BlockScale: E4M3 scales
};

/// A scale for every block, in row order.
struct BlockScales {
  BlockGrid grid;
  Format format{};              ///< of the codes
  std::vector<uint32_t> codes;  ///< one a block
  float tensor = 1;             ///< multiplies all of them: NVFP4's second level

  /// What a block's elements are divided by: one product in binary32.
  float Value(int64_t block) const;
};

/// Chooses the scales of x, rows x cols without gaps. Throws std::invalid_argument where x is not
/// finite, naming the element, and on a rule that does not give scales of the kind's format.
BlockScales ChooseScales(std::span<const float> x, const BlockGrid& grid, const ScaleKind& kind,
                         ScaleRule rule, Format element);

/// out[i] = x[i] / scale of its block, one division in binary32; +0 where that scale is 0 (an NVFP4
/// block far below the tensor's largest). The arrays may be the same.
void DivideByScales(std::span<const float> x, const BlockScales& scales, std::span<float> out);

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_BLOCK_SCALE_H_
