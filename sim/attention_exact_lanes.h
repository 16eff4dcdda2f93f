// The two inner loops of exact attention in lanes, binary64, no operation fused: the same bits on
// every instruction set.
#ifndef LOSTBITS_SIM_ATTENTION_EXACT_LANES_H_
#define LOSTBITS_SIM_ATTENTION_EXACT_LANES_H_

#include <cstdint>

namespace lostbits::sim {

/// Eight interleaved partial sums of a[i] * b[i], added up in order.
double DotLanes(const double* a, const double* b, int64_t n);

/// sum[c] += weight[j] * rows[j][c] for j = 0, 1, ... count - 1 in turn, at most 4 of them; c < n.
void AddScaledLanes(const double* weight, const double* const* rows, int64_t count, double* sum,
                    int64_t n);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_EXACT_LANES_H_
