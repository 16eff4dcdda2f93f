// Between the .cu files: GEMM kernels on device memory.
#ifndef LOSTBITS_CUDA_GEMM_LAUNCH_H_
#define LOSTBITS_CUDA_GEMM_LAUNCH_H_

#include "cuda/gemm_plan.h"

namespace lostbits::gpu {

/// Device memory. scale_a lies block after block, M floats each (K / 128 x M): a warp reads
/// neighbours. scale_b: K / 128 x ceil(N / 128).
struct GemmPointers {
  const uint8_t* a;
  const uint8_t* b;
  const float* scale_a;
  const float* scale_b;
  void* d;  ///< M x N: FP32 words, or 16-bit ones
};

// Each launches once and does not wait.
void LaunchGemmTwin(const GemmPlan& plan, const GemmPointers& p);
void LaunchGemmMma(const GemmPlan& plan, const GemmPointers& p);
void LaunchGemmWgmma(const GemmPlan& plan, const GemmPointers& p);
void LaunchGemm(const GemmPlan& plan, const GemmPointers& p);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_GEMM_LAUNCH_H_
