// The fused group in lanes: one lane is one output, products follow one another in increasing k.
//
// What each lane does is DotGroup of sim/accum.h, with exponents biased by 127 throughout (the
// field of an FP32 c as it stands). Two things differ in form, and neither in value:
//   - a nonzero product or c marks its exponent; a zero one carries kZeroExponent, below the rest;
//   - an output that meets Inf, NaN, or a result outside FP32's normal range is marked, and the
//     caller computes that group of it by the integers. Every FP16 result of finite operands is
//     computed here.
#if defined(LOSTBITS_SIM_ACCUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_ACCUM_INL_H_
#undef LOSTBITS_SIM_ACCUM_INL_H_
#else
#define LOSTBITS_SIM_ACCUM_INL_H_
#endif

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

// Two consecutive int16 (or one word) of A, for every column.
HWY_INLINE V32 Broadcast(const void* pair) {
  int32_t bits;
  std::memcpy(&bits, pair, sizeof(bits));
  return hn::Set(D32(), bits);
}
HWY_INLINE V16 BroadcastPair(const int16_t* pair) { return hn::BitCast(D16(), Broadcast(pair)); }

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

HWY_INLINE V32 BothHalves(V32 small) {
  const D32 d;
  return hn::Or(hn::And(small, hn::Set(d, 0xFFFF)), hn::ShiftLeft<16>(small));
}

// The larger of the two halves, in both.
HWY_INLINE V16 MaxOfHalves(V16 v) {
  return hn::Max(v, hn::BitCast(D16(), hn::RotateRight<16>(hn::BitCast(DU32(), v))));
}

// A group's operands, where each row of A and the strip of B keep them.
template <int kRows>
struct GroupOperands {
  const uint8_t* a[kRows];
  const uint8_t* b;
};

// The largest exponent among the products, in both halves of each lane.
template <int kRows>
HWY_INLINE void MaxExponents(const GroupOperands<kRows>& ops, int group, int64_t lane,
                             V16 (&e_max)[kRows]) {
  const D16 d;
  const auto* eb = reinterpret_cast<const int16_t*>(ops.b) + 2 * lane;
  for (int r = 0; r < kRows; ++r) e_max[r] = hn::Set(d, 2 * kZeroExponent);
  for (int k = 0; k < group; k += 2, eb += 2 * kStrip) {
    const V16 b = hn::Load(d, eb);
    for (int r = 0; r < kRows; ++r) {
      const V16 a = BroadcastPair(reinterpret_cast<const int16_t*>(ops.a[r]) + k);
      e_max[r] = hn::Max(e_max[r], hn::Add(a, b));
    }
  }
  for (int r = 0; r < kRows; ++r) e_max[r] = MaxOfHalves(e_max[r]);
}

// ---- F = 13, output E8M13 or FP16: products in 16-bit halves -----------------------------------

// Exponents of a sum in the comfortable range, biased: S * 2^(e_max - 13) with 1 <= |S| < 2^20 is
// then a normal FP32 number. c = 0 takes the low end, where no FP8 product reaches.
inline constexpr int kNarrowLow = kExponentBias - 113;
inline constexpr int kNarrowHigh = kExponentBias + 107;

// magnitude >> min(bits, 15); 0 <= magnitude < 2^15, bits >= 0.
HWY_INLINE V16 CutHalf(V16 magnitude, V16 bits) {
  const D16 d;
  const DU16 du;
#if HWY_TARGET <= HWY_AVX3
  // This instruction gives 0 beyond 15 by itself.
  return hn::BitCast(d, hn::Shr(hn::BitCast(du, magnitude), hn::BitCast(du, bits)));
#else
  // No 16-bit shift by lanes here: the upper half of 2 * magnitude * 2^(15 - bits). The power's
  // upper byte is 2^(7 - bits), its lower one 2^(7 - (bits - 8)), 0 where the exponent is negative.
  const hn::Repartition<uint8_t, D16> d8;
  alignas(16) static constexpr uint8_t kPowers[16] = {128, 64, 32, 16, 8, 4, 2, 1};
  const V16 clamped = hn::Min(bits, hn::Set(d, 15));
  const auto bytes = hn::BitCast(d8, hn::Or(clamped, hn::ShiftLeft<8>(clamped)));
  const auto index = hn::Add(bytes, hn::BitCast(d8, hn::Set(d, 0xF8)));
  const auto power = hn::TableLookupBytesOr0(hn::LoadDup128(d8, kPowers), index);
  const auto twice = hn::BitCast(du, hn::Add(magnitude, magnitude));
  return hn::BitCast(d, hn::MulHigh(twice, hn::BitCast(du, power)));
#endif
}

