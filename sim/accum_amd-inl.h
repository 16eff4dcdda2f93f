// The groups of sim/accum_amd.h in lanes: one lane is one output, products follow one another in
// increasing k. For callers in the default floating-point environment (sim/float_environment.h).
//
// Where IEEE 754 arithmetic in FP32 or FP64 is what the unit does, or can be made to show it, the
// lanes use it, subnormals, Inf and signs of zero included. Only the NaN differs: any of them
// stands for the canonical one, which the caller puts in its place at the end of a chain.
#if defined(LOSTBITS_SIM_ACCUM_AMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_ACCUM_AMD_INL_H_
#undef LOSTBITS_SIM_ACCUM_AMD_INL_H_
#else
#define LOSTBITS_SIM_ACCUM_AMD_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "fp8/hd.h"
#include "hwy/highway.h"
#include "sim/accum_round-inl.h"
#include "sim/gemm_pack_amd.h"

// As sim/accum-inl.h: the integers serve scalar and scalable vectors.
#if HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using VF32 = hn::Vec<DF32>;
using D64 = hn::Repartition<double, D32>;
using DI64 = hn::RebindToSigned<D64>;
using DFHalf = hn::Rebind<float, D64>;  // as many floats as doubles
using DIHalf = hn::Rebind<int32_t, D64>;
using V64 = hn::Vec<D64>;

// Rounded to FP32. Highway 1.0.3's EMU128 makes an Inf, or what rounds to it, the largest float.
HWY_INLINE hn::Vec<DFHalf> RoundToFloats(V64 x) {
#if HWY_TARGET == HWY_EMU128
  const D64 d;
  const DFHalf df;
  alignas(16) double from[hn::MaxLanes(D64())];
  alignas(16) float to[hn::MaxLanes(D64())];
  hn::Store(x, d, from);
  for (size_t i = 0; i < hn::Lanes(d); ++i) to[i] = static_cast<float>(from[i]);
  return hn::Load(df, to);
#else
  return hn::DemoteTo(DFHalf(), x);
#endif
}

// One group's operands: the packed blocks of kRows rows of A, and of the strip of B.
template <int kRows>
struct FloatOperands {
  const uint8_t* a[kRows];
  const uint8_t* b;
};

template <class T>
HWY_INLINE T LoadScalar(const uint8_t* block, int64_t index) {
  T value;
  std::memcpy(&value, block + index * int64_t{sizeof(T)}, sizeof(T));
  return value;
}

// ---- Flow::kTree -------------------------------------------------------------------------------

// A subnormal becomes a zero: of its own sign, or +0, and then -0 does so too.
template <bool kKeepSign>
HWY_INLINE VF32 FlushLane(VF32 x) {
  const DF32 d;
  const auto tiny = hn::Lt(hn::Abs(x), hn::Set(d, 0x1p-126f));
  if constexpr (!kKeepSign) return hn::IfThenZeroElse(tiny, x);
  return hn::IfThenElse(tiny, hn::And(x, hn::SignBit(d)), x);
}

template <bool kFlush>
HWY_INLINE VF32 TreeResult(VF32 x) {
  if constexpr (kFlush) return FlushLane<true>(x);
  return x;
}

// Product k of a group, rounded.
template <bool kFlush>
HWY_INLINE VF32 TreeProduct(const uint8_t* a, const float* b, int k) {
  const DF32 d;
  const VF32 x = hn::Set(d, LoadScalar<float>(a, k));
  return TreeResult<kFlush>(hn::Mul(x, hn::Load(d, b + k * kStrip)));
}

/// c + tree of a group's products. kFlush: every result is flushed.
template <int kGroup, bool kFlush>
HWY_INLINE VF32 TreeLane(const uint8_t* a, const float* b, VF32 c) {
  static_assert(kGroup == 2 || kGroup == 4, "Flow::kTree");
  VF32 sum =
      TreeResult<kFlush>(hn::Add(TreeProduct<kFlush>(a, b, 0), TreeProduct<kFlush>(a, b, 1)));
  if constexpr (kGroup == 4) {
    const VF32 second =
        TreeResult<kFlush>(hn::Add(TreeProduct<kFlush>(a, b, 2), TreeProduct<kFlush>(a, b, 3)));
    sum = TreeResult<kFlush>(hn::Add(sum, second));
  }
  return TreeResult<kFlush>(hn::Add(c, sum));
}

// ---- Flow::kExact: sums of products in doubles -------------------------------------------------

