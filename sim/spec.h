// What a matrix unit does to a sum, said by value: start reading here.
//
// The same functions as sim/accum.h, written with numbers instead of bits, so that each line can be
// held against a paper. Slow on purpose; a test proves the two equal. Nothing here is shared with
// accum.h but the table's types.
//
// Every double below is exact, so no rounding hides in the arithmetic itself:
//   - operands have at most 24 significant bits, so a product has at most 48;
//   - a term on the group's grid is an integer below 2^(F+2), at most 65 of them, F <= 35, so every
//     partial sum is an integer below 2^44 (a double holds 2^53);
//   - everything else is a multiplication by a power of two, with exponents within +-700.
#ifndef LOSTBITS_SIM_SPEC_H_
#define LOSTBITS_SIM_SPEC_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fp8/format.h"
#include "sim/arch.h"

namespace lostbits::sim::spec {

/// The number a code stands for. NaN and Inf are the double's own.
inline double Value(fp8::Format f, uint64_t code) {
  const uint64_t field_count = uint64_t{1} << f.exponent_bits;
  const uint64_t mantissa_count = uint64_t{1} << f.mantissa_bits;
  const uint64_t bits = code >> f.pad;
  const uint64_t mantissa = bits % mantissa_count;
  const uint64_t field = bits / mantissa_count % field_count;
  const bool negative = fp8::IsSigned(f) && bits / mantissa_count / field_count % 2 == 1;

  const double nan = std::numeric_limits<double>::quiet_NaN();
  const bool last_field = field == field_count - 1;
  switch (f.specials) {
    case fp8::Specials::kIeee:
      if (last_field && mantissa != 0) return nan;
      if (last_field) return negative ? -HUGE_VAL : HUGE_VAL;
      break;
    case fp8::Specials::kNanOnly:
      if (last_field && mantissa == mantissa_count - 1) return nan;
      break;
    case fp8::Specials::kFnuz:
      if (negative && field == 0 && mantissa == 0) return nan;
      break;
    case fp8::Specials::kScale:
      return last_field ? nan : std::ldexp(1.0, static_cast<int>(field) - f.bias);
    case fp8::Specials::kFinite: break;
  }
  const double fraction = static_cast<double>(mantissa) / static_cast<double>(mantissa_count);
  const double magnitude = field == 0 ? std::ldexp(fraction, 1 - f.bias)
                                      : std::ldexp(1 + fraction, static_cast<int>(field) - f.bias);
  return negative ? -magnitude : magnitude;
}

/// The exponent that the unit sees: floor(log2 |x|), but never below the format's smallest normal.
/// x is finite and not zero.
inline int Exponent(fp8::Format f, double x) { return std::max(std::ilogb(x), 1 - f.bias); }

/// x rounded to the precision and the range of `f`, an IEEE-style format; beyond the range it is
/// Inf under every rounding. Zero keeps the sign of x.
inline double RoundTo(fp8::Format f, fp8::Rounding rounding, double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int lsb = Exponent(f, x) - f.mantissa_bits;
  const double scaled = std::ldexp(std::abs(x), -lsb);  // < 2^(mantissa_bits + 1)
  double whole = std::trunc(scaled);
  if (rounding == fp8::Rounding::kNearestEven) {
    const double rest = scaled - whole;
    const bool odd = std::fmod(whole, 2) == 1;
    if (rest > 0.5 || (rest == 0.5 && odd)) whole += 1;
  }
  double magnitude = std::ldexp(whole, lsb);
  const int beyond = (1 << f.exponent_bits) - 1 - f.bias;  // 2^beyond: the first that does not fit
  if (magnitude >= std::ldexp(1.0, beyond)) magnitude = HUGE_VAL;
  return std::copysign(magnitude, x);
}

/// The word of a number that `f`, an IEEE-style format without pad, holds exactly. The only NaN is
/// the positive one with all mantissa bits set.
inline uint32_t Word(fp8::Format f, double x) {
  const uint32_t one_field = 1u << f.mantissa_bits;
  const uint32_t infinity = ((1u << f.exponent_bits) - 1) * one_field;
  if (std::isnan(x)) return infinity + (one_field - 1);
  const uint32_t sign = std::signbit(x) ? infinity + one_field : 0;
  if (std::isinf(x)) return sign + infinity;
  if (x == 0) return sign;
  const int exponent = Exponent(f, x);
  // A significand in units of the last bit: its hidden bit, if there, makes the field one larger.
  const double significand = std::ldexp(std::abs(x), f.mantissa_bits - exponent);
  const uint32_t field = static_cast<uint32_t>(exponent - (1 - f.bias));
  return sign + field * one_field + static_cast<uint32_t>(significand);
}

/// One addend of a group: its value and the exponent it is aligned by.
struct Term {
  double value;
  int exponent;
};

/// One fused group: the sum of the products and of c, every term cut to the group's grid, rounded
/// once. `operand_a` and `operand_b` are the formats whose exponents count.
inline uint32_t Group(const AccumSpec& spec, fp8::Format operand_a, fp8::Format operand_b,
                      const std::vector<double>& a, const std::vector<double>& b, uint32_t c_word) {
  // Exact products. One in [2, 4) keeps the sum of its operands' exponents.
  std::vector<Term> terms;
  double special = 0;  // the sum of what is not finite: NaN, Inf * 0 and Inf - Inf give NaN
  for (size_t i = 0; i < a.size(); ++i) {
    const double product = a[i] * b[i];
    if (!std::isfinite(product)) {
      special += product;
    } else if (product != 0) {
      terms.push_back({product, Exponent(operand_a, a[i]) + Exponent(operand_b, b[i])});
    }
  }
  // c is aligned like a product.
  const double c = Value(spec.acc, c_word);
  if (!std::isfinite(c)) {
    special += c;
  } else if (c != 0) {
    terms.push_back({c, Exponent(spec.acc, c)});
  }
  if (special != 0) return Word(spec.acc, special);

  int e_max = spec.e_zero;
  for (const Term& t : terms) e_max = std::max(e_max, t.exponent);

  double sum = 0;  // in units of the grid 2^(e_max - F); an empty or cancelled sum is +0
  for (const Term& t : terms) sum += std::trunc(std::ldexp(t.value, spec.fraction_bits - e_max));

  return Word(spec.acc,
              RoundTo(spec.out, spec.rounding, std::ldexp(sum, e_max - spec.fraction_bits)));
}

/// x + y, one ordinary addition to nearest even. The double sum is exact for FP16 (41 bits span its
/// range). For FP32 it may round, but 53 >= 2 * 24 + 2 bits make a second rounding harmless: S. A.
/// Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995.
inline uint32_t AddNearestEven(fp8::Format acc, uint32_t x, uint32_t y) {
  return Word(acc, RoundTo(acc, fp8::Rounding::kNearestEven, Value(acc, x) + Value(acc, y)));
}

/// One instruction: the products of n codes each of a and b, n <= spec.k, plus the word c. Products
/// beyond n are zero; the groups they would fill still run.
inline uint32_t Instruction(const AccumSpec& spec, const uint32_t* a, const uint32_t* b, int n,
                            uint32_t c) {
  std::vector<double> group_a, group_b;
  const auto gather = [&](auto belongs) {
    group_a.clear();
    group_b.clear();
    for (int i = 0; i < n; ++i) {
      if (!belongs(i)) continue;
      group_a.push_back(Value(spec.a, a[i]));
      group_b.push_back(Value(spec.b, b[i]));
    }
  };
  if (spec.flow == Flow::kChained) {
    for (int first = 0; first < spec.k; first += spec.group) {
      gather([&](int i) { return i >= first && i < first + spec.group; });
      c = Group(spec, spec.a, spec.b, group_a, group_b, c);
    }
    return c;
  }
  // FP8 where it is emulated: every operand is converted to FP16, which is exact, and from then on
  // has an FP16 number's exponent. Two FP16 instructions from zero, then c.
  uint32_t sum = 0;
  gather([](int i) { return i % 4 == 0 || i % 4 == 1; });
  sum = Group(spec, fp8::kFP16, fp8::kFP16, group_a, group_b, sum);
  gather([](int i) { return i % 4 == 2 || i % 4 == 3; });
  sum = Group(spec, fp8::kFP16, fp8::kFP16, group_a, group_b, sum);
  return AddNearestEven(spec.acc, sum, c);
}

/// A dot product of n codes: instructions over increasing k, each result the next one's c.
inline uint32_t Chain(const AccumSpec& spec, const uint32_t* a, const uint32_t* b, int64_t n,
                      uint32_t c) {
  for (int64_t first = 0; first < n; first += spec.k) {
    const int count = static_cast<int>(std::min<int64_t>(spec.k, n - first));
    c = Instruction(spec, a + first, b + first, count, c);
  }
  return c;
}

}  // namespace lostbits::sim::spec

#endif  // LOSTBITS_SIM_SPEC_H_
