// What the commands of lostbits-gpu share: whom they ask, and the simulator's side of every answer.
#ifndef LOSTBITS_SRC_GPU_SESSION_H_
#define LOSTBITS_SRC_GPU_SESSION_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/output.h"
#include "cuda/gpu.h"
#include "registry.h"
#include "tensor_file.h"

namespace lostbits::gpu {

using Json = nlohmann::ordered_json;

struct Options {
  bool json = false;
  uint64_t seed = 0;
  std::string simulate;  ///< "hopper", "hopper@e_zero=-126"; "": a real device
  std::string command;   ///< as typed, for goldens
  std::function<int()> run;
};
void AddCommonOptions(CLI::App& command, Options& options);

// One function a command; each sets options.run when chosen.
void AddDevice(CLI::App& app, Options& options);
void AddProbe(CLI::App& app, Options& options);
void AddVerify(CLI::App& app, Options& options);
void AddCapture(CLI::App& app, Options& options);
void AddCaptureKernels(CLI::App& app, Options& options);
void AddReplay(CLI::App& app, Options& options);
void AddExp2(CLI::App& app, Options& options);
void AddEncode(CLI::App& app, Options& options);
void AddGemm(CLI::App& app, Options& options);
void AddAttention(CLI::App& app, Options& options);
void AddCodec(CLI::App& app, Options& options);
void AddBench(CLI::App& app, Options& options);

/// The device, or what --simulate puts in its place, checked by CheckUnits. Throws cli::Failure
/// (no evidence) if there is no device or the machine table has none like it.
std::unique_ptr<Backend> Open(const Options& options);

/// The units that `device` runs and the machine table has a row for.
std::vector<const Unit*> UnitsOf(const Backend& device);
/// The machine of a unit on an architecture, with a setting ("" for none) behind it.
Machine MachineFor(const Unit& unit, const std::string& arch, const std::string& setting = "");

/// Small integers, whose sums no machine rounds: finds operands in wrong places before they are
/// taken for arithmetic. And: a device's own comparison with the twin (cuda/twin.cu) says what the
/// host's says, for the machine and for a wrong one. Throws cli::Failure (mismatch).
void CheckUnit(Backend& device, const Unit& unit);

/// "echo 'a ; b ; c' | lostbits dot -m MACHINE" of an output of a tile.
std::string RepeatCommand(const Machine& machine, const Tiles& tiles, int64_t tile, int row,
                          int col);
/// {"device", "compute_capability", "driver", "toolkit", "simulated"}.
Json DeviceJson(const DeviceInfo& info);
/// "2026-11-22T04:18:18Z".
std::string DateNow();
/// What every golden says of where it comes from.
Metadata OriginOf(const DeviceInfo& info, const Options& options);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_SRC_GPU_SESSION_H_
