// Lanes: every format but FP64 to binary32, the twin of Decode in fp8/codec.h.
//
// By arithmetic, a code a 32-bit lane: a normal number's fields move to their places, and the bias
// is added. A subnormal's mantissa is converted from an integer and scaled, both exact; so no
// rounding mode matters, and no operand or result is subnormal in binary32.
//
// By tables for formats of up to 8 bits: in binary32 the lower half of all their numbers is zero,
// so two bytes are looked up for a whole vector of codes at a time, in 256 entries where the
// instruction set can (VBMI), else in 16.
#include "fp8/lane_tables.h"

#if defined(LOSTBITS_FP8_DECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_FP8_DECODE_INL_H_
#undef LOSTBITS_FP8_DECODE_INL_H_
#else
#define LOSTBITS_FP8_DECODE_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fp8/pack-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::fp8 {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// The policy's NaN where `bits` is one.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V WithNan(D d, V bits, const DecodePlan& plan) {
  if (plan.any_nan) return bits;
  const V magnitude = hn::And(bits, hn::Set(d, 0x7FFF'FFFFu));
  const hn::RebindToSigned<D> di;
  const auto inf = hn::Set(di, 0x7F80'0000);
  if (HWY_LIKELY(hn::AllFalse(di, hn::Gt(hn::BitCast(di, magnitude), inf)))) return bits;
  const V kept = hn::And(bits, hn::Set(d, plan.nan_sign | plan.nan_payload));
  const auto is_nan = hn::Gt(magnitude, hn::Set(d, 0x7F80'0000u));
  return hn::IfThenElse(is_nan, hn::Or(hn::Set(d, plan.nan), kept), bits);
}

/// Codes of a format that is not as wide in exponent as binary32, a code a lane.
template <Specials kSpecials, class D, class V = hn::Vec<D>>
HWY_INLINE V DecodeNarrow(D d, V code, const DecodePlan& plan) {
  const Format f = plan.from;
  const hn::RebindToSigned<D> di;
  const hn::RebindToFloat<D> df;
  const int bits_of = MagnitudeBits(f);
  const V magnitude = hn::And(code, hn::Set(d, (1u << bits_of) - 1));
  const V sign = hn::And(hn::ShiftLeftSame(code, 31 - bits_of), hn::Set(d, 0x8000'0000u));
  const V shifted = hn::ShiftLeftSame(magnitude, 23 - f.mantissa_bits);
  const V normal = hn::Add(shifted, hn::Set(d, static_cast<uint32_t>(127 - f.bias) << 23));
  const int quantum_field = 127 + MinExponent(f) - f.mantissa_bits;
  const auto quantum = hn::BitCast(df, hn::Set(d, static_cast<uint32_t>(quantum_field) << 23));
  const V small = hn::BitCast(d, hn::Mul(hn::ConvertTo(df, hn::BitCast(di, magnitude)), quantum));
  const auto below = [&](V v, uint32_t limit) HWY_ATTR {  // signed: cheaper, and none is negative
    return hn::RebindMask(d, hn::Lt(hn::BitCast(di, v), hn::Set(di, static_cast<int32_t>(limit))));
  };
  V bits = hn::IfThenElse(below(magnitude, 1u << f.mantissa_bits), small, normal);
  if constexpr (kSpecials == Specials::kIeee || kSpecials == Specials::kNanOnly) {
    const uint32_t first = static_cast<uint32_t>(MaxMagnitude(f)) + 1;
    const V special = hn::Or(shifted, hn::Set(d, 0x7F80'0000u));
    bits = hn::Or(hn::IfThenElse(below(magnitude, first), bits, special), sign);
    return WithNan(d, bits, plan);
  }
  bits = hn::Or(bits, sign);
  if constexpr (kSpecials == Specials::kFnuz) {
    const uint32_t nan = plan.nan | plan.nan_sign;  // its mantissa field is zero
    const auto negative_zero = hn::Eq(bits, hn::Set(d, 0x8000'0000u));
    bits = hn::IfThenElse(negative_zero, hn::Set(d, nan), bits);
  }
  return bits;
}

/// Codes of E8M0, BF16, TF32 or FP32, a code a lane.
template <Format kFrom, class D, class V = hn::Vec<D>>
HWY_INLINE V DecodeFloatExponent(D d, V code, const DecodePlan& plan) {
  if constexpr (kFrom == kE8M0) {
    const auto field = hn::And(code, hn::Set(d, 0xFFu));
    V bits = hn::ShiftLeft<23>(field);
    bits = hn::IfThenElse(hn::Eq(field, hn::Zero(d)), hn::Set(d, 0x0040'0000u), bits);  // 2^-127
    return hn::IfThenElse(hn::Eq(field, hn::Set(d, 0xFFu)), hn::Set(d, plan.nan), bits);
  } else {
    V bits = code;
    if (kFrom.pad != 0) bits = hn::AndNot(hn::Set(d, (1u << kFrom.pad) - 1), bits);
    if (StorageBits(kFrom) == 16) bits = hn::ShiftLeft<16>(bits);
    return WithNan(d, bits, plan);
  }
}

#if HWY_TARGET <= HWY_AVX3_DL

/// Looks 64 codes up in 256 bytes; `upper` are the codes of 128 and above.
HWY_INLINE __m512i LookUp(const std::array<uint8_t, 256>& table, __m512i codes, __mmask64 upper) {
  const uint8_t* t = table.data();
  const __m512i low =
      _mm512_permutex2var_epi8(_mm512_load_si512(t), codes, _mm512_load_si512(t + 64));
  const __m512i high =
      _mm512_permutex2var_epi8(_mm512_load_si512(t + 128), codes, _mm512_load_si512(t + 192));
  return _mm512_mask_mov_epi8(low, upper, high);
}

constexpr std::array<uint8_t, 64> WordIndex(int quarter) {
  std::array<uint8_t, 64> index{};
  for (int i = 0; i < 16; ++i) {
    index[static_cast<size_t>(4 * i + 2)] = static_cast<uint8_t>(64 + 16 * quarter + i);
    index[static_cast<size_t>(4 * i + 3)] = static_cast<uint8_t>(16 * quarter + i);
  }
  return index;
}

/// Decodes n codes, n a multiple of 64. NaN is the default one.
HWY_INLINE void DecodeByBytes(const uint8_t* HWY_RESTRICT in, uint32_t* HWY_RESTRICT out, size_t n,
                              const ByteTable& table) {
  alignas(64) static constexpr std::array<uint8_t, 64> kIndex[4] = {WordIndex(0), WordIndex(1),
                                                                    WordIndex(2), WordIndex(3)};
  constexpr __mmask64 kUpperHalves = 0xCCCC'CCCC'CCCC'CCCC;
  for (size_t i = 0; i < n; i += 64) {
    const __m512i codes = _mm512_loadu_si512(in + i);
    const __mmask64 upper = _mm512_movepi8_mask(codes);
    const __m512i high = LookUp(table.high, codes, upper), low = LookUp(table.low, codes, upper);
    for (size_t k = 0; k < 4; ++k) {
      const __m512i index = _mm512_load_si512(kIndex[k].data());
      _mm512_storeu_si512(out + i + 16 * k,
                          _mm512_maskz_permutex2var_epi8(kUpperHalves, high, index, low));
    }
  }
}

#elif HWY_TARGET != HWY_SCALAR

/// Decodes n codes, n a multiple of a vector's bytes. NaN is the default one.
HWY_INLINE void DecodeByNibbles(const uint8_t* in, uint32_t* out, size_t n,
                                const DecodePlan& plan) {
  const hn::ScalableTag<uint32_t> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const hn::Repartition<uint8_t, decltype(d)> d8;
  const hn::RebindToSigned<decltype(d8)> di8;
  const Format f = plan.from;
  const auto table = [&](const std::array<uint8_t, 16>& t)
                         HWY_ATTR { return hn::LoadDup128(d8, t.data()); };
  const auto low0 = table(plan.nibbles->low[0]), high0 = table(plan.nibbles->high[0]);
  const auto low1 = table(plan.nibbles->low[1]), high1 = table(plan.nibbles->high[1]);
  const auto low2 = table(plan.nibbles->low[2]), high2 = table(plan.nibbles->high[2]);
  const auto magnitude_mask = hn::Set(d8, static_cast<uint8_t>((1u << MagnitudeBits(f)) - 1));
  const auto middle_bit = hn::Set(d8, MiddleBit(f));
  const auto nibble = hn::Set(d8, 0x0F), sign_bit = hn::Set(d8, 0x80);
  // Word k * blocks + b goes to place k of block b: below, each block is spread over four vectors.
  alignas(64) static constexpr uint32_t kOrder[3][16] = {
      {0, 1, 2, 3},
      {0, 2, 4, 6, 1, 3, 5, 7},
      {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}};
  constexpr size_t kWords = hn::MaxLanes(hn::ScalableTag<uint32_t>());
  const auto order = hn::SetTableIndices(d, kOrder[kWords == 4 ? 0 : kWords == 8 ? 1 : 2]);
  for (size_t i = 0; i < n; i += hn::Lanes(d8)) {
    auto codes = hn::LoadU(d8, in + i);
    if (kWords > 4) codes = hn::BitCast(d8, hn::TableLookupLanes(hn::BitCast(d, codes), order));
    const auto m = hn::And(codes, magnitude_mask), last = hn::And(codes, nibble);
    const auto eighth = hn::And(hn::BitCast(d8, hn::ShiftRight<3>(hn::BitCast(d16, m))), nibble);
    auto low = hn::TableLookupBytes(low1, last), high = hn::TableLookupBytes(high1, eighth);
    if (MiddleBit(f) != 0) {
      const auto bit = hn::BitCast(d16, hn::And(m, middle_bit));
      low = hn::Or(low, hn::BitCast(d8, hn::ShiftLeft<3>(bit)));
    }
    // E2M1 has its sign in the lowest four bits.
    const auto small_index = MagnitudeBits(f) < 4 ? m : last;
    const auto m_signed = hn::BitCast(di8, m);
    const auto small = hn::RebindMask(d8, hn::Lt(m_signed, hn::Set(di8, 16)));
    low = hn::IfThenElse(small, hn::TableLookupBytes(low0, small_index), low);
    high = hn::IfThenElse(small, hn::TableLookupBytes(high0, small_index), high);
    if (MagnitudeBits(f) == 7) {
      const auto top = hn::RebindMask(d8, hn::Gt(m_signed, hn::Set(di8, 111)));
      low = hn::IfThenElse(top, hn::TableLookupBytes(low2, last), low);
      high = hn::IfThenElse(top, hn::TableLookupBytes(high2, last), high);
    }
    auto sign = codes;
    if (MagnitudeBits(f) < 7)
      sign = hn::BitCast(d8, hn::ShiftLeftSame(hn::BitCast(d16, codes), 7 - MagnitudeBits(f)));
    high = hn::Or(high, hn::And(sign, sign_bit));
    if (f.specials == Specials::kFnuz) {
      const auto nan = hn::Eq(codes, sign_bit);
      low = hn::IfThenElse(nan, hn::Set(d8, 0xC0), low);
      high = hn::IfThenElse(nan, hn::Set(d8, 0xFF), high);
    }
    const auto zero = hn::Zero(d16);
    const auto first = hn::BitCast(d16, hn::InterleaveLower(d8, low, high));
    const auto second = hn::BitCast(d16, hn::InterleaveUpper(d8, low, high));
    uint32_t* to = out + i;
    const size_t step = hn::Lanes(d);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d16, zero, first)), d, to);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d16, zero, first)), d, to + step);
    hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d16, zero, second)), d, to + 2 * step);
    hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d16, zero, second)), d, to + 3 * step);
  }
}

