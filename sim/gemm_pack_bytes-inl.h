// Taking FP8 operands apart for LanePath::kBytes, 64 codes at a time, by tables.
#if defined(LOSTBITS_SIM_GEMM_PACK_BYTES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_GEMM_PACK_BYTES_INL_H_
#undef LOSTBITS_SIM_GEMM_PACK_BYTES_INL_H_
#else
#define LOSTBITS_SIM_GEMM_PACK_BYTES_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "sim/gemm_pack.h"

#if HWY_TARGET <= HWY_AVX3_DL

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

// An entry for each of 128 magnitudes; an index's sign bit counts for nothing.
class MagnitudeTable {
 public:
  HWY_INLINE explicit MagnitudeTable(const uint8_t* entries)
      : low_(_mm512_loadu_si512(entries)), high_(_mm512_loadu_si512(entries + 64)) {}
  HWY_INLINE __m512i operator[](__m512i codes) const {
    return _mm512_permutex2var_epi8(low_, codes, high_);
  }

 private:
  __m512i low_, high_;
};

// The first n of 64 bytes, 0 <= n; the others 0.
HWY_INLINE __m512i LoadPart64(const uint8_t* from, int64_t n) {
  if (n >= 64) return _mm512_loadu_si512(from);
  return _mm512_maskz_loadu_epi8((uint64_t{1} << n) - 1, from);
}
HWY_INLINE __m512i FourParts(__m128i p0, __m128i p1, __m128i p2, __m128i p3) {
  const __m512i low = _mm512_inserti32x4(_mm512_castsi128_si512(p0), p1, 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(low, p2, 2), p3, 3);
}

// 16-bit lanes: even bytes (products 4q and 4q + 2), odd bytes (4q + 1 and 4q + 3), sign extended.
HWY_INLINE __m512i EvenBytes(__m512i x) { return _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8); }
HWY_INLINE __m512i OddBytes(__m512i x) { return _mm512_srai_epi16(x, 8); }

// Each even, or odd, byte of `low` under that of `high`.
inline constexpr uint64_t kOddBytes = 0xAAAA'AAAA'AAAA'AAAA;
HWY_INLINE __m512i EvenPairs(__m512i low, __m512i high) {
  return _mm512_mask_blend_epi8(kOddBytes, low, _mm512_slli_epi16(high, 8));
}
HWY_INLINE __m512i OddPairs(__m512i low, __m512i high) {
  return _mm512_mask_blend_epi8(kOddBytes, _mm512_srli_epi16(low, 8), high);
}

// Writes products k to k + 3 of 16 columns; `negative` gathers their signs.
template <int kGroup>
HWY_INLINE void StoreStripQuad(__m512i codes, const MagnitudeTable& exponents,
                               const MagnitudeTable& significands, int k, uint8_t* block,
                               __m512i& negative) {
  using B = StripBytes<kGroup>;
  const __m512i bias = _mm512_set1_epi16(kExponentBias);
  const __m512i e = exponents[codes];
  const __mmask64 signs = _mm512_movepi8_mask(codes);
  const __m512i minus = _mm512_movm_epi8(signs);
  const __m512i magnitude = significands[codes];
  const __m512i sig = _mm512_mask_sub_epi8(magnitude, signs, _mm512_setzero_si512(), magnitude);
  _mm512_store_si512(block + k * kStrip, e);
  uint8_t* wide = block + B::kExponents + 2 * k * kStrip;
  _mm512_store_si512(wide, _mm512_add_epi16(EvenBytes(e), bias));
  _mm512_store_si512(wide + 64, _mm512_add_epi16(OddBytes(e), bias));
  uint8_t* pairs = block + B::kSignificands + 2 * k * kStrip;
  _mm512_store_si512(pairs, EvenPairs(sig, minus));
  _mm512_store_si512(pairs + 64, OddPairs(sig, minus));
  const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << k / 4));
  negative = _mm512_or_si512(negative, _mm512_and_si512(minus, bit));
}

