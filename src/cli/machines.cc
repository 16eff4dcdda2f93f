// lostbits machines [MACHINE]: the machine table with its evidence; one row explained.
#include "cli/machines.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "cli/command.h"
#include "cli/worked_example.h"

namespace lostbits::cli {
namespace {

struct Options {
  std::string name;
  bool disputes = false, markdown = false;
};

Rows NamedRows(const std::string& name) {
  if (!name.empty()) return FindMachines(name);
  Rows rows;
  for (const sim::ArchRow& row : sim::kArchTable) rows.push_back(&row);
  return rows;
}

int Run(const Options& options, const GlobalOptions& global) {
  if (options.markdown) {
    if (global.json || options.disputes || !options.name.empty())
      throw std::invalid_argument("--markdown prints the whole table and goes with nothing else");
    fmt::print("{}", MarkdownText());
    return kFine;
  }
  const Rows rows = NamedRows(options.name);
  if (options.disputes) {
    if (global.json) {
      PrintJson("machines", {{"disputes", DisputesJson(rows)}});
    } else {
      fmt::print("{}", DisputesText(rows, OutputWidth()));
    }
  } else if (global.json) {
    PrintJson("machines", {{"machines", MachinesJson(options.name)}});
  } else if (rows.size() == 1) {
    fmt::print("{}", MachinePage(FindMachine(options.name), OutputWidth()));
  } else {
    fmt::print("{}", TableText(rows, OutputWidth()));
  }
  return kFine;
}

}  // namespace

Json MachineJson(const Machine& machine) {
  const sim::ArchRow& row = *machine.row;
  const sim::AccumSpec& s = machine.spec;
  Json json = EvidenceJson(machine);
  json.update({{"arch", row.arch},
               {"instruction", row.instruction},
               {"in", row.in},
               {"scale", row.scale},
               {"out", row.out},
               {"family", row.family},
               {"a", NamesOf(s.a).name},
               {"b", NamesOf(s.b).name},
               {"accumulator", NamesOf(s.acc).name},
               {"k", s.k},
               {"flow", FlowName(s.flow)},
               {"group", s.group},
               {"fraction_bits", s.fraction_bits},
               {"e_zero", s.e_zero},
               {"rounding", RoundingName(s.rounding)},
               {"result_bits", int{s.out.mantissa_bits}},
               {"block", s.block},
               {"signed_underflow", s.signed_underflow},
               {"flush", s.flush},
               {"sum_bits", s.sum_bits},
               {"final_bits", s.final_bits}});
  return json;
}

Json MachinesJson(const std::string& name) {
  const Rows rows = NamedRows(name);
  Json list = Json::array();
  if (rows.size() != 1) {
    for (const sim::ArchRow* row : rows) list.push_back(MachineJson(AsMachine(*row)));
    return list;
  }
  const Machine machine = FindMachine(name);
  list.push_back(MachineJson(machine));
  list.back()["sources"] = SourcesOf(machine.row->evidence);
  list.back()["example"] = ExampleJson(machine);
  return list;
}

std::vector<std::string> SourcesOf(const sim::Evidence& evidence) {
  std::vector<std::string> sources;
  const std::string text = std::string(evidence.source) + " " + evidence.note;
  const std::vector<std::string> words = Split(text, " ,;:()");
  for (const sim::Source& source : sim::kSources) {
    if (std::find(words.begin(), words.end(), source.name) != words.end())
      sources.push_back(fmt::format("{}: {}", source.name, source.text));
  }
  return sources;
}

void AddMachines(CLI::App& app, GlobalOptions& global) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("machines", "The matrix units with their evidence; one explained");
  command->add_option("MACHINE", options->name,
                      "arch:instruction:in:out, a part of it, a GPU, or a PTX, SASS or AMD "
                      "instruction; behind it @setting=value,... for study");
  command->add_flag("--disputes", options->disputes, "What published sources disagree on");
  command->add_flag("--markdown", options->markdown, "The table as README has it");
  AddGlobalOptions(*command, global);
  command->footer(
      "Settings: k, flow, group, F, e_zero, out=e8m13|acc, rounding, underflow=signed|plus,\n"
      "flush=on|off, sum_bits, final_bits. Results with them are for study: no evidence.\n"
      "Examples:\n"
      "  lostbits machines h100\n"
      "  lostbits machines hopper:wgmma:e4m3:f32\n"
      "  lostbits machines hopper:wgmma:bf16:f32@e_zero=-126\n"
      "  lostbits machines sm_89:mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32");
  command->callback(
      [options, &global] { global.run = [=, &global] { return Run(*options, global); }; });
}

}  // namespace lostbits::cli
