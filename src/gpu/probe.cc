// lostbits-gpu probe: questions that sources leave open, answered by the device.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "cli/dot_lines.h"
#include "gpu/golden.h"
#include "gpu/probe_run.h"

namespace lostbits::gpu {
namespace {

namespace fs = std::filesystem;

/// The line that the first answer (the table's) is computed from.
std::string TableLine(const Probe& probe) {
  return *probe.answers[0].line != '\0' ? probe.answers[0].line : probe.line;
}

std::string FlagText(const Flags& f) {
  std::string text;
  if (f.drop_c) text += " scale-d=0";
  if (f.negate_a) text += " imm-scale-a=-1";
  if (f.negate_b) text += " imm-scale-b=-1";
  return text;
}

Json QuestionJson(const Question& q, const Finding& found) {
  Json answers = Json::array();
  for (const Expected& e : q.expected)
    answers.push_back(
        {{"who", e.who}, {"machine", e.machine}, {"word", WordText(*q.unit, e.word)}});
  Json json = {
      {"id", q.probe->id},         {"question", q.probe->question},
      {"machine", q.machine.name}, {"instruction", PtxName(*q.unit) + FlagText(q.probe->flags)},
      {"input", q.probe->line},    {"as_computed", TableLine(*q.probe)},
      {"answers", answers},        {"observed", WordText(*q.unit, found.observed)}};
  json["verdict"] =
      found.agrees < 0 ? Json() : Json(q.expected[static_cast<size_t>(found.agrees)].who);
  return json;
}

void Print(const Question& q, const Finding& found, bool same_question) {
  if (!same_question) fmt::print("{}: {}\n", q.probe->id, q.probe->question);
  fmt::print("  {}{}\n    {}\n", q.machine.name, FlagText(q.probe->flags), q.probe->line);
  for (size_t i = 0; i < q.expected.size(); ++i) {
    fmt::print("    {} {}  {}\n", static_cast<int>(i) == found.agrees ? "=" : " ",
               WordText(*q.unit, q.expected[i].word), q.expected[i].who);
  }
  fmt::print("    observed {}: {}\n", WordText(*q.unit, found.observed),
             found.agrees == 0  ? "as the table has it"
             : found.agrees > 0 ? q.expected[static_cast<size_t>(found.agrees)].who
                                : "NONE OF THESE");
}

/// What an earlier golden says otherwise: one line each.
std::vector<std::string> Disagreements(const std::string& path, const Json& now) {
  std::ifstream file(path);
  const Json before = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!before.is_object() || !before.contains("probes"))
    throw std::invalid_argument(path + ": expected a golden of probes, found other text");
  std::vector<std::string> lines;
  for (const Json& old : before["probes"]) {
    for (const Json& p : now) {
      if (p["id"] == old["id"] && p["instruction"] == old["instruction"] &&
          p["input"] == old["input"] && p["observed"] != old["observed"])
        lines.push_back(fmt::format("{} {}: recorded {}, now {}", p.value("id", ""),
                                    p.value("instruction", ""), old.value("observed", ""),
                                    p.value("observed", "")));
    }
  }
  return lines;
}

void WriteText(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  WriteWhole(path, {bytes, bytes + text.size()});
}

int RunProbes(const Options& options, const std::string& folder) {
  const std::unique_ptr<Backend> device = Open(options);
  if (!folder.empty()) CheckFolder(folder, device->info());
  const std::vector<Question> questions = QuestionsFor(*device);
  std::vector<const Unit*> checked;
  for (const Question& q : questions) {
    if (std::find(checked.begin(), checked.end(), q.unit) != checked.end()) continue;
    CheckUnit(*device, *q.unit);
    checked.push_back(q.unit);
  }
  const std::vector<Finding> findings = Ask(*device, questions);
  Json list = Json::array();
  int table = 0, other = 0, none = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    ++(findings[i].agrees == 0 ? table : findings[i].agrees > 0 ? other : none);
    list.push_back(QuestionJson(questions[i], findings[i]));
    if (!options.json)
      Print(questions[i], findings[i], i > 0 && questions[i - 1].probe == questions[i].probe);
  }
  Json body = DeviceJson(device->info());
  body.update(Json{{"date", DateNow()}, {"written_by", options.command}});
  body.update(Json{{"as_the_table", table}, {"otherwise", other}, {"none_of_these", none}});
  body["probes"] = list;
  if (options.json) {
    cli::PrintJson("probe", body);
  } else {
    fmt::print("{}: {} questions: {} as the table has it, {} otherwise, {} as nobody expects\n",
               device->info().name, questions.size(), table, other, none);
  }
  if (!folder.empty()) {
    const std::string path = (fs::path(folder) / device->info().arch / "probes.json").string();
    const std::vector<std::string> lines =
        fs::exists(path) ? Disagreements(path, list) : std::vector<std::string>{};
    if (!lines.empty())
      throw cli::Failure(
          cli::kMismatch,
          fmt::format("{}: not overwritten, for this device disagrees: {}{}", path, lines[0],
                      lines.size() > 1 ? fmt::format(" (and {} more)", lines.size() - 1) : ""));
    if (!fs::exists(path)) WriteText(path, body.dump(1) + "\n");
  }
  return table == static_cast<int>(questions.size()) ? cli::kFine : cli::kMismatch;
}

}  // namespace

void AddProbe(CLI::App& app, Options& options) {
  const auto folder = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("probe", "Questions that published sources leave open, to the device");
  command->add_option("--to", *folder, "Folder of goldens: writes ARCH/probes.json");
  AddCommonOptions(*command, options);
  command->footer(
      "Exit code: 0 if every answer is the machine table's, 1 if one is not, or if a golden is\n"
      "there and says otherwise (it is left as it is), 3 if there is no device.");
  command->callback(
      [folder, &options] { options.run = [=, &options] { return RunProbes(options, *folder); }; });
}

}  // namespace lostbits::gpu
