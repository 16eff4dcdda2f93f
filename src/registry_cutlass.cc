// Names of CUTLASS's MMA atoms, read by rule: SM<arch>_<MxNxK>_<types of D, A, B, C>_<layouts>.
#include <algorithm>
#include <stdexcept>

#include "registry_query.h"

namespace lostbits {

std::vector<std::string> SplitTypes(std::string_view text) {
  constexpr std::string_view kTypes[] = {
      "f64", "f32", "tf32", "xf32", "f16", "bf16", "e4m3", "e5m2", "e3m2", "e2m3", "e2m1", "fp8",
      "bf8", "f8",  "s32",  "s8",   "u8",  "s4",   "u4",   "u1",   "i8",   "c64",  "c32"};
  std::vector<std::string> types;
  while (!text.empty()) {
    const auto type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](std::string_view t) { return text.starts_with(t); });
    if (type == std::end(kTypes)) return {};
    types.emplace_back(*type);
    text.remove_prefix(type->size());
  }
  return types;
}

// CUTLASS 4, include/cute/arch/mma_sm*.hpp: cute::SM80_16x8x16_F32F16F16F32_TN,
// cute::SM90::GMMA::MMA_64x128x32_F32E4M3E4M3_SS_TN. From SM100 on, and with block scales, the
// types are template arguments: SM100_MMA_F8F6F4_SS, SM120_16x8x64_TN_VS.
bool ParseCutlass(const std::string& text, Query& query) {
  std::vector<std::string> tokens = Split(LowerCase(text), ":_");
  if (!tokens.empty() && tokens[0] == "cute") tokens.erase(tokens.begin());
  if (tokens.size() < 2 || !tokens[0].starts_with("sm")) return false;
  const std::optional<std::string> arch = FindArch(tokens[0]);
  if (!arch) return false;
  if (query.archs.empty()) query.archs = {*arch};

  bool atom = false;
  std::string shape;
  std::vector<std::string> types;
  for (const std::string& token : tokens) {
    if (token == "sparse") throw std::invalid_argument("sparse instructions are not modelled");
    atom |= token == "mma" || token == "gmma";
    if (const auto s = ParseShape(token); s && shape.empty()) {
      shape = ShapeText(*s);
    } else if (!shape.empty() && types.empty()) {
      types = SplitTypes(token);
    }
  }
  if (shape.empty() && !atom) return false;
  if (types.size() < 3)
    throw std::invalid_argument(
        "the name has no operand types (CUTLASS takes them as template arguments): name a row, as "
        "in b200:tcgen05:e4m3:f32");
  std::string short_form = shape;
  for (const std::string& type : types) short_form += "." + type;
  return ParseNvidia(short_form, query);
}

}  // namespace lostbits
