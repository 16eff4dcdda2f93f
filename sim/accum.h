// What a matrix unit does to a sum: the whole subject on one page.
//
// One fused group takes L products and the accumulator c, aligns all of them to the largest
// exponent among them, cuts each to F fraction bits below it, adds exactly, and rounds once:
//
//   1. Inf and NaN decide at once, if there are any.
//   2. e_max = the largest exponent of any nonzero product or c. A product's exponent is the sum of
//      its operands' exponents; a product in [2, 4) is not renormalised, a subnormal keeps the
//      exponent of the smallest normal.
//   3. Each term is cut toward zero to a multiple of 2^(e_max - F).   <- this is where bits go
//   4. The cut terms are added exactly. A zero sum is +0.
//   5. The sum is rounded to the output.
//
// Longer sums chain: each group's rounded result is the next group's c.
// Equal to sim/spec.h, which says the same by value, on generated cases.
#ifndef LOSTBITS_SIM_ACCUM_H_
#define LOSTBITS_SIM_ACCUM_H_

#include <cstdint>

#include "fp8/codec.h"
#include "sim/arch.h"

namespace lostbits::sim {

using fp8::Class;
using fp8::Unpacked;

/// One addend: (-1)^negative * significand * 2^(exponent - fraction_bits). `exponent` is the one
/// that takes part in finding the maximum, whatever the significand's own leading bit.
struct Term {
  int exponent;
  int fraction_bits;
  bool negative;
  uint64_t significand;  ///< 0 for a zero term, which has no say in the maximum
};

FP8_HD constexpr Term Product(const Unpacked& a, const Unpacked& b) {
  return {a.exponent + b.exponent, a.fraction_bits + b.fraction_bits, a.negative != b.negative,
          a.significand * b.significand};
}
FP8_HD constexpr Term Addend(const Unpacked& c) {
  return {c.exponent, c.fraction_bits, c.negative, c.significand};
}

/// The term in units of 2^(e_max - fraction_bits), cut toward zero. t.exponent <= e_max unless t is
/// zero: a zero's exponent may lie anywhere and must not reach the shift.
FP8_HD constexpr int64_t Align(const Term& t, int e_max, int fraction_bits) {
  if (t.significand == 0) return 0;
  const int left = fraction_bits + t.exponent - e_max - t.fraction_bits;
  const uint64_t cut = left >= 0 ? t.significand << left : left > -64 ? t.significand >> -left : 0;
  return t.negative ? -static_cast<int64_t>(cut) : static_cast<int64_t>(cut);
}

/// sum * 2^lsb rounded once to `out`. Beyond the range: Inf, also under truncation. A sum of
/// exactly zero is +0; a nonzero sum that underflows keeps its sign.
FP8_HD constexpr uint32_t RoundOut(fp8::Format out, fp8::Rounding rounding, int64_t sum, int lsb) {
  if (sum == 0) return 0;
  const Unpacked exact{Class::kFinite, sum < 0, lsb, 0,
                       sum < 0 ? -static_cast<uint64_t>(sum) : static_cast<uint64_t>(sum)};
  const fp8::EncodePolicy policy{.rounding = rounding, .overflow = fp8::Overflow::kToSpecial};
  return static_cast<uint32_t>(fp8::Pack(out, exact, policy).code);
}

/// The one NaN a matrix unit returns: 0x7FFFFFFF, or 0x7FFF in FP16.
FP8_HD constexpr uint32_t CanonicalNan(fp8::Format acc) {
  return static_cast<uint32_t>(fp8::NanCode(acc, false, {}));
}
FP8_HD constexpr uint32_t Infinity(fp8::Format acc, bool negative) {
  return static_cast<uint32_t>((fp8::MaxMagnitude(acc) + 1) | (negative ? fp8::SignMask(acc) : 0));
}

/// Inf and NaN among the operands of a group, gathered term by term.
struct SpecialScan {
  bool nan = false, plus_inf = false, minus_inf = false;

