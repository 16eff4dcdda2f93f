// "@setting=value,...": a row of the table with settings of its own, for study.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "registry_query.h"
#include "sim/accum.h"
#include "sim/arch_check.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using sim::Flow;

bool Late(const AccumSpec& s) { return sim::AddsCLate(s.flow); }
bool Aligns(const AccumSpec& s) { return sim::HasGrid(s.flow); }
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
  for (int i = 0; i < sim::kFlowCount; ++i) {
    const auto flow = static_cast<Flow>(i);
    if (value == sim::FlowName(flow)) return flow;
    known.emplace_back(sim::FlowName(flow));
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
     [](const AccumSpec& s) { return std::string(sim::FlowName(s.flow)); }, Always},
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

const Setting& FindSetting(std::string_view name) {
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
    const Setting& setting = FindSetting(std::string_view(part).substr(0, equals));
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
                                              sim::FlowName(machine.spec.flow)));
  }
  const std::string why = sim::WhyNoMachine(machine.spec);
  if (!why.empty()) throw std::invalid_argument(why);
  NameMachine(machine);
}

}  // namespace lostbits
