// How far an output matrix lies from a reference: every measure with its definition.
//
// o is an output element, t the reference's, e = o - t. Elements that are not finite in o or t are
// counted apart and enter no sum. Sums are compensated, in row order, so the report does not depend
// on threads or instruction sets. An empty matrix gives zeros, and the values said at 0/0.
#ifndef LOSTBITS_SIM_ERROR_H_
#define LOSTBITS_SIM_ERROR_H_

#include <cstdint>

#include "fp8/format.h"
#include "sim/view.h"

namespace lostbits::sim {

/// One element of the comparison; row and col are -1 if there is none.
struct ErrorPoint {
  int64_t row = -1, col = -1;
  double output = 0, reference = 0;
};

struct ErrorReport {
  int64_t finite = 0;   ///< elements with o and t finite; all measures below are over these
  int64_t unequal = 0;  ///< of them, those with o != t

  double max_absolute = 0;  ///< max |e|
  double max_relative = 0;  ///< max |e| / |t| over t != 0; see nonzero_at_zero
  double max_ulp = 0;       ///< max |e| / ulp(t), ulp(t) = 2^(max(floor(log2 |t|), e_min) - M)
  double sqnr_db = 0;  ///< 10 log10(sum t^2 / sum e^2); +Inf if all e = 0, -Inf if only t is all 0
  double bias = 0;     ///< (mean e) / (mean |t|), signed; 0 for 0/0
  double gain = 1;  ///< <o, t> / <t, t>: 1 where only the orthogonal part is wrong; NaN for t = 0

  ErrorPoint worst_absolute;  ///< the first element, in row order, with |e| = max_absolute
  ErrorPoint worst_ulp;       ///< the same for max_ulp

  int64_t nonzero_at_zero = 0;  ///< o != 0 where t = 0 (no relative error exists)
  int64_t equal_specials = 0;   ///< both NaN, or the same Inf
  int64_t nan_mismatches = 0;   ///< exactly one of o and t is NaN
  int64_t inf_mismatches = 0;   ///< neither is NaN, one is Inf, and they differ
};

/// Compares `output` with `reference`, of the same shape. `ulp_format` gives e_min and M of the
/// ulp: the format the output was rounded to. Throws std::invalid_argument on different shapes.
ErrorReport Compare(MatrixView<const double> output, MatrixView<const double> reference,
                    fp8::Format ulp_format);
ErrorReport Compare(MatrixView<const float> output, MatrixView<const double> reference,
                    fp8::Format ulp_format);

/// The distance between two neighbouring numbers of `f` at |t|, on the lattice continued past the
/// largest one; the smallest subnormal at 0. t is finite.
double Ulp(fp8::Format f, double t);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ERROR_H_
