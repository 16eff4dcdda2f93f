// The device's side of gpu.h.
#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "cuda/check.h"
#include "cuda/device_attention.h"
#include "cuda/device_bench.h"
#include "cuda/device_gemm.h"
#include "cuda/gpu.h"
#include "cuda/launch.h"

namespace lostbits::gpu {
namespace {

/// "580.65.06", or what the runtime knows: the newest CUDA that the driver can run.
std::string DriverName() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  if (std::getline(file, line)) {
    // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  ...": the first word of digits
    // and dots.
    size_t at = 0;
    while (at < line.size()) {
      const size_t end = std::min(line.find(' ', at), line.size());
      const std::string word = line.substr(at, end - at);
      if (word.find('.') != word.npos && word.find_first_not_of("0123456789.") == word.npos)
        return word;
      at = end + 1;
    }
  }
  int version = 0;
  Check(cudaDriverGetVersion(&version), "cudaDriverGetVersion");
  return "for CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

DeviceInfo InfoOfDevice() {
  cudaDeviceProp properties;
  Check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  DeviceInfo info;
  info.name = properties.name;
  info.capability = 10 * properties.major + properties.minor;
  info.arch = ArchOf(info.capability);
  info.driver = DriverName();
  info.toolkit = "CUDA " LOSTBITS_CUDA_VERSION;
  return info;
}

RunTiles LaunchOf(const Unit& unit) {
  auto index = static_cast<size_t>(&unit - kUnits);
  for (const auto launches : {MmaLaunches(), WgmmaLaunches(), WmmaLaunches()}) {
    if (index < launches.size()) return launches[index];
    index -= launches.size();
  }
  throw std::logic_error("a unit without a launch");
}

/// Tiles in device memory.
struct DeviceTiles {
  DeviceTiles(const Unit& unit, int64_t count)
      : a(Size(count, unit.shape.m * unit.shape.row_bytes)),
        b(Size(count, unit.shape.n * unit.shape.row_bytes)),
        c(Size(count, unit.shape.Outputs())),
        d(Size(count, unit.shape.Outputs())) {}
  explicit DeviceTiles(const Tiles& tiles)
      : a(std::span<const uint8_t>(tiles.a)),
        b(std::span<const uint8_t>(tiles.b)),
        c(std::span<const uint32_t>(tiles.c)),
        d(tiles.c.size()) {}

  TilePointers pointers() { return {a.data(), b.data(), c.data(), d.data()}; }

  DeviceArray<uint8_t> a, b;
  DeviceArray<uint32_t> c, d;

 private:
  static size_t Size(int64_t count, int each) {
    return static_cast<size_t>(count) * static_cast<size_t>(each);
  }
};

class Device : public Backend {
 public:
  Device() : Backend(InfoOfDevice()) {}

  void Run(Tiles& tiles, Flags flags) override {
    CheckRuns(*tiles.unit);
    if (tiles.count == 0) return;
    DeviceTiles device(tiles);
    LaunchOf (*tiles.unit)(device.pointers(), tiles.count, flags);
    device.d.CopyTo(tiles.d);
  }

  Comparison Compare(const Unit& unit, const sim::AccumSpec& spec, uint64_t seed, int64_t first,
                     int64_t count) override {
    CheckRuns(unit);
    // About two million outputs a round: launches are rare, memory stays below 100 MB.
    const int64_t round = std::max<int64_t>(1, (int64_t{1} << 21) / unit.shape.Outputs());
    DeviceTiles tiles(unit, std::min(round, count));
    DeviceArray<Tally> tally(1);
    DeviceArray<DeviceMismatch> mismatches(kMismatchRoom);
    Comparison result;
    for (int64_t done = 0; done < count; done += round) {
      const int64_t here = std::min(round, count - done);
      Check(cudaMemset(tally.data(), 0, sizeof(Tally)), "cudaMemset");
      GenerateTiles(unit.shape, seed, first + done, tiles.pointers(), here);
      LaunchOf(unit)(tiles.pointers(), here, {});
      CompareTiles(unit.shape, spec, first + done, tiles.pointers(), here, tally.data(),
                   mismatches.data());
      result += Gather(tally, mismatches, here * unit.shape.Outputs());
    }
    return result;
  }

