// The parts every matrix unit's sum is made of: addends, cutting one to a grid, the one rounding at
// the end, Inf and NaN. sim/accum.h and sim/accum_amd.h put them together.
#ifndef LOSTBITS_SIM_TERM_H_
#define LOSTBITS_SIM_TERM_H_

#include <cstdint>

#include "fp8/codec.h"
#include "sim/arch.h"

namespace lostbits::sim {

using fp8::Class;
using fp8::Unpacked;

/// Where an addend comes from, for whoever watches a sum.
enum class Origin : uint8_t {
  kProduct,   ///< a[index] * b[index]; under Flow::kInterleavedLateC index counts the products in
              ///< the order they are gathered, and sim/trace.h maps it back to k
  kBlock,     ///< the exact dot product of the block of products that starts at index
  kAddend,    ///< the accumulator that enters the group
  kProducts,  ///< the sum of the group's products
  kEven,      ///< the sum of the products of even index
  kOdd,       ///< ... of odd index
  kPartial,   ///< the result of an earlier step
};

/// One addend: (-1)^negative * significand * 2^(exponent - fraction_bits). `exponent` is the one
/// that takes part in finding the maximum, whatever the significand's own leading bit.
struct Term {
  int exponent;
  int fraction_bits;
  bool negative;
  uint64_t significand;
  bool counts;  ///< takes part in finding the maximum: a zero does not
  Origin origin = Origin::kPartial;
  int index = 0;
};

/// The most products any group takes, and c.
inline constexpr int kMaxGroupTerms = 65;

/// a[index] * b[index]. Operands of at most 32 significant bits: FP64 products leave 64 bits, and
/// only a watcher of Flow::kExact ever gets one (it must look at the operands instead).
FP8_HD constexpr Term Product(const Unpacked& a, const Unpacked& b, int index = 0) {
  const uint64_t significand = a.significand * b.significand;
  return {a.exponent + b.exponent,
          a.fraction_bits + b.fraction_bits,
          a.negative != b.negative,
          significand,
          significand != 0,
          Origin::kProduct,
          index};
}
FP8_HD constexpr Term Addend(const Unpacked& c, Origin origin = Origin::kAddend) {
  return {c.exponent, c.fraction_bits, c.negative, c.significand, c.significand != 0, origin};
}

/// The term in units of 2^(e_max - fraction_bits), cut toward zero; the result fits. A zero's
/// exponent may lie anywhere and must not reach the shift.
FP8_HD constexpr int64_t Align(const Term& t, int e_max, int fraction_bits) {
  if (t.significand == 0) return 0;
  const int left = fraction_bits + t.exponent - e_max - t.fraction_bits;
  const uint64_t cut = left >= 0 ? t.significand << left : left > -64 ? t.significand >> -left : 0;
  return t.negative ? -static_cast<int64_t>(cut) : static_cast<int64_t>(cut);
}

/// value * 2^shift, cut toward minus infinity; the result fits. A zero may come with any shift.
FP8_HD constexpr int64_t ShiftDown(int64_t value, int shift) {
  if (value == 0) return 0;
  if (shift >= 0) return static_cast<int64_t>(static_cast<uint64_t>(value) << shift);
  return value >> fp8::Min(-shift, 63);
}

/// |value|, the most negative one too.
FP8_HD constexpr uint64_t Magnitude(int64_t value) {
  const uint64_t bits = static_cast<uint64_t>(value);
  return value < 0 ? -bits : bits;
}

/// sum * 2^lsb rounded once to spec.out. Beyond the range: Inf, also under truncation. A sum of
/// exactly zero is +0.
FP8_HD constexpr uint64_t RoundOut(const AccumSpec& spec, int64_t sum, int lsb) {
  if (sum == 0) return 0;
  const Unpacked exact{Class::kFinite, sum < 0, lsb, 0, Magnitude(sum)};
  const fp8::EncodePolicy policy{.rounding = spec.rounding, .overflow = fp8::Overflow::kToSpecial};
  const uint64_t word = fp8::Pack(spec.out, exact, policy).code;
  return word == fp8::SignMask(spec.out) && !spec.signed_underflow ? 0 : word;
}

/// The one NaN a matrix unit returns: 0x7FFFFFFF, or 0x7FFF in FP16.
FP8_HD constexpr uint64_t CanonicalNan(fp8::Format acc) { return fp8::NanCode(acc, false, {}); }
FP8_HD constexpr uint64_t Infinity(fp8::Format acc, bool negative) {
  return (fp8::MaxMagnitude(acc) + 1) | (negative ? fp8::SignMask(acc) : 0);
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
  FP8_HD constexpr uint64_t Word(fp8::Format acc) const {
    return nan || (plus_inf && minus_inf) ? CanonicalNan(acc) : Infinity(acc, minus_inf);
  }
};

/// Inf and NaN among c and the n products.
FP8_HD constexpr SpecialScan ScanSpecials(const Unpacked* a, const Unpacked* b, int n,
                                          const Unpacked& c) {
  SpecialScan specials;
  specials.AddAddend(c);
  for (int i = 0; i < n; ++i) specials.AddProduct(a[i], b[i]);
  return specials;
}

/// x + y as one ordinary IEEE addition in `acc` (FP32 or FP16), to nearest even (FADD, HADD2),
/// except that the NaN is the canonical one. Subnormals are kept.
FP8_HD constexpr uint64_t AddNearestEven(fp8::Format acc, uint64_t x_word, uint64_t y_word) {
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
  AccumSpec ieee{};
  ieee.out = acc;
  ieee.rounding = fp8::Rounding::kNearestEven;
  ieee.signed_underflow = true;
  return RoundOut(ieee, sum, x.exponent - x.fraction_bits - kGuard);
}

/// One step of a group, as a watcher is told of it. What it points to lives as long as the call.
struct Step {
  enum Kind : uint8_t {
    kSpecial,      ///< Inf or NaN decided the group; no terms
    kFused,        ///< terms cut to the grid, added, rounded
    kBlockSum,     ///< the products of one block added exactly (Flow::kBlockDot); no word
    kProducts,     ///< products cut to the grid and added (Flow::kLateFloor*); no word
    kMergedPairs,  ///< the even and the odd sum cut to a common grid and added; no word
    kLateSum,      ///< the products' sum and c cut to the grid, added, floored, rounded
    kExact,        ///< terms added exactly, rounded
    kMultiply,     ///< one product, rounded
    kAdd,          ///< two terms added, rounded
  };
  Kind kind;
  const Term* terms = nullptr;
  const int64_t* kept = nullptr;  ///< each term in units of 2^lsb, after the cut; null: nothing cut
  int count = 0;
  int e_max = 0;
  int lsb = 0;
  int64_t sum = 0;    ///< in units of 2^lsb, where kept is set
  uint64_t word = 0;  ///< the step's rounded result
};

/// Nobody watches. A watcher has kOn = true and void operator()(const AccumSpec&, const Step&).
struct NoWatch {
  static constexpr bool kOn = false;
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_TERM_H_
