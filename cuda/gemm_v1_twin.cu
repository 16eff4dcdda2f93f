// GEMM v1: the simulator on the GPU. A thread computes one output with the integers of sim/accum.h,
// for any machine row. Equal to the recipe it is given, bit for bit.
#include "cuda/check.h"
#include "cuda/gemm_launch.h"
#include "cuda/gemm_twin.h"

namespace lostbits::gpu {
namespace {

__global__ void GemmTwin(sim::GemmRecipe recipe, GemmShape shape, int tile_m, int tile_n,
                         int tiles_n, int64_t row_a, int64_t row_b, GemmPointers p) {
  const int64_t i = static_cast<int64_t>(blockIdx.x / tiles_n) * tile_m + threadIdx.x / tile_n;
  const int64_t j = static_cast<int64_t>(blockIdx.x % tiles_n) * tile_n + threadIdx.x % tile_n;
  if (i >= shape.m || j >= shape.n) return;
  const int64_t blocks_n = (shape.n + 127) / 128;
  const TwinLine a{p.a + i * row_a, p.scale_a == nullptr ? nullptr : p.scale_a + i, shape.m};
  const TwinLine b{p.b + j * row_b, p.scale_b == nullptr ? nullptr : p.scale_b + j / 128, blocks_n};
  const uint32_t word = GemmTwinOutput(recipe, a, b, shape.k);
  if (fp8::StorageBits(recipe.output) == 16) {
    static_cast<uint16_t*>(p.d)[i * shape.n + j] = static_cast<uint16_t>(word);
  } else {
    static_cast<uint32_t*>(p.d)[i * shape.n + j] = word;
  }
}

}  // namespace

void LaunchGemmTwin(const GemmPlan& plan, const GemmPointers& p) {
  const auto [m, n, k] = plan.shape;
  GemmTwin<<<static_cast<unsigned>(plan.tiles_m * plan.tiles_n), plan.threads>>>(
      plan.recipe, plan.shape, plan.tile_m, plan.tile_n, static_cast<int>(plan.tiles_n),
      k * ElementBytes(plan.recipe.unit.a), k * ElementBytes(plan.recipe.unit.b), p);
  Check(cudaGetLastError(), "gemm twin");
}

void LaunchGemm(const GemmPlan& plan, const GemmPointers& p) {
  switch (plan.kernel) {
    case GemmKernel::kTwin: return LaunchGemmTwin(plan, p);
    case GemmKernel::kMma: return LaunchGemmMma(plan, p);
    case GemmKernel::kWgmma: return LaunchGemmWgmma(plan, p);
  }
}

}  // namespace lostbits::gpu
