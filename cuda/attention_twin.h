// A whole row of attention by the simulator's arithmetic, on host and device alike: what
// sim/attention_block.cc does for PvAccumulation::kPerTile without softcap and sinks. A team of
// threads shares the row; on the host the team is one.
#ifndef LOSTBITS_CUDA_ATTENTION_TWIN_H_
#define LOSTBITS_CUDA_ATTENTION_TWIN_H_

#include "cuda/attention_plan.h"
#include "cuda/attention_row.h"

namespace lostbits::gpu {

struct TwinRowInputs {
  const uint8_t* q;  ///< head_dim codes
  const uint8_t* k;  ///< of the row's KV head; keys lie `stride` bytes apart
  const uint8_t* v;
  int64_t stride, seqlen_k;
};

/// Shared memory of a team.
struct TwinWorkspace {
  float s[kKeyTile];
  uint8_t p[kKeyTile];
  float o[256];
  sim::SoftmaxRow row;
  sim::TileScale tile;
  sim::SoftmaxEnd end;
};

/// P V of one tile and column: instructions over the tile's keys, from +0. Keys that do not exist
/// are zeros.
FP8_HD inline float TileColumn(const sim::AccumSpec& unit, const uint8_t* p,
                               const TwinRowInputs& in, int64_t first_key, int column) {
  fp8::Unpacked up[sim::kMaxInstructionK], uv[sim::kMaxInstructionK];
  uint32_t word = 0;
  for (int k = 0; k < kKeyTile; k += unit.k) {
    for (int i = 0; i < unit.k; ++i) {
      const int64_t key = first_key + k + i;
      up[i] = fp8::Unpack(unit.a, p[k + i]);
      uv[i] = fp8::Unpack(unit.b, key < in.seqlen_k ? in.v[key * in.stride + column] : 0);
    }
    word = static_cast<uint32_t>(sim::DotInstruction(unit, up, uv, unit.k, word));
  }
  return fp8::BitCast<float>(word);
}

/// o: head_dim finished floats, before the output's rounding. Team: lane, lanes, Sync().
template <class Team>
FP8_HD inline void TwinAttentionRow(const Team& team, const sim::AttentionRecipe& recipe,
                                    const sim::SoftmaxParams& params,
                                    const sim::RowSchedule& schedule, const TwinRowInputs& in,
                                    TwinWorkspace* w, float* o, float* lse) {
  const int d = recipe.head_dim;
  const bool empty = schedule.tile_end <= schedule.tile_begin;
  if (team.lane == 0) w->row = sim::SoftmaxRow{};
  for (int c = team.lane; c < d; c += team.lanes) w->o[c] = 0;
  for (int64_t t = schedule.tile_end - 1; t >= schedule.tile_begin; --t) {
    const int64_t first_key = schedule.first_key + t * kKeyTile;
    for (int j = team.lane; j < kKeyTile; j += team.lanes) {
      const int64_t key = first_key + j;
      w->s[j] =
          key < schedule.key_begin || key >= schedule.key_end
              ? sim::NegativeInfinity()
              : fp8::BitCast<float>(ChainOver(recipe.qk, in.q, in.k + key * in.stride, 0, d, 0));
    }
    team.Sync();
    if (team.lane == 0) {
      const bool check_inf =
          !w->row.started || t >= schedule.check_from || t < schedule.check_below;
      w->tile = sim::SoftmaxMaximum(params, check_inf, w->s, kKeyTile, &w->row);
    }
    team.Sync();
    sim::SoftmaxRow unused;  // only a captured table writes to it
    for (int j = team.lane; j < kKeyTile; j += team.lanes) {
      sim::SoftmaxProbabilities(params, w->tile.max_scaled, w->s + j, 1, &unused);
      w->p[j] = static_cast<uint8_t>(fp8::Encode<fp8::kE4M3FN>(w->s[j]));
    }
    team.Sync();
    if (team.lane == 0) sim::SoftmaxSum(params, w->s, kKeyTile, &w->row);
    for (int c = team.lane; c < d; c += team.lanes)
      w->o[c] = params.math.MulAdd(recipe.fma.rescale_add, w->o[c], w->tile.scale,
                                   TileColumn(recipe.pv, w->p, in, first_key, c));
    team.Sync();
  }
  if (team.lane == 0) {
    w->end = {0, sim::NegativeInfinity()};
    if (!empty) w->end = sim::SoftmaxFinish(params, &w->row, nullptr, 1.0f);
    *lse = w->end.lse;
  }
  team.Sync();
  for (int c = team.lane; c < d; c += team.lanes)
    o[c] = empty ? 0.0f : params.math.Mul(w->o[c], w->end.factor);
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_ATTENTION_TWIN_H_
