// How a GEMM kernel of this folder is launched, and which recipe of sim/gemm_recipe.h it equals bit
// for bit. Plain data, made and checked on the host; nothing here needs a GPU.
//
// D = A B^T: a is M x K and b is N x K, both with k fastest ("row" and "col" of PTX).
#ifndef LOSTBITS_CUDA_GEMM_PLAN_H_
#define LOSTBITS_CUDA_GEMM_PLAN_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/recipe.h"

namespace lostbits::gpu {

/// The ladder, from plain to fast.
enum class GemmKernel : uint8_t {
  kTwin,   ///< gemm_v1_twin.cu: sim/accum.h on the device, a thread an output; any machine row
  kMma,    ///< gemm_v2_mma.cu: mma.sync m16n8k32 FP8 (sm_89)
  kWgmma,  ///< gemm_v3_wgmma.cu: wgmma E4M3, TMA, warp specialisation (sm_90a)
};
/// What happens every 128 products of k.
enum class Promotion : uint8_t {
  kNone,    ///< nothing: the unit's accumulator goes through all of k
  kAdd,     ///< sum = RN(sum + partial)
  kScaled,  ///< sum = RN(RN(scale_a * scale_b) * partial + sum); 1x128 and 128x128 scales
};
const char* NameOf(GemmKernel kernel);
const char* NameOf(Promotion promotion);

struct GemmShape {
  int64_t m, n, k;
};

struct GemmPlan {
  GemmKernel kernel;
  Promotion promotion;
  GemmShape shape;
  sim::GemmRecipe recipe;  ///< what the kernel equals
  int tile_m, tile_n, tile_k;
  int stages;  ///< tiles of k in flight
  int threads;
  int shared_bytes;
  int64_t tiles_m, tiles_n;
};

inline constexpr int kMaxSharedBytes = 232'448;  // sm_90, 227 KiB: CUDA C++ Programming Guide,
                                                 // "Compute Capabilities", maximum per block

/// `unit`: the machine row's spec. output: kFP32, kBF16. Throws std::invalid_argument with one line
/// where the kernel does not take such a shape, unit or promotion.
GemmPlan PlanGemm(GemmKernel kernel, Promotion promotion, const GemmShape& shape,
                  const sim::AccumSpec& unit, const fp8::Format& output);

/// Which tile is the index-th: columns of kTileGroup tiles, so that tiles at work together share
/// rows of A and B in the second-level cache.
inline constexpr int kTileGroup = 8;
struct TilePlace {
  int m, n;
};
FP8_HD constexpr TilePlace GemmTile(int index, int tiles_m, int tiles_n) {
  const int group = index / (kTileGroup * tiles_n), first = group * kTileGroup;
  const int height = fp8::Min(kTileGroup, tiles_m - first);
  const int within = index - first * tiles_n;
  return {first + within % height, within / height};
}

/// What a case draws its codes from. No NaN, no Inf.
enum class OperandPattern : uint8_t {
  kNormal,  ///< N(0, 1)
  kWide,    ///< exponents all over the format
  kBits,    ///< any finite code; fast to draw, for timings
};

/// Elements take 1, 2 or 4 bytes, as in sim::CodeView.
struct GemmOperands {
  std::vector<uint8_t> a, b;
  std::vector<float> scale_a;  ///< kScaled: M x ceil(K / 128)
  std::vector<float> scale_b;  ///< kScaled: ceil(K / 128) x ceil(N / 128)
};
int ElementBytes(const fp8::Format& format);

/// Row r of a, or of b, depends on (seed, r) alone.
GemmOperands DrawGemm(const GemmPlan& plan, OperandPattern pattern, uint64_t seed);
/// `count` codes of stream `stream`.
void DrawCodes(const fp8::Format& format, OperandPattern pattern, uint64_t seed, uint64_t stream,
               int64_t count, uint8_t* out);

/// Rows of D by the CPU: rows.size() x N words.
std::vector<uint32_t> GemmOnCpu(const GemmPlan& plan, const GemmOperands& operands,
                                std::span<const int64_t> rows, int threads);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_GEMM_PLAN_H_
