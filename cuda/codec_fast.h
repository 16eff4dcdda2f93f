// E4M3FN and E5M2 to and from FP32 in a dozen operations an element: what a GPU's ALUs can do
// while memory moves. Nearest even, saturating, NaN 0x7F, as CUDA's conversions. Equal to
// fp8/codec.h by test; no instruction of the hardware's own is used.
#ifndef LOSTBITS_CUDA_CODEC_FAST_H_
#define LOSTBITS_CUDA_CODEC_FAST_H_

#include <cstdint>

#include "fp8/codec.h"

namespace lostbits::gpu {

/// What the two functions need to know of a format.
template <fp8::Format F>
struct FastFormat {
  static constexpr int kDrop = 23 - F.mantissa_bits;  ///< mantissa bits that are rounded away
  static constexpr uint32_t kMax = static_cast<uint32_t>(fp8::MaxMagnitude(F));
  static constexpr uint32_t kRebias = static_cast<uint32_t>(127 - F.bias) << F.mantissa_bits;
  /// Bits of the smallest normal number.
  static constexpr uint32_t kMinNormal = static_cast<uint32_t>(128 - F.bias) << 23;
  /// 2^23 times the smallest subnormal: added to |x|, it rounds |x| to a multiple of that one.
  static constexpr uint32_t kMagic = static_cast<uint32_t>(127 + 23 + 1 - F.bias - F.mantissa_bits)
                                     << 23;
  /// 2^(127 - bias): from a code's fields read as a float's to its value.
  static constexpr uint32_t kScale = static_cast<uint32_t>(254 - F.bias) << 23;
};

template <fp8::Format F>
FP8_HD inline uint32_t EncodeFast(float x) {
  using T = FastFormat<F>;
  const uint32_t bits = fp8::BitCast<uint32_t>(x), magnitude = bits & 0x7fff'ffff;
  if (magnitude > 0x7f80'0000) return 0x7f;
  uint32_t code = 0;
  if (magnitude >= T::kMinNormal) {
    const uint32_t half = (uint32_t{1} << (T::kDrop - 1)) - 1;
    code = ((magnitude + half + (magnitude >> T::kDrop & 1)) >> T::kDrop) - T::kRebias;
    code = code > T::kMax ? T::kMax : code;
  } else {
    const float rounded = fp8::BitCast<float>(magnitude) + fp8::BitCast<float>(T::kMagic);
    code = fp8::BitCast<uint32_t>(rounded) - T::kMagic;
  }
  return code | (bits >> 24 & 0x80);
}

/// The bits of the value in FP32; NaN is 0x7FFFFFFF.
template <fp8::Format F>
FP8_HD inline uint32_t DecodeFast(uint32_t code) {
  using T = FastFormat<F>;
  const uint32_t magnitude = code & 0x7f;
  const uint32_t special = T::kMax + 1;  // E5M2: Inf; E4M3FN: NaN
  if (magnitude > T::kMax)
    return magnitude == special && fp8::HasInf(F) ? 0x7f80'0000 | (code & 0x80) << 24 : 0x7fff'ffff;
  const float value = fp8::BitCast<float>(magnitude << T::kDrop) * fp8::BitCast<float>(T::kScale);
  return fp8::BitCast<uint32_t>(value) | (code & 0x80) << 24;
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_CODEC_FAST_H_
