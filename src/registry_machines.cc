// Which rows of the machine table a name fits, and the one machine it stands for.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
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
    {"mma.sync.mxf8f6f4", "mma.sync.mxf8f6f4"},
    {"tcgen05.mxf8f6f4", "tcgen05.mxf8f6f4"},
    {"mxf8f6f4", "tcgen05.mxf8f6f4 mma.sync.mxf8f6f4"},
    {"mxfp8", "tcgen05.mxf8f6f4 mma.sync.mxf8f6f4", "e4m3 e5m2"},
    {"mxfp6", "tcgen05.mxf8f6f4 mma.sync.mxf8f6f4", "e2m3 e3m2"},
    {"mma.sync.mxf4", "mma.sync.mxf4"},
    {"tcgen05.mxf4", "tcgen05.mxf4"},
    {"mxf4 mxfp4", "tcgen05.mxf4 mma.sync.mxf4"},
    {"mma.sync.mxf4nvf4", "mma.sync.mxf4nvf4"},
    {"tcgen05.mxf4nvf4", "tcgen05.mxf4nvf4"},
    {"mxf4nvf4", "tcgen05.mxf4nvf4 mma.sync.mxf4nvf4"},
    {"nvfp4", "tcgen05.mxf4nvf4 mma.sync.mxf4nvf4", "e2m1", "ue4m3", 16},
    {"mfma", "mfma"},
    {"mfma_1k", "mfma_1k mfma"},
};

/// The parts of `text` between single colons: "::" is PTX's own.
std::vector<std::string> SplitAtColons(const std::string& text) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ':') {
      parts.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ':') {
      parts.back() += "::";
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  return parts;
}

/// "float8_e4m3fn" -> "e4m3"; "e4m3.e5m2" and "e4m3,e5m2" -> "e4m3.e5m2".
std::string InputTypes(std::string_view token) {
  const std::vector<std::string> parts = Split(token, ".,");
  if (parts.size() == 2 && parts[0] != "torch" && parts[0] != "ml_dtypes") {
    const std::string a = FindFormat(parts[0]).brief, b = FindFormat(parts[1]).brief;
    return a == b ? a : a + "." + b;
  }
  return FindFormat(token).brief;
}

/// "e2m1", "e2m1+ue4m3/16", "e2m1+ue4m3", "f8f6f4".
void ReadInput(const std::string& text, Query& query) {
  const size_t plus = std::min(text.find('+'), text.size());
  const std::string in = text.substr(0, plus);
  if (in == "f8f6f4") {
    query.types = kF8f6f4Types;
  } else if (!in.empty()) {
    query.in = InputTypes(in);
  }
  if (plus == text.size()) return;
  const std::vector<std::string> scale = Split(std::string_view(text).substr(plus + 1), "/");
  for (const std::string& part : scale) {
    int block = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), block);
    if (error == std::errc{} && end == part.data() + part.size()) {
      query.block = block;
    } else if (part == "ue4m3" || part == "ue8m0") {
      query.scale = part;
    } else {
      throw std::invalid_argument(fmt::format(
          "expected block scales ue8m0/32, ue8m0/16 or ue4m3/16 behind '+', found '{}'", part));
    }
  }
}

/// Every name a machine may have begun with.
[[noreturn]] void ThrowUnknown(std::string_view name) {
  std::vector<std::string> known;
  for (const sim::ArchRow& row : sim::kArchTable) known.push_back(MachineName(row));
  for (const std::string& spelling : ArchSpellings()) known.push_back(spelling);
  for (const InstructionNames& names : kInstructionNames) {
    for (const std::string& alias : Split(names.aliases, " ")) known.push_back(alias);
  }
  std::string hint = DidYouMean(name, known);
  if (hint.empty()) hint = "; `lostbits machines` lists them";
  throw std::invalid_argument(fmt::format("unknown machine '{}'{}", name, hint));
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

Query Parse(const std::string& name) {
  Query query;
  std::vector<std::string> parts = SplitAtColons(name);
  if (const auto arch = FindArch(parts[0])) {
    query.archs = {*arch};
    if (parts.size() == 1) return query;
    parts.erase(parts.begin());
  }
  if (!ReadInstruction(parts[0], query)) {
    if (parts.size() == 1 && (ParseNvidia(parts[0], query) || ParseAmd(parts[0], query)))
      return query;
    ThrowUnknown(name);
  }
  if (parts.size() > 3) ThrowUnknown(name);
  if (parts.size() > 1) ReadInput(parts[1], query);
  if (parts.size() > 2) query.out = FindFormat(parts[2]).brief;
  return query;
}

bool Fits(const Query& query, const sim::ArchRow& row) {
  const auto among = [](const std::vector<std::string>& wanted, std::string_view word) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), word) != wanted.end();
  };
  if (!among(query.archs, row.arch) || !among(query.instructions, row.instruction)) return false;
  if (!query.in.empty() && query.in != row.in) return false;
  if (!query.out.empty() && query.out != row.out) return false;
  for (const std::string& type : Split(row.in, ".")) {
    if (!Among(type, query.types.c_str())) return false;
  }
  if (!query.scale.empty() && !std::string_view(row.scale).starts_with(query.scale)) return false;
  if (query.block != 0 && query.block != row.spec.block) return false;
  return HasShape(row, query);
}

