// "@setting=value,...": a row of the table with settings of its own, for study.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <stdexcept>

#include "registry_query.h"
#include "sim/accum.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using sim::Flow;

struct FlowRow {
  Flow flow;
  const char* name;
};
constexpr FlowRow kFlows[] = {
    {Flow::kChained, "chained"},
    {Flow::kInterleavedLateC, "interleaved_late_c"},
    {Flow::kBlockDot, "block_dot"},
    {Flow::kExact, "exact"},
    {Flow::kTree, "tree"},
    {Flow::kLateFloor, "late_floor"},
    {Flow::kLateFloorPairs, "late_floor_pairs"},
};

bool Late(const AccumSpec& s) {
  return s.flow == Flow::kLateFloor || s.flow == Flow::kLateFloorPairs;
}
bool Fused(const AccumSpec& s) {
  return s.flow == Flow::kChained || s.flow == Flow::kInterleavedLateC || s.flow == Flow::kBlockDot;
}
bool Aligns(const AccumSpec& s) { return Late(s) || Fused(s); }
bool IsTree(const AccumSpec& s) { return s.flow == Flow::kTree; }
bool Always(const AccumSpec&) { return true; }
bool RoundsOnce(const AccumSpec& s) { return !IsTree(s); }

int Whole(std::string_view name, std::string_view value, int least, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size() || number < least || number > most)
    throw std::invalid_argument(
        fmt::format("{}: expected {} to {}, found '{}'", name, least, most, value));
  return number;
}

bool Either(std::string_view name, std::string_view value, const char* yes, const char* no) {
  if (value != yes && value != no)
    throw std::invalid_argument(
        fmt::format("{}: expected {} or {}, found '{}'", name, yes, no, value));
  return value == yes;
}

Flow FindFlow(std::string_view value) {
  std::vector<std::string> known;
  for (const FlowRow& row : kFlows) {
    if (value == row.name) return row.flow;
    known.emplace_back(row.name);
  }
  throw std::invalid_argument(
      fmt::format("unknown flow '{}'; known: {}", value, fmt::join(known, ", ")));
}

fp8::Format FindOut(const AccumSpec& s, std::string_view value) {
  return Either("out", value, "e8m13", "acc") ? sim::kE8M13 : s.acc;
}

/// One setting: how it is read, how it is printed, and where it has a meaning.
struct Setting {
  const char* name;
  const char* alias;
  void (*set)(AccumSpec&, std::string_view);
  std::string (*get)(const AccumSpec&);
  bool (*has_meaning)(const AccumSpec&);
};
// In the order in which they are applied and printed: k first, for it shortens the groups.
constexpr Setting kSettings[] = {
    {"k", "",
     [](AccumSpec& s, std::string_view v) {
       const int k = Whole("k", v, 1, sim::kMaxInstructionK);
       s = WithK(s, k);
       s.k = k;
     },
     [](const AccumSpec& s) { return fmt::to_string(s.k); }, Always},
    {"flow", "", [](AccumSpec& s, std::string_view v) { s.flow = FindFlow(v); },
     [](const AccumSpec& s) { return std::string(FlowName(s.flow)); }, Always},
    {"group", "l",
     [](AccumSpec& s, std::string_view v) {
       s.group = Whole("group", v, 1, sim::kMaxInstructionK);
     },
     [](const AccumSpec& s) { return fmt::to_string(s.group); }, Always},
    {"f", "fraction_bits",
     [](AccumSpec& s, std::string_view v) { s.fraction_bits = Whole("F", v, 1, 62); },
     [](const AccumSpec& s) { return fmt::to_string(s.fraction_bits); }, Aligns},
    // The exponents that an FP32 sum can have, and room below them.
    {"e_zero", "",
     [](AccumSpec& s, std::string_view v) { s.e_zero = Whole("e_zero", v, -400, 127); },
     [](const AccumSpec& s) { return fmt::to_string(s.e_zero); }, Aligns},
    {"out", "", [](AccumSpec& s, std::string_view v) { s.out = FindOut(s, v); },
     [](const AccumSpec& s) { return std::string(s.out == sim::kE8M13 ? "e8m13" : "acc"); },
     Aligns},
    {"rounding", "", [](AccumSpec& s, std::string_view v) { s.rounding = FindRounding(v); },
     [](const AccumSpec& s) { return std::string(RoundingName(s.rounding)); }, RoundsOnce},
    {"underflow", "",
     [](AccumSpec& s, std::string_view v) {
       s.signed_underflow = Either("underflow", v, "signed", "plus");
     },
     [](const AccumSpec& s) { return std::string(s.signed_underflow ? "signed" : "plus"); },
     Always},
    {"flush", "",
     [](AccumSpec& s, std::string_view v) { s.flush = Either("flush", v, "on", "off"); },
     [](const AccumSpec& s) { return std::string(s.flush ? "on" : "off"); }, IsTree},
    {"sum_bits", "",
     [](AccumSpec& s, std::string_view v) { s.sum_bits = Whole("sum_bits", v, 1, 62); },
     [](const AccumSpec& s) { return fmt::to_string(s.sum_bits); }, Late},
    {"final_bits", "",
     [](AccumSpec& s, std::string_view v) { s.final_bits = Whole("final_bits", v, 0, 62); },
     [](const AccumSpec& s) { return fmt::to_string(s.final_bits); }, Late},
};

