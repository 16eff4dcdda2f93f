// Instructions as compilers and disassemblers spell them: PTX, MMA-Sim's short forms, SASS, AMD
// assembly and builtins.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "registry_query.h"

namespace lostbits {
namespace {

constexpr char kHalfTypes[] = "f16 bf16 tf32";
constexpr char kFp8Types[] = "e4m3 e5m2";

// Parts of an instruction that no row stands for.
struct NotModelled {
  const char* tokens;
  const char* what;
};
constexpr NotModelled kNotModelled[] = {
    {"sp sp::ordered_metadata smfmac", "sparse instructions are"},
    {"s8 u8 s4 u4 b1 s32 i8 i32 kind::i8 imma igmma bmma utcimma", "integer instructions are"},
    {"ws", ".ws is"},
    {"cta_group::2 2cta", "two CTAs on one instruction (cta_group::2) are"},
};

// The first word of an instruction.
struct Mnemonic {
  const char* name;
  const char* isa;
  const char* archs;         ///< "": any
  const char* instructions;  ///< of rows, in order of preference
  const char* types;         ///< that the operands are among
  bool ptx;
};
// SASS: NVIDIA, "CUDA Binary Utilities", instruction sets of Volta to Blackwell.
constexpr Mnemonic kMnemonics[] = {
    {"mma", "mma", "", "mma.sync mma.sync.m8n8k4", "", true},
    {"wmma", "wmma", "", "wmma mma.sync", "", true},
    {"wgmma", "wgmma", "hopper", "wgmma", "", true},
    {"tcgen05", "tcgen05", "blackwell", "tcgen05", "", true},
    {"dmma", "mma", "", "mma.sync", "f64", false},
    {"hmma", "mma", "", "wmma mma.sync mma.sync.m8n8k4", kHalfTypes, false},
    {"qmma", "mma", "ada rtx_blackwell", "mma.sync", kF8f6f4Types, false},
    {"omma", "mma", "rtx_blackwell", "mma.sync.mxf4nvf4 mma.sync.mxf4", "e2m1", false},
    {"hgmma", "wgmma", "hopper", "wgmma", kHalfTypes, false},
    {"qgmma", "wgmma", "hopper", "wgmma", kFp8Types, false},
    {"utchmma", "tcgen05", "blackwell", "tcgen05", kHalfTypes, false},
    {"utcqmma", "tcgen05", "blackwell", "tcgen05 tcgen05.mxf8f6f4", kF8f6f4Types, false},
    {"utcomma", "tcgen05", "blackwell", "tcgen05.mxf4nvf4 tcgen05.mxf4", "e2m1", false},
};

// PTX's .kind:: qualifiers; "KIND" is tcgen05 or mma.sync.
struct Kind {
  const char* name;
  const char* suffix;  ///< of the row's instruction
  const char* types;
};
constexpr Kind kKinds[] = {
    {"kind::f16", "", "f16 bf16"},      {"kind::tf32", "", "tf32"},
    {"kind::f8f6f4", "", kF8f6f4Types}, {"kind::mxf8f6f4", ".mxf8f6f4", kF8f6f4Types},
    {"kind::mxf4", ".mxf4", "e2m1"},    {"kind::mxf4nvf4", ".mxf4nvf4", "e2m1"},
};

// Products that share a scale. scale_vec::nX: n scales along k, which is 32 for mxf8f6f4 and 64
// for the others (PTX ISA, "Block scaling").
constexpr std::pair<const char*, int> kBlocks[] = {
    {"scale_vec::1x", 32},
    {"scale_vec::2x", 32},
    {"scale_vec::4x", 16},
    {"block32", 32},
    {"block16", 16},
    {"2x", 32},
    {"4x", 16},
};

constexpr char kOtherTokens[] =
    "mma sync mma_async aligned row col block_scale cta_group::1 satfinite";
// SASS modifiers that say nothing the table knows, as cuobjdump prints them.
constexpr char kSassTokens[] = "sf step0 step1 step2 step3";
constexpr char kSassShapes[] = "884 1684 1688 16816 16832 16864";

[[noreturn]] void Refuse(const std::string& why) { throw std::invalid_argument(why); }

void RefuseNotModelled(const std::vector<std::string>& tokens) {
  for (const NotModelled& n : kNotModelled) {
    for (const std::string& token : tokens) {
      if (Among(token, n.tokens)) Refuse(fmt::format("{} not modelled", n.what));
    }
  }
}

bool IsType(const std::string& token) {
  const auto all = AllFormatNames();
  return std::any_of(all.begin(), all.end(),
                     [&](const FormatNames& names) { return token == names.brief; });
}

/// Tokens of an NVIDIA instruction, sorted into what they say.
struct Parts {
  std::vector<std::string> types;
  const Kind* kind = nullptr;
};

Parts ReadTokens(const std::vector<std::string>& typed, bool ptx, Query& query) {
  Parts parts;
  const char* others = ptx ? kOtherTokens : kSassTokens;
  for (size_t i = 0; i < typed.size(); ++i) {
    const std::string token = LowerCase(typed[i]);
    const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                   [&](const Kind& k) { return token == k.name; });
    const auto block = std::find_if(std::begin(kBlocks), std::end(kBlocks),
                                    [&](const auto& b) { return token == b.first; });
    if (const auto shape = ParseShape(token)) {
      query.shape = *shape;
    } else if (token == "ue8m0" || token == "ue4m3" || token == "e8") {
      query.scale = token == "e8" ? "ue8m0" : token;
    } else if (IsType(token)) {
      parts.types.push_back(token);
    } else if (kind != std::end(kKinds)) {
      parts.kind = kind;
    } else if (block != std::end(kBlocks)) {
      query.block = block->second;
    } else if (i > 0 && !Among(token, others)) {
      std::vector<std::string> known = Split(ptx ? others : kSassShapes, " ");
      for (const FormatNames& names : AllFormatNames()) known.emplace_back(names.brief);
      for (const Kind& k : kKinds) known.emplace_back(k.name);
      for (const auto& b : kBlocks) known.emplace_back(b.first);
      Refuse(fmt::format("unknown part '{}'{}", typed[i], DidYouMean(token, known)));
    }
  }
  return parts;
}

/// The operand types: PTX writes D.A.B[.C], or D[.C] where they are FP16; HMMA and HGMMA write
/// D[.A], and D.C before Turing.
void ReadTypes(const Mnemonic& head, const std::vector<std::string>& types, Query& query) {
  if (types.empty()) return;
  query.out = types[0];
  std::string c = types.size() == 4 ? types[3] : types[0];
  const bool half = std::string_view(head.types) == kHalfTypes;
  if (types.size() >= 3) {
    query.in = TypePair(types[1], types[2]);
  } else if (half && types.size() == 2 && (types[1] == "bf16" || types[1] == "tf32")) {
    query.in = types[1];
  } else if (half || (std::string_view(head.name) == "wmma" && types.size() == 2)) {
    query.in = "f16";
    c = types.back();
  }
  if (c != query.out) Refuse(fmt::format("c in {} and d in {} is not modelled", c, query.out));
}

/// A type as AMD's assembly and Composable Kernel's intrinsics ("f8bf8") spell it.
std::string AmdType(const std::string& type) {
  if (type == "fp8" || type == "f8") return "e4m3fnuz";
  if (type == "bf8") return "e5m2fnuz";
  return type == "xf32" ? "tf32" : type;
}

}  // namespace

