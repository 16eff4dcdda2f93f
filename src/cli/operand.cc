#include "cli/operand.h"

#include <cmath>
#include <cstdlib>
#include <functional>
#include <stdexcept>

#include "fp8/convert.h"
#include "registry.h"
#include "sim/float_environment.h"
#include "sim/gemm.h"

namespace lostbits::cli {

LoadedOperand LoadOperand(const std::string& path, const fp8::Format& format) {
  LoadedOperand loaded{ReadTensor(path)};
  Tensor& t = loaded.tensor;
  const bool tf32_register = format == fp8::kTF32 && t.format == fp8::kFP32;
  if (!t.format || tf32_register) {
    if (t.element_size != ContainerBytes(format))
      throw std::invalid_argument(
          fmt::format("{}: expected float elements or {}-byte codes of {}, found dtype {}",
                      t.source, ContainerBytes(format), NamesOf(format).name, t.dtype));
    t = ReadTensor(path, format);
    t.format = format;
  }
  loaded.is_codes = t.format == format;
  if (t.Count() == 0)
    throw std::invalid_argument(fmt::format("{}: expected at least one element, found shape {}",
                                            t.source, ShapeText(t.shape)));
  return loaded;
}

Operand EncodeOperand(LoadedOperand loaded, const fp8::Format& format,
                      const std::vector<float>& divisors,
                      const std::function<size_t(int64_t)>& index_of) {
  Operand operand;
  operand.from = loaded.tensor.dtype;
  if (loaded.is_codes) {
    operand.codes = std::move(loaded.tensor);
    return operand;
  }
  operand.encoded = true;
  if (!divisors.empty()) {
    const sim::DefaultEnvironment environment;  // quotients may be subnormal
    Tensor values = DecodeTensor(loaded.tensor);
    if (values.format != fp8::kFP32)
      throw std::invalid_argument(fmt::format(
          "{}: expected float32 or narrower with a scale, found float64", values.source));
    for (int64_t i = 0; i < values.Count(); ++i) {
      const float x = fp8::BitCast<float>(static_cast<uint32_t>(values.Code(i)));
      values.SetCode(i, fp8::BitCast<uint32_t>(x / divisors[index_of(i)]));
    }
    loaded.tensor = std::move(values);
  }
  operand.codes =
      EncodeTensor(loaded.tensor, {.to = format, .policy = {}, .library = {}}, operand.counts);
  return operand;
}

sim::CodeView View(const Tensor& matrix) {
  return {matrix.data.data(), *matrix.format, matrix.shape[0], matrix.shape[1], matrix.shape[1]};
}

void CheckMatrixProduct(const Machine& machine) {
  if (!sim::HasMatrixProduct(machine.spec))
    throw std::invalid_argument(fmt::format(
        "{}: matrix products with block scales or FP64 words are not modelled; dot and explain are",
        machine.name));
}

std::string OperandText(const Operand& o) {
  const std::string name = NamesOf(*o.codes.format).name;
  const std::string what = fmt::format("{} {}: ", o.codes.source, ShapeText(o.codes.shape));
  if (!o.encoded) return what + fmt::format("{} codes (dtype {})", name, o.from);
  const EncodeCounts& c = o.counts;
  return what + fmt::format(
                    "dtype {} encoded as {}: {} inexact, {} overflow, {} flushed to zero, "
                    "{} subnormal, {} nan",
                    o.from, name, c.inexact, c.overflow, c.flushed, c.subnormal, c.nan);
}

Json OperandJson(const Operand& o) {
  const EncodeCounts& c = o.counts;
  Json json = {{"source", o.codes.source},
               {"shape", o.codes.shape},
               {"dtype", o.from},
               {"format", NamesOf(*o.codes.format).name},
               {"encoded", o.encoded}};
  if (o.encoded)
    json["counts"] = {{"elements", c.total},  {"inexact", c.inexact},     {"overflow", c.overflow},
                      {"flushed", c.flushed}, {"subnormal", c.subnormal}, {"nan", c.nan}};
  return json;
}

namespace {

Scales Checked(Scales scales, const char* option) {
  scales.given = true;
  for (size_t i = 0; i < scales.values.size(); ++i) {
    if (!std::isfinite(scales.values[i]) || scales.values[i] <= 0)
      throw std::invalid_argument(fmt::format(
          "{}: expected finite scales > 0, found {}{}", option, Decimal(scales.values[i]),
          scales.shape.empty() ? "" : fmt::format(" at element {}", i)));
  }
  return scales;
}

}  // namespace

Scales LoadScales(const std::string& text, const char* option) {
  if (text.empty()) return {};
  char* end = nullptr;
  const float number = std::strtof(text.c_str(), &end);
  if (*end == '\0') return Checked({.shape = {}, .values = {number}}, option);
  return AsScales(ReadTensor(text), option);
}

Scales AsScales(const Tensor& tensor, const char* option) {
  const Tensor values = DecodeTensor(tensor);
  if (values.format != fp8::kFP32)
    throw std::invalid_argument(
        fmt::format("{}: expected float32 scales, found {}", values.source, values.dtype));
  Scales scales{.shape = values.shape, .values = {}};
  for (int64_t i = 0; i < values.Count(); ++i)
    scales.values.push_back(fp8::BitCast<float>(static_cast<uint32_t>(values.Code(i))));
  return Checked(std::move(scales), option);
}

std::string WriteValues(const std::string& path, const Tensor& tensor, const std::string& name) {
  const fp8::Format f = *tensor.format;
  const bool known = f == fp8::kFP16 || f == fp8::kFP32 || f == fp8::kFP64;
  const bool as_float = path.ends_with(".npy") && !known;
  WriteTensor(path, as_float ? DecodeTensor(tensor) : tensor, name);
  return fmt::format("{}{}", path,
                     as_float ? fmt::format(" ({} values as float32)", NamesOf(f).name) : "");
}

std::string ErrorText(const sim::ErrorReport& e, const fp8::Format& format,
                      const std::function<std::string(const sim::ErrorPoint&)>& place) {
  std::string text = fmt::format("  unequal   {} of {} finite elements\n", e.unequal, e.finite);
  const auto point = [&](const sim::ErrorPoint& p) {
    if (p.row < 0) return std::string();
    return fmt::format("  at {}: {} instead of {}", place(p), Decimal(p.output),
                       Decimal(p.reference));
  };
  text += fmt::format("  max |e|   {:.3e}{}\n", e.max_absolute, point(e.worst_absolute));
  text += fmt::format("  max ulp   {:.3g} of {}{}\n", e.max_ulp, NamesOf(format).name,
                      point(e.worst_ulp));
  text += fmt::format("  max rel   {:.3e}\n", e.max_relative);
  text += fmt::format("  SQNR      {:.2f} dB   bias {:+.3e}   gain {:.6f}\n", e.sqnr_db, e.bias,
                      e.gain);
  if (e.nonzero_at_zero + e.nan_mismatches + e.inf_mismatches + e.equal_specials > 0)
    text += fmt::format(
        "  special   {} not zero at exact zeros, {} NaN and {} Inf mismatches, {} equal specials\n",
        e.nonzero_at_zero, e.nan_mismatches, e.inf_mismatches, e.equal_specials);
  return text;
}

Json ErrorJson(const sim::ErrorReport& e,
               const std::function<std::vector<int64_t>(const sim::ErrorPoint&)>& index) {
  const auto point = [&](const sim::ErrorPoint& p) -> Json {
    if (p.row < 0) return nullptr;
    return {{"index", index(p)},
            {"output", NumberJson(p.output)},
            {"reference", NumberJson(p.reference)}};
  };
  return {{"finite", e.finite},
          {"unequal", e.unequal},
          {"max_absolute", NumberJson(e.max_absolute)},
          {"max_relative", NumberJson(e.max_relative)},
          {"max_ulp", NumberJson(e.max_ulp)},
          {"sqnr_db", NumberJson(e.sqnr_db)},
          {"bias", NumberJson(e.bias)},
          {"gain", NumberJson(e.gain)},
          {"worst_absolute", point(e.worst_absolute)},
          {"worst_ulp", point(e.worst_ulp)},
          {"nonzero_at_zero", e.nonzero_at_zero},
          {"equal_specials", e.equal_specials},
          {"nan_mismatches", e.nan_mismatches},
          {"inf_mismatches", e.inf_mismatches}};
}

}  // namespace lostbits::cli
