// lostbits machines [MACHINE]: the machine table with its evidence; one row explained.
#include <algorithm>
#include <memory>

#include "cli/command.h"
#include "cli/worked_example.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::ArchRow;

/// What the abbreviations in a row's proof stand for (sim/arch.h).
constexpr std::pair<const char*, const char*> kSources[] = {
    {"VEC",
     "recorded hardware outputs, north-numerical-computing/MATLAB-tensor-core, "
     "model_validation/, commit b12b5a7: `lostbits verify DIR` replays them"},
    {"MM1", "microsoft/MMA-Sim, commit c785138"},
    {"MM2", "MMA-Sim's newer line, PyPI mmasim 2.x"},
    {"MAT", "the models in north-numerical-computing/MATLAB-tensor-core"},
    {"KM", "Khattak and Mikaitis, Accurate Models of NVIDIA Tensor Cores, arXiv 2512.07004"},
    {"SAGE", "SageAttention2 as quoted in thu-ml/SageAttention issue 287"},
    {"CUT", "NVIDIA's answer in NVIDIA/cutlass issue 1986"},
};

std::string OutputText(const sim::AccumSpec& spec) {
  const std::string format = spec.out == sim::kE8M13  ? "E8M13"
                             : spec.out == fp8::kFP16 ? "FP16"
                                                      : "FP32";
  return (spec.rounding == fp8::Rounding::kTowardZero ? "RZ " : "RNE ") + format;
}

const char* FlowText(sim::Flow flow) { return flow == sim::Flow::kChained ? "chained" : "late c"; }

std::vector<std::string> Sources(const ArchRow& row) {
  std::vector<std::string> sources;
  const std::string text = std::string(row.proof) + " " + row.open;
  for (const auto& [name, meaning] : kSources) {
    const std::vector<std::string> words = Split(text, " ,;:()");
    if (std::find(words.begin(), words.end(), name) != words.end())
      sources.push_back(fmt::format("{}: {}", name, meaning));
  }
  return sources;
}

Json RowJson(const ArchRow& row) {
  const sim::AccumSpec& s = row.spec;
  Json json = EvidenceJson(row);
  json.update({{"arch", row.arch},
               {"instruction", row.instruction},
               {"in", row.in},
               {"out", row.out},
               {"group", s.group},
               {"fraction_bits", s.fraction_bits},
               {"rounding", RoundingName(s.rounding)},
               {"result_bits", int{s.out.mantissa_bits}},
               {"e_zero", s.e_zero},
               {"k", s.k},
               {"flow", s.flow == sim::Flow::kChained ? "chained" : "interleaved_late_c"}});
  return json;
}

int PrintTable(const std::vector<const ArchRow*>& rows, const GlobalOptions& global) {
  if (global.json) {
    Json list = Json::array();
    for (const ArchRow* row : rows) list.push_back(RowJson(*row));
    PrintJson("machines", {{"machines", list}});
    return kFine;
  }
  Table table;
  table.AddColumn("machine");
  table.AddColumn("L", Table::kRight);
  table.AddColumn("F", Table::kRight);
  table.AddColumn("result");
  table.AddColumn("k", Table::kRight);
  table.AddColumn("flow", Table::kOptional);
  table.AddColumn("evidence");
  table.AddColumn("proof", Table::kOptional);
  for (const ArchRow* row : rows) {
    const sim::AccumSpec& s = row->spec;
    table.AddRow({MachineName(*row), fmt::to_string(s.group), fmt::to_string(s.fraction_bits),
                  OutputText(s), fmt::to_string(s.k), FlowText(s.flow),
                  std::string(EvidenceName(row->evidence)), row->proof});
  }
  fmt::print("{}\n{}\n", table.Text(OutputWidth()),
             Wrap("L: products aligned together; F: bits kept below the largest exponent; result: "
                  "how a group's sum is rounded (RZ cut, RNE nearest even); k: products of one "
                  "instruction. One row explained: lostbits machines hopper:wgmma:e4m3:f32",
                  OutputWidth()));
  return kFine;
}

std::string FlowSentence(const sim::AccumSpec& s) {
  if (s.flow == sim::Flow::kInterleavedLateC)
    return fmt::format(
        "emulated through FP16: products k%4 in {{0,1}}, then k%4 in {{2,3}}, {} each, chained "
        "from "
        "zero; c is added last, to nearest even",
        s.group);
  if (s.k == s.group) return fmt::format("one group of {} products and c an instruction", s.group);
  return fmt::format(
      "{} groups of {} an instruction, in increasing k; c enters the first, each "
      "result the next",
      s.k / s.group, s.group);
}

int PrintRow(const ArchRow& row, const GlobalOptions& global) {
  const sim::AccumSpec& s = row.spec;
  const WorkedExample example = ComputeExample(s);
  if (global.json) {
    Json json = RowJson(row);
    json["sources"] = Sources(row);
    json["example"] = ExampleJson(s, example);
    PrintJson("machines", {{"machines", Json::array({json})}});
    return kFine;
  }
  const int width = OutputWidth();
  fmt::print("{}\n\n", MachineName(row));
  const auto line = [&](const char* what, const std::string& text) {
    if (!text.empty())
      fmt::print("  {:<11}{}\n", what, Wrap(text, width - 13, std::string(13, ' ')));
  };
  line("flow", FlowSentence(s));
  line("alignment", fmt::format("products and c cut toward zero to F = {} bits below the largest "
                                "exponent in the group, which never counts as less than {}",
                                s.fraction_bits, s.e_zero));
  line("result",
       s.out == sim::kE8M13
           ? std::string("exact sum cut to 13 fraction bits (E8M13), kept in an FP32 word")
           : fmt::format("exact sum rounded {} to {}", RoundingName(s.rounding),
                         NamesOf(s.out).name));
  line("evidence", fmt::format("{}: {}", EvidenceName(row.evidence), row.proof));
  line("open", row.open);
  for (const std::string& source : Sources(row)) line("source", source);
  fmt::print("\n{}", ExampleText(row, example, width));
  return kFine;
}

int Machines(const std::string& name, const GlobalOptions& global) {
  if (!name.empty()) {
    const std::vector<const ArchRow*> found = FindMachines(name);
    return found.size() == 1 ? PrintRow(*found[0], global) : PrintTable(found, global);
  }
  std::vector<const ArchRow*> all;
  for (const ArchRow& row : sim::kArchTable) all.push_back(&row);
  return PrintTable(all, global);
}

}  // namespace

void AddMachines(CLI::App& app, GlobalOptions& global) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("machines", "The matrix units with their evidence; one explained");
  command->add_option("MACHINE", *name,
                      "arch:instruction:in:out, a part of it, a GPU, or a PTX or SASS instruction");
  AddGlobalOptions(*command, global);
  command->footer(
      "Examples:\n  lostbits machines h100\n  lostbits machines hopper:wgmma:e4m3:f32\n"
      "  lostbits machines sm_89:mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32");
  command->callback(
      [name, &global] { global.run = [=, &global] { return Machines(*name, global); }; });
}

}  // namespace lostbits::cli
