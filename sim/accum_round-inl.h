// One number in a lane: taking c apart, rounding a group's sum, adding c late. Exponents are biased
// by 127, whatever the register's own bias.
//
// A floating-point operation of the lanes is exact, carries its own rounding mode, or gives a number
// far below 1 that is then cut to 0; and no FP32 number is subnormal that counts, or else the output
// is marked for the integers. So the caller's rounding mode and flush-to-zero setting change nothing.
#if defined(LOSTBITS_SIM_ACCUM_ROUND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_ACCUM_ROUND_INL_H_
#undef LOSTBITS_SIM_ACCUM_ROUND_INL_H_
#else
#define LOSTBITS_SIM_ACCUM_ROUND_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "sim/gemm_pack.h"

#if HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::CappedTag<int32_t, kStrip>;
using DU32 = hn::RebindToUnsigned<D32>;
using DF32 = hn::RebindToFloat<D32>;
using D16 = hn::Repartition<int16_t, D32>;
using DU16 = hn::RebindToUnsigned<D16>;
using V32 = hn::Vec<D32>;
using V16 = hn::Vec<D16>;
using M32 = hn::Mask<D32>;

// c taken apart: biased exponent, significand with the hidden bit, 0 or -1 for the sign.
struct LaneAddend {
  V32 exponent, significand, negative;
};
template <fp8::Format kAcc>
HWY_INLINE LaneAddend TakeApart(V32 word, int exponent_of_zero) {
  constexpr int kFraction = kAcc.mantissa_bits, kSpare = 32 - fp8::StorageBits(kAcc);
  const D32 d;
  const V32 zero = hn::Zero(d);
  const V32 field =
      hn::And(hn::ShiftRight<kFraction>(word), hn::Set(d, (1 << kAcc.exponent_bits) - 1));
  const V32 mantissa = hn::And(word, hn::Set(d, (1 << kFraction) - 1));
  const V32 hidden = hn::IfThenZeroElse(hn::Eq(field, zero), hn::Set(d, 1 << kFraction));
  const V32 significand = hn::Or(mantissa, hidden);
  V32 exponent = hn::Max(field, hn::Set(d, 1));
  if constexpr (kAcc.bias != kExponentBias) {
    exponent = hn::Add(exponent, hn::Set(d, kExponentBias - kAcc.bias));
  }
  exponent = hn::IfThenElse(hn::Eq(significand, zero), hn::Set(d, exponent_of_zero), exponent);
  return {exponent, significand, hn::ShiftRight<31>(hn::ShiftLeft<kSpare>(word))};
}

/// The biased exponent TakeApart gives Inf and NaN.
template <fp8::Format kAcc>
inline constexpr int kInfExponent = (1 << kAcc.exponent_bits) - 1 + kExponentBias - kAcc.bias;

// Inf and NaN present themselves above everything.
template <fp8::Format kAcc>
HWY_INLINE V32 Presented(V32 exponent) {
  const D32 d;
  const auto inf_or_nan = hn::Eq(exponent, hn::Set(d, kInfExponent<kAcc>));
  return hn::IfThenElse(inf_or_nan, hn::Set(d, kSpecialExponent), exponent);
}

HWY_INLINE V32 Negate(V32 magnitude, V32 negative) {
  return hn::Sub(hn::Xor(magnitude, negative), negative);
}

HWY_INLINE M32 Outside(V32 x, int low, int high) {
  const D32 d;
  const DU32 du;
  const auto above_low = hn::BitCast(du, hn::Sub(x, hn::Set(d, low)));
  return hn::RebindMask(d, hn::Gt(above_low, hn::Set(du, static_cast<uint32_t>(high - low))));
}

// Logical shift right by min(bits, 31); bits >= 0.
HWY_INLINE V32 Cut(V32 magnitude, V32 bits) {
  const D32 d;
  const DU32 du;
  const V32 clamped = hn::Min(bits, hn::Set(d, 31));
  return hn::BitCast(d, hn::Shr(hn::BitCast(du, magnitude), hn::BitCast(du, clamped)));
}

#if HWY_TARGET <= HWY_AVX3
// Instructions that carry their own rounding mode and raise nothing. To and from FP16, MXCSR does
// not flush (Intel SDM volume 2, VCVTPS2PH and VCVTPH2PS).
inline constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

HWY_INLINE V32 NearestHalf(V32 word) {
  return V32{_mm512_cvtepu16_epi32(_mm512_cvt_roundps_ph(_mm512_castsi512_ps(word.raw), kNearest))};
}
HWY_INLINE V32 FloatOfHalf(V32 half) {
  const auto narrow = _mm512_cvtepi32_epi16(half.raw);
  return V32{_mm512_castps_si512(_mm512_cvt_roundph_ps(narrow, _MM_FROUND_NO_EXC))};
}
HWY_INLINE V32 NearestSum(V32 x, V32 y) {
  return V32{_mm512_castps_si512(
      _mm512_add_round_ps(_mm512_castsi512_ps(x.raw), _mm512_castsi512_ps(y.raw), kNearest))};
}
#endif

