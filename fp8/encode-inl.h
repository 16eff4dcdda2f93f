// Lanes: binary32 to any narrower format, the twin of Pack in fp8/codec.h.
//
// Formats whose exponents lie well inside binary32's. Let a = |x|, clamped to the largest number
// that is rounded at all, and E = 2^max(exponent of a, that of the smallest normal). The numbers of
// the format around a are multiples of its quantum E * 2^-M, and so is the last bit of
//
//   t = a + E * 2^(23 - M)
//
// since t lies in [2^(23-M) E, 2^(24-M) E) and binary32 has 23 mantissa bits: the addition rounds
// a to the format, subnormals like the rest, in the rounding mode that is set. The bits of t are
//
//   (exponent field of E + 23 - M) << 23 | q        q = a / quantum, rounded: at most 2^(M+1)
//
// and the code is (field of E - field of the smallest normal) * 2^M + q, which is
// (t >> (23 - M)) + t - a constant, taken in the low byte alone (FP16: in the low two).
// The product with a power of two is exact, so fused or not is one and the same.
//
// The caller sets EncodePlan::mode, without flush-to-zero, and puts back what it found.
//
// BF16, TF32 and E8M0 have binary32's own exponents: there rounding is an addition to the bits.
#include "fp8/lane_tables.h"

#if defined(LOSTBITS_FP8_ENCODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_FP8_ENCODE_INL_H_
#undef LOSTBITS_FP8_ENCODE_INL_H_
#else
#define LOSTBITS_FP8_ENCODE_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "fp8/pack-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::fp8 {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Floats by their bits, or by the upper halves of them: BF16.
template <class In>
HWY_INLINE hn::Vec<D32> LoadFloats(D32 d, const In* in) {
  if constexpr (sizeof(In) == 4) return hn::LoadU(d, in);
  return hn::ShiftLeft<16>(LoadLow(d, in));
}

constexpr uint32_t kInfinityBits = 0x7F80'0000;
constexpr uint32_t kSignBit = 0x8000'0000;

constexpr float PowerOfTwo(int exponent) {
  return BitCast<float>(static_cast<uint32_t>(127 + exponent) << 23);
}

/// The magnitude's code plus Offset in the low bits, and other things above them.
template <LaneRounding kRounding, class D, class V = hn::Vec<D>>
HWY_INLINE V RoundedCode(D d, V bits, V magnitude, V random, const EncodePlan& plan) {
  const hn::RebindToFloat<D> df;
  const hn::RebindToSigned<D> di;
  const int dropped = 23 - plan.to.mantissa_bits;
  const V smallest_normal = hn::Set(d, static_cast<uint32_t>(127 + MinExponent(plan.to)) << 23);
  V clamp = hn::Set(d, plan.clamp[0]);
  if constexpr (kRounding == LaneRounding::kModeSigned) {
    const V negative = hn::BitCast(d, hn::BroadcastSignBit(hn::BitCast(di, bits)));
    clamp = hn::Or(hn::And(negative, hn::Set(d, plan.clamp[1])), hn::AndNot(negative, clamp));
  }
  const V a = hn::Min(magnitude, clamp);
  const V e = hn::Max(hn::And(a, hn::Set(d, kInfinityBits)), smallest_normal);
  const auto a_value = hn::BitCast(df, a), e_value = hn::BitCast(df, e);

  if constexpr (kRounding == LaneRounding::kMode) {
    const V t = hn::BitCast(d, hn::MulAdd(e_value, hn::Set(df, PowerOfTwo(dropped)), a_value));
    return hn::Add(t, hn::ShiftRightSame(t, dropped));
  } else if constexpr (kRounding == LaneRounding::kModeSigned) {
    const V sign = hn::And(bits, hn::Set(d, kSignBit));
    const auto x = hn::BitCast(df, hn::Or(a, sign));
    const V scale = hn::Or(hn::BitCast(d, hn::Set(df, PowerOfTwo(dropped))), sign);
    const V t = hn::BitCast(d, hn::MulAdd(e_value, hn::BitCast(df, scale), x));
    return hn::Add(t, hn::ShiftRightSame(t, dropped));
  } else if constexpr (kRounding == LaneRounding::kAway) {
    const V t = hn::BitCast(d, hn::MulAdd(e_value, hn::Set(df, PowerOfTwo(dropped - 1)), a_value));
    const V q = hn::ShiftRight<1>(hn::Add(t, hn::Set(d, 1u)));
    return hn::Add(q, hn::ShiftRightSame(t, dropped));
  } else {
    const auto adder =
        hn::BitCast(df, hn::Add(e, hn::Set(d, static_cast<uint32_t>(dropped) << 23)));
    const auto sum = hn::Add(a_value, adder);
    const V t = hn::BitCast(d, sum);
    const V code = hn::Add(t, hn::ShiftRightSame(t, dropped));
    const auto lost = hn::Sub(a_value, hn::Sub(sum, adder));  // both exact
    const V one = hn::Set(d, 1u);
    if constexpr (kRounding == LaneRounding::kOdd) {
      const V exact = VecFromMask(d, hn::RebindMask(d, hn::Eq(lost, hn::Zero(df))));
      return hn::Or(code, hn::AndNot(exact, one));
    } else {
      // lost / quantum as bits behind the point. Cut to the number of random bits they carry with
      // those if and only if uncut they do.
      constexpr bool kWide = kRounding == LaneRounding::kStochasticWide;
      const int places = kWide ? 32 : plan.random_bit_count;
      const uint32_t field = static_cast<uint32_t>(2 * 127 + 23 - dropped + places);
      const V inverse = hn::Sub(hn::Set(d, field << 23), e);
      const auto part = hn::Mul(lost, hn::BitCast(df, inverse));
      if constexpr (!kWide) {
        // part + random >= 2^places, and what part is compared with is a float: at most 2^24.
        const V one_over = hn::Set(d, 1u << places);
        const V need = hn::Sub(one_over, hn::And(random, hn::Sub(one_over, one)));
        const auto up = hn::Ge(part, hn::ConvertTo(df, hn::BitCast(di, need)));
        return hn::Sub(code, VecFromMask(d, hn::RebindMask(d, up)));  // a true lane is -1
      }
      // part + r > 2^32 - 1, where r is `random` at the top: part, cut, above ~r, which may be cut
      // to a float too, since part is one. In two halves, since ConvertTo is signed.
      const V limit = hn::Not(hn::ShiftLeftSame(random, 32 - plan.random_bit_count));
      const auto high = hn::ConvertTo(df, hn::BitCast(di, hn::ShiftRight<16>(limit)));
      const auto low = hn::ConvertTo(df, hn::BitCast(di, hn::And(limit, hn::Set(d, 0xFFFFu))));
      const auto most = hn::MulAdd(high, hn::Set(df, 65536.0f), low);
      const auto up = hn::Gt(hn::Trunc(part), most);
      return hn::Sub(code, VecFromMask(d, hn::RebindMask(d, up)));
    }
  }
}

