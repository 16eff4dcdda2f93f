// What the two needle studies share. Internal to sim/needle*.cc.
#ifndef LOSTBITS_SIM_NEEDLE_SUMS_H_
#define LOSTBITS_SIM_NEEDLE_SUMS_H_

#include <cmath>

#include "sim/needle.h"

namespace lostbits::sim {

/// Sums from which OutputError follows.
struct ErrorSums {
  double difference2 = 0, exact2 = 0, dot = 0;

  void Add(double output, double exact) {
    difference2 += (output - exact) * (output - exact);
    exact2 += exact * exact;
    dot += output * exact;
  }
  OutputError Error() const { return {std::sqrt(difference2 / exact2), dot / exact2}; }
};

inline double ShareLost(const LostProducts& lost) {
  return static_cast<double>(lost.keys_p_zero + lost.keys_cut) / static_cast<double>(lost.keys);
}

inline bool ReadsBf16(const NeedleVariant& v) { return v.recipe.qk.a == fp8::kBF16; }

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_NEEDLE_SUMS_H_
