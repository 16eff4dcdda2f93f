// Rows of the machine table by name, and the one line a failing case prints.
#ifndef LOSTBITS_TESTS_SUPPORT_MACHINE_H_
#define LOSTBITS_TESTS_SUPPORT_MACHINE_H_

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "sim/accum.h"
#include "sim/arch.h"

namespace lostbits::test {

inline std::string Name(const sim::ArchRow& row) {
  return std::string(row.arch) + ":" + row.instruction + ":" + row.in + ":" + row.out;
}

/// The row called "arch:instruction:in:out". Throws std::out_of_range if there is none.
inline const sim::ArchRow& Row(std::string_view name) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (Name(row) == name) return row;
  }
  throw std::out_of_range("no machine " + std::string(name));
}

/// At least `digits` hex digits of a word.
inline std::string Hex(uint64_t word, int digits = 8) {
  std::string text;
  for (; word != 0 || digits > 0; word >>= 4, --digits) text += "0123456789ABCDEF"[word & 15];
  return {text.rbegin(), text.rend()};
}

/// "a codes ; b codes ; c word", as `lostbits dot --machine NAME` reads it.
inline std::string DotLine(fp8::Format fa, fp8::Format fb, fp8::Format acc,
                           const std::vector<uint32_t>& a, const std::vector<uint32_t>& b,
                           uint32_t c) {
  std::ostringstream line;
  for (uint32_t x : a) line << Hex(x, (fp8::StorageBits(fa) + 3) / 4) << ' ';
  line << ';';
  for (uint32_t x : b) line << ' ' << Hex(x, (fp8::StorageBits(fb) + 3) / 4);
  line << " ; " << Hex(c, fp8::StorageBits(acc) / 4);
  return line.str();
}
inline std::string DotLine(const sim::AccumSpec& spec, const std::vector<uint32_t>& a,
                           const std::vector<uint32_t>& b, uint32_t c) {
  return DotLine(spec.a, spec.b, spec.acc, a, b, c);
}

inline std::vector<fp8::Unpacked> UnpackAll(fp8::Format f, const std::vector<uint32_t>& codes) {
  std::vector<fp8::Unpacked> out;
  out.reserve(codes.size());
  for (uint32_t code : codes) out.push_back(fp8::Unpack(f, code));
  return out;
}

/// sim::DotChain on codes.
inline uint32_t DotCodes(const sim::AccumSpec& spec, const std::vector<uint32_t>& a,
                         const std::vector<uint32_t>& b, uint32_t c) {
  const std::vector<fp8::Unpacked> ua = UnpackAll(spec.a, a), ub = UnpackAll(spec.b, b);
  return sim::DotChain(spec, ua.data(), ub.data(), static_cast<int64_t>(ua.size()), c);
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SUPPORT_MACHINE_H_
