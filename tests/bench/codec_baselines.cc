#include "tests/bench/codec_baselines.h"

#include "tests/fp8/cuda_host.h"

#if defined(__x86_64__)
// GCC 12 takes the undefined registers inside its own intrinsics for our mistake.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#define LOSTBITS_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#endif

namespace lostbits::bench {

#if defined(__x86_64__)

bool HaveAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

LOSTBITS_AVX512 void MoveFourToOne(const float* in, uint8_t* out, size_t n) {
  for (size_t i = 0; i < n; i += 64) {
    const __m512i a = _mm512_loadu_si512(in + i), b = _mm512_loadu_si512(in + i + 16);
    const __m512i c = _mm512_loadu_si512(in + i + 32), d = _mm512_loadu_si512(in + i + 48);
    const __m512i any = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
    _mm512_storeu_si512(out + i, any);
  }
}

LOSTBITS_AVX512 void MoveOneToFour(const uint8_t* in, float* out, size_t n) {
  for (size_t i = 0; i < n; i += 64) {
    const __m512i a = _mm512_loadu_si512(in + i);
    for (size_t k = 0; k < 64; k += 16) _mm512_storeu_si512(out + i + k, a);
  }
}

namespace {

LOSTBITS_AVX512 inline __m128i PeerEncode16(__m512 x) {
  const __m512i first_overflow = _mm512_set1_epi32(1087 << 20);  // 480
  const __m512i first_normal = _mm512_set1_epi32(121 << 23);     // 2^-6
  const __m512i adder = _mm512_set1_epi32(141 << 23);            // 2^14: its ulp is 2^-9
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i sign = _mm512_and_epi32(bits, _mm512_set1_epi32(INT32_MIN));
  const __m512i a = _mm512_xor_epi32(bits, sign);
  __m512i code = _mm512_setzero_si512();
  const __mmask16 over = _mm512_cmpge_epu32_mask(a, first_overflow);
  if (over) code = _mm512_mask_set1_epi32(code, over, 0x7F);
  const __mmask16 small = _mm512_cmplt_epu32_mask(a, first_normal);
  if (small) {
    const __m512 sum = _mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(adder));
    code = _mm512_mask_sub_epi32(code, small, _mm512_castps_si512(sum), adder);
  }
  const auto normal = static_cast<__mmask16>(~(over | small));
  if (normal) {
    const __m512i odd = _mm512_and_epi32(_mm512_srli_epi32(a, 20), _mm512_set1_epi32(1));
    const __m512i rebias = _mm512_set1_epi32(static_cast<int>(uint32_t{7u - 127u} << 23));
    __m512i rounded = _mm512_add_epi32(a, rebias);
    rounded = _mm512_add_epi32(rounded, _mm512_set1_epi32(0x7'FFFF));
    rounded = _mm512_add_epi32(rounded, odd);
    code = _mm512_mask_srli_epi32(code, normal, rounded, 20);
  }
  code = _mm512_or_epi32(code, _mm512_srli_epi32(sign, 24));
  return _mm512_cvtepi32_epi8(_mm512_and_si512(code, _mm512_set1_epi32(0xFF)));
}

LOSTBITS_AVX512 inline __m512i Set(int v) { return _mm512_set1_epi32(v); }

LOSTBITS_AVX512 inline __m512 PeerDecode16(__m128i codes) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i x = _mm512_cvtepu8_epi32(codes);
  const __m512i magnitude = _mm512_and_epi32(_mm512_slli_epi32(x, 24), Set(0x7FFF'FFFF));
  const __m512i mantissa = _mm512_and_si512(x, Set(7));
  const __m512i field = _mm512_and_si512(_mm512_srli_epi32(x, 3), Set(15));
  const __m512i sign = _mm512_and_si512(x, Set(0x80));
  __m512i renormalise = zero;
  const __mmask16 low = _mm512_cmpeq_epi32_mask(field, zero);
  const auto subnormal = static_cast<__mmask16>(low & _mm512_cmpneq_epi32_mask(mantissa, zero));
  if (subnormal) {
    __m512i places = Set(1);
    places = _mm512_mask_mov_epi32(places, _mm512_cmpeq_epi32_mask(mantissa, Set(1)), Set(3));
    places = _mm512_mask_mov_epi32(places, _mm512_cmpeq_epi32_mask(mantissa, Set(2)), Set(2));
    places = _mm512_mask_mov_epi32(places, _mm512_cmpeq_epi32_mask(mantissa, Set(3)), Set(2));
    renormalise = _mm512_mask_mov_epi32(renormalise, subnormal, places);
  }
  const __m512i shifted = _mm512_srli_epi32(_mm512_sllv_epi32(magnitude, renormalise), 4);
  const __m512i rebias = _mm512_slli_epi32(_mm512_sub_epi32(Set(0x78), renormalise), 23);
  __m512i bits = _mm512_add_epi32(shifted, rebias);
  const __mmask16 nan =
      _mm512_cmpeq_epi32_mask(field, Set(15)) & _mm512_cmpeq_epi32_mask(mantissa, Set(7));
  if (nan) bits = _mm512_mask_mov_epi32(bits, nan, Set(0x7FC0'0000));
  const auto zeros = static_cast<__mmask16>(low & _mm512_cmpeq_epi32_mask(mantissa, zero));
  if (zeros) bits = _mm512_mask_mov_epi32(bits, zeros, zero);
  return _mm512_castsi512_ps(_mm512_or_si512(bits, _mm512_slli_epi32(sign, 24)));
}

}  // namespace

LOSTBITS_AVX512 void PeerEncodeE4M3FN(const float* in, uint8_t* out, size_t n) {
  for (size_t i = 0; i < n; i += 16)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), PeerEncode16(_mm512_loadu_ps(in + i)));
}

LOSTBITS_AVX512 void PeerDecodeE4M3FN(const uint8_t* in, float* out, size_t n) {
  for (size_t i = 0; i < n; i += 16)
    _mm512_storeu_ps(out + i,
                     PeerDecode16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
}

#else

bool HaveAvx512() { return false; }
void MoveFourToOne(const float*, uint8_t*, size_t) {}
void MoveOneToFour(const uint8_t*, float*, size_t) {}
void PeerEncodeE4M3FN(const float*, uint8_t*, size_t) {}
void PeerDecodeE4M3FN(const uint8_t*, float*, size_t) {}

#endif

#if LOSTBITS_HAVE_CUDA_HEADERS
bool CudaEncodeE4M3FN(const float* in, uint8_t* out, size_t n) {
  for (size_t i = 0; i < n; ++i)
    out[i] = static_cast<uint8_t>(fp8::cuda_host::Encode(fp8::kE4M3FN, in[i], true));
  return true;
}
bool CudaDecodeE4M3FN(const uint8_t* in, float* out, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = fp8::cuda_host::Decode(fp8::kE4M3FN, in[i]);
  return true;
}
#else
bool CudaEncodeE4M3FN(const float*, uint8_t*, size_t) { return false; }
bool CudaDecodeE4M3FN(const uint8_t*, float*, size_t) { return false; }
#endif

}  // namespace lostbits::bench
