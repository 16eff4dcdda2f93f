#include "cli/bench_report.h"

#include <algorithm>
#include <map>

namespace lostbits::cli {
namespace {

using Cells = std::vector<std::string>;

/// Three digits that count, without an exponent: "123", "71.2", "0.0096".
std::string Digits(double x) {
  const int decimals = x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : x >= 0.1 ? 3 : 4;
  return fmt::format("{:.{}f}", x, decimals);
}

/// Half the distance of the quartiles, in percent of the median.
std::string Spread(const BenchTiming& t) {
  return fmt::format("{:.0f}%", 50 * (t.high - t.low) / t.rate);
}

std::string GoalText(double least) { return fmt::format("{:.3g}", least); }

std::string Verdict(const BenchRatio& r) {
  if (r.goal.least == 0) return "";
  return fmt::format("{} {}", GoalText(r.goal.least),
                     !r.ratio  ? "not measured"
                     : r.Met() ? "met"
                               : "NOT met");
}

std::string TableOf(const Cells& titles, const std::vector<int>& flags,
                    const std::vector<Cells>& rows, BenchStyle style, int width) {
  if (style == BenchStyle::kText) {
    Table table;
    for (size_t i = 0; i < titles.size(); ++i) table.AddColumn(titles[i], flags[i]);
    for (const Cells& row : rows) table.AddRow(row);
    return table.Text(width);
  }
  std::string text = fmt::format("| {} |\n|", fmt::join(titles, " | "));
  for (const int flag : flags) text += (flag & Table::kRight) != 0 ? "---:|" : "---|";
  text += '\n';
  for (const Cells& row : rows) text += fmt::format("| {} |\n", fmt::join(row, " | "));
  return text;
}

/// The case of a series whose ratio is least, or whose rate is, where none has a ratio.
const BenchResult& Worst(const std::vector<const BenchResult*>& series) {
  return **std::min_element(series.begin(), series.end(), [](const auto* a, const auto* b) {
    const auto key = [](const BenchResult& r) {
      const bool has = !r.ratios.empty() && r.ratios[0].ratio;
      return std::pair(!has, has ? *r.ratios[0].ratio : r.timing.rate);
    };
    return key(*a) < key(*b);
  });
}

/// Results in their order; of a series only the worst, under the series' name.
std::vector<std::pair<std::string, const BenchResult*>> Lines(const BenchMeasured& group) {
  std::vector<std::pair<std::string, const BenchResult*>> lines;
  if (!group.worst_only) {
    for (const BenchResult& r : group.results) lines.emplace_back(r.name, &r);
    return lines;
  }
  std::vector<std::string> order;
  std::map<std::string, std::vector<const BenchResult*>> series;
  for (const BenchResult& r : group.results) {
    if (r.series.empty()) continue;
    if (!series.contains(r.series)) order.push_back(r.series);
    series[r.series].push_back(&r);
  }
  for (const std::string& name : order) lines.emplace_back(name, &Worst(series[name]));
  return lines;
}

/// Two lines of the same goal's text, and so on: the worst of each.
struct GoalLine {
  const BenchRatio* worst;
  std::string where;
  int count = 0, met = 0;
};

/// A column a series, a line an x.
std::string CurvesText(const BenchMeasured& group, BenchStyle style, int width) {
  Cells titles = {group.axis};
  std::vector<int> flags = {Table::kRight};
  std::map<double, Cells> rows;
  for (const BenchResult& r : group.results) {
    auto column = std::find(titles.begin() + 1, titles.end(), r.series);
    if (column == titles.end()) {
      column = titles.insert(titles.end(), r.series);
      flags.push_back(Table::kRight);
    }
    Cells& cells = rows[r.x];
    const auto index = static_cast<size_t>(column - titles.begin());
    cells.resize(std::max(cells.size(), index + 1));
    cells[0] = fmt::format("{:.0f}", r.x);
    cells[index] = Digits(r.timing.rate / 1e9);
  }
  std::vector<Cells> lines;
  for (auto& [x, cells] : rows) {
    cells.resize(titles.size());
    lines.push_back(std::move(cells));
  }
  return TableOf(titles, flags, lines, style, width);
}

/// `text` without "prefix, " where it starts so.
std::string BehindComma(const std::string& prefix, const std::string& text) {
  return text.starts_with(prefix + ", ") ? text.substr(prefix.size() + 2) : text;
}
/// The baseline's name, less what it has in common with the case's: "AVX3" for "m, AVX2" and
/// "m, AVX3".
std::string BaselineText(const std::string& name, const std::string& baseline) {
  const std::string first = baseline.substr(0, baseline.find(", "));
  return name.starts_with(first + ", ") ? BehindComma(first, baseline) : baseline;
}

std::string CasesText(const BenchMeasured& group, const std::string& unit, BenchStyle style,
                      int width) {
  std::vector<Cells> rows;
  for (const auto& [name, r] : Lines(group)) {
    const bool plain = r->ratios.empty();
    const auto against = [&, name = name, r = r](const BenchRatio& ratio) {
      // What a line stands for, where it is one of several; the title says against what.
      if (group.worst_only && !r->note.empty()) return r->note;
      if (group.worst_only) return name == r->name ? "" : BehindComma(name, r->name);
      std::string text = "of " + BaselineText(r->name, ratio.goal.baseline);
      if (!ratio.ratio) text += " (not on this machine)";
      return r->note.empty() ? text : fmt::format("{} ({})", text, r->note);
    };
    rows.push_back({name, Digits(r->timing.rate / 1e9), Spread(r->timing),
                    !plain && r->ratios[0].ratio ? Digits(*r->ratios[0].ratio) : "",
                    plain ? "" : Verdict(r->ratios[0]), plain ? r->note : against(r->ratios[0])});
    for (size_t i = 1; i < r->ratios.size(); ++i)
      rows.push_back({"", "", "", r->ratios[i].ratio ? Digits(*r->ratios[i].ratio) : "",
                      Verdict(r->ratios[i]), against(r->ratios[i])});
  }
  return TableOf({"case", unit, "+-", "ratio", "goal", "against"},
                 {Table::kLeft, Table::kRight, Table::kRight | Table::kOptional, Table::kRight,
                  Table::kLeft, Table::kLeft},
                 rows, style, width);
}

}  // namespace

BenchMeasured Measured(const BenchGroup& group, std::vector<BenchTiming> timings) {
  BenchMeasured m{group.id,   group.title,      group.state, group.unit,
                  group.axis, group.worst_only, group.notes, {}};
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < group.cases.size(); ++i) index[group.cases[i].name] = i;
  for (size_t i = 0; i < group.cases.size(); ++i) {
    const BenchCase& c = group.cases[i];
    BenchResult r{c.name, c.note, c.series, c.x, c.threads, timings[i], {}};
    for (const BenchGoal& goal : c.goals) {
      const auto base = index.find(goal.baseline);
      std::optional<double> ratio;
      if (base != index.end()) ratio = MedianRatio(timings[i], timings[base->second]);
      r.ratios.push_back({goal, ratio});
    }
    m.results.push_back(std::move(r));
  }
  return m;
}

