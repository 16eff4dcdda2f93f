// lostbits verify DIR: replays recorded hardware outputs, bit for bit.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "registry.h"
#include "sim/vectors.h"

namespace lostbits::cli {
namespace {

std::string HexList(const std::vector<uint32_t>& codes, const fp8::Format& f) {
  std::string text;
  for (uint32_t code : codes)
    text += fmt::format("{}{:0{}X}", text.empty() ? "" : " ", code, StorageBits(f) / 4);
  return text;
}

/// A shell command that computes the row again.
std::string RepeatCommand(const sim::ArchRow& row, const sim::VectorMismatch& m) {
  return fmt::format(
      "echo '{} ; {} ; {}' | lostbits dot --machine {}{}", HexList(m.a, row.spec.a),
      HexList(m.b, row.spec.b), HexList({m.c}, row.spec.acc), MachineName(row),
      row.evidence.level == sim::EvidenceLevel::kAssumed ? " --allow-unverified" : "");
}

Json MismatchJson(const sim::ArchRow& row, const sim::VectorMismatch& m) {
  return {{"row", m.row},
          {"hardware", HexCode(m.expected, 32)},
          {"simulated", HexCode(m.got, 32)},
          {"repeat", RepeatCommand(row, m)}};
}

int Verify(const std::string& folder, const GlobalOptions& global) {
  const std::vector<sim::VectorSet> sets = sim::ListVectorSets(folder);
  size_t name_width = 0, machine_width = 0;
  for (const sim::VectorSet& set : sets) {
    name_width = std::max(name_width, set.Name().size());
    machine_width = std::max(machine_width, MachineName(*set.machine).size());
  }
  Json list = Json::array();
  int64_t rows = 0, matched = 0;
  Progress progress("verify: set", static_cast<int64_t>(sets.size()));
  for (const sim::VectorSet& set : sets) {
    progress.Update(static_cast<int64_t>(&set - sets.data()));
    const sim::VectorReplay replay = sim::ReplayVectors(set);
    rows += replay.rows;
    matched += replay.matched;
    Json json = {{"set", set.Name()}, {"rows", replay.rows}, {"matched", replay.matched}};
    json.update(EvidenceJson(AsMachine(*set.machine)));
    json["uses_c"] = set.uses_c;
    if (!global.json)
      fmt::print("{:<{}}  {:<{}}  {}/{}{}\n", set.Name(), name_width, MachineName(*set.machine),
                 machine_width, replay.matched, replay.rows, set.uses_c ? "" : "  (c = 0)");
    if (replay.first_mismatch) {
      const sim::VectorMismatch& m = *replay.first_mismatch;
      json["first_mismatch"] = MismatchJson(*set.machine, m);
      if (!global.json)
        fmt::print("  line {} of {}: hardware {}, simulated {}\n  {}\n", m.row,
                   set.d.filename().string(), HexCode(m.expected, 32), HexCode(m.got, 32),
                   RepeatCommand(*set.machine, m));
    }
    list.push_back(json);
  }
  if (global.json) {
    PrintJson("verify", {{"folder", folder}, {"rows", rows}, {"matched", matched}, {"sets", list}});
  } else {
    fmt::print("{} sets, {}/{} rows match bit for bit\n", sets.size(), matched, rows);
  }
  return matched == rows ? kFine : kMismatch;
}

}  // namespace

void AddVerify(CLI::App& app, GlobalOptions& global) {
  const auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("verify", "Replays recorded hardware outputs");
  command
      ->add_option("DIR", *folder,
                   "Folder laid out as MATLAB-tensor-core's model_validation/: GPU/FORMAT/*.txt")
      ->required();
  AddGlobalOptions(*command, global);
  command->footer(
      "Exit code: 0 if every row matches, 1 if one does not, 2 if the folder cannot be read.\n"
      "Example:\n  git clone https://github.com/north-numerical-computing/MATLAB-tensor-core\n"
      "  lostbits verify MATLAB-tensor-core/model_validation");
  command->callback(
      [folder, &global] { global.run = [=, &global] { return Verify(*folder, global); }; });
}

}  // namespace lostbits::cli
