// One machine explained, and what sources disagree on.
#include <map>
#include <utility>

#include "cli/machine_text.h"
#include "cli/machines.h"
#include "cli/worked_example.h"

namespace lostbits::cli {
namespace {

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
  const MachineText text = TextOf(machine);
  const sim::Evidence& e = machine.row->evidence;
  Lines lines(width);
  lines.Add("flow", text.flow);
  lines.Add("scales", text.scales);
  lines.Add("alignment", text.alignment);
  lines.Add("result", text.result);
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
    const sim::DisputeText* d = DisputeOf(side);
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
