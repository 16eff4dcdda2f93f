// lostbits dot: dot products in hex, one a line.
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>

#include "cli/command.h"
#include "cli/dot_lines.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

struct Options {
  std::string machine, file = "-";
};

int Dot(const Options& options, const GlobalOptions& global) {
  const Machine machine = FindMachine(options.machine);
  CheckEvidence(machine, global);
  std::ifstream file;
  if (options.file != "-") {
    file.open(options.file);
    if (!file) throw std::invalid_argument(options.file + ": cannot open for reading");
  }
  std::istream& in = options.file == "-" ? std::cin : file;
  const fp8::Format acc = machine.spec.acc;
  Json rows = Json::array();
  std::string text;
  int64_t number = 0, count = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = WithoutComment(line);
    if (line.empty()) continue;
    const DotLine dot =
        ParseDotLine(line, machine.spec, fmt::format("{}:{}", options.file, number));
    const uint64_t d = ComputeDot(machine.spec, dot);
    ++count;
    if (global.json) {
      rows.push_back({{"line", number},
                      {"k", dot.a.size()},
                      {"d", CodeDigits(d, acc)},
                      {"value", NumberJson(CodeValue(acc, d))}});
    } else {
      text += CodeDigits(d, acc) + '\n';
    }
  }
  if (in.bad()) throw std::invalid_argument(options.file + ": cannot read");
  if (count == 0)
    throw std::invalid_argument(fmt::format("{}: expected lines {}, found an empty input",
                                            options.file, DotLineShape(machine.spec)));
  PrintEvidence(machine, global);
  if (global.json) {
    Json body = EvidenceJson(machine);
    body["rows"] = rows;
    PrintJson("dot", body);
  } else {
    fmt::print("{}", text);
  }
  return kFine;
}

}  // namespace

void AddDot(CLI::App& app, GlobalOptions& global) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("dot", "Dot products in hex, one a line");
  command->add_option("-m,--machine", options->machine, "The matrix unit (`lostbits machines`)")
      ->required();
  command->add_option("FILE", options->file, "Lines 'a codes ; b codes ; c word'; -: stdin");
  AddAllowUnverified(*command, global);
  AddGlobalOptions(*command, global);
  command->footer(
      "Any number of products: a chain of instructions over increasing k, the last zero-padded.\n"
      "With block scales, '; scales of a ; scales of b' follow: one each for every block begun.\n"
      "Examples:\n"
      "  echo '57 39 B6 01 ; 57 0C 04 30 ; 3E99999A' | lostbits dot -m hopper:wgmma:e4m3:f32\n"
      "  echo '7 2 C ; 1 1 5 ; 0 ; 40 ; 30' | lostbits dot -m b200:nvfp4");
  command->callback(
      [options, &global] { global.run = [=, &global] { return Dot(*options, global); }; });
}

}  // namespace lostbits::cli
