// The host path of CUDA's cuda_fp8.h, cuda_fp6.h and cuda_fp4.h behind one name a question.
#ifndef LOSTBITS_TESTS_FP8_CUDA_HOST_H_
#define LOSTBITS_TESTS_FP8_CUDA_HOST_H_

#if LOSTBITS_HAVE_CUDA_HEADERS

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>

#include <cstdint>
#include <stdexcept>

#include "fp8/format.h"

namespace lostbits::fp8::cuda_host {

inline __half_raw Half(uint16_t bits) {
  __half_raw h;
  h.x = bits;
  return h;
}
inline __nv_bfloat16_raw Bfloat16(uint16_t bits) {
  __nv_bfloat16_raw b;
  b.x = bits;
  return b;
}

// One overload a source, so that every wrapper below is written once.
inline auto Fp8(double x, __nv_saturation_t s, __nv_fp8_interpretation_t i) {
  return __nv_cvt_double_to_fp8(x, s, i);
}
inline auto Fp8(float x, __nv_saturation_t s, __nv_fp8_interpretation_t i) {
  return __nv_cvt_float_to_fp8(x, s, i);
}
inline auto Fp8(__half_raw x, __nv_saturation_t s, __nv_fp8_interpretation_t i) {
  return __nv_cvt_halfraw_to_fp8(x, s, i);
}
inline auto Fp8(__nv_bfloat16_raw x, __nv_saturation_t s, __nv_fp8_interpretation_t i) {
  return __nv_cvt_bfloat16raw_to_fp8(x, s, i);
}
inline auto Fp6(double x, __nv_fp6_interpretation_t i, cudaRoundMode r) {
  return __nv_cvt_double_to_fp6(x, i, r);
}
inline auto Fp6(float x, __nv_fp6_interpretation_t i, cudaRoundMode r) {
  return __nv_cvt_float_to_fp6(x, i, r);
}
inline auto Fp6(__half_raw x, __nv_fp6_interpretation_t i, cudaRoundMode r) {
  return __nv_cvt_halfraw_to_fp6(x, i, r);
}
inline auto Fp6(__nv_bfloat16_raw x, __nv_fp6_interpretation_t i, cudaRoundMode r) {
  return __nv_cvt_bfloat16raw_to_fp6(x, i, r);
}
inline auto Fp4(double x, cudaRoundMode r) { return __nv_cvt_double_to_fp4(x, __NV_E2M1, r); }
inline auto Fp4(float x, cudaRoundMode r) { return __nv_cvt_float_to_fp4(x, __NV_E2M1, r); }
inline auto Fp4(__half_raw x, cudaRoundMode r) { return __nv_cvt_halfraw_to_fp4(x, __NV_E2M1, r); }
inline auto Fp4(__nv_bfloat16_raw x, cudaRoundMode r) {
  return __nv_cvt_bfloat16raw_to_fp4(x, __NV_E2M1, r);
}
inline auto E8m0(double x, __nv_saturation_t s, cudaRoundMode r) {
  return __nv_cvt_double_to_e8m0(x, s, r);
}
inline auto E8m0(float x, __nv_saturation_t s, cudaRoundMode r) {
  return __nv_cvt_float_to_e8m0(x, s, r);
}
inline auto E8m0(__nv_bfloat16_raw x, __nv_saturation_t s, cudaRoundMode r) {
  return __nv_cvt_bfloat16raw_to_e8m0(x, s, r);
}
/// There is no function from FP16; __nv_fp8_e8m0's constructor goes through float, exactly.
inline auto E8m0(__half_raw x, __nv_saturation_t s, cudaRoundMode r) {
  return __nv_cvt_float_to_e8m0(__half2float(__half(x)), s, r);
}

template <class Source>
uint32_t EncodeRounded(Format f, Source x, bool saturate, cudaRoundMode rounding) {
  const __nv_saturation_t s = saturate ? __NV_SATFINITE : __NV_NOSAT;
  if (f == kE4M3FN) return Fp8(x, s, __NV_E4M3);
  if (f == kE5M2) return Fp8(x, s, __NV_E5M2);
  if (f == kE8M0) return E8m0(x, s, rounding == cudaRoundNearest ? cudaRoundPosInf : rounding);
  if (f == kE2M3) return Fp6(x, __NV_E2M3, rounding);
  if (f == kE3M2) return Fp6(x, __NV_E3M2, rounding);
  if (f == kE2M1) return Fp4(x, rounding);
  throw std::invalid_argument("CUDA has no conversion to this format");
}

/// As CUDA's types convert: to nearest, E8M0 up.
template <class Source>
uint32_t Encode(Format f, Source x, bool saturate) {
  return EncodeRounded(f, x, saturate, cudaRoundNearest);
}
inline uint32_t EncodeTowardZero(Format f, float x) {
  return EncodeRounded(f, x, true, cudaRoundZero);
}

inline float Decode(Format f, uint8_t code) {
  if (f == kE4M3FN) return __half2float(__half(__nv_cvt_fp8_to_halfraw(code, __NV_E4M3)));
  if (f == kE5M2) return __half2float(__half(__nv_cvt_fp8_to_halfraw(code, __NV_E5M2)));
  if (f == kE8M0) return __bfloat162float(__nv_bfloat16(__nv_cvt_e8m0_to_bf16raw(code)));
  if (f == kE2M3) return __half2float(__half(__nv_cvt_fp6_to_halfraw(code, __NV_E2M3)));
  if (f == kE3M2) return __half2float(__half(__nv_cvt_fp6_to_halfraw(code, __NV_E3M2)));
  if (f == kE2M1) return __half2float(__half(__nv_cvt_fp4_to_halfraw(code, __NV_E2M1)));
  throw std::invalid_argument("CUDA has no conversion from this format");
}

}  // namespace lostbits::fp8::cuda_host

#endif  // LOSTBITS_HAVE_CUDA_HEADERS

#endif  // LOSTBITS_TESTS_FP8_CUDA_HOST_H_
