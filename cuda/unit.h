// The instructions that lostbits-gpu runs, as data, and the tiles of memory they read and write.
//
// A tile is one instruction's operands: a[m][k] and b[n][k] ("row" and "col" of PTX: both have k
// fastest) in whole bytes, c[m][n] and d[m][n] in words of 32 bits (an FP16 word in the low half).
#ifndef LOSTBITS_CUDA_UNIT_H_
#define LOSTBITS_CUDA_UNIT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "cuda/unit_list.h"
#include "fp8/format.h"

namespace lostbits::gpu {

/// What device code needs to know of a unit.
struct TileShape {
  fp8::Format a, b, d;
  int m, n, k;
  int row_bytes;  ///< of k products: 16 or 32

  FP8_HD constexpr int Outputs() const { return m * n; }
};

struct Unit {
  const char* instruction;  ///< as a machine's name has it: "mma.sync", "wgmma", "wmma"
  const char* a_type;       ///< as PTX spells it
  const char* b_type;
  const char* d_type;
  TileShape shape;
  int first, last;  ///< compute capabilities, 10 * major + minor
};

namespace unit {
inline constexpr fp8::Format f16 = fp8::kFP16, bf16 = fp8::kBF16, tf32 = fp8::kTF32,
                             f32 = fp8::kFP32, e4m3 = fp8::kE4M3FN, e5m2 = fp8::kE5M2;
}  // namespace unit

#define LOSTBITS_UNIT(name, m, n, bytes, k, ta, tb, td, first, last) \
  {name, #ta, #tb, #td, {unit::ta, unit::tb, unit::td, m, n, k, bytes}, first, last},
#define LOSTBITS_MMA(bytes, k, a, b, d, first, last) \
  LOSTBITS_UNIT("mma.sync", 16, 8, bytes, k, a, b, d, first, last)
#define LOSTBITS_WGMMA(bytes, k, a, b, d, first, last) \
  LOSTBITS_UNIT("wgmma", 64, 8, bytes, k, a, b, d, first, last)
#define LOSTBITS_WMMA(bytes, k, a, b, d, first, last) \
  LOSTBITS_UNIT("wmma", 16, 16, bytes, k, a, b, d, first, last)
inline constexpr Unit kUnits[] = {LOSTBITS_MMA_UNITS(LOSTBITS_MMA) LOSTBITS_WGMMA_UNITS(
    LOSTBITS_WGMMA) LOSTBITS_WMMA_UNITS(LOSTBITS_WMMA)};
#undef LOSTBITS_UNIT
#undef LOSTBITS_MMA
#undef LOSTBITS_WGMMA
#undef LOSTBITS_WMMA
inline constexpr int kUnitCount = sizeof(kUnits) / sizeof(kUnits[0]);
inline constexpr int kMaxUnitK = 32;
static_assert([] {
  for (const Unit& u : kUnits) {
    if (u.shape.k > kMaxUnitK || u.shape.m % u.shape.n != 0) return false;
  }
  return true;
}());

/// The table's name of a compute capability's architecture; "" if the table has none.
const char* ArchOf(int capability);
/// A compute capability of an architecture that kUnits has instructions for; 0 if there is none.
int CapabilityOf(std::string_view arch);

/// "wgmma.m64n8k32.e4m3.e5m2.f32": for files and messages.
std::string UnitName(const Unit& unit);
/// Null if no unit has that name.
const Unit* FindUnit(std::string_view name);
/// The instruction as PTX has it.
std::string PtxName(const Unit& unit);
/// The row of the machine table that a unit belongs to on `arch`; -1 if there is none.
int RowOf(const Unit& unit, std::string_view arch);

/// "ampere:mma.sync:f16:f32@k=8": the machine that says what the unit does on `arch`; "" if there
/// is none. "@k" only where the row's own k is another.
std::string MachineOf(const Unit& unit, std::string_view arch);

/// How an instruction is told to treat c and the signs. wgmma only; others have none of it.
struct Flags {
  bool drop_c = false;    ///< scale-d = 0: D = A * B
  bool negate_a = false;  ///< imm-scale-a = -1
  bool negate_b = false;  ///< imm-scale-b = -1

  constexpr bool operator==(const Flags&) const = default;
};

/// Where case `index` of a batch stands when every tile holds as many cases as share neither a row
/// nor a column: the tile, and the output (row, col). Over m / n tiles every row has its turn.
struct Place {
  int64_t tile;
  int row, col;
};
constexpr int CasesPerTile(const TileShape& u) { return u.n; }  // m is a multiple of n
constexpr Place PlaceOf(const TileShape& u, int64_t index) {
  const int64_t tile = index / u.n;
  const int col = static_cast<int>(index % u.n);
  return {tile, col + u.n * static_cast<int>(tile % (u.m / u.n)), col};
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_UNIT_H_
