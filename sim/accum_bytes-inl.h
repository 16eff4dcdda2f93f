// LanePath::kBytes: FP8 products by the byte instructions of AVX-512 (Ice Lake, Zen 4 and later).
// Two products share a lane. See sim/accum-inl.h.
//
// Raw intrinsics: Highway 1.0.3 has neither vpmaddubsw nor a 16-bit shift by lanes for signed
// numbers, nor table lookups in 128 bytes.
#if defined(LOSTBITS_SIM_ACCUM_BYTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_ACCUM_BYTES_INL_H_
#undef LOSTBITS_SIM_ACCUM_BYTES_INL_H_
#else
#define LOSTBITS_SIM_ACCUM_BYTES_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "sim/accum-inl.h"
#include "sim/gemm_pack.h"

#if HWY_TARGET <= HWY_AVX3_DL

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// sum + a[2i] * b[2i] + a[2i + 1] * b[2i + 1] in lane i: _mm512_dpwssd_epi32. Highway 1.0.3 finds
// out at run time that AVX3_DL machines have it, but lets the compiler know only of its AVX2 form.
HWY_INLINE V32 AddSignedPairs(V32 sum, __m512i a, __m512i b) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(a), "v"(b));
  return sum;
}

// Of a product, n = |significands multiplied| in units of 2^(its exponent - 13) < 2^15 and s = +-1,
// B's sign goes into the significand, A's into the sum. vpmaddubsw multiplies (A's significand, 1)
// with (B's signed significand, 0 or -1 if negative) and adds: n, or -n - 1. Shifted right by d
// that is n >> d, or -(n >> d) - 1. vpdpwssd adds it times A's sign, and what is then missing is
// the sum of A's signs over B's negative operands: so many as there are, less twice those where A
// is negative too.
template <fp8::Format kAcc, int kGroup>
struct BytesGroup {
  static constexpr int kRows = 4, kColumns = 2;
  static constexpr bool kLateC = false;

  /// c holds accumulators and receives results; bad marks what the integers must do.
  template <int kRows, int kColumns>
  static HWY_INLINE void Run(const GroupOperands<kRows, kColumns>& ops, const GroupShape& shape,
                             V32 (&c)[kRows][kColumns], M32 (&bad)[kRows][kColumns]) {
    using A = RowBytes<kGroup>;
    using B = StripBytes<kGroup>;
    const D32 d;
    V32 e[kRows][kColumns], sum[kRows][kColumns];
    __m512i both[kRows][kColumns];
    LargestExponents(ops, kGroup, 0, e);
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kColumns; ++s) {
        const Alignment aligned =
            Align<kAcc, true>(e[r][s], c[r][s], 13, shape.spec.e_zero, bad[r][s]);
        e[r][s] = aligned.exponent;
        both[r][s] = hn::Or(e[r][s], hn::ShiftLeft<16>(e[r][s])).raw;
        const V32 negative = LoadWords(ops.b[s] + B::kNegative);
        const V32 in_both =
            V32{_mm512_popcnt_epi32(hn::And(Broadcast(ops.a[r] + A::kNegative), negative).raw)};
        const V32 missing =
            hn::Sub(LoadWords(ops.b[s] + B::kNegativeCount), hn::Add(in_both, in_both));
        sum[r][s] = hn::Add(aligned.addend, missing);
      }
    }
    for (int k = 0; k < kGroup; k += 4) {
      for (int half = 0; half < 2; ++half) {
        const int a_at = half * kGroup + k, b_at = 2 * (k + 2 * half) * kStrip;
        __m512i b_exponent[kColumns], b_significand[kColumns];
        for (int s = 0; s < kColumns; ++s) {
          b_exponent[s] = LoadWords(ops.b[s] + B::kExponents + b_at).raw;
          b_significand[s] = LoadWords(ops.b[s] + B::kSignificands + b_at).raw;
        }
        for (int r = 0; r < kRows; ++r) {
          const __m512i a_exponent = Broadcast(ops.a[r] + A::kExponents + a_at).raw;
          const __m512i a_significand = Broadcast(ops.a[r] + A::kSignificands + a_at).raw;
          const __m512i a_sign = Broadcast(ops.a[r] + A::kSigns + a_at).raw;
          for (int s = 0; s < kColumns; ++s) {
            const __m512i bits =
                _mm512_sub_epi16(_mm512_sub_epi16(both[r][s], a_exponent), b_exponent[s]);
            const __m512i product = _mm512_maddubs_epi16(a_significand, b_significand[s]);
            sum[r][s] = AddSignedPairs(sum[r][s], _mm512_srav_epi16(product, bits), a_sign);
          }
        }
      }
    }
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kColumns; ++s) c[r][s] = RoundNarrow<kAcc>(sum[r][s], e[r][s]);
    }
  }

 private:
  static HWY_INLINE V32 LoadWords(const uint8_t* from) {
    return hn::Load(D32(), reinterpret_cast<const int32_t*>(from));
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // AVX3_DL
#endif  // include guard toggle
