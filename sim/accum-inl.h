// One fused group in lanes: what every form of it shares. One lane is one output, products follow
// one another in increasing k.
//
// What each lane does is DotGroup of sim/accum.h, with exponents biased by 127 throughout (the
// field of an FP32 c as it stands). Two things differ in form, and neither in value:
//   - a nonzero product or c marks its exponent; a zero one lies below the rest;
//   - an output that meets Inf, NaN, or a number the form does not hold is marked, and the caller
//     computes that group of it by the integers. Every FP16 result of finite operands is computed
//     here.
#if defined(LOSTBITS_SIM_ACCUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_ACCUM_INL_H_
#undef LOSTBITS_SIM_ACCUM_INL_H_
#else
#define LOSTBITS_SIM_ACCUM_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "sim/accum_round-inl.h"
#include "sim/gemm_pack.h"

// Scalable vectors cannot be array elements, and one scalar lane has no 16-bit halves: the integers
// serve both.
#if HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D8 = hn::Repartition<int8_t, D32>;
using V8 = hn::Vec<D8>;
using VF32 = hn::Vec<DF32>;

// A group's operands, where each row of A and each strip of B keeps them.
template <int kRows, int kColumns>
struct GroupOperands {
  const uint8_t* a[kRows];
  const uint8_t* b[kColumns];
};

// What a group is made of. `lane`: the first column within a strip, where a vector is narrower.
struct GroupShape {
  AccumSpec spec;
  BlockLayout a, b;
  int64_t lane;
};

// One word of A, for every column.
HWY_INLINE V32 Broadcast(const void* word) {
  int32_t bits;
  std::memcpy(&bits, word, sizeof(bits));
  return hn::Set(D32(), bits);
}

// sum + a[2i] * b[2i] + a[2i + 1] * b[2i + 1] in lane i.
HWY_INLINE V32 AddPairs(V16 a, V16 b, V32 sum) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  V32 unused = hn::Zero(D32());
  return hn::ReorderWidenMulAccumulate(D32(), a, b, sum, unused);  // x86: pairs stay in place
#else
  const D32 d;
  const V32 a0 = hn::ShiftRight<16>(hn::ShiftLeft<16>(hn::BitCast(d, a)));
  const V32 b0 = hn::ShiftRight<16>(hn::ShiftLeft<16>(hn::BitCast(d, b)));
  const V32 a1 = hn::ShiftRight<16>(hn::BitCast(d, a));
  const V32 b1 = hn::ShiftRight<16>(hn::BitCast(d, b));
  return hn::Add(sum, hn::Add(hn::Mul(a0, b0), hn::Mul(a1, b1)));
#endif
}

// The largest sum of two exponents, where they fit bytes, for each output. Four products share a
// lane.
template <int kRows, int kColumns>
HWY_INLINE void LargestExponents(const GroupOperands<kRows, kColumns>& ops, int group, int64_t lane,
                                 V32 (&largest)[kRows][kColumns]) {
  const D8 d8;
  const D32 d;
  V8 m[kRows][kColumns];
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) m[r][s] = hn::Set(d8, -128);
  }
  for (int k = 0; k < group; k += 4) {
    V8 b[kColumns];
    for (int s = 0; s < kColumns; ++s) {
      b[s] = hn::Load(d8, reinterpret_cast<const int8_t*>(ops.b[s]) + k * kStrip + 4 * lane);
    }
    for (int r = 0; r < kRows; ++r) {
      const V8 a = hn::BitCast(d8, Broadcast(ops.a[r] + k));
      for (int s = 0; s < kColumns; ++s) {
        m[r][s] = hn::Max(m[r][s], hn::SaturatedAdd(a, b[s]));
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) {
      const auto up = [&](V32 shifted) HWY_ATTR { return hn::BitCast(d8, shifted); };
      m[r][s] = hn::Max(m[r][s], up(hn::ShiftLeft<16>(hn::BitCast(d, m[r][s]))));
      m[r][s] = hn::Max(m[r][s], up(hn::ShiftLeft<8>(hn::BitCast(d, m[r][s]))));
      largest[r][s] = hn::ShiftRight<24>(hn::BitCast(d, m[r][s]));
    }
  }
}

