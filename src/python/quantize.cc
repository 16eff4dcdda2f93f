// quantize: values to codes with scales.
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "cli/encode_tensor.h"
#include "fp8/block_scale.h"
#include "python/arrays.h"
#include "python/module.h"
#include "registry.h"
#include "sim/float_environment.h"

namespace lostbits::python {
namespace {

using namespace nb::literals;

struct RuleName {
  const char* name;
  fp8::ScaleRule rule;
  fp8::Format scale;
};
// The first rule of a format is the one that no name stands for.
constexpr RuleName kRules[] = {
    {"to-max", fp8::ScaleRule::kToMax, fp8::kFP32},
    {"compressed-tensors", fp8::ScaleRule::kCompressedTensors, fp8::kFP32},
    {"mx", fp8::ScaleRule::kMx, fp8::kE8M0},
    {"up", fp8::ScaleRule::kUp, fp8::kE8M0},
    {"nvfp4", fp8::ScaleRule::kNvfp4, fp8::kE4M3FN},
};

const fp8::ScaleKind& FindKind(const std::string& name) {
  std::vector<std::string> names;
  for (const fp8::ScaleKind& kind : fp8::kScaleKinds) {
    if (name == kind.name) return kind;
    names.emplace_back(kind.name);
  }
  throw std::invalid_argument(
      fmt::format("scale: expected {}, found '{}'", fmt::join(names, ", "), name));
}

fp8::ScaleRule FindRule(const std::string& name, const fp8::ScaleKind& kind) {
  std::vector<std::string> names;
  for (const RuleName& row : kRules) {
    if (row.scale != kind.scale) continue;
    if (name.empty() || name == row.name) return row.rule;
    names.emplace_back(row.name);
  }
  throw std::invalid_argument(fmt::format("rule: expected {} for {}, found '{}'",
                                          fmt::join(names, " or "), kind.name, name));
}

/// rows x cols, and the columns of a head; the last axis is that of the dot product.
fp8::BlockGrid GridOf(const fp8::ScaleKind& kind, const std::vector<int64_t>& shape) {
  if (shape.empty() || (kind.per_head && shape.size() < 2) || (kind.rows > 1 && shape.size() != 2))
    throw std::invalid_argument(fmt::format("x: expected {} for scale {}, found shape {}",
                                            kind.per_head   ? "[..., heads, dim]"
                                            : kind.rows > 1 ? "[rows, cols]"
                                                            : "[..., cols]",
                                            kind.name, ShapeText(shape)));
  int64_t rows = 1, cols = shape.back();
  for (size_t i = 0; i + 1 < shape.size(); ++i)
    (kind.per_head && i + 2 == shape.size() ? cols : rows) *= shape[i];
  return fp8::GridOf(kind, rows, cols, shape.back());
}

/// What the scales' array looks like beside x.
std::vector<int64_t> ShapeOf(const fp8::ScaleKind& kind, const fp8::BlockGrid& grid,
                             std::vector<int64_t> shape) {
  if (kind.per_head) return {shape[shape.size() - 2]};
  if (kind.rows == 0) return {};
  shape.back() = grid.ColBlocks();
  if (kind.rows > 1) shape[0] = grid.RowBlocks();
  return shape;
}

std::tuple<OutputWords, OutputWords, float, std::vector<int64_t>> Quantize(
    const Words& words, const std::string& format, const std::string& scale,
    const std::string& rule_name, int threads) {
  const Input in = Take(words, "x");
  if (!in.format || *in.format == fp8::kFP64)
    throw std::invalid_argument(fmt::format("x: expected values up to float32, found {}",
                                            in.format ? "float64" : "codes without a format"));
  CheckNotEmpty(in);
  const fp8::ScaleKind& kind = FindKind(scale);
  const fp8::ScaleRule rule = FindRule(rule_name, kind);
  const cli::Encoder encoder =
      cli::MakeEncoder({.format = format, .like = {}, .rounding = {}, .overflow = {}});
  const fp8::BlockGrid grid = GridOf(kind, in.shape);
  Output codes(encoder.to, in.shape), scale_codes(kind.scale, ShapeOf(kind, grid, in.shape));
  const int wanted = Threads(threads);
  fp8::BlockScales scales;
  {
    const nb::gil_scoped_release release;
    const sim::DefaultEnvironment environment;  // quotients may be subnormal
    std::vector<float> x(static_cast<size_t>(in.Count()));
    cli::DecodeArray(in.Codes(), x.data(), {}, wanted);
    scales = fp8::ChooseScales(x, grid, kind, rule, encoder.to);
    fp8::DivideByScales(x, scales, x);
    cli::EncodeArray(x, codes.Codes(), encoder, wanted);
  }
  for (int64_t i = 0; i < grid.Blocks(); ++i)
    scale_codes.SetCode(i, scales.codes[static_cast<size_t>(i)]);
  return {std::move(codes).Give(),
          std::move(scale_codes).Give(),
          scales.tensor,
          {kind.rows, kind.cols}};
}

}  // namespace

void AddQuantize(nb::module_& m) {
  m.def("quantize", &Quantize, "x"_a, "format"_a, "scale"_a, "rule"_a, "threads"_a);
}

}  // namespace lostbits::python
