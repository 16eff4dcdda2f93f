// lostbits bench: rates side by side with what a user would use instead.
#include "cli/bench.h"

#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>

#include "cli/bench_report.h"
#include "cli/command.h"

namespace lostbits::cli {
namespace {

struct Options {
  std::string mode = "all", peers, openblas;
  bool quick = false, long_runs = false, markdown = false;
};

/// The groups of one mode, or of all.
BenchPlan PlanOf(const std::string& mode, const BenchSetup& setup) {
  std::vector<std::string> known = {"all"};
  BenchPlan plan;
  for (const BenchMode& m : BenchModes()) {
    known.emplace_back(m.name);
    if (mode != m.name && mode != "all") continue;
    BenchPlan more = m.plan(setup);
    plan.insert(plan.end(), more.begin(), more.end());
  }
  if (plan.empty())
    throw std::invalid_argument(fmt::format("expected one of {}, found '{}'{}",
                                            fmt::join(known, ", "), mode, DidYouMean(mode, known)));
  return plan;
}

BenchMeasured Measure(const BenchGroup& group, const BenchSetup& setup) {
  Progress progress(fmt::format("bench: {}, percent", group.id), 100);
  BenchEffort effort = EffortOf(setup);
  if (group.once) effort = {.turn = 0, .budget = 0, .least_rounds = 1, .most_rounds = 1};
  return Measured(group, TimeInTurns(group, effort, [&](double share) {
                    progress.Update(static_cast<int64_t>(100 * share));
                  }));
}

int Bench(const Options& o, const GlobalOptions& global) {
  if (o.markdown && global.json)
    throw std::invalid_argument("expected one of --json and --markdown, found both");
  BenchSetup setup{.quick = o.quick,
                   .long_runs = o.long_runs,
                   .threads = omp_get_max_threads(),
                   .seed = global.seed};
  setup.peers = LoadPeers(o.peers);
  if (o.openblas != "none") setup.blas = LoadOpenBlas(o.openblas);
  const BenchPlan plan = PlanOf(o.mode, setup);
  const BenchHost host = ThisHost();
  const BenchStyle style = o.markdown ? BenchStyle::kMarkdown : BenchStyle::kText;
  const int width = OutputWidth();
  const auto print = [&](const std::string& text) {
    if (global.json) return;
    fmt::print("{}\n", text);
    std::fflush(stdout);  // minutes lie between
  };

  print(HostText(host, setup, style));
  std::vector<BenchMeasured> groups;
  for (const auto& make : plan) {
    groups.push_back(Measure(make(), setup));
    print(GroupText(groups.back(), style, width));
  }
  if (global.json) {
    PrintJson("bench", BenchJson(host, setup, groups));
    return kFine;
  }
  if (const std::string goals = GoalsText(groups, style, width); !goals.empty()) print(goals);
  print(
      Wrap("Medians of rounds in which the cases take turns, +- half the distance of the "
           "quartiles; a ratio is the median of each round's own. One thread: its CPU time; "
           "more: the wall clock. Goals: tests/bench/README.md.",
           style == BenchStyle::kText ? width : 1000));
  return kFine;
}

}  // namespace

void AddBench(CLI::App& app, GlobalOptions& global) {
  const auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("bench", "Rates side by side with what you would use instead");
  command->add_option("MODE", o->mode, "all (default) or one of those below");
  command->add_flag("--quick", o->quick, "Small sizes, in seconds: a test, no measurement");
  command->add_flag("--long", o->long_runs, "attention: also 128k x 128k, once, on all threads");
  command->add_flag("--markdown", o->markdown, "As tests/bench/README.md has it");
  command->add_option("--peers", o->peers,
                      "Module of further baselines; default: where this build puts it");
  command->add_option("--openblas", o->openblas,
                      "Its kernels: SkylakeX, Haswell, ...; own: its own choice; none: without it; "
                      "default: the best this CPU can run");
  AddGlobalOptions(*command, global);
  std::string modes;
  for (const BenchMode& m : BenchModes()) modes += fmt::format("  {:<10} {}\n", m.name, m.what);
  command->footer(modes +
                  "OpenBLAS is loaded where it is installed (scripts/setup --bench).\n"
                  "Example:\n  lostbits bench gemm --quick");
  command->callback([o, &global] { global.run = [=, &global] { return Bench(*o, global); }; });
}

}  // namespace lostbits::cli
