#include "gpu/kernels.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace lostbits::gpu {

std::vector<int64_t> ParseNumbers(const char* option, const std::string& text, char separator,
                                  size_t count) {
  std::vector<int64_t> numbers;
  for (const std::string& part : Split(text, std::string(1, separator))) {
    int64_t number = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || end != part.data() + part.size() || number < 0) break;
    numbers.push_back(number);
  }
  if (numbers.size() != count ||
      static_cast<size_t>(std::count(text.begin(), text.end(), separator)) + 1 != count)
    throw std::invalid_argument(fmt::format("{}: expected {} numbers with '{}' between, found '{}'",
                                            option, count, separator, text));
  return numbers;
}

namespace {
const std::map<std::string, OperandPattern> kPatterns = {{"normal", OperandPattern::kNormal},
                                                         {"wide", OperandPattern::kWide},
                                                         {"bits", OperandPattern::kBits}};
}  // namespace

const char* PatternName(OperandPattern pattern) {
  for (const auto& [name, value] : kPatterns)
    if (value == pattern) return name.c_str();
  return "?";
}

void AddPattern(CLI::App& command, OperandPattern& pattern) {
  AddName(command, "--pattern", pattern, kPatterns,
          "normal: N(0, 1); wide: exponents all over the format (default); bits: any finite code");
}

Json PlanJson(const GemmPlan& p) {
  return {{"kernel", NameOf(p.kernel)},
          {"promotion", NameOf(p.promotion)},
          {"shape", {p.shape.m, p.shape.n, p.shape.k}},
          {"tile", {p.tile_m, p.tile_n, p.tile_k}},
          {"stages", p.stages},
          {"threads", p.threads},
          {"shared_bytes", p.shared_bytes},
          {"tiles", {p.tiles_m, p.tiles_n}},
          {"promote_every", p.recipe.promote_every}};
}

void Difference::Count(std::initializer_list<int64_t> at, uint32_t device, uint32_t expected) {
  ++asked;
  if (device == expected) return;
  if (mismatches++ == 0) first = {at, device, expected};
}

std::string Difference::Text(const std::string& what, const fp8::Format& format,
                             const std::string& repeat) const {
  std::string text =
      fmt::format("{}: {} of {} outputs differ from {}", what, mismatches, asked, against);
  if (mismatches > 0)
    text += fmt::format("\n  ({}): device {}, expected {}\n  {}", fmt::join(first.at, ", "),
                        cli::CodeDigits(first.device, format),
                        cli::CodeDigits(first.expected, format), repeat);
  return text;
}

Json Difference::Report(const fp8::Format& format, const std::string& repeat) const {
  Json report = {{"against", against}, {"asked", asked}, {"mismatches", mismatches}};
  if (mismatches > 0)
    report["first"] = {{"at", first.at},
                       {"device", cli::CodeDigits(first.device, format)},
                       {"expected", cli::CodeDigits(first.expected, format)},
                       {"repeat", repeat}};
  return report;
}

}  // namespace lostbits::gpu
