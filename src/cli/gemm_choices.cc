#include "cli/gemm_choices.h"

#include <stdexcept>

#include "cli/output.h"

namespace lostbits::cli {

using sim::GemmScaling;

namespace {

int64_t Blocks(int64_t n) { return (n + sim::kScaleBlock - 1) / sim::kScaleBlock; }

void CheckMatrix(const std::string& source, const std::vector<int64_t>& shape, const char* what) {
  if (shape.size() != 2)
    throw std::invalid_argument(fmt::format(
        "{}: expected {} as a matrix of two axes, found shape {}", source, what, ShapeText(shape)));
}

GemmScaling ScalingOf(const Scales& s, const char* option, int64_t rows, int64_t cols) {
  if (!s.given) return GemmScaling::kNone;
  if (s.values.size() == 1 && s.shape != std::vector<int64_t>{rows, cols})
    return GemmScaling::kPerTensor;
  if (s.shape != std::vector<int64_t>{rows, cols})
    throw std::invalid_argument(
        fmt::format("{}: expected one number or blocks of shape [{}, {}], found shape {}", option,
                    rows, cols, ShapeText(s.shape)));
  return GemmScaling::kBlock128;
}

}  // namespace

sim::GemmRecipe MakeGemmRecipe(const Machine& machine, const GemmChoices& choices) {
  sim::GemmRecipe recipe;
  recipe.unit = machine.spec;
  recipe.promote_every = choices.promote;
  recipe.split_k = choices.split_k;
  recipe.split_tile = choices.split_tile;
  recipe.partial = FindFormat(choices.partial).format;
  recipe.output = choices.output.empty() ? machine.spec.acc : FindFormat(choices.output).format;
  CheckRange("--promote", choices.promote, 0, 1 << 20);
  CheckRange("--split-k", choices.split_k, 1, 1 << 20);
  CheckRange("--split-tile", choices.split_tile, 0, 1 << 20);
  return recipe;
}

ProductShape CheckProduct(const std::string& a_source, const std::vector<int64_t>& a,
                          const std::string& b_source, const std::vector<int64_t>& b,
                          bool b_transposed) {
  CheckMatrix(a_source, a, "A");
  CheckMatrix(b_source, b, "B");
  const ProductShape shape{a[0], a[1], b[b_transposed ? 0 : 1]};
  if (b[b_transposed ? 1 : 0] != shape.k)
    throw std::invalid_argument(fmt::format(
        "A is {} and B is {}: expected {} {} in B{}", ShapeText(a), ShapeText(b), shape.k,
        b_transposed ? "columns" : "rows",
        shape.n == shape.k
            ? fmt::format(" (add {}?)", b_transposed ? "no --b-transposed" : "--b-transposed")
            : ""));
  return shape;
}

GemmScaling ScalingOfA(const Scales& scales, const ProductShape& shape) {
  return ScalingOf(scales, "--scale-a", shape.m, Blocks(shape.k));
}
GemmScaling ScalingOfB(const Scales& scales, const ProductShape& shape) {
  return ScalingOf(scales, "--scale-b", Blocks(shape.k), Blocks(shape.n));
}

sim::MatrixView<const float> ScaleView(const Scales& scales) {
  if (!scales.given) return {};
  const bool one = scales.values.size() == 1;
  return {scales.values.data(), one ? 1 : scales.shape[0], one ? 1 : scales.shape[1]};
}

Operand EncodeScaled(LoadedOperand loaded, const fp8::Format& format, const Scales& scales,
                     GemmScaling scaling) {
  if (loaded.is_codes || scaling == GemmScaling::kNone)
    return EncodeOperand(std::move(loaded), format);
  if (scaling == GemmScaling::kBlock128)
    throw std::invalid_argument(
        fmt::format("{}: expected {} codes with block scales, found dtype {}", loaded.tensor.source,
                    NamesOf(format).name, loaded.tensor.dtype));
  return EncodeOperand(std::move(loaded), format, scales.values, [](int64_t) { return size_t{0}; });
}

}  // namespace lostbits::cli
