// Which key tiles a row of an attention forward visits, and which keys it sees there.
//
// Source: vllm-project/flash-attention, commit 617264c1, hopper/block.h:14-68 (ranges),
// mask.h:90-133 (limits), mainloop_fwd_sm90_tma_gmma_ws.hpp:1283-1322 (which tiles check for empty
// rows), flash_api.cpp:195-204 and 638-654 (what counts as causal, what as local).
//
// A row is (query, query head of a GQA group), packed as row = query * group + head: block_m such
// rows share a tile, and a tile's rows share one range of key tiles (PackGQA, always on in vLLM).
//
// Not reproduced: at this commit the overlapped main loop takes the limits of its masked and
// unmasked iterations under a window from tot_seqlen_k (lines 1289-1310), which does not subtract
// the tile grid's offset, while the masks do (line 1097). Read so, a window over several tiles
// leaves some tiles between without the mask they need. Here every key outside the window is
// masked.
#ifndef LOSTBITS_SIM_ATTENTION_SCHEDULE_H_
#define LOSTBITS_SIM_ATTENTION_SCHEDULE_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "sim/recipe.h"

namespace lostbits::sim {

/// Shape of one sequence as the kernel's schedule sees it.
struct SequenceShape {
  int64_t query_length;
  int64_t seqlen_k;
  int64_t group;  ///< query heads per KV head
};

/// One row's part of one split. Tiles are numbered from first_key in steps of block_n.
struct RowSchedule {
  int64_t first_key = 0;                    ///< key 0 of tile 0: not 0 under a window
  int64_t tile_begin = 0, tile_end = 0;     ///< tiles this row's block visits; none if begin >= end
  int64_t key_begin = 0, key_end = 0;       ///< keys the row sees; others are masked
  int64_t check_from = 0, check_below = 0;  ///< tiles outside [check_below, check_from) check for
                                            ///< rows that are empty so far
  int64_t Visits() const { return tile_end > tile_begin ? tile_end - tile_begin : 0; }
};

inline RowSchedule ScheduleRow(const AttentionRecipe& recipe, const SequenceShape& shape,
                               int64_t query, int64_t head_in_group, int split) {
  int64_t left = recipe.window_left, right = recipe.causal ? 0 : recipe.window_right;
  if (left >= shape.seqlen_k - 1) left = -1;
  if (right >= shape.query_length - 1 && !recipe.causal) right = -1;
  const bool causal = left < 0 && right == 0;
  const bool local = !causal && (left >= 0 || right >= 0);
  if (local && left < 0) left = shape.seqlen_k - 1;
  if (local && right < 0) right = shape.query_length - 1;

  const int64_t bn = recipe.block_n;
  const auto ceil_div = [](int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : a / b; };
  const int64_t block = (query * shape.group + head_in_group) / recipe.block_m;
  const int64_t query_min = block * recipe.block_m / shape.group;
  const int64_t query_max = ((block + 1) * recipe.block_m - 1) / shape.group + 1;
  const int64_t diagonal = shape.seqlen_k - shape.query_length;

  RowSchedule s;
  if (local) s.first_key = std::max<int64_t>(0, query_min + diagonal - left);
  const int64_t keys = shape.seqlen_k - s.first_key;
  s.tile_end = ceil_div(keys, bn);
  s.check_from = std::numeric_limits<int64_t>::max();
  if (causal || local) {
    const int64_t ahead = diagonal - s.first_key + (local ? right : 0);
    s.tile_end = std::min(s.tile_end, ceil_div(query_max + ahead, bn));
    s.check_from = (query_min + ahead) / bn;
  }
  if (local) s.check_below = ceil_div(query_max + diagonal - s.first_key - left, bn);
  if (recipe.num_splits > 1) {
    const int64_t per_split = s.tile_end <= 0 ? 0 : ceil_div(s.tile_end, recipe.num_splits);
    s.tile_begin = split * per_split;
    s.tile_end = std::min(s.tile_begin + per_split, s.tile_end);
  }
  s.key_end = shape.seqlen_k;
  if (causal || local) s.key_end = std::min(s.key_end, query + diagonal + (local ? right : 0) + 1);
  if (local) s.key_begin = std::max<int64_t>(0, query + diagonal - left);
  return s;
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_SCHEDULE_H_
