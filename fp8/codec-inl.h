// Lanes: the twin of fp8/codec.h for E4M3FN and E5M2, one element a 32-bit lane.
//
// Encoding is done in 32-bit integers. A magnitude a = E.m of binary32 with significand
// s = 2^23 + m has, in units of the target's quantum at its own binade, the value s >> (23 - M);
// one binade below the smallest normal number the quantum stays, and s moves right by one more, and
// so on. With s held 7 places up (31 bits) that extra shift, clamped to M + 2, loses no bit:
//
//   extra = min(E_min - min(E, E_min), M + 2)         0 for normals; M + 2 is below half a quantum
//   v     = (s << 7) >> extra
//   q     = (v + half - 1 + (bit 30 - M of v)) >> (30 - M)      to nearest even
//   code  = q + (max(E, E_min) - E_min) * 2^M         q carries the hidden bit into the exponent
//
// So no floating-point operation takes part, and no rounding mode or flush setting matters.
// Decoding uses two: int -> float of 0 .. 7 and a product with a power of two, both exact.
#include "fp8/codec.h"

#if defined(LOSTBITS_FP8_CODEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_FP8_CODEC_INL_H_
#undef LOSTBITS_FP8_CODEC_INL_H_
#else
#define LOSTBITS_FP8_CODEC_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "fp8/lane_tables.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::fp8 {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// Codes of the floats whose bits are given, one in each lane.
template <Format F, class D, class V = hn::Vec<D>>
HWY_INLINE V EncodeLanes(D d, V bits, const EncodeTable& t) {
  constexpr int kM = F.mantissa_bits;
  constexpr uint32_t kMinField = static_cast<uint32_t>(127 + MinExponent(F));
  constexpr int kDrop = 30 - kM;
  const V sign = hn::And(hn::ShiftRight<24>(bits), hn::Set(d, 0x80u));
  const V magnitude = hn::And(bits, hn::Set(d, 0x7FFF'FFFFu));
  const V a = hn::Min(magnitude, hn::Set(d, t.last_finite));

  const V field = hn::ShiftRight<23>(a);
  const V min_field = hn::Set(d, kMinField);
  const V s = hn::Or(hn::And(a, hn::Set(d, 0x007F'FFFFu)), hn::Set(d, 0x0080'0000u));
  const V below = hn::Sub(min_field, hn::Min(field, min_field));
  const V extra = hn::Min(below, hn::Set(d, static_cast<uint32_t>(kM + 2)));
  const V v = hn::Shr(hn::ShiftLeft<7>(s), extra);
  const V odd = hn::And(hn::ShiftRight<kDrop>(v), hn::Set(d, 1u));
  const V rounded = hn::Add(hn::Add(v, hn::Set(d, (1u << (kDrop - 1)) - 1)), odd);
  const V binade = hn::Sub(hn::Max(field, min_field), min_field);
  V code = hn::Add(hn::ShiftRight<kDrop>(rounded), hn::ShiftLeft<kM>(binade));

  const V infinity = hn::Set(d, 0x7F80'0000u);
  code = hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, t.last_finite)), hn::Set(d, t.overflow), code);
  code = hn::IfThenElse(hn::Eq(magnitude, infinity), hn::Set(d, t.infinity), code);
  code = hn::Or(code, sign);
  const V nan = hn::Or(hn::Set(d, t.nan), hn::And(sign, hn::Set(d, t.nan_sign)));
  return hn::IfThenElse(hn::Gt(magnitude, infinity), nan, code);
}

/// Bits of the floats whose codes are given, one in each lane.
template <Format F, class D, class V = hn::Vec<D>>
HWY_INLINE V DecodeLanes(D d, V code, const DecodeTable& t) {
  constexpr int kM = F.mantissa_bits;
  const hn::RebindToSigned<D> di;
  const hn::RebindToFloat<D> df;
  const V sign = hn::ShiftLeft<24>(hn::And(code, hn::Set(d, 0x80u)));
  const V magnitude = hn::And(code, hn::Set(d, 0x7Fu));
  const V rebias = hn::Set(d, static_cast<uint32_t>(127 - F.bias) << 23);
  const V normal = hn::Add(hn::ShiftLeft<23 - kM>(magnitude), rebias);
  const auto quantum =
      hn::BitCast(df, hn::Set(d, static_cast<uint32_t>(127 + MinExponent(F) - kM) << 23));
  const V small = hn::BitCast(d, hn::Mul(hn::ConvertTo(df, hn::BitCast(di, magnitude)), quantum));
  V bits = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 1u << kM)), small, normal);
  constexpr uint32_t kMax = static_cast<uint32_t>(MaxMagnitude(F));
  if (HasInf(F)) {
    bits = hn::IfThenElse(hn::Eq(magnitude, hn::Set(d, kMax + 1)), hn::Set(d, 0x7F80'0000u), bits);
  }
  bits = hn::Or(bits, sign);
  const V nan = hn::Or(hn::Set(d, t.nan), hn::And(sign, hn::Set(d, t.nan_sign)));
  return hn::IfThenElse(hn::Gt(magnitude, hn::Set(d, HasInf(F) ? kMax + 1 : kMax)), nan, bits);
}

/// Runs `step(in, out)` on every whole vector, and once on a padded copy of what is left.
template <class In, class Out, class Step>
HWY_INLINE void ForEachVector(const In* HWY_RESTRICT in, Out* HWY_RESTRICT out, size_t n,
                              size_t lanes, const Step& step) {
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) step(in + i, out + i);
  if (i == n) return;
  In last_in[HWY_MAX_BYTES / sizeof(uint32_t)] = {};
  Out last_out[HWY_MAX_BYTES / sizeof(uint32_t)];
  for (size_t k = i; k < n; ++k) last_in[k - i] = in[k];
  step(last_in, last_out);
  for (size_t k = i; k < n; ++k) out[k] = last_out[k - i];
}

