#include "cli/bench_host.h"

#include <fmt/format.h>
#include <sched.h>

#include <cstdlib>
#include <fstream>

#include "sim/gemm.h"

namespace lostbits::cli {
namespace {

/// The first line of /proc/cpuinfo for a key.
std::string CpuInfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (colon != line.npos && line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1) == key)
      return line.substr(colon + 2);
  }
  return "";
}

/// Bytes of the data cache of a level that one core sees; 0: not known. (sysconf gives a virtual
/// machine the L3 of the whole socket.)
int64_t CacheBytes(int level) {
  for (int index = 0; index < 8; ++index) {
    const auto read = [&](const char* what) {
      std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/{}", index, what));
      std::string word;
      file >> word;
      return word;
    };
    if (read("level") != fmt::to_string(level) || read("type") == "Instruction") continue;
    const std::string size = read("size");
    const int64_t unit = size.ends_with('K') ? 1024 : size.ends_with('M') ? 1024 * 1024 : 1;
    return std::strtoll(size.c_str(), nullptr, 10) * unit;
  }
  return 0;
}

}  // namespace

BenchHost ThisHost() {
  BenchHost host;
  host.cpu = CpuInfo("model name");
  if (host.cpu.empty()) host.cpu = "unknown CPU";
  // Virtual machines hide the name; family and model tell the core.
  if (const std::string family = CpuInfo("cpu family"); !family.empty())
    host.cpu += fmt::format(" (family {}, model {})", family, CpuInfo("model"));
  cpu_set_t set;
  host.cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
  host.l1d = CacheBytes(1);
  host.l2 = CacheBytes(2);
  host.l3 = CacheBytes(3);
  host.instruction_set = sim::InstructionSetName();
#if defined(__clang__)
  host.compiler = "clang " __clang_version__;
#elif defined(__GNUC__)
  host.compiler = "g++ " __VERSION__;
#endif
  return host;
}

}  // namespace lostbits::cli
