// What the lanes of fp8/encode-inl.h and fp8/decode-inl.h need to know of a format and a policy.
// Special codes are filled in by fp8/codec.h itself, so a lane never invents one.
#ifndef LOSTBITS_FP8_LANE_TABLES_H_
#define LOSTBITS_FP8_LANE_TABLES_H_

#include <array>
#include <cstdint>
#include <limits>

#include "fp8/codec.h"

namespace lostbits::fp8 {

/// How lanes round to a format whose exponents lie well inside binary32's.
enum class LaneRounding : uint8_t {
  kMode,            ///< one addition in the rounding mode set: to nearest even, toward zero
  kModeSigned,      ///< the same with the sign on: up, down
  kAway,            ///< cut one bit later, then add half
  kOdd,             ///< cut, and set the last bit if anything was lost
  kStochastic,      ///< cut, and add the carry of what was lost plus up to 24 random bits
  kStochasticWide,  ///< the same, up to 32
};

/// The rounding mode a kernel must find set.
enum class HardwareMode : uint8_t { kNearest, kDown, kUp, kZero };

/// Formats with binary32's own exponents: rounding needs no more than an addition to the bits.
constexpr bool HasFloatExponents(Format f) { return f.exponent_bits == 8; }

struct EncodePlan {
  Format to;
  Rounding rounding;
  LaneRounding lane_rounding;
  HardwareMode mode;
  /// Bits of the largest magnitude that is rounded at all, for positive and negative numbers: the
  /// largest finite number if overflow saturates; else the next number of the lattice, whose
  /// code is the special one: E4M3FN 480 = 0x7F, E5M2 65536 = 0x7C, FNUZ 0x80.
  uint32_t clamp[2];
  uint32_t infinity[2];
  uint32_t nan[2];
  int random_bit_count;
  uint32_t nan_below;      ///< E8M0: magnitudes whose bits are below this give NaN
  bool replaces_negative;  ///< E8M0: negative finite numbers give `negative`
  uint32_t negative;
};

/// Lanes take one source at a time through binary32, exactly; FP64 does not fit.
/// NaN payloads are kept by the integers alone.
constexpr bool LanesEncode(Format from, Format to, const EncodePolicy& p) {
  const bool keeps_payload = to.specials == Specials::kIeee && p.nan_payload == NanPayload::kKeep;
  return from != kFP64 && to != kFP64 && !keeps_payload;
}
constexpr bool LanesDecode(Format f) { return f != kFP64; }

/// Bits of the binary32 number with a magnitude code; that after the largest is the next of the
/// lattice.
constexpr uint32_t LatticeBits(Format f, uint64_t magnitude) {
  const uint64_t field = magnitude >> f.mantissa_bits;
  const uint64_t mantissa = magnitude & ((uint64_t{1} << f.mantissa_bits) - 1);
  return static_cast<uint32_t>(((field + static_cast<uint64_t>(127 - f.bias)) << 23) |
                               (mantissa << (23 - f.mantissa_bits)));
}

constexpr EncodePlan MakeEncodePlan(Format to, const EncodePolicy& p) {
  EncodePlan plan{.to = to,
                  .rounding = p.rounding,
                  .lane_rounding = LaneRounding::kMode,
                  .mode = HardwareMode::kZero,
                  .clamp = {},
                  .infinity = {},
                  .nan = {},
                  .random_bit_count = p.random_bit_count,
                  .nan_below = 0,
                  .replaces_negative = false,
                  .negative = 0};
  if (p.rounding == Rounding::kStochastic && p.random_bit_count == 0)
    plan.rounding = Rounding::kTowardZero;
  switch (plan.rounding) {
    case Rounding::kNearestEven: plan.mode = HardwareMode::kNearest; break;
    case Rounding::kNearestAway: plan.lane_rounding = LaneRounding::kAway; break;
    case Rounding::kTowardZero: break;
    case Rounding::kUp:
    case Rounding::kDown:
      plan.lane_rounding = LaneRounding::kModeSigned;
      plan.mode = plan.rounding == Rounding::kUp ? HardwareMode::kUp : HardwareMode::kDown;
      break;
    case Rounding::kToOdd: plan.lane_rounding = LaneRounding::kOdd; break;
    case Rounding::kStochastic:
      plan.lane_rounding =
          p.random_bit_count <= 24 ? LaneRounding::kStochastic : LaneRounding::kStochasticWide;
      break;
  }
  for (const bool negative : {false, true}) {
    const auto code = [&](float x) {
      return static_cast<uint32_t>(Pack(to, Unpack(negative ? -x : x), p).code);
    };
    const bool saturates =
        to.specials == Specials::kFinite || SaturatesOverflow(p, negative && IsSigned(to));
    plan.clamp[negative] = LatticeBits(to, MaxMagnitude(to) + (saturates ? 0 : 1));
    plan.infinity[negative] = code(std::numeric_limits<float>::infinity());
    plan.nan[negative] = code(std::numeric_limits<float>::quiet_NaN());
  }
  if (!IsSigned(to)) {
    plan.nan_below = p.scale_zero == ScaleZero::kMin   ? 0
                     : p.scale_zero == ScaleZero::kNan ? 1
                                                       : 0x0040'0000;  // 2^-127
    plan.replaces_negative = p.scale_negative != ScaleNegative::kMagnitude;
    plan.negative = static_cast<uint32_t>(Pack(to, Unpack(-1.0f), p).code);
  }
  return plan;
}

/// The upper two bytes of the binary32 values of a format's 256 codes, in two planes. The lower two
/// are zero for every format of up to 8 bits under the default DecodePolicy.
struct ByteTable {
  alignas(64) std::array<uint8_t, 256> high;
  alignas(64) std::array<uint8_t, 256> low;
};
template <Format F>
inline constexpr ByteTable kByteTable = [] {
  ByteTable t{};
  for (uint32_t code = 0; code < 256; ++code) {
    const uint32_t bits = BitCast<uint32_t>(Decode(F, code));
    t.high[code] = static_cast<uint8_t>(bits >> 24);
    t.low[code] = static_cast<uint8_t>(bits >> 16);
  }
  return t;
}();

/// The same two bytes for a format's magnitudes m, looked up in 16 entries at a time:
///   m < 16         low[0][m], high[0][m]                  every subnormal among them
///   16 <= m < 112  low[1][m % 16], high[1][m / 8]         normal numbers of a signed format
///   m >= 112       low[2][m % 16], high[2][m % 16]        every Inf and NaN among them
/// E3M4's exponent starts at bit 4 of m, which low[1] cannot see: there 0x80 is to be added.
/// Whether that serves a format is computed from all its codes: E5M2FNUZ's odd bias carries, and
/// E8M0 has other magnitudes.
struct NibbleTable {
  alignas(16) std::array<std::array<uint8_t, 16>, 3> low;
  alignas(16) std::array<std::array<uint8_t, 16>, 3> high;
};
constexpr uint8_t MiddleBit(Format f) { return f.mantissa_bits == 4 ? 0x10 : 0; }
constexpr NibbleTable MakeNibbleTable(Format f, const ByteTable& bytes) {
  NibbleTable t{};
  for (size_t i = 0; i < 16; ++i) {
    t.low[0][i] = bytes.low[i];
    t.high[0][i] = bytes.high[i];
    t.low[1][i] = static_cast<uint8_t>(bytes.low[16 + i] & ~(MiddleBit(f) << 3));
    t.high[1][i] = bytes.high[8 * i];
    t.low[2][i] = bytes.low[112 + i];
    t.high[2][i] = bytes.high[112 + i];
  }
  return t;
}
template <Format F>
constexpr bool NibblesDecode() {
  const NibbleTable t = MakeNibbleTable(F, kByteTable<F>);
  for (size_t m = 0; m < size_t{1} << MagnitudeBits(F); ++m) {
    const size_t part = m < 16 ? 0 : m < 112 ? 1 : 2;
    uint8_t low = t.low[part][m % 16];
    if (part == 1) low = static_cast<uint8_t>(low | (m & MiddleBit(F)) << 3);
    if (low != kByteTable<F>.low[m]) return false;
    if (t.high[part][part == 1 ? m / 8 : m % 16] != kByteTable<F>.high[m]) return false;
  }
  return true;
}
template <Format F>
inline constexpr NibbleTable kNibbleTable = MakeNibbleTable(F, kByteTable<F>);

struct DecodePlan {
  Format from;
  uint32_t nan;
  uint32_t nan_sign;           ///< 0x8000'0000 to copy a NaN's sign
  uint32_t nan_payload;        ///< 0x007F'FFFF to copy its mantissa field
  bool default_nan;            ///< as the tables have it
  bool any_nan;                ///< any NaN of the right sign will do
  const ByteTable* bytes;      ///< null above 8 bits
  const NibbleTable* nibbles;  ///< null where they do not serve
};

template <Format... kF>
constexpr void TakeTables(DecodePlan& plan) {
  const auto take = [&](Format f, const ByteTable* bytes, const NibbleTable* nibbles) {
    if (plan.from != f) return;
    plan.bytes = bytes;
    plan.nibbles = nibbles;
  };
  (take(kF, &kByteTable<kF>, NibblesDecode<kF>() ? &kNibbleTable<kF> : nullptr), ...);
}

constexpr DecodePlan MakeDecodePlan(Format from, const DecodePolicy& d) {
  DecodePlan plan{.from = from,
                  .nan = d.nan,
                  .nan_sign = d.keep_sign ? 0x8000'0000u : 0u,
                  .nan_payload = d.keep_payload ? 0x007F'FFFFu : 0u,
                  .default_nan = d == DecodePolicy{} || !HasNan(from),
                  .any_nan = false,
                  .bytes = from == kE8M0 ? &kByteTable<kE8M0> : nullptr,
                  .nibbles = nullptr};
  TakeTables<kE4M3FN, kE5M2, kE4M3, kE3M4, kE4M3FNUZ, kE5M2FNUZ, kE4M3B11FNUZ, kE2M3, kE3M2, kE2M1>(
      plan);
  return plan;
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_LANE_TABLES_H_
