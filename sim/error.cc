#include "sim/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace lostbits::sim {
namespace {

/// A sum of doubles that carries its rounding error along (Neumaier, "Rundungsfehleranalyse einiger
/// Verfahren zur Summation endlicher Summen", ZAMM 54, 1974).
class CompensatedSum {
 public:
  void Add(double x) {
    const double next = sum_ + x;
    rest_ += std::abs(sum_) >= std::abs(x) ? (sum_ - next) + x : (x - next) + sum_;
    sum_ = next;
  }
  double Total() const { return sum_ + rest_; }

 private:
  double sum_ = 0, rest_ = 0;
};

double Ratio(double over, double under, double at_zero_over_zero) {
  return over == 0 && under == 0 ? at_zero_over_zero : over / under;
}

template <class T>
ErrorReport CompareAs(MatrixView<const T> output, MatrixView<const double> reference,
                      fp8::Format ulp_format) {
  if (output.rows != reference.rows || output.cols != reference.cols) {
    const auto shape = [](int64_t r, int64_t c) {
      return std::to_string(r) + " x " + std::to_string(c);
    };
    throw std::invalid_argument("error report: output is " + shape(output.rows, output.cols) +
                                ", expected the reference's shape " +
                                shape(reference.rows, reference.cols));
  }
  ErrorReport report;
  CompensatedSum squared_error, squared_reference, error, magnitude, inner;
  for (int64_t r = 0; r < output.rows; ++r) {
    for (int64_t c = 0; c < output.cols; ++c) {
      const double o = static_cast<double>(output(r, c)), t = reference(r, c);
      if (std::isnan(o) || std::isnan(t)) {
        ++(std::isnan(o) && std::isnan(t) ? report.equal_specials : report.nan_mismatches);
        continue;
      }
      if (std::isinf(o) || std::isinf(t)) {
        ++(o == t ? report.equal_specials : report.inf_mismatches);
        continue;
      }
      const double e = o - t, size = std::abs(e);
      ++report.finite;
      squared_error.Add(e * e);
      squared_reference.Add(t * t);
      error.Add(e);
      magnitude.Add(std::abs(t));
      inner.Add(o * t);
      if (e == 0) continue;
      ++report.unequal;
      if (size > report.max_absolute) {
        report.max_absolute = size;
        report.worst_absolute = {r, c, o, t};
      }
      const double ulps = size / Ulp(ulp_format, t);
      if (ulps > report.max_ulp) {
        report.max_ulp = ulps;
        report.worst_ulp = {r, c, o, t};
      }
      if (t == 0) {
        ++report.nonzero_at_zero;
      } else {
        report.max_relative = std::max(report.max_relative, size / std::abs(t));
      }
    }
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double noise = squared_error.Total(), signal = squared_reference.Total();
  report.sqnr_db = noise == 0 ? kInfinity : 10 * std::log10(signal / noise);
  report.bias = Ratio(error.Total(), magnitude.Total(), 0);
  report.gain = signal == 0 ? std::numeric_limits<double>::quiet_NaN() : inner.Total() / signal;
  return report;
}

}  // namespace

double Ulp(fp8::Format f, double t) {
  const int lowest = fp8::MinExponent(f);
  const int exponent = t == 0 ? lowest : std::max(std::ilogb(t), lowest);
  return std::ldexp(1.0, exponent - f.mantissa_bits);
}

ErrorReport Compare(MatrixView<const double> output, MatrixView<const double> reference,
                    fp8::Format ulp_format) {
  return CompareAs(output, reference, ulp_format);
}
ErrorReport Compare(MatrixView<const float> output, MatrixView<const double> reference,
                    fp8::Format ulp_format) {
  return CompareAs(output, reference, ulp_format);
}

}  // namespace lostbits::sim