// The sum x + y, rounded to odd, where `sum` is it rounded to nearest: rounding that once more, to
// FP32, rounds the exact sum (Boldo and Melquiond, "Emulation of FMA and Correctly Rounded Sums",
// IEEE Transactions on Computers 57(4), 2008).
HWY_INLINE V64 SumToOdd(V64 x, V64 y, V64 sum) {
  const D64 d;
  const DI64 di;
  const V64 of_y = hn::Sub(sum, x);
  const V64 error = hn::Add(hn::Sub(x, hn::Sub(sum, of_y)), hn::Sub(y, of_y));
  const auto one = hn::Set(di, 1);
  const auto bits = hn::BitCast(di, sum);
  // Of an infinite sum the error is NaN: neither.
  const auto inexact = hn::RebindMask(di, hn::Gt(hn::Abs(error), hn::Zero(d)));
  const auto even = hn::Eq(hn::And(bits, one), hn::Zero(di));
  const auto inward =
      hn::Lt(hn::Xor(bits, hn::BitCast(di, error)), hn::Zero(di));  // error and sum differ in sign
  const auto step = hn::IfThenElse(inward, hn::Set(di, -1), one);
  return hn::BitCast(d, hn::Add(bits, hn::IfThenElseZero(hn::And(inexact, even), step)));
}

// Whether rounding a double to FP32 may differ from rounding what it came from: it lies halfway
// between two floats, or among the subnormal ones, or is zero.
HWY_INLINE hn::Mask<D64> MayRoundTwice(V64 sum) {
  constexpr int kDropped = 52 - fp8::kFP32.mantissa_bits;
  const D64 d;
  const DI64 di;
  const auto below = hn::And(hn::BitCast(di, sum), hn::Set(di, (int64_t{1} << kDropped) - 1));
  const auto half = hn::Eq(below, hn::Set(di, int64_t{1} << (kDropped - 1)));
  return hn::Or(hn::RebindMask(d, half), hn::Lt(hn::Abs(sum), hn::Set(d, 0x1p-126)));
}

/// c = c + a group's products, rounded once to FP32. The products' own sum is a double, as they
/// are: the caller sees to it (SpreadLimit). kFma: one product, whose zero keeps its sign.
template <bool kFma, class A, int kRows>
HWY_INLINE void ExactLanes(const FloatOperands<kRows>& ops, int group, int64_t lane,
                           V64 (&c)[kRows]) {
  const D64 d;
  const DFHalf df;
  const auto* values = reinterpret_cast<const float*>(ops.b) + lane;
  V64 products[kRows];
  for (int r = 0; r < kRows; ++r) products[r] = hn::Zero(d);
  for (int k = 0; k < group; ++k) {
    const V64 b = hn::PromoteTo(d, hn::Load(df, values + k * kStrip));
    for (int r = 0; r < kRows; ++r) {
      const V64 a = hn::Set(d, static_cast<double>(LoadScalar<A>(ops.a[r], k)));
      products[r] = kFma ? hn::Mul(a, b) : hn::MulAdd(a, b, products[r]);
    }
  }
  V64 sum[kRows];
  auto twice = hn::MaskFromVec(hn::Zero(d));
  for (int r = 0; r < kRows; ++r) {
    sum[r] = hn::Add(products[r], c[r]);
    twice = hn::Or(twice, MayRoundTwice(sum[r]));
  }
  if (HWY_UNLIKELY(!hn::AllFalse(d, twice))) {
    for (int r = 0; r < kRows; ++r) sum[r] = SumToOdd(products[r], c[r], sum[r]);
  }
  for (int r = 0; r < kRows; ++r) c[r] = hn::PromoteTo(d, RoundToFloats(sum[r]));
}

// ---- Flow::kLateFloor and kLateFloorPairs ------------------------------------------------------

// x cut toward zero, |x| < 2^31. (ConvertTo makes larger ones saturate, which costs more than all
// the rest.)
HWY_INLINE V32 CutToInteger(VF32 x) {
#if HWY_TARGET <= HWY_AVX3
  return V32{_mm512_cvttps_epi32(x.raw)};
#elif HWY_TARGET <= HWY_AVX2
  return V32{_mm256_cvttps_epi32(x.raw)};
#else
  return hn::ConvertTo(D32(), x);
#endif
}

// value * 2^-bits, cut toward minus infinity; bits >= 0.
HWY_INLINE V32 FloorShift(V32 value, V32 bits) {
  return hn::Shr(value, hn::Min(bits, hn::Set(D32(), 31)));
}

// The products' sum: sum * 2^(exponent - F), exponent biased by 127.
struct LaneGridSum {
  V32 sum, exponent;
};

