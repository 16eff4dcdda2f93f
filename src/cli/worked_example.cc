#include "cli/worked_example.h"

#include <algorithm>

#include "cli/explain.h"

namespace lostbits::cli {
namespace {

using sim::Origin;

std::string WordText(const sim::StepTrace& step) {
  return fmt::format("0x{} = {}", CodeDigits(step.word, step.format),
                     Decimal(CodeValue(step.format, step.word)));
}

/// A step in one line: "product 0 + c = 225.3, rounded: 0x... = ...". `addend`: what the
/// accumulator that enters is called.
std::string LineOf(const sim::StepTrace& step, const std::string& addend) {
  std::vector<std::string> names;
  for (const sim::TermTrace& t : step.terms) {
    if (t.fate != sim::Fate::kZero || !step.aligned) names.push_back(TermLabel(t, addend));
  }
  return fmt::format("{} = {}{}", fmt::join(names, " + "), Decimal(step.before.Value()),
                     step.rounded ? ", rounded: " + WordText(step) : "");
}

/// A step that cuts its terms to a grid: each term, and what is left of it.
std::string TableOf(const sim::StepTrace& step, const std::string& addend, int width) {
  Table table;
  table.AddColumn("  term");
  table.AddColumn("value", Table::kRight);
  table.AddColumn("exponent", Table::kRight);
  table.AddColumn(fmt::format("kept, in 2^{}", step.lsb), Table::kRight);
  table.AddColumn("cut off", Table::kRight);
  for (const sim::TermTrace& t : step.terms) {
    if (t.fate == sim::Fate::kZero) continue;
    table.AddRow({"  " + TermLabel(t, addend), Decimal(t.exact.Value()),
                  fmt::to_string(t.term.exponent), KeptText(t, step.lsb),
                  Short(t.lost.Value(), 12)});
  }
  const std::string sum =
      fmt::format("sum of the kept: {} * 2^{} = {}{}", step.sum, step.lsb,
                  Decimal(step.before.Value()), step.rounded ? "; rounded: " + WordText(step) : "");
  return fmt::format("{}  {}\n", table.Text(width), Wrap(sum, width - 2, "    "));
}

bool OnlyZeros(const sim::StepTrace& step) {
  return std::all_of(step.terms.begin(), step.terms.end(), [](const sim::TermTrace& t) {
    return t.fate == sim::Fate::kZero || t.term.origin == Origin::kAddend;
  });
}

}  // namespace

Json ExampleJson(const Machine& machine) {
  const sim::AccumSpec& spec = machine.spec;
  const DotLine line = ExampleLine(spec);
  const Explanation e = Follow(machine, line, 0);
  const auto hex = [](const std::vector<uint64_t>& codes, const fp8::Format& f) {
    Json list = Json::array();
    for (uint64_t code : codes) list.push_back(CodeDigits(code, f));
    return list;
  };
  Json json = {
      {"a", hex(line.a, spec.a)}, {"b", hex(line.b, spec.b)}, {"c", CodeDigits(line.c, spec.acc)}};
  if (spec.block != 0) {
    json["scale_a"] = hex(line.scale_a, spec.scale);
    json["scale_b"] = hex(line.scale_b, spec.scale);
  }
  json["d"] = CodeDigits(e.chain.word, spec.acc);
  json["value"] = NumberJson(CodeValue(spec.acc, e.chain.word));
  json["exact"] = NumberJson(e.chain.exact.Value());
  return json;
}

std::string ExampleText(const Machine& machine, int width) {
  const sim::AccumSpec& s = machine.spec;
  const DotLine line = ExampleLine(s);
  const Explanation e = Follow(machine, line, 0);
  std::string text = "Worked example:\n";
  for (int64_t i = 0; i < static_cast<int64_t>(e.chain.instructions.size()); ++i) {
    const std::vector<sim::StepTrace> steps = e.Instruction(i).steps;
    for (size_t j = 0; j < steps.size(); ++j) {
      if (OnlyZeros(steps[j])) continue;
      const std::string addend = AddendName(e, i, steps, j);
      const bool table = steps[j].aligned && steps[j].kind != sim::Step::kBlockSum;
      text += table ? TableOf(steps[j], addend, width)
                    : "  " + Wrap(LineOf(steps[j], addend), width - 2, "    ") + "\n";
    }
  }
  const sim::ExactNumber d(fp8::Unpack(s.acc, e.chain.word));
  const std::string result = fmt::format(
      "d = 0x{} = {}; exact {}, error {}", CodeDigits(e.chain.word, s.acc), Decimal(d.Value()),
      Decimal(e.chain.exact.Value()), Decimal((d - e.chain.exact).Value()));
  text += "  " + Wrap(result, width - 2, "    ") + "\n\n";
  const bool assumed = machine.row->evidence.level == sim::EvidenceLevel::kAssumed;
  return text + fmt::format(
                    "To repeat it, and to see it bit by bit:\n"
                    "  echo '{}' | lostbits dot --machine {}{}\n  lostbits explain {}\n",
                    DotLineText(s, line), machine.name, assumed ? " --allow-unverified" : "",
                    machine.name);
}

}  // namespace lostbits::cli
