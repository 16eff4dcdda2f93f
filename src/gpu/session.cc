#include "gpu/session.h"

#include <algorithm>
#include <ctime>

#include "cli/dot_lines.h"
#include "cuda/generator.h"

namespace lostbits::gpu {

void AddCommonOptions(CLI::App& command, Options& options) {
  command.add_flag("--json", options.json, "Print one JSON object (with schema_version)");
  command.add_option("--seed", options.seed, "Seed of generated cases");
  command.add_option("--simulate", options.simulate,
                     "The simulator in the device's place: an architecture, and settings to make "
                     "it answer otherwise (hopper@e_zero=-126)");
}

namespace {

std::unique_ptr<Backend> OpenSimulated(const std::string& name) {
  const size_t at = name.find('@');
  const std::string arch = name.substr(0, at);
  const std::string setting = at == name.npos ? "" : name.substr(at + 1);
  return Simulate(
      arch, [arch, setting](const Unit& unit) { return MachineFor(unit, arch, setting).spec; });
}

}  // namespace

std::unique_ptr<Backend> Open(const Options& options) {
  std::unique_ptr<Backend> device =
      options.simulate.empty() ? OpenDevice() : OpenSimulated(options.simulate);
  if (!device)
    throw cli::Failure(cli::kNoEvidence, WhyNoDevice() +
                                             "; --simulate ARCH runs the simulator "
                                             "in its place");
  if (UnitsOf(*device).empty())
    throw cli::Failure(cli::kNoEvidence,
                       fmt::format("{} (compute capability {}.{}): no instruction of the machine "
                                   "table runs on it",
                                   device->info().name, device->info().capability / 10,
                                   device->info().capability % 10));
  return device;
}

std::vector<const Unit*> UnitsOf(const Backend& device) {
  std::vector<const Unit*> units;
  for (const Unit& unit : kUnits) {
    if (device.Runs(unit) && RowOf(unit, device.info().arch) >= 0) units.push_back(&unit);
  }
  return units;
}

Machine MachineFor(const Unit& unit, const std::string& arch, const std::string& setting) {
  const std::string own = MachineOf(unit, arch);
  const size_t at = std::min(own.find('@'), own.size());
  std::vector<std::string> settings = Split(setting, ",");
  // The unit's own settings, but for those that are given anew.
  for (const std::string& mine : Split(own.substr(at), "@,")) {
    const std::string key = mine.substr(0, mine.find('=') + 1);
    if (std::none_of(settings.begin(), settings.end(),
                     [&](const std::string& other) { return other.starts_with(key); }))
      settings.push_back(mine);
  }
  const std::string row = own.substr(0, at);
  return FindMachine(settings.empty() ? row : fmt::format("{}@{}", row, fmt::join(settings, ",")));
}

namespace {

/// -2 to 2.
uint64_t SmallInteger(sim::Random& r, fp8::Format f) {
  return fp8::Pack(f, fp8::Unpack(static_cast<double>(r.Between(-2, 2)))).code;
}
double ValueOf(fp8::Format f, uint64_t code) { return cli::CodeValue(f, code); }

void CheckPlacement(Backend& device, const Unit& unit) {
  const TileShape& s = unit.shape;
  const int bytes = s.row_bytes / s.k;
  Tiles tiles(unit, 4);
  sim::Random r(1);
  for (int64_t t = 0; t < tiles.count; ++t) {
    for (int i = 0; i < s.m; ++i)
      for (int k = 0; k < s.k; ++k)
        detail::StoreCode(tiles.A(t, i), k, bytes, SmallInteger(r, s.a));
    for (int j = 0; j < s.n; ++j)
      for (int k = 0; k < s.k; ++k)
        detail::StoreCode(tiles.B(t, j), k, bytes, SmallInteger(r, s.b));
  }
  for (uint32_t& c : tiles.c) c = static_cast<uint32_t>(SmallInteger(r, s.d));
  device.Run(tiles);
  for (int64_t t = 0; t < tiles.count; ++t) {
    for (int i = 0; i < s.m; ++i) {
      for (int j = 0; j < s.n; ++j) {
        double sum = ValueOf(s.d, tiles.C(t, i, j));
        for (int k = 0; k < s.k; ++k)
          sum += ValueOf(s.a, LoadCode(tiles.A(t, i), k, bytes)) *
                 ValueOf(s.b, LoadCode(tiles.B(t, j), k, bytes));
        const double got = ValueOf(s.d, tiles.D(t, i, j));
        if (got != sum)
          throw cli::Failure(
              cli::kMismatch,
              fmt::format("{}: operands are in wrong places: output ({}, {}) of small integers is "
                          "{}, expected {}",
                          UnitName(unit), i, j, got, sum));
      }
    }
  }
}

}  // namespace

void CheckUnit(Backend& device, const Unit& unit) {
  CheckPlacement(device, unit);
  sim::AccumSpec spec = MachineFor(unit, device.info().arch).spec;
  for (const bool wrong : {false, true}) {
    if (wrong) spec.fraction_bits -= 1;
    const Comparison here = device.CompareOnHost(unit, spec, 1, 0, 24);
    const Comparison there = device.Compare(unit, spec, 1, 0, 24);
    if (here.mismatches != there.mismatches || here.first != there.first || here.nan != there.nan ||
        here.zero != there.zero)
      throw cli::Failure(cli::kMismatch,
                         fmt::format("{}: the twin on the device finds {} mismatches where the "
                                     "host's finds {}",
                                     UnitName(unit), there.mismatches, here.mismatches));
  }
}

std::string RepeatCommand(const Machine& machine, const Tiles& tiles, int64_t tile, int row,
                          int col) {
  const TileShape& s = tiles.unit->shape;
  cli::DotLine line;
  for (int k = 0; k < s.k; ++k) {
    line.a.push_back(LoadCode(tiles.A(tile, row), k, s.row_bytes / s.k));
    line.b.push_back(LoadCode(tiles.B(tile, col), k, s.row_bytes / s.k));
  }
  line.c = tiles.C(tile, row, col);
  const bool assumed = machine.row->evidence.level == sim::EvidenceLevel::kAssumed;
  return fmt::format("lostbits explain -m {}{} '{}'", machine.name,
                     assumed ? " --allow-unverified" : "", cli::DotLineText(machine.spec, line));
}

Json DeviceJson(const DeviceInfo& info) {
  return {{"device", info.name},
          {"compute_capability", fmt::format("{}.{}", info.capability / 10, info.capability % 10)},
          {"driver", info.driver},
          {"toolkit", info.toolkit},
          {"simulated", info.simulated}};
}

std::string DateNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

Metadata OriginOf(const DeviceInfo& info, const Options& options) {
  return {{"format", "lostbits golden 1"},
          {"device", info.name},
          {"compute_capability", fmt::format("{}.{}", info.capability / 10, info.capability % 10)},
          {"driver", info.driver},
          {"toolkit", info.toolkit},
          {"simulated", info.simulated ? "true" : "false"},
          {"date", DateNow()},
          {"command", options.command}};
}

}  // namespace lostbits::gpu
