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
// Longer sums chain: each group's rounded result is the next group's c. Block scales add to their
// products' exponents. Machines that do otherwise: sim/accum_amd.h.
// Equal to sim/spec.h, which says the same by value, on generated cases.
#ifndef LOSTBITS_SIM_ACCUM_H_
#define LOSTBITS_SIM_ACCUM_H_

#include <cstdint>

#include "sim/accum_amd.h"
#include "sim/term.h"

namespace lostbits::sim {

/// The block scales of one instruction, or of a whole dot product: one of a and one of b every
/// spec.block products. Null where spec.block is 0.
struct BlockScales {
  const Unpacked* a = nullptr;
  const Unpacked* b = nullptr;
};

/// A scale's code taken apart. The sign bit of ue4m3 is ignored (numerics section 2).
FP8_HD constexpr Unpacked UnpackScale(fp8::Format scale, uint64_t code) {
  return fp8::Unpack(scale, code & ~fp8::SignMask(scale));
}

/// A term times both scales of its block.
FP8_HD constexpr Term Scaled(Term t, const Unpacked& scale_a, const Unpacked& scale_b) {
  t.exponent += scale_a.exponent + scale_b.exponent;
  t.fraction_bits += scale_a.fraction_bits + scale_b.fraction_bits;
  t.significand *= scale_a.significand * scale_b.significand;
  t.counts = t.counts && scale_a.significand != 0 && scale_b.significand != 0;
  return t;
}

/// Steps 2 to 5: the terms of one group, c among them.
template <class Watch>
FP8_HD constexpr uint64_t FusedSum(const AccumSpec& spec, const Term* terms, int n, Watch& watch) {
  // A zero c still lies below every exponent that e_zero lets through.
  int e_max = spec.e_zero;
  for (int i = 0; i < n; ++i) {
    if (terms[i].counts) e_max = fp8::Max(e_max, terms[i].exponent);
  }
  int64_t sum = 0;
  for (int i = 0; i < n; ++i) sum += Align(terms[i], e_max, spec.fraction_bits);
  const int lsb = e_max - spec.fraction_bits;
  const uint64_t word = RoundOut(spec, sum, lsb);
  if constexpr (Watch::kOn) {
    int64_t kept[kMaxGroupTerms];
    for (int i = 0; i < n; ++i) kept[i] = Align(terms[i], e_max, spec.fraction_bits);
    watch(spec, Step{.kind = Step::kFused,
                     .terms = terms,
                     .kept = kept,
                     .count = n,
                     .e_max = e_max,
                     .lsb = lsb,
                     .sum = sum,
                     .word = word});
  }
  return word;
}

/// Products that Flow::kBlockDot adds exactly (MM2, nv_ptx/sim.py, G).
inline constexpr int kBlockDotLength = 16;

/// The exact sum of up to kBlockDotLength products of small formats, as one term. Its exponent is 0
/// whatever its size; it counts unless every product is zero.
template <class Watch>
FP8_HD constexpr Term BlockDot(const AccumSpec& spec, const Unpacked* a, const Unpacked* b, int n,
                               int first, Watch& watch) {
  // Every product is a multiple of 2^-low.
  const int low = spec.a.mantissa_bits + spec.b.mantissa_bits - fp8::MinExponent(spec.a) -
                  fp8::MinExponent(spec.b);
  Term terms[kBlockDotLength] = {};
  int64_t kept[kBlockDotLength] = {};
  int64_t sum = 0;
  bool counts = false;
  for (int i = 0; i < n; ++i) {
    terms[i] = Product(a[i], b[i], first + i);
    kept[i] = Align(terms[i], 0, low);
    sum += kept[i];
    counts = counts || terms[i].counts;
  }
  if constexpr (Watch::kOn)
    watch(spec, Step{.kind = Step::kBlockSum,
                     .terms = terms,
                     .kept = kept,
                     .count = n,
                     .lsb = -low,
                     .sum = sum});
  return {0, low, sum < 0, Magnitude(sum), counts, Origin::kBlock, first};
}

/// One fused group: a[i] * b[i] for i < n, plus c. n <= spec.group; missing products count as zero.
/// a and b are operands already taken apart; c and the result are words of spec.acc. `scales` are
/// those of the group's own blocks; `first` is the index of its first product, for the watcher.
template <class Watch>
FP8_HD constexpr uint64_t FusedGroup(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                     int n, uint64_t c_word, BlockScales scales, int first,
                                     Watch& watch) {
  const Unpacked c = fp8::Unpack(spec.acc, c_word);
  SpecialScan specials = ScanSpecials(a, b, n, c);
  for (int i = 0; spec.block != 0 && i < spec.group / spec.block; ++i) {
    if (scales.a[i].cls == Class::kNan || scales.b[i].cls == Class::kNan) specials.nan = true;
  }
  if (specials.Any()) {
    const uint64_t word = specials.Word(spec.acc);
    if constexpr (Watch::kOn) watch(spec, Step{.kind = Step::kSpecial, .word = word});
    return word;
  }
  Term terms[kMaxGroupTerms];
  int count = 0;
  const int step = spec.flow == Flow::kBlockDot ? kBlockDotLength : 1;
  for (int i = 0; i < n; i += step) {
    Term t = spec.flow == Flow::kBlockDot
                 ? BlockDot(spec, a + i, b + i, fp8::Min(step, n - i), first + i, watch)
                 : Product(a[i], b[i], first + i);
    if (spec.block != 0) t = Scaled(t, scales.a[i / spec.block], scales.b[i / spec.block]);
    terms[count++] = t;
  }
  terms[count++] = Addend(c);
  return FusedSum(spec, terms, count, watch);
}

/// One group of any flow. Arguments as FusedGroup's.
template <class Watch>
FP8_HD constexpr uint64_t WatchedGroup(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                       int n, uint64_t c_word, BlockScales scales, int first,
                                       Watch& watch) {
  switch (spec.flow) {
    case Flow::kExact: return ExactGroup(spec, a, b, n, first, c_word, watch);
    case Flow::kTree: return TreeGroup(spec, a, b, n, first, c_word, watch);
    case Flow::kLateFloor:
    case Flow::kLateFloorPairs: return LateFloorGroup(spec, a, b, n, first, c_word, watch);
    case Flow::kChained:
    case Flow::kInterleavedLateC:
    case Flow::kBlockDot: break;
  }
  return FusedGroup(spec, a, b, n, c_word, scales, first, watch);
}
FP8_HD constexpr uint64_t DotGroup(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                   int n, uint64_t c_word, BlockScales scales = {}) {
  NoWatch nobody;
  return WatchedGroup(spec, a, b, n, c_word, scales, 0, nobody);
}

/// The most products any instruction of the table takes.
inline constexpr int kMaxInstructionK = 64;

/// An operand as the FP16 number it is converted to where FP8 is emulated: a subnormal gets the
/// exponent of its leading bit, as far down as FP16's smallest. x is of a format that FP16 holds
/// exactly (WhyNoMachine sees to it). Shows beside E5M2 only: in e4m3 * e5m2 the exponent of
/// 2^-9 * 2^15 is 6, not 9, and bits 2^-17 to 2^-19 survive.
FP8_HD constexpr Unpacked AsFp16(Unpacked x) {
  if (x.significand == 0) return x;
  const int shift = fp8::Min(x.fraction_bits + 1 - fp8::BitWidth(x.significand),
                             x.exponent - fp8::MinExponent(fp8::kFP16));
  x.exponent -= shift;
  if (shift >= 0) {
    x.significand <<= shift;
  } else {
    x.fraction_bits -= shift;  // E5M2FNUZ: 2^-15 is normal there and subnormal in FP16
  }
  return x;
}

/// One instruction: a[i] * b[i] for i < n, plus c. n <= spec.k; missing products count as zero, and
/// every group of the instruction runs. `scales` has spec.k / spec.block of each, if spec.block.
template <class Watch>
FP8_HD constexpr uint64_t WatchedInstruction(const AccumSpec& spec, const Unpacked* a,
                                             const Unpacked* b, int n, uint64_t c_word,
                                             BlockScales scales, Watch& watch) {
  if (spec.flow != Flow::kInterleavedLateC) {
    if (spec.flow == Flow::kTree && spec.flush) c_word = Flush(spec.acc, c_word, false);
    for (int i = 0; i < spec.k; i += spec.group) {
      const int here = fp8::Max(0, fp8::Min(spec.group, n - i));
      c_word = WatchedGroup(spec, a + (here ? i : 0), b + (here ? i : 0), here, c_word, scales, i,
                            watch);
      if (spec.block != 0) {
        scales.a += spec.group / spec.block;
        scales.b += spec.group / spec.block;
      }
    }
    return c_word;
  }
  uint64_t t = 0;
  for (int half = 0; half < 2; ++half) {
    Unpacked ga[kMaxInstructionK], gb[kMaxInstructionK];
    int count = 0;
    for (int i = 0; i < n; ++i) {
      if (i % 4 / 2 != half) continue;
      ga[count] = AsFp16(a[i]);
      gb[count++] = AsFp16(b[i]);
    }
    t = FusedGroup(spec, ga, gb, count, t, {}, half * spec.group, watch);
  }
  const uint64_t word = AddNearestEven(spec.acc, t, c_word);
  if constexpr (Watch::kOn) {
    const Term terms[2] = {Addend(fp8::Unpack(spec.acc, t), Origin::kPartial),
                           Addend(fp8::Unpack(spec.acc, c_word))};
    watch(spec, Step{.kind = Step::kAdd, .terms = terms, .count = 2, .word = word});
  }
  return word;
}
FP8_HD constexpr uint64_t DotInstruction(const AccumSpec& spec, const Unpacked* a,
                                         const Unpacked* b, int n, uint64_t c_word,
                                         BlockScales scales = {}) {
  NoWatch nobody;
  return WatchedInstruction(spec, a, b, n, c_word, scales, nobody);
}

/// A whole dot product: instructions over increasing k, each result the next one's c. `scales` has
/// ceil(n / spec.k) * spec.k / spec.block of each, if spec.block.
FP8_HD constexpr uint64_t DotChain(const AccumSpec& spec, const Unpacked* a, const Unpacked* b,
                                   int64_t n, uint64_t c_word, BlockScales scales = {}) {
  for (int64_t i = 0; i < n; i += spec.k) {
    const int here = static_cast<int>(n - i < spec.k ? n - i : spec.k);
    c_word = DotInstruction(spec, a + i, b + i, here, c_word, scales);
    if (spec.block != 0) {
      scales.a += spec.k / spec.block;
      scales.b += spec.k / spec.block;
    }
  }
  return c_word;
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ACCUM_H_
