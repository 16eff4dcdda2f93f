// Which rows of the machine table a name fits: our own names, PTX, MMA-Sim's short form, SASS.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>

#include "registry.h"

namespace lostbits {
namespace {

// GPUs and compute capabilities of an architecture (NVIDIA, "CUDA GPU Compute Capability").
struct ArchNames {
  const char* arch;  ///< as in sim::kArchTable; "" where the table has no row
  const char* aliases;
};
constexpr ArchNames kArchNames[] = {
    {"volta", "volta v100 gv100 sm_70"},
    {"ampere", "ampere a100 a800 a30 sm_80 a2 a10 a40 a6000 rtx3090 sm_86"},
    {"ada", "ada l4 l40 l40s rtx4090 rtx4060 rtx1000 sm_89"},
    {"hopper", "hopper h100 h200 h800 h20 gh200 sm_90 sm_90a"},
    {"blackwell", "blackwell b200 gb200 sm_100 sm_100a"},
    {"",
     "turing t4 sm_75 sm_87 rtx5090 rtx5070ti rtxpro6000 sm_120 sm_120a b300 sm_103 sm_103a "
     "mi100 mi210 mi250x mi300x mi325x cdna1 cdna2 cdna3 gfx908 gfx90a gfx942"},
};

/// What a name says about a row; an empty field says nothing.
struct Query {
  std::string arch;
  std::vector<std::string> instructions;  ///< in order of preference
  std::string in, out;
  int k = 0;
  enum { kAny, kFp8, kWider } operands = kAny;  ///< what the mnemonic alone tells
};

std::string WithoutPunctuation(std::string_view text) {
  std::string kept;
  for (char c : text) {
    if (c != '_' && c != '-' && c != ' ') kept += c;
  }
  return kept;
}

/// The architecture a token names; "" for one the table lacks; nullopt if it names none.
std::optional<std::string> FindArch(std::string_view token) {
  std::string wanted = WithoutPunctuation(token);
  for (std::string_view prefix : {"nvidia", "geforce", "compute"}) {
    if (wanted.starts_with(prefix)) {
      wanted.erase(0, prefix.size());
      if (prefix == "compute") wanted.insert(0, "sm");
    }
  }
  for (const ArchNames& names : kArchNames) {
    for (const std::string& alias : Split(names.aliases, " ")) {
      if (wanted == WithoutPunctuation(alias)) return names.arch;
    }
  }
  return std::nullopt;
}

std::vector<std::string> InstructionsNamed(std::string_view token) {
  if (token == "mma.sync" || token == "mma") return {"mma.sync"};
  if (token == "wgmma" || token == "wgmma.mma_async") return {"wgmma"};
  if (token == "wmma" || token == "wmma.mma" || token == "wmma.mma.sync")
    return {"wmma", "mma.sync"};
  if (token == "tcgen05" || token == "tcgen05.mma" || token == "utcqmma") return {"tcgen05"};
  return {};
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

std::optional<std::string> TypeToken(std::string_view token) {
  for (const FormatNames& names : AllFormatNames()) {
    if (token == names.brief) return std::string(names.brief);
  }
  return std::nullopt;
}

/// k of "m64n128k32", "64x128x32", "16832", "884"; 0 if the token is no shape.
int ShapeK(std::string_view token) {
  // Warp-level SASS shapes are m, n, k run together: m16n8k32, m16n8k16, m16n8k8, m16n8k4, m8n8k4.
  constexpr std::pair<std::string_view, int> kSass[] = {
      {"16832", 32}, {"16816", 16}, {"1688", 8}, {"1684", 4}, {"884", 4}};
  for (const auto& [name, k] : kSass) {
    if (token == name) return k;
  }
  std::string plain(token);
  std::replace(plain.begin(), plain.end(), 'x', ' ');
  const bool ptx = token.starts_with('m') && token.find('n') != token.npos;
  if (ptx) {
    for (char& c : plain) {
      if (c == 'm' || c == 'n' || c == 'k') c = ' ';
    }
  }
  const std::vector<std::string> sizes = Split(plain, " ");
  if (sizes.size() != 3) return 0;
  int k = 0;
  for (const std::string& size : sizes) {
    const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), k);
    if (error != std::errc{} || end != size.data() + size.size() || k <= 0) return 0;
  }
  return k;
}

std::string Joined(const std::string& a, const std::string& b) { return a == b ? a : a + "." + b; }

/// A PTX instruction, MMA-Sim's short form of one, or SASS. False if `text` is none of them.
bool ParseInstruction(const std::string& text, Query& query) {
  const std::vector<std::string> tokens = Split(text, ".");
  if (tokens.empty()) return false;
  std::vector<std::string> types;
  for (const std::string& token : tokens) {
    if (query.k == 0) query.k = ShapeK(token);
    if (const auto type = TypeToken(token)) types.push_back(*type);
    if (token == "sp" || token == "block_scale")
      throw std::invalid_argument(fmt::format(
          "no machine '{}': sparse and block-scaled instructions are not modelled", text));
  }
  const std::string& head = tokens[0];
  const bool short_form = head.starts_with('m') && ShapeK(head) != 0;
  const auto type = [&](size_t i) { return i < types.size() ? types[i] : std::string(); };
  const auto only_on = [&](const char* arch) {
    if (query.arch.empty()) query.arch = arch;
    if (query.arch != arch)
      throw std::invalid_argument(
          fmt::format("no machine '{}': {} is {}'s, not {}'s", text, head, arch, query.arch));
  };
  if (head == "tcgen05" && tokens.size() > 2)
    throw std::invalid_argument(fmt::format(
        "'{}' does not name its operand types (they lie in the instruction descriptor); "
        "write blackwell:tcgen05:IN:OUT",
        text));
  if (head == "qgmma" || head == "hgmma") {
    query.instructions = {"wgmma"};
    query.operands = head == "qgmma" ? Query::kFp8 : Query::kWider;
    only_on("hopper");
  } else if (head == "qmma") {
    query.instructions = {"mma.sync"};
    query.operands = Query::kFp8;
    only_on("ada");
  } else if (head == "hmma") {
    query.instructions = {"mma.sync", "wmma"};
    query.operands = Query::kWider;
  } else if (head == "wgmma" && query.k != 0) {
    query.instructions = {"wgmma"};
  } else if (head == "mma" && query.k != 0) {
    query.instructions = {"mma.sync"};
  } else if (head == "wmma" && query.k != 0) {
    query.instructions = {"wmma", "mma.sync"};
  } else if (short_form) {
    query.instructions = {head.starts_with("m64") ? "wgmma" : "mma.sync"};
  } else {
    return false;
  }
  query.out = type(0);
  const bool implied_f16 = head == "wmma" && types.size() == 2;
  if (head == "hmma" || head == "hgmma" || implied_f16) {
    const bool named = type(1) == "bf16" || type(1) == "tf32";
    query.in = implied_f16 || !named ? "f16" : type(1);
    if (types.empty()) query.in.clear();
  } else if (types.size() >= 3) {
    query.in = Joined(type(1), type(2));
  }
  if (types.size() == 4 && type(3) != type(0))
    throw std::invalid_argument(fmt::format("no machine '{}': c in {} and d in {} is not modelled",
                                            text, type(3), type(0)));
  return true;
}

Query Parse(const std::string& name) {
  Query query;
  std::string rest = name;
  size_t colon = name.find(':');
  if (colon != name.npos && name.substr(colon, 2) == "::") colon = name.npos;
  const std::string head = name.substr(0, colon);
  if (const auto arch = FindArch(head)) {
    if (arch->empty())
      throw std::invalid_argument(fmt::format(
          "no machine for '{}': the table has volta, ampere, ada, hopper and blackwell (sm_100)",
          head));
    query.arch = *arch;
    if (colon == name.npos) return query;
    rest = name.substr(colon + 1);
  }
  if (ParseInstruction(rest, query)) return query;
  const std::vector<std::string> parts = Split(rest, ":");
  if (!parts.empty()) query.instructions = InstructionsNamed(parts[0]);
  if (query.instructions.empty() || parts.size() > 3) {
    std::vector<std::string> known;
    for (const sim::ArchRow& row : sim::kArchTable) known.push_back(MachineName(row));
    for (const ArchNames& names : kArchNames) {
      for (const std::string& alias : Split(names.aliases, " ")) known.push_back(alias);
    }
    std::string hint = DidYouMean(name, known);
    if (hint.empty()) hint = "; `lostbits machines` lists them";
    throw std::invalid_argument(fmt::format("unknown machine '{}'{}", name, hint));
  }
  if (query.instructions[0] == "wmma") query.operands = Query::kWider;  // wmma knows no FP8
  if (parts.size() > 1) query.in = InputTypes(parts[1]);
  if (parts.size() > 2) query.out = FindFormat(parts[2]).brief;
  return query;
}

/// An instruction of k products is the row's function if it runs whole groups of it.
bool FitsK(const sim::AccumSpec& spec, int k) {
  if (k == 0) return true;
  return spec.flow == sim::Flow::kChained ? k % spec.group == 0 : k == spec.k;
}

bool Fits(const Query& query, const sim::ArchRow& row) {
  if (!query.arch.empty() && query.arch != row.arch) return false;
  if (!query.in.empty() && query.in != row.in) return false;
  if (!query.out.empty() && query.out != row.out) return false;
  const bool fp8 = StorageBits(row.spec.a) == 8;
  if (query.operands == Query::kFp8 ? !fp8 : query.operands == Query::kWider && fp8) return false;
  if (query.instructions.empty()) return FitsK(row.spec, query.k);
  const auto& wanted = query.instructions;
  if (std::find(wanted.begin(), wanted.end(), row.instruction) == wanted.end()) return false;
  return FitsK(row.spec, query.k);
}

}  // namespace

