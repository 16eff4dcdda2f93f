// 2^x, log2 and tanh with the same bits everywhere: basic IEEE operations in a fixed order, no
// libm.
//
// The GPU's own ex2.approx.ftz, lg2.approx.ftz, rcp.approx.ftz and tanh.approx are not public. What
// stands here instead:
//
//   Exp2CorrectlyRounded  the nearest float to 2^x, ties to even. Proved on all 2^32 inputs by
//                         tests/sim/exp2_exhaustive_test.cc; no exceptional input is known.
//   Exp2Polynomial        binary32 operations only, the same on host and device. At most 0.8755 ulp
//                         off for normal results (same test), one step for subnormal ones.
//   Exp2Table             words captured from a GPU, for whoever has one (src/exp2_file.h reads
//                         what `lostbits-gpu ex2` writes).
//
// Method for 2^x: x = k/64 + r with integer k and |r| <= 1/128, both exact. 2^(k/64) comes from a
// table of 64 pairs of doubles (the sum is good to 2^-107), 2^r - 1 from a polynomial of degree 6.
// The sum of the two is kept as a double plus its rounding error, about 2^-60 relative, and rounded
// once: to odd, so that the conversion to float rounds the sum itself and not a rounded sum.
#ifndef LOSTBITS_SIM_EXP2_H_
#define LOSTBITS_SIM_EXP2_H_

#include <cstdint>

#include "fp8/hd.h"