#endif

template <class In, class Step>
void DecodeEach(const In* in, uint32_t* out, size_t n, const Step& step) {
  const D32 d;
  ForEachBlock<false>(hn::Lanes(d), in, nullptr, out, n,
                      [&](const In* codes, const uint32_t*, uint32_t* x)
                          LOSTBITS_INLINE { hn::StoreU(step(LoadLow(d, codes)), d, x); });
}

/// From E8M0, BF16, TF32 or FP32.
template <Format kFrom, class In>
void DecodeFloatExponents(const void* in, uint32_t* out, size_t n, const DecodePlan& shared) {
  const DecodePlan plan = shared;
  const D32 d;
  DecodeEach(static_cast<const In*>(in), out, n, [&](hn::Vec<D32> code) LOSTBITS_INLINE {
    return DecodeFloatExponent<kFrom>(d, code, plan);
  });
}

template <class In>
void DecodeByArithmetic(const void* from, uint32_t* out, size_t n, const DecodePlan& shared) {
  const DecodePlan plan = shared;
  const D32 d;
  const auto* in = static_cast<const In*>(from);
  using V = hn::Vec<D32>;
  switch (plan.from.specials) {
    case Specials::kFnuz:
      return DecodeEach(in, out, n, [&](V code) LOSTBITS_INLINE {
        return DecodeNarrow<Specials::kFnuz>(d, code, plan);
      });
    case Specials::kFinite:
      return DecodeEach(in, out, n, [&](V code) LOSTBITS_INLINE {
        return DecodeNarrow<Specials::kFinite>(d, code, plan);
      });
    default:
      return DecodeEach(in, out, n, [&](V code) LOSTBITS_INLINE {
        return DecodeNarrow<Specials::kIeee>(d, code, plan);
      });
  }
}

