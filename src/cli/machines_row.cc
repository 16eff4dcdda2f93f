// One machine explained, and what sources disagree on.
#include <algorithm>
#include <map>

#include "cli/machines.h"
#include "cli/worked_example.h"
#include "sim/accum.h"

namespace lostbits::cli {
namespace {

using sim::AccumSpec;
using sim::Flow;

std::string GroupsText(const AccumSpec& s) {
  if (s.k == s.group) return fmt::format("one group of {} products and c an instruction", s.group);
  return fmt::format(
      "{} groups of {} products an instruction, in increasing k; c enters the first, each result "
      "the next",
      s.k / s.group, s.group);
}

std::string FlowSentence(const AccumSpec& s) {
  switch (s.flow) {
    case Flow::kChained: return GroupsText(s);
    case Flow::kInterleavedLateC:
      return fmt::format(
          "emulated through FP16: products with k%4 in {{0,1}}, then those with k%4 in {{2,3}}, {} "
          "each, chained from zero; c is added last, to nearest even",
          s.group);
    case Flow::kBlockDot:
      return fmt::format("{}; every {} products are added exactly and enter as one term",
                         GroupsText(s), sim::kBlockDotLength);
    case Flow::kExact:
      if (s.group == 1)
        return fmt::format("a chain of {} fused multiply-adds an instruction, in increasing k",
                           s.k);
      return GroupsText(s) + "; all are added exactly";
    case Flow::kTree:
      return GroupsText(s) +
             "; products are rounded, added in pairs and then to c, rounded each time";
    case Flow::kLateFloor: return GroupsText(s) + "; the products are added first, c to their sum";
    case Flow::kLateFloorPairs:
      return GroupsText(s) +
             "; products of even and of odd k are added each by themselves, then together, then c";
  }
  return "";
}

std::string AlignmentSentence(const AccumSpec& s) {
  switch (s.flow) {
    case Flow::kChained:
    case Flow::kInterleavedLateC:
      return fmt::format(
          "products and {} cut toward zero to F = {} bits below the largest exponent in "
          "the group, which never counts as less than {}",
          s.flow == Flow::kChained ? "c" : "the first group's result", s.fraction_bits, s.e_zero);
    case Flow::kBlockDot:
      return fmt::format(
          "the blocks' sums and c cut toward zero to F = {} bits below the largest exponent, a "
          "block's being that of its scales alone; it never counts as less than {}",
          s.fraction_bits, s.e_zero);
    case Flow::kLateFloor:
    case Flow::kLateFloorPairs:
      return fmt::format(
          "products cut toward zero to F = {} bits below their largest exponent; then their sum "
          "cut to {} bits and c to {} below the larger exponent of the two, toward minus "
          "infinity{}",
          s.fraction_bits, s.sum_bits, s.fraction_bits,
          s.final_bits == 0
              ? ""
              : fmt::format(", and the whole to {} bits below its own leading bit", s.final_bits));
    case Flow::kExact:
    case Flow::kTree: break;
  }
  return "";
}

std::string ResultSentence(const AccumSpec& s) {
  std::string text;
  if (s.out == sim::kE8M13) {
    text = "exact sum cut to 13 fraction bits (E8M13), kept in an FP32 word";
  } else if (s.flow == Flow::kTree) {
    text = fmt::format("every product and every sum rounded {} to {}", RoundingName(s.rounding),
                       NamesOf(s.out).name);
  } else {
    text =
        fmt::format("sum rounded once, {}, to {}", RoundingName(s.rounding), NamesOf(s.out).name);
  }
  if (s.flush) text += "; subnormal inputs count as +0, subnormal results as zero";
  text += s.signed_underflow ? "; a negative sum that rounds to zero gives -0" : "";
  return text;
}

const sim::DisputeText* TextOf(const sim::DisputeSide& side) {
  for (const sim::DisputeText& d : sim::kDisputeTexts) {
    if (d.dispute == side.dispute) return &d;
  }
  return nullptr;
}

/// Lines "  label      text", the text wrapped behind the label.
class Lines {
 public:
  explicit Lines(int width) : width_(width) {}
  void Add(std::string_view label, const std::string& text) {
    if (!text.empty())
      text_ += fmt::format("  {:<11}{}\n", label, Wrap(text, width_ - 13, std::string(13, ' ')));
  }
  const std::string& Text() const { return text_; }

