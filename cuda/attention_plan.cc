#include "cuda/attention_plan.h"

#include <cstring>
#include <stdexcept>

#include "sim/attention_block.h"
#include "sim/attention_recipe.h"
#include "sim/parallel_for.h"

namespace lostbits::gpu {
namespace {

void Require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument("attention: " + message);
}

}  // namespace

const char* NameOf(AttentionKernel kernel) {
  return kernel == AttentionKernel::kTwin ? "twin" : "wgmma";
}

const char* NameOf(KernelExp2 exp2) {
  switch (exp2) {
    case KernelExp2::kPolynomial: return "polynomial";
    case KernelExp2::kCorrectlyRounded: return "correct";
    case KernelExp2::kApprox: return "approx";
  }
  return "?";
}

AttentionPlan PlanAttention(AttentionKernel kernel, KernelExp2 exp2, const AttentionShape& s,
                            const fp8::Format& output) {
  constexpr int64_t kLimit = int64_t{1} << 24;
  Require(s.batch > 0 && s.seqlen_q > 0 && s.seqlen_k > 0 && s.batch < 65536 &&
              s.seqlen_q <= kLimit && s.seqlen_k <= kLimit,
          "expected a batch of 1 to 65535 and 1 to 2^24 queries and keys, found batch " +
              std::to_string(s.batch) + ", " + std::to_string(s.seqlen_q) + " queries, " +
              std::to_string(s.seqlen_k) + " keys");
  Require(s.head_dim == 64 || s.head_dim == 128 || s.head_dim == 256,
          "head_dim is " + std::to_string(s.head_dim) + ", expected 64, 128 or 256");
  Require(s.heads_kv > 0 && s.heads_q > 0 && s.heads_q % s.heads_kv == 0 &&
              s.batch * s.heads_kv < 65536,
          std::to_string(s.heads_q) + " query heads and " + std::to_string(s.heads_kv) +
              " KV heads: expected a multiple");
  Require(s.splits >= 1 && s.splits <= 256,
          "splits is " + std::to_string(s.splits) + ", expected 1 to 256");
  Require(output == fp8::kFP32 || output == fp8::kBF16, "output must be FP32 or BF16");
  const bool wgmma = kernel == AttentionKernel::kWgmma;
  Require(wgmma ? exp2 != KernelExp2::kCorrectlyRounded : exp2 != KernelExp2::kApprox,
          wgmma ? "the wgmma kernel has exp2 polynomial and approx"
                : "the twin has exp2 polynomial and correct");
  sim::FlashAttention3Options o;
  o.head_dim = s.head_dim;
  o.causal = s.causal;
  AttentionPlan p{};
  p.kernel = kernel;
  p.exp2 = exp2;
  p.shape = s;
  p.recipe = sim::FlashAttention3Recipe(o);
  // Tiles of v2, and for the twin too, so that the two can be compared. No flush-to-zero: the
  // kernels are not compiled with it.
  p.recipe.block_m = p.recipe.block_n = 128;
  p.recipe.ftz = false;
  p.recipe.exp2 = exp2 == KernelExp2::kCorrectlyRounded ? sim::Exp2Model::kCorrectlyRounded
                                                        : sim::Exp2Model::kPolynomial;
  p.recipe.num_splits = s.splits;
  p.recipe.output = output;
  p.scale_log2 = sim::MakeSoftmaxParams(p.recipe, {}, 0, 0, nullptr).scale_log2;
  p.blocks = (PackedRows(s) + p.recipe.block_m - 1) / p.recipe.block_m;
  p.key_stride = (s.seqlen_k + p.recipe.block_n - 1) / p.recipe.block_n * p.recipe.block_n;
  if (wgmma) {
    p.stages = 2;
    p.threads = 384;
    // Q, stages of K and V, two barriers for each of them, and room to start at a multiple of 1024.
    p.shared_bytes = 128 * s.head_dim + p.stages * (2 * 128 * s.head_dim + 4 * 8) + 1024;
  } else {
    p.stages = 1;
    p.threads = 128;
    p.shared_bytes = 0;
  }
  return p;
}

