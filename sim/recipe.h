// A kernel's schedule as data: everything besides the matrix unit that decides the bits of a GEMM
// or of an attention forward. Printable, comparable, no behaviour.
#ifndef LOSTBITS_SIM_RECIPE_H_
#define LOSTBITS_SIM_RECIPE_H_

#include <cstdint>

#include "sim/arch.h"

namespace lostbits::sim {

// ---- GEMM ------------------------------------------------------------------------------------

/// What a kernel multiplies the codes of one operand by.
enum class GemmScaling : uint8_t {
  kNone,
  kPerTensor,  ///< one number, applied to the finished sum
  kBlock128,   ///< A: one a row and 128 k (1x128); B: one a 128 k and 128 columns (128x128);
               ///< applied at each promotion (DeepGEMM, sm90_fp8_gemm_1d2d.cuh:253-340)
};

/// A GEMM kernel: D = A B, or C + A B. sim/gemm_recipe.h says what each field does to the bits.
struct GemmRecipe {
  AccumSpec unit;
  int promote_every = 0;  ///< instructions between flushes to an FP32 sum; 0: never. 4 with K = 32:
                          ///< CUTLASS mma_promotion_interval, DeepGEMM BLOCK_K = 128
  GemmScaling scale_a = GemmScaling::kNone;
  GemmScaling scale_b = GemmScaling::kNone;
  int split_k = 1;     ///< contiguous ranges of k, summed in ascending order
  int split_tile = 0;  ///< instructions of a tile, ranges being of whole tiles; 0: promote_every,
                       ///< or 1 without promotion. 4 with K = 32: cuBLASLt on Hopper, as mmaemu
                       ///< 0.1.0 has it, whose author replayed 1,423 calls
  fp8::Format partial = fp8::kFP32;  ///< what a range's sum is stored as: kFP32 or kBF16
  fp8::Format output = fp8::kFP32;   ///< kFP32, kBF16 or kFP16

  constexpr bool operator==(const GemmRecipe&) const = default;
};

// ---- Attention -------------------------------------------------------------------------------
// Line numbers are those of vllm-project/flash-attention, commit 617264c1, folder hopper/.

/// How the products P * V of one row are gathered over the key tiles.
enum class PvAccumulation : uint8_t {
  kOneLevel,     ///< the unit's own accumulator over all tiles, rescaled in FP32 between tiles
  kPerTile,      ///< from zero in every tile, then one FP32 add (pull request 104, utils.h:235-327)
  kEveryNTiles,  ///< flushed every `interval` tiles into an FP32 sum with a row scale of its own
                 ///< (pull request 122, commit 6bf4ce25; reverted by 3292b778)
  kExact,        ///< study only, no hardware: products, sums and rescales in binary64
};

/// What becomes of P before it meets V.
enum class PFormat : uint8_t {
  kE4M3,  ///< nearest even, saturating
  kBF16,  ///< nearest even
  kNone,  ///< study only, needs kExact: P stays the FP32 number that exp2 gave
};

enum class TileOrder : uint8_t {
  kLastToFirst,  ///< FlashAttention-3 (mainloop_fwd_sm90_tma_gmma_ws.hpp:1098)
  kFirstToLast,  ///< study only
};

enum class Exp2Model : uint8_t {
  kCorrectlyRounded,  ///< the nearest float
  kPolynomial,        ///< binary32 operations, as a CUDA kernel can repeat them
  kTable,             ///< captured from a GPU; the caller brings the table
};

/// Where nvcc (-fmad=true) may contract a * b + c into one FFMA. The source allows either; the
/// defaults are what contraction wherever possible gives, not checked against SASS.
struct FmaSites {
  bool max_scaled = true;      ///< row_max * scale - offset (softmax.h:79)
  bool p_argument = true;      ///< S * scale - max_scaled (softmax.h:85)
  bool sink = true;            ///< log2(e) * sink - max_scaled (softmax.h:164)
  bool lse = true;             ///< row_max * (scale ln 2) + ln(sum) (softmax.h:151)
  bool interval_merge = true;  ///< accum_scale * accum + O (6bf4ce25, softmax.h:209, 225)
  bool combine = true;         ///< O += w * O_split (flash_fwd_combine_kernel.h:681)
  bool combine_lse = true;     ///< ln(sum) + lse_max (flash_fwd_combine_kernel.h:606)
  bool rescale_add = false;    ///< kPerTile: O * scale + C, only if the compiler moved the multiply
                               ///< across the loop edge (mainloop:1279 to utils.h:324)

  constexpr bool operator==(const FmaSites&) const = default;
};

/// One attention forward kernel. FlashAttention3Recipe (sim/attention_recipe.h) fills it.
struct AttentionRecipe {
  AccumSpec qk;        ///< the unit of Q K^T, always from zero and in one level
  AccumSpec pv;        ///< the unit of P V
  int head_dim = 128;  ///< of Q, K and V
  int block_m = 64;    ///< rows of a tile: decides which tiles a row visits under masks and splits
  int block_n = 96;    ///< keys of a tile, a multiple of 8
  TileOrder order = TileOrder::kLastToFirst;
  PvAccumulation accumulation = PvAccumulation::kPerTile;
  int interval = 0;     ///< tiles between flushes under kEveryNTiles
  bool overlap = true;  ///< IntraWGOverlap (tile_size.h): decides where kEveryNTiles flushes
  PFormat p_format = PFormat::kE4M3;
  float max_offset = 8;  ///< P = 2^(S - max + offset): 8 for FP8, 0 for BF16
                         ///< (flash_fwd_kernel_sm90.h:433)
  Exp2Model exp2 = Exp2Model::kCorrectlyRounded;
  bool ftz = true;  ///< FP32 operations flush subnormal inputs and results (--use_fast_math,
                    ///< CMakeLists.txt:120)
  FmaSites fma;

  float softmax_scale = 0;
  bool causal = false;    ///< key <= query + seqlen_k - query_length
  int window_left = -1;   ///< key >= query + seqlen_k - query_length - window_left; -1: no limit
  int window_right = -1;  ///< key <= query + seqlen_k - query_length + window_right; -1: no limit
  float softcap = 0;      ///< 0: none
  int num_splits = 1;     ///< contiguous ranges of key tiles, merged by a second kernel; <= 256
  fp8::Format output = fp8::kBF16;  ///< or kFP32

  constexpr bool operator==(const AttentionRecipe&) const = default;
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_RECIPE_H_
