// What a machine's name says, taken apart. Between the registry's own files.
#ifndef LOSTBITS_SRC_REGISTRY_QUERY_H_
#define LOSTBITS_SRC_REGISTRY_QUERY_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "registry.h"

namespace lostbits {

/// Of an instruction: (m x k) * (k x n). k = 0: not said. In a list of shapes n = 0 stands for any.
struct Shape {
  int m = 0, n = 0, k = 0;
};

/// What a name says about a row; an empty field says nothing.
struct Query {
  std::vector<std::string> archs;
  std::vector<std::string> instructions;  ///< in order of preference
  std::string in;  ///< as rows have it; several, separated by spaces: any of them
  std::string out;
  std::string types;  ///< that both operands are among, separated by spaces
  std::string scale;  ///< "ue8m0" or "ue4m3"
  int block = 0;
  std::string isa;  ///< whose shapes count: "mma", "wmma", "wgmma", "tcgen05", "mfma"
  Shape shape;
  bool types_hidden = false;  ///< PTX's tcgen05.mma: the types lie in the instruction descriptor
};

inline constexpr char kF8f6f4Types[] = "e4m3 e5m2 e3m2 e2m3 e2m1";

/// Two operand types as a row's `in` has them: "e4m3" for a pair of equals, else "e4m3.e5m2".
inline std::string TypePair(const std::string& a, const std::string& b) {
  return a == b ? a : a + "." + b;
}

/// `word` is one of the words in `list`; an empty list has every word.
bool Among(std::string_view word, const char* list);

// registry_archs.cc

/// Lower case, without "_", "-" and blanks: "RTX PRO 6000" and "rtx-pro-6000" are one name.
std::string WithoutPunctuation(std::string_view text);
/// The architecture that a token names; nullopt if it names none. Throws for one that no source
/// covers.
std::optional<std::string> FindArch(std::string_view token);
/// Every spelling of every architecture in the table.
std::vector<std::string> ArchSpellings();

// registry_names.cc

/// A name taken apart, without settings.
struct ParsedName {
  Query query;
  std::optional<std::string_view> unknown;  ///< the first part that says nothing, within the name
  std::vector<std::string> known;           ///< what may stand in its place
};
/// Throws for what is known but not modelled.
ParsedName ParseName(std::string_view name);
/// Without blanks and semicolons at its ends.
std::string_view Trimmed(std::string_view text);

// registry_machines.cc

/// The rows that fit: of two that differ in their instruction only, the one it prefers.
std::vector<const sim::ArchRow*> FittingRows(const Query& query);

// registry_hints.cc

/// Throws for a name with an unknown part.
[[noreturn]] void ThrowUnknown(std::string_view name, const ParsedName& parsed);
/// Throws for a name of known parts that no row fits.
[[noreturn]] void ThrowNoRow(std::string_view name, const Query& query);

// registry_cutlass.cc

/// As ParseNvidia, from the name of a CUTLASS atom.
bool ParseCutlass(const std::string& text, Query& query);
/// Types that are run together, in lower case: "f32e4m3e4m3"; empty if `text` is anything else.
std::vector<std::string> SplitTypes(std::string_view text);

// registry_instructions.cc

/// The first words of NVIDIA's instructions, PTX and SASS, in lower case.
std::vector<std::string> Mnemonics();
/// Fills `query` from a PTX instruction, MMA-Sim's short form of one, or SASS. False if `text` is
/// none of them. Throws for what the table does not model.
bool ParseNvidia(const std::string& text, Query& query);
/// As ParseNvidia, from an AMD instruction, its compiler builtin or MMA-Sim's short form.
bool ParseAmd(const std::string& text, Query& query);

// registry_shapes.cc

/// "m16n8k32", "64x128x32", SASS "16832"; nullopt for anything else.
std::optional<Shape> ParseShape(std::string_view token);
std::string ShapeText(const Shape& shape);
/// The row's instruction exists in the query's ISA, and comes in its shape.
bool HasShape(const sim::ArchRow& row, const Query& query);
/// The shapes of the row's instruction in the query's ISA, for an error: "m16n8k8, m16n8k16".
std::string ShapesOf(const sim::ArchRow& row, const Query& query);
/// Some instruction of the row's takes k products.
bool HasK(const sim::ArchRow& row, int k);
/// The spec of an instruction of k products: a longer one is a chain of the row's, a shorter one
/// has no longer groups than its own k.
sim::AccumSpec WithK(sim::AccumSpec spec, int k);

// registry_settings.cc

/// Applies "setting=value,..." to a machine whose row is set, and names it.
void ApplySettings(std::string_view settings, Machine& machine);
/// Names a machine after its row and its spec, and says whether it is altered.
void NameMachine(Machine& machine);

}  // namespace lostbits

#endif  // LOSTBITS_SRC_REGISTRY_QUERY_H_
