// The cases of `lostbits bench` under Google Benchmark: for perf, for --benchmark_filter, for one
// case at a time.
//   cases_bench MODE [--benchmark_filter=REGEX ...]     modes: lostbits bench --help
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>

#include "cli/bench.h"

namespace lostbits::bench {
namespace {

void Register(const cli::BenchGroup& group) {
  for (const cli::BenchCase& c : group.cases) {
    const auto time = [c, unit = group.unit](benchmark::State& state) {
      for (auto _ : state) {
        c.run();
        benchmark::ClobberMemory();
      }
      state.counters[unit + "/s"] =
          benchmark::Counter(c.work, benchmark::Counter::kIsIterationInvariantRate);
    };
    auto* registered = benchmark::RegisterBenchmark((group.id + "/" + c.name).c_str(), time);
    if (c.threads > 1 || c.wall_clock) registered->UseRealTime();
  }
}

int Run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc == 2) {
    cli::BenchSetup setup;
    setup.blas = cli::LoadOpenBlas("");
    setup.peers = cli::LoadPeers("");
    for (const cli::BenchMode& mode : cli::BenchModes()) {
      if (std::strcmp(mode.name, argv[1]) != 0) continue;
      for (const auto& make : mode.plan(setup)) Register(make());
      benchmark::RunSpecifiedBenchmarks();
      return 0;
    }
  }
  std::fprintf(stderr, "usage: cases_bench MODE [--benchmark_filter=REGEX ...]; modes:");
  for (const cli::BenchMode& mode : cli::BenchModes()) std::fprintf(stderr, " %s", mode.name);
  std::fprintf(stderr, "\n");
  return 2;
}

}  // namespace
}  // namespace lostbits::bench

int main(int argc, char** argv) { return lostbits::bench::Run(argc, argv); }
