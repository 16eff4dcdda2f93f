// FlashAttention-3's forward kernels on Hopper, and a Blackwell counterpart, as recipes.
#ifndef LOSTBITS_SIM_ATTENTION_RECIPE_H_
#define LOSTBITS_SIM_ATTENTION_RECIPE_H_

#include "sim/recipe.h"

namespace lostbits::sim {

/// Which of FlashAttention-3's kernels is meant. Everything that picks a tile.
struct FlashAttention3Options {
  int head_dim = 128;  ///< 1 to 256; tiles come for 64, 96, 128, 192, 256, the next larger one
  bool bf16 = false;   ///< BF16 Q, K, V; otherwise E4M3
  /// The kernel for few query rows: chosen at run time where max_seqlen_q * heads_q / heads_kv <=
  /// 64 over the whole batch, head_dim is 64 or 128 and there is no window (heuristics.h:10-14).
  bool decode = false;
  PvAccumulation accumulation = PvAccumulation::kPerTile;  ///< BF16 always has one level
  int interval = 0;  ///< for kEveryNTiles; #122's default is 4
  bool causal = false;
  int window_left = -1, window_right = -1;
  float softcap = 0;
  bool paged_non_tma = true;  ///< pages smaller than a key tile, as vLLM's 16 tokens
                              ///< (flash_api.cpp:464-473)
};

/// Key tile and row tile of one kernel.
struct FlashAttention3Tile {
  int block_m, block_n;
  bool overlap;
  int line;  ///< of hopper/tile_size.h, vllm-project/flash-attention commit 617264c1
};
FlashAttention3Tile TileOf(const FlashAttention3Options& options);

/// The recipe of that kernel as vLLM builds and calls it. softmax_scale = 1 / sqrt(head_dim).
/// Throws std::invalid_argument on a head_dim out of range, or a decode kernel that does not exist.
AttentionRecipe FlashAttention3Recipe(const FlashAttention3Options& options);

/// FP8 attention on a datacentre Blackwell. Known: the unit, tcgen05 e4m3 with 25 fraction bits
/// (sim/arch.h), and the offset of 8. Assumed: tiles of 128 x 128, FlashAttention-3's online
/// softmax and order of sums. FlashAttention-4 differs in bits: it skips rescales while the maximum
/// grows by less than 2^0.75, and one thread sums a whole row.
AttentionRecipe BlackwellFp8Recipe(int head_dim);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_RECIPE_H_
