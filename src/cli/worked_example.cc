#include "cli/worked_example.h"

#include <algorithm>
#include <cmath>

#include "registry.h"

namespace lostbits::cli {
namespace {

constexpr double kA[] = {15, 1.125, -0.875, 0x1p-9};
constexpr double kB[] = {15, 0x3p-7, 0x1p-7, 0.5};
constexpr double kC = 0.3;
constexpr int kTerms = 4;

std::string Hex(uint32_t code, const fp8::Format& f) {
  return fmt::format("{:0{}X}", code, StorageBits(f) / 4);
}

/// The terms of the first group the instruction runs, with what alignment leaves of each.
std::string GroupText(const sim::AccumSpec& s, const WorkedExample& e) {
  const bool late = s.flow == sim::Flow::kInterleavedLateC;
  std::vector<std::pair<std::string, sim::Term>> terms;
  for (int i = 0; i < (late ? 2 : std::min(kTerms, s.group)); ++i) {
    const sim::Term t = sim::Product(fp8::Unpack(s.a, e.a[i]), fp8::Unpack(s.b, e.b[i]));
    terms.emplace_back(fmt::format("a{} * b{}", i, i), t);
  }
  if (!late) terms.emplace_back("c", sim::Addend(fp8::Unpack(s.acc, e.c)));
  int e_max = s.e_zero;
  for (const auto& [name, t] : terms) {
    if (t.significand != 0) e_max = std::max(e_max, t.exponent);
  }
  const int lsb = e_max - s.fraction_bits;
  Table table;
  table.AddColumn("  term");
  table.AddColumn("value", Table::kRight);
  table.AddColumn("exponent", Table::kRight);
  table.AddColumn(fmt::format("kept, in 2^{}", lsb), Table::kRight);
  table.AddColumn("cut off", Table::kRight);
  int64_t sum = 0;
  for (const auto& [name, t] : terms) {
    const int64_t kept = sim::Align(t, e_max, s.fraction_bits);
    const double value = std::ldexp(static_cast<double>(t.significand) * (t.negative ? -1 : 1),
                                    t.exponent - t.fraction_bits);
    sum += kept;
    table.AddRow({"  " + name, Decimal(value), fmt::to_string(t.exponent), fmt::to_string(kept),
                  Decimal(value - std::ldexp(static_cast<double>(kept), lsb))});
  }
  const uint32_t word = sim::RoundOut(s.out, s.rounding, sum, lsb);
  return fmt::format("{}  sum of the kept: {} * 2^{} = {}; rounded: {} = {}\n", table.Text(120),
                     sum, lsb, Decimal(std::ldexp(static_cast<double>(sum), lsb)),
                     "0x" + Hex(word, s.acc), Decimal(fp8::Decode(s.acc, word)));
}

}  // namespace

WorkedExample ComputeExample(const sim::AccumSpec& spec) {
  WorkedExample e;
  fp8::Unpacked a[kTerms], b[kTerms];
  for (int i = 0; i < kTerms; ++i) {
    e.a.push_back(static_cast<uint32_t>(fp8::Pack(spec.a, fp8::Unpack(kA[i])).code));
    e.b.push_back(static_cast<uint32_t>(fp8::Pack(spec.b, fp8::Unpack(kB[i])).code));
    a[i] = fp8::Unpack(spec.a, e.a[i]);
    b[i] = fp8::Unpack(spec.b, e.b[i]);
    e.products.push_back(double{fp8::Decode(spec.a, e.a[i])} * double{fp8::Decode(spec.b, e.b[i])});
    e.exact += e.products.back();
  }
  e.c = static_cast<uint32_t>(fp8::Pack(spec.acc, fp8::Unpack(kC)).code);
  e.c_value = fp8::Decode(spec.acc, e.c);
  e.exact += e.c_value;
  e.d = sim::DotChain(spec, a, b, kTerms, e.c);
  e.d_value = fp8::Decode(spec.acc, e.d);
  return e;
}

Json ExampleJson(const sim::AccumSpec& spec, const WorkedExample& e) {
  Json a = Json::array(), b = Json::array();
  for (uint32_t code : e.a) a.push_back(Hex(code, spec.a));
  for (uint32_t code : e.b) b.push_back(Hex(code, spec.b));
  return {{"a", a},
          {"b", b},
          {"c", Hex(e.c, spec.acc)},
          {"d", Hex(e.d, spec.acc)},
          {"value", e.d_value},
          {"exact", e.exact}};
}

std::string ExampleText(const sim::ArchRow& row, const WorkedExample& e, int width) {
  const sim::AccumSpec& s = row.spec;
  std::vector<std::string> a, b, values;
  for (int i = 0; i < kTerms; ++i) {
    a.push_back(Hex(e.a[i], s.a));
    b.push_back(Hex(e.b[i], s.b));
    values.push_back(Decimal(e.products[i]));
  }
  std::string text = "Worked example, first group:\n" + GroupText(s, e);
  text += fmt::format("  d = 0x{} = {}; exact {}, error {}\n\n", Hex(e.d, s.acc),
                      Decimal(e.d_value), Decimal(e.exact), Decimal(e.d_value - e.exact));
  const std::string repeat =
      fmt::format("  echo '{} ; {} ; {}' | lostbits dot --machine {}{}", fmt::join(a, " "),
                  fmt::join(b, " "), Hex(e.c, s.acc), MachineName(row),
                  row.evidence == sim::Evidence::kAssumed ? " --allow-unverified" : "");
  return text + Wrap("To repeat it:", width) + "\n" + repeat + "\n";
}

}  // namespace lostbits::cli