// F16C. Elsewhere Highway 1.0.3 computes PromoteTo from FP16 itself, and wrongly for Inf and NaN.
constexpr bool kConvertsHalves = HWY_TARGET <= HWY_AVX2;

/// FP16 by the CPU's own conversion, which is exact; it may change a NaN's payload.
void DecodeHalves(const uint16_t* in, uint32_t* out, size_t n, const DecodePlan& shared) {
  const DecodePlan plan = shared;
  const D32 d;
  const hn::RebindToFloat<D32> df;
  const hn::Rebind<hwy::float16_t, D32> dh;
  const hn::Rebind<uint16_t, D32> d16;
  ForEachBlock<false>(hn::Lanes(d), in, nullptr, out, n,
                      [&](const uint16_t* codes, const uint32_t*, uint32_t* x) LOSTBITS_INLINE {
                        const auto half = hn::BitCast(dh, hn::LoadU(d16, codes));
                        const auto bits = hn::BitCast(d, hn::PromoteTo(df, half));
                        hn::StoreU(WithNan(d, bits, plan), d, x);
                      });
}

/// Replaces the default NaN by the policy's.
void ReplaceNan(uint32_t* bits, size_t n, const DecodePlan& shared) {
  const DecodePlan plan = shared;
  const D32 d;
  for (size_t i = 0; i < n; i += hn::Lanes(d))
    hn::StoreU(WithNan(d, hn::LoadU(d, bits + i), plan), d, bits + i);
}

