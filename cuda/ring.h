// The stages of a pipeline between one thread that asks TMA for tiles and warps that consume them.
//
//   full[stage]   1 arrival a use: the producer's, with the bytes that TMA will write
//   empty[stage]  1 arrival a consumer warp, once its wgmma has read the stage
//
// Use number u of a stage completes phase u of its full barrier, then phase u of its empty barrier;
// a wait names a phase by its parity. The producer of use u waits for empty phase u - 1: for u = 0
// that is parity 1, which a fresh barrier counts as complete. tests/cuda/pipeline_test.cc plays it.
#ifndef LOSTBITS_CUDA_RING_H_
#define LOSTBITS_CUDA_RING_H_

#include <cstdint>

#include "fp8/hd.h"

namespace lostbits::gpu {

template <int kStages>
struct Ring {
  int stage = 0;
  uint32_t parity = 0;  ///< of this use

  FP8_HD constexpr uint32_t FullParity() const { return parity; }
  FP8_HD constexpr uint32_t EmptyParity() const { return parity ^ 1; }
  FP8_HD constexpr void Advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_RING_H_
