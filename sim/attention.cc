// Cuts the work into blocks of rows, runs them in any order, merges the splits of each row.
#include "sim/attention.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "sim/attention_block.h"
#include "sim/attention_combine.h"
#include "sim/parallel_for.h"
#include "sim/softmax.h"

namespace lostbits::sim {
namespace {

constexpr int64_t kMaxBlockRows = 128;   // enough to pay for packing a tile of K and V
constexpr int64_t kBlocksPerThread = 8;  // enough for the last ones not to count

/// Rows of one (batch, KV head) in runs that share a tile grid (first_key), each at most
/// kMaxBlockRows long; every run once per split. The longest work comes first.
std::vector<BlockTask> CutIntoTasks(const AttentionRecipe& recipe, const AttentionInputs& in) {
  const SequenceShape shape = ShapeOf(in);
  const int64_t packed_rows = in.q.seqlen * shape.group;
  struct Costed {
    BlockTask task;
    int64_t cost;
  };
  std::vector<Costed> tasks;
  for (int64_t b = 0; b < in.k.batch; ++b)
    for (int64_t h = 0; h < in.k.heads; ++h)
      for (int split = 0; split < recipe.num_splits; ++split) {
        int64_t begin_key = 0;
        for (int64_t r = 0; r < packed_rows; ++r) {
          const RowSchedule s =
              ScheduleRow(recipe, shape, QueryNumber(in, r / shape.group), r % shape.group, split);
          if (r == 0 || s.first_key != begin_key ||
              r - tasks.back().task.row_begin == kMaxBlockRows) {
            tasks.push_back({{b, h, r, r, split}, 0});
            begin_key = s.first_key;
          }
          tasks.back().task.row_end = r + 1;
          tasks.back().cost += s.Visits();
        }
      }
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const Costed& x, const Costed& y) { return x.cost > y.cost; });
  std::vector<BlockTask> sorted;
  for (const Costed& t : tasks) sorted.push_back(t.task);
  return sorted;
}

void StoreRow(const AttentionRecipe& recipe, const float* row, int64_t d, int64_t at, void* o) {
  constexpr fp8::EncodePolicy kToBf16{.overflow = fp8::Overflow::kToSpecial,
                                      .inf = fp8::InfRule::kKeep};
  for (int64_t c = 0; c < d; ++c) {
    if (recipe.output == fp8::kBF16) {
      static_cast<uint16_t*>(o)[at + c] =
          static_cast<uint16_t>(fp8::Encode<fp8::kBF16>(row[c], kToBf16));
    } else {
      static_cast<float*>(o)[at + c] = IsNan(row[c]) ? fp8::BitCast<float>(kFp32Nan) : row[c];
    }
  }
}

}  // namespace

HeadsView ContiguousHeads(const void* data, fp8::Format format, int64_t batch, int64_t seqlen,
                          int64_t heads, int64_t dim) {
  return {data, format, batch, seqlen, heads, dim, seqlen * heads * dim, heads * dim, dim};
}

void AttentionForward(const AttentionRecipe& recipe, const AttentionInputs& in,
                      const AttentionOutputs& out, const AttentionOptions& options) {
  CheckAttention(recipe, in, options);
  if (out.o == nullptr) throw std::invalid_argument("attention: the output has no data");
  const int threads = ThreadCount(options.threads);
  const SequenceShape shape = ShapeOf(in);
  const int64_t d = in.q.dim, splits = recipe.num_splits;
  const int64_t packed_rows = in.q.seqlen * shape.group;
  const int64_t rows = in.k.batch * in.k.heads * packed_rows;

  // Finished FP32 rows, [split, batch, KV head, packed row, d].
  std::vector<float> o(static_cast<size_t>(splits * rows * d));
  std::vector<float> lse(static_cast<size_t>(splits * rows));
  const std::vector<BlockTask> tasks = CutIntoTasks(recipe, in);
  const auto count = static_cast<int64_t>(tasks.size());
  // Few blocks: one after the other, all threads on each. Many: a thread each.
  const bool together = count < kBlocksPerThread * threads;
  AttentionOptions block_options = options;
  block_options.threads = together ? threads : 1;
  ParallelFor(count, together ? 1 : threads, options.progress, [&](int64_t i) {
    const BlockTask& task = tasks[static_cast<size_t>(i)];
    const int64_t at =
        ((task.split * in.k.batch + task.batch) * in.k.heads + task.kv_head) * packed_rows +
        task.row_begin;
    return ForwardBlock({&recipe, 1}, in, block_options, task,
                        KeyTiles(in.v, task.batch, task.kv_head, recipe.block_n), d,
                        o.data() + at * d, lse.data() + at);
  });

  ParallelFor(rows, threads, {}, [&](int64_t row) -> std::string {
    const int64_t packed = row % packed_rows;
    const int64_t kv_head = row / packed_rows % in.k.heads;
    const int64_t batch = row / packed_rows / in.k.heads;
    const int64_t query = packed / shape.group;
    const int64_t head = kv_head * shape.group + packed % shape.group;
    const float* finished = o.data() + row * d;
    float row_lse = lse[static_cast<size_t>(row)];
    float combined[256];  // d <= 256
    if (splits > 1) {
      const SoftmaxParams p = MakeSoftmaxParams(recipe, in, batch, kv_head, options.exp2_table);
      SoftmaxRow state;
      float weight[kMaxSplits];
      row_lse = SplitWeights(p, recipe.num_splits, d, lse.data() + row, rows, &state, weight);
      for (int64_t c = 0; c < d; ++c)
        combined[c] = CombineColumn(p, recipe.num_splits, weight, finished + c, rows * d);
      if (state.exp2_missing)
        return "attention: the captured exp2 table lacks the input " +
               std::to_string(state.missing_input) + " of the split merge";
      finished = combined;
    }
    StoreRow(recipe, finished, d, ((batch * in.q.seqlen + query) * in.q.heads + head) * d, out.o);
    if (out.lse != nullptr) out.lse[(batch * in.q.heads + head) * in.q.seqlen + query] = row_lse;
    return "";
  });
  if (options.progress) options.progress(1);
}

}  // namespace lostbits::sim
