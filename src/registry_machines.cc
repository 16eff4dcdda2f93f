// Which rows of the machine table a name fits, and the one machine it stands for.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "registry_query.h"

namespace lostbits {
namespace {

bool Fits(const Query& query, const sim::ArchRow& row) {
  const auto among = [](const std::vector<std::string>& wanted, std::string_view word) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), word) != wanted.end();
  };
  if (!among(query.archs, row.arch) || !among(query.instructions, row.instruction)) return false;
  if (!Among(row.in, query.in.c_str())) return false;
  if (!query.out.empty() && query.out != row.out) return false;
  for (const std::string& type : Split(row.in, ".")) {
    if (!Among(type, query.types.c_str())) return false;
  }
  if (!query.scale.empty() && !std::string_view(row.scale).starts_with(query.scale)) return false;
  if (query.block != 0 && query.block != row.spec.block) return false;
  return HasShape(row, query);
}

}  // namespace

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

namespace {

struct Found {
  Query query;
  std::vector<const sim::ArchRow*> rows;
};

ParsedName Parsed(std::string_view name) {
  try {
    return ParseName(name);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format("no machine '{}': {}", name, error.what()));
  }
}

/// `name` without settings.
Found Find(std::string_view name) {
  const std::string lower = LowerCase(Trimmed(name));
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (lower == MachineName(row)) return {{}, {&row}};
  }
  const ParsedName parsed = Parsed(name);
  if (parsed.unknown) ThrowUnknown(name, parsed);
  Found found{parsed.query, FittingRows(parsed.query)};
  Query& query = found.query;
  if (found.rows.empty() && query.out.empty() && !query.instructions.empty()) {
    // A lone type that cannot be the operands' is the result's: "b200:nvfp4:f32".
    Query result = query;
    std::swap(result.in, result.out);
    found.rows = FittingRows(result);
    if (!found.rows.empty() || !query.types.empty()) query = result;
  }
  if (found.rows.empty()) ThrowNoRow(name, query);
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
