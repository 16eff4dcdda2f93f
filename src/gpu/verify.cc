// lostbits-gpu verify: the device against the twin compiled for it, on generated cases.
#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>

#include "cli/dot_lines.h"
#include "gpu/session.h"

namespace lostbits::gpu {
namespace {

struct Choice {
  std::string machine;
  double cases = 1e6;
};

struct Job {
  const Unit* unit;
  Machine machine;
};

/// The units that `name` means on the device; all of them if it is "".
std::vector<Job> JobsFor(const Backend& device, const std::string& name) {
  std::vector<Job> jobs;
  const std::string& arch = device.info().arch;
  if (name.empty()) {
    for (const Unit* unit : UnitsOf(device)) jobs.push_back({unit, MachineFor(*unit, arch)});
    return jobs;
  }
  const Machine machine = FindMachine(name);
  for (const Unit* unit : UnitsOf(device)) {
    const sim::ArchRow* row = &sim::kArchTable[static_cast<size_t>(RowOf(*unit, arch))];
    if (row == machine.row && unit->shape.k == machine.spec.k) jobs.push_back({unit, machine});
  }
  if (jobs.empty())
    throw std::invalid_argument(fmt::format("{}: expected an instruction of {} ({}), found none",
                                            machine.name, device.info().name, arch));
  return jobs;
}

/// The case behind a mismatch, drawn again on the host.
std::string Repeat(const Job& job, uint64_t seed, const Mismatch& m) {
  Tiles tile(*job.unit, 1);
  Generate(seed, m.tile, tile);
  return RepeatCommand(job.machine, tile, 0, m.row, m.col);
}

Json ReportJson(const Job& job, const Comparison& found, double seconds, uint64_t seed) {
  const fp8::Format& d = job.unit->shape.d;
  Json list = Json::array();
  for (const Mismatch& m : found.first)
    list.push_back({{"tile", m.tile},
                    {"row", m.row},
                    {"col", m.col},
                    {"device", cli::CodeDigits(m.device, d)},
                    {"twin", cli::CodeDigits(m.twin, d)},
                    {"repeat", Repeat(job, seed, m)}});
  return {{"machine", job.machine.name},
          {"instruction", PtxName(*job.unit)},
          {"cases", found.cases},
          {"mismatches", found.mismatches},
          {"nan", found.nan},
          {"inf", found.inf},
          {"zero", found.zero},
          {"subnormal", found.subnormal},
          {"seconds", seconds},
          {"first", list}};
}

int RunVerify(const Options& options, const Choice& choice) {
  if (!(choice.cases >= 1 && choice.cases <= 1e15))
    throw std::invalid_argument(fmt::format("--cases: expected 1 to 1e15, found {}", choice.cases));
  const std::unique_ptr<Backend> device = Open(options);
  Json list = Json::array();
  bool fine = true;
  for (const Job& job : JobsFor(*device, choice.machine)) {
    CheckUnit(*device, *job.unit);
    const int64_t outputs = job.unit->shape.Outputs();
    const int64_t tiles = (static_cast<int64_t>(choice.cases) + outputs - 1) / outputs;
    const int64_t round = (int64_t{1} << 22) / outputs;
    cli::Progress progress(PtxName(*job.unit) + ": tile", tiles);
    Comparison found;
    const auto start = std::chrono::steady_clock::now();
    for (int64_t done = 0; done < tiles; done += round) {
      progress.Update(done);
      found += device->Compare(*job.unit, job.machine.spec, options.seed, done,
                               std::min(round, tiles - done));
    }
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    fine = fine && found.mismatches == 0;
    list.push_back(ReportJson(job, found, time.count(), options.seed));
    if (options.json) continue;
    const auto percent = [&](int64_t part) { return cli::Percent(part, found.cases); };
    fmt::print(
        "{:<33} {} of {} differ, {:.1f} s\n  {}: NaN {:.1f} %, Inf {:.1f} %, zero {:.1f} %, "
        "subnormal {:.1f} %\n",
        UnitName(*job.unit), found.mismatches, found.cases, time.count(), job.machine.name,
        percent(found.nan), percent(found.inf), percent(found.zero), percent(found.subnormal));
    for (size_t i = 0; i < std::min<size_t>(found.first.size(), 3); ++i) {
      const Mismatch& m = found.first[i];
      const fp8::Format& d = job.unit->shape.d;
      fmt::print("  tile {} output ({}, {}): device {}, twin {}\n  {}\n", m.tile, m.row, m.col,
                 cli::CodeDigits(m.device, d), cli::CodeDigits(m.twin, d),
                 Repeat(job, options.seed, m));
    }
  }
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["seed"] = options.seed;
    body["units"] = list;
    cli::PrintJson("verify", body);
  }
  return fine ? cli::kFine : cli::kMismatch;
}

}  // namespace

void AddVerify(CLI::App& app, Options& options) {
  const auto choice = std::make_shared<Choice>();
  CLI::App* command =
      app.add_subcommand("verify", "The device against the simulator, on generated cases");
  command->add_option("-m,--machine", choice->machine,
                      "Machine, settings allowed (`lostbits machines`); all of the device's if "
                      "not given");
  command->add_option("--cases", choice->cases, "Cases of each instruction, rounded up to tiles");
  AddCommonOptions(*command, options);
  command->footer(
      "Exit code: 0 if no case differs, 1 if one does, 3 if there is no device.\n"
      "Example:\n  lostbits-gpu verify -m hopper:wgmma:e4m3:f32 --cases 1e9");
  command->callback(
      [choice, &options] { options.run = [=, &options] { return RunVerify(options, *choice); }; });
}

}  // namespace lostbits::gpu
