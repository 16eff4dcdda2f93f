// A machine's name, taken apart: "arch:instruction:in:out", any part of it, or an instruction.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "registry_query.h"

namespace lostbits {
namespace {

// What people call an instruction in "arch:instruction:in:out".
struct InstructionNames {
  const char* aliases;
  const char* instructions;  ///< of rows, in order of preference
  const char* types = "";    ///< that the operands are among
  const char* scale = "";
  int block = 0;
  const char* isa = "";
};
constexpr InstructionNames kInstructionNames[] = {
    {"mma.sync mma", "mma.sync"},
    {"mma.sync.m8n8k4", "mma.sync.m8n8k4"},
    {"wgmma wgmma.mma_async", "wgmma"},
    {"wmma wmma.mma wmma.mma.sync", "wmma mma.sync", "", "", 0, "wmma"},
    {"tcgen05 tcgen05.mma", "tcgen05"},
    {"mma.sync.mxf8f6f4", "mma.sync.mxf8f6f4", kF8f6f4Types},
    {"tcgen05.mxf8f6f4", "tcgen05.mxf8f6f4", kF8f6f4Types},
    {"mxf8f6f4", "tcgen05.mxf8f6f4 mma.sync.mxf8f6f4", kF8f6f4Types},
    {"mxfp8 mxf8", "tcgen05.mxf8f6f4 mma.sync.mxf8f6f4", "e4m3 e5m2"},
    {"mxfp6 mxf6", "tcgen05.mxf8f6f4 mma.sync.mxf8f6f4", "e2m3 e3m2"},
    {"mma.sync.mxf4", "mma.sync.mxf4", "e2m1"},
    {"tcgen05.mxf4", "tcgen05.mxf4", "e2m1"},
    {"mxf4 mxfp4", "tcgen05.mxf4 mma.sync.mxf4", "e2m1"},
    {"mma.sync.mxf4nvf4", "mma.sync.mxf4nvf4", "e2m1"},
    {"tcgen05.mxf4nvf4", "tcgen05.mxf4nvf4", "e2m1"},
    {"mxf4nvf4", "tcgen05.mxf4nvf4 mma.sync.mxf4nvf4", "e2m1"},
    {"nvfp4", "tcgen05.mxf4nvf4 mma.sync.mxf4nvf4", "e2m1", "ue4m3", 16},
    {"mfma", "mfma"},
    {"mfma_1k", "mfma_1k mfma"},
};

/// The parts of `text` between single colons: "::" is PTX's and C++'s own.
std::vector<std::string_view> SplitAtColons(std::string_view text) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (text.substr(i).starts_with("::")) {
      ++i;
    } else if (i == text.size() || text[i] == ':') {
      parts.push_back(Trimmed(text.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  return parts;
}

bool ReadInstruction(const std::string& text, Query& query) {
  for (const InstructionNames& names : kInstructionNames) {
    if (!Among(text, names.aliases)) continue;
    query.instructions = Split(names.instructions, " ");
    query.types = names.types;
    query.scale = names.scale;
    query.block = names.block;
    query.isa = names.isa;
    return true;
  }
  return false;
}

/// "fp8" and "bf8" are the FNUZ formats where the name is CDNA's (ISA guide of MI300, "MFMA").
std::optional<std::string> TypeNamed(std::string_view name, const Query& query) {
  const bool cdna = (!query.archs.empty() && query.archs[0].starts_with("cdna")) ||
                    (!query.instructions.empty() && query.instructions[0].starts_with("mfma"));
  if (name == "bf8") return "e5m2fnuz";
  if (name == "fp8" && cdna) return "e4m3fnuz";
  try {
    return FindFormat(name).brief;
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

/// "float8_e4m3fn" -> "e4m3"; "e4m3.e5m2" and "e4m3,e5m2" -> "e4m3.e5m2".
std::optional<std::string> OperandPair(std::string_view text, const Query& query) {
  const std::vector<std::string> parts = Split(text, ".,");
  if (parts.size() == 2) {
    const auto a = TypeNamed(parts[0], query), b = TypeNamed(parts[1], query);
    if (a && b) return TypePair(*a, *b);
  }
  return TypeNamed(text, query);
}

void ReadScale(std::string_view text, Query& query) {
  for (const std::string& part : Split(text, "/")) {
    const std::optional<int64_t> block = ParseWhole(part);
    if (block == 16 || block == 32) {
      query.block = static_cast<int>(*block);
    } else if (part == "ue4m3" || part == "ue8m0") {
      query.scale = part;
    } else {
      throw std::invalid_argument(fmt::format(
          "expected block scales ue8m0/32, ue8m0/16 or ue4m3/16 behind '+', found '{}'", part));
    }
  }
}

/// "e2m1", "e2m1+ue4m3/16", "e2m1+ue4m3", "f8f6f4"; and as the table is printed, "e4m3|e5m2" and
/// "e4m3|e5m2, any pair". False if a type is unknown.
bool ReadInput(std::string_view text, Query& query) {
  constexpr std::string_view kAnyPair = ", any pair";
  const size_t plus = std::min(text.find('+'), text.size());
  std::string_view in = text.substr(0, plus);
  const bool any_pair = in.ends_with(kAnyPair);
  if (any_pair) in.remove_suffix(kAnyPair.size());
  if (in == "f8f6f4") {
    query.types = kF8f6f4Types;
  } else if (!in.empty()) {
    std::vector<std::string> pairs;
    for (const std::string& one : Split(in, "|")) {
      const std::optional<std::string> pair = OperandPair(one, query);
      if (!pair) return false;
      pairs.push_back(*pair);
    }
    (any_pair ? query.types : query.in) = fmt::format("{}", fmt::join(pairs, " "));
  }
  if (plus < text.size()) ReadScale(text.substr(plus + 1), query);
  return true;
}

std::vector<std::string> HeadSpellings() {
  std::vector<std::string> known = Mnemonics();
  for (const InstructionNames& names : kInstructionNames) {
    for (const std::string& alias : Split(names.aliases, " ")) known.push_back(alias);
  }
  for (const FormatNames& names : AllFormatNames()) known.emplace_back(names.brief);
  return known;
}

/// One text of each row that fits so far.
std::vector<std::string> OfFittingRows(const Query& query, auto text) {
  std::vector<std::string> known;
  for (const sim::ArchRow* row : FittingRows(query)) {
    if (std::find(known.begin(), known.end(), text(*row)) == known.end())
      known.emplace_back(text(*row));
  }
  return known;
}

/// What was pasted behind an instruction: "... {%0, %1}, {%2}", "... v[0:3], v4", "...<32, 32>".
std::string_view WithoutOperands(std::string_view instruction) {
  return instruction.substr(0, instruction.find_first_of(" \t\r\n<;"));
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n;";
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  const size_t end = text.find_last_not_of(kBlanks) + 1;
  return text.substr(begin, end > begin ? end - begin : 0);
}

ParsedName ParseName(std::string_view name) {
  ParsedName parsed;
  Query& query = parsed.query;
  const auto unknown = [&](std::string_view part, std::vector<std::string> known) {
    parsed.unknown = part;
    parsed.known = std::move(known);
    return parsed;
  };
  // A register list may hold a colon: a[0:15].
  std::vector<std::string_view> parts =
      SplitAtColons(Trimmed(name.substr(0, name.find_first_of("{[%"))));
  const auto blank = [](std::string_view part) { return part.empty(); };
  if (std::all_of(parts.begin(), parts.end(), blank)) return unknown(name, {});
  const std::optional<std::string> arch = FindArch(parts[0]);
  if (arch) {
    query.archs = {*arch};
    parts.erase(parts.begin());
  }
  if (parts.empty()) return parsed;

  const std::string_view head = parts[0];
  if (head.empty() || ReadInstruction(LowerCase(head), query)) {
    parts.erase(parts.begin());
  } else if (!ReadInput(LowerCase(head), query)) {
    const std::string instruction(WithoutOperands(head));
    if (parts.size() == 1 && (ParseCutlass(instruction, query) || ParseNvidia(instruction, query) ||
                              ParseAmd(instruction, query)))
      return parsed;
    std::vector<std::string> known = HeadSpellings();
    if (!arch) {
      const std::vector<std::string> archs = ArchSpellings();
      known.insert(known.begin(), archs.begin(), archs.end());
    }
    return unknown(head, std::move(known));
  }
  if (parts.size() > 2) return unknown(parts[2], {});
  if (!parts.empty() && !ReadInput(LowerCase(parts[0]), query))
    return unknown(parts[0], OfFittingRows(query, [](const sim::ArchRow& r) { return r.in; }));
  if (parts.size() < 2 || parts[1].empty()) return parsed;
  const std::optional<std::string> out = TypeNamed(LowerCase(parts[1]), query);
  if (!out)
    return unknown(parts[1], OfFittingRows(query, [](const sim::ArchRow& r) { return r.out; }));
  query.out = *out;
  return parsed;
}

}  // namespace lostbits
