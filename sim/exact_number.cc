#include "sim/exact_number.h"

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <iterator>
#include <limits>

namespace lostbits::sim {
namespace {

namespace mp = boost::multiprecision;
__extension__ using Uint128 = unsigned __int128;

mp::cpp_int Load(const std::vector<uint64_t>& limbs) {
  mp::cpp_int x;
  if (!limbs.empty()) mp::import_bits(x, limbs.begin(), limbs.end(), 64, false);
  return x;
}

/// Drops the magnitude's trailing zeros; returns how many.
int Store(mp::cpp_int magnitude, std::vector<uint64_t>& limbs) {
  limbs.clear();
  if (magnitude == 0) return 0;
  const auto zeros = static_cast<int>(mp::lsb(magnitude));
  magnitude >>= zeros;
  mp::export_bits(magnitude, std::back_inserter(limbs), 64, false);
  return zeros;
}

}  // namespace

ExactNumber::ExactNumber(bool negative, uint64_t significand, int exponent) {
  if (significand == 0) return;
  const int zeros = __builtin_ctzll(significand);
  limbs_ = {significand >> zeros};
  lsb_ = exponent + zeros;
  negative_ = negative;
}

ExactNumber::ExactNumber(int64_t integer, int exponent)
    : ExactNumber(integer < 0,
                  integer < 0 ? -static_cast<uint64_t>(integer) : static_cast<uint64_t>(integer),
                  exponent) {}

ExactNumber::ExactNumber(const fp8::Unpacked& x)
    : ExactNumber(x.negative, x.significand, x.exponent - x.fraction_bits) {}

ExactNumber ExactNumber::Product(const fp8::Unpacked& a, const fp8::Unpacked& b) {
  const Uint128 product = static_cast<Uint128>(a.significand) * b.significand;
  const bool negative = a.negative != b.negative;
  const int lsb = a.exponent - a.fraction_bits + b.exponent - b.fraction_bits;
  const ExactNumber high(negative, static_cast<uint64_t>(product >> 64), lsb + 64);
  ExactNumber result(negative, static_cast<uint64_t>(product), lsb);
  return high.IsZero() ? result : result += high;
}

ExactNumber& ExactNumber::Add(const ExactNumber& other, bool subtract) {
  if (other.IsZero()) return *this;
  if (IsZero()) {
    *this = other;
    negative_ = other.negative_ != subtract;
    return *this;
  }
  const int low = std::min(lsb_, other.lsb_);
  mp::cpp_int x = Load(limbs_), y = Load(other.limbs_);
  x <<= lsb_ - low;
  y <<= other.lsb_ - low;
  if (negative_ == (other.negative_ != subtract)) {
    x += y;
  } else {
    x -= y;
    if (x < 0) {
      negative_ = !negative_;
      x = -x;
    }
  }
  lsb_ = low + Store(x, limbs_);
  if (limbs_.empty()) *this = {};
  return *this;
}

int ExactNumber::Leading() const {
  return lsb_ + 64 * static_cast<int>(limbs_.size()) - 1 - __builtin_clzll(limbs_.back());
}

bool ExactNumber::Bit(int exponent) const {
  const int position = exponent - lsb_;
  if (position < 0 || position >= 64 * static_cast<int>(limbs_.size())) return false;
  return limbs_[static_cast<size_t>(position / 64)] >> (position % 64) & 1;
}

double ExactNumber::Value() const {
  if (IsZero()) return 0;
  // The leading 62 bits, the last one standing for all below: Pack rounds that as the whole.
  const int last = Leading() - 61;
  uint64_t leading = 0;
  for (int i = 0; i < 62; ++i) leading = leading << 1 | (Bit(last + 61 - i) ? 1 : 0);
  if (lsb_ < last) leading |= 1;
  return fp8::BitCast<double>(fp8::Pack(fp8::kFP64,
                                        {fp8::Class::kFinite, negative_, last, 0, leading},
                                        {.overflow = fp8::Overflow::kToSpecial})
                                  .code);
}

std::string ExactNumber::Hex() const {
  if (IsZero()) return "0x0p+0";
  std::string digits;
  const int count = (Leading() - lsb_) / 4 + 1;
  for (int i = count - 1; i >= 0; --i) {
    int digit = 0;
    for (int bit = 3; bit >= 0; --bit) digit = digit << 1 | (Bit(lsb_ + 4 * i + bit) ? 1 : 0);
    digits += "0123456789ABCDEF"[digit];
  }
  return (negative_ ? "-0x" : "0x") + digits + (lsb_ < 0 ? "p" : "p+") + std::to_string(lsb_);
}

}  // namespace lostbits::sim
