#include "cli/dot_lines.h"

#include <fmt/format.h>

#include <stdexcept>

#include "cli/output.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

std::string HexList(const std::vector<uint64_t>& codes, const fp8::Format& format) {
  std::string text;
  for (uint64_t code : codes) text += (text.empty() ? "" : " ") + CodeDigits(code, format);
  return text;
}

/// Hex words, each of at most `format`'s bits.
std::vector<uint64_t> ParseCodes(const std::string& text, const fp8::Format& format,
                                 const char* what, const std::string& where) {
  const int bits = StorageBits(format);
  std::vector<uint64_t> codes;
  for (const std::string& word : Split(text, " \t\r,")) {
    const std::optional<uint64_t> code = ParseHex(word);
    if (!code || (bits < 64 && *code >> bits != 0))
      throw std::invalid_argument(fmt::format("{}: {}: expected {}-bit {} in hex, found '{}'",
                                              where, what, bits, NamesOf(format).name, word));
    codes.push_back(*code);
  }
  return codes;
}

/// The fields between semicolons, empty ones too.
std::vector<std::string> Fields(const std::string& line) {
  std::vector<std::string> fields(1);
  for (char c : line) {
    if (c == ';') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

}  // namespace

std::string CodeDigits(uint64_t code, const fp8::Format& format) {
  return fmt::format("{:0{}X}", code, (StorageBits(format) + 3) / 4);
}

const char* DotLineShape(const sim::AccumSpec& spec) {
  return spec.block == 0 ? "'a codes ; b codes ; c word'"
                         : "'a codes ; b codes ; c word ; scales of a ; scales of b'";
}

std::string WithoutComment(const std::string& line) {
  const std::string text = line.substr(0, line.find('#'));
  const size_t first = text.find_first_not_of(" \t\r");
  return first == text.npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

DotLine ParseDotLine(const std::string& line, const sim::AccumSpec& spec,
                     const std::string& where) {
  const std::vector<std::string> fields = Fields(line);
  if (fields.size() != (spec.block == 0 ? 3 : 5))
    throw std::invalid_argument(
        fmt::format("{}: expected {}, found {} field{}{}", where, DotLineShape(spec), fields.size(),
                    fields.size() == 1 ? "" : "s",
                    spec.block == 0 && fields.size() == 5 ? "; this machine has no block scales"
                    : spec.block != 0 && fields.size() == 3
                        ? fmt::format("; this machine has a scale of a and one of b every {} "
                                      "products",
                                      spec.block)
                        : ""));
  DotLine dot;
  dot.a = ParseCodes(fields[0], spec.a, "a", where);
  dot.b = ParseCodes(fields[1], spec.b, "b", where);
  const std::vector<uint64_t> c = ParseCodes(fields[2], spec.acc, "c", where);
  if (dot.a.size() != dot.b.size() || dot.a.empty())
    throw std::invalid_argument(
        fmt::format("{}: expected as many codes in a as in b, at least one, found {} and {}", where,
                    dot.a.size(), dot.b.size()));
  if (c.size() != 1)
    throw std::invalid_argument(fmt::format("{}: expected one word c, found {}", where, c.size()));
  dot.c = c[0];
  if (spec.block == 0) return dot;

  dot.scale_a = ParseCodes(fields[3], spec.scale, "scales of a", where);
  dot.scale_b = ParseCodes(fields[4], spec.scale, "scales of b", where);
  const size_t block = static_cast<size_t>(spec.block);
  const size_t blocks = (dot.a.size() + block - 1) / block;
  if (dot.scale_a.size() != blocks || dot.scale_b.size() != blocks)
    throw std::invalid_argument(
        fmt::format("{}: expected {} scale{} each of a and of b (one every {} of {} products), "
                    "found {} and {}",
                    where, blocks, blocks == 1 ? "" : "s", block, dot.a.size(), dot.scale_a.size(),
                    dot.scale_b.size()));
  return dot;
}

UnpackedLine TakeApart(const sim::AccumSpec& spec, const DotLine& line) {
  const auto unpack = [](const fp8::Format& f, const std::vector<uint64_t>& codes) {
    std::vector<fp8::Unpacked> out;
    for (uint64_t code : codes) out.push_back(fp8::Unpack(f, code));
    return out;
  };
  UnpackedLine out;
  out.a = unpack(spec.a, line.a);
  out.b = unpack(spec.b, line.b);
  out.c = line.c;
  if (spec.block == 0) return out;
  const size_t k = static_cast<size_t>(spec.k);
  const size_t needed = (line.a.size() + k - 1) / k * k / static_cast<size_t>(spec.block);
  const uint64_t one = fp8::Pack(spec.scale, fp8::Unpack(1.0)).code;
  const auto scales = [&](std::vector<uint64_t> codes) {
    codes.resize(needed, one);
    std::vector<fp8::Unpacked> unpacked;
    for (uint64_t code : codes) unpacked.push_back(sim::UnpackScale(spec.scale, code));
    return unpacked;
  };
  out.scale_a = scales(line.scale_a);
  out.scale_b = scales(line.scale_b);
  return out;
}

uint64_t ComputeDot(const sim::AccumSpec& spec, const DotLine& line) {
  const UnpackedLine unpacked = TakeApart(spec, line);
  const sim::DotOperands in = unpacked.View();
  return sim::DotChain(spec, in.a, in.b, in.n, in.c_word, in.scales);
}

std::string DotLineText(const sim::AccumSpec& spec, const DotLine& line) {
  std::string text = fmt::format("{} ; {} ; {}", HexList(line.a, spec.a), HexList(line.b, spec.b),
                                 CodeDigits(line.c, spec.acc));
  if (spec.block != 0)
    text += fmt::format(" ; {} ; {}", HexList(line.scale_a, spec.scale),
                        HexList(line.scale_b, spec.scale));
  return text;
}

}  // namespace lostbits::cli
