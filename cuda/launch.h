// Between the .cu files: what runs one unit's instruction on tiles in device memory.
#ifndef LOSTBITS_CUDA_LAUNCH_H_
#define LOSTBITS_CUDA_LAUNCH_H_

#include <cstdint>
#include <span>

#include "cuda/unit.h"
#include "sim/arch.h"

namespace lostbits::gpu {

/// Device memory, as Tiles has it in host memory.
struct TilePointers {
  uint8_t* a;
  uint8_t* b;
  uint32_t* c;
  uint32_t* d;
};
using RunTiles = void (*)(const TilePointers&, int64_t count, Flags);

/// In the order of LOSTBITS_MMA_UNITS, LOSTBITS_WGMMA_UNITS, LOSTBITS_WMMA_UNITS.
std::span<const RunTiles> MmaLaunches();
std::span<const RunTiles> WgmmaLaunches();
std::span<const RunTiles> WmmaLaunches();

/// a, b and c of tiles first, first + 1, ... (cuda/generator.h).
void GenerateTiles(const TileShape& shape, uint64_t seed, int64_t first, const TilePointers& tiles,
                   int64_t count);

/// What CompareTiles counts; in device memory.
struct Tally {
  unsigned long long mismatches, nan, inf, zero, subnormal;
};
struct DeviceMismatch {
  int64_t tile;
  int row, col;
  uint32_t device, twin;
};
inline constexpr int kMismatchRoom = 1 << 16;  ///< of one call; more are counted only
/// d against the twin; adds to `tally`, and puts the first that come into `mismatches`.
void CompareTiles(const TileShape& shape, const sim::AccumSpec& spec, int64_t first,
                  const TilePointers& tiles, int64_t count, Tally* tally,
                  DeviceMismatch* mismatches);

/// out[i] = ex2.approx.ftz.f32 of the float with bits first + i; device memory.
void Ex2Words(uint32_t first, uint32_t* out, size_t count);
/// Two codes an element pair: cvt.rn.satfinite to E4M3FN, or E5M2. count is even.
void CvtCodes(bool e4m3, uint32_t first, uint8_t* out, size_t count);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_LAUNCH_H_
