// What to say of a name that fits no row: near names that do, and who has what was asked for.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "registry_query.h"

namespace lostbits {
namespace {

constexpr size_t kHints = 3;

void AddOnce(std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

/// Of the known words the likely ones, best first: those that hold the part ("4090"), those a few
/// letters away, those it begins with or has as a word ("NVIDIA H100 80GB HBM3").
std::vector<std::string> Near(std::string_view part, const std::vector<std::string>& known) {
  const std::string wanted = WithoutPunctuation(part);
  const std::vector<std::string> pieces = Split(LowerCase(part), " -_");
  std::vector<std::string> longer, shorter;
  for (const std::string& k : known) {
    const std::string word = WithoutPunctuation(k);
    if (wanted.size() >= 3 && word.find(wanted) != word.npos) AddOnce(longer, k);
    const bool a_piece = std::find(pieces.begin(), pieces.end(), word) != pieces.end();
    if (a_piece || (word.size() >= 3 && wanted.starts_with(word))) AddOnce(shorter, k);
  }
  if (!longer.empty()) return longer;
  if (wanted.size() < 3) return {};
  std::vector<std::string> near = Nearest(part, known);
  std::stable_sort(shorter.begin(), shorter.end(),
                   [](const auto& x, const auto& y) { return x.size() > y.size(); });
  for (const std::string& k : shorter) AddOnce(near, k);
  return near;
}

bool FitsSome(std::string_view name) {
  try {
    const ParsedName parsed = ParseName(name);
    return !parsed.unknown && !FittingRows(parsed.query).empty();
  } catch (const std::invalid_argument&) {
    return false;
  }
}

std::string Question(std::vector<std::string> names) {
  if (names.size() > kHints) names.resize(kHints);
  return names.empty() ? "" : fmt::format("; did you mean {}?", fmt::join(names, ", "));
}

/// "mma.sync:e4m3:f32": of what a query says, as a row has it.
std::string Asked(const Query& query, const sim::ArchRow& row) {
  std::vector<std::string> parts;
  if (!query.instructions.empty()) {
    parts.emplace_back(query.isa == "wmma" ? "wmma" : row.instruction);
  } else if (!query.in.empty()) {
    return "operand type " + query.in;
  }
  if (!query.in.empty()) parts.push_back(query.in);
  if (!query.out.empty()) parts.push_back(query.out);
  return fmt::format("{}", fmt::join(parts, ":"));
}

/// ": ... is known for m16n8k8, m16n8k16, not for m16n8k32"; "" if the shape is not what fails.
std::string ShapeHint(const Query& query) {
  if (query.shape.k == 0) return "";
  Query any_shape = query;
  any_shape.shape = {};
  for (const sim::ArchRow* row : FittingRows(any_shape)) {
    const std::string shapes = ShapesOf(*row, query);
    if (!shapes.empty())
      return fmt::format(": {} is known for {}, not for {}", MachineName(*row), shapes,
                         ShapeText(query.shape));
  }
  return "";
}

}  // namespace

void ThrowUnknown(std::string_view name, const ParsedName& parsed) {
  // An instruction's first word is the one to mend: "wgma" of "wgma.mma_async.sync".
  const std::string_view whole = *parsed.unknown;
  const std::string_view word = whole.substr(0, whole.find('.'));
  std::vector<std::string> mended, words;
  for (std::string_view part : {whole, word}) {
    for (const std::string& near : Near(part, parsed.known)) {
      std::string better(name);
      better.replace(static_cast<size_t>(part.data() - name.data()), part.size(), near);
      if (FitsSome(better)) AddOnce(mended, better);
      AddOnce(words, near);
    }
    if (!mended.empty()) break;
  }
  std::string hint = Question(mended.empty() ? words : mended);
  if (parsed.known.empty()) {
    hint = "; expected arch:instruction:in:out";
  } else if (hint.empty() && parsed.known.size() <= 6) {
    hint = fmt::format("; known here: {}", fmt::join(parsed.known, ", "));
  } else if (hint.empty()) {
    hint = "; `lostbits machines` lists them";
  }
  const bool part_only = whole.size() < name.size();
  throw std::invalid_argument(
      fmt::format("unknown machine '{}'{}{}", name,
                  part_only ? fmt::format(": unknown part '{}'", whole) : "", hint));
}

void ThrowNoRow(std::string_view name, const Query& query) {
  std::string why = ShapeHint(query);
  if (!why.empty()) throw std::invalid_argument(fmt::format("no machine '{}'{}", name, why));
  std::vector<std::string> near;

  // Operands that are spelled alike: e4m3 for e4m3fnuz.
  Query other = query;
  other.in.clear();
  for (const sim::ArchRow* row : FittingRows(other)) {
    if (!query.in.empty() && std::string_view(row->in).starts_with(query.in))
      AddOnce(near, MachineName(*row));
  }
  // Other architectures have it.
  other = query;
  other.archs.clear();
  std::vector<std::string> archs;
  const std::vector<const sim::ArchRow*> elsewhere = FittingRows(other);
  for (const sim::ArchRow* row : elsewhere) AddOnce(archs, row->arch);
  if (!elsewhere.empty())
    why = fmt::format(": {} is of {}, not of {}", Asked(query, *elsewhere[0]),
                      fmt::join(archs, ", "), fmt::join(query.archs, ", "));
  if (elsewhere.size() == 1) AddOnce(near, MachineName(*elsewhere[0]));
  // The instruction has other results.
  other = query;
  other.out.clear();
  for (const sim::ArchRow* row : FittingRows(other)) AddOnce(near, MachineName(*row));
  // Another instruction has it.
  other = {};
  other.archs = query.archs;
  other.in = query.in;
  other.out = query.out;
  if (!other.in.empty()) {
    for (const sim::ArchRow* row : FittingRows(other)) AddOnce(near, MachineName(*row));
  }
  std::string hint = Question(near);
  if (hint.empty() && why.empty())
    hint = query.archs.size() == 1
               ? fmt::format("; `lostbits machines {}` lists its rows", query.archs[0])
               : "; `lostbits machines` lists them";
  throw std::invalid_argument(fmt::format("no machine '{}'{}{}", name, why, hint));
}

}  // namespace lostbits
