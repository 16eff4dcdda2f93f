// The formats, one row each.
//
// A code is a bit pattern: [sign] exponent field E, mantissa field m, then `pad` unused low bits.
// Value of a finite code: (-1)^s (2^M + m) 2^(E - bias - M) for E > 0 (normal),
//                         (-1)^s        m  2^(1 - bias - M) for E = 0 (subnormal).
#ifndef LOSTBITS_FP8_FORMAT_H_
#define LOSTBITS_FP8_FORMAT_H_

#include <cstdint>

#include "fp8/hd.h"

namespace lostbits::fp8 {

/// Which codes are not plain numbers.
enum class Specials : uint8_t {
  kIeee,     ///< E all ones: Inf (m = 0) or NaN. Signed zeros.
  kNanOnly,  ///< "fn": S.1...1 is NaN, no Inf. Signed zeros.
  kFnuz,     ///< "fnuz": the code of -0 is the only NaN, no Inf, no -0.
  kFinite,   ///< Every code is a finite number. Signed zeros.
  kScale,    ///< Unsigned power of two 2^(code - bias), all ones is NaN, no zero, no Inf.
};

/// A binary floating-point format. A structural type: it can be a template argument.
struct Format {
  uint8_t exponent_bits;
  uint8_t mantissa_bits;
  int16_t bias;
  Specials specials;
  uint8_t pad = 0;  ///< Low bits of the container that carry nothing; ignored when decoding.

  constexpr bool operator==(const Format&) const = default;
};

// OCP 8-bit Floating Point Specification (OFP8) rev 1.0, table 1.
inline constexpr Format kE4M3FN{4, 3, 7, Specials::kNanOnly};  // max 448
inline constexpr Format kE5M2{5, 2, 15, Specials::kIeee};      // max 57344
// ml_dtypes README, "float8_e4m3", "float8_e3m4", "float8_e4m3b11fnuz".
inline constexpr Format kE4M3{4, 3, 7, Specials::kIeee};          // max 240
inline constexpr Format kE3M4{3, 4, 3, Specials::kIeee};          // max 15.5
inline constexpr Format kE4M3B11FNUZ{4, 3, 11, Specials::kFnuz};  // max 30
// Noune et al., "8-bit Numerical Formats for Deep Neural Networks", arXiv 2206.02915 (AMD CDNA3).
inline constexpr Format kE4M3FNUZ{4, 3, 8, Specials::kFnuz};   // max 240
inline constexpr Format kE5M2FNUZ{5, 2, 16, Specials::kFnuz};  // max 57344
// OCP Microscaling Formats (MX) Specification v1.0, section 5.3 and 5.4.
inline constexpr Format kE8M0{8, 0, 127, Specials::kScale};  // 2^-127 .. 2^127
inline constexpr Format kE2M3{2, 3, 1, Specials::kFinite};   // max 7.5
inline constexpr Format kE3M2{3, 2, 3, Specials::kFinite};   // max 28
inline constexpr Format kE2M1{2, 1, 1, Specials::kFinite};   // max 6
// IEEE 754-2019 table 3.5; bfloat16: the upper half of binary32; TF32: a binary32 register whose
// low 13 bits the matrix unit ignores (PTX ISA, "Alternate floating point data formats").
inline constexpr Format kFP16{5, 10, 15, Specials::kIeee};
inline constexpr Format kBF16{8, 7, 127, Specials::kIeee};
inline constexpr Format kTF32{8, 10, 127, Specials::kIeee, 13};
inline constexpr Format kFP32{8, 23, 127, Specials::kIeee};
inline constexpr Format kFP64{11, 52, 1023, Specials::kIeee};

inline constexpr Format kAllFormats[] = {kE4M3FN,      kE5M2, kE4M3, kE3M4, kE4M3FNUZ, kE5M2FNUZ,
                                         kE4M3B11FNUZ, kE8M0, kE2M3, kE3M2, kE2M1,     kFP16,
                                         kBF16,        kTF32, kFP32, kFP64};

FP8_HD constexpr bool IsSigned(Format f) { return f.specials != Specials::kScale; }
FP8_HD constexpr bool HasInf(Format f) { return f.specials == Specials::kIeee; }
FP8_HD constexpr bool HasNan(Format f) { return f.specials != Specials::kFinite; }

/// Bits of a code without sign and pad.
FP8_HD constexpr int MagnitudeBits(Format f) { return f.exponent_bits + f.mantissa_bits; }
/// Bits of the container: 8 for FP8, 6 for E2M3, 32 for TF32.
FP8_HD constexpr int StorageBits(Format f) {
  return (IsSigned(f) ? 1 : 0) + MagnitudeBits(f) + f.pad;
}
/// Exponent of the smallest normal number (and of every subnormal).
FP8_HD constexpr int MinExponent(Format f) { return IsSigned(f) ? 1 - f.bias : -f.bias; }

FP8_HD constexpr uint64_t SignMask(Format f) {
  return IsSigned(f) ? uint64_t{1} << (MagnitudeBits(f) + f.pad) : 0;
}
/// Largest finite magnitude, as a code without sign and pad.
FP8_HD constexpr uint64_t MaxMagnitude(Format f) {
  const uint64_t all_ones = (uint64_t{1} << MagnitudeBits(f)) - 1;
  switch (f.specials) {
    case Specials::kIeee: return all_ones - (uint64_t{1} << f.mantissa_bits);
    case Specials::kNanOnly:
    case Specials::kScale: return all_ones - 1;
    case Specials::kFnuz:
    case Specials::kFinite: return all_ones;
  }
  return 0;
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_FORMAT_H_