// A largest exponent (biased) that these lanes do not serve. One that is that of zeros they do.
HWY_INLINE M32 BadExponent(V32 e) {
  const D32 d;
  const M32 low = hn::Not(Outside(e, -2048, kExponentBias + kLateLowest - 1));
  return hn::Or(low, hn::Gt(e, hn::Set(d, kExponentBias + kLateHighest)));
}

// 2^(F - e), e biased. Where all products are zero, any number does.
HWY_INLINE VF32 GridScale(V32 e, int fraction_bits) {
  const D32 d;
  const V32 field = hn::Sub(hn::Set(d, 2 * kExponentBias + fraction_bits), e);
  return hn::BitCast(DF32(), hn::ShiftLeft<23>(hn::Min(field, hn::Set(d, 254))));
}

// All products of the group, each cut toward zero to its grid; `pairs`: those of even and of odd k
// on grids of their own, then both on the coarser one.
template <bool kPairs, int kRows>
HWY_INLINE void CutProducts(const FloatOperands<kRows>& ops, const FloatLayout& a_layout,
                            const FloatLayout& b_layout, int group, int fraction_bits, int64_t lane,
                            LaneGridSum (&out)[kRows], M32 (&bad)[kRows]) {
  const D32 d;
  const DF32 df;
  const D16 d16;
  const auto* eb = reinterpret_cast<const int16_t*>(ops.b + b_layout.second) + 2 * lane;
  V16 e_max[kRows];
  for (int r = 0; r < kRows; ++r) e_max[r] = hn::Set(d16, 2 * kZeroExponent);
  for (int k = 0; k < group; k += 2, eb += 2 * kStrip) {
    const V16 b = hn::Load(d16, eb);
    for (int r = 0; r < kRows; ++r) {
      const auto pair = LoadScalar<int32_t>(ops.a[r] + a_layout.second, k / 2);
      e_max[r] = hn::Max(e_max[r], hn::Add(hn::BitCast(d16, hn::Set(d, pair)), b));
    }
  }
  V32 even_e[kRows], odd_e[kRows], even[kRows], odd[kRows];
  VF32 even_scale[kRows], odd_scale[kRows];
  for (int r = 0; r < kRows; ++r) {
    even_e[r] = hn::ShiftRight<16>(hn::ShiftLeft<16>(hn::BitCast(d, e_max[r])));
    odd_e[r] = hn::ShiftRight<16>(hn::BitCast(d, e_max[r]));
    out[r].exponent = hn::Max(even_e[r], odd_e[r]);
    bad[r] = BadExponent(out[r].exponent);
    if constexpr (kPairs) {
      bad[r] = hn::Or(bad[r], BadExponent(hn::Min(even_e[r], odd_e[r])));
    } else {
      even_e[r] = out[r].exponent;
      odd_e[r] = out[r].exponent;
    }
    even_scale[r] = GridScale(even_e[r], fraction_bits);
    odd_scale[r] = GridScale(odd_e[r], fraction_bits);
    even[r] = hn::Zero(d);
    odd[r] = hn::Zero(d);
  }
  const auto* values = reinterpret_cast<const float*>(ops.b) + lane;
  for (int k = 0; k < group; k += 2, values += 2 * kStrip) {
    const VF32 b_even = hn::Load(df, values), b_odd = hn::Load(df, values + kStrip);
    for (int r = 0; r < kRows; ++r) {
      const VF32 p = hn::Mul(hn::Set(df, LoadScalar<float>(ops.a[r], k)), b_even);
      const VF32 q = hn::Mul(hn::Set(df, LoadScalar<float>(ops.a[r], k + 1)), b_odd);
      even[r] = hn::Add(even[r], CutToInteger(hn::Mul(p, even_scale[r])));
      odd[r] = hn::Add(odd[r], CutToInteger(hn::Mul(q, odd_scale[r])));
    }
  }
  for (int r = 0; r < kRows; ++r) {
    if constexpr (kPairs) {
      even[r] = FloorShift(even[r], hn::Sub(out[r].exponent, even_e[r]));
      odd[r] = FloorShift(odd[r], hn::Sub(out[r].exponent, odd_e[r]));
    }
    out[r].sum = hn::Add(even[r], odd[r]);
  }
}

// What does not change from group to group.
struct LateFloorPlan {
  explicit LateFloorPlan(const AccumSpec& s)
      : fraction_bits(s.fraction_bits),
        below_grid(s.sum_bits - s.fraction_bits),
        e_zero(s.e_zero + kExponentBias),
        dropped(s.final_bits == 0 ? 0 : (int64_t{1} << (52 - s.final_bits)) - 1) {}

