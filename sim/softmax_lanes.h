// SoftmaxProbabilities of sim/softmax.h in lanes: the same bits on every instruction set.
#ifndef LOSTBITS_SIM_SOFTMAX_LANES_H_
#define LOSTBITS_SIM_SOFTMAX_LANES_H_

#include "sim/softmax.h"

namespace lostbits::sim {

/// s[i] <- 2^(s[i] * p.scale_log2 - max_scaled) for i < n, under Exp2Model::kCorrectlyRounded; p's
/// model is not looked at. Proved equal to Exp2CorrectlyRounded on all floats by
/// tests/sim/exp2_exhaustive_test.cc. Cost: 2 to 3 ns an element with AVX-512.
void SoftmaxProbabilityLanes(const SoftmaxParams& p, float max_scaled, float* s, int n);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_SOFTMAX_LANES_H_
