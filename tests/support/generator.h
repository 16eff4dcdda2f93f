// Operands that find mistakes: special exponents x bit patterns x weighted random, in any format.
// N(0, 1) alone never shows a NaN, a subnormal, an overflow or a clamp.
#ifndef LOSTBITS_TESTS_SUPPORT_GENERATOR_H_
#define LOSTBITS_TESTS_SUPPORT_GENERATOR_H_

#include <cmath>
#include <cstdint>
#include <vector>

#include "fp8/codec.h"
#include "fp8/format.h"
#include "sim/random.h"

namespace lostbits::test {

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

/// A code from its fields; bits that do not fit are dropped. Pad bits are filled with `pad`.
inline uint64_t MakeCode(fp8::Format f, bool negative, uint64_t field, uint64_t mantissa,
                         uint64_t pad = 0) {
  const uint64_t magnitude =
      ((field << f.mantissa_bits) | (mantissa & ((uint64_t{1} << f.mantissa_bits) - 1))) &
      ((uint64_t{1} << fp8::MagnitudeBits(f)) - 1);
  return (magnitude << f.pad) | (pad & ((uint64_t{1} << f.pad) - 1)) |
         (negative ? fp8::SignMask(f) : 0);
}

/// Random sign, mantissa and pad under a given exponent field. (Draws are separate statements: the
/// order in which arguments are evaluated is the compiler's.)
inline uint64_t CodeWithField(Random& r, fp8::Format f, uint64_t field) {
  const bool negative = r.OneIn(2);
  const uint64_t mantissa = r.Next();
  return MakeCode(f, negative, field, mantissa, r.Next());
}

inline bool IsFinite(fp8::Format f, uint64_t code) {
  const fp8::Class cls = fp8::Unpack(f, code).cls;
  return cls == fp8::Class::kZero || cls == fp8::Class::kFinite;
}

inline uint64_t RawCode(Random& r, fp8::Format f) {
  const int bits = fp8::StorageBits(f);
  return bits == 64 ? r.Next() : r.Next() & ((uint64_t{1} << bits) - 1);
}

inline uint64_t FiniteCode(Random& r, fp8::Format f) {
  for (;;) {
    const uint64_t code = RawCode(r, f);
    if (IsFinite(f, code)) return code;
  }
}

/// x rounded into the format, nearest even, saturating.
inline uint64_t CodeOf(fp8::Format f, double x) { return fp8::Pack(f, fp8::Unpack(x)).code; }

inline uint64_t NormalCode(Random& r, fp8::Format f, double deviation = 1) {
  return CodeOf(f, r.Normal() * deviation);
}

/// A finite code whose exponent is as near to `exponent` as the format allows.
inline uint64_t CodeWithExponent(Random& r, fp8::Format f, int exponent) {
  const int last = static_cast<int>(fp8::MaxMagnitude(f) >> f.mantissa_bits);
  const int field = fp8::Max(0, fp8::Min(last, exponent + f.bias));
  for (;;) {
    const uint64_t code = CodeWithField(r, f, static_cast<uint64_t>(field));
    if (IsFinite(f, code)) return code;
  }
}

/// Smallest and largest exponents, mantissas of all ones, all zeros, one bit or random.
inline uint64_t ExtremeCode(Random& r, fp8::Format f) {
  const int last = static_cast<int>(fp8::MaxMagnitude(f) >> f.mantissa_bits);
  const int field =
      r.OneIn(2) ? r.Between(0, fp8::Min(2, last)) : fp8::Max(0, last - r.Between(0, 2));
  const uint64_t mantissas[] = {0, ~uint64_t{0}, uint64_t{1} << r.Below(64), r.Next()};
  const uint64_t mantissa = mantissas[r.Below(4)];
  const bool negative = r.OneIn(2);
  const uint64_t code = MakeCode(f, negative, static_cast<uint64_t>(field), mantissa);
  return IsFinite(f, code) ? code : MakeCode(f, negative, static_cast<uint64_t>(field), 0);
}

inline uint64_t ZeroCode(Random& r, fp8::Format f) {
  const bool has_minus_zero = fp8::IsSigned(f) && f.specials != fp8::Specials::kFnuz;
  return has_minus_zero && r.OneIn(2) ? fp8::SignMask(f) : 0;
}

/// Inf or NaN of the format (any NaN, either sign); a finite extreme where it has neither.
inline uint64_t SpecialCode(Random& r, fp8::Format f) {
  if (!fp8::HasNan(f)) return ExtremeCode(r, f);
  if (fp8::HasInf(f) && !r.OneIn(4))
    return ((fp8::MaxMagnitude(f) + 1) << f.pad) | (r.OneIn(2) ? fp8::SignMask(f) : 0);
  if (f.specials != fp8::Specials::kIeee)
    return fp8::NanCode(f, r.OneIn(2), {.nan_sign = fp8::NanSign::kKeep});
  const uint64_t ones = (uint64_t{1} << f.exponent_bits) - 1;
  const uint64_t count = (uint64_t{1} << f.mantissa_bits) - 1;
  const bool negative = r.OneIn(2);
  const uint64_t mantissa = 1 + r.Next() % count;
  return MakeCode(f, negative, ones, mantissa, r.Next());
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

/// A c word. near: an exponent it should often come close to (that of the products).
inline uint64_t AddendWord(Random& r, fp8::Format acc, int near) {
  switch (r.Below(10)) {
    case 0: return RawCode(r, acc);
    case 1: return NormalCode(r, acc);
    case 2: return ExtremeCode(r, acc);
    case 3: return ZeroCode(r, acc);
    case 4:
    case 5: return 0;
    case 6: return CodeWithExponent(r, acc, near + r.Between(-64, 40));
    default: break;
  }
  return CodeWithExponent(r, acc, near + r.Between(-28, 4));
}

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