/// The rows that fit: of two that differ in their instruction only, the one it prefers.
std::vector<const sim::ArchRow*> FittingRows(const Query& query) {
  const auto preference = [&](const sim::ArchRow* row) {
    const auto& wanted = query.instructions;
    return std::find(wanted.begin(), wanted.end(), row->instruction) - wanted.begin();
  };
  const auto rivals = [](const sim::ArchRow* x, const sim::ArchRow* y) {
    return std::string_view(x->arch) == y->arch && std::string_view(x->in) == y->in &&
           std::string_view(x->out) == y->out && x->spec.block == y->spec.block &&
           x->spec.scale == y->spec.scale;
  };
  std::vector<const sim::ArchRow*> fitting;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (Fits(query, row)) fitting.push_back(&row);
  }
  if (query.instructions.empty()) return fitting;
  std::vector<const sim::ArchRow*> found;
  for (const sim::ArchRow* row : fitting) {
    const bool beaten = std::any_of(fitting.begin(), fitting.end(), [&](const sim::ArchRow* x) {
      return rivals(x, row) && preference(x) < preference(row);
    });
    if (!beaten) found.push_back(row);
  }
  return found;
}

/// Says what is known instead.
[[noreturn]] void ThrowNoRow(std::string_view name, const Query& query) {
  Query any_shape = query;
  any_shape.shape = {};
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (query.shape.k == 0 || !Fits(any_shape, row)) continue;
    const std::string shapes = ShapesOf(row, query);
    if (!shapes.empty())
      throw std::invalid_argument(fmt::format("no machine '{}': {} is known for {}, not for {}",
                                              name, MachineName(row), shapes,
                                              ShapeText(query.shape)));
  }
  std::vector<std::string> known;
  for (const sim::ArchRow& row : sim::kArchTable) {
    const bool here = query.archs.empty() || std::find(query.archs.begin(), query.archs.end(),
                                                       row.arch) != query.archs.end();
    if (here) known.push_back(MachineName(row));
  }
  const std::string wanted =
      fmt::format("{}:{}:{}{}{}:{}", query.archs.empty() ? "" : query.archs[0],
                  query.instructions.empty() ? "" : query.instructions[0], query.in,
                  query.scale.empty() ? "" : "+", query.scale, query.out);
  std::string hint = DidYouMean(wanted, known);
  if (hint.empty() && query.archs.size() == 1)
    hint = fmt::format("; `lostbits machines {}` lists its rows", query.archs[0]);
  throw std::invalid_argument(fmt::format("no machine '{}'{}", name, hint));
}

std::string Trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t\r\n;"), text.size());
  const size_t end = text.find_last_not_of(" \t\r\n;") + 1;
  return std::string(text.substr(begin, end > begin ? end - begin : 0));
}

struct Found {
  Query query;
  std::vector<const sim::ArchRow*> rows;
};

/// `name` without settings.
Found Find(std::string_view name) {
  const std::string lower = LowerCase(Trimmed(name));
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (lower == MachineName(row)) return {{}, {&row}};
  }
  Found found{Parse(lower), {}};
  found.rows = FittingRows(found.query);
  if (found.rows.empty()) ThrowNoRow(name, found.query);
  return found;
}

}  // namespace

std::vector<const sim::ArchRow*> FindMachines(std::string_view name) {
  if (name.find('@') != name.npos) return {FindMachine(name).row};
  return Find(name).rows;
}

Machine FindMachine(std::string_view name) {
  const size_t at = std::min(name.find('@'), name.size());
  const std::string_view base = name.substr(0, at);
  const Found found = Find(base);
  if (found.rows.size() != 1) {
    std::vector<std::string> names;
    for (const sim::ArchRow* row : found.rows) names.push_back(MachineName(*row));
    const size_t more = names.size() > 4 ? names.size() - 4 : 0;
    names.resize(names.size() - more);
    throw std::invalid_argument(fmt::format(
        "'{}' {} {} machines, name one: {}{}", base,
        found.query.types_hidden
            ? "does not name its operand types (they lie in the instruction descriptor) and fits"
            : "fits",
        found.rows.size(), fmt::join(names, ", "),
        more ? fmt::format(" or {} more (`lostbits machines '{}'`)", more, base) : ""));
  }
  Machine machine = AsMachine(*found.rows[0]);
  if (found.query.shape.k != 0) machine.spec = WithK(machine.spec, found.query.shape.k);
  NameMachine(machine);
  if (at == name.size()) return machine;
  try {
    ApplySettings(LowerCase(Trimmed(name.substr(at + 1))), machine);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("no machine '{}': {}", name, error.what()));
  }
  return machine;
}

}  // namespace lostbits