/// What RoundedCode is too high by.
template <LaneRounding kRounding>
HWY_INLINE uint32_t Offset(const EncodePlan& plan) {
  const int mantissa_bits = plan.to.mantissa_bits;
  const int later = kRounding == LaneRounding::kAway ? 22 : 23;
  return static_cast<uint32_t>(127 + MinExponent(plan.to) + later - mantissa_bits) << mantissa_bits;
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE bool AllFinite([[maybe_unused]] D d, V magnitude) {
  const hn::RebindToSigned<D> di;  // signed comparisons are cheaper, and no magnitude is negative
  const auto last = hn::Set(di, static_cast<int32_t>(kInfinityBits - 1));
  return hn::AllFalse(di, hn::Gt(hn::BitCast(di, magnitude), last));
}

/// Codes with their specials, from codes that are right for all finite numbers.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V WithSpecials(D d, V bits, V magnitude, V code, const EncodePlan& plan) {
  if (HWY_LIKELY(AllFinite(d, magnitude))) return code;
  const hn::RebindToSigned<D> di;
  const V negative = hn::BitCast(d, hn::BroadcastSignBit(hn::BitCast(di, bits)));
  const auto pick = [&](const uint32_t(&codes)[2]) HWY_ATTR {
    return hn::Or(hn::And(negative, hn::Set(d, codes[1])),
                  hn::AndNot(negative, hn::Set(d, codes[0])));
  };
  const V infinity = hn::Set(d, kInfinityBits);
  code = hn::IfThenElse(hn::Eq(magnitude, infinity), pick(plan.infinity), code);
  return hn::IfThenElse(hn::Gt(magnitude, infinity), pick(plan.nan), code);
}

