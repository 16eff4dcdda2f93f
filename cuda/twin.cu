// Generated tiles, and the simulator's answer to each of their outputs beside the device's. Any
// machine of the table: its spec is an argument. Compiled with -fmad=false.
#include "cuda/check.h"
#include "cuda/generator.h"
#include "cuda/launch.h"
#include "cuda/twin.h"

namespace lostbits::gpu {
namespace {

constexpr int kThreads = 128;

/// A block a tile: lines of a, then of b, then words of c.
__global__ void GenerateKernel(TileShape s, uint64_t seed, int64_t first, TilePointers tiles) {
  const int64_t at = blockIdx.x, tile = first + at;
  const Theme theme = ThemeOf(s, seed, tile);
  for (int i = threadIdx.x; i < s.m + s.n; i += kThreads) {
    const bool is_a = i < s.m;
    const int line = is_a ? i : i - s.m;
    uint8_t* to = is_a ? tiles.a + (at * s.m + line) * s.row_bytes
                       : tiles.b + (at * s.n + line) * s.row_bytes;
    FillLine(s, theme, seed, tile, is_a ? Side::kA : Side::kB, line, to);
  }
  for (int i = threadIdx.x; i < s.Outputs(); i += kThreads)
    tiles.c[at * s.Outputs() + i] = AddendOf(s, theme, seed, tile, i / s.n, i % s.n);
}

__global__ void CompareKernel(TileShape s, sim::AccumSpec spec, int64_t first, TilePointers tiles,
                              Tally* tally, DeviceMismatch* mismatches) {
  const int64_t at = blockIdx.x;
  Tally mine{};
  for (int i = threadIdx.x; i < s.Outputs(); i += kThreads) {
    const int row = i / s.n, col = i % s.n;
    const int64_t word = at * s.Outputs() + i;
    const uint32_t device = tiles.d[word];
    const uint32_t twin = TwinOutput(spec, s, tiles.a + (at * s.m + row) * s.row_bytes,
                                     tiles.b + (at * s.n + col) * s.row_bytes, tiles.c[word]);
    const fp8::Unpacked u = fp8::Unpack(s.d, device);
    mine.nan += u.cls == fp8::Class::kNan;
    mine.inf += u.cls == fp8::Class::kInf;
    mine.zero += u.cls == fp8::Class::kZero;
    mine.subnormal += u.cls == fp8::Class::kFinite && u.significand >> s.d.mantissa_bits == 0;
    if (device == twin) continue;
    const unsigned long long place = atomicAdd(&tally->mismatches, 1);
    if (place < kMismatchRoom) mismatches[place] = {first + at, row, col, device, twin};
  }
  if (mine.nan) atomicAdd(&tally->nan, mine.nan);
  if (mine.inf) atomicAdd(&tally->inf, mine.inf);
  if (mine.zero) atomicAdd(&tally->zero, mine.zero);
  if (mine.subnormal) atomicAdd(&tally->subnormal, mine.subnormal);
}

}  // namespace

void GenerateTiles(const TileShape& shape, uint64_t seed, int64_t first, const TilePointers& tiles,
                   int64_t count) {
  GenerateKernel<<<static_cast<unsigned>(count), kThreads>>>(shape, seed, first, tiles);
  CheckLaunch("generator");
}

void CompareTiles(const TileShape& shape, const sim::AccumSpec& spec, int64_t first,
                  const TilePointers& tiles, int64_t count, Tally* tally,
                  DeviceMismatch* mismatches) {
  CompareKernel<<<static_cast<unsigned>(count), kThreads>>>(shape, spec, first, tiles, tally,
                                                            mismatches);
  CheckLaunch("twin");
}

}  // namespace lostbits::gpu