/// The name as it is printed.
std::string Printed(const Setting& s) {
  return std::string_view(s.name) == "f" ? "F" : std::string(s.name);
}

/// Bits above 2^0 that a sum of `terms` numbers below 2^bits may need.
int SumBits(int bits, int terms) { return bits + std::bit_width(static_cast<unsigned>(terms)); }

/// Why the functions of sim/accum.h cannot compute this; "" if they can.
std::string WhyImpossible(const AccumSpec& s) {
  const std::string flow(FlowName(s.flow));
  if (s.k % s.group != 0) return fmt::format("k = {} is no multiple of group = {}", s.k, s.group);
  const bool f64 = s.a == fp8::kFP64 || s.acc == fp8::kFP64;
  if (f64 && s.flow != Flow::kExact)
    return fmt::format("flow={} does not take float64 operands", flow);
  if (s.block != 0 && s.flow != Flow::kChained && s.flow != Flow::kBlockDot)
    return fmt::format("flow={} knows no block scales", flow);
  if (s.block != 0 && s.group % s.block != 0)
    return fmt::format("group = {} is no multiple of a block of {}", s.group, s.block);
  if (s.flow == Flow::kBlockDot && s.block == 0)
    return "flow=block_dot takes operands with block scales";
  if (s.flow == Flow::kBlockDot && fp8::StorageBits(s.a) + fp8::StorageBits(s.b) > 12)
    return "flow=block_dot takes operands of at most 6 bits";  // exact dots within 64 bits
  if (s.flow == Flow::kInterleavedLateC && (s.k != 2 * s.group || s.k % 4 != 0))
    return fmt::format(
        "flow=interleaved_late_c takes two groups an instruction and k a multiple of 4, found "
        "group = {}, k = {}",
        s.group, s.k);
  if (IsTree(s) && s.group != 2 && s.group != 4)
    return fmt::format("flow=tree takes groups of 2 or 4, found {}", s.group);
  if (s.rounding == fp8::Rounding::kStochastic) return "rounding=stochastic needs random bits";
  if (IsTree(s) && s.rounding != fp8::Rounding::kNearestEven)
    return "flow=tree rounds to nearest even only";
  if (s.out == sim::kE8M13 && s.acc != fp8::kFP32) return "out=e8m13 needs a float32 accumulator";
  if (s.out != s.acc && !Aligns(s)) return fmt::format("flow={} rounds to the accumulator", flow);
  if (!Aligns(s)) return "";

  if (s.fraction_bits == 0) return fmt::format("flow={} needs F", flow);
  // A product is below 4 * 2^(its exponent), both scales' significands below 4, a block's dot
  // product of at most 6-bit operands below 2^10.
  const bool scaled = s.block != 0 && s.scale.mantissa_bits > 0;
  const int term = (s.flow == Flow::kBlockDot ? 10 : 2) + (scaled ? 2 : 0);
  const int needed = SumBits(term + s.fraction_bits, s.group + 1);
  if (needed > 63)
    return fmt::format("F = {}: the sum of a group would need {} bits, more than 63",
                       s.fraction_bits, needed);
  if (!Late(s)) return "";
  if (s.sum_bits < s.fraction_bits)
    return fmt::format("sum_bits = {} is less than F = {}", s.sum_bits, s.fraction_bits);
  if (SumBits(term + s.sum_bits, s.group + 1) > 63)
    return fmt::format("sum_bits = {}: the sum would not fit 63 bits", s.sum_bits);
  if (s.final_bits != 0 && s.final_bits < s.out.mantissa_bits)
    return fmt::format("final_bits = {} is less than the {} of the result", s.final_bits,
                       s.out.mantissa_bits);
  return "";
}

