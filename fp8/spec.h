// The definition by value, slow on purpose.
//
// A format is a set of real numbers, its lattice. To encode x is to find the two lattice numbers
// that enclose |x| and to choose one of them. The lattice is continued by one number past the
// maximum, and whatever is rounded to that number, or lies beyond it, has overflowed.
// Values are doubles and every comparison here is exact: all lattices but FP64's have at most 24
// significant bits, so that a midpoint has 25; FP64's is the set of inputs itself.
// Independent of fp8/codec.h: it shares only the rows of format.h and the names of the choices.
#ifndef LOSTBITS_FP8_SPEC_H_
#define LOSTBITS_FP8_SPEC_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fp8/format.h"
#include "fp8/rounding.h"

namespace lostbits::fp8::spec {

/// A code read by the table at the top of format.h.
struct Decoded {
  enum Kind : uint8_t { kNumber, kInf, kNan } kind;
  bool negative;
  double value;  ///< without sign; 0 unless kind is kNumber
};

inline uint64_t PowerOfTwo(int n) { return uint64_t{1} << n; }

/// How many magnitudes the fields can spell: 2^(E + M).
inline uint64_t FieldCount(Format f) { return PowerOfTwo(f.exponent_bits + f.mantissa_bits); }

/// Finite magnitudes are the codes 0 .. FiniteCount - 1.
inline uint64_t FiniteCount(Format f) {
  switch (f.specials) {
    case Specials::kIeee: return FieldCount(f) - PowerOfTwo(f.mantissa_bits);  // Inf and NaNs
    case Specials::kNanOnly:
    case Specials::kScale: return FieldCount(f) - 1;  // one NaN
    case Specials::kFnuz:
    case Specials::kFinite: break;
  }
  return FieldCount(f);
}

/// The integer in front of the power of two: hidden bit and mantissa field.
inline uint64_t Significand(Format f, uint64_t magnitude) {
  if (f.specials == Specials::kScale) return 1;
  const uint64_t hidden = PowerOfTwo(f.mantissa_bits);
  return magnitude < hidden ? magnitude : hidden + magnitude % hidden;
}

/// The value of magnitude code `magnitude`, which may be FiniteCount: one past the maximum.
inline double Value(Format f, uint64_t magnitude) {
  const int field = static_cast<int>(magnitude / PowerOfTwo(f.mantissa_bits));
  const double significand = static_cast<double>(Significand(f, magnitude));
  if (f.specials == Specials::kScale) return std::ldexp(1.0, field - f.bias);
  return std::ldexp(significand, (field == 0 ? 1 : field) - f.bias - f.mantissa_bits);
}

inline Decoded Decode(Format f, uint64_t code) {
  const uint64_t fields = code / PowerOfTwo(f.pad);
  const uint64_t magnitude = fields % FieldCount(f);
  const bool negative = f.specials != Specials::kScale && fields / FieldCount(f) % 2 == 1;
  if (f.specials == Specials::kFnuz && negative && magnitude == 0)
    return {Decoded::kNan, negative, 0};
  if (magnitude < FiniteCount(f)) return {Decoded::kNumber, negative, Value(f, magnitude)};
  const bool infinite = f.specials == Specials::kIeee && magnitude == FiniteCount(f);
  return {infinite ? Decoded::kInf : Decoded::kNan, negative, 0};
}

/// Whether |x|, strictly between Value(lo) and Value(lo + 1), goes to the latter.
inline bool GoesUp(Format f, double x, uint64_t lo, bool negative, const EncodePolicy& p,
                   uint32_t random) {
  const double below = Value(f, lo), above = Value(f, lo + 1);
  const double middle = below + (above - below) / 2;
  const bool odd = Significand(f, lo) % 2 == 1;
  switch (p.rounding) {
    // A tie goes to the even significand. With one significant digit (E8M0) both are odd, and the
    // larger magnitude wins: IEEE 754-2019 section 4.3.1.
    case Rounding::kNearestEven: return x > middle || (x == middle && odd);
    case Rounding::kNearestAway: return x >= middle;
    case Rounding::kTowardZero: return false;
    case Rounding::kUp: return !negative;
    case Rounding::kDown: return negative;
    case Rounding::kToOdd: return !odd;
    case Rounding::kStochastic: break;
  }
  // floor(fraction * 2^n) of the 2^n equally likely values r = 0 .. 2^n - 1 round up: the largest.
  const double count = std::ldexp(1.0, p.random_bit_count);
  const double chances = std::floor((x - below) / (above - below) * count);
  const double r = std::fmod(static_cast<double>(random), count);
  return r >= count - chances;
}

/// Everything fp8::Encoded says, by value.
struct Result {
  uint64_t code;
  bool inexact = false, overflow = false, flushed = false, subnormal = false, nan = false;
};

/// A magnitude and a sign put into their places.
inline uint64_t Assemble(Format f, bool negative, uint64_t magnitude) {
  return (magnitude + (negative && IsSigned(f) ? FieldCount(f) : 0)) * PowerOfTwo(f.pad);
}

/// The code that says "not a number", or stands for it. `payload`: the source's mantissa field as a
/// fraction in [0, 1).
inline uint64_t Nan(Format f, bool negative, const EncodePolicy& p, double payload) {
  const bool sign = p.nan_sign == NanSign::kSet || (p.nan_sign == NanSign::kKeep && negative);
  switch (f.specials) {
    case Specials::kNanOnly: return Assemble(f, sign, FieldCount(f) - 1);
    case Specials::kFnuz: return Assemble(f, true, 0);
    case Specials::kScale: return FieldCount(f) - 1;
    case Specials::kFinite:
      if (p.nan_to_finite == NanToFinite::kMax) return Assemble(f, false, FieldCount(f) - 1);
      if (p.nan_to_finite == NanToFinite::kZero) return 0;
      return Assemble(f, !negative, 0);
    case Specials::kIeee: break;
  }
  const uint64_t mantissas = PowerOfTwo(f.mantissa_bits);
  uint64_t mantissa = mantissas / 2;
  if (p.nan_payload == NanPayload::kAllOnes) mantissa = mantissas - 1;
  if (p.nan_payload == NanPayload::kKeep) {
    mantissa = static_cast<uint64_t>(std::ldexp(payload, f.mantissa_bits));
    if (mantissa < mantissas / 2) mantissa += mantissas / 2;
  }
  return Assemble(f, sign, FieldCount(f) - mantissas + mantissa);
}

/// What stands for a magnitude without bound: Inf, else NaN, else the maximum.
inline Result Beyond(Format f, bool negative, bool saturate) {
  if (saturate || f.specials == Specials::kFinite)
    return {.code = Assemble(f, negative, FiniteCount(f) - 1)};
  if (f.specials == Specials::kIeee) return {.code = Assemble(f, negative, FiniteCount(f))};
  return {.code = Nan(f, negative, {.nan_sign = NanSign::kKeep}, 0), .nan = true};
}

/// IEEE 754-2019 section 7.4: the roundings that never leave the finite numbers on this side.
inline bool PointsInward(Rounding r, bool negative) {
  return r == Rounding::kTowardZero || r == Rounding::kToOdd ||
         r == (negative ? Rounding::kUp : Rounding::kDown);
}

/// The largest magnitude code, at most FiniteCount, whose value does not exceed x >= 0. For E8M0
/// and x < 2^-127 that is code 0 too: there is nothing below.
inline uint64_t LargestNotAbove(Format f, double x) {
  uint64_t lo = 0, hi = FiniteCount(f) + 1;
  while (hi - lo > 1) {
    const uint64_t middle = lo + (hi - lo) / 2;
    (Value(f, middle) <= x ? lo : hi) = middle;
  }
  return lo;
}

/// The result for a finite |x| > 0 that was rounded to magnitude code `magnitude`.
inline Result Finish(Format f, double x, bool negative, uint64_t magnitude, const EncodePolicy& p) {
  if (magnitude >= FiniteCount(f)) {
    const bool saturate = p.overflow == Overflow::kSaturate ||
                          (p.overflow == Overflow::kIeee && PointsInward(p.rounding, negative));
    Result r = Beyond(f, negative, saturate);
    r.inexact = r.overflow = true;
    return r;
  }
  const bool zero = Value(f, magnitude) == 0;
  const bool minus = negative && !(zero && f.specials == Specials::kFnuz);
  const bool subnormal = f.specials != Specials::kScale && magnitude < PowerOfTwo(f.mantissa_bits);
  return {.code = Assemble(f, minus, magnitude),
          .inexact = Value(f, magnitude) != x,
          .flushed = zero,
          .subnormal = subnormal && !zero};
}

/// Encodes x. `nan_payload` matters for a NaN under NanPayload::kKeep only: see Nan.
inline Result Encode(Format f, double x, const EncodePolicy& p = {}, uint32_t random = 0,
                     double nan_payload = 0) {
  const bool negative = std::signbit(x);
  const double size = std::fabs(x);
  const bool infinite = size == std::numeric_limits<double>::infinity();
  if (std::isnan(x)) return {.code = Nan(f, negative, p, nan_payload), .nan = true};
  if (f.specials == Specials::kScale) {
    const Result nan{.code = Nan(f, false, p, 0), .nan = true};
    if (size == 0 && p.scale_zero != ScaleZero::kMin) return nan;
    if (negative && size > 0) {
      if (p.scale_negative == ScaleNegative::kNan) return nan;
      if (p.scale_negative == ScaleNegative::kMin)
        return infinite && p.inf == InfRule::kKeep ? nan : Result{0, !infinite};
      Result r = Encode(f, size, p, random);  // the sign is dropped
      r.inexact = r.inexact || (!infinite && !r.nan) || r.overflow;
      return r;
    }
    if (size < Value(f, 0) && size > 0 && p.scale_zero == ScaleZero::kTinyNan) return nan;
    if (size < Value(f, 0)) return {0, true};  // nothing lies below
  }
  if (infinite) return Beyond(f, negative, p.inf == InfRule::kSaturate);
  if (size == 0) {
    const bool minus = negative && f.specials != Specials::kFnuz;
    return {.code = Assemble(f, minus, 0)};
  }
  const uint64_t lo = LargestNotAbove(f, size);
  const bool between = lo < FiniteCount(f) && Value(f, lo) != size;
  const bool up = between && GoesUp(f, size, lo, negative, p, random);
  return Finish(f, size, negative, lo + (up ? 1 : 0), p);
}

/// The same definition, tabulated for sweeps: entry m is the least double >= 0 whose magnitude is
/// rounded to m + 1 or more, m = 0 .. FiniteCount - 1; from the last entry on there is overflow.
/// Not for kStochastic, and not for FP64, whose lattice has no room between its numbers.
inline std::vector<double> Thresholds(Format f, Rounding rounding, bool negative) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> thresholds(FiniteCount(f));
  for (uint64_t m = 0; m < thresholds.size(); ++m) {
    const double below = Value(f, m), above = Value(f, m + 1);
    const double middle = below + (above - below) / 2;
    const bool odd = Significand(f, m) % 2 == 1;
    double t = above;
    if (rounding == Rounding::kNearestAway) t = middle;
    if (rounding == Rounding::kNearestEven) t = odd ? middle : std::nextafter(middle, kInfinity);
    const bool outward = (rounding == Rounding::kUp && !negative) ||
                         (rounding == Rounding::kDown && negative) ||
                         (rounding == Rounding::kToOdd && !odd);
    if (outward) t = std::nextafter(below, kInfinity);
    thresholds[m] = t;
  }
  return thresholds;
}

}  // namespace lostbits::fp8::spec

#endif  // LOSTBITS_FP8_SPEC_H_
