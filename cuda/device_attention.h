// An attention's operands and results in device memory. Host code of .cu files only.
#ifndef LOSTBITS_CUDA_DEVICE_ATTENTION_H_
#define LOSTBITS_CUDA_DEVICE_ATTENTION_H_

#include <vector>

#include "cuda/attention_launch.h"
#include "cuda/check.h"
#include "cuda/gemm_twin.h"

namespace lostbits::gpu {

class DeviceAttention {
 public:
  DeviceAttention(const AttentionPlan& plan, const AttentionOperands& operands,
                  std::span<const int64_t> queries)
      : plan_(plan),
        asked_(queries.begin(), queries.end()),
        q_(std::span<const uint8_t>(operands.q)),
        k_(std::span<const uint8_t>(operands.k)),
        v_(std::span<const uint8_t>(operands.v)),
        v_transposed_(IsTwin() ? 0
                               : Size(plan.shape.batch * plan.shape.heads_kv * plan.shape.head_dim *
                                      plan.key_stride)),
        tiles_(std::span<const TileRange>(Tiles(plan))),
        queries_(std::span<const int64_t>(asked_)),
        schedules_(std::span<const sim::RowSchedule>(Schedules(plan, asked_))),
        o_split_(NeedsSplits() ? Size(plan.shape.splits * Values()) : 0),
        lse_split_(NeedsSplits() ? Size(plan.shape.splits * RowCount()) : 0),
        o_(Size(Values() * OutputBytes())),
        lse_(Size(RowCount())) {}

  /// Launches; does not wait.
  void Run() {
    const AttentionPointers p{
        q_.data(),       k_.data(),         v_.data(), v_transposed_.data(), tiles_.data(),
        o_split_.data(), lse_split_.data(), o_.data(), lse_.data()};
    if (!IsTwin()) return LaunchAttentionWgmma(plan_, p);
    LaunchAttentionTwin(plan_, p, queries_.data(), Computed(), schedules_.data());
    LaunchCombine(plan_, p, Computed());
  }

  /// Runs, and copies the rows asked for.
  AttentionRows Rows() {
    Run();
    CheckLaunch("attention");
    std::vector<uint8_t> o(o_.size());
    std::vector<float> lse(lse_.size());
    o_.CopyTo(o);
    lse_.CopyTo(lse);
    const AttentionShape& s = plan_.shape;
    AttentionRows rows;
    const int64_t line = int64_t{s.heads_q} * s.head_dim;
    for (int64_t b = 0; b < s.batch; ++b)
      for (size_t i = 0; i < asked_.size(); ++i)
        for (int64_t c = 0; c < line; ++c)
          rows.o.push_back(
              ElementAt(o.data(), (b * Computed() + Place(i)) * line + c, OutputBytes()));
    for (int64_t b = 0; b < s.batch * s.heads_q; ++b)
      for (size_t i = 0; i < asked_.size(); ++i)
        rows.lse.push_back(lse[Size(b * Computed() + Place(i))]);
    return rows;
  }

 private:
  static size_t Size(int64_t n) { return static_cast<size_t>(n); }
  bool IsTwin() const { return plan_.kernel == AttentionKernel::kTwin; }
  bool NeedsSplits() const { return IsTwin() || plan_.shape.splits > 1; }
  /// The twin computes what is asked, v2 all queries.
  int64_t Computed() const {
    return IsTwin() ? static_cast<int64_t>(asked_.size()) : plan_.shape.seqlen_q;
  }
  int64_t Place(size_t i) const { return IsTwin() ? static_cast<int64_t>(i) : asked_[i]; }
  int64_t RowCount() const { return plan_.shape.batch * Computed() * plan_.shape.heads_q; }
  int64_t Values() const { return RowCount() * plan_.shape.head_dim; }
  int OutputBytes() const { return fp8::StorageBits(plan_.recipe.output) / 8; }

  static std::vector<TileRange> Tiles(const AttentionPlan& plan) {
    std::vector<TileRange> tiles;
    for (int split = 0; split < plan.shape.splits; ++split)
      for (int64_t block = 0; block < plan.blocks; ++block)
        tiles.push_back(BlockTiles(plan, block, split));
    return tiles;
  }
  static std::vector<sim::RowSchedule> Schedules(const AttentionPlan& plan,
                                                 std::span<const int64_t> queries) {
    const AttentionShape& s = plan.shape;
    const int64_t group = s.heads_q / s.heads_kv;
    std::vector<sim::RowSchedule> schedules;
    for (int split = 0; split < s.splits; ++split)
      for (const int64_t query : queries)
        for (int64_t head = 0; head < group; ++head)
          schedules.push_back(
              sim::ScheduleRow(plan.recipe, {s.seqlen_q, s.seqlen_k, group}, query, head, split));
    return schedules;
  }

  const AttentionPlan plan_;
  const std::vector<int64_t> asked_;
  DeviceArray<uint8_t> q_, k_, v_, v_transposed_;
  DeviceArray<TileRange> tiles_;
  DeviceArray<int64_t> queries_;
  DeviceArray<sim::RowSchedule> schedules_;
  DeviceArray<float> o_split_, lse_split_;
  DeviceArray<uint8_t> o_;
  DeviceArray<float> lse_;
};

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_DEVICE_ATTENTION_H_
