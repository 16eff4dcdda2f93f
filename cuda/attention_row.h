// A row of attention on host and device alike: sim/softmax.h's steps as kernels take them apart.
// Equal to sim::AttentionForward by test; compiled with -fmad=false.
#ifndef LOSTBITS_CUDA_ATTENTION_ROW_H_
#define LOSTBITS_CUDA_ATTENTION_ROW_H_

#include <cstdint>

#include "cuda/gemm_twin.h"
#include "sim/softmax.h"

namespace lostbits::gpu {

inline constexpr int kKeyTile = 128;  ///< AttentionRecipe::block_n of the kernels

/// One thread's part of a row (v2): the columns 8j + 2q and 8j + 2q + 1 of every tile.
/// Exp2Of: float(float).
struct RowPart {
  float max = 0, sum = 0;
  bool started = false;
};
struct RowScales {
  float scale;       ///< what was gathered before shrinks by it
  float max_scaled;  ///< P = 2^(s * scale_log2 - max_scaled)
};
inline constexpr float kMaxOffset = 8;  ///< AttentionRecipe::max_offset for FP8

/// The row's maximum becomes `max` (of the whole row so far, this tile included): MoveMaximum of
/// sim/softmax.h, which checks for empty rows in masked tiles; here always, for in other tiles no
/// maximum of finite operands is -Inf.
template <class Exp2Of>
FP8_HD inline RowScales MoveRowMaximum(float max, float scale_log2, Exp2Of exp2, RowPart* row) {
  const float minus_inf = sim::NegativeInfinity();
  const bool empty = max == minus_inf;
  RowScales out{1, 0};
  if (row->started) {
    out.scale = exp2((row->max - (empty ? 0 : max)) * scale_log2);
    row->sum = row->sum * out.scale;
  }
  row->max = max;
  row->started = true;
  if (!empty) out.max_scaled = sim::FusedMultiplyAdd(max, scale_log2, -kMaxOffset);
  return out;
}

/// P of one score, before its rounding.
template <class Exp2Of>
FP8_HD inline float Probability(float score, float scale_log2, float max_scaled, Exp2Of exp2) {
  return exp2(sim::FusedMultiplyAdd(score, scale_log2, -max_scaled));
}

/// O of a row after a tile's products, gathered from zero: two roundings (FmaSites::rescale_add).
FP8_HD inline float GatherTile(float o, float scale, float tile) {
  const float scaled = o * scale;
  return scaled + tile;
}

/// Where a key stands in the transposed V. A group of 32 keys is one instruction, and within it the
/// unit adds in no order; so V^T keeps the keys of a group in the order in which the accumulators
/// of S, packed to E4M3, are already an operand a: position 4q + {0, 1} of each half holds keys
/// 2q + {0, 1}, position 4q + {2, 3} keys 8 + 2q + {0, 1} (FlashAttention-3 does the same with
/// shuffles, utils.h:557).
FP8_HD constexpr int KeyAtPosition(int position) {
  const int half = position % 32 / 16, q = position % 16 / 4, e = position % 4;
  return position / 32 * 32 + 16 * half + 8 * (e / 2) + 2 * q + e % 2;
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_ATTENTION_ROW_H_
