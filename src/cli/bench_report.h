// What was measured, as text, as Markdown and as JSON.
#ifndef LOSTBITS_SRC_CLI_BENCH_REPORT_H_
#define LOSTBITS_SRC_CLI_BENCH_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "cli/bench.h"
#include "cli/bench_clock.h"
#include "cli/bench_host.h"
#include "cli/output.h"

namespace lostbits::cli {

/// A case held against its baseline.
struct BenchRatio {
  BenchGoal goal;
  std::optional<double> ratio;  ///< none where the baseline is not on this machine
  bool Met() const { return ratio && *ratio >= goal.least; }
};

struct BenchResult {
  std::string name, note, series;
  double x = 0;
  int threads = 1;
  BenchTiming timing;
  std::vector<BenchRatio> ratios;
};

/// A group without its inputs.
struct BenchMeasured {
  std::string id, title, state, unit, axis;
  bool worst_only = false;
  std::vector<std::string> notes;
  std::vector<BenchResult> results;
};
BenchMeasured Measured(const BenchGroup& group, std::vector<BenchTiming> timings);

enum class BenchStyle { kText, kMarkdown };

/// The machine, the baselines loaded, and those that are missing.
std::string HostText(const BenchHost& host, const BenchSetup& setup, BenchStyle style);
std::string GroupText(const BenchMeasured& group, BenchStyle style, int width);
/// One line for each goal's text; of several ratios under one text the worst.
std::string GoalsText(const std::vector<BenchMeasured>& groups, BenchStyle style, int width);

Json BenchJson(const BenchHost& host, const BenchSetup& setup,
               const std::vector<BenchMeasured>& groups);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_REPORT_H_