std::string HostText(const BenchHost& host, const BenchSetup& setup, BenchStyle style) {
  const auto cache = [](int64_t bytes) {
    return bytes == 0           ? std::string("?")
           : bytes >= (1 << 20) ? fmt::format("{} MiB", bytes >> 20)
                                : fmt::format("{} KiB", bytes >> 10);
  };
  std::vector<std::pair<std::string, std::string>> lines = {
      {"CPU", fmt::format("{}; {} core{} for this process", host.cpu, host.cores,
                          host.cores == 1 ? "" : "s")},
      {"caches",
       fmt::format("L1d {}, L2 {}, L3 {}", cache(host.l1d), cache(host.l2), cache(host.l3))},
      {"lanes", fmt::format("{}; {}", host.instruction_set, host.compiler)}};
  if (setup.blas == nullptr) {
    lines.emplace_back("OpenBLAS",
                       "NOT THERE (libopenblas.so.0; scripts/setup --bench): ratios "
                       "to it are missing");
  } else {
    lines.emplace_back("OpenBLAS",
                       fmt::format("kernels {}{}; {}", setup.blas->kernel,
                                   setup.blas->asked.empty()
                                       ? ", its own choice"
                                       : fmt::format(" (OPENBLAS_CORETYPE={})", setup.blas->asked),
                                   setup.blas->config));
  }
  lines.emplace_back("peers", setup.peers == nullptr
                                  ? "NOT THERE (target bench_peers of tests/bench): ratios to "
                                    "PyTorch's form and others are missing"
                                  : fmt::format("{} baselines from {}", setup.peers->peers.size(),
                                                setup.peers->path));
  if (setup.quick) lines.emplace_back("quick", "small sizes, for tests: these are no measurements");
  std::string text;
  for (const auto& [key, value] : lines)
    text += style == BenchStyle::kText
                ? fmt::format("{:<9} {}\n", key, Wrap(value, OutputWidth() - 10, "          "))
                : fmt::format("- {}: {}\n", key, value);
  return text;
}