// A number of at most 24 significant bits and what lay below them.
struct Leading {
  V32 kept;   ///< as an unsigned integer
  V32 below;  ///< the positions of the others: 2^n - 1
};
HWY_INLINE Leading LeadingBits(V32 magnitude) {
  const D32 d;
  const DU32 du;
  const auto m = hn::BitCast(du, magnitude);
  // y gathers, for the leading bit and those behind it, every position 24 or more below.
  auto y = hn::ShiftRight<24>(m);
  y = hn::Or(y, hn::ShiftRight<1>(y));
  y = hn::Or(y, hn::ShiftRight<2>(y));
  y = hn::Or(y, hn::ShiftRight<4>(y));
  return {hn::BitCast(d, hn::AndNot(y, m)), hn::BitCast(d, y)};
}

// An unsigned integer of 24 significant bits as a float, times 2^-top; top is 0 or 1.
HWY_INLINE V32 ExactFloat(V32 kept, V32& top) {
  const D32 d;
  const DU32 du;
  const DF32 df;
  // Bit 31 would be a sign to the conversion; one place down nothing is lost.
  const auto bit_31 = hn::ShiftRight<31>(hn::BitCast(du, kept));
  top = hn::BitCast(d, bit_31);
  return hn::BitCast(d, hn::ConvertTo(df, hn::BitCast(d, hn::Shr(hn::BitCast(du, kept), bit_31))));
}

// magnitude (unsigned, up to 32 bits) as a float cut toward zero, times 2^-top. kToOdd: the last
// bit is set if the cut lost anything, so that a further rounding to fewer bits is right.
template <bool kToOdd>
HWY_INLINE V32 MagnitudeToFloat(V32 magnitude, V32& top) {
  const D32 d;
#if HWY_TARGET <= HWY_AVX3
  constexpr int kTowardZero = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
  constexpr int kUp = _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC;
  top = hn::Zero(d);
  const V32 word =
      hn::BitCast(d, hn::Vec<DF32>{_mm512_cvt_roundepu32_ps(magnitude.raw, kTowardZero)});
  if constexpr (!kToOdd) return word;
  // The next float up differs by one in its last place, also across a power of two.
  const V32 above = hn::BitCast(d, hn::Vec<DF32>{_mm512_cvt_roundepu32_ps(magnitude.raw, kUp)});
  return hn::Or(word, hn::Sub(above, word));
#else
  const Leading leading = LeadingBits(magnitude);
  const V32 word = ExactFloat(leading.kept, top);
  if constexpr (!kToOdd) return word;
  const M32 inexact = hn::Ne(leading.kept, magnitude);
  return hn::Or(word, hn::IfThenElseZero(inexact, hn::Set(d, 1)));
#endif
}

