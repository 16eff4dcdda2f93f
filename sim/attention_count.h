// Where one row's products P V went: the walk over its tiles. Internal to sim/attention_count*.cc
// and sim/needle.cc.
#ifndef LOSTBITS_SIM_ATTENTION_COUNT_H_
#define LOSTBITS_SIM_ATTENTION_COUNT_H_

#include <cstdint>
#include <vector>

#include "sim/attention.h"
#include "sim/attention_block.h"

namespace lostbits::sim {

struct RowPlace {
  int64_t batch, query_row, head;
};

/// Throws as CountLostProducts does.
void CheckCountable(const AttentionRecipe& recipe, const AttentionInputs& in, const RowPlace& row,
                    const AttentionOptions& options);

/// Visits a row's tiles as its block does, with the accumulators that the unit really had.
class RowCounter {
 public:
  virtual ~RowCounter() = default;
  /// All splits. Throws std::runtime_error where a captured exp2 table lacks an input.
  void Run();

 protected:
  RowCounter(const AttentionRecipe& recipe, const AttentionInputs& in, const RowPlace& row,
             const AttentionOptions& options, int64_t d_v);

  /// words[j] <- accumulator word of the row's query and key first_key + j.
  virtual void Score(int64_t first_key, std::vector<uint32_t>* words) = 0;
  /// Counts a tile's products and adds them to o, d_v accumulator words. p: before its rounding.
  virtual void CountTile(const RowSchedule& schedule, int64_t first_key,
                         const std::vector<float>& p, std::vector<uint32_t>* o) = 0;

  const AttentionRecipe& recipe_;
  const AttentionInputs& in_;
  const RowPlace row_;
  const int64_t kv_head_, d_v_;

 private:
  void Split(const RowSchedule& schedule);
  bool StartsFromZero(int64_t visit, int64_t visits) const;

  const SoftmaxParams params_;
  const float softcap_scale_;
};

/// CountLostProducts in lanes, for V of several parts of d columns each: one result a part. values
/// gives tiles of parts * d columns; in.v gives none. The caller has checked the inputs. Proved
/// equal to CountLostProducts by tests/sim/attention_count_test.cc. Cost: seqlen_k * parts * d
/// steps of some 0.7 ns each.
std::vector<LostProducts> CountLostInLanes(const AttentionRecipe& recipe, const AttentionInputs& in,
                                           const RowPlace& row, const KeyTileSource& values,
                                           int64_t parts);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_COUNT_H_