std::string_view PlainInstruction(const sim::ArchRow& row) {
  std::string_view name = row.instruction;
  for (const Kind& kind : kKinds) {
    const std::string_view suffix = kind.suffix;
    if (!suffix.empty() && name.ends_with(suffix)) name.remove_suffix(suffix.size());
  }
  return name;
}

std::vector<std::string> Mnemonics() {
  std::vector<std::string> names;
  for (const Mnemonic& m : kMnemonics) names.emplace_back(m.name);
  return names;
}

bool ParseNvidia(const std::string& text, Query& query) {
  const std::vector<std::string> typed = Split(text, "."), tokens = Split(LowerCase(text), ".");
  if (tokens.empty()) return false;
  // MMA-Sim's short form starts with the shape: m64 and m128 are Hopper's and Blackwell's.
  std::string name = tokens[0];
  const std::optional<Shape> short_form = ParseShape(name);
  if (short_form) {
    const bool kind = LowerCase(text).find(".kind::") != text.npos;
    if (!name.starts_with('m')) return false;
    name = short_form->m < 64 ? "mma" : kind ? "tcgen05" : "wgmma";
  }
  RefuseNotModelled(tokens);
  const auto head = std::find_if(std::begin(kMnemonics), std::end(kMnemonics),
                                 [&](const Mnemonic& m) { return name == m.name; });
  if (head == std::end(kMnemonics)) return false;
  const Parts parts = ReadTokens(typed, head->ptx, query);
  query.isa = head->isa;
  query.instructions = Split(head->instructions, " ");
  query.types = head->types;
  std::string archs = head->archs;
  if (parts.kind != nullptr) {
    const bool tcgen05 = query.isa == "tcgen05";
    query.instructions = {(tcgen05 ? "tcgen05" : "mma.sync") + std::string(parts.kind->suffix)};
    query.types = parts.kind->types;
    if (!tcgen05) archs = "rtx_blackwell";  // PTX ISA, "mma": kind requires sm_120a
  }
  if (!archs.empty()) {
    const std::vector<std::string> only = Split(archs, " ");
    if (query.archs.empty()) query.archs = only;
    if (!Among(query.archs[0], archs.c_str()))
      Refuse(fmt::format("{} is of {}, not of {}", parts.kind ? parts.kind->name : typed[0],
                         fmt::join(only, " and "), query.archs[0]));
  }
  if (name == "qmma" && Among("sf", fmt::format("{}", fmt::join(tokens, " ")).c_str()))
    query.instructions = {"mma.sync.mxf8f6f4"};
  ReadTypes(*head, parts.types, query);
  query.types_hidden = query.isa == "tcgen05" && parts.types.empty();
  return true;
}

