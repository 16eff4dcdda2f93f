// What a matrix unit does to a sum, said by value: start reading here.
//
// The same functions as sim/accum.h, written with numbers instead of bits, so that each line can be
// held against a paper. Slow on purpose; a test proves the two equal. Nothing here is shared with
// accum.h but the table's types. Numbers and codes: sim/spec_value.h. Machines that do not align
// everything at once: sim/spec_amd.h.
//
// Every double below is exact, so no rounding hides in the arithmetic itself:
//   - operands have at most 24 significant bits, so a product has at most 48; where there are block
//     scales, all four factors have 4 or fewer;
//   - a term on the group's grid is an integer below 2^(F+2), at most 65 of them, F <= 25, so every
//     partial sum is an integer below 2^34 (a double holds 2^53);
//   - a block of 16 products of FP4 is a multiple of 1/4 below 1024, both scales' significands are
//     below 4: a term below 2^(F+12), at most 5 of them, F = 35, so below 2^50;
//   - everything else is a multiplication by a power of two, with exponents within +-700.
// FP64 has no grid: sim/spec_amd.h, ExactGroup.
#ifndef LOSTBITS_SIM_SPEC_H_
#define LOSTBITS_SIM_SPEC_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "sim/spec_amd.h"
#include "sim/spec_value.h"

namespace lostbits::sim::spec {

/// What both scales of a product add to its exponent.
inline int ScaleExponent(const AccumSpec& spec, const Product& p) {
  if (spec.block == 0) return 0;
  return Exponent(spec.scale, p.scale_a) + Exponent(spec.scale, p.scale_b);
}

/// Products that FP4 units with scales add exactly before anything is aligned.
inline constexpr size_t kExactBlock = 16;

/// One fused group: the sum of the products and of c, every term cut to the group's grid, rounded
/// once. `operand_a` and `operand_b` are the formats whose exponents count.
inline uint64_t Group(const AccumSpec& spec, fp8::Format operand_a, fp8::Format operand_b,
                      const std::vector<Product>& products, uint64_t c_word) {
  std::vector<Term> terms;
  double special = 0;  // the sum of what is not finite: NaN, Inf * 0 and Inf - Inf give NaN
  if (spec.flow == Flow::kBlockDot) {
    // The size of a block's sum does not count, only its scales do; and a block that merely
    // cancels to zero counts like any other.
    for (size_t first = 0; first < products.size(); first += kExactBlock) {
      const Product& scales = products[first];
      const double scale = scales.scale_a * scales.scale_b;
      double dot = 0;
      bool all_zero = true;
      for (size_t i = first; i < std::min(first + kExactBlock, products.size()); ++i) {
        dot += products[i].a * products[i].b;
        all_zero = all_zero && products[i].a * products[i].b == 0;
      }
      if (!std::isfinite(dot * scale)) {
        special += dot * scale;
      } else if (!all_zero && scale != 0) {
        terms.push_back({dot * scale, ScaleExponent(spec, scales)});
      }
    }
  } else {
    // A product in [2, 4) keeps the sum of its operands' exponents.
    for (const Product& p : products) {
      const double value = p.a * p.b * p.scale_a * p.scale_b;
      if (!std::isfinite(value)) {
        special += value;
      } else if (value != 0) {
        const int exponent = Exponent(operand_a, p.a) + Exponent(operand_b, p.b);
        terms.push_back({value, exponent + ScaleExponent(spec, p)});
      }
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

  double sum = 0;  // an empty or cancelled sum is +0
  for (const Term& t : terms) sum += CutTo(e_max - spec.fraction_bits, t.value);
  return Word(spec.acc, Rounded(spec, sum));
}

/// The codes of block scales: one of a and one of b every spec.block products.
struct ScaleCodes {
  const uint64_t* a = nullptr;
  const uint64_t* b = nullptr;
};

/// One instruction: the products of n codes each of a and b, n <= spec.k, plus the word c. Products
/// beyond n are zero; the groups they would fill still run.
inline uint64_t Instruction(const AccumSpec& spec, const uint64_t* a, const uint64_t* b, int n,
                            uint64_t c, ScaleCodes scales = {}) {
  std::vector<Product> products(static_cast<size_t>(spec.k));
  for (int i = 0; i < spec.k; ++i) {
    Product& p = products[static_cast<size_t>(i)];
    if (i < n) p.a = Value(spec.a, a[i]);
    if (i < n) p.b = Value(spec.b, b[i]);
    if (spec.block == 0) continue;
    // The sign of a scale is ignored.
    p.scale_a = std::abs(Value(spec.scale, scales.a[i / spec.block]));
    p.scale_b = std::abs(Value(spec.scale, scales.b[i / spec.block]));
  }
  if (spec.flow == Flow::kInterleavedLateC) {
    // FP8 where it is emulated: every operand is converted to FP16, which is exact, and from then
    // on has an FP16 number's exponent. Two FP16 instructions from zero, then c.
    std::vector<Product> early, late;
    for (size_t i = 0; i < products.size(); ++i)
      (i % 4 == 0 || i % 4 == 1 ? early : late).push_back(products[i]);
    uint64_t sum = Group(spec, fp8::kFP16, fp8::kFP16, early, 0);
    sum = Group(spec, fp8::kFP16, fp8::kFP16, late, sum);
    return AddNearestEven(spec.acc, sum, c);
  }
  if (spec.flow == Flow::kTree && spec.flush)
    c = Word(spec.acc, FlushedInput(spec.acc, Value(spec.acc, c)));
  for (int first = 0; first < spec.k; first += spec.group) {
    const auto begin = products.begin() + first;
    const std::vector<Product> group(begin, begin + spec.group);
    switch (spec.flow) {
      case Flow::kExact: c = ExactGroup(spec, group, c); break;
      case Flow::kTree: c = TreeGroup(spec, group, c); break;
      case Flow::kLateFloor:
      case Flow::kLateFloorPairs: c = LateFloorGroup(spec, group, c); break;
      case Flow::kChained:
      case Flow::kInterleavedLateC:
      case Flow::kBlockDot: c = Group(spec, spec.a, spec.b, group, c); break;
    }
  }
  return c;
}

/// A dot product of n codes: instructions over increasing k, each result the next one's c.
inline uint64_t Chain(const AccumSpec& spec, const uint64_t* a, const uint64_t* b, int64_t n,
                      uint64_t c, ScaleCodes scales = {}) {
  for (int64_t first = 0; first < n; first += spec.k) {
    const int count = static_cast<int>(std::min<int64_t>(spec.k, n - first));
    c = Instruction(spec, a + first, b + first, count, c, scales);
    if (spec.block == 0) continue;
    scales.a += spec.k / spec.block;
    scales.b += spec.k / spec.block;
  }
  return c;
}

}  // namespace lostbits::sim::spec

#endif  // LOSTBITS_SIM_SPEC_H_
