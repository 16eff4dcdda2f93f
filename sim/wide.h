// A fixed-point register wide enough for every sum of products of any format here: added to
// exactly, rounded once. For the machines that do that (Flow::kExact), fused multiply-add included.
#ifndef LOSTBITS_SIM_WIDE_H_
#define LOSTBITS_SIM_WIDE_H_

#include <cstdint>

#include "sim/term.h"

namespace lostbits::sim {

/// A sum in two's complement, in units of 2^lsb.
class WideSum {
 public:
  /// Holds products of a and b and numbers of acc.
  FP8_HD constexpr explicit WideSum(const AccumSpec& spec)
      : lsb_(fp8::Min(Lsb(spec.a) + Lsb(spec.b), Lsb(spec.acc))) {}

  /// Finite operands only.
  FP8_HD constexpr void AddProduct(const Unpacked& a, const Unpacked& b) {
    // Halves of at most 32 bits, so that the four partial products fit 64.
    const int shift = a.exponent - a.fraction_bits + b.exponent - b.fraction_bits - lsb_;
    const uint64_t half = 0xFFFF'FFFF;
    for (int i = 0; i < 4; ++i) {
      const uint64_t pa = i & 1 ? a.significand >> 32 : a.significand & half;
      const uint64_t pb = i & 2 ? b.significand >> 32 : b.significand & half;
      const int up = 32 * ((i & 1) + (i >> 1));
      Add(pa * pb, shift + up, a.negative != b.negative);
    }
  }
  FP8_HD constexpr void AddAddend(const Unpacked& c) {
    if (c.significand != 0) Add(c.significand, c.exponent - c.fraction_bits - lsb_, c.negative);
  }

  /// The sum rounded once to spec.out. An exactly zero sum is +0.
  FP8_HD constexpr uint64_t Round(const AccumSpec& spec) const {
    const bool negative = limbs_[kLimbs - 1] >> 63;
    uint64_t magnitude[kLimbs];
    uint64_t carry = negative;
    int top = -1;
    for (int i = 0; i < kLimbs; ++i) {
      magnitude[i] = negative ? ~limbs_[i] + carry : limbs_[i];
      carry = carry && magnitude[i] == 0;
      if (magnitude[i] != 0) top = i;
    }
    if (top < 0) return 0;
    // The leading 62 bits, and whether anything lies below them: FP64 needs 53 and a bit to round.
    const int last = 64 * top + fp8::BitWidth(magnitude[top]) - 62;
    uint64_t leading = 0;
    bool below = false;
    for (int i = 0; i <= top; ++i) {
      const int shift = 64 * i - last;
      if (shift <= -64) {
        below = below || magnitude[i] != 0;
      } else if (shift < 0) {
        leading |= magnitude[i] >> -shift;
        below = below || magnitude[i] << (64 + shift) != 0;
      } else {
        leading |= magnitude[i] << shift;
      }
    }
    const int64_t rounded_to_odd = static_cast<int64_t>(leading << 1 | (below ? 1 : 0));
    return RoundOut(spec, negative ? -rounded_to_odd : rounded_to_odd, lsb_ + last - 1);
  }

 private:
  // FP64 products reach from 2^-2148 to below 2^2048.
  static constexpr int kLimbs = 67;

  FP8_HD static constexpr int Lsb(fp8::Format f) { return fp8::MinExponent(f) - f.mantissa_bits; }

  FP8_HD constexpr void Add(uint64_t value, int shift, bool negative) {
    if (value == 0) return;
    const int limb = shift / 64, bit = shift % 64;
    const uint64_t low = value << bit, high = bit == 0 ? 0 : value >> (64 - bit);
    bool carry = false;
    for (int i = limb; i < kLimbs; ++i) {
      const uint64_t part = i == limb ? low : i == limb + 1 ? high : 0;
      if (i > limb + 1 && !carry) return;
      const uint64_t before = limbs_[i];
      if (negative) {
        limbs_[i] = before - part - carry;
        carry = before < part || (carry && before == part);
      } else {
        limbs_[i] = before + part + carry;
        carry = limbs_[i] < before || (carry && limbs_[i] == before);
      }
    }
  }

  uint64_t limbs_[kLimbs] = {};
  int lsb_;
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_WIDE_H_
