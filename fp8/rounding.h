// How a number that does not fit is made to fit: rounding modes, overflow rules, NaN rules.
#ifndef LOSTBITS_FP8_ROUNDING_H_
#define LOSTBITS_FP8_ROUNDING_H_

#include <cstdint>

#include "fp8/hd.h"

namespace lostbits::fp8 {

enum class Rounding : uint8_t {
  kNearestEven,  ///< Nearest; a tie goes to the even significand (IEEE roundTiesToEven).
  kNearestAway,  ///< Nearest; a tie goes away from zero (IEEE roundTiesToAway).
  kTowardZero,   ///< Cut.
  kUp,           ///< Toward +infinity.
  kDown,         ///< Toward -infinity.
  kToOdd,        ///< Inexact results get an odd significand; makes a second rounding harmless.
  kStochastic,   ///< Up with probability floor(fraction * 2^n) / 2^n, decided by n given bits.
};

/// A finite value whose rounded magnitude exceeds the largest finite number.
/// Overflow is judged after rounding on the lattice continued past the maximum.
enum class Overflow : uint8_t {
  kSaturate,   ///< The largest finite number.
  kToSpecial,  ///< Inf; NaN where the format has no Inf; the largest number where it has neither.
  kIeee,       ///< IEEE 754-2019 section 7.4: directed roundings (and to-odd) that point inward
               ///< give the largest finite number, all others as kToSpecial.
};

/// An infinite input.
enum class InfRule : uint8_t {
  kSaturate,  ///< The largest finite number.
  kKeep,      ///< Inf; NaN where the format has no Inf; the largest number where it has neither.
};

/// Sign of the result for a NaN input, where the format has two NaNs. An overflow or an Inf that
/// becomes NaN keeps its own sign under all three.
enum class NanSign : uint8_t { kKeep, kClear, kSet };

/// Mantissa of a NaN result in an IEEE-style format.
enum class NanPayload : uint8_t {
  kAllOnes,  ///< E5M2 0x7F
  kQuiet,    ///< only the top mantissa bit: E5M2 0x7E
  kKeep,     ///< the source NaN's top mantissa bits, made quiet: E5M2 0x7E or 0x7F
};

/// A NaN for a format that has none (E2M1, E2M3, E3M2).
enum class NanToFinite : uint8_t {
  kMax,              ///< +largest (CUDA)
  kZeroFlippedSign,  ///< zero with the opposite sign (ml_dtypes)
  kZero,             ///< +0
};

/// What an unsigned scale (E8M0) makes of a negative value.
enum class ScaleNegative : uint8_t {
  kMagnitude,  ///< The sign is dropped (CUDA, torch).
  kNan,        ///< NaN (ml_dtypes).
  kMin,        ///< 2^-127 (ml_dtypes saturating); -Inf only under InfRule::kSaturate, else NaN.
};
/// What an unsigned scale (E8M0) makes of zero; it has none.
enum class ScaleZero : uint8_t {
  kMin,      ///< 2^-127
  kNan,      ///< NaN (ml_dtypes); what lies between zero and 2^-127 is still rounded.
  kTinyNan,  ///< NaN, also for every magnitude below 2^-127 (ONNX Cast without saturation).
};

/// Every choice an encoder has. The default is CUDA's: nearest-even, saturating, NaN sign dropped.
/// fp8/preset.h names the sets of choices that other libraries make.
struct EncodePolicy {
  Rounding rounding = Rounding::kNearestEven;
  Overflow overflow = Overflow::kSaturate;
  InfRule inf = InfRule::kSaturate;
  NanSign nan_sign = NanSign::kClear;
  NanPayload nan_payload = NanPayload::kAllOnes;
  NanToFinite nan_to_finite = NanToFinite::kMax;
  ScaleNegative scale_negative = ScaleNegative::kMagnitude;
  ScaleZero scale_zero = ScaleZero::kMin;
  uint8_t random_bit_count = 0;  ///< for kStochastic: how many low bits of `random` are used, <= 32

  constexpr bool operator==(const EncodePolicy&) const = default;
};

struct Shifted {
  uint64_t value;
  bool inexact;
};

/// significand / 2^shift rounded to an integer. shift may be any size; shift <= 0 is exact and
/// needs the result to fit 64 bits. `random` gives the bits of kStochastic; others ignore it.
FP8_HD constexpr Shifted RoundShift(uint64_t significand, int shift, Rounding rounding,
                                    bool negative, int random_bit_count = 0, uint32_t random = 0) {
  if (shift <= 0) return {significand << -shift, false};
  const uint64_t kept = shift < 64 ? significand >> shift : 0;
  // The dropped part as a fraction of one unit, in 2^-64ths, plus whether anything lies below that.
  const bool deep = shift > 64;
  const uint64_t dropped = shift < 64    ? significand << (64 - shift)
                           : shift == 64 ? significand
                           : shift < 128 ? significand >> (shift - 64)
                                         : 0;
  const bool below =
      deep && (shift >= 128 ? significand != 0 : (dropped << (shift - 64)) != significand);
  const bool inexact = dropped != 0 || below;
  constexpr uint64_t kHalf = uint64_t{1} << 63;
  bool up = false;
  switch (rounding) {
    case Rounding::kNearestEven:
      up = dropped > kHalf || (dropped == kHalf && (below || (kept & 1)));
      break;
    case Rounding::kNearestAway: up = dropped >= kHalf; break;
    case Rounding::kTowardZero: break;
    case Rounding::kUp: up = inexact && !negative; break;
    case Rounding::kDown: up = inexact && negative; break;
    case Rounding::kToOdd: up = inexact && !(kept & 1); break;
    case Rounding::kStochastic:
      if (random_bit_count > 0) {
        const uint64_t fraction = dropped >> (64 - random_bit_count);
        const uint64_t mask = (uint64_t{1} << random_bit_count) - 1;
        up = fraction + (random & mask) > mask;
      }
      break;
  }
  return {kept + (up ? 1 : 0), inexact};
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_ROUNDING_H_