namespace lostbits::sim {

inline constexpr uint32_t kFp32Nan = 0x7fff'ffff;  // NVIDIA's canonical NaN (PTX ISA, "NaN")
inline constexpr uint32_t kFp32Infinity = 0x7f80'0000;

FP8_HD inline bool IsNan(float x) {
  return (fp8::BitCast<uint32_t>(x) & 0x7fff'ffff) > kFp32Infinity;
}

/// sum + error to odd, where sum = fl(sum + error). A conversion to a format of up to 51
/// significand bits then rounds as if it had seen the exact value. Infinite and NaN sums pass
/// unchanged.
FP8_HD inline double RoundToOdd(double sum, double error) {
  const uint64_t bits = fp8::BitCast<uint64_t>(sum);
  // Even and inexact: step toward the error. A NaN error (sum infinite) compares false twice.
  const bool away = (error > 0) == (sum > 0);
  const bool step = (error > 0 || error < 0) && (bits & 1) == 0;
  return fp8::BitCast<double>(!step ? bits : away ? bits + 1 : bits - 1);
}

/// a * b + c with one rounding (FFMA), with or without a hardware fma.
FP8_HD inline float FusedMultiplyAdd(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  const double product = static_cast<double>(a) * b;  // exact: 24 + 24 bits
  const double addend = c;
  const double sum = product + addend;
  const double from_product = sum - addend;  // Knuth's TwoSum: sum + error is exact
  const double error = (product - from_product) + (addend - (sum - from_product));
  return static_cast<float>(RoundToOdd(sum, error));
#endif
}

/// 2^exponent as a double, -1022 <= exponent <= 1023.
FP8_HD inline double PowerOfTwo(int exponent) {
  return fp8::BitCast<double>(static_cast<uint64_t>(1023 + exponent) << 52);
}

/// 2^(i/64) as hi + lo, 0 <= i < 64; the entries lie one after the other.
FP8_HD inline const double* Exp2Entry(int i) {
  // Boost.Multiprecision cpp_bin_float_100, exp2(F(i) / 64).
  static constexpr double kTable[64][2] = {
      {0x1p+0, 0x0p+0},
      {0x1.02c9a3e778061p+0, -0x1.19083535b085dp-56},
      {0x1.059b0d3158574p+0, 0x1.d73e2a475b465p-55},
      {0x1.0874518759bc8p+0, 0x1.186be4bb284ffp-57},
      {0x1.0b5586cf9890fp+0, 0x1.8a62e4adc610bp-54},
      {0x1.0e3ec32d3d1a2p+0, 0x1.03a1727c57b53p-59},
      {0x1.11301d0125b51p+0, -0x1.6c51039449b3ap-54},
      {0x1.1429aaea92dep+0, -0x1.32fbf9af1369ep-54},
      {0x1.172b83c7d517bp+0, -0x1.19041b9d78a76p-55},
      {0x1.1a35beb6fcb75p+0, 0x1.e5b4c7b4968e4p-55},
      {0x1.1d4873168b9aap+0, 0x1.e016e00a2643cp-54},
      {0x1.2063b88628cd6p+0, 0x1.dc775814a8495p-55},
      {0x1.2387a6e756238p+0, 0x1.9b07eb6c70573p-54},
      {0x1.26b4565e27cddp+0, 0x1.2bd339940e9d9p-55},
      {0x1.29e9df51fdee1p+0, 0x1.612e8afad1255p-55},
      {0x1.2d285a6e4030bp+0, 0x1.0024754db41d5p-54},
      {0x1.306fe0a31b715p+0, 0x1.6f46ad23182e4p-55},
      {0x1.33c08b26416ffp+0, 0x1.32721843659a6p-54},
      {0x1.371a7373aa9cbp+0, -0x1.63aeabf42eae2p-54},
      {0x1.3a7db34e59ff7p+0, -0x1.5e436d661f5e3p-56},
      {0x1.3dea64c123422p+0, 0x1.ada0911f09ebcp-55},
      {0x1.4160a21f72e2ap+0, -0x1.ef3691c309278p-58},
      {0x1.44e086061892dp+0, 0x1.89b7a04ef80dp-59},
      {0x1.486a2b5c13cdp+0, 0x1.3c1a3b69062fp-56},
      {0x1.4bfdad5362a27p+0, 0x1.d4397afec42e2p-56},
      {0x1.4f9b2769d2ca7p+0, -0x1.4b309d25957e3p-54},
      {0x1.5342b569d4f82p+0, -0x1.07abe1db13cadp-55},
      {0x1.56f4736b527dap+0, 0x1.9bb2c011d93adp-54},
      {0x1.5ab07dd485429p+0, 0x1.6324c054647adp-54},
      {0x1.5e76f15ad2148p+0, 0x1.ba6f93080e65ep-54},
      {0x1.6247eb03a5585p+0, -0x1.383c17e40b497p-54},
      {0x1.6623882552225p+0, -0x1.bb60987591c34p-54},
      {0x1.6a09e667f3bcdp+0, -0x1.bdd3413b26456p-54},
      {0x1.6dfb23c651a2fp+0, -0x1.bbe3a683c88abp-57},
      {0x1.71f75e8ec5f74p+0, -0x1.16e4786887a99p-55},
      {0x1.75feb564267c9p+0, -0x1.0245957316dd3p-54},
      {0x1.7a11473eb0187p+0, -0x1.41577ee04992fp-55},
      {0x1.7e2f336cf4e62p+0, 0x1.05d02ba15797ep-56},
      {0x1.82589994cce13p+0, -0x1.d4c1dd41532d8p-54},
      {0x1.868d99b4492edp+0, -0x1.fc6f89bd4f6bap-54},
      {0x1.8ace5422aa0dbp+0, 0x1.6e9f156864b27p-54},
      {0x1.8f1ae99157736p+0, 0x1.5cc13a2e3976cp-55},
      {0x1.93737b0cdc5e5p+0, -0x1.75fc781b57ebcp-57},
      {0x1.97d829fde4e5p+0, -0x1.d185b7c1b85d1p-54},
      {0x1.9c49182a3f09p+0, 0x1.c7c46b071f2bep-56},
      {0x1.a0c667b5de565p+0, -0x1.359495d1cd533p-54},
      {0x1.a5503b23e255dp+0, -0x1.d2f6edb8d41e1p-54},
      {0x1.a9e6b5579fdbfp+0, 0x1.0fac90ef7fd31p-54},
      {0x1.ae89f995ad3adp+0, 0x1.7a1cd345dcc81p-54},
      {0x1.b33a2b84f15fbp+0, -0x1.2805e3084d708p-57},
      {0x1.b7f76f2fb5e47p+0, -0x1.5584f7e54ac3bp-56},
      {0x1.bcc1e904bc1d2p+0, 0x1.23dd07a2d9e84p-55},
      {0x1.c199bdd85529cp+0, 0x1.11065895048ddp-55},
      {0x1.c67f12e57d14bp+0, 0x1.2884dff483cadp-54},
      {0x1.cb720dcef9069p+0, 0x1.503cbd1e949dbp-56},
      {0x1.d072d4a07897cp+0, -0x1.cbc3743797a9cp-54},
      {0x1.d5818dcfba487p+0, 0x1.2ed02d75b3707p-55},
      {0x1.da9e603db3285p+0, 0x1.c2300696db532p-54},
      {0x1.dfc97337b9b5fp+0, -0x1.1a5cd4f184b5cp-54},
      {0x1.e502ee78b3ff6p+0, 0x1.39e8980a9cc8fp-55},
      {0x1.ea4afa2a490dap+0, -0x1.e9c23179c2893p-54},
      {0x1.efa1bee615a27p+0, 0x1.dc7f486a4b6bp-54},
      {0x1.f50765b6e454p+0, 0x1.9d3e12dd8a18bp-54},
      {0x1.fa7c1819e90d8p+0, 0x1.74853f3a5931ep-55},
  };
  return kTable[i];
}

/// ln(2)^n / n!: 2^r = 1 + r (kC1 + r (kC2 + ...)); same source.
struct Exp2Coefficients {
  static constexpr double kC1 = 0x1.62e42fefa39efp-1, kC2 = 0x1.ebfbdff82c58fp-3,
                          kC3 = 0x1.c6b08d704a0cp-5, kC4 = 0x1.3b2ab6fba4e77p-7,
                          kC5 = 0x1.5d87fe78a6731p-10, kC6 = 0x1.430912f86c787p-13;
};

/// 2^x = (hi + lo) * 2^exponent: hi in [1, 2), |lo| < 0.011, relative error of the sum below 2^-59.
struct Exp2Parts {
  double hi, lo;
  int exponent;
};

/// |x| < 2^20.
FP8_HD inline Exp2Parts SplitExp2(double x) {
  constexpr double kRound = 0x1.8p+52;  // adding it rounds to the nearest integer
  const double shifted = x * 64 + kRound;
  const double whole = shifted - kRound;
  const int k = static_cast<int>(whole);
  const double r = x - whole * 0x1p-6;
  using C = Exp2Coefficients;
  const double p =
      r * (C::kC1 + r * (C::kC2 + r * (C::kC3 + r * (C::kC4 + r * (C::kC5 + r * C::kC6)))));
  const double* t = Exp2Entry(k & 63);
  return {t[0], t[1] + t[0] * p, (k - (k & 63)) / 64};
}

/// The float nearest to 2^x. 2^NaN is the canonical NaN; results from 2^128 are +Inf, below half
/// the smallest subnormal +0.
FP8_HD inline float Exp2CorrectlyRounded(float x) {
  if (IsNan(x)) return fp8::BitCast<float>(kFp32Nan);
  if (x >= 128) return fp8::BitCast<float>(kFp32Infinity);
  if (x <= -150) return 0;
  const Exp2Parts e = SplitExp2(x);
  const double sum = e.hi + e.lo;
  const double error = (e.hi - sum) + e.lo;  // exact: |hi| > |lo| (Dekker)
  return static_cast<float>(RoundToOdd(sum, error) * PowerOfTwo(e.exponent));
}

/// 2^x, relative error below 2^-52; 0 below 2^-1022, +Inf from 2^1023.
FP8_HD inline double Exp2Double(double x) {
  if (x != x) return x;
  if (x >= 1023) return fp8::BitCast<double>(uint64_t{0x7ff0} << 48);
  if (x < -1022) return 0;
  const Exp2Parts e = SplitExp2(x);
  return (e.hi + e.lo) * PowerOfTwo(e.exponent);
}

/// 2^x in binary32 operations: x = n + f with |f| <= 1/2, then a polynomial of degree 6 in f.
FP8_HD inline float Exp2Polynomial(float x) {
  if (IsNan(x)) return fp8::BitCast<float>(kFp32Nan);
  if (x >= 128) return fp8::BitCast<float>(kFp32Infinity);
  if (x <= -150) return 0;
  // Near-minimax for (2^f - 1) / f on [-1/2, 1/2]: mpmath 1.3 chebyfit, 6 terms, rounded to float.
  constexpr float kC1 = 0x1.62e430p-1f, kC2 = 0x1.ebfbe0p-3f, kC3 = 0x1.c6af6cp-5f,
                  kC4 = 0x1.3b2a54p-7f, kC5 = 0x1.5f0890p-10f, kC6 = 0x1.44138ap-13f;
  constexpr float kRound = 0x1.8p+23f;
  const float whole = (x + kRound) - kRound;
  const float f = x - whole;
  float p = FusedMultiplyAdd(f, kC6, kC5);
  p = FusedMultiplyAdd(f, p, kC4);
  p = FusedMultiplyAdd(f, p, kC3);
  p = FusedMultiplyAdd(f, p, kC2);
  p = FusedMultiplyAdd(f, p, kC1);
  p = FusedMultiplyAdd(f, p, 1.0f);
  // Two factors: 2^n alone overflows at n = 128 and is subnormal below -126.
  const int n = static_cast<int>(whole);
  const int half = n / 2;
  const float first = fp8::BitCast<float>(static_cast<uint32_t>(127 + half) << 23);
  const float second = fp8::BitCast<float>(static_cast<uint32_t>(127 + n - half) << 23);
  return p * first * second;
}

/// How an exponential may cut its input to a multiple of 2^-23.
enum class Exp2Cut : uint8_t { kTowardZero, kDown, kNearest, kNone = 255 };

/// 2^x = 2^floor(u) T(u - floor(u)): T are the 2^23 words of [1, 2), u is x cut. Subnormal inputs
/// and results are 0, as under ftz. Takes and returns bits; kNone cuts toward zero.
FP8_HD inline uint32_t Exp2FromOctave(const uint32_t* octave, Exp2Cut cut, uint32_t bits) {
  const bool negative = bits >> 31;
  const int field = static_cast<int>(bits >> 23 & 0xFF);
  const uint32_t mantissa = bits & 0x7f'ffff;
  if (field == 255) return mantissa != 0 ? kFp32Nan : negative ? 0 : kFp32Infinity;
  if (field >= 127 + 9) return negative ? 0 : kFp32Infinity;  // |x| >= 512
  // x in units of 2^-23.
  int64_t units = 0;
  if (field != 0) {
    const int64_t significand = mantissa | 0x80'0000;
    const int down = 127 - field;
    if (down <= 0) {
      units = significand << -down;
    } else {
      const int64_t kept = down < 63 ? significand >> down : 0;
      const int64_t dropped = down < 63 ? significand - (kept << down) : significand;
      const int64_t half = down < 40 ? int64_t{1} << (down - 1) : int64_t{1} << 39;
      bool away = false;
      if (cut == Exp2Cut::kDown) away = negative && dropped != 0;
      if (cut == Exp2Cut::kNearest) away = dropped > half || (dropped == half && (kept & 1));
      units = kept + away;
    }
    if (negative) units = -units;
  }
  const int64_t whole = units >> 23;
  const uint32_t word = octave[units & 0x7f'ffff];
  const int64_t result = static_cast<int64_t>(word >> 23) + whole - 1;
  if (result <= 0) return 0;
  if (result >= 255) return kFp32Infinity;
  return static_cast<uint32_t>(result) << 23 | (word & 0x7f'ffff);
}

/// Results of a GPU's exponential: runs of consecutive input bit patterns, and for the rest one
/// octave that others follow from. The caller owns the memory. Lookup cost: O(segments).
struct Exp2Table {
  struct Segment {
    uint32_t first;         ///< bit pattern of the first input
    uint32_t count;         ///< inputs first, first + 1, ..., first + count - 1
    const uint32_t* words;  ///< their results
  };
  const Segment* segments = nullptr;
  int segment_count = 0;
  const uint32_t* octave = nullptr;  ///< words of [1, 2), or null
  /// With an octave: how inputs of sign and exponent i (bits >> 23) follow from it; kNone: they do
  /// not. 512 of them.
  const Exp2Cut* cuts = nullptr;

  FP8_HD bool IsEmpty() const { return segment_count == 0 && octave == nullptr; }

  /// False, and result untouched, where the input was not captured.
  FP8_HD bool Find(float x, float* result) const {
    const uint32_t bits = fp8::BitCast<uint32_t>(x);
    for (int i = 0; i < segment_count; ++i) {
      const uint32_t offset = bits - segments[i].first;
      if (offset >= segments[i].count) continue;
      *result = fp8::BitCast<float>(segments[i].words[offset]);
      return true;
    }
    if (octave == nullptr || cuts[bits >> 23] == Exp2Cut::kNone) return false;
    *result = fp8::BitCast<float>(Exp2FromOctave(octave, cuts[bits >> 23], bits));
    return true;
  }
};

/// log2(x), relative error below 2^-49, for finite x >= 2^-1022; -Inf at 0, NaN below.
/// m in [0.707, 1.414) carries the value: log2(m) = 2/ln2 * (z + z^3/3 + ...), z = (m - 1) / (m +
/// 1).
FP8_HD inline double Log2Double(double x) {
  if (x == 0) return -fp8::BitCast<double>(uint64_t{0x7ff0} << 48);
  if (!(x > 0)) return fp8::BitCast<double>(uint64_t{0x7ff8} << 48);
  const uint64_t bits = fp8::BitCast<uint64_t>(x);
  if (bits >> 52 == 0x7ff) return x;
  // Moves the bits of sqrt(1/2) to those of 1, so that the exponent field splits there.
  constexpr uint64_t kSqrtHalf = 0x3fe6'a09e'667f'3bcd;
  const uint64_t moved = bits - kSqrtHalf;
  const int exponent = static_cast<int>(static_cast<int64_t>(moved) >> 52);
  const double m = fp8::BitCast<double>(bits - (static_cast<uint64_t>(exponent) << 52));
  const double z = (m - 1) / (m + 1);
  const double y = z * z;
  double p = 0;
  for (int n = 23; n >= 3; n -= 2) p = p * y + 1.0 / n;  // |z| < 0.1716: z^25 / 25 < 2^-68
  constexpr double kTwoOverLn2 = 0x1.71547652b82fep+1;
  return exponent + kTwoOverLn2 * (z + z * y * p);
}

/// tanh(x), relative error below 2^-49. From 2^u with u = 2 |x| / ln 2, without cancellation: the
/// table entry less one is exact.
FP8_HD inline double TanhDouble(double x) {
  if (x != x) return x;
  const double magnitude = x < 0 ? -x : x;
  if (magnitude > 20) return x < 0 ? -1 : 1;  // 1 - tanh(20) < 2^-56
  constexpr double kTwoOverLn2 = 0x1.71547652b82fep+1;
  const Exp2Parts e = SplitExp2(magnitude * kTwoOverLn2);
  const double scale = PowerOfTwo(e.exponent);
  const double numerator = (e.hi * scale - 1) + e.lo * scale;
  const double denominator = (e.hi * scale + 1) + e.lo * scale;
  const double ratio = numerator / denominator;
  return x < 0 ? -ratio : ratio;
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_EXP2_H_
