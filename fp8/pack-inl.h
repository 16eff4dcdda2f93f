// Lanes: walking over arrays, and bytes out of four vectors of 32-bit words, in order.
#if defined(LOSTBITS_FP8_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_FP8_PACK_INL_H_
#undef LOSTBITS_FP8_PACK_INL_H_
#else
#define LOSTBITS_FP8_PACK_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"

// For lambdas in loops: not inlined, they would load their constants each time.
#undef LOSTBITS_INLINE
#define LOSTBITS_INLINE HWY_ATTR __attribute__((always_inline))

HWY_BEFORE_NAMESPACE();
namespace lostbits::fp8 {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3_DL

// VBMI permutes the bytes of two vectors at once. Highway 1.0.3 has no operation for that.
HWY_INLINE __m512i EveryFourthByte(__m512i a, __m512i b, __m512i index) {
  return _mm512_permutex2var_epi8(a, index, b);
}
/// Byte kByte of each word of a, b, c, d, in this order.
template <int kByte, class D, class V = hn::Vec<D>>
HWY_INLINE V GatherBytes(D d, V a, V b, V c, V e) {
  const hn::Repartition<uint8_t, D> d8;
  const auto each = hn::Iota(d8, 0);  // byte k of the result is byte 4k + kByte of the pair
  const auto index = hn::BitCast(
      d, hn::Add(hn::Add(hn::Add(each, each), hn::Add(each, each)), hn::Set(d8, uint8_t{kByte})));
  const __m512i low = EveryFourthByte(a.raw, b.raw, index.raw);
  const __m512i high = EveryFourthByte(c.raw, e.raw, index.raw);
  return V{_mm512_inserti64x4(low, _mm512_castsi512_si256(high), 1)};
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GatherLowBytes(D d, V a, V b, V c, V e) {
  return GatherBytes<0>(d, a, b, c, e);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GatherHighBytes(D d, V a, V b, V c, V e) {
  return GatherBytes<3>(d, a, b, c, e);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE void StoreBytes(D d, V bytes, uint8_t* out) {
  hn::StoreU(bytes, d, reinterpret_cast<uint32_t*>(out));
}

#elif HWY_TARGET != HWY_SCALAR

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Interleave(D d, V a, V b, V c, V e) {
  const hn::Repartition<uint8_t, D> d8;
  const hn::Repartition<uint16_t, D> d16;
  const auto low = hn::OddEven(hn::BitCast(d8, b), hn::BitCast(d8, a));
  const auto high = hn::OddEven(hn::BitCast(d8, e), hn::BitCast(d8, c));
  return hn::BitCast(d, hn::OddEven(hn::BitCast(d16, high), hn::BitCast(d16, low)));
}
/// The lowest byte of each word: those of a, b, c, e side by side in each word of the result.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GatherLowBytes(D d, V a, V b, V c, V e) {
  return Interleave(d, a, hn::ShiftLeft<8>(b), hn::ShiftLeft<16>(c), hn::ShiftLeft<24>(e));
}
/// The same for the highest bytes.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GatherHighBytes(D d, V a, V b, V c, V e) {
  return Interleave(d, hn::ShiftRight<24>(a), hn::ShiftRight<16>(b), hn::ShiftRight<8>(c), e);
}
/// Stores what the two functions above give: first all bytes of a, then of b, c, e.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void StoreBytes(D d, V bytes, uint8_t* out) {
  const hn::Repartition<uint8_t, D> d8;
  // In each block of 16 bytes: the bytes of a first, four to a word.
  alignas(16) static constexpr uint8_t kByVector[16] = {0, 4, 8,  12, 1, 5, 9,  13,
                                                        2, 6, 10, 14, 3, 7, 11, 15};
  const auto grouped =
      hn::BitCast(d, hn::TableLookupBytes(hn::BitCast(d8, bytes), hn::LoadDup128(d8, kByVector)));
  // Word k of block b belongs to vector k: it goes to place k * blocks + b.
  alignas(64) static constexpr uint32_t kOrder[3][16] = {
      {0, 1, 2, 3},
      {0, 4, 1, 5, 2, 6, 3, 7},
      {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}};
  constexpr size_t kWords = hn::MaxLanes(D());
  V ordered = grouped;
  if constexpr (kWords > 4)
    ordered = hn::TableLookupLanes(grouped, hn::SetTableIndices(d, kOrder[kWords == 8 ? 1 : 2]));
  hn::StoreU(ordered, d, reinterpret_cast<uint32_t*>(out));
}

#endif

using D32 = hn::ScalableTag<uint32_t>;

/// Runs `step(in, random, out)` on every whole block of elements, and once on padded copies of what
/// is left; one loop serves both, since `step` is large and compiled where it is called.
/// `random` is null, and stays so, unless kRandom.
template <bool kRandom, class In, class Out, class Step>
HWY_INLINE void ForEachBlock(size_t block, const In* in, const uint32_t* random, Out* out, size_t n,
                             const Step& step) {
  const size_t whole = n / block * block, left = n - whole;
  In last_in[HWY_MAX_BYTES];
  uint32_t last_random[HWY_MAX_BYTES];
  Out last_out[HWY_MAX_BYTES];
  Out* const rest = out + whole;
  for (size_t end = whole;; end = block) {
    for (size_t i = 0; i < end; i += block) step(in + i, kRandom ? random + i : nullptr, out + i);
    if (out == last_out || left == 0) break;
    std::fill(std::copy(in + whole, in + n, last_in), last_in + block, In{0});
    if constexpr (kRandom) {
      std::fill(std::copy(random + whole, random + n, last_random), last_random + block, 0u);
      random = last_random;
    }
    in = last_in;
    out = last_out;
  }
  if (left != 0) std::copy(last_out, last_out + left, rest);
}

/// A vector of words of which the low `sizeof(Out)` bytes are stored.
template <class Out, class V>
HWY_INLINE void StoreLow(D32 d, V words, Out* out) {
  if constexpr (sizeof(Out) == 4) {
    hn::StoreU(words, d, out);
  } else {
    const hn::Rebind<Out, D32> narrow;
    const hn::RebindToSigned<D32> di;
    hn::StoreU(hn::DemoteTo(narrow, hn::BitCast(di, words)), narrow, out);
  }
}
template <class In>
HWY_INLINE hn::Vec<D32> LoadLow(D32 d, const In* in) {
  if constexpr (sizeof(In) == 4) {
    return hn::LoadU(d, in);
  } else {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<In, D32>(), in));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::fp8
HWY_AFTER_NAMESPACE();

#endif  // LOSTBITS_FP8_PACK_INL_H_
