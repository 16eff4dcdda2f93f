// One question to one machine: a few products and c in, a word out, by both spellings
// (sim/accum.h and sim/spec.h).
#ifndef LOSTBITS_TESTS_SIM_ACCUM_ASK_H_
#define LOSTBITS_TESTS_SIM_ACCUM_ASK_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "sim/spec.h"
#include "tests/support/machine.h"

namespace lostbits::test {

/// The code of x, rounded to nearest; Inf and NaN are kept.
inline uint64_t CodeFor(fp8::Format f, double x) {
  const fp8::EncodePolicy policy{.overflow = fp8::Overflow::kToSpecial, .inf = fp8::InfRule::kKeep};
  return fp8::Pack(f, fp8::Unpack(x), policy).code;
}

/// Operands at one k.
struct Pair {
  int k;
  uint64_t a, b;
};

/// The answer of `spec` to products a*b at the given k, all others +0, plus c; checked to be the
/// same by value. Scales: codes of the first blocks; 1 for the blocks that are not given.
inline uint64_t Ask(const sim::AccumSpec& spec, const std::vector<Pair>& pairs, uint64_t c,
                    std::vector<uint64_t> scale_a = {}, std::vector<uint64_t> scale_b = {}) {
  int n = spec.k;
  for (const Pair& p : pairs) n = std::max(n, p.k + 1);
  std::vector<uint64_t> a(static_cast<size_t>(n)), b(static_cast<size_t>(n));
  for (const Pair& p : pairs) {
    a[static_cast<size_t>(p.k)] = p.a;
    b[static_cast<size_t>(p.k)] = p.b;
  }
  const int blocks = spec.block == 0 ? 0 : (n + spec.k - 1) / spec.k * (spec.k / spec.block);
  for (auto* scales : {&scale_a, &scale_b})
    scales->resize(static_cast<size_t>(blocks), blocks == 0 ? 0 : CodeFor(spec.scale, 1));
  const uint64_t word = DotCodes(spec, a, b, c, scale_a, scale_b);
  const uint64_t by_value =
      sim::spec::Chain(spec, a.data(), b.data(), n, c, {scale_a.data(), scale_b.data()});
  EXPECT_EQ(Hex(word), Hex(by_value)) << "spec.h disagrees on " << DotLine(spec, a, b, c);
  return word;
}
inline uint64_t Ask(const char* machine, const std::vector<Pair>& pairs, uint64_t c) {
  return Ask(Row(machine).spec, pairs, c);
}

/// The row as the other side of a dispute would have it. Throws if the row has no part in it.
inline sim::AccumSpec OtherSide(const sim::ArchRow& row, sim::Dispute dispute) {
  for (const sim::DisputeSide& side : row.evidence.disputes) {
    if (side.dispute == dispute) return With(row.spec, side.setting);
  }
  throw std::out_of_range(Name(row) + " is not disputed on that");
}
inline sim::AccumSpec OtherSide(const char* machine, sim::Dispute dispute) {
  return OtherSide(Row(machine), dispute);
}

}  // namespace lostbits::test

#define EXPECT_WORD(expected, ask) \
  EXPECT_EQ(::lostbits::test::Hex(expected), ::lostbits::test::Hex(ask))

#endif  // LOSTBITS_TESTS_SIM_ACCUM_ASK_H_