// The codes of one group of a strip: quads[k / 4] has those of four k, column by column.
struct StripQuads {
  __m512i quads[8];
};

// Sixteen codes side by side; of those that B has not, 0. kWhole: B has them all.
template <bool kWhole>
HWY_INLINE __m128i LoadCodes(const uint8_t* corner, int64_t offset, int64_t count) {
  if constexpr (kWhole) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(corner + offset));
  if (count <= 0) return _mm_setzero_si128();
  return _mm_maskz_loadu_epi8(static_cast<__mmask16>(count < 16 ? (1 << count) - 1 : 0xFFFF),
                              corner + offset);
}

// b is K x N: four rows of 16 bytes, a column's four brought together.
template <int kGroup, bool kWhole>
HWY_INLINE void GatherRows(const uint8_t* corner, int64_t stride, int64_t count, int64_t columns,
                           StripQuads& out) {
  alignas(64) static constexpr auto kColumnwise = [] {
    std::array<uint8_t, 64> index{};
    for (size_t i = 0; i < 64; ++i) index[i] = static_cast<uint8_t>(i % 4 * 16 + i / 4);
    return index;
  }();
  const __m512i order = _mm512_load_si512(kColumnwise.data());
  for (int k = 0; k < kGroup; k += 4) {
    __m128i row[4];
    for (int i = 0; i < 4; ++i) {
      row[i] = LoadCodes<kWhole>(corner, (k + i) * stride, k + i < count ? columns : 0);
    }
    out.quads[k / 4] = _mm512_permutexvar_epi8(order, FourParts(row[0], row[1], row[2], row[3]));
  }
}

// b is N x K: 16 bytes of each column; four words of four columns are transposed in each quarter.
template <int kGroup, bool kWhole>
HWY_INLINE void GatherColumns(const uint8_t* corner, int64_t stride, int64_t count, int64_t columns,
                              StripQuads& out) {
  const auto part = [&](int64_t column, int k) HWY_ATTR {
    return LoadCodes<kWhole>(corner, column * stride + k, column < columns ? count - k : 0);
  };
  for (int k = 0; k < kGroup; k += 16) {
    __m512i x[4];
    for (int i = 0; i < 4; ++i) {
      x[i] = FourParts(part(i, k), part(4 + i, k), part(8 + i, k), part(12 + i, k));
    }
    const __m512i low01 = _mm512_unpacklo_epi32(x[0], x[1]);
    const __m512i low23 = _mm512_unpacklo_epi32(x[2], x[3]);
    const __m512i high01 = _mm512_unpackhi_epi32(x[0], x[1]);
    const __m512i high23 = _mm512_unpackhi_epi32(x[2], x[3]);
    __m512i* to = out.quads + k / 4;
    to[0] = _mm512_unpacklo_epi64(low01, low23);
    to[1] = _mm512_unpackhi_epi64(low01, low23);
    to[2] = _mm512_unpacklo_epi64(high01, high23);
    to[3] = _mm512_unpackhi_epi64(high01, high23);
  }
}

template <int kGroup, bool kWhole>
HWY_INLINE void Gather(const PackedB::Impl& b, int64_t k, int64_t count, int64_t column,
                       StripQuads& out) {
  const int64_t stride = b.codes.stride, columns = b.n - column;
  const auto* corner =
      static_cast<const uint8_t*>(b.codes.data) + k * b.KStep() + column * b.ColumnStep();
  b.transposed ? GatherColumns<kGroup, kWhole>(corner, stride, count, columns, out)
               : GatherRows<kGroup, kWhole>(corner, stride, count, columns, out);
}

