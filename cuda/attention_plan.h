// How an attention kernel of this folder is launched, and which recipe of sim/attention.h it equals
// bit for bit. Plain data, made and checked on the host; nothing here needs a GPU.
//
// Q [batch, seqlen_q, heads_q, d], K and V [batch, seqlen_k, heads_kv, d], all E4M3 and contiguous.
#ifndef LOSTBITS_CUDA_ATTENTION_PLAN_H_
#define LOSTBITS_CUDA_ATTENTION_PLAN_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cuda/gemm_plan.h"
#include "sim/attention.h"
#include "sim/attention_schedule.h"

namespace lostbits::gpu {

enum class AttentionKernel : uint8_t {
  kTwin,   ///< attention_v1_twin.cu: the simulator's arithmetic, a block a row
  kWgmma,  ///< attention_v2_wgmma.cu: wgmma and TMA, two-level accumulation (sm_90a)
};
const char* NameOf(AttentionKernel kernel);

/// 2^x of the kernel. The twin has both simulated ones; v2 the polynomial and the instruction.
enum class KernelExp2 : uint8_t {
  kPolynomial,        ///< sim::Exp2Polynomial: equal to the recipe
  kCorrectlyRounded,  ///< sim::Exp2CorrectlyRounded: equal to the recipe
  kApprox,            ///< ex2.approx.ftz.f32: bounded, see cuda/attention_bound.h
};
const char* NameOf(KernelExp2 exp2);

struct AttentionShape {
  int64_t batch = 1, seqlen_q = 1, seqlen_k = 1;
  int heads_q = 1, heads_kv = 1, head_dim = 128;
  bool causal = false;
  int splits = 1;
};

struct AttentionPlan {
  AttentionKernel kernel;
  KernelExp2 exp2;
  AttentionShape shape;
  sim::AttentionRecipe recipe;  ///< what the kernel equals; under kApprox, all but its exp2
  float scale_log2;             ///< softmax_scale * log2(e), rounded as the recipe rounds it
  int stages, threads, shared_bytes;
  int64_t blocks;      ///< of block_m packed rows, of one KV head
  int64_t key_stride;  ///< keys of a head in the transposed V: whole tiles
};

/// Rows of a KV head: (query, head in its group).
inline int64_t PackedRows(const AttentionShape& s) { return s.seqlen_q * (s.heads_q / s.heads_kv); }

/// output: kFP32 or kBF16. Throws std::invalid_argument with one line where no kernel takes the
/// shape.
AttentionPlan PlanAttention(AttentionKernel kernel, KernelExp2 exp2, const AttentionShape& shape,
                            const fp8::Format& output);

/// Key tiles [begin, end) of block `block` in one split: what its rows share.
struct TileRange {
  int begin, end;
};
TileRange BlockTiles(const AttentionPlan& plan, int64_t block, int split);

/// Each of the three from streams of its own.
struct AttentionOperands {
  std::vector<uint8_t> q, k, v;
};
AttentionOperands DrawAttention(const AttentionPlan& plan, OperandPattern pattern, uint64_t seed);

/// Some queries of the sequence, all heads: words of plan.recipe.output, [batch][query][head][d],
/// and lse [batch][head][query].
struct AttentionRows {
  std::vector<uint32_t> o;
  std::vector<float> lse;
};
/// Inputs of sim::AttentionForward for these queries. `q` receives their rows.
sim::AttentionInputs InputsFor(const AttentionPlan& plan, const AttentionOperands& operands,
                               std::span<const int64_t> queries, std::vector<uint8_t>* q);
AttentionRows AttentionOnCpu(const AttentionPlan& plan, const AttentionOperands& operands,
                             std::span<const int64_t> queries, int threads);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_ATTENTION_PLAN_H_