 private:
  int width_;
  std::string text_;
};

/// A dispute with the rows among `rows` whose side it takes, by the setting that leaves it.
struct Disputed {
  const sim::DisputeText* dispute;
  std::map<std::string, Rows> by_setting;
};

std::vector<Disputed> DisputesAmong(const Rows& rows) {
  std::vector<Disputed> all;
  for (const sim::DisputeText& d : sim::kDisputeTexts) {
    Disputed one{&d, {}};
    for (const sim::ArchRow* row : rows) {
      for (const sim::DisputeSide& side : row->evidence.disputes) {
        if (side.dispute == d.dispute) one.by_setting[side.setting].push_back(row);
      }
    }
    if (!one.by_setting.empty()) all.push_back(one);
  }
  return all;
}

}  // namespace

std::string MachinePage(const Machine& machine, int width) {
  const AccumSpec& s = machine.spec;
  const sim::Evidence& e = machine.row->evidence;
  Lines lines(width);
  lines.Add("flow", FlowSentence(s));
  if (s.block != 0)
    lines.Add("scales", fmt::format("{} for every {} products, one of a and one of b; their "
                                    "exponents add to the products'",
                                    NamesOf(s.scale).name, s.block));
  lines.Add("alignment", AlignmentSentence(s));
  lines.Add("result", ResultSentence(s));
  if (machine.altered)
    lines.Add("altered", "for study; what follows is the evidence of " + MachineName(*machine.row) +
                             " and does not cover this");
  lines.Add("evidence",
            e.level == sim::EvidenceLevel::kHardware
                ? fmt::format("hardware: {} recorded rows of {} replayed, all equal ({})",
                              e.vectors, e.gpus, e.source)
                : fmt::format("{}: {}", EvidenceName(e.level), e.source));
  lines.Add("note", e.note);
  const char* label = "not pinned";
  for (const sim::GapText& gap : sim::kGapTexts) {
    if (e.gaps & gap.gap) lines.Add(std::exchange(label, ""), gap.text);
  }
  for (const sim::DisputeSide& side : e.disputes) {
    const sim::DisputeText* d = TextOf(side);
    if (d == nullptr) continue;
    lines.Add("disputed",
              fmt::format("{}, {}: this row is on the side of {}; other side: {}, "
                          "@{}; probe: {}",
                          d->id, d->question, d->taken, d->other, side.setting, d->probe));
  }
  for (const std::string& source : SourcesOf(e)) lines.Add("source", source);
  return fmt::format("{}\n\n{}\n{}", machine.name, lines.Text(), ExampleText(machine, width));
}

std::string DisputesText(const Rows& rows, int width) {
  std::string text;
  for (const Disputed& one : DisputesAmong(rows)) {
    const sim::DisputeText& d = *one.dispute;
    Lines lines(width);
    lines.Add("taken", d.taken);
    lines.Add("other side", d.other);
    for (const auto& [setting, of] : one.by_setting)
      lines.Add("to see it",
                fmt::format("{}@{}{}", MachineName(*of[0]), setting,
                            of.size() == 1 ? "" : fmt::format(" (and {} more)", of.size() - 1)));
    lines.Add("probe", d.probe);
    text += fmt::format("{}{}\n{}", text.empty() ? "" : "\n",
                        Wrap(fmt::format("{}: {}", d.id, d.question), width, "    "), lines.Text());
  }
  return text.empty() ? "nothing is disputed here\n" : text;
}

Json DisputesJson(const Rows& rows) {
  Json list = Json::array();
  for (const Disputed& one : DisputesAmong(rows)) {
    const sim::DisputeText& d = *one.dispute;
    Json sides = Json::array();
    for (const auto& [setting, of] : one.by_setting) {
      Json names = Json::array();
      for (const sim::ArchRow* row : of) names.push_back(MachineName(*row));
      sides.push_back({{"setting", setting}, {"machines", names}});
    }
    list.push_back({{"id", d.id},
                    {"question", d.question},
                    {"taken", d.taken},
                    {"other", d.other},
                    {"probe", d.probe},
                    {"other_side", sides}});
  }
  return list;
}

}  // namespace lostbits::cli
