// Tiles through mma.sync: a warp a tile.
#include "cuda/check.h"
#include "cuda/launch.h"
#include "cuda/ptx/fragment.h"
#include "cuda/ptx/mma.h"

namespace lostbits::gpu {
namespace {

constexpr int kM = 16, kN = 8, kWarps = 4;

template <int kRowBytes>
__device__ uint32_t Word(const uint8_t* tile, RegisterPlace at) {
  return *reinterpret_cast<const uint32_t*>(tile + at.line * kRowBytes + at.byte);
}

template <int kK, class A, class B, class D>
__global__ void MmaTiles(TilePointers tiles, int64_t count) {
  using Mma = ptx::Mma<kK, A, B, D>;
  constexpr int kRowBytes = Mma::kRowBytes;
  const int64_t tile = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (tile >= count) return;
  const int lane = threadIdx.x % 32;
  uint32_t a[kRowBytes / 8], b[kRowBytes / 16];
  for (int r = 0; r < kRowBytes / 8; ++r)
    a[r] = Word<kRowBytes>(tiles.a + tile * kM * kRowBytes, MmaA(lane, r));
  for (int r = 0; r < kRowBytes / 16; ++r)
    b[r] = Word<kRowBytes>(tiles.b + tile * kN * kRowBytes, MmaB(lane, r));
  const auto output = [&](uint32_t* words, int i) -> uint32_t& {
    const OutputPlace at = MmaD(lane, i);
    return words[(tile * kM + at.row) * kN + at.col];
  };
  if constexpr (D::kHalf) {
    uint32_t d[2];
    for (int r = 0; r < 2; ++r)
      d[r] = (output(tiles.c, 2 * r) & 0xffff) | output(tiles.c, 2 * r + 1) << 16;
    Mma::Run(d, a, b);
    for (int i = 0; i < 4; ++i) output(tiles.d, i) = d[i / 2] >> (16 * (i % 2)) & 0xffff;
  } else {
    uint32_t d[4];
    for (int i = 0; i < 4; ++i) d[i] = output(tiles.c, i);
    Mma::Run(d, a, b);
    for (int i = 0; i < 4; ++i) output(tiles.d, i) = d[i];
  }
}

template <int kK, class A, class B, class D>
void Launch(const TilePointers& tiles, int64_t count, Flags) {
  const auto blocks = static_cast<unsigned>((count + kWarps - 1) / kWarps);
  MmaTiles<kK, A, B, D><<<blocks, 32 * kWarps>>>(tiles, count);
  CheckLaunch("mma.sync");
}

}  // namespace

std::span<const RunTiles> MmaLaunches() {
#define LOSTBITS_LAUNCH(bytes, k, a, b, d, first, last) Launch<k, ptx::a, ptx::b, ptx::d>,
  static constexpr RunTiles kLaunches[] = {LOSTBITS_MMA_UNITS(LOSTBITS_LAUNCH)};
#undef LOSTBITS_LAUNCH
  return kLaunches;
}

}  // namespace lostbits::gpu