// A positive float's word times 2^scale, a normal FP32 number, rounded to FP16 to nearest even;
// beyond its range Inf. A result of zero is +0. `word` may be the outcome of
// MagnitudeToFloat<true>: its 24 bits are 13 more than FP16's.
HWY_INLINE V32 HalfWord(V32 word, V32 scale, V32 negative) {
  constexpr fp8::Format kHalf = fp8::kFP16;
  constexpr int kLowest = kExponentBias + fp8::MinExponent(kHalf);
  const D32 d;
  const V32 zero = hn::Zero(d);
  const V32 exponent = hn::Add(hn::ShiftRight<23>(word), scale);
  const V32 mantissa = hn::And(word, hn::Set(d, 0x7F'FFFF));
#if HWY_TARGET <= HWY_AVX3
  const V32 half = NearestHalf(hn::Or(mantissa, hn::ShiftLeft<23>(exponent)));
#else
  constexpr int kDropped = 23 - kHalf.mantissa_bits;
  const DU32 du;
  // A subnormal loses one bit more for each place below the smallest normal, in the end all.
  const V32 down = hn::Sub(hn::Set(d, kLowest + kDropped), exponent);
  const auto drop = hn::BitCast(du, hn::Min(hn::Max(down, hn::Set(d, kDropped)), hn::Set(d, 31)));
  const auto whole = hn::BitCast(du, hn::Or(mantissa, hn::Set(d, 0x80'0000)));
  const auto unit = hn::Set(du, 1);
  const auto odd = hn::And(hn::Shr(whole, drop), unit);
  const auto below_half = hn::Sub(hn::Shl(unit, hn::Sub(drop, unit)), unit);
  const V32 rounded = hn::BitCast(d, hn::Shr(hn::Add(hn::Add(whole, below_half), odd), drop));
  // The hidden bit counts as one in the exponent's field; a carry moves it on.
  const V32 field = hn::Sub(hn::Max(exponent, hn::Set(d, kLowest)), hn::Set(d, kLowest));
  const V32 half = hn::Min(hn::Add(hn::ShiftLeft<kHalf.mantissa_bits>(field), rounded),
                           hn::Set(d, static_cast<int>(fp8::MaxMagnitude(kHalf)) + 1));
#endif
  const M32 not_zero = hn::And(hn::Ne(word, zero), hn::Ne(half, zero));
  const V32 sign = hn::And(negative, hn::Set(d, static_cast<int>(fp8::SignMask(kHalf))));
  return hn::IfThenElseZero(not_zero, hn::Or(half, sign));
}

// A positive float's word times 2^scale as FP32. bad: not a normal number, unless it is zero.
HWY_INLINE V32 FloatWord(V32 word, V32 scale, V32 negative, M32& bad) {
  const D32 d;
  const V32 field = hn::Add(hn::ShiftRight<23>(word), scale);
  const M32 not_zero = hn::Ne(word, hn::Zero(d));
  bad = hn::And(not_zero, Outside(field, 1, 254));
  const V32 sign = hn::ShiftLeft<31>(negative);
  return hn::IfThenElseZero(not_zero, hn::Or(hn::Add(word, hn::ShiftLeft<23>(scale)), sign));
}

// x + y as AddNearestEven of sim/accum_amd.h has it; x is not -0. bad: what the lanes cannot hold,
// Inf and NaN among it.
#if HWY_TARGET <= HWY_AVX3
template <fp8::Format kAcc>
HWY_INLINE V32 LateAdd(V32 x, V32 y, M32& bad) {
  const D32 d;
  if constexpr (kAcc == fp8::kFP16) {
    // FP32 has more than twice the bits and two: rounding there first changes nothing (Figueroa,
    // "When is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995).
    const V32 sum = NearestHalf(NearestSum(FloatOfHalf(x), FloatOfHalf(y)));
    bad = hn::Gt(hn::And(sum, hn::Set(d, 0x7FFF)), hn::Set(d, 0x7BFF));
    return sum;
  } else {
    // No sum of numbers of at least 2^-95, or of one and zero, is subnormal.
    const V32 sum = NearestSum(x, y);
    const V32 no_sign = hn::Set(d, 0x7FFF'FFFF);
    const auto tiny = [&](V32 word) HWY_ATTR {
      const V32 magnitude = hn::And(word, no_sign);
      return hn::And(hn::Ne(magnitude, hn::Zero(d)), hn::Lt(magnitude, hn::Set(d, 32 << 23)));
    };
    const M32 special = hn::Gt(hn::And(sum, no_sign), hn::Set(d, 0x7F7F'FFFF));
    bad = hn::Or(special, hn::Or(tiny(x), tiny(y)));
    return sum;
  }
}
#else
// magnitude < 2^30 as a float to nearest even.
HWY_INLINE V32 NearestFloat(V32 magnitude) {
  const D32 d;
  const Leading leading = LeadingBits(magnitude);
  const V32 one = hn::Set(d, 1);
  // Less than half a unit, and one more beside an odd last place.
  const V32 last = hn::Add(leading.below, one);
  const M32 odd = hn::Ne(hn::And(magnitude, last), hn::Zero(d));
  const V32 up = hn::IfThenElseZero(odd, hn::And(leading.below, one));
  const V32 sum = hn::Add(hn::Add(magnitude, hn::ShiftRight<1>(leading.below)), up);
  return hn::BitCast(d, hn::ConvertTo(DF32(), hn::AndNot(leading.below, sum)));
}

template <fp8::Format kAcc>
HWY_INLINE V32 LateAdd(V32 x_word, V32 y_word, M32& bad) {
  // Both have kBits places below the larger one's leading bit, the last of them sticky; the sum
  // cancels more than one leading bit only where nothing was lost.
  constexpr int kBits = 28, kGuard = kBits - kAcc.mantissa_bits;
  const D32 d;
  const DU32 du;
  const LaneAddend x = TakeApart<kAcc>(x_word, 0), y = TakeApart<kAcc>(y_word, 0);
  const V32 exponent = hn::Max(x.exponent, y.exponent);
  const auto align = [&](const LaneAddend& a) HWY_ATTR {
    const V32 whole = hn::ShiftLeft<kGuard>(a.significand);
    const V32 bits = hn::Min(hn::Sub(exponent, a.exponent), hn::Set(d, 31));
    const V32 kept = Cut(whole, bits);
    const V32 back = hn::BitCast(d, hn::Shl(hn::BitCast(du, kept), hn::BitCast(du, bits)));
    const V32 sticky = hn::IfThenElseZero(hn::Ne(back, whole), hn::Set(d, 1));
    return Negate(hn::Or(kept, sticky), a.negative);
  };
  const V32 sum = hn::Add(align(x), align(y));
  const V32 negative = hn::ShiftRight<31>(sum);
  const V32 magnitude = Negate(sum, negative);
  const V32 scale = hn::Sub(exponent, hn::Set(d, kExponentBias + kBits));
  const M32 special = hn::Eq(exponent, hn::Set(d, kInfExponent<kAcc>));
  if constexpr (kAcc == fp8::kFP16) {
    V32 top;
    const V32 word = MagnitudeToFloat<true>(magnitude, top);  // below 2^30: top is 0
    bad = special;
    return HalfWord(word, scale, negative);
  } else {
    const V32 result = FloatWord(NearestFloat(magnitude), scale, negative, bad);
    bad = hn::Or(bad, special);
    return result;
  }
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // not scalar, not scalable
#endif  // include guard toggle
