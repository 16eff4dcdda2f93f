// Rows of the machine table by name, and the one line a failing case prints.
#ifndef LOSTBITS_TESTS_SUPPORT_MACHINE_H_
#define LOSTBITS_TESTS_SUPPORT_MACHINE_H_

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "sim/accum.h"
#include "sim/arch_table.h"

namespace lostbits::test {

inline std::string Name(const sim::ArchRow& row) {
  std::ostringstream name;
  name << row.arch << ':' << row.instruction << ':' << row.in;
  if (*row.scale != '\0') name << '+' << row.scale;
  name << ':' << row.out;
  return name.str();
}

/// The row called "arch:instruction:in:out" ("in" with "+ue8m0/32" behind it where there are block
/// scales). Throws std::out_of_range if there is none.
inline const sim::ArchRow& Row(std::string_view name) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (Name(row) == name) return row;
  }
  throw std::out_of_range("no machine " + std::string(name));
}

/// `spec` with settings as they stand behind the "@" of a machine's name: "e_zero=-133",
/// "sum_bits=31,final_bits=0". Only those that the table's disputes use; throws
/// std::invalid_argument on others.
inline sim::AccumSpec With(sim::AccumSpec spec, std::string_view settings) {
  const std::invalid_argument unknown("no setting " + std::string(settings));
  while (!settings.empty()) {
    const std::string_view one = settings.substr(0, settings.find(','));
    settings.remove_prefix(std::min(settings.size(), one.size() + 1));
    if (one == "underflow=signed") {
      spec.signed_underflow = true;
    } else if (one == "flow=tree") {
      spec.flow = sim::Flow::kTree;
    } else {
      const size_t equals = one.find('=');
      if (equals == one.npos) throw unknown;
      const std::string_view key = one.substr(0, equals);
      const int value = std::stoi(std::string(one.substr(equals + 1)));
      if (key == "e_zero") {
        spec.e_zero = value;
      } else if (key == "group") {
        spec.group = value;
      } else if (key == "sum_bits") {
        spec.sum_bits = value;
      } else if (key == "final_bits") {
        spec.final_bits = value;
      } else {
        throw unknown;
      }
    }
  }
  return spec;
}

/// At least `digits` hex digits of a word.
inline std::string Hex(uint64_t word, int digits = 8) {
  std::string text;
  for (; word != 0 || digits > 0; word >>= 4, --digits) text += "0123456789ABCDEF"[word & 15];
  return {text.rbegin(), text.rend()};
}

/// "a codes ; b codes ; c word", as `lostbits dot --machine NAME` reads it. Codes: a vector of
/// unsigned integers.
template <class Codes>
std::string DotLine(fp8::Format fa, fp8::Format fb, fp8::Format acc, const Codes& a, const Codes& b,
                    uint64_t c) {
  std::ostringstream line;
  for (const auto x : a) line << Hex(x, (fp8::StorageBits(fa) + 3) / 4) << ' ';
  line << ';';
  for (const auto x : b) line << ' ' << Hex(x, (fp8::StorageBits(fb) + 3) / 4);
  line << " ; " << Hex(c, fp8::StorageBits(acc) / 4);
  return line.str();
}
template <class Codes>
std::string DotLine(const sim::AccumSpec& spec, const Codes& a, const Codes& b, uint64_t c) {
  return DotLine(spec.a, spec.b, spec.acc, a, b, c);
}

template <class Codes>
std::vector<fp8::Unpacked> UnpackAll(fp8::Format f, const Codes& codes) {
  std::vector<fp8::Unpacked> out;
  out.reserve(codes.size());
  for (const auto code : codes) out.push_back(fp8::Unpack(f, code));
  return out;
}

/// sim::DotChain on codes. Block scales: see sim::BlockScales; empty where there are none.
template <class Codes>
uint64_t DotCodes(const sim::AccumSpec& spec, const Codes& a, const Codes& b, uint64_t c,
                  const Codes& scale_a = {}, const Codes& scale_b = {}) {
  const std::vector<fp8::Unpacked> ua = UnpackAll(spec.a, a), ub = UnpackAll(spec.b, b);
  std::vector<fp8::Unpacked> sa, sb;
  for (const auto code : scale_a) sa.push_back(sim::UnpackScale(spec.scale, code));
  for (const auto code : scale_b) sb.push_back(sim::UnpackScale(spec.scale, code));
  return sim::DotChain(spec, ua.data(), ub.data(), static_cast<int64_t>(ua.size()), c,
                       {sa.data(), sb.data()});
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SUPPORT_MACHINE_H_
