// Exact attention with values from anywhere. Internal to sim/attention_exact.cc and sim/needle.cc.
#ifndef LOSTBITS_SIM_ATTENTION_EXACT_H_
#define LOSTBITS_SIM_ATTENTION_EXACT_H_

#include <cstdint>
#include <functional>

#include "sim/attention.h"

namespace lostbits::sim {

/// One key's row of V, either in memory of its own or written to `space` (as long as a row).
using ExactValues = std::function<const double*(int64_t key, double* space)>;

/// AttentionExact of batch 0 and KV head 0, serial, with rows of d_v values. in.v gives no values.
/// o: [seqlen_q, heads_q, d_v], lse: [heads_q, seqlen_q]. The caller has checked recipe and inputs.
void ExactBlock(const AttentionRecipe& recipe, const AttentionInputs& in, const ExactValues& values,
                int64_t d_v, double* o, double* lse);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_EXACT_H_
