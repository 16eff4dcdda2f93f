// GEMM v3: wgmma m64nNk32 on E4M3, fed by TMA (sm_90a).
//
// A block has three warpgroups. One thread of the last asks TMA for tiles of 128 k, kStages ahead;
// the first two multiply, 64 rows of the block's 128 each. Blocks stay and take tile after tile, so
// that the loads of the next tile run during the stores of this one.
//
// The pipeline between them: cuda/ring.h.
//
// Without promotion the accumulators go through all of k (256 columns). With it, each tile of 128 k
// starts from zero and is added to a second set of registers in FP32 (128 columns): the kernel
// equals the recipe of its plan either way, as every output sees its instructions in order of k.
#include <stdexcept>

#include "cuda/check.h"
#include "cuda/gemm_launch.h"
#include "cuda/gemm_twin.h"
#include "cuda/ptx/fragment.h"
#include "cuda/ptx/tma.h"
#include "cuda/ptx/wgmma.h"
#include "cuda/ptx/wgmma_wide.h"
#include "cuda/ring.h"
#include "cuda/tensor_map_encode.h"

namespace lostbits::gpu {
namespace {

constexpr int kTileM = 128, kTileK = 128, kConsumers = 2;
constexpr int kThreads = 128 * (kConsumers + 1);

struct Arguments {
  GemmShape shape;
  int tiles_m, tiles_n;
  bool bf16;
  GemmPointers p;
};

template <int kTileN, int kStages>
struct SharedLayout {
  static constexpr int kA = kTileM * kTileK, kB = kTileN * kTileK;
  static constexpr int kBytes = kStages * (kA + kB + 16) + 1024;

  // Tiles start at multiples of 1024: the swizzle repeats there.
  __device__ explicit SharedLayout(uint8_t* memory)
      : a(memory + (1024 - ptx::SharedAddress(memory) % 1024) % 1024),
        b(a + kStages * kA),
        full(reinterpret_cast<uint64_t*>(b + kStages * kB)),
        empty(full + kStages) {}

