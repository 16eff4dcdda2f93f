// Tiles through nvcuda::wmma, whose fragments are opaque: a warp a tile. It is here because TF32
// compiles to another instruction on Hopper (HMMA.1684) than mma.sync does.
#include <mma.h>

#include "cuda/check.h"
#include "cuda/launch.h"

namespace lostbits::gpu {
namespace {

namespace wmma = nvcuda::wmma;
[[maybe_unused]] constexpr int kM = 16, kN = 16, kK = 8;

__global__ void WmmaTf32Tiles(TilePointers tiles) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800  // mma.h has no TF32 there
  __trap();
#else
  const int64_t tile = blockIdx.x;
  wmma::fragment<wmma::matrix_a, kM, kN, kK, wmma::precision::tf32, wmma::row_major> a;
  wmma::fragment<wmma::matrix_b, kM, kN, kK, wmma::precision::tf32, wmma::col_major> b;
  wmma::fragment<wmma::accumulator, kM, kN, kK, float> d;
  // No __float_to_tf32: the instruction itself ignores the low 13 bits.
  wmma::load_matrix_sync(a, reinterpret_cast<const float*>(tiles.a) + tile * kM * kK, kK);
  wmma::load_matrix_sync(b, reinterpret_cast<const float*>(tiles.b) + tile * kN * kK, kK);
  wmma::load_matrix_sync(d, reinterpret_cast<const float*>(tiles.c) + tile * kM * kN, kN,
                         wmma::mem_row_major);
  wmma::mma_sync(d, a, b, d);
  wmma::store_matrix_sync(reinterpret_cast<float*>(tiles.d) + tile * kM * kN, d, kN,
                          wmma::mem_row_major);
#endif
}

void LaunchTf32(const TilePointers& tiles, int64_t count, Flags) {
  WmmaTf32Tiles<<<static_cast<unsigned>(count), 32>>>(tiles);
  CheckLaunch("wmma");
}

}  // namespace

std::span<const RunTiles> WmmaLaunches() {
  static constexpr RunTiles kLaunches[] = {LaunchTf32};
#define LOSTBITS_COUNT(...) +1
  static_assert(sizeof kLaunches / sizeof kLaunches[0] == LOSTBITS_WMMA_UNITS(LOSTBITS_COUNT));
#undef LOSTBITS_COUNT
  return kLaunches;
}

}  // namespace lostbits::gpu
