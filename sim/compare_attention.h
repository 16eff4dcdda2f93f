// Two attention kernels on the same queries, keys and values: where their outputs part, and which
// feature of their recipes is to blame, measured by moving each alone (as sim/compare.h).
#ifndef LOSTBITS_SIM_COMPARE_ATTENTION_H_
#define LOSTBITS_SIM_COMPARE_ATTENTION_H_

#include <cstdint>
#include <vector>

#include "sim/attention.h"

namespace lostbits::sim {

/// A part of an attention recipe that decides bits by itself.
enum class AttentionFeature : uint8_t {
  kUnits,         ///< qk and pv, and with them the operands' formats, p_format and max_offset
  kTile,          ///< block_m, block_n and overlap
  kAccumulation,  ///< accumulation and interval
  kSplits,        ///< num_splits
  kOrder,         ///< of the key tiles
};

std::vector<AttentionFeature> DifferingFeatures(const AttentionRecipe& x, const AttentionRecipe& y);
/// `to` with one feature of `from`.
AttentionRecipe WithFeature(const AttentionRecipe& to, const AttentionRecipe& from,
                            AttentionFeature feature);

/// One kernel with its inputs in its own formats. q has one query, which sees every key.
struct ComparedAttention {
  AttentionRecipe recipe;
  AttentionInputs in;
};

struct AttentionAttribution {
  AttentionFeature feature;
  int64_t a_becomes_b, b_becomes_a;  ///< of the outputs that differ
};

struct AttentionComparison {
  int64_t keys = 0;
  int64_t outputs = 0;
  int64_t different = 0;    ///< in bits
  double max_absolute = 0;  ///< largest |difference|
  double max_value = 0;     ///< largest |output| of A, to weigh it by
  std::vector<AttentionAttribution> features;
};

/// Runs both on their first `keys` keys, with the output in BF16; and, if `attribute`, every
/// feature's move. Throws as AttentionForward does.
AttentionComparison CompareAttention(const ComparedAttention& a, const ComparedAttention& b,
                                     int64_t keys, bool attribute, int threads);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_COMPARE_ATTENTION_H_
