// One fused group in lanes, in the forms that every instruction set has. See sim/accum-inl.h.
#if defined(LOSTBITS_SIM_ACCUM_FORMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_ACCUM_FORMS_INL_H_
#undef LOSTBITS_SIM_ACCUM_FORMS_INL_H_
#else
#define LOSTBITS_SIM_ACCUM_FORMS_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "sim/accum-inl.h"
#include "sim/accum_round-inl.h"
#include "sim/gemm_pack.h"

#if HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// LanePath::kCut: a product of two numbers of at most 12 bits is exact in FP32, so is its multiple
// by a power of two, and the conversion to an integer cuts it toward zero. One product a lane.
// kBits: of the sum's magnitude. 24 (F = 13): one sum. 31, 32 (F = 23 to 25): the products of even
// and of odd k each have a sum, and RoundWide adds the two.
template <fp8::Format kAcc, int kBits>
struct CutGroup {
  static constexpr bool kNarrow = kBits == 24;
  // Rows that share each load of B; 32 vector registers hold twice what 16 do.
  static constexpr int kRows = HWY_TARGET <= HWY_AVX3 || kNarrow ? 4 : 2, kColumns = 1;
  static constexpr bool kLateC = true;

  /// c holds accumulators and receives results; bad marks what the integers must do.
  template <int kRows, int kColumns>
  static HWY_INLINE void Run(const GroupOperands<kRows, kColumns>& ops, const GroupShape& shape,
                             V32 (&c)[kRows][kColumns], M32 (&bad)[kRows][kColumns]) {
    constexpr int kSums = kNarrow ? 1 : 2;
    const DF32 df;
    const D32 d;
    const AccumSpec& spec = shape.spec;
    const int fraction_bits = kNarrow ? 13 : spec.fraction_bits;
    V32 e[kRows][kColumns], sum[kSums][kRows][kColumns];
    VF32 scale[kRows][kColumns];
    LargestExponents(ops, spec.group, shape.lane, e);
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kColumns; ++s) {
        const Alignment aligned =
            Align<kAcc, true>(e[r][s], c[r][s], fraction_bits, spec.e_zero, bad[r][s]);
        e[r][s] = aligned.exponent;
        sum[0][r][s] = aligned.addend;
        if constexpr (!kNarrow) sum[1][r][s] = hn::Zero(d);
        scale[r][s] = CutScale(aligned.exponent, fraction_bits);
      }
    }
    const int64_t at = shape.b.significands + int64_t{sizeof(float)} * shape.lane;
    for (int k = 0; k < spec.group; k += kSums) {
      for (int odd = 0; odd < kSums; ++odd) {
        const auto step = int64_t{sizeof(float)} * (k + odd);
        VF32 b[kColumns];
        for (int s = 0; s < kColumns; ++s) {
          b[s] = hn::Load(df, reinterpret_cast<const float*>(ops.b[s] + at + step * kStrip));
        }
        for (int r = 0; r < kRows; ++r) {
          const VF32 a = hn::BitCast(df, Broadcast(ops.a[r] + shape.a.significands + step));
          for (int s = 0; s < kColumns; ++s) {
            const V32 product = CutToInteger(MulQuietly(MulQuietly(a, b[s]), scale[r][s]));
            sum[odd][r][s] = hn::Add(sum[odd][r][s], product);
          }
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kColumns; ++s) {
        if constexpr (kNarrow) {
          c[r][s] = RoundNarrow<kAcc>(sum[0][r][s], e[r][s]);
        } else {
          c[r][s] = RoundWide<kAcc, kBits>(sum[0][r][s], sum[1][r][s], e[r][s], fraction_bits);
        }
      }
    }
  }
};

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

// LanePath::kWide: F = 23 to 25 into FP32, with exponents of 16 bits. One product a lane.
template <int kBits>
struct WideGroup {
  static constexpr int kRows = HWY_TARGET <= HWY_AVX3 ? 4 : 2, kColumns = 1;
  static constexpr bool kLateC = false;

