#include "gpu/probe_run.h"

#include <algorithm>
#include <stdexcept>

#include "cli/dot_lines.h"

namespace lostbits::gpu {
namespace {

bool Names(const char* list, std::string_view word) {
  const std::vector<std::string> words = Split(list, " ");
  return std::find(words.begin(), words.end(), word) != words.end();
}

Expected Expect(const Probe& probe, const Answer& answer, const Unit& unit,
                const std::string& arch) {
  if (*answer.word != '\0')
    return {answer.who, "", static_cast<uint32_t>(cli::ParseHex(answer.word).value())};
  const Machine machine = MachineFor(unit, arch, answer.setting);
  const cli::DotLine line = cli::ParseDotLine(*answer.line != '\0' ? answer.line : probe.line,
                                              machine.spec, std::string("probe ") + probe.id);
  return {answer.who, machine.name, static_cast<uint32_t>(cli::ComputeDot(machine.spec, line))};
}

}  // namespace

std::vector<Question> QuestionsFor(const Backend& device) {
  const std::string& arch = device.info().arch;
  std::vector<Question> questions;
  for (const auto probes : {SumProbes(), SpecialProbes()}) {
    for (const Probe& probe : probes) {
      if (!Names(probe.archs, arch)) continue;
      for (const std::string& name : Split(probe.units, " ")) {
        const Unit* unit = FindUnit(name);
        if (unit == nullptr)
          throw std::logic_error(fmt::format("probe {}: no unit {}", probe.id, name));
        if (!device.Runs(*unit)) continue;
        Machine machine = MachineFor(*unit, arch);
        const cli::DotLine line = cli::ParseDotLine(probe.line, machine.spec, probe.id);
        Question q{&probe, unit, machine, {line.a, line.b, static_cast<uint32_t>(line.c)}, {}};
        for (const Answer& answer : probe.answers) {
          if (*answer.who != '\0') q.expected.push_back(Expect(probe, answer, *unit, arch));
        }
        questions.push_back(std::move(q));
      }
    }
  }
  return questions;
}

std::vector<Finding> Ask(Backend& device, const std::vector<Question>& questions) {
  std::vector<Finding> findings;
  for (const Question& q : questions) {
    const TileShape& s = q.unit->shape;
    const uint32_t word =
        device.RunCases(*q.unit, {q.input}, 2 * std::max(s.m, s.n), q.probe->flags)[0];
    Finding found{word, -1};
    for (size_t i = 0; i < q.expected.size() && found.agrees < 0; ++i) {
      if (q.expected[i].word == word) found.agrees = static_cast<int>(i);
    }
    findings.push_back(found);
  }
  return findings;
}

std::string WordText(const Unit& unit, uint32_t word) {
  return cli::CodeDigits(word, unit.shape.d);
}

}  // namespace lostbits::gpu