template <int kGroup>
void PackStripBytes(const PackedB::Impl& b, const StripRange& range, uint8_t* strips) {
  const MagnitudeTable exponents(b.plan.b_bytes.exponent), significands(b.plan.b_bytes.significand);
  for (int64_t column = range.column; column < range.column_end; column += kStrip) {
    for (int64_t g = range.group; g < range.group_end; ++g, strips += StripBytes<kGroup>::kBytes) {
      const int64_t k = g * kGroup, count = std::clamp<int64_t>(b.k - k, 0, kGroup);
      StripQuads codes;
      if (count == 0) {  // the last instruction's padding
        std::memset(&codes, 0, sizeof(codes));
      } else if (count == kGroup && b.n - column >= kStrip) {
        Gather<kGroup, true>(b, k, count, column, codes);
      } else {
        Gather<kGroup, false>(b, k, count, column, codes);
      }
      __m512i negative = _mm512_setzero_si512();
      for (int i = 0; i < kGroup; i += 4) {
        StoreStripQuad<kGroup>(codes.quads[i / 4], exponents, significands, i, strips, negative);
      }
      _mm512_store_si512(strips + StripBytes<kGroup>::kNegative, negative);
      _mm512_store_si512(strips + StripBytes<kGroup>::kNegativeCount,
                         _mm512_popcnt_epi32(negative));
    }
  }
}

// Bit 8 * (k % 4) + k / 4 of the result is bit k of `signs`, 32 of them: as in a strip.
HWY_INLINE uint32_t SignWord(uint32_t signs) {
  return _pext_u32(signs, 0x1111'1111) | _pext_u32(signs, 0x2222'2222) << 8 |
         _pext_u32(signs, 0x4444'4444) << 16 | _pext_u32(signs, 0x8888'8888) << 24;
}

template <int kGroup>
void PackRowBytes(const PackedB::Impl& b, CodeView a, uint8_t* blocks) {
  using A = RowBytes<kGroup>;
  const MagnitudeTable exponents(b.plan.a_bytes.exponent), significands(b.plan.a_bytes.significand);
  const __m512i one = _mm512_set1_epi8(1);
  const int64_t groups = GroupCount(b.spec, a.cols);
  constexpr int kAtOnce = 64 / kGroup;
  alignas(64) uint8_t parts[7][64];  // in the order of RowBytes
  for (int64_t i = 0; i < a.rows; ++i) {
    const auto* row = static_cast<const uint8_t*>(a.data) + i * a.stride;
    for (int64_t g = 0; g < groups; g += kAtOnce) {
      const int64_t k = g * kGroup, count = std::clamp<int64_t>(a.cols - k, 0, 64);
      const __m512i codes = LoadPart64(row + std::min(k, a.cols), count);
      const uint64_t signs = _mm512_movepi8_mask(codes);
      const __m512i minus = _mm512_movm_epi8(signs);
      const __m512i e = exponents[codes], sig = significands[codes];
      const __m512i sign = _mm512_or_si512(minus, one);  // 1 or -1
      _mm512_store_si512(parts[0], e);
      _mm512_store_si512(parts[1], EvenBytes(e));
      _mm512_store_si512(parts[2], OddBytes(e));
      _mm512_store_si512(parts[3], EvenPairs(sig, one));
      _mm512_store_si512(parts[4], OddPairs(sig, one));
      _mm512_store_si512(parts[5], EvenBytes(sign));
      _mm512_store_si512(parts[6], OddBytes(sign));
      const int n = static_cast<int>(std::min<int64_t>(kAtOnce, groups - g));
      for (int at = 0; at < n; ++at, blocks += A::kBytes) {
        for (int p = 0; p < 7; ++p)
          std::memcpy(blocks + p * kGroup, parts[p] + at * kGroup, kGroup);
        const uint64_t mine = signs >> (at * kGroup) & ((uint64_t{1} << kGroup) - 1);
        const uint32_t word = SignWord(static_cast<uint32_t>(mine));
        std::memcpy(blocks + A::kNegative, &word, sizeof(word));
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // AVX3_DL
#endif  // include guard toggle
