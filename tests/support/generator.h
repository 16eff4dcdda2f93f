// Operands that find mistakes: special exponents x bit patterns x weighted random, in any format.
// N(0, 1) alone never shows a NaN, a subnormal, an overflow or a clamp.
#ifndef LOSTBITS_TESTS_SUPPORT_GENERATOR_H_
#define LOSTBITS_TESTS_SUPPORT_GENERATOR_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "fp8/codec.h"
#include "fp8/format.h"
#include "sim/draw.h"

namespace lostbits::test {

using namespace sim::draw;
using sim::Random;

/// How one operand vector (or the operands of one dot product) is drawn.
enum class Pattern : uint8_t {
  kRawBits,         ///< any code, NaN and Inf as they come
  kFinite,          ///< any finite code
  kNormal,          ///< N(0, 1) rounded into the format
  kEqualExponents,  ///< one exponent, random mantissas
  kExtremes,        ///< smallest and largest exponents, all-ones and all-zeros mantissas
  kSubnormals,      ///< subnormals and zeros of both signs, now and then a normal
  kPowersOfTwo,
  kTarget,      ///< products near one exponent: around the output's limits and around e_zero
  kUnderflow,   ///< products about as large as half the output's smallest number; c often zero
  kOneHuge,     ///< one product far above the others
  kCancelling,  ///< pairs that cancel, exactly or but for the last bit
  kSpecials,    ///< finite, with one or two Inf, NaN or zero among them
  kZeros,       ///< zeros of both signs, now and then one finite
};
inline constexpr int kPatternCount = 13;

inline const char* Name(Pattern p) {
  constexpr const char* kNames[kPatternCount] = {
      "raw bits", "finite",    "normal",   "equal exponents", "extremes", "subnormals", "powers",
      "target",   "underflow", "one huge", "cancelling",      "specials", "zeros"};
  return kNames[static_cast<int>(p)];
}

/// One code drawn by a pattern. kTarget, kUnderflow, kOneHuge and kCancelling concern pairs: here
/// as kFinite.
inline uint64_t Code(Random& r, fp8::Format f, Pattern p) {
  switch (p) {
    case Pattern::kRawBits: return RawCode(r, f);
    case Pattern::kNormal: return NormalCode(r, f);
    case Pattern::kEqualExponents: return CodeWithExponent(r, f, 0);
    case Pattern::kExtremes: return ExtremeCode(r, f);
    case Pattern::kSubnormals: return r.OneIn(8) ? FiniteCode(r, f) : CodeWithField(r, f, 0);
    case Pattern::kPowersOfTwo: {
      const bool negative = r.OneIn(2);
      return MakeCode(f, negative, r.Below((1u << f.exponent_bits) - 1), 0);
    }
    case Pattern::kSpecials: return r.OneIn(4) ? SpecialCode(r, f) : FiniteCode(r, f);
    case Pattern::kZeros: return r.OneIn(8) ? FiniteCode(r, f) : ZeroCode(r, f);
    case Pattern::kFinite:
    case Pattern::kTarget:
    case Pattern::kUnderflow:
    case Pattern::kOneHuge:
    case Pattern::kCancelling: break;
  }
  return FiniteCode(r, f);
}

/// Operands of one dot product: codes of a and b, and the word of c.
struct DotCase {
  Pattern pattern = Pattern::kRawBits;
  std::vector<uint64_t> a, b;
  uint64_t c = 0;
};

/// One case: n products of formats fa, fb and a c of format acc. acc also says where the limits lie
/// that kTarget aims at. `scale`: what block scales add to every product's exponent, about.
inline DotCase GenerateDot(Random& r, fp8::Format fa, fp8::Format fb, fp8::Format acc, int n,
                           Pattern p, int scale = 0) {
  DotCase out{p, {}, {}, 0};
  out.a.resize(static_cast<size_t>(n));
  out.b.resize(static_cast<size_t>(n));
  int near = 0;
  // The exponents that products are drawn around, and how far they scatter.
  const int limits[] = {fp8::MinExponent(acc), fp8::MinExponent(acc) - acc.mantissa_bits,
                        (1 << (acc.exponent_bits - 1)) - 1, 0};
  if (p == Pattern::kTarget) {
    near = limits[r.Below(4)] - scale;
    near += r.Between(-12, 6);
  }
  if (p == Pattern::kUnderflow) near = limits[1] - scale - r.Between(0, 8);
  const int scatter = r.Between(0, p == Pattern::kUnderflow ? 4 : 30);
  const int equal_a =
      r.Between(fp8::MinExponent(fa), fp8::MinExponent(fa) + (1 << fa.exponent_bits));
  const int equal_b = p == Pattern::kEqualExponents ? r.Between(-4, 4) - equal_a : 0;
  for (size_t i = 0; i < out.a.size(); ++i) {
    if (p == Pattern::kTarget || p == Pattern::kUnderflow || p == Pattern::kOneHuge) {
      const int e = near - r.Between(0, scatter);
      const int ea = r.Between(fp8::Max(fp8::MinExponent(fa), e / 2 - 8), e / 2 + 8);
      out.a[i] = CodeWithExponent(r, fa, ea);
      out.b[i] = CodeWithExponent(r, fb, e - ea);
    } else if (p == Pattern::kEqualExponents) {
      out.a[i] = CodeWithExponent(r, fa, equal_a);
      out.b[i] = CodeWithExponent(r, fb, equal_b);
    } else {
      const Pattern each = p == Pattern::kSpecials ? Pattern::kFinite : p;
      out.a[i] = Code(r, fa, each);
      out.b[i] = Code(r, fb, each);
    }
  }
  const auto index = [&] { return static_cast<size_t>(r.Below(static_cast<uint32_t>(n))); };
  if (n > 0 && p == Pattern::kOneHuge) {
    near = r.Between(8, 40);
    const size_t i = index();
    out.a[i] = CodeWithExponent(r, fa, near / 2);
    out.b[i] = CodeWithExponent(r, fb, near - near / 2);
  }
  if (p == Pattern::kCancelling) {
    for (size_t i = 1; i < out.a.size(); ++i) {
      if (r.OneIn(3)) continue;
      const size_t from = r.Below(static_cast<uint32_t>(i));
      out.a[i] = out.a[from] ^ fp8::SignMask(fa);
      out.b[i] = out.b[from] ^ (r.OneIn(8) ? uint64_t{1} << fb.pad : 0);
    }
    near = r.Between(-20, 20);
  }
  const bool only_c_special = p == Pattern::kSpecials && r.OneIn(4);
  if (n > 0 && p == Pattern::kSpecials && !only_c_special) {
    for (int i = r.Between(1, 2); i > 0; --i) {
      out.a[index()] = SpecialCode(r, fa);
      if (r.OneIn(2)) out.b[index()] = SpecialCode(r, fb);
      if (r.OneIn(3)) out.b[index()] = ZeroCode(r, fb);
    }
  }
  // Shorter vectors: products that are exactly zero must not raise anything.
  if (r.OneIn(4)) {
    for (int i = r.Between(0, n); i < n; ++i) out.a[static_cast<size_t>(i)] = ZeroCode(r, fa);
  }
  const bool special_c = only_c_special || (p == Pattern::kSpecials && r.OneIn(4));
  out.c = special_c ? SpecialCode(r, acc) : AddendWord(r, acc, near + scale);
  if (p == Pattern::kUnderflow && !r.OneIn(3)) out.c = ZeroCode(r, acc);
  return out;
}

/// Codes of the block scales of one operand; `scale` E8M0, or E4M3FN with a sign that is ignored.
/// Near 2^exponent, often all alike; now and then any code, a zero or a NaN among them.
inline std::vector<uint64_t> GenerateScales(Random& r, fp8::Format scale, int count, int exponent) {
  std::vector<uint64_t> out(static_cast<size_t>(count));
  const bool raw = r.OneIn(8);
  const int scatter = r.OneIn(2) ? 0 : r.Between(0, 40);
  for (uint64_t& code : out) {
    code = raw ? FiniteCode(r, scale)
               : CodeWithExponent(r, scale, exponent + r.Between(-scatter, scatter));
    // The significand's smallest: a power of two, or the smallest subnormals.
    if (r.OneIn(4)) code &= ~((uint64_t{1} << scale.mantissa_bits) - 1);
    if (r.OneIn(32)) code = CodeWithExponent(r, scale, fp8::MinExponent(scale) - r.Between(0, 1));
  }
  if (count > 0 && r.OneIn(16)) {
    uint64_t& code = out[r.Below(static_cast<uint32_t>(count))];
    code = r.OneIn(2) ? fp8::NanCode(scale, r.OneIn(2), {.nan_sign = fp8::NanSign::kKeep})
                      : ZeroCode(r, scale);
  }
  return out;
}

/// The same with a pattern drawn at random.
inline DotCase GenerateDot(Random& r, fp8::Format fa, fp8::Format fb, fp8::Format acc, int n) {
  return GenerateDot(r, fa, fb, acc, n, static_cast<Pattern>(r.Below(kPatternCount)));
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SUPPORT_GENERATOR_H_