  uint8_t *a, *b;
  uint64_t *full, *empty;
};

/// Four instructions: d = A B over the 128 k of a stage, onto d if use_c.
template <int kTileN>
__device__ void MultiplyStage(float* d, uint64_t a, uint64_t b, bool use_c) {
#pragma unroll
  for (int k = 0; k < kTileK; k += 32)
    ptx::WgmmaE4m3<kTileN>::RunSS(d, a + (k >> 4), b + (k >> 4), use_c || k > 0);
}

template <int kRegisters>
__device__ void Hold(float* d) {
#pragma unroll
  for (int i = 0; i < kRegisters; ++i) ptx::HoldRegister(d[i]);
}

template <int kTileN>
__device__ void Store(const Arguments& args, int64_t m0, int64_t n0, const float* d) {
  const int t = threadIdx.x % 128;
#pragma unroll
  for (int i = 0; i < kTileN / 2; i += 2) {  // two neighbours
    const OutputPlace at = WgmmaD(t, i);
    const int64_t row = m0 + at.row, col = n0 + at.col;
    if (row >= args.shape.m || col >= args.shape.n) continue;
    const int64_t to = row * args.shape.n + col;
    if (args.bf16) {
      uint32_t pair;  // to nearest even, NaN 0x7FFF
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(d[i + 1]), "f"(d[i]));
      *reinterpret_cast<uint32_t*>(static_cast<uint16_t*>(args.p.d) + to) = pair;
    } else {
      *reinterpret_cast<float2*>(static_cast<float*>(args.p.d) + to) = make_float2(d[i], d[i + 1]);
    }
  }
}

template <int kTileN, int kStages, Promotion kPromotion>
__global__ void __launch_bounds__(kThreads, 1)
    GemmWgmma(const __grid_constant__ CUtensorMap map_a, const __grid_constant__ CUtensorMap map_b,
              const Arguments args) {
  if constexpr (ptx::kSm90a) {
    using Layout = SharedLayout<kTileN, kStages>;
    extern __shared__ uint8_t memory[];
    const Layout shared(memory);
    if (threadIdx.x == 0) {
      for (int i = 0; i < kStages; ++i) {
        ptx::BarrierInit(shared.full + i, 1);
        ptx::BarrierInit(shared.empty + i, 4 * kConsumers);
      }
      ptx::BarrierInitFence();
    }
    __syncthreads();
    const int warpgroup = threadIdx.x / 128, tiles = args.tiles_m * args.tiles_n;
    const int steps = static_cast<int>((args.shape.k + kTileK - 1) / kTileK);
    Ring<kStages> ring;

    if (warpgroup == kConsumers) {
      ptx::RegistersDown<40>();
      if (threadIdx.x % 128 != 0) return;
      ptx::TmaPrefetch(&map_a);
      ptx::TmaPrefetch(&map_b);
      for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const TilePlace at = GemmTile(tile, args.tiles_m, args.tiles_n);
        for (int step = 0; step < steps; ++step, ring.Advance()) {
          uint64_t* full = shared.full + ring.stage;
          ptx::BarrierWait(shared.empty + ring.stage, ring.EmptyParity());
          // TMA counts the zeros it fills in beyond an edge.
          ptx::BarrierExpect(full, Layout::kA + Layout::kB);
          ptx::TmaLoad2d(shared.a + ring.stage * Layout::kA, &map_a, step * kTileK, at.m * kTileM,
                         full);
          ptx::TmaLoad2d(shared.b + ring.stage * Layout::kB, &map_b, step * kTileK, at.n * kTileN,
                         full);
        }
      }
      return;
    }

    ptx::RegistersUp<232>();
    const int lane = threadIdx.x % 32;
    const int64_t blocks_n = (args.shape.n + 127) / 128;
    const auto release = [&](int stage) {
      if (lane == 0) ptx::BarrierArrive(shared.empty + stage);
    };
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const TilePlace at = GemmTile(tile, args.tiles_m, args.tiles_n);
      const int64_t m0 = int64_t{at.m} * kTileM + 64 * warpgroup, n0 = int64_t{at.n} * kTileN;
      float d[kTileN / 2];
      float sum[kPromotion == Promotion::kNone ? 1 : kTileN / 2] = {};
      int before = 0;  // the stage of the step before
      for (int step = 0; step < steps; ++step, ring.Advance()) {
        const uint64_t a = SwizzledDescriptor(
            ptx::SharedAddress(shared.a + ring.stage * Layout::kA + 64 * kTileK * warpgroup),
            kTileK);
        const uint64_t b =
            SwizzledDescriptor(ptx::SharedAddress(shared.b + ring.stage * Layout::kB), kTileK);
        if constexpr (kPromotion == Promotion::kNone) {
          ptx::BarrierWait(shared.full + ring.stage, ring.FullParity());
          ptx::WgmmaFence();
          MultiplyStage<kTileN>(d, a, b, step > 0);
          ptx::WgmmaCommit();
          // One group stays under way; the one before has read its stage.
          ptx::WgmmaWait<1>();
          if (step > 0) release(before);
          before = ring.stage;
        } else {
          float scale[2] = {1, 1};  // of this thread's two rows
          if constexpr (kPromotion == Promotion::kScaled) {
            const float scale_b = args.p.scale_b[step * blocks_n + n0 / 128];
            for (int h = 0; h < 2; ++h) {
              const int64_t row = m0 + WgmmaD(threadIdx.x % 128, 2 * h).row;
              scale[h] = row < args.shape.m ? args.p.scale_a[step * args.shape.m + row] : 1.0f;
              scale[h] = scale[h] * scale_b;
            }
          }
          ptx::BarrierWait(shared.full + ring.stage, ring.FullParity());
          Hold<kTileN / 2>(d);
          ptx::WgmmaFence();
          MultiplyStage<kTileN>(d, a, b, false);
          ptx::WgmmaCommit();
          ptx::WgmmaWait<0>();
          Hold<kTileN / 2>(d);
          release(ring.stage);
#pragma unroll
          for (int i = 0; i < kTileN / 2; ++i)
            sum[i] = Promote<kPromotion>(sum[i], d[i], scale[i / 2 % 2]);
        }
      }
      if constexpr (kPromotion == Promotion::kNone) {
        ptx::WgmmaWait<0>();
        Hold<kTileN / 2>(d);
        release(before);
        Store<kTileN>(args, m0, n0, d);
      } else {
        Store<kTileN>(args, m0, n0, sum);
      }
    }
  } else {
    __trap();  // rather than zeros that look like an answer
  }
}

template <int kTileN, int kStages, Promotion kPromotion>
void Launch(const GemmPlan& plan, const GemmPointers& p) {
  if (plan.tile_m != kTileM || plan.tile_n != kTileN || plan.tile_k != kTileK ||
      plan.stages != kStages || plan.threads != kThreads ||
      plan.shared_bytes != SharedLayout<kTileN, kStages>::kBytes)
    throw std::logic_error("gemm wgmma: the plan is not this kernel's");
  const auto kernel = GemmWgmma<kTileN, kStages, kPromotion>;
  Check(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.shared_bytes),
      "shared memory of gemm wgmma");
  int device = 0, processors = 0;
  Check(cudaGetDevice(&device), "cudaGetDevice");
  Check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device),
        "cudaDeviceGetAttribute");
  const auto [m, n, k] = plan.shape;
  const auto tiles = static_cast<int>(plan.tiles_m * plan.tiles_n);
  const Arguments args{plan.shape, static_cast<int>(plan.tiles_m), static_cast<int>(plan.tiles_n),
                       plan.recipe.output == fp8::kBF16, p};
  const int blocks = fp8::Min(tiles, processors);
  kernel<<<blocks, kThreads, plan.shared_bytes>>>(
      EncodeTensorMap(MatrixMap(m, k, kTileM, kTileK), p.a),
      EncodeTensorMap(MatrixMap(n, k, kTileN, kTileK), p.b), args);
  Check(cudaGetLastError(), "gemm wgmma");
}

}  // namespace

void LaunchGemmWgmma(const GemmPlan& plan, const GemmPointers& p) {
  switch (plan.promotion) {
    case Promotion::kNone: return Launch<256, 4, Promotion::kNone>(plan, p);
    case Promotion::kAdd: return Launch<128, 6, Promotion::kAdd>(plan, p);
    case Promotion::kScaled: return Launch<128, 6, Promotion::kScaled>(plan, p);
  }
}

}  // namespace lostbits::gpu
