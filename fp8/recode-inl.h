// Lanes: 8-bit codes to codes of up to 16 bits, by a table of all 256 results that the other lanes
// fill. Only where 256 bytes are looked up in few instructions (VBMI).
#if defined(LOSTBITS_FP8_RECODE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_FP8_RECODE_INL_H_
#undef LOSTBITS_FP8_RECODE_INL_H_
#else
#define LOSTBITS_FP8_RECODE_INL_H_
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>

#include "fp8/convert_lanes.h"
#include "fp8/decode-inl.h"
#include "fp8/encode-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::fp8 {
namespace HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3_DL

/// The results' bytes in two planes; `high` is not used for results of 8 bits.
struct RecodeTable {
  alignas(64) std::array<uint8_t, 256> low;
  alignas(64) std::array<uint8_t, 256> high;
};

/// Bytes first, first + step, ... of two vectors.
constexpr std::array<uint8_t, 64> EveryOther(int first) {
  std::array<uint8_t, 64> index{};
  for (int i = 0; i < 64; ++i) index[static_cast<size_t>(i)] = static_cast<uint8_t>(2 * i + first);
  return index;
}
/// The bytes of half a plane, each followed by that of the other plane.
constexpr std::array<uint8_t, 64> InTurns(int half) {
  std::array<uint8_t, 64> index{};
  for (int i = 0; i < 64; ++i)
    index[static_cast<size_t>(i)] = static_cast<uint8_t>(i % 2 * 64 + 32 * half + i / 2);
  return index;
}

inline void FillRecodeTable(const LaneJob& job, bool wide, RecodeTable& table) {
  uint8_t codes[256];
  uint32_t floats[256];
  std::iota(codes, codes + 256, uint8_t{0});
  Decode(codes, floats, 256, job.decode);
  if (!wide) return Encode(false, floats, nullptr, table.low.data(), 256, *job.encode);
  alignas(64) static constexpr std::array<uint8_t, 64> kIndex[2] = {EveryOther(0), EveryOther(1)};
  const __m512i low = _mm512_load_si512(kIndex[0].data());
  const __m512i high = _mm512_load_si512(kIndex[1].data());
  alignas(64) uint16_t words[256];
  Encode(false, floats, nullptr, words, 256, *job.encode);
  for (size_t i = 0; i < 256; i += 64) {
    const __m512i a = _mm512_load_si512(words + i), b = _mm512_load_si512(words + i + 32);
    _mm512_store_si512(table.low.data() + i, _mm512_permutex2var_epi8(a, low, b));
    _mm512_store_si512(table.high.data() + i, _mm512_permutex2var_epi8(a, high, b));
  }
}

template <bool kWide>
HWY_INLINE void LookUpAll(const uint8_t* in, uint8_t* out, size_t n, const RecodeTable& shared) {
  const RecodeTable table = shared;  // a copy: no store of a code can change it
  alignas(64) static constexpr std::array<uint8_t, 64> kIndex[2] = {InTurns(0), InTurns(1)};
  const __m512i first = _mm512_load_si512(kIndex[0].data());
  const __m512i second = _mm512_load_si512(kIndex[1].data());
  for (size_t i = 0; i < n; i += 64) {
    const __m512i codes = _mm512_loadu_si512(in + i);
    const __mmask64 upper = _mm512_movepi8_mask(codes);
    const __m512i low = LookUp(table.low, codes, upper);
    if constexpr (kWide) {
      const __m512i high = LookUp(table.high, codes, upper);
      _mm512_storeu_si512(out + 2 * i, _mm512_permutex2var_epi8(low, first, high));
      _mm512_storeu_si512(out + 2 * i + 64, _mm512_permutex2var_epi8(low, second, high));
    } else {
      _mm512_storeu_si512(out + i, low);
    }
  }
}

/// Converts as many codes as a table can, and returns how many.
inline size_t Recode(const LaneJob& job) {
  constexpr size_t kLeast = 1024;  // filling the table takes as long as some 500 codes without
  if (job.encode == nullptr || job.random != nullptr || job.n < kLeast) return 0;
  const int out_bytes = ContainerBytes(job.encode->to);
  if (ContainerBytes(job.decode.from) != 1 || out_bytes > 2) return 0;
  const size_t whole = job.n / 64 * 64;
  const auto* in = static_cast<const uint8_t*>(job.in);
  auto* out = static_cast<uint8_t*>(job.out);
  RecodeTable table;
  FillRecodeTable(job, out_bytes == 2, table);
  if (out_bytes == 2) {
    LookUpAll<true>(in, out, whole, table);
  } else {
    LookUpAll<false>(in, out, whole, table);
  }
  return whole;
}

#else

inline size_t Recode(const LaneJob& /*job*/) { return 0; }

#endif  // AVX3_DL

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::fp8
HWY_AFTER_NAMESPACE();

#endif  // LOSTBITS_FP8_RECODE_INL_H_
