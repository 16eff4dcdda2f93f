// Generated dot products, computed by integers (sim/accum.h) and by value (sim/spec.h).
#ifndef LOSTBITS_TESTS_SIM_ACCUM_TWIN_H_
#define LOSTBITS_TESTS_SIM_ACCUM_TWIN_H_

#include <cstdint>
#include <string>

#include "sim/spec.h"
#include "tests/support/generator.h"
#include "tests/support/machine.h"

namespace lostbits::test {

/// What came out of a run of cases, so that a test can ask whether it saw the hard ones.
struct TwinCount {
  int64_t cases = 0, nan = 0, inf = 0, zero = 0, minus_zero = 0, subnormal = 0;
  int64_t unequal = 0;
  std::string first;  ///< the first unequal case, with everything needed to repeat it

  void operator+=(const TwinCount& o) {
    cases += o.cases;
    nan += o.nan;
    inf += o.inf;
    zero += o.zero;
    minus_zero += o.minus_zero;
    subnormal += o.subnormal;
    unequal += o.unequal;
    if (first.empty()) first = o.first;
  }
};

/// Case `index` of a row: mostly one whole instruction, also shorter ones and chains of several.
inline void CompareTwin(const sim::ArchRow& row, uint64_t seed, uint64_t index, TwinCount& count) {
  const sim::AccumSpec& spec = row.spec;
  Random r(seed, index);
  const int n = r.OneIn(8) ? r.Between(0, 3 * spec.k) : spec.k;
  const DotCase dot = GenerateDot(r, spec.a, spec.b, spec.acc, n);
  const uint32_t word = DotCodes(spec, dot.a, dot.b, dot.c);
  const uint32_t by_value = sim::spec::Chain(spec, dot.a.data(), dot.b.data(), n, dot.c);

  ++count.cases;
  const fp8::Unpacked u = fp8::Unpack(spec.acc, by_value);
  if (u.cls == fp8::Class::kNan) ++count.nan;
  if (u.cls == fp8::Class::kInf) ++count.inf;
  if (u.cls == fp8::Class::kZero) ++(u.negative ? count.minus_zero : count.zero);
  if (u.cls == fp8::Class::kFinite && u.significand >> spec.acc.mantissa_bits == 0)
    ++count.subnormal;
  if (word == by_value) return;
  ++count.unequal;
  if (!count.first.empty()) return;
  const int digits = fp8::StorageBits(spec.acc) / 4;
  count.first = Name(row) + " case " + std::to_string(index) + " (" + Name(dot.pattern) +
                "): accum.h " + Hex(word, digits) + ", spec.h " + Hex(by_value, digits) +
                "\n  echo '" + DotLine(spec, dot.a, dot.b, dot.c) + "' | lostbits dot --machine " +
                Name(row);
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_ACCUM_TWIN_H_
