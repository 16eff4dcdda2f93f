// The main loop of an attention forward for a few rows that share a KV head and a tile grid.
// Internal to sim/attention*.cc and sim/needle.cc.
#ifndef LOSTBITS_SIM_ATTENTION_BLOCK_H_
#define LOSTBITS_SIM_ATTENTION_BLOCK_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "sim/attention.h"
#include "sim/attention_schedule.h"
#include "sim/gemm.h"
#include "sim/recipe.h"
#include "sim/softmax.h"

namespace lostbits::sim {

/// Throws std::invalid_argument with one line where recipe and inputs do not fit.
void CheckAttention(const AttentionRecipe& recipe, const AttentionInputs& in,
                    const AttentionOptions& options);

/// Number of query `row` of Q within its sequence, and the sequence's shape.
inline int64_t QueryNumber(const AttentionInputs& in, int64_t row) {
  return in.query_numbers != nullptr ? in.query_numbers[row] : row;
}
inline SequenceShape ShapeOf(const AttentionInputs& in) {
  return {in.query_numbers != nullptr ? in.query_length : in.q.seqlen, in.k.seqlen,
          in.q.heads / in.k.heads};
}

/// Scale, offset and choices of one (batch, KV head), rounded as host and device round them.
SoftmaxParams MakeSoftmaxParams(const AttentionRecipe& recipe, const AttentionInputs& in,
                                int64_t batch, int64_t kv_head, const Exp2Table* table);
/// softmax_scale / softcap * q_descale * k_descale (mainloop:588, 1108-1112).
float SoftcapScale(const AttentionRecipe& recipe, const AttentionInputs& in, int64_t batch,
                   int64_t kv_head);

/// From a tile's accumulator words to masked scores: softcap, then -Inf outside the row's keys.
/// first_key is the tile's first key.
void ScoreTile(const AttentionRecipe& recipe, const Fp32& math, float softcap_scale,
               const RowSchedule& schedule, int64_t first_key, const uint32_t* words, float* s);

/// P as codes of the unit that multiplies V: E4M3 or BF16.
uint32_t RoundP(PFormat format, float p);

/// The block_n keys of a tile, from a first key on, as a matrix of keys x columns; keys that do not
/// exist are zeros. The view lives until the next call.
using KeyTileSource = std::function<CodeView(int64_t first_key)>;
KeyTileSource KeyTiles(const HeadsView& x, int64_t batch, int64_t head, int64_t block_n);

/// Whether two recipes give the same scores and the same P, and multiply it on the same unit: what
/// differs is how the products are gathered.
bool ShareWeights(const AttentionRecipe& x, const AttentionRecipe& y);

/// Rows that run through the key tiles together.
struct BlockTask {
  int64_t batch, kv_head;
  int64_t row_begin, row_end;  ///< packed rows of q: query row * group + head in group
  int split;
};

/// Computes a task's rows once for every recipe; these share weights. V has d_v columns, and need
/// not be in.v. options.threads of them share the block; 0 counts as 1.
/// o: [recipe][row][d_v], lse: rows (both FP32, finished and divided, before output rounding).
/// The rows' schedules share first_key. Returns "" or what went wrong.
std::string ForwardBlock(std::span<const AttentionRecipe> recipes, const AttentionInputs& in,
                         const AttentionOptions& options, const BlockTask& task,
                         const KeyTileSource& values, int64_t d_v, float* o, float* lse);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_BLOCK_H_
