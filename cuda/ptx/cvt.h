// Conversions to and from FP8, and 2^x, as the hardware has them. PTX ISA 9.0, "cvt", "ex2".
#ifndef LOSTBITS_CUDA_PTX_CVT_H_
#define LOSTBITS_CUDA_PTX_CVT_H_

#include <cstdint>

#include "cuda/ptx/types.h"

namespace lostbits::gpu::ptx {

// cvt.rn.satfinite.*x2.f32 d, high, low: two floats to two codes, high in the upper byte. sm_89.
__device__ inline uint16_t CvtE4m3x2(float high, float low) {
  uint16_t d = 0;
  if constexpr (kDeviceArch >= 890) {
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(d) : "f"(high), "f"(low));
  } else {
    __trap();
  }
  return d;
}
__device__ inline uint16_t CvtE5m2x2(float high, float low) {
  uint16_t d = 0;
  if constexpr (kDeviceArch >= 890) {
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(d) : "f"(high), "f"(low));
  } else {
    __trap();
  }
  return d;
}
// cvt.rn.f16x2.*x2: two codes to two FP16 words, exact. sm_89.
__device__ inline uint32_t CvtFromE4m3x2(uint16_t codes) {
  uint32_t d = 0;
  if constexpr (kDeviceArch >= 890) {
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(d) : "h"(codes));
  } else {
    __trap();
  }
  return d;
}
__device__ inline uint32_t CvtFromE5m2x2(uint16_t codes) {
  uint32_t d = 0;
  if constexpr (kDeviceArch >= 890) {
    asm("cvt.rn.f16x2.e5m2x2 %0, %1;" : "=r"(d) : "h"(codes));
  } else {
    __trap();
  }
  return d;
}

/// ex2.approx.ftz.f32: 2^x, subnormal inputs and results flushed to zero.
__device__ inline float Ex2ApproxFtz(float x) {
  float d;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(d) : "f"(x));
  return d;
}

}  // namespace lostbits::gpu::ptx

#endif  // LOSTBITS_CUDA_PTX_CVT_H_