/// Decodes as many codes as tables can, and returns how many.
size_t DecodeByTables([[maybe_unused]] const uint8_t* in, [[maybe_unused]] uint32_t* out,
                      [[maybe_unused]] size_t n, [[maybe_unused]] const DecodePlan& plan) {
#if HWY_TARGET == HWY_SCALAR
  return 0;
#else
  constexpr size_t kPiece = 1024;  // a multiple of every vector's bytes
#if HWY_TARGET <= HWY_AVX3_DL
  const bool can = plan.bytes != nullptr;
  const size_t block = 64;
#else
  const bool can = plan.nibbles != nullptr;
  const size_t block = hn::Lanes(hn::ScalableTag<uint8_t>());
#endif
  if (!can || plan.nan_payload != 0) return 0;
  const size_t whole = n / block * block;
  for (size_t i = 0; i < whole; i += kPiece) {
    const size_t count = std::min(kPiece, whole - i);
#if HWY_TARGET <= HWY_AVX3_DL
    DecodeByBytes(in + i, out + i, count, *plan.bytes);
#else
    DecodeByNibbles(in + i, out + i, count, plan);
#endif
    if (!plan.default_nan) ReplaceNan(out + i, count, plan);
  }
  return whole;
#endif
}

/// Codes to the bits of floats.
void Decode(const void* in, uint32_t* out, size_t n, const DecodePlan& plan) {
  const Format from = plan.from;
  if (StorageBits(from) <= 8) {
    const auto* codes = static_cast<const uint8_t*>(in);
    const size_t done = DecodeByTables(codes, out, n, plan);
    if (from == kE8M0)
      return DecodeFloatExponents<kE8M0, uint8_t>(codes + done, out + done, n - done, plan);
    return DecodeByArithmetic<uint8_t>(codes + done, out + done, n - done, plan);
  }
  if (from == kBF16) return DecodeFloatExponents<kBF16, uint16_t>(in, out, n, plan);
  if (from == kTF32) return DecodeFloatExponents<kTF32, uint32_t>(in, out, n, plan);
  if (from == kFP32) return DecodeFloatExponents<kFP32, uint32_t>(in, out, n, plan);
  if (kConvertsHalves && plan.nan_payload == 0)
    return DecodeHalves(static_cast<const uint16_t*>(in), out, n, plan);
  return DecodeByArithmetic<uint16_t>(in, out, n, plan);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::fp8
HWY_AFTER_NAMESPACE();

#endif  // LOSTBITS_FP8_DECODE_INL_H_
