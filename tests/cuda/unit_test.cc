// The units and their tiles: names, machines, where cases stand; the generator.
#include "cuda/unit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "cuda/generator.h"
#include "cuda/gpu.h"
#include "registry.h"

namespace lostbits::gpu {
namespace {

constexpr const char* kArchs[] = {"turing", "ampere",    "ada",
                                  "hopper", "blackwell", "rtx_blackwell"};

TEST(Unit, SizesAreTheTypes) {
  for (const Unit& unit : kUnits) {
    SCOPED_TRACE(UnitName(unit));
    const TileShape& s = unit.shape;
    EXPECT_EQ(s.row_bytes, s.k * fp8::StorageBits(s.a) / 8);
    EXPECT_EQ(fp8::StorageBits(s.a), fp8::StorageBits(s.b));
    EXPECT_EQ(FindUnit(UnitName(unit)), &unit);
  }
}

TEST(Unit, EveryUnitOfEveryArchitectureIsAMachine) {
  int machines = 0;
  for (const char* arch : kArchs) {
    for (const Unit& unit : kUnits) {
      if (CapabilityOf(arch) < unit.first || CapabilityOf(arch) > unit.last) continue;
      const std::string name = MachineOf(unit, arch);
      SCOPED_TRACE(UnitName(unit) + " on " + arch);
      ASSERT_NE(name, "");
      const Machine machine = FindMachine(name);
      EXPECT_EQ(machine.spec.a, unit.shape.a);
      EXPECT_EQ(machine.spec.b, unit.shape.b);
      EXPECT_EQ(machine.spec.acc, unit.shape.d);
      EXPECT_EQ(machine.spec.k, unit.shape.k);
      ++machines;
    }
  }
  // Turing's two, Ampere's 9, Ada's, Blackwell's and RTX Blackwell's 25, Hopper's 37.
  EXPECT_EQ(machines, 2 + 9 + 3 * 25 + 37);
}

TEST(Unit, PtxNamesFindTheRow) {
  for (const Unit& unit : kUnits) {
    const std::string name = PtxName(unit);
    SCOPED_TRACE(name);
    // k = 16 of FP8 is no shape that any source describes on Hopper.
    if (unit.shape.k == 16 && fp8::StorageBits(unit.shape.a) == 8) continue;
    const Machine machine = FindMachine("hopper:" + name);
    EXPECT_EQ(machine.row, &sim::kArchTable[static_cast<size_t>(RowOf(unit, "hopper"))]);
  }
}

TEST(Unit, CasesStandOnDiagonalsAndVisitEveryRowAndColumn) {
  for (const Unit& unit : kUnits) {
    const TileShape& s = unit.shape;
    std::set<std::tuple<int64_t, int>> rows, cols;
    std::set<int> all_rows, all_cols;
    for (int i = 0; i < 2 * s.m * s.n; ++i) {
      const Place at = PlaceOf(s, i);
      ASSERT_LT(at.row, s.m);
      ASSERT_LT(at.col, s.n);
      // Two cases of a tile share neither a row nor a column.
      EXPECT_TRUE(rows.emplace(at.tile, at.row).second);
      EXPECT_TRUE(cols.emplace(at.tile, at.col).second);
      all_rows.insert(at.row);
      all_cols.insert(at.col);
    }
    EXPECT_EQ(all_rows.size(), size_t(s.m));
    EXPECT_EQ(all_cols.size(), size_t(s.n));
  }
}

/// A checksum of the first tiles of a unit.
uint64_t Fingerprint(const Unit& unit, uint64_t seed, int64_t first) {
  Tiles tiles(unit, 16);
  Generate(seed, first, tiles);
  uint64_t hash = 0xcbf2'9ce4'8422'2325;  // FNV-1a
  const auto add = [&](uint64_t x) { hash = (hash ^ x) * 0x100'0000'01b3; };
  for (uint8_t byte : tiles.a) add(byte);
  for (uint8_t byte : tiles.b) add(byte);
  for (uint32_t word : tiles.c) add(word);
  return hash;
}

TEST(Generator, SameSeedSameTilesWhereverTheyStart) {
  const Unit& unit = *FindUnit("wgmma.m64n8k32.e4m3.f32");
  Tiles all(unit, 8), last(unit, 1);
  Generate(7, 0, all);
  Generate(7, 5, last);
  for (int i = 0; i < 64; ++i)
    EXPECT_TRUE(std::equal(all.A(5, i), all.A(5, i) + 32, last.A(0, i))) << i;
  EXPECT_EQ(all.C(5, 63, 7), last.C(0, 63, 7));
  EXPECT_NE(Fingerprint(unit, 7, 0), Fingerprint(unit, 8, 0));
}

// A recorded mismatch names a tile: whoever repeats it must draw the same one. Raise
// kGeneratorVersion with these.
TEST(Generator, TilesAreThoseOfItsVersion) {
  EXPECT_EQ(kGeneratorVersion, 1);
  EXPECT_EQ(Fingerprint(*FindUnit("mma.sync.m16n8k16.bf16.f32"), 0, 0), 4'429'209'766'429'054'224u);
  EXPECT_EQ(Fingerprint(*FindUnit("wgmma.m64n8k32.e5m2.f16"), 0, 0), 3'361'312'149'977'128'908u);
}

TEST(Generator, EveryKindOfResultComesUp) {
  const auto device = Simulate(
      "hopper", [](const Unit& unit) { return FindMachine(MachineOf(unit, "hopper")).spec; });
  for (const Unit& unit : kUnits) {
    SCOPED_TRACE(UnitName(unit));
    const sim::AccumSpec spec = FindMachine(MachineOf(unit, "hopper")).spec;
    const Comparison found = device->Compare(unit, spec, 0, 0, 160);
    EXPECT_EQ(found.mismatches, 0);
    EXPECT_GT(found.zero, 0);
    EXPECT_GT(found.subnormal, 0);
    EXPECT_GT(found.nan, 0);
    EXPECT_GT(found.inf, 0);
    EXPECT_LT(found.nan + found.inf + found.zero, found.cases * 2 / 3);
  }
}

// What a device that is not the machine looks like: settings that only few inputs show.
TEST(Generator, FindsMachinesThatDiffer) {
  struct Other {
    const char* unit;
    const char* setting;
    int64_t tiles = 400;
  };
  constexpr Other kOthers[] = {{"wgmma.m64n8k32.e4m3.f32", "F=12"},
                               {"wgmma.m64n8k32.e4m3.f32", "group=16"},
                               {"wgmma.m64n8k32.e4m3.f32", "out=acc"},
                               {"wgmma.m64n8k32.e5m2.f16", "F=14"},
                               {"wgmma.m64n8k16.f16.f16", "e_zero=-22", 3000},
                               {"wgmma.m64n8k16.bf16.f32", "e_zero=-132"},
                               {"wgmma.m64n8k16.bf16.f32", "e_zero=-134"},
                               {"wgmma.m64n8k16.bf16.f32", "underflow=signed"},
                               {"mma.sync.m16n8k16.f16.f32", "F=26"},
                               {"mma.sync.m16n8k8.tf32.f32", "group=4"},
                               {"mma.sync.m16n8k32.e5m2.f32", "flow=chained"},
                               {"wmma.m16n16k8.tf32.f32", "group=8"}};
  for (const Other& other : kOthers) {
    SCOPED_TRACE(std::string(other.unit) + "@" + other.setting);
    const Unit& unit = *FindUnit(other.unit);
    const std::string name = MachineOf(unit, "hopper");
    const auto device = Simulate(
        "hopper", [&](const Unit&) { return FindMachine(name + "@" + other.setting).spec; });
    const Comparison found = device->Compare(unit, FindMachine(name).spec, 0, 0, other.tiles);
    EXPECT_GT(found.mismatches, 0);
    EXPECT_EQ(found.first.size(), std::min<size_t>(size_t(found.mismatches), Comparison::kKept));
  }
}

}  // namespace
}  // namespace lostbits::gpu
