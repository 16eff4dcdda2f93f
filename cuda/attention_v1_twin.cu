// Attention v1: the simulator on the GPU, a block of threads a (row, split); and the kernel that
// merges splits, which v2 uses too. Equal to the plan's recipe, bit for bit.
#include "cuda/attention_launch.h"
#include "cuda/attention_twin.h"
#include "cuda/check.h"
#include "sim/attention_combine.h"

namespace lostbits::gpu {
namespace {

constexpr int kThreads = 128;

struct BlockTeam {
  int lane = threadIdx.x;
  static constexpr int lanes = kThreads;
  __device__ void Sync() const { __syncthreads(); }
};

__device__ sim::SoftmaxParams ParamsOf(const sim::AttentionRecipe& r, float scale_log2) {
  return {{r.ftz}, r.exp2, nullptr, r.fma, scale_log2, r.max_offset};
}

__global__ void __launch_bounds__(kThreads)
    AttentionTwin(sim::AttentionRecipe recipe, AttentionShape shape, float scale_log2,
                  const int64_t* queries, int64_t query_count, const sim::RowSchedule* schedules,
                  AttentionPointers p) {
  __shared__ TwinWorkspace workspace;
  const int64_t row = blockIdx.x, head = row % shape.heads_q,
                batch = row / shape.heads_q / query_count;
  const int64_t at = row / shape.heads_q % query_count, group = shape.heads_q / shape.heads_kv;
  const int split = blockIdx.y;
  const int64_t d = shape.head_dim, line = shape.heads_kv * d;
  const int64_t kv = batch * shape.seqlen_k * line + head / group * d;
  const TwinRowInputs in{p.q + ((batch * shape.seqlen_q + queries[at]) * shape.heads_q + head) * d,
                         p.k + kv, p.v + kv, line, shape.seqlen_k};
  const sim::RowSchedule schedule = schedules[(split * query_count + at) * group + head % group];
  const int64_t out = split * static_cast<int64_t>(gridDim.x) + row;
  float lse = 0;
  TwinAttentionRow(BlockTeam{}, recipe, ParamsOf(recipe, scale_log2), schedule, in, &workspace,
                   p.o_split + out * d, &lse);
  if (threadIdx.x == 0) p.lse_split[out] = lse;
}

__global__ void __launch_bounds__(kThreads)
    Combine(sim::AttentionRecipe recipe, AttentionShape shape, float scale_log2,
            int64_t query_count, AttentionPointers p) {
  __shared__ float weight[sim::kMaxSplits];
  const int64_t row = blockIdx.x, rows = gridDim.x, d = shape.head_dim;
  const sim::SoftmaxParams params = ParamsOf(recipe, scale_log2);
  const float* o = p.o_split + row * d;
  const bool merge = recipe.num_splits > 1;
  if (threadIdx.x == 0) {
    float lse = p.lse_split[row];
    sim::SoftmaxRow unused;
    if (merge)
      lse = sim::SplitWeights(params, recipe.num_splits, shape.head_dim, p.lse_split + row, rows,
                              &unused, weight);
    const int64_t head = row % shape.heads_q, at = row / shape.heads_q % query_count;
    const int64_t batch = row / shape.heads_q / query_count;
    p.lse[(batch * shape.heads_q + head) * query_count + at] = lse;
  }
  __syncthreads();
  for (int c = threadIdx.x; c < d; c += kThreads) {
    const float x =
        merge ? sim::CombineColumn(params, recipe.num_splits, weight, o + c, rows * d) : o[c];
    const uint32_t word = OutputWord(recipe.output, FloatWord(x));
    if (fp8::StorageBits(recipe.output) == 16) {
      static_cast<uint16_t*>(p.o)[row * d + c] = static_cast<uint16_t>(word);
    } else {
      static_cast<uint32_t*>(p.o)[row * d + c] = word;
    }
  }
}

unsigned RowCount(const AttentionPlan& plan, int64_t query_count) {
  return static_cast<unsigned>(plan.shape.batch * query_count * plan.shape.heads_q);
}

}  // namespace

void LaunchAttentionTwin(const AttentionPlan& plan, const AttentionPointers& p,
                         const int64_t* queries, int64_t query_count,
                         const sim::RowSchedule* schedules) {
  const dim3 grid(RowCount(plan, query_count), static_cast<unsigned>(plan.shape.splits));
  AttentionTwin<<<grid, kThreads>>>(plan.recipe, plan.shape, plan.scale_log2, queries, query_count,
                                    schedules, p);
  Check(cudaGetLastError(), "attention twin");
}

void LaunchCombine(const AttentionPlan& plan, const AttentionPointers& p, int64_t query_count) {
  Combine<<<RowCount(plan, query_count), kThreads>>>(plan.recipe, plan.shape, plan.scale_log2,
                                                     query_count, p);
  Check(cudaGetLastError(), "attention combine");
}

}  // namespace lostbits::gpu
