// GPUs, compute capabilities and code names of the architectures.
#include <fmt/format.h>

#include <stdexcept>

#include "registry_query.h"

namespace lostbits {
namespace {

// NVIDIA, "CUDA GPU Compute Capability"; AMD, "Accelerator and GPU hardware specifications".
struct ArchNames {
  const char* arch;  ///< as in sim::kArchTable
  const char* aliases;
};
constexpr ArchNames kArchNames[] = {
    {"volta", "volta v100 gv100 titan_v sm_70"},
    {"turing", "turing t4 rtx2060 rtx2070 rtx2080 rtx2080ti titan_rtx sm_75"},
    {"ampere",
     "ampere a100 a800 a30 sm_80 a2 a10 a16 a40 a4000 a5000 a6000 rtx3060 rtx3070 rtx3080 rtx3090 "
     "sm_86 orin sm_87"},
    {"ada", "ada l4 l40 l40s rtx4060 rtx4070 rtx4080 rtx4090 rtx1000 rtx6000ada sm_89"},
    {"hopper", "hopper h100 h200 h800 h20 gh200 sm_90 sm_90a"},
    {"blackwell", "blackwell b200 b100 gb200 sm_100 sm_100a sm_100f"},
    {"rtx_blackwell",
     "rtx_blackwell rtx5060 rtx5070 rtx5070ti rtx5080 rtx5090 rtxpro6000 sm_120 sm_120a sm_120f"},
    {"cdna1", "cdna1 cdna mi100 gfx908"},
    {"cdna2", "cdna2 mi210 mi250 mi250x gfx90a"},
    {"cdna3", "cdna3 mi300 mi300a mi300x mi325x gfx942"},
};

/// Known by name, but in none of the sources (sim::kSources).
struct NotCovered {
  const char* what;
  const char* aliases;
};
constexpr NotCovered kNotCovered[] = {
    {"Blackwell Ultra (sm_103)", "blackwell_ultra b300 gb300 sm_103 sm_103a sm_103f"},
    {"Jetson Thor (sm_110)", "thor jetson_thor sm_101 sm_101a sm_110 sm_110a sm_110f"},
    {"GB10 (sm_121)", "gb10 dgx_spark sm_121 sm_121a sm_121f"},
    {"Rubin (sm_107)", "rubin r100 vr200 sm_107 sm_107a sm_107f"},
    {"Xavier (sm_72)", "xavier sm_72"},
    {"CDNA4 (gfx950)", "cdna4 mi350 mi350x mi355x gfx950"},
    {"RDNA", "rdna3 rdna4 gfx1100 gfx1101 gfx1200 gfx1201"},
};

bool Names(const char* aliases, std::string_view wanted) {
  for (const std::string& alias : Split(aliases, " ")) {
    if (wanted == WithoutPunctuation(alias)) return true;
  }
  return false;
}

}  // namespace

std::string WithoutPunctuation(std::string_view text) {
  std::string kept;
  for (char c : LowerCase(text)) {
    if (c != '_' && c != '-' && c != ' ') kept += c;
  }
  return kept;
}

std::optional<std::string> FindArch(std::string_view token) {
  std::string wanted = WithoutPunctuation(token);
  for (std::string_view prefix : {"nvidia", "geforce", "amd", "instinct", "compute"}) {
    if (!wanted.starts_with(prefix)) continue;
    wanted.erase(0, prefix.size());
    if (prefix == "compute") wanted.insert(0, "sm");
  }
  for (const ArchNames& names : kArchNames) {
    if (Names(names.aliases, wanted)) return names.arch;
  }
  for (const NotCovered& other : kNotCovered) {
    if (!Names(other.aliases, wanted)) continue;
    std::vector<std::string> known;
    for (const ArchNames& names : kArchNames) known.emplace_back(names.arch);
    throw std::invalid_argument(fmt::format("no published model covers {}; the table has {}",
                                            other.what, fmt::join(known, ", ")));
  }
  return std::nullopt;
}

std::vector<std::string> ArchSpellings() {
  std::vector<std::string> all;
  for (const ArchNames& names : kArchNames) {
    for (const std::string& alias : Split(names.aliases, " ")) all.push_back(alias);
  }
  return all;
}

}  // namespace lostbits
