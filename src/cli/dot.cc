// lostbits dot: dot products in hex, one a line.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>

#include "cli/command.h"
#include "cli/dot_lines.h"
#include "registry.h"
#include "sim/accum.h"

namespace lostbits::cli {
namespace {

/// Hex words, each of at most `format`'s bits.
std::vector<uint32_t> ParseCodes(const std::string& text, const fp8::Format& format,
                                 const char* what, const std::string& where) {
  std::vector<uint32_t> codes;
  for (const std::string& word : Split(text, " \t\r,")) {
    const std::optional<uint64_t> code = ParseHex(word);
    if (!code || *code >> StorageBits(format) != 0)
      throw std::invalid_argument(fmt::format("{}: {}: expected {}-bit {} in hex, found '{}'",
                                              where, what, StorageBits(format),
                                              NamesOf(format).name, word));
    codes.push_back(static_cast<uint32_t>(*code));
  }
  return codes;
}

struct Options {
  std::string machine, file = "-";
};

int Dot(const Options& options, const GlobalOptions& global) {
  const sim::ArchRow& row = FindMachine(options.machine);
  CheckEvidence(row, global);
  std::ifstream file;
  if (options.file != "-") {
    file.open(options.file);
    if (!file) throw std::invalid_argument(options.file + ": cannot open for reading");
  }
  std::istream& in = options.file == "-" ? std::cin : file;
  const fp8::Format acc = row.spec.acc;
  Json rows = Json::array();
  std::string text;
  int64_t number = 0, count = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line.erase(std::min(line.find('#'), line.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const DotLine dot = ParseDotLine(line, row.spec, fmt::format("{}:{}", options.file, number));
    const uint32_t d = ComputeDot(row.spec, dot);
    ++count;
    const std::string hex = fmt::format("{:0{}X}", d, StorageBits(acc) / 4);
    if (global.json) {
      rows.push_back({{"line", number},
                      {"k", dot.a.size()},
                      {"d", hex},
                      {"value", NumberJson(fp8::Decode(acc, d))}});
    } else {
      text += hex + '\n';
    }
  }
  if (in.bad()) throw std::invalid_argument(options.file + ": cannot read");
  if (count == 0)
    throw std::invalid_argument(
        options.file + ": expected lines 'a codes ; b codes ; c word', found an empty input");
  PrintEvidence(row, global);
  if (global.json) {
    Json body = EvidenceJson(row);
    body["rows"] = rows;
    PrintJson("dot", body);
  } else {
    fmt::print("{}", text);
  }
  return kFine;
}

}  // namespace

DotLine ParseDotLine(const std::string& line, const sim::AccumSpec& spec,
                     const std::string& where) {
  std::vector<std::string> fields(1);
  for (char c : line) {
    if (c == ';') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (fields.size() != 3)
    throw std::invalid_argument(
        fmt::format("{}: expected 'a codes ; b codes ; c word', found {} field{}", where,
                    fields.size(), fields.size() == 1 ? "" : "s"));
  DotLine dot{ParseCodes(fields[0], spec.a, "a", where), ParseCodes(fields[1], spec.b, "b", where)};
  const std::vector<uint32_t> c = ParseCodes(fields[2], spec.acc, "c", where);
  if (dot.a.size() != dot.b.size() || dot.a.empty())
    throw std::invalid_argument(
        fmt::format("{}: expected as many codes in a as in b, at least one, found {} and {}", where,
                    dot.a.size(), dot.b.size()));
  if (c.size() != 1)
    throw std::invalid_argument(fmt::format("{}: expected one word c, found {}", where, c.size()));
  dot.c = c[0];
  return dot;
}

uint32_t ComputeDot(const sim::AccumSpec& spec, const DotLine& line) {
  std::vector<fp8::Unpacked> a, b;
  for (size_t i = 0; i < line.a.size(); ++i) {
    a.push_back(fp8::Unpack(spec.a, line.a[i]));
    b.push_back(fp8::Unpack(spec.b, line.b[i]));
  }
  return sim::DotChain(spec, a.data(), b.data(), static_cast<int64_t>(a.size()), line.c);
}

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
      "Example:\n"
      "  echo '57 39 B6 01 ; 57 0C 04 30 ; 3E99999A' | lostbits dot -m hopper:wgmma:e4m3:f32");
  command->callback(
      [options, &global] { global.run = [=, &global] { return Dot(*options, global); }; });
}

}  // namespace lostbits::cli
