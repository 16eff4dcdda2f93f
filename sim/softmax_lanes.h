// A tile's softmax (sim/softmax.h) and the update of a row's output in lanes: the same bits on
// every instruction set. Lanes run along the keys of one row, except in the row's sum, where they
// are the four threads of the quad.
#ifndef LOSTBITS_SIM_SOFTMAX_LANES_H_
#define LOSTBITS_SIM_SOFTMAX_LANES_H_

#include <cstdint>

#include "sim/softmax.h"

namespace lostbits::sim {

/// SoftmaxStep under Exp2Model::kCorrectlyRounded; p's model is not looked at. n a multiple of 8.
/// Cost: about 0.6 ns an element with AVX-512.
float SoftmaxStepLanes(const SoftmaxParams& p, bool check_inf, float* s, int n, SoftmaxRow* row);

/// SoftmaxProbabilities likewise, any n. Proved equal to Exp2CorrectlyRounded on all floats by
/// tests/sim/exp2_exhaustive_test.cc.
void SoftmaxProbabilityLanes(const SoftmaxParams& p, float max_scaled, float* s, int n);

/// o[i] <- math.Mul(o[i], scale)
void ScaleLanes(const Fp32& math, float scale, float* o, int64_t n);

/// o[i] <- math.MulAdd(fused, o[i], scale, tile[i])
void ScaleAndAddLanes(const Fp32& math, bool fused, float scale, const float* tile, float* o,
                      int64_t n);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_SOFTMAX_LANES_H_
