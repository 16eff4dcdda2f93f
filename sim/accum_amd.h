// Groups of the machines that do not align everything at once: exact sums and fma chains, AMD
// CDNA2's tree of rounded sums, AMD CDNA3's late addend. Each returns the word of the next c.
// Twins by value: sim/spec_amd.h.
#ifndef LOSTBITS_SIM_ACCUM_AMD_H_
#define LOSTBITS_SIM_ACCUM_AMD_H_

#include <cstdint>

#include "sim/term.h"
#include "sim/wide.h"

namespace lostbits::sim {

/// Flow::kExact. A zero sum is +0; but an fma (group 1) of -0 and -0 gives -0 (IEEE 754-2019 6.3).
template <class Watch>
FP8_HD constexpr uint64_t ExactGroup(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                     int n, int first, uint64_t c_word, Watch& watch) {
  const Unpacked c = fp8::Unpack(spec.acc, c_word);
  const SpecialScan specials = ScanSpecials(a, b, n, c);
  if (specials.Any()) {
    const uint64_t word = specials.Word(spec.acc);
    if constexpr (Watch::kOn) watch(spec, Step{.kind = Step::kSpecial, .word = word});
    return word;
  }
  WideSum sum(spec);
  sum.AddAddend(c);
  bool all_minus_zero = spec.group == 1 && n == 1 && c.significand == 0 && c.negative;
  for (int i = 0; i < n; ++i) {
    sum.AddProduct(a[i], b[i]);
    const bool zero = a[i].significand == 0 || b[i].significand == 0;
    all_minus_zero = all_minus_zero && zero && a[i].negative != b[i].negative;
  }
  const uint64_t word = all_minus_zero ? fp8::SignMask(spec.acc) : sum.Round(spec);
  if constexpr (Watch::kOn) {
    Term terms[kMaxGroupTerms];
    for (int i = 0; i < n; ++i) terms[i] = Product(a[i], b[i], first + i);
    terms[n] = Addend(c);
    watch(spec, Step{.kind = Step::kExact, .terms = terms, .count = n + 1, .word = word});
  }
  return word;
}

/// Below the smallest normal number. A zero counts: a flush to +0 takes its sign too (MM1 and MM2,
/// whose test for it is |x| < 2^-126).
FP8_HD constexpr bool Flushes(const Unpacked& x) {
  const bool number = x.cls == Class::kFinite || x.cls == Class::kZero;
  return number && x.significand >> x.fraction_bits == 0;
}
/// Such a number as a zero: +0, or of its own sign. Other words as they are.
FP8_HD constexpr uint64_t Flush(fp8::Format f, uint64_t word, bool keep_sign) {
  const Unpacked x = fp8::Unpack(f, word);
  return !Flushes(x) ? word : keep_sign && x.negative ? fp8::SignMask(f) : 0;
}

/// One product rounded to spec.acc, with spec.flush.
FP8_HD constexpr uint64_t RoundedProduct(const AccumSpec& spec, const Unpacked& a,
                                         const Unpacked& b, const Term& term) {
  SpecialScan specials;
  specials.AddProduct(a, b);
  if (specials.Any()) return specials.Word(spec.acc);
  if (term.significand == 0) return term.negative ? fp8::SignMask(spec.acc) : 0;
  const int64_t significand = static_cast<int64_t>(term.significand);
  const uint64_t word = RoundOut(spec, term.negative ? -significand : significand,
                                 term.exponent - term.fraction_bits);
  return spec.flush ? Flush(spec.acc, word, true) : word;
}

/// Flow::kTree: (p0 + p1), or (p0 + p1) + (p2 + p3); then c + that. Every product and every sum is
/// rounded, and flushed if spec.flush. group is 2 or 4. Missing products are 0 * 0.
template <class Watch>
FP8_HD constexpr uint64_t TreeGroup(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                    int n, int first, uint64_t c_word, Watch& watch) {
  uint64_t words[4] = {};
  for (int i = 0; i < n; ++i) {
    Unpacked x = a[i], y = b[i];
    // Subnormal operands count as +0, and so does -0.
    if (spec.flush && Flushes(x))
      x = {.cls = Class::kZero, .exponent = x.exponent, .fraction_bits = x.fraction_bits};
    if (spec.flush && Flushes(y))
      y = {.cls = Class::kZero, .exponent = y.exponent, .fraction_bits = y.fraction_bits};
    const Term term = Product(x, y, first + i);
    words[i] = RoundedProduct(spec, x, y, term);
    if constexpr (Watch::kOn)
      watch(spec, Step{.kind = Step::kMultiply, .terms = &term, .count = 1, .word = words[i]});
  }
  const auto add = [&](uint64_t x, uint64_t y, Origin origin) {
    const uint64_t sum = AddNearestEven(spec.acc, x, y);
    const uint64_t word = spec.flush ? Flush(spec.acc, sum, true) : sum;
    if constexpr (Watch::kOn) {
      const Term terms[2] = {Addend(fp8::Unpack(spec.acc, x), origin),
                             Addend(fp8::Unpack(spec.acc, y), Origin::kPartial)};
      watch(spec, Step{.kind = Step::kAdd, .terms = terms, .count = 2, .word = word});
    }
    return word;
  };
  uint64_t sum = add(words[0], words[1], Origin::kPartial);
  if (spec.group == 4) sum = add(sum, add(words[2], words[3], Origin::kPartial), Origin::kPartial);
  return add(c_word, sum, Origin::kAddend);
}

/// A sum of terms on a grid of its own: sum * 2^(exponent - fraction_bits).
struct GridSum {
  int64_t sum;
  int exponent;  ///< the largest among the terms that count; kNothing if none does
};
inline constexpr int kNothing = -10'000;

/// Every `stride`-th of the terms from `begin`, cut toward zero to spec.fraction_bits below the
/// largest exponent among them, and added.
template <class Watch>
FP8_HD constexpr GridSum SumProducts(const AccumSpec& spec, const Term* terms, int n, int begin,
                                     int stride, Watch& watch) {
  GridSum total{0, kNothing};
  for (int i = begin; i < n; i += stride) {
    if (terms[i].counts) total.exponent = fp8::Max(total.exponent, terms[i].exponent);
  }
  for (int i = begin; i < n; i += stride)
    total.sum += Align(terms[i], total.exponent, spec.fraction_bits);
  if constexpr (Watch::kOn) {
    Term taken[kMaxGroupTerms];
    int64_t kept[kMaxGroupTerms];
    int count = 0;
    for (int i = begin; i < n; i += stride) {
      taken[count] = terms[i];
      kept[count++] = Align(terms[i], total.exponent, spec.fraction_bits);
    }
    watch(spec, Step{.kind = Step::kProducts,
                     .terms = taken,
                     .kept = kept,
                     .count = count,
                     .e_max = total.exponent,
                     .lsb = total.exponent - spec.fraction_bits,
                     .sum = total.sum});
  }
  return total;
}

/// A GridSum as an addend of a later step.
FP8_HD constexpr Term AsTerm(const AccumSpec& spec, const GridSum& x, Origin origin) {
  return {x.exponent,       spec.fraction_bits,     x.sum < 0,
          Magnitude(x.sum), x.exponent != kNothing, origin};
}

/// Flow::kLateFloor and kLateFloorPairs: the products on a grid of their own (two, for even and odd
/// k); then their sum and c, both cut toward minus infinity to a common grid; that sum cut toward
/// minus infinity once more to final_bits, and rounded.
template <class Watch>
FP8_HD constexpr uint64_t LateFloorGroup(const AccumSpec& spec, const Unpacked* a,
                                         const Unpacked* b, int n, int first, uint64_t c_word,
                                         Watch& watch) {
  const Unpacked c = fp8::Unpack(spec.acc, c_word);
  SpecialScan specials = ScanSpecials(a, b, n, c);
  Term terms[kMaxGroupTerms] = {};
  for (int i = 0; i < n; ++i) {
    terms[i] = Product(a[i], b[i], first + i);
    // A product beyond FP32's range is Inf before anything is added (MM2, tr_fdpa). FP32's, for no
    // row of this flow has another accumulator.
    const bool doubled = terms[i].significand >> (terms[i].fraction_bits + 1) != 0;
    const bool finite = a[i].cls == Class::kFinite && b[i].cls == Class::kFinite;
    if (finite && terms[i].exponent + doubled >= 128) specials.AddInf(terms[i].negative);
  }
  if (specials.Any()) {
    const uint64_t word = specials.Word(spec.acc);
    if constexpr (Watch::kOn) watch(spec, Step{.kind = Step::kSpecial, .word = word});
    return word;
  }

  const bool pairs = spec.flow == Flow::kLateFloorPairs;
  const int f = spec.fraction_bits;
  GridSum products = SumProducts(spec, terms, n, 0, pairs ? 2 : 1, watch);
  if (pairs) {
    const GridSum even = products, odd = SumProducts(spec, terms, n, 1, 2, watch);
    products.exponent = fp8::Max(even.exponent, odd.exponent);
    const int64_t kept[2] = {ShiftDown(even.sum, even.exponent - products.exponent),
                             ShiftDown(odd.sum, odd.exponent - products.exponent)};
    products.sum = kept[0] + kept[1];
    if constexpr (Watch::kOn) {
      const Term both[2] = {AsTerm(spec, even, Origin::kEven), AsTerm(spec, odd, Origin::kOdd)};
      watch(spec, Step{.kind = Step::kMergedPairs,
                       .terms = both,
                       .kept = kept,
                       .count = 2,
                       .e_max = products.exponent,
                       .lsb = products.exponent - f,
                       .sum = products.sum});
    }
  }

  // c is cut f bits below the larger exponent, the products' sum sum_bits below.
  const int e_c = c.significand == 0 ? spec.e_zero : fp8::Max(c.exponent, spec.e_zero);
  const int e_max = fp8::Max(products.exponent, e_c);
  const int lsb = e_max - spec.sum_bits;
  const int64_t c_units =
      c.negative ? -static_cast<int64_t>(c.significand) : static_cast<int64_t>(c.significand);
  // Pairs only: a c this far below the products is nothing, not minus one unit (MM2, gtr_fdpa).
  const bool c_gone = pairs && e_c < e_max - f - 1;
  const int64_t kept_c = c_gone ? 0 : ShiftDown(c_units, c.exponent - e_max + f - c.fraction_bits);
  const int64_t kept[2] = {ShiftDown(products.sum, products.exponent - e_max + spec.sum_bits - f),
                           kept_c << (spec.sum_bits - f)};
  const int64_t sum = kept[0] + kept[1];

  // final_bits below the sum's own leading bit, or below the smallest normal number's.
  const int leading = fp8::Max(lsb + fp8::BitWidth(Magnitude(sum)) - 1, fp8::MinExponent(spec.acc));
  const int drop = spec.final_bits == 0 ? 0 : fp8::Max(0, leading - spec.final_bits - lsb);
  const uint64_t word = RoundOut(spec, ShiftDown(sum, -drop), lsb + drop);
  if constexpr (Watch::kOn) {
    const Term both[2] = {AsTerm(spec, products, Origin::kProducts), Addend(c)};
    watch(spec, Step{.kind = Step::kLateSum,
                     .terms = both,
                     .kept = kept,
                     .count = 2,
                     .e_max = e_max,
                     .lsb = lsb,
                     .sum = sum,
                     .word = word});
  }
  return word;
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ACCUM_AMD_H_
