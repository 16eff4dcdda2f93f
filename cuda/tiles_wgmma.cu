// Tiles through wgmma: a warpgroup a tile, operands in shared memory as core matrices.
#include "cuda/check.h"
#include "cuda/launch.h"
#include "cuda/ptx/fragment.h"
#include "cuda/ptx/tma.h"
#include "cuda/ptx/wgmma.h"

namespace lostbits::gpu {
namespace {

constexpr int kM = 64, kN = 8, kRowBytes = 32, kThreads = 128;

/// `lines` lines of kRowBytes from global memory, 16 bytes a step.
__device__ void LoadCoreMatrices(uint8_t* shared, const uint8_t* from, int lines) {
  for (int i = threadIdx.x; i < lines * 2; i += kThreads) {
    const int line = i / 2, byte = i % 2 * 16;
    *reinterpret_cast<uint4*>(shared + CoreMatrixByte(line, byte)) =
        *reinterpret_cast<const uint4*>(from + line * kRowBytes + byte);
  }
}

template <int kK, class A, class B, class D, int kSignA, int kSignB>
__global__ void __launch_bounds__(kThreads) WgmmaTiles(TilePointers tiles, bool use_c) {
  using Wgmma = ptx::Wgmma<kK, A, B, D>;
  __shared__ alignas(128) uint8_t a[kM * kRowBytes];
  __shared__ alignas(128) uint8_t b[kN * kRowBytes];
  const int64_t tile = blockIdx.x;
  LoadCoreMatrices(a, tiles.a + tile * kM * kRowBytes, kM);
  LoadCoreMatrices(b, tiles.b + tile * kN * kRowBytes, kN);
  ptx::FenceProxyAsync();
  __syncthreads();

  const int t = threadIdx.x;
  const auto output = [&](uint32_t* words, int i) -> uint32_t& {
    const OutputPlace at = WgmmaD(t, i);
    return words[(tile * kM + at.row) * kN + at.col];
  };
  typename D::Register d[Wgmma::kRegisters];
  for (int r = 0; r < Wgmma::kRegisters; ++r) {
    if constexpr (D::kHalf) {
      d[r] = (output(tiles.c, 2 * r) & 0xffff) | output(tiles.c, 2 * r + 1) << 16;
    } else {
      d[r] = __uint_as_float(output(tiles.c, r));
    }
  }
  const uint64_t at_a = WgmmaDescriptor(ptx::SharedAddress(a), kCoreLeadingBytes, kCoreStrideBytes);
  const uint64_t at_b = WgmmaDescriptor(ptx::SharedAddress(b), kCoreLeadingBytes, kCoreStrideBytes);
  for (int r = 0; r < Wgmma::kRegisters; ++r) ptx::HoldRegister(d[r]);
  ptx::WgmmaFence();
  Wgmma::template Run<kSignA, kSignB>(d, at_a, at_b, use_c);
  ptx::WgmmaCommit();
  ptx::WgmmaWait();
  for (int r = 0; r < Wgmma::kRegisters; ++r) {
    ptx::HoldRegister(d[r]);
    if constexpr (D::kHalf) {
      output(tiles.d, 2 * r) = d[r] & 0xffff;
      output(tiles.d, 2 * r + 1) = d[r] >> 16;
    } else {
      output(tiles.d, r) = __float_as_uint(d[r]);
    }
  }
}

template <int kK, class A, class B, class D>
void Launch(const TilePointers& tiles, int64_t count, Flags flags) {
  using Kernel = void (*)(TilePointers, bool);
  constexpr Kernel kKernels[2][2] = {
      {WgmmaTiles<kK, A, B, D, 1, 1>, WgmmaTiles<kK, A, B, D, 1, -1>},
      {WgmmaTiles<kK, A, B, D, -1, 1>, WgmmaTiles<kK, A, B, D, -1, -1>}};
  kKernels[flags.negate_a][flags.negate_b]<<<static_cast<unsigned>(count), kThreads>>>(
      tiles, !flags.drop_c);
  CheckLaunch("wgmma");
}

}  // namespace

std::span<const RunTiles> WgmmaLaunches() {
#define LOSTBITS_LAUNCH(bytes, k, a, b, d, first, last) Launch<k, ptx::a, ptx::b, ptx::d>,
  static constexpr RunTiles kLaunches[] = {LOSTBITS_WGMMA_UNITS(LOSTBITS_LAUNCH)};
#undef LOSTBITS_LAUNCH
  return kLaunches;
}

}  // namespace lostbits::gpu
