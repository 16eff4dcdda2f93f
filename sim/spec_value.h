// Numbers and codes, said by value: what sim/spec.h and sim/spec_amd.h are written with.
#ifndef LOSTBITS_SIM_SPEC_VALUE_H_
#define LOSTBITS_SIM_SPEC_VALUE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fp8/format.h"
#include "sim/arch.h"

namespace lostbits::sim::spec {

/// The number a code stands for. NaN and Inf are the double's own.
inline double Value(fp8::Format f, uint64_t code) {
  const uint64_t field_count = uint64_t{1} << f.exponent_bits;
  const uint64_t mantissa_count = uint64_t{1} << f.mantissa_bits;
  const uint64_t bits = code >> f.pad;
  const uint64_t mantissa = bits % mantissa_count;
  const uint64_t field = bits / mantissa_count % field_count;
  const bool negative = fp8::IsSigned(f) && bits / mantissa_count / field_count % 2 == 1;

  const double nan = std::numeric_limits<double>::quiet_NaN();
  const bool last_field = field == field_count - 1;
  switch (f.specials) {
    case fp8::Specials::kIeee:
      if (last_field && mantissa != 0) return nan;
      if (last_field) return negative ? -HUGE_VAL : HUGE_VAL;
      break;
    case fp8::Specials::kNanOnly:
      if (last_field && mantissa == mantissa_count - 1) return nan;
      break;
    case fp8::Specials::kFnuz:
      if (negative && field == 0 && mantissa == 0) return nan;
      break;
    case fp8::Specials::kScale:
      return last_field ? nan : std::ldexp(1.0, static_cast<int>(field) - f.bias);
    case fp8::Specials::kFinite: break;
  }
  const double fraction = static_cast<double>(mantissa) / static_cast<double>(mantissa_count);
  const double magnitude = field == 0 ? std::ldexp(fraction, 1 - f.bias)
                                      : std::ldexp(1 + fraction, static_cast<int>(field) - f.bias);
  return negative ? -magnitude : magnitude;
}

/// The exponent of the smallest number with a hidden bit: below it an exponent never counts.
inline int SmallestExponent(fp8::Format f) {
  return f.specials == fp8::Specials::kScale ? -f.bias : 1 - f.bias;
}

/// The exponent that the unit sees: floor(log2 |x|), but never below the format's smallest normal.
/// x is finite and not zero.
inline int Exponent(fp8::Format f, double x) {
  return std::max(std::ilogb(x), SmallestExponent(f));
}

/// x cut to a multiple of 2^lsb: toward zero, or toward minus infinity.
inline double CutTo(int lsb, double x) { return std::ldexp(std::trunc(std::ldexp(x, -lsb)), lsb); }
inline double FloorTo(int lsb, double x) {
  return std::ldexp(std::floor(std::ldexp(x, -lsb)), lsb);
}

/// x rounded to the precision and the range of `f`, an IEEE-style format; beyond the range it is
/// Inf under every rounding. Zero keeps the sign of x.
inline double RoundTo(fp8::Format f, fp8::Rounding rounding, double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int lsb = Exponent(f, x) - f.mantissa_bits;
  const double scaled = std::ldexp(std::abs(x), -lsb);  // < 2^(mantissa_bits + 1)
  double whole = std::trunc(scaled);
  const double rest = scaled - whole;
  const bool odd = std::fmod(whole, 2) == 1;
  bool up = false;
  switch (rounding) {
    case fp8::Rounding::kNearestEven: up = rest > 0.5 || (rest == 0.5 && odd); break;
    case fp8::Rounding::kNearestAway: up = rest >= 0.5; break;
    case fp8::Rounding::kTowardZero: break;
    case fp8::Rounding::kUp: up = rest > 0 && x > 0; break;
    case fp8::Rounding::kDown: up = rest > 0 && x < 0; break;
    case fp8::Rounding::kToOdd: up = rest > 0 && !odd; break;
    case fp8::Rounding::kStochastic: break;  // no unit here has random bits
  }
  if (up) whole += 1;
  double magnitude = std::ldexp(whole, lsb);
  const int beyond = (1 << f.exponent_bits) - 1 - f.bias;  // 2^beyond: the first that does not fit
  if (magnitude >= std::ldexp(1.0, beyond)) magnitude = HUGE_VAL;
  return std::copysign(magnitude, x);
}

/// x as the unit returns it: rounded to spec.out. What underflows to zero is +0, unless the unit
/// keeps the sign.
inline double Rounded(const AccumSpec& spec, double x) {
  const double rounded = RoundTo(spec.out, spec.rounding, x);
  return rounded == 0 && x != 0 && !spec.signed_underflow ? 0 : rounded;
}

/// The word of a number that `f`, an IEEE-style format without pad, holds exactly. The only NaN is
/// the positive one with all mantissa bits set.
inline uint64_t Word(fp8::Format f, double x) {
  const uint64_t one_field = uint64_t{1} << f.mantissa_bits;
  const uint64_t infinity = ((uint64_t{1} << f.exponent_bits) - 1) * one_field;
  if (std::isnan(x)) return infinity + (one_field - 1);
  const uint64_t sign = std::signbit(x) ? infinity + one_field : 0;
  if (std::isinf(x)) return sign + infinity;
  if (x == 0) return sign;
  const int exponent = Exponent(f, x);
  // A significand in units of the last bit: its hidden bit, if there, makes the field one larger.
  const double significand = std::ldexp(std::abs(x), f.mantissa_bits - exponent);
  const auto field = static_cast<uint64_t>(exponent - SmallestExponent(f));
  return sign + field * one_field + static_cast<uint64_t>(significand);
}

/// x + y, one ordinary addition to nearest even. The double sum is exact for FP16 (41 bits span its
/// range). For FP32 it may round, but 53 >= 2 * 24 + 2 bits make a second rounding harmless: S. A.
/// Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995.
inline double Sum(fp8::Format acc, double x, double y) {
  return RoundTo(acc, fp8::Rounding::kNearestEven, x + y);
}
inline uint64_t AddNearestEven(fp8::Format acc, uint64_t x, uint64_t y) {
  return Word(acc, Sum(acc, Value(acc, x), Value(acc, y)));
}

/// One product of a group: its operands, and the scales of their blocks (1 where there are none).
struct Product {
  double a = 0, b = 0;
  double scale_a = 1, scale_b = 1;
};

/// One addend of a group: its value and the exponent it is aligned by.
struct Term {
  double value;
  int exponent;
};

}  // namespace lostbits::sim::spec

#endif  // LOSTBITS_SIM_SPEC_VALUE_H_