std::string GroupText(const BenchMeasured& group, BenchStyle style, int width) {
  const std::string unit = group.unit == "element" ? "Gelem/s" : fmt::format("G{}/s", group.unit);
  const bool curves = !group.axis.empty();
  const std::string table =
      curves ? CurvesText(group, style, width) : CasesText(group, unit, style, width);
  const std::string title =
      fmt::format("{}: {}{}", group.title, group.state, curves ? ", " + unit : "");
  std::string text = style == BenchStyle::kText ? fmt::format("{}\n{}", Wrap(title, width), table)
                                                : fmt::format("### {}\n\n{}", title, table);
  for (const std::string& note : group.notes)
    text += style == BenchStyle::kText ? Wrap(note, width) + "\n" : "\n" + note + "\n";
  return text;
}

std::string GoalsText(const std::vector<BenchMeasured>& groups, BenchStyle style, int width) {
  std::vector<std::string> order;
  std::map<std::string, GoalLine> lines;
  for (const BenchMeasured& group : groups) {
    for (const BenchResult& r : group.results) {
      for (const BenchRatio& ratio : r.ratios) {
        if (ratio.goal.text.empty()) continue;
        const auto [at, is_new] = lines.try_emplace(ratio.goal.text, GoalLine{&ratio, r.name});
        if (is_new) order.push_back(ratio.goal.text);
        GoalLine& line = at->second;
        ++line.count;
        line.met += ratio.Met();
        if (ratio.ratio && (!line.worst->ratio || *ratio.ratio < *line.worst->ratio)) {
          line.worst = &ratio;
          line.where = r.name;
        }
      }
    }
  }
  if (order.empty()) return "";
  std::vector<Cells> rows;
  for (const std::string& text : order) {
    const GoalLine& line = lines.at(text);
    const BenchRatio& worst = *line.worst;
    rows.push_back({text, GoalText(worst.goal.least), worst.ratio ? Digits(*worst.ratio) : "-",
                    !worst.ratio             ? "not measured"
                    : line.count == 1        ? (line.met == 1 ? "met" : "NOT met")
                    : line.met == line.count ? fmt::format("met by all {}", line.count)
                                             : fmt::format("met by {} of {}; worst {}", line.met,
                                                           line.count, line.where),
                    worst.goal.baseline});
  }
  const std::string table =
      TableOf({"goal", "least", "ratio", "verdict", "against"},
              {Table::kLeft, Table::kRight, Table::kRight, Table::kLeft, Table::kOptional}, rows,
              style, width);
  return style == BenchStyle::kText ? "Goals\n" + table : "### Goals\n\n" + table;
}

Json BenchJson(const BenchHost& host, const BenchSetup& setup,
               const std::vector<BenchMeasured>& groups) {
  Json list = Json::array();
  for (const BenchMeasured& group : groups) {
    Json results = Json::array();
    for (const BenchResult& r : group.results) {
      Json ratios = Json::array();
      for (const BenchRatio& ratio : r.ratios)
        ratios.push_back(
            {{"baseline", ratio.goal.baseline},
             {"ratio", ratio.ratio ? Json(*ratio.ratio) : Json()},
             {"goal", ratio.goal.least > 0 ? Json(ratio.goal.least) : Json()},
             {"goal_text", ratio.goal.text},
             {"met", ratio.goal.least > 0 && ratio.ratio ? Json(ratio.Met()) : Json()}});
      results.push_back({{"name", r.name},
                         {"series", r.series},
                         {"x", r.x},
                         {"threads", r.threads},
                         {"rate", r.timing.rate},
                         {"rate_low", r.timing.low},
                         {"rate_high", r.timing.high},
                         {"rates", r.timing.rates},
                         {"seconds", r.timing.seconds},
                         {"note", r.note},
                         {"ratios", ratios}});
    }
    list.push_back({{"group", group.id},
                    {"title", group.title},
                    {"state", group.state},
                    {"unit", group.unit},
                    {"axis", group.axis},
                    {"notes", group.notes},
                    {"results", results}});
  }
  Json json = {{"quick", setup.quick},
               {"host",
                {{"cpu", host.cpu},
                 {"cores", host.cores},
                 {"l1d", host.l1d},
                 {"l2", host.l2},
                 {"l3", host.l3},
                 {"instruction_set", host.instruction_set},
                 {"compiler", host.compiler}}}};
  json["openblas"] = setup.blas == nullptr ? Json()
                                           : Json{{"kernel", setup.blas->kernel},
                                                  {"asked", setup.blas->asked},
                                                  {"config", setup.blas->config}};
  json["peers"] = setup.peers == nullptr ? Json() : Json(setup.peers->path);
  json["groups"] = list;
  return json;
}

}  // namespace lostbits::cli