  FP8_HD constexpr void AddInf(bool negative) { (negative ? minus_inf : plus_inf) = true; }
  FP8_HD constexpr void AddProduct(const Unpacked& a, const Unpacked& b) {
    if (a.cls == Class::kNan || b.cls == Class::kNan) nan = true;
    if (a.cls != Class::kInf && b.cls != Class::kInf) return;
    if (a.cls == Class::kZero || b.cls == Class::kZero) nan = true;  // Inf * 0
    AddInf(a.negative != b.negative);
  }
  FP8_HD constexpr void AddAddend(const Unpacked& c) {
    if (c.cls == Class::kNan) nan = true;
    if (c.cls == Class::kInf) AddInf(c.negative);
  }
  FP8_HD constexpr bool Any() const { return nan || plus_inf || minus_inf; }
  FP8_HD constexpr uint32_t Word(fp8::Format acc) const {
    return nan || (plus_inf && minus_inf) ? CanonicalNan(acc) : Infinity(acc, minus_inf);
  }
};

/// One fused group: a[i] * b[i] for i < n, plus c. n <= spec.group; missing products count as zero.
/// a and b are operands already taken apart; c and the result are words of spec.acc.
FP8_HD constexpr uint32_t DotGroup(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                   int n, uint32_t c_word) {
  const Unpacked c = fp8::Unpack(spec.acc, c_word);
  SpecialScan specials;
  specials.AddAddend(c);
  // A zero c still lies below every exponent that e_zero lets through.
  int e_max = spec.e_zero;
  if (c.significand != 0) e_max = fp8::Max(e_max, c.exponent);
  for (int i = 0; i < n; ++i) {
    specials.AddProduct(a[i], b[i]);
    const Term t = Product(a[i], b[i]);
    if (t.significand != 0) e_max = fp8::Max(e_max, t.exponent);
  }
  if (specials.Any()) return specials.Word(spec.acc);

  int64_t sum = Align(Addend(c), e_max, spec.fraction_bits);
  for (int i = 0; i < n; ++i) sum += Align(Product(a[i], b[i]), e_max, spec.fraction_bits);
  return RoundOut(spec.out, spec.rounding, sum, e_max - spec.fraction_bits);
}

/// x + y as one ordinary IEEE addition in `acc`, to nearest even (FADD, HADD2), except that the NaN
/// is the canonical one. Subnormals are kept.
FP8_HD constexpr uint32_t AddNearestEven(fp8::Format acc, uint32_t x_word, uint32_t y_word) {
  Unpacked x = fp8::Unpack(acc, x_word), y = fp8::Unpack(acc, y_word);
  SpecialScan specials;
  specials.AddAddend(x);
  specials.AddAddend(y);
  if (specials.Any()) return specials.Word(acc);
  if (x.significand == 0 && y.significand == 0) return x_word & y_word;  // -0 only from -0 + -0
  if (x.significand == 0) return y_word;
  if (y.significand == 0) return x_word;
  if (x.exponent < y.exponent) {
    const Unpacked swap = x;
    x = y;
    y = swap;
  }
  // 30 bits below x's last one and a sticky bit decide every rounding: if y reaches deeper than
  // that, the sum cancels at most one leading bit of x.
  constexpr int kGuard = 30;
  const int64_t big = static_cast<int64_t>(x.significand << kGuard);
  const int64_t small =
      static_cast<int64_t>(fp8::RoundShift(y.significand << kGuard, x.exponent - y.exponent,
                                           fp8::Rounding::kToOdd, y.negative)
                               .value);
  const int64_t sum = (x.negative ? -big : big) + (y.negative ? -small : small);
  return RoundOut(acc, fp8::Rounding::kNearestEven, sum, x.exponent - x.fraction_bits - kGuard);
}

/// The most products any instruction of the table takes.
inline constexpr int kMaxInstructionK = 64;

/// One instruction: a[i] * b[i] for i < n, plus c. n <= spec.k; missing products count as zero, and
/// every group of the instruction runs.
FP8_HD constexpr uint32_t DotInstruction(const AccumSpec& spec, const Unpacked* a,
                                         const Unpacked* b, int n, uint32_t c_word) {
  if (spec.flow == Flow::kChained) {
    for (int i = 0; i < spec.k; i += spec.group) {
      const int here = fp8::Max(0, fp8::Min(spec.group, n - i));
      c_word = DotGroup(spec, a + (here ? i : 0), b + (here ? i : 0), here, c_word);
    }
    return c_word;
  }
  uint32_t t = 0;
  for (int half = 0; half < 2; ++half) {
    Unpacked ga[kMaxInstructionK], gb[kMaxInstructionK];
    int count = 0;
    for (int i = 0; i < n; ++i) {
      if (i % 4 / 2 != half) continue;
      ga[count] = a[i];
      gb[count++] = b[i];
    }
    t = DotGroup(spec, ga, gb, count, t);
  }
  return AddNearestEven(spec.acc, t, c_word);
}

/// A whole dot product: instructions over increasing k, each result the next one's c.
FP8_HD constexpr uint32_t DotChain(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                   int64_t n, uint32_t c_word) {
  for (int64_t i = 0; i < n; i += spec.k) {
    const int here = static_cast<int>(n - i < spec.k ? n - i : spec.k);
    c_word = DotInstruction(spec, a + i, b + i, here, c_word);
  }
  return c_word;
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ACCUM_H_