/// One group of kRows x Lanes(D32) outputs. c[r] holds accumulators and receives results; bad[r]
/// marks lanes that the integers must do.
template <fp8::Format kAcc, int kRows>
HWY_INLINE void NarrowGroup(const GroupOperands<kRows>& ops, const BlockLayout& a_layout,
                            const BlockLayout& b_layout, const AccumSpec& spec, int64_t lane,
                            V32 (&c)[kRows], M32 (&bad)[kRows]) {
  constexpr bool kHalf = kAcc == fp8::kFP16;
  const D32 d32;
  const DF32 df32;
  const D16 d;
  V16 e_max[kRows];
  MaxExponents<kRows>(ops, spec.group, lane, e_max);
  const int exponent_of_zero = kHalf ? spec.e_zero + kExponentBias : kNarrowLow;
  V32 e[kRows], sum[kRows];
  for (int r = 0; r < kRows; ++r) {
    const LaneAddend addend = TakeApart<kAcc>(c[r], exponent_of_zero);
    const V32 presented = kHalf ? Presented<kAcc>(addend.exponent) : addend.exponent;
    e_max[r] = hn::Max(e_max[r], hn::BitCast(d, BothHalves(presented)));
    e[r] = hn::ShiftRight<16>(hn::BitCast(d32, e_max[r]));
    // To 13 fraction bits, and to the common exponent.
    V32 significand = addend.significand;
    V32 bits = hn::Sub(e[r], addend.exponent);
    if constexpr (kHalf) {
      significand = hn::ShiftLeft<13 - kAcc.mantissa_bits>(significand);
    } else {
      bits = hn::Add(bits, hn::Set(d32, kAcc.mantissa_bits - 13));
    }
    sum[r] = Negate(Cut(significand, bits), addend.negative);
  }
  const int64_t at = 2 * lane;
  const auto* eb = reinterpret_cast<const int16_t*>(ops.b) + at;
  const auto* mb = reinterpret_cast<const int16_t*>(ops.b + b_layout.significands) + at;
  const auto* sb = reinterpret_cast<const int16_t*>(ops.b + b_layout.signs) + at;
  for (int k = 0; k < spec.group; k += 2, eb += 2 * kStrip, mb += 2 * kStrip, sb += 2 * kStrip) {
    const V16 b_exponent = hn::Load(d, eb);
    const V16 b_significand = hn::Load(d, mb);
    const V16 b_sign = hn::Load(d, sb);
    for (int r = 0; r < kRows; ++r) {
      const uint8_t* a = ops.a[r] + sizeof(int16_t) * static_cast<size_t>(k);
      const V16 a_exponent = BroadcastPair(reinterpret_cast<const int16_t*>(a));
      const V16 a_significand =
          BroadcastPair(reinterpret_cast<const int16_t*>(a + a_layout.significands));
      const V16 a_flip = BroadcastPair(reinterpret_cast<const int16_t*>(a + a_layout.signs));
      const V16 bits = hn::Sub(hn::Sub(e_max[r], a_exponent), b_exponent);
      const V16 product = hn::Mul(a_significand, b_significand);
      sum[r] = AddPairs(CutHalf(product, bits), hn::Xor(b_sign, a_flip), sum[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    // |sum| < 2^24: the conversion is exact.
    if constexpr (kHalf) {
      const V32 negative = hn::ShiftRight<31>(sum[r]);
      const V32 word = hn::BitCast(d32, hn::ConvertTo(df32, Negate(sum[r], negative)));
      c[r] = HalfWord(word, hn::Sub(e[r], hn::Set(d32, kExponentBias + 13)), negative);
      bad[r] = hn::Gt(e[r], hn::Set(d32, kSpecialThreshold));
      continue;
    }
    // Its low 10 bits lie below E8M13.
    const V32 word = hn::And(hn::BitCast(d32, hn::ConvertTo(df32, sum[r])),
                             hn::Set(d32, static_cast<int32_t>(0xFFFF'FC00)));
    const V32 scale = hn::ShiftLeft<23>(hn::Sub(e[r], hn::Set(d32, kExponentBias + 13)));
    c[r] = hn::IfThenZeroElse(hn::Eq(sum[r], hn::Zero(d32)), hn::Add(word, scale));
    bad[r] = Outside(e[r], kNarrowLow, kNarrowHigh);
  }
}

// ---- F = 23..25, output FP32 or FP16: products in 32-bit lanes ---------------------------------

// A product cut toward zero, less 1 if it is negative. Operands are (signed significand, sign) with
// significands shifted so that the first product is 2 * p, p = |product| in units of
// 2^(its exponent - F); both pairs multiplied and added give v = s * (2p + 1). Then
// floor(v / 2^(bits + 1)) = p >> bits for s = 1, and ~(p >> bits) for s = -1, because
// -p - 1 < -(2p + 1) / 2 < -p.
HWY_INLINE V32 WideProduct(V32 a, V32 b, V32 bits_plus_1) {
  const D32 d;
  const V32 v = AddPairs(hn::BitCast(D16(), a), hn::BitCast(D16(), b), hn::Zero(d));
  return hn::Shr(v, bits_plus_1);
}

/// As NarrowGroup.
template <fp8::Format kAcc, int kRows>
HWY_INLINE void WideGroup(const GroupOperands<kRows>& ops, const BlockLayout& a_layout,
                          const BlockLayout& b_layout, const AccumSpec& spec, int64_t lane,
                          V32 (&c)[kRows], M32 (&bad)[kRows]) {
  const D32 d32;
  const DU32 du32;
  const D16 d;
  V16 e_max[kRows];
  MaxExponents<kRows>(ops, spec.group, lane, e_max);
  V32 e[kRows], even[kRows], odd[kRows];
  const auto b_signs =
      hn::Load(du32, reinterpret_cast<const uint32_t*>(ops.b + b_layout.signs) + lane);
  for (int r = 0; r < kRows; ++r) {
    const LaneAddend addend = TakeApart<kAcc>(c[r], kZeroExponent);
    const V32 presented = Presented<kAcc>(addend.exponent);
    e_max[r] = hn::Max(e_max[r], hn::BitCast(d, BothHalves(presented)));
    e_max[r] = hn::Max(e_max[r], hn::Set(d, static_cast<int16_t>(spec.e_zero + kExponentBias)));
    e[r] = hn::ShiftRight<16>(hn::BitCast(d32, e_max[r]));
    const V32 shifted =
        hn::ShiftLeftSame(addend.significand, spec.fraction_bits - kAcc.mantissa_bits);
    odd[r] = Negate(Cut(shifted, hn::Sub(e[r], addend.exponent)), addend.negative);
    // Every negative product comes out of WideProduct one too low.
    const auto a_signs = hn::BitCast(du32, Broadcast(ops.a[r] + a_layout.signs));
    even[r] = hn::BitCast(d32, hn::PopulationCount(hn::Xor(a_signs, b_signs)));
    e_max[r] = hn::Add(e_max[r], hn::Set(d, 1));
  }
  const auto* eb = reinterpret_cast<const int16_t*>(ops.b) + 2 * lane;
  const auto* mb = reinterpret_cast<const int32_t*>(ops.b + b_layout.significands) + lane;
  for (int k = 0; k < spec.group; k += 2, eb += 2 * kStrip, mb += 2 * kStrip) {
    const V16 b_exponent = hn::Load(d, eb);
    const V32 b_even = hn::Load(d32, mb);
    const V32 b_odd = hn::Load(d32, mb + kStrip);
    for (int r = 0; r < kRows; ++r) {
      const V16 a_exponent = BroadcastPair(reinterpret_cast<const int16_t*>(ops.a[r]) + k);
      const uint8_t* a =
          ops.a[r] + a_layout.significands + sizeof(int32_t) * static_cast<size_t>(k);
      const V16 bits = hn::Min(hn::Sub(hn::Sub(e_max[r], a_exponent), b_exponent), hn::Set(d, 31));
      const V32 bits_even = hn::And(hn::BitCast(d32, bits), hn::Set(d32, 0xFFFF));
      const V32 bits_odd = hn::ShiftRight<16>(hn::BitCast(d32, bits));
      even[r] = hn::Add(even[r], WideProduct(Broadcast(a), b_even, bits_even));
      odd[r] = hn::Add(odd[r], WideProduct(Broadcast(a + sizeof(int32_t)), b_odd, bits_odd));
    }
  }
  for (int r = 0; r < kRows; ++r) {
    c[r] = RoundWide<kAcc>(even[r], odd[r], e[r], spec.fraction_bits, bad[r]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // not scalar, not scalable
#endif  // include guard toggle
