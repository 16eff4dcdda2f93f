// The float nearest to 2^x: screened with long double, decided with 330 bits where that is close.
#ifndef LOSTBITS_TESTS_SIM_EXP2_REFERENCE_H_
#define LOSTBITS_TESTS_SIM_EXP2_REFERENCE_H_

#include <algorithm>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <cmath>
#include <cstdint>

#include "fp8/hd.h"

namespace lostbits::test {

struct Exp2Reference {
  uint32_t word;
  double value;  ///< 2^x to double precision; 0 where word says it all (NaN, Inf)
  bool hard;     ///< long double alone could not decide
};

namespace detail {

/// Nearest float, ties to even, of a positive number in float's range or below it.
template <class Real>
uint32_t RoundToFloat(const Real& y, int exponent, Real* distance) {
  using std::floor;
  using std::ldexp;
  const int lsb = std::max(exponent, -126) - 23;
  const Real scaled = ldexp(y, -lsb);
  Real whole = floor(scaled);
  const Real fraction = scaled - whole;
  *distance = fraction - Real(0.5);  // of the result's last bit; 0 is a tie
  auto m = static_cast<uint32_t>(whole);
  if (*distance > 0 || (*distance == 0 && (m & 1) != 0)) ++m;
  // m has the hidden bit for normal numbers: it adds one to the exponent field.
  return (static_cast<uint32_t>(lsb + 149) << 23) + m;
}

}  // namespace detail

inline Exp2Reference Exp2Nearest(float x) {
  if (std::isnan(x)) return {0x7fff'ffff, 0, false};
  if (x >= 128) return {0x7f80'0000, 0, false};
  if (x < -151) return {0, 0, false};
  const long double y = std::exp2(static_cast<long double>(x));
  long double distance = 0;
  uint32_t word = detail::RoundToFloat(y, std::ilogb(y), &distance);
  // exp2l is good to 2^-63 of its result, 2^-40 of a float's last bit. Sixteen times that from a
  // midpoint is decided here, nearer ones below.
  if (std::abs(distance) > 0x1p-36L) return {word, static_cast<double>(y), false};
  using Wide = boost::multiprecision::cpp_bin_float_100;
  const Wide z = boost::multiprecision::exp2(Wide(x));
  Wide wide_distance = 0;
  word = detail::RoundToFloat<Wide>(z, std::ilogb(y), &wide_distance);
  return {word, static_cast<double>(y), true};
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_EXP2_REFERENCE_H_
