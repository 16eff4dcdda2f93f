// Encode and decode with integers only. No floating-point operation, so no rounding mode, no
// flush-to-zero setting and no compiler flag can change a bit. Equal to fp8/spec.h by test.
#ifndef LOSTBITS_FP8_CODEC_H_
#define LOSTBITS_FP8_CODEC_H_

#include <cstdint>

#include "fp8/format.h"
#include "fp8/hd.h"
#include "fp8/rounding.h"

namespace lostbits::fp8 {

enum class Class : uint8_t { kZero, kFinite, kInf, kNan };

/// A number taken apart: (-1)^negative * significand * 2^(exponent - fraction_bits).
/// Subnormals keep the exponent of the smallest normal; they are not renormalised.
struct Unpacked {
  Class cls = Class::kZero;
  bool negative = false;
  int exponent = 0;
  int fraction_bits = 0;
  uint64_t significand = 0;  ///< with the hidden bit; 0 unless cls is kFinite
  uint64_t nan_payload = 0;  ///< a NaN's mantissa field, its first bit at bit 63
};

/// Takes a code apart. Bits above the format's storage are ignored, as are its pad bits.
FP8_HD constexpr Unpacked Unpack(Format f, uint64_t code) {
  const uint64_t mantissa_mask = (uint64_t{1} << f.mantissa_bits) - 1;
  const uint64_t exponent_ones = (uint64_t{1} << f.exponent_bits) - 1;
  const uint64_t bits = code >> f.pad;
  const uint64_t mantissa = bits & mantissa_mask;
  const uint64_t field = (bits >> f.mantissa_bits) & exponent_ones;
  Unpacked u;
  u.negative = (code & SignMask(f)) != 0;
  u.fraction_bits = f.mantissa_bits;
  if (f.specials == Specials::kScale) {
    u.cls = field == exponent_ones ? Class::kNan : Class::kFinite;
    u.exponent = static_cast<int>(field) - f.bias;
    u.significand = u.cls == Class::kFinite ? 1 : 0;
    return u;
  }
  u.exponent = (field == 0 ? 1 : static_cast<int>(field)) - f.bias;
  switch (f.specials) {
    case Specials::kIeee:
      if (field == exponent_ones) u.cls = mantissa == 0 ? Class::kInf : Class::kNan;
      break;
    case Specials::kNanOnly:
      if (field == exponent_ones && mantissa == mantissa_mask) u.cls = Class::kNan;
      break;
    case Specials::kFnuz:
      if (u.negative && field == 0 && mantissa == 0) u.cls = Class::kNan;
      break;
    case Specials::kFinite:
    case Specials::kScale: break;
  }
  if (u.cls == Class::kNan && f.mantissa_bits > 0)
    u.nan_payload = mantissa << (64 - f.mantissa_bits);
  if (u.cls != Class::kZero) return u;
  u.significand = mantissa | (field == 0 ? 0 : uint64_t{1} << f.mantissa_bits);
  u.cls = u.significand == 0 ? Class::kZero : Class::kFinite;
  return u;
}

/// What happened to one value on its way into a format.
struct Encoded {
  uint64_t code;
  bool inexact = false;    ///< finite input; the result is another number, or overflowed
  bool overflow = false;   ///< finite input beyond the largest finite number after rounding
  bool flushed = false;    ///< nonzero finite input became zero
  bool subnormal = false;  ///< the result is a nonzero subnormal
  bool nan = false;        ///< the result is NaN (or stands for one)
};

/// The NaN code of a format under a policy; formats without NaN get policy.nan_to_finite.
/// `payload` is the source's Unpacked::nan_payload; only NanPayload::kKeep reads it.
FP8_HD constexpr uint64_t NanCode(Format f, bool negative, const EncodePolicy& p,
                                  uint64_t payload = 0) {
  const uint64_t all_ones = (uint64_t{1} << MagnitudeBits(f)) - 1;
  const bool sign = p.nan_sign == NanSign::kKeep ? negative : p.nan_sign == NanSign::kSet;
  switch (f.specials) {
    case Specials::kIeee: {
      const uint64_t quiet = ((uint64_t{1} << f.exponent_bits) * 2 - 1) << (f.mantissa_bits - 1);
      const uint64_t kept = quiet | (payload >> (64 - f.mantissa_bits));
      const uint64_t bits = p.nan_payload == NanPayload::kAllOnes ? all_ones
                            : p.nan_payload == NanPayload::kKeep  ? kept
                                                                  : quiet;
      return (bits << f.pad) | (sign ? SignMask(f) : 0);
    }
    case Specials::kNanOnly: return (all_ones << f.pad) | (sign ? SignMask(f) : 0);
    case Specials::kFnuz: return SignMask(f);
    case Specials::kScale: return all_ones;
    case Specials::kFinite: break;
  }
  switch (p.nan_to_finite) {
    case NanToFinite::kMax: return MaxMagnitude(f) << f.pad;
    case NanToFinite::kZeroFlippedSign: return negative ? 0 : SignMask(f);
    case NanToFinite::kZero: break;
  }
  return 0;
}

/// Whether a finite number of this sign that is too large becomes the largest finite number.
FP8_HD constexpr bool SaturatesOverflow(const EncodePolicy& p, bool negative) {
  const bool inward = p.rounding == Rounding::kTowardZero || p.rounding == Rounding::kToOdd ||
                      (p.rounding == Rounding::kUp && negative) ||
                      (p.rounding == Rounding::kDown && !negative);
  return p.overflow == Overflow::kSaturate || (p.overflow == Overflow::kIeee && inward);
}

/// Puts a number into a format. One rounding, straight from the exact value of x.
FP8_HD constexpr Encoded Pack(Format f, const Unpacked& x, const EncodePolicy& p = {},
                              uint32_t random = 0) {
  bool negative = x.negative;
  if (x.cls == Class::kNan) return {.code = NanCode(f, negative, p, x.nan_payload), .nan = true};
  bool sign_lost = false;
  if (!IsSigned(f)) {
    const Encoded scale_nan{.code = NanCode(f, false, p), .nan = true};
    if (x.cls == Class::kZero) {
      if (p.scale_zero != ScaleZero::kMin) return scale_nan;
      return {.code = 0, .inexact = true};
    }
    const bool infinite = x.cls == Class::kInf;
    if (negative && p.scale_negative == ScaleNegative::kNan) return scale_nan;
    if (negative && p.scale_negative == ScaleNegative::kMin) {
      if (infinite && p.inf == InfRule::kKeep) return scale_nan;
      return {.code = 0, .inexact = !infinite};
    }
    sign_lost = negative;
    negative = false;
  }
  const uint64_t sign = negative ? SignMask(f) : 0;
  const bool keeps_negative_zero = f.specials != Specials::kFnuz;
  const uint64_t zero = keeps_negative_zero ? sign : 0;
  if (x.cls == Class::kZero) return {.code = zero};

  const uint64_t largest = (MaxMagnitude(f) << f.pad) | sign;
  EncodePolicy sign_kept = p;
  sign_kept.nan_sign = NanSign::kKeep;
  const uint64_t infinity = HasInf(f)   ? ((MaxMagnitude(f) + 1) << f.pad) | sign
                            : HasNan(f) ? NanCode(f, negative, sign_kept)
                                        : largest;
  if (x.cls == Class::kInf) {
    if (p.inf == InfRule::kSaturate) return {.code = largest};
    return {.code = infinity, .nan = !HasInf(f) && HasNan(f)};
  }

  // The lattice near x: multiples of 2^quantum, quantum fixed below the smallest normal.
  const int lsb = x.exponent - x.fraction_bits;
  const int top = BitWidth(x.significand) - 1 + lsb;  // floor(log2 |x|)
  const int exponent = Max(top, MinExponent(f));
  const int shift = exponent - f.mantissa_bits - lsb;
  const bool far_above = top > MinExponent(f) + (1 << f.exponent_bits);
  if (!IsSigned(f) && p.scale_zero == ScaleZero::kTinyNan && top < MinExponent(f))
    return {.code = NanCode(f, false, p), .nan = true};
  uint64_t magnitude = MaxMagnitude(f) + 1;
  bool inexact = true;
  if (!far_above) {
    const Shifted r =
        RoundShift(x.significand, shift, p.rounding, negative, p.random_bit_count, random);
    inexact = r.inexact;
    // The hidden bit of r.value adds one to the exponent field; a carry out of the mantissa too.
    const uint64_t field = static_cast<uint64_t>(exponent - MinExponent(f));
    magnitude = (field << f.mantissa_bits) + r.value;
    if (!IsSigned(f)) magnitude = r.value == 0 ? 0 : magnitude - 1;
  }
  if (magnitude > MaxMagnitude(f)) {
    const bool saturate = SaturatesOverflow(p, negative);
    return {.code = saturate ? largest : infinity,
            .inexact = true,
            .overflow = true,
            .nan = !saturate && !HasInf(f) && HasNan(f)};
  }
  if (magnitude == 0 && IsSigned(f)) return {.code = zero, .inexact = true, .flushed = true};
  return {.code = (magnitude << f.pad) | sign,
          .inexact = inexact || sign_lost,
          .subnormal = IsSigned(f) && (magnitude >> f.mantissa_bits) == 0};
}

/// A float's or double's own bits, taken apart.
FP8_HD constexpr Unpacked Unpack(float x) { return Unpack(kFP32, BitCast<uint32_t>(x)); }
FP8_HD constexpr Unpacked Unpack(double x) { return Unpack(kFP64, BitCast<uint64_t>(x)); }

/// Encodes a float or a double straight into F (no intermediate format, so no double rounding).
template <Format F>
FP8_HD constexpr uint32_t Encode(float x, const EncodePolicy& p = {}, uint32_t random = 0) {
  static_assert(StorageBits(F) <= 32, "Pack gives codes of more than 32 bits");
  return static_cast<uint32_t>(Pack(F, Unpack(x), p, random).code);
}
template <Format F>
FP8_HD constexpr uint32_t Encode(double x, const EncodePolicy& p = {}, uint32_t random = 0) {
  static_assert(StorageBits(F) <= 32, "Pack gives codes of more than 32 bits");
  return static_cast<uint32_t>(Pack(F, Unpack(x), p, random).code);
}

/// Re-encodes a code of one format in another, with one rounding: FP16 and BF16 sources, say.
template <Format To, Format From>
FP8_HD constexpr uint32_t Convert(uint64_t code, const EncodePolicy& p = {}, uint32_t random = 0) {
  static_assert(StorageBits(To) <= 32, "Pack gives codes of more than 32 bits");
  return static_cast<uint32_t>(Pack(To, Unpack(From, code), p, random).code);
}

/// Which binary32 NaN a NaN code decodes to. fp8/preset.h names the choices libraries make.
struct DecodePolicy {
  uint32_t nan = 0x7FC0'0000;  ///< the quiet NaN with no payload (IEEE 754-2019 6.2.1)
  bool keep_sign = true;       ///< copies the code's sign bit
  bool keep_payload = false;   ///< ORs the code's mantissa field into the top mantissa bits

  constexpr bool operator==(const DecodePolicy&) const = default;
};

/// Decodes into a float: exact for every format here except FP64, which is rounded to nearest even
/// and saturates. E8M0 code 0 is the binary32 subnormal 2^-127.
FP8_HD constexpr float Decode(Format f, uint64_t code, const DecodePolicy& d = {}) {
  const Unpacked u = Unpack(f, code);
  uint32_t bits = d.nan;
  if (u.cls == Class::kNan) {
    if (d.keep_sign && u.negative) bits |= 0x8000'0000;
    if (d.keep_payload) bits |= static_cast<uint32_t>(u.nan_payload >> (64 - 23));
  } else {
    constexpr EncodePolicy kKeepInf{.inf = InfRule::kKeep};
    bits = static_cast<uint32_t>(Pack(kFP32, u, kKeepInf).code);
  }
  return BitCast<float>(bits);
}
template <Format F>
FP8_HD constexpr float Decode(uint64_t code, const DecodePolicy& d = {}) {
  return Decode(F, code, d);
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_CODEC_H_