std::vector<const sim::ArchRow*> FindMachines(std::string_view name) {
  const std::string lower = LowerCase(name);
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (lower == MachineName(row)) return {&row};
  }
  const Query query = Parse(lower);
  std::vector<const sim::ArchRow*> found;
  // Instructions in order of preference: a later one only where the earlier has no such row.
  const std::vector<std::string> any = {""};
  for (const std::string& instruction : query.instructions.empty() ? any : query.instructions) {
    for (const sim::ArchRow& row : sim::kArchTable) {
      if (!Fits(query, row) || (!instruction.empty() && instruction != row.instruction)) continue;
      const bool taken = std::any_of(found.begin(), found.end(), [&](const sim::ArchRow* f) {
        return instruction != f->instruction && std::string_view(f->arch) == row.arch &&
               std::string_view(f->in) == row.in && std::string_view(f->out) == row.out;
      });
      if (instruction.empty() || !taken) found.push_back(&row);
    }
  }
  if (!found.empty()) return found;

  std::vector<std::string> known;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (query.arch.empty() || query.arch == row.arch) known.push_back(MachineName(row));
  }
  Query without_k = query;
  without_k.k = 0;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (query.k != 0 && Fits(without_k, row))
      throw std::invalid_argument(
          fmt::format("no machine '{}': {} is known for k = {}, not for k = {}", name,
                      MachineName(row), row.spec.k, query.k));
  }
  throw std::invalid_argument(fmt::format("no machine '{}'{}", name, DidYouMean(lower, known)));
}

const sim::ArchRow& FindMachine(std::string_view name) {
  const std::vector<const sim::ArchRow*> found = FindMachines(name);
  if (found.size() == 1) return *found[0];
  std::vector<std::string> names;
  for (const sim::ArchRow* row : found) names.push_back(MachineName(*row));
  const size_t more = names.size() > 4 ? names.size() - 4 : 0;
  names.resize(names.size() - more);
  throw std::invalid_argument(fmt::format(
      "'{}' fits {} machines, name one: {}{}", name, found.size(), fmt::join(names, ", "),
      more ? fmt::format(" or {} more (`lostbits machines '{}'`)", more, name) : ""));
}

}  // namespace lostbits