  int fraction_bits;
  int below_grid;   ///< bits of the products' sum below the last one of c
  int e_zero;       ///< biased
  int64_t dropped;  ///< a double's bits below final_bits
};

// The last steps for as many outputs as a vector of doubles has: both integers on the finer grid,
// added, floored, rounded to FP32.
HWY_INLINE hn::Vec<DFHalf> FloorSum(hn::Vec<DIHalf> products, hn::Vec<DFHalf> scale,
                                    hn::Vec<DIHalf> c, const LateFloorPlan& plan) {
  const D64 d;
  const DI64 di;
  const V64 c_units =
      hn::Mul(hn::PromoteTo(d, c), hn::Set(d, static_cast<double>(int64_t{1} << plan.below_grid)));
  const V64 sum = hn::MulAdd(hn::PromoteTo(d, products), hn::PromoteTo(d, scale), c_units);
  // Of a negative number, the next magnitude up.
  const auto dropped = hn::Set(di, plan.dropped);
  const auto bits = hn::BitCast(di, sum);
  const auto up = hn::And(hn::BroadcastSignBit(bits), dropped);
  const V64 floored = hn::BitCast(d, hn::AndNot(dropped, hn::Add(bits, up)));
  return RoundToFloats(floored);
}

/// c = the group's result. bad: Inf, NaN, and what leaves the range in which FP32 shows it.
template <bool kPairs, int kRows>
HWY_INLINE void LateFloorLanes(const FloatOperands<kRows>& ops, const FloatLayout& a_layout,
                               const FloatLayout& b_layout, int group, const LateFloorPlan& plan,
                               int64_t lane, V32 (&c)[kRows], M32 (&bad)[kRows]) {
  const D32 d;
  const DF32 df;
  const hn::Half<D32> dh;
  const hn::Half<DF32> dfh;
  const V32 zero = hn::Zero(d);
  LaneGridSum products[kRows];
  CutProducts<kPairs, kRows>(ops, a_layout, b_layout, group, plan.fraction_bits, lane, products,
                             bad);
  for (int r = 0; r < kRows; ++r) {
    const LaneAddend addend = TakeApart<fp8::kFP32>(c[r], kZeroExponent);
    const V32 e_c = hn::Max(addend.exponent, hn::Set(d, plan.e_zero));
    const V32 e = hn::Max(products[r].exponent, e_c);
    const V32 c_units =
        Negate(hn::ShiftLeftSame(addend.significand, plan.fraction_bits - 23), addend.negative);
    V32 kept_c = FloorShift(c_units, hn::Sub(e, addend.exponent));
    if constexpr (kPairs) {
      const auto gone = hn::Lt(e_c, hn::Sub(e, hn::Set(d, plan.fraction_bits + 1)));
      kept_c = hn::IfThenZeroElse(gone, kept_c);
    }
    // Down by more bits than the finer grid has: cut here. By fewer: scaled, in FloorSum.
    const V32 down = hn::Sub(hn::Sub(e, products[r].exponent), hn::Set(d, plan.below_grid));
    const V32 kept = FloorShift(products[r].sum, hn::Max(down, zero));
    const V32 up = hn::Max(hn::Sub(zero, down), zero);
    const VF32 scale = hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(up, hn::Set(d, kExponentBias))));
    const auto low = FloorSum(hn::LowerHalf(dh, kept), hn::LowerHalf(dfh, scale),
                              hn::LowerHalf(dh, kept_c), plan);
    const auto high = FloorSum(hn::UpperHalf(dh, kept), hn::UpperHalf(dfh, scale),
                               hn::UpperHalf(dh, kept_c), plan);
    const V32 word = hn::BitCast(d, hn::Combine(df, high, low));
    // Times the grid's unit. One exponent is spared, where rounding reaches up to the normal ones.
    const V32 unit = hn::Sub(e, hn::Set(d, kExponentBias + plan.fraction_bits + plan.below_grid));
    const V32 field = hn::Add(hn::And(hn::ShiftRight<23>(word), hn::Set(d, 0xFF)), unit);
    const M32 not_zero = hn::Ne(word, zero);
    const M32 special = hn::Eq(addend.exponent, hn::Set(d, kInfExponent<fp8::kFP32>));
    bad[r] = hn::Or(bad[r], hn::Or(special, hn::And(not_zero, Outside(field, 2, 254))));
    c[r] = hn::IfThenElseZero(not_zero, hn::Add(word, hn::ShiftLeft<23>(unit)));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // not scalar, not scalable
#endif  // include guard toggle
