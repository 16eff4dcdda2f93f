// From the largest magnitude of a block, its amax, to the scale it is divided by.
//
// Everywhere: code = Encode(x / scale), value = Decode(code) * scale. What differs between schemes
// is the block that shares a scale, the format the scale is stored in, and the rule from amax to
// scale. The first two are the rows of kScaleKinds; the rules are the functions below.
// All functions take a finite amax >= 0 (the caller rejects others) and do one IEEE operation a
// line in the arithmetic named; the caller's rounding mode must be to nearest.
#ifndef LOSTBITS_FP8_SCALE_H_
#define LOSTBITS_FP8_SCALE_H_

#include <cstdint>

#include "fp8/codec.h"
#include "fp8/format.h"
#include "fp8/rounding.h"

namespace lostbits::fp8 {

/// Which elements share a scale. For a matrix of tokens (or output channels) x features.
struct ScaleKind {
  const char* name;
  int rows;       ///< of a block; 0: all
  int cols;       ///< of a block, along the dot product; 0: all
  bool per_head;  ///< a block ends at the head's boundary
  Format scale;   ///< what a scale is stored in
  const char* source;
};

inline constexpr ScaleKind kScaleKinds[] = {
    {"tensor", 0, 0, false, kFP32, "vLLM attention.py k_scale, v_scale; compressed-tensors tensor"},
    {"head", 0, 0, true, kFP32, "compressed-tensors attn_head; vLLM FlashAttention >= 3"},
    {"1x128", 1, 128, false, kFP32, "DeepSeek-V3, arXiv 2412.19437 section 3.3.2, activations"},
    {"128x128", 128, 128, false, kFP32, "DeepSeek-V3, arXiv 2412.19437 section 3.3.2, weights"},
    {"mx_1x32", 1, 32, false, kE8M0, "OCP Microscaling Formats v1.0, section 5.2, k = 32"},
    {"nvfp4_1x16", 1, 16, false, kE4M3FN,
     "NVFP4: E4M3 a block times FP32 a tensor (PTX ISA, "
     "mma block scaling, scale_vec::4X with ue4m3)"},
};

/// Largest finite number of a format, as a float (FP64 excepted).
FP8_HD constexpr float MaxFinite(Format f) { return Decode(f, MaxMagnitude(f) << f.pad); }

namespace detail {
/// amax / divisor, but never 0 for a number: not below binary32's smallest.
FP8_HD constexpr float PositiveQuotient(float amax, float divisor) {
  constexpr float kSmallest = 0x1p-149f;
  const float scale = amax / divisor;
  return amax == 0 ? 1.0f : scale < kSmallest ? kSmallest : scale;
}
}  // namespace detail

/// amax / largest finite: the block's largest element lands on the format's largest number.
/// A block of zeros gets scale 1, any other at least 2^-149.
FP8_HD constexpr float ScaleToMax(float amax, Format element) {
  return detail::PositiveQuotient(amax, MaxFinite(element));
}

/// compressed-tensors, symmetric float: amax / 448, but not below the binary32 epsilon, which is
/// also what a block of zeros gets. On disk the scale is mostly bfloat16: Encode it so.
FP8_HD constexpr float ScaleCompressedTensors(float amax, Format element) {
  constexpr float kEpsilon = 1.1920929e-07f;  // 2^-23, torch.finfo(float32).eps
  const float scale = amax / MaxFinite(element);
  return scale < kEpsilon ? kEpsilon : scale;
}

/// vLLM --calculate-kv-scales (removed 2026-07, #49389): amax over a constant, not over 448.
inline constexpr float kVllmQueryDivisor = 200.0f;  // vLLM envs.py Q_SCALE_CONSTANT
inline constexpr float kVllmKeyDivisor = 200.0f;    // vLLM envs.py K_SCALE_CONSTANT
inline constexpr float kVllmValueDivisor = 100.0f;  // vLLM envs.py V_SCALE_CONSTANT

/// The E8M0 code of the smallest power of two that keeps amax in range: nothing saturates.
/// Zero gets 2^-127. The quotient is a double: amax has 24 bits, so it cannot fall onto a power of
/// two from above.
FP8_HD constexpr uint8_t PowerOfTwoScaleUp(float amax, Format element) {
  constexpr EncodePolicy kUpwards{.rounding = Rounding::kUp};
  const double quotient = static_cast<double>(amax) / MaxFinite(element);
  return static_cast<uint8_t>(Encode<kE8M0>(quotient, kUpwards));
}

/// OCP Microscaling Formats v1.0, section 6.3: 2^(floor(log2 amax) - e_max), with e_max the
/// exponent of the element format's largest number. Elements above the largest number saturate:
/// amax = 500 in E4M3FN gets scale 1. Zero gets 2^-127.
FP8_HD constexpr uint8_t PowerOfTwoScaleMx(float amax, Format element) {
  constexpr EncodePolicy kDownwards{.rounding = Rounding::kTowardZero};
  const int e_max = static_cast<int>(Encode<kE8M0>(MaxFinite(element), kDownwards)) - kE8M0.bias;
  const int floor_log2 = static_cast<int>(Encode<kE8M0>(amax, kDownwards)) - kE8M0.bias;
  return static_cast<uint8_t>(Max(0, floor_log2 - e_max + kE8M0.bias));
}

/// NVFP4's two levels: the tensor's FP32 scale amax / (448 * 6) lets the largest block scale be the
/// largest E4M3 number; a block's E4M3 code is amax / 6 over the tensor's scale, to nearest even.
/// The tensor's scale is 1 for zeros, else at least 2^-149.
FP8_HD constexpr float Nvfp4TensorScale(float tensor_amax) {
  return detail::PositiveQuotient(tensor_amax, MaxFinite(kE4M3FN) * MaxFinite(kE2M1));
}
FP8_HD constexpr uint8_t Nvfp4BlockScale(float block_amax, float tensor_scale) {
  return static_cast<uint8_t>(Encode<kE4M3FN>(block_amax / MaxFinite(kE2M1) / tensor_scale));
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_SCALE_H_
