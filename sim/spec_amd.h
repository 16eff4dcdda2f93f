// The groups of sim/accum_amd.h, said by value: exact sums, AMD CDNA2's tree, AMD CDNA3's late
// addend. Written from the published descriptions, not from accum_amd.h.
#ifndef LOSTBITS_SIM_SPEC_AMD_H_
#define LOSTBITS_SIM_SPEC_AMD_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/spec_value.h"

namespace lostbits::sim::spec {

/// The sum of `addends` rounded to odd: a double whose last bit is 1 if the sum is not a double. To
/// round it once more, to 51 bits or fewer, is to round the exact sum.
inline double SumToOdd(const std::vector<double>& addends) {
  // The exact sum as doubles whose bits do not overlap, smallest first: J. R. Shewchuk, "Adaptive
  // Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", Discrete &
  // Computational Geometry 18, 1997, figures 4 and 6.
  std::vector<double> parts;
  for (double x : addends) {
    for (double& part : parts) {
      const double sum = x + part;
      const double of_part = sum - x, of_x = sum - of_part;
      part = (x - of_x) + (part - of_part);  // what the addition lost
      x = sum;
    }
    parts.push_back(x);
  }
  // From the largest down, until a double cannot hold them.
  double top = 0, lost = 0;
  for (size_t i = parts.size(); i > 0 && lost == 0; --i) {
    const double sum = top + parts[i - 1];
    lost = parts[i - 1] - (sum - top);
    top = sum;
  }
  if (lost == 0) return top;
  const double last_bit = std::ldexp(1.0, std::ilogb(top) - 52);
  if (std::fmod(std::abs(top) / last_bit, 2) == 1) return top;
  // The sum lies strictly between an even double and its neighbour, which is odd.
  return std::nextafter(top, lost > 0 ? HUGE_VAL : -HUGE_VAL);
}

/// Flow::kExact: c and all products, one rounding. One product: fma, in the format of c.
inline uint64_t ExactGroup(const AccumSpec& spec, const std::vector<Product>& products,
                           uint64_t c_word) {
  const double c = Value(spec.acc, c_word);
  if (products.size() == 1) {
    const auto [a, b, scale_a, scale_b] = products[0];
    if (spec.acc == fp8::kFP64) return Word(spec.acc, std::fma(a, b, c));
    const float sum = std::fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c));
    return Word(spec.acc, static_cast<double>(sum));
  }
  // Products of 24 significant bits each are exact.
  std::vector<double> addends = {c};
  double special = 0;  // as in Group
  for (const Product& p : products) addends.push_back(p.a * p.b);
  for (double x : addends) {
    if (!std::isfinite(x)) special += x;
  }
  if (special != 0) return Word(spec.acc, special);
  const double sum = SumToOdd(addends);  // + 0.0: a zero sum is +0
  return Word(spec.acc, Rounded(spec, sum + 0.0));
}

/// x, or a zero if x is subnormal in `f`: of the sign of x; or +0, also for a zero (mmasim 2.1.1,
/// ftz_mul_add.py).
inline double FlushedResult(fp8::Format f, double x) {
  return std::abs(x) < std::ldexp(1.0, SmallestExponent(f)) ? std::copysign(0.0, x) : x;
}
inline double FlushedInput(fp8::Format f, double x) {
  return std::abs(x) < std::ldexp(1.0, SmallestExponent(f)) ? 0.0 : x;
}

/// Flow::kTree: products in pairs, the pairs' sums, then c. Every step is rounded.
inline uint64_t TreeGroup(const AccumSpec& spec, const std::vector<Product>& products,
                          uint64_t c_word) {
  const auto result = [&](double x) { return spec.flush ? FlushedResult(spec.acc, x) : x; };
  const auto add = [&](double x, double y) { return result(Sum(spec.acc, x, y)); };
  std::vector<double> level;
  for (const Product& p : products) {
    const double a = spec.flush ? FlushedInput(spec.a, p.a) : p.a;
    const double b = spec.flush ? FlushedInput(spec.b, p.b) : p.b;
    level.push_back(result(Rounded(spec, a * b)));
  }
  while (level.size() > 1) {
    for (size_t i = 0; i < level.size() / 2; ++i) level[i] = add(level[2 * i], level[2 * i + 1]);
    level.resize(level.size() / 2);
  }
  return Word(spec.acc, add(Value(spec.acc, c_word), level[0]));
}

/// The sum of terms, each cut toward zero to `fraction_bits` below the largest exponent among them.
struct CutSum {
  double value = 0;
  int exponent = -10'000;  ///< of no term: below everything
};
inline CutSum SumCut(const std::vector<Term>& terms, int fraction_bits) {
  CutSum sum;
  for (const Term& t : terms) sum.exponent = std::max(sum.exponent, t.exponent);
  for (const Term& t : terms) sum.value += CutTo(sum.exponent - fraction_bits, t.value);
  return sum;
}

/// Flow::kLateFloor and kLateFloorPairs: TR-FDPA and GTR-FDPA.
inline uint64_t LateFloorGroup(const AccumSpec& spec, const std::vector<Product>& products,
                               uint64_t c_word) {
  const bool pairs = spec.flow == Flow::kLateFloorPairs;
  const int f = spec.fraction_bits;
  const double c = Value(spec.acc, c_word);
  double special = std::isfinite(c) ? 0 : c;
  std::vector<Term> even, odd;
  for (size_t i = 0; i < products.size(); ++i) {
    const auto [a, b, scale_a, scale_b] = products[i];
    double product = a * b;
    if (std::abs(product) >= 0x1p128) product = std::copysign(HUGE_VAL, product);
    if (!std::isfinite(product)) {
      special += product;
    } else if (product != 0) {
      auto& terms = pairs && i % 2 == 1 ? odd : even;
      terms.push_back({product, Exponent(spec.a, a) + Exponent(spec.b, b)});
    }
  }
  if (special != 0) return Word(spec.acc, special);

  CutSum dot = SumCut(even, f);
  if (pairs) {
    const CutSum other = SumCut(odd, f);
    const int lsb = std::max(dot.exponent, other.exponent) - f;
    dot = {FloorTo(lsb, dot.value) + FloorTo(lsb, other.value), lsb + f};
  }

  const int e_c = c == 0 ? spec.e_zero : std::max(Exponent(spec.acc, c), spec.e_zero);
  const int e_max = std::max(dot.exponent, e_c);
  double kept_c = FloorTo(e_max - f, c);
  if (pairs && e_c < e_max - f - 1) kept_c = 0;
  double sum = FloorTo(e_max - spec.sum_bits, dot.value) + kept_c;
  if (spec.final_bits != 0 && sum != 0)
    sum = FloorTo(Exponent(spec.acc, sum) - spec.final_bits, sum);
  return Word(spec.acc, Rounded(spec, sum));
}

}  // namespace lostbits::sim::spec

#endif  // LOSTBITS_SIM_SPEC_AMD_H_