  std::vector<uint32_t> Gemm(const GemmPlan& plan, const GemmOperands& operands) override {
    CheckRuns(plan);
    return DeviceGemm(plan, operands).Words();
  }

  AttentionRows Attention(const AttentionPlan& plan, const AttentionOperands& operands,
                          std::span<const int64_t> queries) override {
    CheckRuns(plan);
    return DeviceAttention(plan, operands, queries).Rows();
  }

  void Codec(const CodecPlan& plan, std::span<const uint8_t> in, std::span<uint8_t> out) override {
    CheckRuns(plan);
    RunDeviceCodec(plan, in, out);
  }
  Timing TimeCopy(int64_t bytes) override { return TimeDeviceCopy(bytes); }
  Timing TimeCodec(const CodecPlan& plan, int64_t count) override {
    CheckRuns(plan);
    return TimeDeviceCodec(plan, count);
  }
  Timing TimeGemm(const GemmPlan& plan, const GemmOperands& operands) override {
    CheckRuns(plan);
    return TimeDeviceGemm(plan, operands);
  }
  Timing TimeGemmPeer(const GemmPlan& plan, const GemmOperands& operands) override {
    return TimeDevicePeer(plan, operands);
  }
  Timing TimeAttention(const AttentionPlan& plan, const AttentionOperands& operands) override {
    CheckRuns(plan);
    return TimeDeviceAttention(plan, operands);
  }

  void Ex2(uint32_t first, std::span<uint32_t> out) override {
    DeviceArray<uint32_t> words(out.size());
    Ex2Words(first, words.data(), out.size());
    words.CopyTo(out);
  }

  void Encode(const fp8::Format& format, uint32_t first, std::span<uint8_t> out) override {
    CheckEncodes();
    const size_t even = (out.size() + 1) / 2 * 2;
    DeviceArray<uint8_t> codes(even);
    CvtCodes(format == fp8::kE4M3FN, first, codes.data(), even);
    codes.CopyTo(out);
  }

 private:
  static Comparison Gather(const DeviceArray<Tally>& tally,
                           const DeviceArray<DeviceMismatch>& mismatches, int64_t cases) {
    Tally counts;
    tally.CopyTo({&counts, 1});
    Comparison result;
    result.cases = cases;
    result.mismatches = static_cast<int64_t>(counts.mismatches);
    result.nan = static_cast<int64_t>(counts.nan);
    result.inf = static_cast<int64_t>(counts.inf);
    result.zero = static_cast<int64_t>(counts.zero);
    result.subnormal = static_cast<int64_t>(counts.subnormal);
    std::vector<DeviceMismatch> kept(kMismatchRoom);
    if (counts.mismatches > 0) mismatches.CopyTo(kept);
    kept.resize(std::min<size_t>(counts.mismatches, kMismatchRoom));
    for (const DeviceMismatch& m : kept)
      result.first.push_back({m.tile, m.row, m.col, m.device, m.twin});
    result += Comparison{};  // sorts and shortens
    return result;
  }
};

int DeviceCount(std::string* why) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess)
    *why = std::string("no CUDA device (") + cudaGetErrorString(error) + ")";
  else if (count == 0)
    *why = "no CUDA device";
  cudaGetLastError();  // an error here is an answer, and must not be found by a later call
  return error == cudaSuccess ? count : 0;
}

}  // namespace

std::unique_ptr<Backend> OpenDevice() {
  std::string why;
  return DeviceCount(&why) > 0 ? std::make_unique<Device>() : nullptr;
}

std::string WhyNoDevice() {
  std::string why;
  DeviceCount(&why);
  return why;
}

}  // namespace lostbits::gpu