bool ParseAmd(const std::string& text, Query& query) {
  std::string rest = LowerCase(text);
  std::replace(rest.begin(), rest.end(), '.', '_');
  for (std::string_view prefix : {"__builtin_amdgcn_", "llvm_amdgcn_", "intrin_", "v_"}) {
    if (rest.starts_with(prefix)) rest.erase(0, prefix.size());
  }
  std::vector<std::string> tokens = Split(rest, "_");
  if (tokens.empty()) return false;
  if (tokens[0] == "wmma" || tokens[0] == "swmmac") Refuse("no published model covers RDNA's wmma");
  RefuseNotModelled(tokens);
  const bool named = tokens[0] == "mfma";
  if (named) tokens.erase(tokens.begin());
  if (tokens.size() < 2 || (tokens[0] != "f32" && tokens[0] != "f64")) {
    if (!named) return false;
    Refuse("expected an instruction such as v_mfma_f32_16x16x16_f16");
  }
  query.out = tokens[0];

  // "16x16x16f16" or "16x16x16", then "4b" (blocks), types, "1k".
  const size_t digits = tokens[1].find_first_not_of("0123456789x");
  const std::optional<Shape> shape = ParseShape(tokens[1].substr(0, digits));
  if (!shape) return false;
  query.shape = *shape;
  query.isa = "mfma";
  query.instructions = {"mfma"};
  query.archs =
      query.archs.empty() ? std::vector<std::string>{"cdna1", "cdna2", "cdna3"} : query.archs;
  std::vector<std::string> words(tokens.begin() + 2, tokens.end());
  if (digits != std::string::npos) words.insert(words.begin(), tokens[1].substr(digits));
  std::vector<std::string> types;
  for (const std::string& word : words) {
    if (word == "1k") {
      query.instructions = {"mfma_1k", "mfma"};
      if (query.archs.size() > 1) query.archs = {"cdna2", "cdna3"};
    } else if (const auto run = SplitTypes(word); !run.empty()) {
      for (const std::string& type : run) types.push_back(AmdType(type));
    } else if (word.size() < 2 || word.back() != 'b') {
      Refuse(fmt::format("unknown part '{}'", word));
    }
  }
  if (types.empty() || types.size() > 2) Refuse("expected one or two operand types");
  query.in = TypePair(types.front(), types.back());
  return true;
}

}  // namespace lostbits
