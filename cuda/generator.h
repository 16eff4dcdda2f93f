// Tiles of generated operands, the same on host and device: any line of any tile follows from
// (seed, tile, line) alone, so a mismatch found on the device is repeated on the host from four
// numbers.
//
// A tile has one theme, which decides what its products look like together (N(0, 1) alone never
// shows a NaN, a clamp or a subnormal); its lines are drawn each from a stream of its own. Every
// one of the m x n outputs is a case.
#ifndef LOSTBITS_CUDA_GENERATOR_H_
#define LOSTBITS_CUDA_GENERATOR_H_

#include <cstdint>

#include "cuda/unit.h"
#include "sim/draw.h"

namespace lostbits::gpu {

/// Raised with every change that gives other operands for the same seed.
inline constexpr int kGeneratorVersion = 1;

enum class Pattern : uint8_t {
  kRawBits,         ///< any code, NaN and Inf as they come
  kFinite,          ///< any finite code
  kNormal,          ///< N(0, 1)
  kEqualExponents,  ///< all products of one exponent or two
  kExtremes,        ///< smallest and largest exponents, mantissas of all ones and all zeros
  kSubnormals,      ///< subnormals and zeros of both signs, now and then a normal
  kPowersOfTwo,
  kTarget,      ///< products near one exponent: around the result's limits
  kUnderflow,   ///< products about as large as half the result's smallest number; c mostly zero
  kOneHuge,     ///< one product far above the others
  kCancelling,  ///< pairs that cancel, exactly or but for the last bit
  kSpecials,    ///< finite, with Inf, NaN and zeros among them
  kZeros,       ///< zeros of both signs, now and then one finite
  kTies,        ///< powers of two: a sum half way between two results, and a few terms far below
};
inline constexpr int kPatternCount = 14;

/// What all lines of a tile share.
struct Theme {
  Pattern pattern;
  int exponent_a, exponent_b;  ///< that operands are drawn around, where the pattern has one
  int scatter;                 ///< how far below
  int k;                       ///< one product: the huge one, the special one
  int partner;                 ///< kCancelling: k and k ^ partner
  int tail;                    ///< products from here on are zeros of a
  int large, tie;              ///< kTies: exponents of products k and k ^ 1; large or kNoLarge
};
inline constexpr int kNoLarge = -10'000;

enum class Side : uint8_t { kA, kB };

namespace detail {

/// One stream for every (tile, use).
FP8_HD constexpr sim::Random Stream(uint64_t seed, int64_t tile, int use) {
  return sim::Random(seed, static_cast<uint64_t>(tile) << 20 | static_cast<uint64_t>(use));
}
inline constexpr int kLinesOfA = 1 << 10, kLinesOfB = 1 << 11;  // fewer than 2^10 each
inline constexpr int kAddends = 1 << 16;                        // fewer than 2^16

/// One code of a pattern that concerns single codes; others as kFinite.
FP8_HD constexpr uint64_t DrawCode(sim::Random& r, fp8::Format f, Pattern p) {
  switch (p) {
    case Pattern::kRawBits: return sim::draw::RawCode(r, f);
    case Pattern::kNormal: return sim::draw::NormalCode(r, f);
    case Pattern::kExtremes: return sim::draw::ExtremeCode(r, f);
    case Pattern::kSubnormals:
      return r.OneIn(8) ? sim::draw::FiniteCode(r, f) : sim::draw::CodeWithField(r, f, 0);
    case Pattern::kPowersOfTwo: {
      const bool negative = r.OneIn(2);
      const uint32_t fields = (1u << f.exponent_bits) - 1;
      return sim::draw::MakeCode(f, negative, r.Below(fields), 0);
    }
    case Pattern::kZeros:
      return r.OneIn(8) ? sim::draw::FiniteCode(r, f) : sim::draw::ZeroCode(r, f);
    default: break;
  }
  return sim::draw::FiniteCode(r, f);
}

FP8_HD constexpr bool HasExponent(Pattern p) {
  return p == Pattern::kEqualExponents || p == Pattern::kTarget || p == Pattern::kUnderflow ||
         p == Pattern::kOneHuge;
}

/// 2^exponent; +0 if the format has no such number.
FP8_HD constexpr uint64_t PowerCode(fp8::Format f, int exponent) {
  const int least = fp8::MinExponent(f), last = least - f.mantissa_bits;
  const int field = exponent + f.bias;
  if (exponent < last || field > static_cast<int>(fp8::MaxMagnitude(f) >> f.mantissa_bits))
    return 0;
  return exponent < least ? sim::draw::MakeCode(f, false, 0, uint64_t{1} << (exponent - last))
                          : sim::draw::MakeCode(f, false, static_cast<uint64_t>(field), 0);
}

/// Code i of a line of kTies. b has one power of two for products k and k ^ 1 and one for the
/// others; a's say which product is what.
FP8_HD constexpr uint64_t TieCode(sim::Random& r, fp8::Format f, const Theme& t, bool is_a, int i) {
  const bool first = i == t.k, second = i == (t.k ^ 1);
  const bool there =
      first || second || (is_a ? r.OneIn(2 + static_cast<uint32_t>(t.scatter)) : !r.OneIn(4));
  const bool negative = is_a && r.OneIn(2);
  const int far = t.tie - r.Between(1, 28);
  if (!there) return 0;
  const int exponent_b = first || second ? t.exponent_b : t.exponent_a;
  if (!is_a) return PowerCode(f, exponent_b);
  const int product = first && t.large != kNoLarge ? t.large : first || second ? t.tie : far;
  if (second && t.large == kNoLarge) return 0;
  return PowerCode(f, product - exponent_b) | (negative ? fp8::SignMask(f) : 0);
}

FP8_HD constexpr void StoreCode(uint8_t* line, int i, int bytes, uint64_t code) {
  for (int j = 0; j < bytes; ++j) line[i * bytes + j] = static_cast<uint8_t>(code >> (8 * j));
}

}  // namespace detail

/// Code i of a line of operands.
FP8_HD constexpr uint64_t LoadCode(const uint8_t* line, int i, int bytes) {
  uint64_t code = 0;
  for (int j = 0; j < bytes; ++j) code |= static_cast<uint64_t>(line[i * bytes + j]) << (8 * j);
  return code;
}

FP8_HD constexpr Theme ThemeOf(const TileShape& s, uint64_t seed, int64_t tile) {
  sim::Random r = detail::Stream(seed, tile, 0);
  Theme t{};
  t.pattern = static_cast<Pattern>(r.Below(kPatternCount));
  // Exponents of products: around the limits of the result.
  const int smallest = fp8::MinExponent(s.d) - s.d.mantissa_bits;
  const int limits[] = {fp8::MinExponent(s.d), smallest, (1 << (s.d.exponent_bits - 1)) - 1, 0};
  int near = limits[r.Below(4)];
  near += r.Between(-12, 6);
  if (t.pattern == Pattern::kUnderflow) near = smallest - r.Between(0, 8);
  if (t.pattern == Pattern::kOneHuge) near = r.Between(-16, 4);
  const int half = near / 2;
  t.exponent_a = r.Between(fp8::Max(fp8::MinExponent(s.a), half - 8),
                           fp8::Max(fp8::MinExponent(s.a), half + 8));
  t.exponent_b = near - t.exponent_a;
  t.scatter = r.Between(0, t.pattern == Pattern::kUnderflow ? 2 : 15);
  if (t.pattern == Pattern::kEqualExponents) t.scatter = 0;
  t.k = static_cast<int>(r.Below(static_cast<uint32_t>(s.k)));
  t.partner = 1;
  while (2 * t.partner < s.k && r.OneIn(2)) t.partner *= 2;
  t.tail = r.OneIn(4) ? r.Between(0, s.k) : s.k;
  if (t.pattern == Pattern::kTies) {
    // About the smallest result, or a unit or half of one below a larger product.
    const int kept = r.OneIn(2) ? s.d.mantissa_bits : 13;
    const bool smallest_result = r.OneIn(2);
    t.large = smallest_result ? kNoLarge : r.Between(-6, 6);
    t.tie = (smallest_result ? smallest : t.large - kept) - r.Between(0, 1);
    // Normal operands where the format has them, for a subnormal's exponent is not its own; the few
    // terms far below need b's subnormals.
    const int least = fp8::MinExponent(s.b), last = least - s.b.mantissa_bits;
    t.exponent_b = smallest_result ? least + r.Between(0, 3) : r.Between(fp8::Max(least, -12), 0);
    t.exponent_a = last + (r.OneIn(2) ? 0 : r.Between(0, 4));  // of b, beside the far terms
    t.tail = s.k;
  }
  return t;
}

/// Row `line` of a, or column `line` of b: shape.row_bytes bytes, little-endian codes.
FP8_HD constexpr void FillLine(const TileShape& s, const Theme& t, uint64_t seed, int64_t tile,
                               Side side, int line, uint8_t* out) {
  sim::Random r =
      detail::Stream(seed, tile, (side == Side::kA ? detail::kLinesOfA : detail::kLinesOfB) + line);
  const bool is_a = side == Side::kA;
  const fp8::Format f = is_a ? s.a : s.b;
  const int bytes = s.row_bytes / s.k;
  for (int i = 0; i < s.k; ++i) {
    uint64_t code = 0;
    if (t.pattern == Pattern::kTies) {
      code = detail::TieCode(r, f, t, is_a, i);
    } else if (detail::HasExponent(t.pattern)) {
      int exponent = (is_a ? t.exponent_a : t.exponent_b) - r.Between(0, t.scatter);
      if (t.pattern == Pattern::kOneHuge && i == t.k) exponent += 6 + r.Between(0, 14);
      code = sim::draw::CodeWithExponent(r, f, exponent);
    } else {
      code = detail::DrawCode(r, f, t.pattern);
    }
    if (t.pattern == Pattern::kCancelling && (i & t.partner) != 0 && !r.OneIn(6)) {
      code = LoadCode(out, i ^ t.partner, bytes);
      code ^= is_a ? fp8::SignMask(f) : r.OneIn(8) ? uint64_t{1} << f.pad : 0;
    }
    // Lines without a special let the other side's Inf meet a number; a zero makes it a NaN.
    if (t.pattern == Pattern::kSpecials && i == t.k) {
      if (r.OneIn(is_a ? 2 : 4))
        code = sim::draw::SpecialCode(r, f);
      else if (r.OneIn(4))
        code = sim::draw::ZeroCode(r, f);
    }
    if (is_a && i >= t.tail) code = sim::draw::ZeroCode(r, f);
    detail::StoreCode(out, i, bytes, code);
  }
}

/// The word c of output (row, col).
FP8_HD constexpr uint32_t AddendOf(const TileShape& s, const Theme& t, uint64_t seed, int64_t tile,
                                   int row, int col) {
  sim::Random r = detail::Stream(seed, tile, detail::kAddends + row * s.n + col);
  if (t.pattern == Pattern::kSpecials && r.OneIn(4))
    return static_cast<uint32_t>(sim::draw::SpecialCode(r, s.d));
  const bool mostly_zero = t.pattern == Pattern::kUnderflow || t.pattern == Pattern::kTies;
  if (mostly_zero && !r.OneIn(3)) return static_cast<uint32_t>(sim::draw::ZeroCode(r, s.d));
  const int near = detail::HasExponent(t.pattern) ? t.exponent_a + t.exponent_b : 0;
  return static_cast<uint32_t>(sim::draw::AddendWord(r, s.d, near));
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_GENERATOR_H_