/// Whole codes, specials too.
template <LaneRounding kRounding, class D, class V = hn::Vec<D>>
HWY_INLINE V WholeCode(D d, V bits, V random, const EncodePlan& plan) {
  const V magnitude = hn::And(bits, hn::Set(d, kSignBit - 1));
  const V rounded = RoundedCode<kRounding>(d, bits, magnitude, random, plan);
  const V offset = hn::Set(d, Offset<kRounding>(plan));
  V code =
      hn::And(hn::Sub(rounded, offset), hn::Set(d, StorageBits(plan.to) > 8 ? 0xFFFFu : 0xFFu));
  V sign = hn::ShiftLeftSame(hn::ShiftRight<31>(bits), MagnitudeBits(plan.to));
  if (plan.to.specials == Specials::kFnuz)
    sign = hn::IfThenZeroElse(hn::Eq(code, hn::Zero(d)), sign);
  return WithSpecials(d, bits, magnitude, hn::Or(code, sign), plan);
}

#if HWY_TARGET == HWY_SCALAR

/// One number to one code.
template <LaneRounding kRounding, class D, class In>
HWY_INLINE void EncodeBlock(D d, const In* in, const uint32_t* random, uint8_t* out,
                            const EncodePlan& plan) {
  constexpr bool kRandom = kRounding >= LaneRounding::kStochastic;
  const auto word = hn::Set(d, kRandom ? *random : 0);
  const auto code = WholeCode<kRounding>(d, LoadFloats(d, in), word, plan);
  *out = static_cast<uint8_t>(hn::GetLane(code));
}

#else

