#include "cli/gemm_reference.h"

#include <algorithm>

#include "fp8/codec.h"
#include "sim/exact.h"

namespace lostbits::cli {
namespace {

using sim::CodeView;
using sim::MatrixView;

void Multiply(const sim::GemmInputs& in, int64_t k0, int64_t k, MatrixView<double> out) {
  const CodeView a = in.a.Cols(k0, k);
  if (in.b_transposed) {
    sim::ExactGemmTransposed(a, in.b.Cols(k0, k), out);
  } else {
    sim::ExactGemm(a, in.b.Rows(k0, k), out);
  }
}

}  // namespace

std::vector<double> ExactProduct(const sim::GemmRecipe& recipe, const sim::GemmInputs& in) {
  const int64_t m = in.a.rows, k = in.a.cols, n = in.b_transposed ? in.b.rows : in.b.cols;
  std::vector<double> out(static_cast<size_t>(m * n)), part;
  const MatrixView<double> view(out.data(), m, n);
  const bool block_a = recipe.scale_a == sim::GemmScaling::kBlock128;
  const bool block_b = recipe.scale_b == sim::GemmScaling::kBlock128;
  if (!block_a && !block_b) {
    Multiply(in, 0, k, view);
  } else {
    part.resize(out.size());
    for (int64_t k0 = 0; k0 < k; k0 += sim::kScaleBlock) {
      const int64_t block = k0 / sim::kScaleBlock;
      Multiply(in, k0, std::min<int64_t>(sim::kScaleBlock, k - k0),
               MatrixView<double>(part.data(), m, n));
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          const double a = block_a ? double{in.scale_a(i, block)} : 1.0;
          const double b = block_b ? double{in.scale_b(block, j / sim::kScaleBlock)} : 1.0;
          view(i, j) += a * b * part[static_cast<size_t>(i * n + j)];
        }
      }
    }
  }
  double scale = 1;
  if (recipe.scale_a == sim::GemmScaling::kPerTensor) scale *= double{in.scale_a(0, 0)};
  if (recipe.scale_b == sim::GemmScaling::kPerTensor) scale *= double{in.scale_b(0, 0)};
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      if (scale != 1) view(i, j) *= scale;
      if (in.c.data != nullptr) view(i, j) += double{fp8::Decode(recipe.unit.acc, in.c(i, j))};
    }
  }
  return out;
}

}  // namespace lostbits::cli