// The common exponent of a group, and c cut to it.
struct Alignment {
  V32 exponent;
  V32 addend;  ///< a signed integer in units of 2^(exponent - F)
};

// Common exponents, biased, beyond which the integers take over: scales and results stay normal.
inline constexpr int kHighestAligned = kExponentBias + 62;
static_assert(kHighestAligned < kExponentBias + kByteSpecial + kByteZero);  // so do Inf and NaN
constexpr int LowestAligned(int fraction_bits) { return fraction_bits + 1; }

#if HWY_TARGET <= HWY_AVX3
// A product that is exact or of no consequence; no flag is raised.
HWY_INLINE VF32 MulQuietly(VF32 x, VF32 y) {
  return VF32{_mm512_mul_round_ps(x.raw, y.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
// Toward zero; of a number beyond int32, or NaN, anything.
HWY_INLINE V32 CutToInteger(VF32 x) {
  return V32{_mm512_cvtt_roundps_epi32(x.raw, _MM_FROUND_NO_EXC)};
}
HWY_INLINE VF32 CutToFloat(V32 x) {
  return VF32{_mm512_cvt_roundepi32_ps(x.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
HWY_INLINE VF32 MulAddTowardZero(VF32 x, VF32 y, VF32 z) {
  return VF32{_mm512_fmadd_round_ps(x.raw, y.raw, z.raw, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)};
}
#else
HWY_INLINE VF32 MulQuietly(VF32 x, VF32 y) { return hn::Mul(x, y); }
HWY_INLINE V32 CutToInteger(VF32 x) {
#if HWY_TARGET == HWY_AVX2
  return V32{_mm256_cvttps_epi32(x.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  return V32{_mm_cvttps_epi32(x.raw)};
#else
  // Beyond int32 a conversion may be undefined.
  return hn::ConvertTo(D32(), hn::IfThenElseZero(hn::Lt(hn::Abs(x), hn::Set(DF32(), 0x1p31f)), x));
#endif
}
#endif

// 2^(F - e) as FP32, of a biased e.
HWY_INLINE VF32 CutScale(V32 exponent, int fraction_bits) {
  const D32 d;
  const V32 field = hn::Sub(hn::Set(d, 2 * kExponentBias + fraction_bits), exponent);
  return hn::BitCast(DF32(), hn::ShiftLeft<23>(field));
}

// kBytes: exponents came as bytes, so every real sum of two is higher than LowestAligned.
template <fp8::Format kAcc, bool kBytes>
HWY_INLINE Alignment Align(V32 largest, V32 c, int fraction_bits, int e_zero, M32& bad) {
  constexpr bool kHalf = kAcc == fp8::kFP16;
  const D32 d;
  const DU32 du;
  // All products zero: e_zero. That makes no difference below every exponent that a term can have,
  // or c unless it is left to the integers.
  const int lowest = LowestAligned(fraction_bits);
  const int low = kHalf ? std::max(e_zero + kExponentBias, lowest) : lowest;
  const M32 real = hn::Gt(largest, hn::Set(d, kBytes ? kLargestByteZero : kZeroThreshold));
  const V32 products =
      hn::IfThenElse(real, hn::Add(largest, hn::Set(d, kExponentBias)), hn::Set(d, low));
  if constexpr (kHalf) {
    const LaneAddend addend = TakeApart<kAcc>(c, kZeroExponent);
    const V32 e = hn::Max(hn::Max(products, hn::Set(d, low)), Presented<kAcc>(addend.exponent));
    bad = hn::Gt(e, hn::Set(d, kHighestAligned));
    const V32 whole = hn::ShiftLeftSame(addend.significand, fraction_bits - kAcc.mantissa_bits);
    return {e, Negate(Cut(whole, hn::Sub(e, addend.exponent)), addend.negative)};
  } else {
    const auto twice = hn::BitCast(du, hn::ShiftLeft<1>(c));
    const V32 e = hn::Max(products, hn::BitCast(d, hn::ShiftRight<24>(twice)));
    const auto below = hn::Sub(twice, hn::Set(du, 1));
    const auto tiny = hn::Lt(below, hn::Set(du, (static_cast<uint32_t>(low) << 24) - 1));
    const M32 outside =
        kBytes ? hn::Gt(e, hn::Set(d, kHighestAligned)) : Outside(e, low, kHighestAligned);
    bad = hn::Or(outside, hn::RebindMask(d, tiny));
    const VF32 scale = CutScale(e, fraction_bits);
    return {e, CutToInteger(MulQuietly(hn::BitCast(DF32(), c), scale))};
  }
}

// (low + high) * 2^(exponent - F) rounded to kAcc, exponent as Align gives it: FP32 toward zero,
// FP16 to nearest even. kBits: of the sum's magnitude, at most.
template <fp8::Format kAcc, int kBits>
HWY_INLINE V32 RoundWide(V32 low, V32 high, V32 exponent, int fraction_bits) {
  const D32 d;
  const V32 scale = hn::Sub(exponent, hn::Set(d, fraction_bits));
  const auto times = [](VF32 x, V32 field) HWY_ATTR {
    const auto power = hn::BitCast(DF32(), hn::ShiftLeft<23>(field));
    return hn::BitCast(D32(), MulQuietly(x, power));
  };
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kAcc == fp8::kFP32 && kBits < 32) {
    return times(CutToFloat(hn::Add(low, high)), scale);
  } else if constexpr (kAcc == fp8::kFP32) {
    // In two parts that are floats, added with one rounding.
    const V32 byte = hn::Set(d, 0xFF);
    const V32 rest = hn::Add(hn::And(low, byte), hn::And(high, byte));
    const V32 main = hn::Add(hn::ShiftRight<8>(low), hn::ShiftRight<8>(high));
    const DF32 df;
    return times(
        MulAddTowardZero(hn::ConvertTo(df, main), hn::Set(df, 256.0f), hn::ConvertTo(df, rest)),
        scale);
  }
#endif
  const V32 wrapped = hn::Add(low, high);
  const V32 overflow = hn::And(hn::Xor(low, wrapped), hn::Xor(high, wrapped));
  const V32 negative = hn::ShiftRight<31>(hn::Xor(wrapped, overflow));
  V32 top;
  const V32 word = MagnitudeToFloat<kAcc == fp8::kFP16>(Negate(wrapped, negative), top);
  if constexpr (kAcc == fp8::kFP16) {
    return HalfWord(word, hn::Add(hn::Sub(scale, hn::Set(d, kExponentBias)), top), negative);
  } else {
    const V32 whole = hn::Or(word, hn::ShiftLeft<31>(negative));
    return times(hn::BitCast(DF32(), whole), hn::Add(scale, top));
  }
}

// sum * 2^(exponent - 13) as E8M13 in an FP32 register, cut; or as FP16, to nearest even. |sum| <
// 2^24.
template <fp8::Format kAcc>
HWY_INLINE V32 RoundNarrow(V32 sum, V32 exponent) {
  const D32 d;
  const DF32 df;
  const V32 scale = hn::Sub(exponent, hn::Set(d, 13));
  if constexpr (kAcc == fp8::kFP16) {
    const V32 negative = hn::ShiftRight<31>(sum);
    const V32 word = hn::BitCast(d, hn::ConvertTo(df, Negate(sum, negative)));
    return HalfWord(word, hn::Sub(scale, hn::Set(d, kExponentBias)), negative);
  } else {
    // The conversion is exact; its low 10 bits lie below E8M13.
    const V32 word = hn::And(hn::BitCast(d, hn::ConvertTo(df, sum)),
                             hn::Set(d, static_cast<int32_t>(0xFFFF'FC00)));
    return hn::BitCast(
        d, MulQuietly(hn::BitCast(df, word), hn::BitCast(df, hn::ShiftLeft<23>(scale))));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // not scalar, not scalable
#endif  // include guard toggle
