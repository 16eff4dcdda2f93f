// Inputs that hit what an encoder can get wrong: every code, every midpoint, and their neighbours.
#ifndef LOSTBITS_TESTS_FP8_CASES_H_
#define LOSTBITS_TESTS_FP8_CASES_H_

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "fp8/spec.h"

namespace lostbits::fp8 {

inline constexpr Rounding kAllRoundings[] = {
    Rounding::kNearestEven, Rounding::kNearestAway, Rounding::kTowardZero, Rounding::kUp,
    Rounding::kDown,        Rounding::kToOdd,       Rounding::kStochastic};
inline constexpr Overflow kAllOverflows[] = {Overflow::kSaturate, Overflow::kToSpecial,
                                             Overflow::kIeee};

inline std::string FormatName(Format f) {
  constexpr const char* kNames[] = {"E4M3FN",      "E5M2", "E4M3", "E3M4", "E4M3FNUZ", "E5M2FNUZ",
                                    "E4M3B11FNUZ", "E8M0", "E2M3", "E3M2", "E2M1",     "FP16",
                                    "BF16",        "TF32", "FP32", "FP64"};
  static_assert(std::size(kNames) == std::size(kAllFormats));
  for (size_t i = 0; i < std::size(kAllFormats); ++i)
    if (kAllFormats[i] == f) return kNames[i];
  return "?";
}

/// A policy in numbers, for a failure message; the enumerators are in fp8/rounding.h.
inline std::string Describe(const EncodePolicy& p) {
  char text[160];
  std::snprintf(text, sizeof text,
                "rounding %d overflow %d inf %d nan_sign %d nan_payload %d nan_to_finite %d "
                "scale_negative %d scale_zero %d bits %d",
                static_cast<int>(p.rounding), static_cast<int>(p.overflow), static_cast<int>(p.inf),
                static_cast<int>(p.nan_sign), static_cast<int>(p.nan_payload),
                static_cast<int>(p.nan_to_finite), static_cast<int>(p.scale_negative),
                static_cast<int>(p.scale_zero), p.random_bit_count);
  return text;
}

inline std::string Hex(double x) {
  char text[64];
  std::snprintf(text, sizeof text, "%a (0x%016llx)", x,
                static_cast<unsigned long long>(BitCast<uint64_t>(x)));
  return text;
}
inline std::string HexCode(uint64_t code) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(code));
  return text;
}

/// Appends x, its two neighbours among the doubles, and all three negated.
inline void AddWithNeighbours(std::vector<double>& v, double x) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double y : {x, std::nextafter(x, kInfinity), std::nextafter(x, -kInfinity)}) {
    v.push_back(y);
    v.push_back(-y);
  }
}

inline void AddSpecials(std::vector<double>& v) {
  constexpr uint64_t kBits[] = {0x0000'0000'0000'0000, 0x0000'0000'0000'0001, 0x000f'ffff'ffff'ffff,
                                0x0010'0000'0000'0000, 0x7fef'ffff'ffff'ffff, 0x7ff0'0000'0000'0000,
                                0x7ff8'0000'0000'0000, 0x7ff0'0000'0000'0001, 0x7fff'ffff'ffff'ffff,
                                0x7ffc'0000'0000'0000, 0x7ff4'0000'0000'0000};
  for (const uint64_t bits : kBits) {
    v.push_back(BitCast<double>(bits));
    v.push_back(BitCast<double>(bits | 0x8000'0000'0000'0000u));
  }
}

/// Every lattice number and midpoint of a format with at most `limit` of them (a spread of them
/// above that, the first and the last 64 always), with neighbours; one number in each binade of
/// binary32 and some of binary64; and all kinds of specials.
inline std::vector<double> Stratified(Format f, uint64_t limit) {
  std::vector<double> v;
  AddSpecials(v);
  const uint64_t count = spec::FiniteCount(f);
  const uint64_t spread = count < limit ? count : limit;
  std::vector<uint64_t> magnitudes;
  for (uint64_t i = 0; i < spread; ++i) magnitudes.push_back(count / spread * i);
  for (uint64_t i = 0; i < 64 && i < count; ++i) {
    magnitudes.push_back(i);
    magnitudes.push_back(count - 1 - i);
  }
  AddWithNeighbours(v, spec::Value(f, count));
  for (const uint64_t m : magnitudes) {
    const double here = spec::Value(f, m), gap = spec::Value(f, m + 1) - here;
    AddWithNeighbours(v, here);
    AddWithNeighbours(v, here + gap / 2);
    for (const double part : {0.25, 0.625, 0.75}) v.push_back(here + gap * part);
  }
  for (int e = -1074; e < 1024; e += (e < -160 || e > 140 ? 64 : 1)) {
    AddWithNeighbours(v, std::ldexp(1.0, e));
    AddWithNeighbours(v, std::ldexp(1.4142135623730951, e));
  }
  return v;
}

/// The mantissa field of a NaN as a fraction, as spec::Encode takes it.
inline double NanPayloadOf(double x) {
  return std::isnan(x) ? std::ldexp(static_cast<double>(Unpack(x).nan_payload >> 12), -52) : 0;
}

/// Empty if both agree on code and flags; else what differs, complete enough to repeat the case.
inline std::string Difference(Format f, double x, const EncodePolicy& p, uint32_t random) {
  const Encoded a = Pack(f, Unpack(x), p, random);
  const spec::Result b = spec::Encode(f, x, p, random, NanPayloadOf(x));
  if (a.code == b.code && a.inexact == b.inexact && a.overflow == b.overflow &&
      a.flushed == b.flushed && a.subnormal == b.subnormal && a.nan == b.nan)
    return "";
  const auto show = [](const auto& r) {
    return HexCode(r.code) + (r.inexact ? " inexact" : "") + (r.overflow ? " overflow" : "") +
           (r.flushed ? " flushed" : "") + (r.subnormal ? " subnormal" : "") +
           (r.nan ? " nan" : "");
  };
  return FormatName(f) + " of " + Hex(x) + ", random " + HexCode(random) + ", " + Describe(p) +
         ": integers " + show(a) + ", definition " + show(b);
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_TESTS_FP8_CASES_H_
