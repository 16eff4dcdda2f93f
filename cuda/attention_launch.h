// Between the .cu files: attention kernels on device memory. Each launch does not wait.
//
// Rows are numbered (batch * queries + query) * heads_q + head.
#ifndef LOSTBITS_CUDA_ATTENTION_LAUNCH_H_
#define LOSTBITS_CUDA_ATTENTION_LAUNCH_H_

#include "cuda/attention_plan.h"

namespace lostbits::gpu {

struct AttentionPointers {
  const uint8_t *q, *k, *v;
  uint8_t* v_transposed;   ///< v2: [batch, heads_kv, d, key_stride]
  const TileRange* tiles;  ///< v2: [splits][blocks]
  float* o_split;          ///< [splits][rows][d]; null in v2 without splits
  float* lse_split;        ///< [splits][rows]
  void* o;                 ///< [rows][d] of recipe.output
  float* lse;              ///< [batch][heads_q][queries]
};

/// Some queries only: `queries` of them, in device memory; one schedule a (split, query, head in
/// its group).
void LaunchAttentionTwin(const AttentionPlan& plan, const AttentionPointers& p,
                         const int64_t* queries, int64_t query_count,
                         const sim::RowSchedule* schedules);
/// All queries.
void LaunchAttentionWgmma(const AttentionPlan& plan, const AttentionPointers& p);
/// o and lse from the splits.
void LaunchCombine(const AttentionPlan& plan, const AttentionPointers& p, int64_t query_count);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_ATTENTION_LAUNCH_H_