/// Four vectors of floats to one of codes.
template <LaneRounding kRounding, class D, class In>
HWY_INLINE void EncodeBlock(D d, const In* in, const uint32_t* random, uint8_t* out,
                            const EncodePlan& plan) {
  using V = hn::Vec<D>;
  const size_t n = hn::Lanes(d);
  constexpr bool kRandom = kRounding >= LaneRounding::kStochastic;
  const auto word = [&](size_t k)
                        HWY_ATTR { return kRandom ? hn::LoadU(d, random + k * n) : hn::Zero(d); };
  const V x0 = LoadFloats(d, in), x1 = LoadFloats(d, in + n);
  const V x2 = LoadFloats(d, in + 2 * n), x3 = LoadFloats(d, in + 3 * n);
  const V mask = hn::Set(d, kSignBit - 1);
  const V m0 = hn::And(x0, mask), m1 = hn::And(x1, mask);
  const V m2 = hn::And(x2, mask), m3 = hn::And(x3, mask);
  const V top = hn::Max(hn::Max(m0, m1), hn::Max(m2, m3));
  if (HWY_UNLIKELY(!AllFinite(d, top))) {
    const V c0 = WholeCode<kRounding>(d, x0, word(0), plan);
    const V c1 = WholeCode<kRounding>(d, x1, word(1), plan);
    const V c2 = WholeCode<kRounding>(d, x2, word(2), plan);
    const V c3 = WholeCode<kRounding>(d, x3, word(3), plan);
    StoreBytes(d, GatherLowBytes(d, c0, c1, c2, c3), out);
    return;
  }
  const hn::Repartition<uint8_t, D> d8;
  const V c0 = RoundedCode<kRounding>(d, x0, m0, word(0), plan);
  const V c1 = RoundedCode<kRounding>(d, x1, m1, word(1), plan);
  const V c2 = RoundedCode<kRounding>(d, x2, m2, word(2), plan);
  const V c3 = RoundedCode<kRounding>(d, x3, m3, word(3), plan);
  const auto offset = hn::Set(d8, static_cast<uint8_t>(Offset<kRounding>(plan)));
  const auto code = hn::Sub(hn::BitCast(d8, GatherLowBytes(d, c0, c1, c2, c3)), offset);
  V sign = hn::And(GatherHighBytes(d, x0, x1, x2, x3), hn::Set(d, 0x8080'8080u));
  if (MagnitudeBits(plan.to) < 7) sign = hn::ShiftRightSame(sign, 7 - MagnitudeBits(plan.to));
  if (plan.to.specials == Specials::kFnuz) {
    const auto zero = hn::Eq(code, hn::Zero(d8));
    sign = hn::BitCast(d, hn::IfThenZeroElse(zero, hn::BitCast(d8, sign)));
  }
  StoreBytes(d, hn::Or(hn::BitCast(d, code), sign), out);
}

#endif  // HWY_SCALAR

/// Codes of BF16, TF32, FP32 and E8M0: kDrop mantissa bits are rounded away.
template <int kDrop, Rounding kRounding, class D, class V = hn::Vec<D>>
HWY_INLINE V FloatExponentCode(D d, V bits, V random, const EncodePlan& plan) {
  constexpr uint32_t kMask = (1u << kDrop) - 1;
  constexpr bool kScale = kDrop == 23;
  const hn::RebindToSigned<D> di;
  const V mask = hn::Set(d, kMask);
  const V negative = hn::BitCast(d, hn::BroadcastSignBit(hn::BitCast(di, bits)));
  const V magnitude = hn::And(bits, hn::Set(d, kSignBit - 1));
  V a = magnitude;
  if constexpr (kScale) {
    // E8M0 has no subnormals: [2^-127, 2^-126) gets exponent field 0 and a hidden bit; all that is
    // below takes code 0 under every rounding.
    const V hidden = hn::Set(d, 0x0080'0000u);
    const V normalised = hn::Sub(hn::Max(hn::Add(a, a), hidden), hidden);
    a = hn::IfThenElse(hn::Lt(a, hidden), normalised, a);
  }
  if constexpr (kDrop > 0) {
    // E8M0's significand is 1, odd: a tie goes up, and to-odd stays.
    constexpr bool kAway =
        kRounding == Rounding::kNearestAway || (kScale && kRounding == Rounding::kNearestEven);
    if constexpr (kAway) {
      a = hn::Add(a, hn::Set(d, 1u << (kDrop - 1)));
    } else if constexpr (kRounding == Rounding::kNearestEven) {
      const V odd = hn::And(hn::ShiftRight<kDrop>(a), hn::Set(d, 1u));
      a = hn::Add(hn::Add(a, odd), hn::Set(d, kMask >> 1));
    } else if constexpr (kRounding == Rounding::kUp) {
      a = hn::Add(a, kScale ? mask : hn::AndNot(negative, mask));
    } else if constexpr (kRounding == Rounding::kDown) {
      if (!kScale) a = hn::Add(a, hn::And(negative, mask));
    } else if constexpr (kRounding == Rounding::kToOdd) {
      if (!kScale) a = hn::Or(a, hn::Add(hn::And(a, mask), mask));
    } else if constexpr (kRounding == Rounding::kStochastic) {
      const V top = hn::ShiftLeftSame(random, 32 - plan.random_bit_count);
      a = hn::Add(a, hn::ShiftRight<32 - kDrop>(top));
    }
  }
  V clamp = hn::Set(d, plan.clamp[0]);
  if (plan.clamp[1] != plan.clamp[0])
    clamp = hn::Or(hn::And(negative, hn::Set(d, plan.clamp[1])), hn::AndNot(negative, clamp));
  V code = hn::ShiftRight<kDrop>(hn::Min(a, clamp));
  if constexpr (kScale) {
    if (plan.nan_below != 0) {
      const auto tiny = hn::Lt(magnitude, hn::Set(d, plan.nan_below));
      code = hn::IfThenElse(tiny, hn::Set(d, plan.nan[0]), code);
    }
    if (plan.replaces_negative) {
      const auto below_zero = hn::Gt(bits, hn::Set(d, kSignBit));
      code = hn::IfThenElse(below_zero, hn::Set(d, plan.negative), code);
    }
  } else {
    if (plan.to.pad != 0) code = hn::ShiftLeftSame(code, plan.to.pad);
    const V sign = hn::And(negative, hn::Set(d, static_cast<uint32_t>(SignMask(plan.to))));
    code = hn::Or(code, sign);
  }
  return WithSpecials(d, bits, magnitude, code, plan);
}

template <LaneRounding kRounding, class In, class Out>
void EncodeSmall(const In* in, const uint32_t* random, Out* out, size_t n,
                 const EncodePlan& shared) {
  const EncodePlan plan = shared;  // a copy: no store of a code can change it
  constexpr bool kRandom = kRounding >= LaneRounding::kStochastic;
  const D32 d;
  if constexpr (sizeof(Out) == 1) {
    const size_t block = HWY_TARGET == HWY_SCALAR ? 1 : 4 * hn::Lanes(d);
    ForEachBlock<kRandom>(block, in, random, out, n,
                          [&](const In* x, const uint32_t* r, uint8_t* codes)
                              LOSTBITS_INLINE { EncodeBlock<kRounding>(d, x, r, codes, plan); });
  } else {
    ForEachBlock<kRandom>(hn::Lanes(d), in, random, out, n,
                          [&](const In* x, const uint32_t* r, Out* codes) LOSTBITS_INLINE {
                            const auto word = kRandom ? hn::LoadU(d, r) : hn::Zero(d);
                            StoreLow(d, WholeCode<kRounding>(d, LoadFloats(d, x), word, plan),
                                     codes);
                          });
  }
}

template <class In, class Out>
void EncodeSmallRounded(const void* from, const uint32_t* random, void* out, size_t n,
                        const EncodePlan& plan) {
  const auto* in = static_cast<const In*>(from);
  auto* codes = static_cast<Out*>(out);
  switch (plan.lane_rounding) {
    case LaneRounding::kMode: return EncodeSmall<LaneRounding::kMode>(in, nullptr, codes, n, plan);
    case LaneRounding::kModeSigned:
      return EncodeSmall<LaneRounding::kModeSigned>(in, nullptr, codes, n, plan);
    case LaneRounding::kAway: return EncodeSmall<LaneRounding::kAway>(in, nullptr, codes, n, plan);
    case LaneRounding::kOdd: return EncodeSmall<LaneRounding::kOdd>(in, nullptr, codes, n, plan);
    case LaneRounding::kStochastic:
      return EncodeSmall<LaneRounding::kStochastic>(in, random, codes, n, plan);
    case LaneRounding::kStochasticWide:
      return EncodeSmall<LaneRounding::kStochasticWide>(in, random, codes, n, plan);
  }
}

template <int kDrop, Rounding kRounding, class Out>
void EncodeFloatExponent(const uint32_t* in, const uint32_t* random, Out* out, size_t n,
                         const EncodePlan& shared) {
  const EncodePlan plan = shared;
  constexpr bool kRandom = kRounding == Rounding::kStochastic;
  const D32 d;
  ForEachBlock<kRandom>(hn::Lanes(d), in, random, out, n,
                        [&](const uint32_t* x, const uint32_t* r, Out* codes) LOSTBITS_INLINE {
                          const auto word = kRandom ? hn::LoadU(d, r) : hn::Zero(d);
                          const auto bits = hn::LoadU(d, x);
                          StoreLow(d, FloatExponentCode<kDrop, kRounding>(d, bits, word, plan),
                                   codes);
                        });
}

template <int kDrop, class Out>
void EncodeFloatExponentRounded(const void* from, const uint32_t* random, void* out, size_t n,
                                const EncodePlan& plan) {
  const auto* in = static_cast<const uint32_t*>(from);
  auto* codes = static_cast<Out*>(out);
  switch (plan.rounding) {
    case Rounding::kNearestEven:
      return EncodeFloatExponent<kDrop, Rounding::kNearestEven>(in, nullptr, codes, n, plan);
    case Rounding::kNearestAway:
      return EncodeFloatExponent<kDrop, Rounding::kNearestAway>(in, nullptr, codes, n, plan);
    case Rounding::kTowardZero:
      return EncodeFloatExponent<kDrop, Rounding::kTowardZero>(in, nullptr, codes, n, plan);
    case Rounding::kUp:
      return EncodeFloatExponent<kDrop, Rounding::kUp>(in, nullptr, codes, n, plan);
    case Rounding::kDown:
      return EncodeFloatExponent<kDrop, Rounding::kDown>(in, nullptr, codes, n, plan);
    case Rounding::kToOdd:
      return EncodeFloatExponent<kDrop, Rounding::kToOdd>(in, nullptr, codes, n, plan);
    case Rounding::kStochastic:
      return EncodeFloatExponent<kDrop, Rounding::kStochastic>(in, random, codes, n, plan);
  }
}

/// Whether Encode below reads codes of `from`; those of other formats are decoded for it.
inline bool Reads(Format from, const EncodePlan& plan) {
  const bool to_bytes = !HasFloatExponents(plan.to) && StorageBits(plan.to) <= 8;
  return from == kFP32 || (from == kBF16 && to_bytes);
}

/// Floats, given by their bits or, if `bf16`, the upper halves of these, to codes.
void Encode(bool bf16, const void* in, const uint32_t* random, void* out, size_t n,
            const EncodePlan& plan) {
  if (HasFloatExponents(plan.to)) {
    switch (plan.to.mantissa_bits) {
      case 0: return EncodeFloatExponentRounded<23, uint8_t>(in, random, out, n, plan);
      case 7: return EncodeFloatExponentRounded<16, uint16_t>(in, random, out, n, plan);
      case 10: return EncodeFloatExponentRounded<13, uint32_t>(in, random, out, n, plan);
      default:
        return EncodeFloatExponent<0, Rounding::kTowardZero>(
            static_cast<const uint32_t*>(in), nullptr, static_cast<uint32_t*>(out), n, plan);
    }
  }
  if (StorageBits(plan.to) > 8)
    return EncodeSmallRounded<uint32_t, uint16_t>(in, random, out, n, plan);
  if (bf16) return EncodeSmallRounded<uint16_t, uint8_t>(in, random, out, n, plan);
  return EncodeSmallRounded<uint32_t, uint8_t>(in, random, out, n, plan);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::fp8
HWY_AFTER_NAMESPACE();

#endif  // LOSTBITS_FP8_ENCODE_INL_H_
