// Codes and words drawn at random that find mistakes: special exponents, extreme mantissas, zeros,
// Inf and NaN, in any format. For generated cases, on host and device alike.
#ifndef LOSTBITS_SIM_DRAW_H_
#define LOSTBITS_SIM_DRAW_H_

#include <cstdint>

#include "fp8/codec.h"
#include "fp8/format.h"
#include "sim/random.h"

namespace lostbits::sim::draw {

/// A code from its fields; bits that do not fit are dropped. Pad bits are filled with `pad`.
FP8_HD constexpr uint64_t MakeCode(fp8::Format f, bool negative, uint64_t field, uint64_t mantissa,
                                   uint64_t pad = 0) {
  const uint64_t magnitude =
      ((field << f.mantissa_bits) | (mantissa & ((uint64_t{1} << f.mantissa_bits) - 1))) &
      ((uint64_t{1} << fp8::MagnitudeBits(f)) - 1);
  return (magnitude << f.pad) | (pad & ((uint64_t{1} << f.pad) - 1)) |
         (negative ? fp8::SignMask(f) : 0);
}

/// Random sign, mantissa and pad under a given exponent field. (Draws are separate statements: the
/// order in which arguments are evaluated is the compiler's.)
FP8_HD constexpr uint64_t CodeWithField(Random& r, fp8::Format f, uint64_t field) {
  const bool negative = r.OneIn(2);
  const uint64_t mantissa = r.Next();
  return MakeCode(f, negative, field, mantissa, r.Next());
}

FP8_HD constexpr bool IsFinite(fp8::Format f, uint64_t code) {
  const fp8::Class cls = fp8::Unpack(f, code).cls;
  return cls == fp8::Class::kZero || cls == fp8::Class::kFinite;
}

FP8_HD constexpr uint64_t RawCode(Random& r, fp8::Format f) {
  const int bits = fp8::StorageBits(f);
  return bits == 64 ? r.Next() : r.Next() & ((uint64_t{1} << bits) - 1);
}

FP8_HD constexpr uint64_t FiniteCode(Random& r, fp8::Format f) {
  for (;;) {
    const uint64_t code = RawCode(r, f);
    if (IsFinite(f, code)) return code;
  }
}

/// x rounded into the format, nearest even, saturating.
FP8_HD constexpr uint64_t CodeOf(fp8::Format f, double x) {
  return fp8::Pack(f, fp8::Unpack(x)).code;
}

FP8_HD constexpr uint64_t NormalCode(Random& r, fp8::Format f, double deviation = 1) {
  return CodeOf(f, r.Normal() * deviation);
}

/// A finite code whose exponent is as near to `exponent` as the format allows.
FP8_HD constexpr uint64_t CodeWithExponent(Random& r, fp8::Format f, int exponent) {
  const int last = static_cast<int>(fp8::MaxMagnitude(f) >> f.mantissa_bits);
  const int field = fp8::Max(0, fp8::Min(last, exponent + f.bias));
  for (;;) {
    const uint64_t code = CodeWithField(r, f, static_cast<uint64_t>(field));
    if (IsFinite(f, code)) return code;
  }
}

/// Smallest and largest exponents, mantissas of all ones, all zeros, one bit or random.
FP8_HD constexpr uint64_t ExtremeCode(Random& r, fp8::Format f) {
  const int last = static_cast<int>(fp8::MaxMagnitude(f) >> f.mantissa_bits);
  const int field =
      r.OneIn(2) ? r.Between(0, fp8::Min(2, last)) : fp8::Max(0, last - r.Between(0, 2));
  const uint64_t mantissas[] = {0, ~uint64_t{0}, uint64_t{1} << r.Below(64), r.Next()};
  const uint64_t mantissa = mantissas[r.Below(4)];
  const bool negative = r.OneIn(2);
  const uint64_t code = MakeCode(f, negative, static_cast<uint64_t>(field), mantissa);
  return IsFinite(f, code) ? code : MakeCode(f, negative, static_cast<uint64_t>(field), 0);
}

FP8_HD constexpr uint64_t ZeroCode(Random& r, fp8::Format f) {
  const bool has_minus_zero = fp8::IsSigned(f) && f.specials != fp8::Specials::kFnuz;
  return has_minus_zero && r.OneIn(2) ? fp8::SignMask(f) : 0;
}

/// Inf or NaN of the format (any NaN, either sign); a finite extreme where it has neither.
FP8_HD constexpr uint64_t SpecialCode(Random& r, fp8::Format f) {
  if (!fp8::HasNan(f)) return ExtremeCode(r, f);
  if (fp8::HasInf(f) && !r.OneIn(4))
    return ((fp8::MaxMagnitude(f) + 1) << f.pad) | (r.OneIn(2) ? fp8::SignMask(f) : 0);
  if (f.specials != fp8::Specials::kIeee)
    return fp8::NanCode(f, r.OneIn(2), {.nan_sign = fp8::NanSign::kKeep});
  const uint64_t ones = (uint64_t{1} << f.exponent_bits) - 1;
  const uint64_t count = (uint64_t{1} << f.mantissa_bits) - 1;
  const bool negative = r.OneIn(2);
  const uint64_t mantissa = 1 + r.Next() % count;
  return MakeCode(f, negative, ones, mantissa, r.Next());
}

/// A c word. near: an exponent it should often come close to (that of the products).
FP8_HD constexpr uint64_t AddendWord(Random& r, fp8::Format acc, int near) {
  switch (r.Below(10)) {
    case 0: return RawCode(r, acc);
    case 1: return NormalCode(r, acc);
    case 2: return ExtremeCode(r, acc);
    case 3: return ZeroCode(r, acc);
    case 4:
    case 5: return 0;
    case 6: return CodeWithExponent(r, acc, near + r.Between(-64, 40));
    default: break;
  }
  return CodeWithExponent(r, acc, near + r.Between(-28, 4));
}

}  // namespace lostbits::sim::draw

#endif  // LOSTBITS_SIM_DRAW_H_