TileRange BlockTiles(const AttentionPlan& plan, int64_t block, int split) {
  const AttentionShape& s = plan.shape;
  const int64_t group = s.heads_q / s.heads_kv, row = block * plan.recipe.block_m;
  const sim::RowSchedule schedule = sim::ScheduleRow(plan.recipe, {s.seqlen_q, s.seqlen_k, group},
                                                     row / group, row % group, split);
  if (schedule.Visits() == 0) return {0, 0};
  return {static_cast<int>(schedule.tile_begin), static_cast<int>(schedule.tile_end)};
}

AttentionOperands DrawAttention(const AttentionPlan& plan, OperandPattern pattern, uint64_t seed) {
  const AttentionShape& s = plan.shape;
  AttentionOperands x;
  const auto draw = [&](std::vector<uint8_t>& to, int64_t seqlen, int64_t heads, uint64_t side) {
    const int64_t rows = s.batch * seqlen, row = heads * s.head_dim;
    to.resize(static_cast<size_t>(rows * row));
    sim::ParallelFor(rows, sim::ThreadCount(0), {}, [&](int64_t r) -> std::string {
      DrawCodes(fp8::kE4M3FN, pattern, seed, 3 * static_cast<uint64_t>(r) + side, row,
                to.data() + r * row);
      return "";
    });
  };
  draw(x.q, s.seqlen_q, s.heads_q, 0);
  draw(x.k, s.seqlen_k, s.heads_kv, 1);
  draw(x.v, s.seqlen_k, s.heads_kv, 2);
  return x;
}

sim::AttentionInputs InputsFor(const AttentionPlan& plan, const AttentionOperands& operands,
                               std::span<const int64_t> queries, std::vector<uint8_t>* q) {
  const AttentionShape& s = plan.shape;
  const auto count = static_cast<int64_t>(queries.size());
  const int64_t row = int64_t{s.heads_q} * s.head_dim;
  q->resize(static_cast<size_t>(s.batch * count * row));
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(q->data() + (b * count + i) * row,
                  operands.q.data() + (b * s.seqlen_q + queries[static_cast<size_t>(i)]) * row,
                  static_cast<size_t>(row));
  sim::AttentionInputs in;
  in.q = sim::ContiguousHeads(q->data(), fp8::kE4M3FN, s.batch, count, s.heads_q, s.head_dim);
  in.k = sim::ContiguousHeads(operands.k.data(), fp8::kE4M3FN, s.batch, s.seqlen_k, s.heads_kv,
                              s.head_dim);
  in.v = sim::ContiguousHeads(operands.v.data(), fp8::kE4M3FN, s.batch, s.seqlen_k, s.heads_kv,
                              s.head_dim);
  in.query_numbers = queries.data();
  in.query_length = s.seqlen_q;
  return in;
}

AttentionRows AttentionOnCpu(const AttentionPlan& plan, const AttentionOperands& operands,
                             std::span<const int64_t> queries, int threads) {
  std::vector<uint8_t> q;
  const sim::AttentionInputs in = InputsFor(plan, operands, queries, &q);
  AttentionRows rows;
  rows.lse.resize(static_cast<size_t>(plan.shape.batch * plan.shape.heads_q) * queries.size());
  rows.o.resize(q.size());
  sim::AttentionOptions options;
  options.threads = threads;
  if (plan.recipe.output == fp8::kFP32) {
    sim::AttentionForward(plan.recipe, in, {rows.o.data(), rows.lse.data()}, options);
    return rows;
  }
  std::vector<uint16_t> halves(q.size());
  sim::AttentionForward(plan.recipe, in, {halves.data(), rows.lse.data()}, options);
  rows.o.assign(halves.begin(), halves.end());
  return rows;
}

}  // namespace lostbits::gpu
