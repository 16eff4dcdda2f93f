// lostbits-gpu capture, replay: goldens written from a device, and read back without one.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cuda/generator.h"
#include "gpu/chosen.h"
#include "gpu/exp2_golden.h"
#include "gpu/golden.h"
#include "gpu/kernel_golden.h"
#include "gpu/probe_run.h"

namespace lostbits::gpu {
namespace {

namespace fs = std::filesystem;

/// Every pattern of the generator several times, and 4,096 cases at least.
int GeneratedTiles(const Unit& unit) { return std::max(24, 4096 / unit.shape.Outputs()); }

TileGolden CaptureUnit(Backend& device, const Unit& unit, const std::vector<Question>& questions,
                       const Options& options) {
  std::vector<Case> cases;
  for (const Question& q : questions) {
    if (q.unit == &unit && q.probe->flags == Flags{}) cases.push_back(q.input);
  }
  for (Case& x : cases) {  // as long as the ladders' cases, so that equal b are found equal
    x.a.resize(static_cast<size_t>(unit.shape.k));
    x.b.resize(static_cast<size_t>(unit.shape.k));
  }
  const std::vector<Case> ladders = Ladders(unit);
  cases.insert(cases.end(), ladders.begin(), ladders.end());
  Metadata metadata = OriginOf(device.info(), options);
  metadata.emplace_back("generator",
                        fmt::format("version {}, seed {}, last {} tiles", kGeneratorVersion,
                                    options.seed, GeneratedTiles(unit)));
  TileGolden golden{metadata, device.info().arch,
                    CaptureTiles(unit, cases, options.seed, GeneratedTiles(unit))};
  device.Run(golden.tiles);
  return golden;
}

int RunCapture(const Options& options, const std::string& folder) {
  const std::unique_ptr<Backend> device = Open(options);
  CheckFolder(folder, device->info());
  const std::vector<Question> questions = QuestionsFor(*device);
  Json list = Json::array();
  bool fine = true;
  for (const Unit* unit : UnitsOf(*device)) {
    CheckUnit(*device, *unit);
    const std::string path = TilePath(folder, device->info().arch, *unit).string();
    Json json = {{"file", path}};
    if (fs::exists(path)) {
      // What is recorded stays: this device is asked the same and may agree or not.
      const Agreement agreement = RerunTiles(ReadTiles(path), *device);
      const bool agrees = agreement.matched == agreement.rows;
      fine = fine && agrees;
      json.update(Json{{"rows", agreement.rows}, {"matched", agreement.matched}});
      if (!agrees) json["first"] = agreement.first;
      if (!options.json)
        fmt::print("{}: there already; this device gives {}/{} of its words{}{}\n", path,
                   agreement.matched, agreement.rows,
                   agrees ? "" : ". NOT OVERWRITTEN: ", agreement.first);
    } else {
      const TileGolden golden = CaptureUnit(*device, *unit, questions, options);
      WriteTiles(path, golden);
      const Agreement agreement = ReplayTiles(golden);
      json.update(Json{{"rows", agreement.rows}, {"simulated_equal", agreement.matched}});
      if (!agreement.first.empty()) json["first"] = agreement.first;
      if (!options.json)
        fmt::print("{}: written, {} cases; the simulator gives {} of them{}{}\n", path,
                   agreement.rows, agreement.matched, agreement.first.empty() ? "" : "; ",
                   agreement.first);
    }
    list.push_back(json);
  }
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["goldens"] = list;
    cli::PrintJson("capture", body);
  }
  return fine ? cli::kFine : cli::kMismatch;
}

Agreement ReplayFile(const fs::path& path, std::string* device) {
  if (path.filename() == "probes.json") {
    *device = "";
    return ReplayProbes(path.string());
  }
  const Metadata metadata = SafetensorsMetadata(path.string());
  *device = Lookup(metadata, "device");
  if (Lookup(metadata, "kind") == "kernel") return ReplayKernel(path.string(), nullptr);
  if (Lookup(metadata, "kind") == "exp2") return ReplayExp2(path.string(), /*blocks=*/16);
  return ReplayTiles(ReadTiles(path.string()));
}

int RunReplay(const Options& options, const std::string& folder) {
  Json list = Json::array();
  int64_t rows = 0, matched = 0;
  const std::vector<fs::path> paths = GoldensIn(folder);
  for (const fs::path& path : paths) {
    std::string device;
    const Agreement found = ReplayFile(path, &device);
    rows += found.rows;
    matched += found.matched;
    const std::string name = fs::relative(path, folder).string();
    Json json = {
        {"file", name}, {"device", device}, {"rows", found.rows}, {"matched", found.matched}};
    if (!found.first.empty()) json["first"] = found.first;
    list.push_back(json);
    if (options.json) continue;
    fmt::print("{}  {}/{}{}{}\n", name, found.matched, found.rows,
               device.empty() ? "" : "  " + device,
               found.first.empty() ? "" : "\n  " + found.first);
  }
  if (options.json) {
    cli::PrintJson("replay",
                   {{"folder", folder}, {"rows", rows}, {"matched", matched}, {"goldens", list}});
  } else if (paths.empty()) {
    fmt::print("SKIPPED: {} holds no golden; `lostbits-gpu capture` on a GPU writes them\n",
               folder);
  } else {
    fmt::print("{} goldens, {}/{} rows match bit for bit\n", paths.size(), matched, rows);
  }
  return matched == rows ? cli::kFine : cli::kMismatch;
}

}  // namespace

void AddCapture(CLI::App& app, Options& options) {
  const auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("capture", "Records what every instruction answers");
  command->add_option("--to", *folder, "Folder of goldens: writes ARCH/UNIT.safetensors")
      ->required();
  AddCommonOptions(*command, options);
  command->footer(
      "A golden that is there is never overwritten: its inputs are run again and compared.\n"
      "Exit code: 0 if none disagrees, 1 if one does, 3 if there is no device.");
  command->callback(
      [folder, &options] { options.run = [=, &options] { return RunCapture(options, *folder); }; });
}

void AddReplay(CLI::App& app, Options& options) {
  const auto folder = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("replay", "Goldens against the simulator; needs no GPU");
  command->add_option("DIR", *folder, "Folder of goldens")->required();
  AddCommonOptions(*command, options);
  command->callback(
      [folder, &options] { options.run = [=, &options] { return RunReplay(options, *folder); }; });
}

}  // namespace lostbits::gpu
