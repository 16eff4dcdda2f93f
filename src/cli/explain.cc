// lostbits explain: where the bits of one dot product went.
#include "cli/explain.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>

#include "cli/command.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

struct Options {
  std::vector<std::string> positional;
  std::string machine, arch, step;
  int64_t line = 0;  ///< of a file, from 1; 0: the first that is not empty
  int promote = 0;
};

/// The operands: a line itself, or a line of a file ("-": stdin).
DotLine ReadLine(const std::string& source, int64_t wanted, const sim::AccumSpec& spec) {
  if (source.find(';') != source.npos) {
    if (wanted != 0)
      throw std::invalid_argument("--line chooses a line of a file; the operands were given");
    std::string line = source;
    std::replace(line.begin(), line.end(), '\n', ' ');
    return ParseDotLine(WithoutComment(line), spec, "operands");
  }
  std::ifstream file;
  if (source != "-") {
    file.open(source);
    if (!file)
      throw std::invalid_argument(fmt::format(
          "{}: expected operands ('a codes ; b codes ; c word') or a file of them, cannot open it",
          source));
  }
  std::istream& in = source == "-" ? std::cin : file;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = WithoutComment(line);
    if (wanted == number && line.empty())
      throw std::invalid_argument(fmt::format("{}: line {} is empty", source, wanted));
    if (wanted == number || (wanted == 0 && !line.empty()))
      return ParseDotLine(line, spec, fmt::format("{}:{}", source, number));
  }
  if (in.bad()) throw std::invalid_argument(source + ": cannot read");
  throw std::invalid_argument(
      wanted == 0
          ? fmt::format("{}: expected 'a codes ; b codes ; c word', found an empty input", source)
          : fmt::format("{}: expected a line {}, found {}", source, wanted, number));
}

/// What --step names, from 0.
int64_t ChosenInstruction(const std::string& step, const sim::ChainTrace& chain) {
  if (step == "worst") return WorstInstruction(chain);
  const std::optional<int64_t> n = ParseWhole(step);
  const int64_t count = static_cast<int64_t>(chain.instructions.size());
  if (!n || *n < 1 || *n > count)
    throw std::invalid_argument(
        fmt::format("--step: expected 1 to {} or 'worst', found '{}'", count, step));
  return *n - 1;
}

int Explain(const Options& options, const GlobalOptions& global) {
  std::vector<std::string> left = options.positional;
  std::string name = options.machine;
  if (name.empty()) {
    if (left.empty())
      throw std::invalid_argument(
          "explain: expected a machine, such as hopper:wgmma:e4m3:f32 (`lostbits machines`)");
    name = left.front();
    left.erase(left.begin());
  }
  if (left.size() > 1)
    throw std::invalid_argument(
        fmt::format("explain: expected one dot product, found also '{}'", left[1]));
  if (!options.arch.empty()) name = options.arch + ":" + name;
  const Machine machine = FindMachine(name);
  const bool example = left.empty();
  if (example && (options.line != 0 || options.promote != 0 || !options.step.empty()))
    throw std::invalid_argument("explain: --line, --promote and --step need a dot product");
  // An example shows what the table says; operands of the user's are computed with.
  if (!example) CheckEvidence(machine, global);
  CheckRange("--promote", options.promote, 0, 1'000'000'000);
  CheckRange("--line", options.line, 0, INT64_MAX);
  const DotLine codes =
      example ? ExampleLine(machine.spec) : ReadLine(left[0], options.line, machine.spec);
  const Explanation e = Follow(machine, codes, options.promote, options.step);
  PrintEvidence(machine, global);
  if (global.json) {
    PrintJson("explain", ExplanationReport(e, example));
  } else {
    fmt::print("{}",
               ExplanationText(e, example,
                               {.width = OutputWidth(), .colour = isatty(STDOUT_FILENO) != 0}));
  }
  return kFine;
}

}  // namespace

sim::InstructionTrace Explanation::Instruction(int64_t index) const {
  return sim::TraceInstruction(spec(), operands.View(), index,
                               chain.instructions[static_cast<size_t>(index)].word_in);
}

Explanation Follow(const Machine& machine, const DotLine& codes, int promote,
                   const std::string& step) {
  Explanation e{.machine = machine,
                .codes = codes,
                .operands = TakeApart(machine.spec, codes),
                .promote = promote,
                .chain = {},
                .shown = {}};
  e.chain = sim::TraceChain(machine.spec, e.operands.View(), promote);
  if (!step.empty()) {
    e.shown = {ChosenInstruction(step, e.chain)};
  } else if (e.chain.instructions.size() == 1) {
    e.shown = {0};
  }
  return e;
}

std::string ExplanationText(const Explanation& e, bool sentences, const Layout& layout) {
  std::string text;
  if (sentences) {
    text += e.machine.name + "\n\n";
    for (const std::string& paragraph : MachineSentences(e.machine))
      text += "  " + Wrap(paragraph, layout.width - 2, "  ") + "\n\n";
    text += "Worked example\n\n";
  }
  text += InputText(e, layout.width) + '\n';
  if (e.chain.instructions.size() > 1) text += ChainText(e, layout.width) + '\n';
  for (int64_t index : e.shown) text += InstructionText(e, index, layout) + '\n';
  return text + SummaryText(e, layout.width);
}

Json ExplanationReport(const Explanation& e, bool sentences) {
  Json body = EvidenceJson(e.machine);
  body.update(ExplanationJson(e));
  if (sentences) body["sentences"] = MachineSentences(e.machine);
  return body;
}

void AddExplain(CLI::App& app, GlobalOptions& global) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("explain", "Where the bits of one dot product went");
  command->add_option("INPUT", options->positional,
                      "A machine, if -m does not name it; then a dot product 'a codes ; b codes ; "
                      "c word' in hex, or a file of them. Without one: the instruction itself");
  command->add_option("-m,--machine", options->machine,
                      "The matrix unit (`lostbits machines`), or its PTX or SASS instruction");
  command->add_option("--arch", options->arch, "GPU of a PTX or SASS instruction: sm_90");
  command->add_option("--line", options->line, "Line of the file (default: the first not empty)");
  command->add_option("--promote", options->promote,
                      "Instructions between promotions to an FP32 sum; 0 (default): never");
  command->add_option("--step", options->step,
                      "Instruction of a long chain to show in full: 1, 2, ..., or worst");
  AddAllowUnverified(*command, global);
  AddGlobalOptions(*command, global);
  command->footer(
      "Examples:\n  lostbits explain hopper:wgmma:e4m3:f32\n"
      "  lostbits explain -m hopper:wgmma:e4m3:f32 '57 39 B6 01 ; 57 0C 04 30 ; 3E99999A'\n"
      "  lostbits explain mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 --arch sm_90");
  command->callback(
      [options, &global] { global.run = [=, &global] { return Explain(*options, global); }; });
}

}  // namespace lostbits::cli
