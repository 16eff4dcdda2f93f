// GEMM v2: mma.sync m16n8k32 on FP8 (sm_89 and later), the shortest kernel that feeds a tensor
// core.
//
// A block of four warps computes 64 x 64 outputs, each warp 32 x 32: 2 x 4 instructions of 16 x 8.
// Tiles of 64 k go through two buffers of shared memory by cp.async: one is loaded while the other
// is multiplied. Every output sees its instructions in order of k, so the kernel equals the recipe
// of its plan: one chain, or chains of 128 from zero that are promoted.
#include "cuda/check.h"
#include "cuda/gemm_launch.h"
#include "cuda/gemm_twin.h"
#include "cuda/ptx/fragment.h"
#include "cuda/ptx/mma.h"
#include "cuda/ptx/tma.h"

namespace lostbits::gpu {
namespace {

constexpr int kTile = 64, kThreads = 128, kStages = 2;
// Rows of a tile lie 80 bytes apart: the eight rows that a warp reads at once then start in eight
// different groups of four banks (20 words: 0, 20, 8, 28, 16, 4, 24, 12 modulo 32).
constexpr int kRowBytes = 80;
constexpr int kTileBytes = kTile * kRowBytes;

/// 16 bytes from global to shared memory; zeros if `there` is false.
__device__ inline void CopyAsync16(uint8_t* to, const uint8_t* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(ptx::SharedAddress(to)),
               "l"(from), "r"(there ? 16 : 0)
               : "memory");
}

/// A tile's 64 rows of 64 bytes: 256 pieces, two a thread. Rows and k that do not exist are zeros.
__device__ void LoadTile(uint8_t* shared, const uint8_t* from, int64_t first_row, int64_t rows,
                         int64_t first_k, int64_t k) {
  for (int i = threadIdx.x; i < kTile * 4; i += kThreads) {
    const int64_t row = first_row + i / 4, at = first_k + i % 4 * 16;
    const bool there = row < rows && at < k;
    CopyAsync16(shared + i / 4 * kRowBytes + i % 4 * 16, there ? from + row * k + at : from, there);
  }
}

__device__ inline uint32_t WordAt(const uint8_t* tile, int line, int byte) {
  return *reinterpret_cast<const uint32_t*>(tile + line * kRowBytes + byte);
}

template <class A, class B, Promotion kPromotion>
__global__ void __launch_bounds__(kThreads)
    GemmMma(GemmShape shape, int tiles_n, bool bf16, GemmPointers p) {
  extern __shared__ __align__(16) uint8_t shared[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_m = warp / 2 * 32, warp_n = warp % 2 * 32;
  const int64_t m0 = static_cast<int64_t>(blockIdx.x / tiles_n) * kTile;
  const int64_t n0 = static_cast<int64_t>(blockIdx.x % tiles_n) * kTile;
  const int64_t steps = (shape.k + kTile - 1) / kTile;
  const auto stage = [&](int64_t step) { return shared + step % kStages * 2 * kTileBytes; };
  const auto load = [&](int64_t step) {
    if (step < steps) {
      LoadTile(stage(step), p.a, m0, shape.m, step * kTile, shape.k);
      LoadTile(stage(step) + kTileBytes, p.b, n0, shape.n, step * kTile, shape.k);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };

  uint32_t acc[2][4][4] = {};  // of the chain at work
  float sum[2][4][4] = {};     // promoted
  const int64_t blocks_n = (shape.n + 127) / 128;
  load(0);
  for (int64_t step = 0; step < steps; ++step) {
    load(step + 1);
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    const uint8_t *ta = stage(step), *tb = ta + kTileBytes;
    for (int k = 0; k < kTile; k += 32) {
      uint32_t a[2][4], b[4][2];
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          const RegisterPlace at = MmaA(lane, r);
          a[i][r] = WordAt(ta, warp_m + 16 * i + at.line, k + at.byte);
        }
#pragma unroll
      for (int j = 0; j < 4; ++j)
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const RegisterPlace at = MmaB(lane, r);
          b[j][r] = WordAt(tb, warp_n + 8 * j + at.line, k + at.byte);
        }
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) ptx::Mma<32, A, B, ptx::f32>::Run(acc[i][j], a[i], b[j]);
    }
    __syncthreads();  // before the next load overwrites the buffer
    if constexpr (kPromotion != Promotion::kNone) {
      if (step % 2 == 0 && step + 1 < steps) continue;  // 128 k are two steps
      const int64_t block = step / 2;
      const float scale_b =
          kPromotion == Promotion::kScaled ? p.scale_b[block * blocks_n + n0 / 128] : 1;
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int64_t row = m0 + warp_m + 16 * i + MmaD(lane, e).row;
          const float scale_a = kPromotion == Promotion::kScaled && row < shape.m
                                    ? p.scale_a[block * shape.m + row]
                                    : 1;
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            sum[i][j][e] =
                Promote<kPromotion>(sum[i][j][e], __uint_as_float(acc[i][j][e]), scale_a * scale_b);
            acc[i][j][e] = 0;
          }
        }
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int64_t row = m0 + warp_m + 16 * i + MmaD(lane, e).row;
        const int64_t col = n0 + warp_n + 8 * j + MmaD(lane, e).col;
        if (row >= shape.m || col >= shape.n) continue;
        const uint32_t word =
            kPromotion == Promotion::kNone ? acc[i][j][e] : __float_as_uint(sum[i][j][e]);
        if (bf16) {
          static_cast<uint16_t*>(p.d)[row * shape.n + col] =
              static_cast<uint16_t>(OutputWord(fp8::kBF16, word));
        } else {
          static_cast<uint32_t*>(p.d)[row * shape.n + col] = word;
        }
      }
}

template <class A, class B>
void Launch(const GemmPlan& plan, const GemmPointers& p) {
  using Kernel = void (*)(GemmShape, int, bool, GemmPointers);
  constexpr Kernel kKernels[] = {GemmMma<A, B, Promotion::kNone>, GemmMma<A, B, Promotion::kAdd>,
                                 GemmMma<A, B, Promotion::kScaled>};
  kKernels[static_cast<int>(plan.promotion)]<<<static_cast<unsigned>(plan.tiles_m * plan.tiles_n),
                                               kThreads, plan.shared_bytes>>>(
      plan.shape, static_cast<int>(plan.tiles_n), plan.recipe.output == fp8::kBF16, p);
  Check(cudaGetLastError(), "gemm mma.sync");
}

}  // namespace

void LaunchGemmMma(const GemmPlan& plan, const GemmPointers& p) {
  const bool a4 = plan.recipe.unit.a == fp8::kE4M3FN, b4 = plan.recipe.unit.b == fp8::kE4M3FN;
  if (a4 && b4) return Launch<ptx::e4m3, ptx::e4m3>(plan, p);
  if (a4) return Launch<ptx::e4m3, ptx::e5m2>(plan, p);
  if (b4) return Launch<ptx::e5m2, ptx::e4m3>(plan, p);
  return Launch<ptx::e5m2, ptx::e5m2>(plan, p);
}

}  // namespace lostbits::gpu