  /// As CutGroup's.
  template <int kRows, int kColumns>
  static HWY_INLINE void Run(const GroupOperands<kRows, kColumns>& ops, const GroupShape& shape,
                             V32 (&c)[kRows][kColumns], M32 (&bad)[kRows][kColumns]) {
    static_assert(kColumns == 1);
    const D32 d32;
    const DU32 du32;
    const D16 d;
    const AccumSpec& spec = shape.spec;
    const int64_t lane = shape.lane;
    V16 e_max[kRows];
    const auto* eb = reinterpret_cast<const int16_t*>(ops.b[0]) + 2 * lane;
    const auto a_exponents = [&](int r, int k) HWY_ATTR {
      return hn::BitCast(d, Broadcast(ops.a[r] + sizeof(int16_t) * static_cast<size_t>(k)));
    };
    for (int r = 0; r < kRows; ++r) e_max[r] = hn::Set(d, 2 * kZeroExponent);
    for (int k = 0; k < spec.group; k += 2) {
      const V16 b = hn::Load(d, eb + k * kStrip);
      for (int r = 0; r < kRows; ++r) {
        e_max[r] = hn::Max(e_max[r], hn::Add(a_exponents(r, k), b));
      }
    }
    V32 e[kRows], even[kRows], odd[kRows];
    const auto b_signs =
        hn::Load(du32, reinterpret_cast<const uint32_t*>(ops.b[0] + shape.b.signs) + lane);
    for (int r = 0; r < kRows; ++r) {
      const V32 pair = hn::BitCast(d32, e_max[r]);
      const V32 largest =
          hn::Max(hn::ShiftRight<16>(pair), hn::ShiftRight<16>(hn::ShiftLeft<16>(pair)));
      const Alignment aligned =
          Align<fp8::kFP32, false>(largest, c[r][0], spec.fraction_bits, spec.e_zero, bad[r][0]);
      e[r] = aligned.exponent;
      odd[r] = aligned.addend;
      // Every negative product comes out of WideProduct one too low.
      const auto a_signs = hn::BitCast(du32, Broadcast(ops.a[r] + shape.a.signs));
      even[r] = hn::BitCast(d32, hn::PopulationCount(hn::Xor(a_signs, b_signs)));
      // Without its bias and with the 1 of WideProduct, in both halves.
      const V32 bits = hn::Sub(e[r], hn::Set(d32, kExponentBias - 1));
      e_max[r] =
          hn::BitCast(d, hn::Or(hn::And(bits, hn::Set(d32, 0xFFFF)), hn::ShiftLeft<16>(bits)));
    }
    const auto* mb = reinterpret_cast<const int32_t*>(ops.b[0] + shape.b.significands) + lane;
    for (int k = 0; k < spec.group; k += 2, mb += 2 * kStrip) {
      const V16 b_exponent = hn::Load(d, eb + k * kStrip);
      const V32 b_even = hn::Load(d32, mb);
      const V32 b_odd = hn::Load(d32, mb + kStrip);
      for (int r = 0; r < kRows; ++r) {
        const uint8_t* a =
            ops.a[r] + shape.a.significands + sizeof(int32_t) * static_cast<size_t>(k);
        V16 bits = hn::Sub(hn::Sub(e_max[r], a_exponents(r, k)), b_exponent);
#if HWY_TARGET > HWY_AVX2
        bits = hn::Min(bits, hn::Set(d, 31));  // later x86 shifts by more as by 31
#endif
        const V32 bits_even = hn::And(hn::BitCast(d32, bits), hn::Set(d32, 0xFFFF));
        const V32 bits_odd = hn::ShiftRight<16>(hn::BitCast(d32, bits));
        even[r] = hn::Add(even[r], WideProduct(Broadcast(a), b_even, bits_even));
        odd[r] = hn::Add(odd[r], WideProduct(Broadcast(a + sizeof(int32_t)), b_odd, bits_odd));
      }
    }
    for (int r = 0; r < kRows; ++r) {
      c[r][0] = RoundWide<fp8::kFP32, kBits>(even[r], odd[r], e[r], spec.fraction_bits);
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // not scalar, not scalable
#endif  // include guard toggle
