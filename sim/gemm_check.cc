// What Gemm refuses, and in which words.
#include "sim/gemm_check.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace lostbits::sim {
namespace {

std::string Shape(int64_t rows, int64_t cols) {
  return std::to_string(rows) + " x " + std::to_string(cols);
}

void Require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument("Gemm: " + message);
}

bool SixteenBits(fp8::Format f) { return f == fp8::kBF16 || f == fp8::kFP16; }

void CheckScales(const char* name, GemmScaling kind, const MatrixView<const float>& scale,
                 int64_t block_rows, int64_t block_cols) {
  const bool blocks = kind == GemmScaling::kBlock128;
  const int64_t rows = kind == GemmScaling::kNone ? 0 : blocks ? block_rows : 1;
  const int64_t cols = kind == GemmScaling::kNone ? 0 : blocks ? block_cols : 1;
  Require(scale.rows == rows && scale.cols == cols, std::string(name) + " must be " +
                                                        Shape(rows, cols) + ", got " +
                                                        Shape(scale.rows, scale.cols));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      Require(!std::isnan(scale(r, c)),
              std::string(name) + "(" + std::to_string(r) + ", " + std::to_string(c) + ") is NaN");
    }
  }
}

}  // namespace

void CheckRecipe(const GemmRecipe& r) {
  Require(r.promote_every >= 0,
          "promote_every must be 0 or more, got " + std::to_string(r.promote_every));
  Require(r.split_k >= 1, "split_k must be 1 or more, got " + std::to_string(r.split_k));
  Require(r.split_tile == 0 || r.split_k > 1,
          "split_tile needs split_k above 1, got " + std::to_string(r.split_k));
  Require(r.split_tile >= 0 && (r.promote_every == 0 || r.split_tile % r.promote_every == 0),
          "split_tile must be a multiple of promote_every, 0 or more, got " +
              std::to_string(r.split_tile) + " and " + std::to_string(r.promote_every));
  Require(r.partial == fp8::kFP32 || r.partial == fp8::kBF16, "partial must be FP32 or BF16");
  Require(r.output == fp8::kFP32 || SixteenBits(r.output), "output must be FP32, BF16 or FP16");
  const bool block_a = r.scale_a == GemmScaling::kBlock128;
  const bool block_b = r.scale_b == GemmScaling::kBlock128;
  Require(HasMatrixProduct(r.unit),
          "matrix products with block scales or FP64 words are not modelled");
  if (r.unit.acc == fp8::kFP16) {
    Require(r.promote_every == 0 && r.split_k == 1 && r.scale_a == GemmScaling::kNone &&
                r.scale_b == GemmScaling::kNone && r.output == fp8::kFP16,
            "a unit with FP16 accumulators takes no promotion, split or scale, and gives FP16");
  }
  if (block_a || block_b) {
    const int64_t interval = int64_t{r.promote_every} * r.unit.k;
    Require(interval > 0 && kScaleBlock % interval == 0,
            "block scales need promote_every * " + std::to_string(r.unit.k) + " to divide " +
                std::to_string(kScaleBlock) + ", got promote_every " +
                std::to_string(r.promote_every));
  }
}

void CheckInputs(const GemmRecipe& r, const GemmInputs& in, const MatrixView<uint32_t>& d) {
  const int64_t m = in.a.rows, k = in.a.cols;
  const int64_t b_k = in.b_transposed ? in.b.cols : in.b.rows;
  const int64_t n = in.b_transposed ? in.b.rows : in.b.cols;
  Require(b_k == k, "K differs: a is " + Shape(m, k) + ", b is " + Shape(in.b.rows, in.b.cols) +
                        (in.b_transposed ? " (transposed)" : ""));
  Require(in.a.format == r.unit.a, "a is not in the format of the unit");
  Require(in.b.format == r.unit.b, "b is not in the format of the unit");
  Require(d.rows == m && d.cols == n,
          "d must be " + Shape(m, n) + ", got " + Shape(d.rows, d.cols));
  const int64_t blocks = (k + kScaleBlock - 1) / kScaleBlock;
  CheckScales("scale_a", r.scale_a, in.scale_a, m, blocks);
  CheckScales("scale_b", r.scale_b, in.scale_b, blocks, (n + kScaleBlock - 1) / kScaleBlock);
  if (in.c.data == nullptr) return;
  Require(in.c.rows == m && in.c.cols == n,
          "c must be " + Shape(m, n) + ", got " + Shape(in.c.rows, in.c.cols));
  Require(r.split_k == 1, "an initial c needs split_k 1, got " + std::to_string(r.split_k));
  Require(r.scale_a != GemmScaling::kPerTensor && r.scale_b != GemmScaling::kPerTensor,
          "an initial c and per-tensor scales exclude each other");
}

}  // namespace lostbits::sim