const Setting& FindSetting(const std::string& name) {
  std::vector<std::string> known;
  for (const Setting& s : kSettings) {
    if (name == s.name || (*s.alias != '\0' && name == s.alias)) return s;
    known.push_back(Printed(s));
  }
  const std::string near = DidYouMean(name, known);
  throw std::invalid_argument(
      fmt::format("unknown setting '{}'{}", name,
                  near.empty() ? fmt::format("; known: {}", fmt::join(known, ", ")) : near));
}

}  // namespace

std::string_view FlowName(Flow flow) {
  for (const FlowRow& row : kFlows) {
    if (row.flow == flow) return row.name;
  }
  return "?";
}

void NameMachine(Machine& machine) {
  const sim::ArchRow& row = *machine.row;
  const AccumSpec shaped = WithK(row.spec, machine.spec.k);
  machine.altered = false;
  std::vector<std::string> settings;
  for (const Setting& s : kSettings) {
    const bool k = &s == kSettings;
    const std::string value = s.get(machine.spec);
    if (value == s.get(k ? row.spec : shaped)) continue;
    settings.push_back(fmt::format("{}={}", Printed(s), value));
    machine.altered |= !k || machine.spec.k > row.spec.k || !HasK(row, machine.spec.k);
  }
  machine.name = MachineName(row);
  if (!settings.empty()) machine.name += fmt::format("@{}", fmt::join(settings, ","));
}

void ApplySettings(std::string_view text, Machine& machine) {
  const std::vector<std::string> given = Split(text, ",");
  if (given.empty()) throw std::invalid_argument("expected setting=value behind '@'");
  std::vector<std::pair<const Setting*, std::string>> settings;
  for (const std::string& part : given) {
    const size_t equals = std::min(part.find('='), part.size());
    const Setting& setting = FindSetting(part.substr(0, equals));
    if (equals + 1 >= part.size())
      throw std::invalid_argument(fmt::format("{}: expected a value, as in {}={}", part,
                                              Printed(setting), setting.get(machine.spec)));
    for (const auto& [other, value] : settings) {
      if (other == &setting)
        throw std::invalid_argument(fmt::format("'{}' is set twice", Printed(setting)));
    }
    settings.emplace_back(&setting, part.substr(equals + 1));
  }
  std::sort(settings.begin(), settings.end(),
            [](const auto& x, const auto& y) { return x.first < y.first; });
  for (const auto& [setting, value] : settings) setting->set(machine.spec, value);
  for (const auto& [setting, value] : settings) {
    if (!setting->has_meaning(machine.spec))
      throw std::invalid_argument(fmt::format("{} has no meaning with flow={}", Printed(*setting),
                                              FlowName(machine.spec.flow)));
  }
  const std::string why = WhyImpossible(machine.spec);
  if (!why.empty()) throw std::invalid_argument(why);
  NameMachine(machine);
}

}  // namespace lostbits
