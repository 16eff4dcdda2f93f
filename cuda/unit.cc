#include "cuda/unit.h"

#include "sim/arch_table.h"

namespace lostbits::gpu {
namespace {

struct ArchRange {
  const char* arch;
  int first, last;  ///< compute capabilities
};
// CUDA C++ Programming Guide, "Compute Capabilities".
constexpr ArchRange kArchs[] = {{"turing", 75, 75},      {"ampere", 80, 88},
                                {"ada", 89, 89},         {"hopper", 90, 90},
                                {"blackwell", 100, 109}, {"rtx_blackwell", 120, 129}};

std::string Operands(const Unit& u) {
  const std::string a = u.a_type, b = u.b_type;
  return a == b ? a : a + "." + b;
}

std::string ShapeName(const Unit& u) {
  std::string name = "m";
  name += std::to_string(u.shape.m) + "n" + std::to_string(u.shape.n);
  return name + "k" + std::to_string(u.shape.k);
}

}  // namespace

const char* ArchOf(int capability) {
  for (const ArchRange& range : kArchs) {
    if (capability >= range.first && capability <= range.last) return range.arch;
  }
  return "";
}

int CapabilityOf(std::string_view arch) {
  for (const ArchRange& range : kArchs) {
    if (arch == range.arch) return range.first;
  }
  return 0;
}

std::string UnitName(const Unit& u) {
  return std::string(u.instruction) + "." + ShapeName(u) + "." + Operands(u) + "." + u.d_type;
}

const Unit* FindUnit(std::string_view name) {
  for (const Unit& u : kUnits) {
    if (UnitName(u) == name) return &u;
  }
  return nullptr;
}

std::string PtxName(const Unit& u) {
  const std::string_view instruction = u.instruction;
  const std::string a = u.a_type, b = u.b_type, d = u.d_type, types = a + "." + b;
  if (instruction == "wgmma") {
    return "wgmma.mma_async.sync.aligned." + ShapeName(u) + "." + d + "." + types;
  }
  if (instruction == "wmma") {
    return "wmma.mma.sync.aligned.row.col." + ShapeName(u) + "." + d + "." + types + "." + d;
  }
  return "mma.sync.aligned." + ShapeName(u) + ".row.col." + d + "." + types + "." + d;
}

int RowOf(const Unit& u, std::string_view arch) {
  const std::string in = Operands(u);
  // wmma has a row of its own only where it differs from mma.sync (Hopper's TF32).
  const std::string_view own = u.instruction;
  const std::string_view names[] = {own, own == "wmma" ? "mma.sync" : own};
  for (const std::string_view name : names) {
    for (size_t i = 0; i < sim::kArchTable.size(); ++i) {
      const sim::ArchRow& row = sim::kArchTable[i];
      if (arch == row.arch && name == row.instruction && in == row.in && *row.scale == '\0' &&
          std::string_view(u.d_type) == row.out)
        return static_cast<int>(i);
    }
  }
  return -1;
}

std::string MachineOf(const Unit& u, std::string_view arch) {
  const int row = RowOf(u, arch);
  if (row < 0) return "";
  const sim::ArchRow& r = sim::kArchTable[static_cast<size_t>(row)];
  std::string name = std::string(r.arch) + ":" + r.instruction + ":" + r.in + ":" + r.out;
  if (u.shape.k == r.spec.k) return name;
  name += "@k=" + std::to_string(u.shape.k);
  // Two groups whatever k: an assumption, for no source has this flow at another k.
  if (r.spec.flow == sim::Flow::kInterleavedLateC)
    name += ",group=" + std::to_string(u.shape.k / 2);
  return name;
}

}  // namespace lostbits::gpu
