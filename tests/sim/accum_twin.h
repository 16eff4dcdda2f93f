// Generated dot products, computed by integers (sim/accum.h) and by value (sim/spec.h).
#ifndef LOSTBITS_TESTS_SIM_ACCUM_TWIN_H_
#define LOSTBITS_TESTS_SIM_ACCUM_TWIN_H_

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

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

/// A row's own spec, mostly; else the other side of one of its disputes, or a clamp one off.
inline sim::AccumSpec DrawSpec(Random& r, const sim::ArchRow& row, std::string& what) {
  const sim::AccumSpec& spec = row.spec;
  if (!r.OneIn(3)) return spec;
  int disputes = 0;
  while (disputes < 3 && row.evidence.disputes[disputes].dispute != sim::Dispute::kNone) ++disputes;
  const int draw = r.Between(-1, disputes - 1);
  if (draw >= 0) {
    what = row.evidence.disputes[draw].setting;
  } else {
    what = "e_zero=";
    what += std::to_string(spec.e_zero + (r.OneIn(2) ? -1 : 1));
  }
  return With(spec, what);
}

/// One case of `spec`: mostly one whole instruction, also shorter ones and chains of several.
/// `name` is how `lostbits` calls the spec.
inline void CompareCase(Random& r, const sim::AccumSpec& spec, const std::string& name,
                        uint64_t index, TwinCount& count) {
  const int n = r.OneIn(8) ? r.Between(1, 3 * spec.k) : spec.k;
  int scale = 0;  // what both block scales add to the exponents
  std::vector<uint64_t> scale_a, scale_b;
  if (spec.block != 0) {
    const int smallest = fp8::MinExponent(spec.acc) - spec.acc.mantissa_bits;
    const int totals[] = {0, fp8::MinExponent(spec.acc) + r.Between(-20, 6),
                          smallest + r.Between(-16, 0), r.Between(100, 134), r.Between(-254, 254)};
    scale = totals[r.Below(5)];
    const int of_a = scale / 2 + r.Between(-8, 8);
    const int blocks = (n + spec.k - 1) / spec.k * (spec.k / spec.block);
    scale_a = GenerateScales(r, spec.scale, blocks, of_a);
    scale_b = GenerateScales(r, spec.scale, blocks, scale - of_a);
  }
  const auto pattern = static_cast<Pattern>(r.Below(kPatternCount));
  const DotCase dot = GenerateDot(r, spec.a, spec.b, spec.acc, n, pattern, scale);
  const uint64_t word = DotCodes(spec, dot.a, dot.b, dot.c, scale_a, scale_b);
  const uint64_t by_value = sim::spec::Chain(spec, dot.a.data(), dot.b.data(), n, dot.c,
                                             {scale_a.data(), scale_b.data()});

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
  std::ostringstream text;
  text << name << " case " << index << " (" << Name(dot.pattern) << "): accum.h "
       << Hex(word, digits) << ", spec.h " << Hex(by_value, digits) << "\n  echo '"
       << DotLine(spec, dot.a, dot.b, dot.c);
  if (spec.block != 0) {
    for (const auto& scales : {scale_a, scale_b}) {
      text << " ;";
      for (uint64_t code : scales) text << ' ' << Hex(code, 2);
    }
  }
  text << "' | lostbits dot --machine " << name;
  count.first = text.str();
}

/// Case `index` of a row.
inline void CompareTwin(const sim::ArchRow& row, uint64_t seed, uint64_t index, TwinCount& count) {
  Random r(seed, index);
  std::string setting;
  const sim::AccumSpec spec = DrawSpec(r, row, setting);
  CompareCase(r, spec, setting.empty() ? Name(row) : Name(row) + '@' + setting, index, count);
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_ACCUM_TWIN_H_
