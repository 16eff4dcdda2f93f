// The machine table for people: a line a family, and README's table of instructions by types.
#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "cli/machine_text.h"
#include "cli/machines.h"

namespace lostbits::cli {
namespace {

using sim::AccumSpec;
using sim::ArchRow;
using sim::EvidenceLevel;
using sim::Flow;

/// "f16", "e4m3|e5m2", "e4m3|e5m2, any pair", "f8f6f4": the operands of rows of one family.
std::string Operands(const Rows& rows) {
  std::vector<std::string> types, names;
  bool mixed = false;
  for (const ArchRow* row : rows) {
    names.emplace_back(row->in);
    const std::vector<std::string> parts = Split(row->in, ".");
    mixed = mixed || parts.size() == 2;
    for (const std::string& part : parts) {
      if (std::find(types.begin(), types.end(), part) == types.end()) types.push_back(part);
    }
  }
  if (types.size() == 5 && rows.size() == 25) return "f8f6f4";
  const bool any = types.size() > 1 && rows.size() == types.size() * types.size();
  return fmt::format("{}{}", fmt::join(any || !mixed ? types : names, "|"),
                     any ? ", any pair" : "");
}

std::string EvidenceCell(const sim::Evidence& e) {
  return std::string(EvidenceName(e.level)) + (e.vectors > 0 ? fmt::format(" {}", e.vectors) : "");
}

// README's columns. A row belongs to the first that takes both of its operands.
struct TypeColumn {
  const char* title;
  const char* types;  ///< "": block-scaled rows, which belong to no other column
};
constexpr TypeColumn kColumns[] = {
    {"f64", "f64"},
    {"f32", "f32"},
    {"tf32", "tf32"},
    {"bf16", "bf16"},
    {"f16", "f16"},
    {"8-bit", "e4m3 e5m2 e4m3fnuz e5m2fnuz"},
    {"6-, 4-bit", "e4m3 e5m2 e3m2 e2m3 e2m1"},
    {"block-scaled", ""},
};

size_t ColumnOf(const ArchRow& row) {
  if (*row.scale != '\0') return std::size(kColumns) - 1;
  for (size_t i = 0; i + 1 < std::size(kColumns); ++i) {
    const std::vector<std::string> types = Split(kColumns[i].types, " ");
    const std::vector<std::string> parts = Split(row.in, ".");
    if (std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
          return std::find(types.begin(), types.end(), part) != types.end();
        }))
      return i;
  }
  throw std::logic_error("a machine that README's table has no column for");
}

std::string Parameters(const AccumSpec& s) {
  switch (s.flow) {
    case Flow::kChained:
    case Flow::kBlockDot: return fmt::format("{}/{}", s.group, s.fraction_bits);
    case Flow::kInterleavedLateC:
      return fmt::format("{}+{}/{} c last", s.group, s.group, s.fraction_bits);
    case Flow::kExact: return s.group == 1 ? "fma" : fmt::format("exact {}", s.group);
    case Flow::kTree: return fmt::format("tree {}", s.group);
    case Flow::kLateFloor:
    case Flow::kLateFloorPairs: return fmt::format("{}/{} c late", s.group, s.fraction_bits);
  }
  return "";
}

/// "16/25 H", "32/13 HP": parameters, and the evidence of the rows that have them.
std::string Cell(const Rows& rows) {
  std::vector<std::string> order;
  std::map<std::string, std::set<EvidenceLevel>> levels;  // by parameters
  for (const ArchRow* row : rows) {
    const std::string parameters = Parameters(row->spec);
    if (!levels.contains(parameters)) order.push_back(parameters);
    levels[parameters].insert(row->evidence.level);
  }
  std::vector<std::string> parts;
  for (const std::string& parameters : order) {
    std::string letters;
    for (EvidenceLevel level : levels[parameters])
      letters += level == EvidenceLevel::kHardware    ? 'H'
                 : level == EvidenceLevel::kPublished ? 'P'
                                                      : 'A';
    parts.push_back(fmt::format("{} {}", parameters, letters));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

std::string TableText(const Rows& rows, int width) {
  Table table;
  table.AddColumn("machine");
  table.AddColumn("L", Table::kRight);
  table.AddColumn("F", Table::kRight);
  table.AddColumn("result");
  table.AddColumn("k", Table::kRight);
  table.AddColumn("evidence");
  table.AddColumn("flow", Table::kOptional);
  table.AddColumn("open", Table::kOptional);
  std::string arch;
  for (size_t first = 0; first < rows.size();) {
    Rows family;
    for (size_t i = first; i < rows.size() && rows[i]->family == rows[first]->family; ++i)
      family.push_back(rows[i]);
    const ArchRow& row = *rows[first];
    const AccumSpec& s = row.spec;
    if (arch != row.arch) {
      arch = row.arch;
      table.AddRow({arch, "", "", "", "", "", "", ""});
    }
    table.AddRow({fmt::format("  {}:{}{}{}:{}", row.instruction, Operands(family),
                              *row.scale != '\0' ? "+" : "", row.scale, row.out),
                  fmt::to_string(s.group),
                  s.fraction_bits == 0 ? "-" : fmt::to_string(s.fraction_bits), ResultText(s),
                  fmt::to_string(s.k), EvidenceCell(row.evidence), FlowWords(s),
                  OpenText(row.evidence, false)});
    first += family.size();
  }
  const std::string legend =
      "A name is arch:instruction:in:out (hopper:wgmma:e4m3:f32), mixed operands e4m3.e5m2; f8f6f4 "
      "is any two of e4m3, e5m2, e3m2, e2m3, e2m1. L: products added at once. F: bits kept below "
      "the largest exponent (-: all). result: rounding of a group's sum (RZ cut, RNE nearest "
      "even). k: products of one instruction. evidence: recorded rows replayed, if hardware "
      "(inputs all "
      "~N(0,1): specials rest on models). D1, S8, ...: `lostbits machines --disputes`. One row "
      "explained: `lostbits machines hopper:wgmma:e4m3:f32`.";
  return table.Text(width) + "\n" + Wrap(legend, width) + "\n";
}

std::string MarkdownText() {
  // Rows of one instruction, its block-scaled kinds among them, in the order of the table.
  std::vector<std::string> order;
  std::map<std::string, std::vector<Rows>> lines;
  for (const ArchRow& row : sim::kArchTable) {
    const std::string name = fmt::format("{} `{}`", row.arch, PlainInstruction(row));
    std::vector<Rows>& cells = lines[name];
    if (cells.empty()) order.push_back(name);
    cells.resize(std::size(kColumns));
    cells[ColumnOf(row)].push_back(&row);
  }
  std::string text = "| |", rule = "|---|";
  for (const TypeColumn& column : kColumns) {
    text += fmt::format(" {} |", column.title);
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (const std::string& name : order) {
    text += "| " + name + " |";
    for (const Rows& cell : lines[name]) text += cell.empty() ? " |" : " " + Cell(cell) + " |";
    text += '\n';
  }
  return text;
}

}  // namespace lostbits::cli