template <Format F>
void EncodeFloats(const float* HWY_RESTRICT in, uint8_t* HWY_RESTRICT out, size_t n,
                  const EncodeTable& t) {
  const hn::ScalableTag<uint32_t> d;
  const hn::RebindToFloat<decltype(d)> df;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  ForEachVector(in, out, n, hn::Lanes(d), [&](const float* x, uint8_t* code) HWY_ATTR {
    const auto codes = EncodeLanes<F>(d, hn::BitCast(d, hn::LoadU(df, x)), t);
    hn::StoreU(hn::DemoteTo(d8, hn::BitCast(di, codes)), d8, code);
  });
}

template <Format F>
void EncodeBfloat16s(const uint16_t* HWY_RESTRICT in, uint8_t* HWY_RESTRICT out, size_t n,
                     const EncodeTable& t) {
  const hn::ScalableTag<uint32_t> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const hn::Rebind<uint16_t, decltype(d)> d16;
  ForEachVector(in, out, n, hn::Lanes(d), [&](const uint16_t* x, uint8_t* code) HWY_ATTR {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(d, hn::LoadU(d16, x)));
    hn::StoreU(hn::DemoteTo(d8, hn::BitCast(di, EncodeLanes<F>(d, bits, t))), d8, code);
  });
}

template <Format F>
void DecodeToFloats(const uint8_t* HWY_RESTRICT in, float* HWY_RESTRICT out, size_t n,
                    const DecodeTable& t) {
  const hn::ScalableTag<uint32_t> d;
  const hn::RebindToFloat<decltype(d)> df;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  ForEachVector(in, out, n, hn::Lanes(d), [&](const uint8_t* code, float* x) HWY_ATTR {
    const auto bits = DecodeLanes<F>(d, hn::PromoteTo(d, hn::LoadU(d8, code)), t);
    hn::StoreU(hn::BitCast(df, bits), df, x);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::fp8
HWY_AFTER_NAMESPACE();

#endif  // LOSTBITS_FP8_CODEC_INL_H_
