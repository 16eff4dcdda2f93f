#include "cli/bench_clock.h"

#include <algorithm>
#include <cmath>
#include <ctime>

namespace lostbits::cli {
namespace {

double Now(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double SecondsOf(const BenchCase& c, int64_t calls) {
  const clockid_t clock =
      c.threads == 1 && !c.wall_clock ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  const double start = Now(clock);
  for (int64_t i = 0; i < calls; ++i) c.run();
  return std::max(Now(clock) - start, 1e-9);
}

/// The q-quantile, between neighbours where it falls between.
double Quantile(std::vector<double> x, double q) {
  std::sort(x.begin(), x.end());
  const double at = q * static_cast<double>(x.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, x.size() - 1);
  return std::lerp(x[low], x[high], at - static_cast<double>(low));
}

}  // namespace

BenchEffort EffortOf(const BenchSetup& setup) {
  if (setup.quick) return {.turn = 2e-4, .budget = 0, .least_rounds = 3, .most_rounds = 3};
  return {};
}

std::vector<BenchTiming> TimeInTurns(const BenchGroup& group, const BenchEffort& effort,
                                     const std::function<void(double)>& progress) {
  // Warm-up: as many calls as a turn takes, found by doubling.
  std::vector<int64_t> calls;
  double round_seconds = 0;
  for (const BenchCase& c : group.cases) {
    int64_t n = 1;
    double seconds = SecondsOf(c, n);
    while (seconds < effort.turn / 2) {
      n *= 2;
      seconds = SecondsOf(c, n);
    }
    calls.push_back(n);
    round_seconds += seconds;
  }
  const int affordable = static_cast<int>(std::min(1e3, effort.budget / round_seconds));
  const int rounds = std::clamp(affordable, effort.least_rounds, effort.most_rounds) | 1;

  std::vector<BenchTiming> timings(group.cases.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < group.cases.size(); ++i) {
      const BenchCase& c = group.cases[i];
      timings[i].rates.push_back(c.work * static_cast<double>(calls[i]) / SecondsOf(c, calls[i]));
      progress((round + static_cast<double>(i + 1) / static_cast<double>(group.cases.size())) /
               rounds);
    }
  }
  for (size_t i = 0; i < timings.size(); ++i) {
    BenchTiming& t = timings[i];
    t.rate = Quantile(t.rates, 0.5);
    t.low = Quantile(t.rates, 0.25);
    t.high = Quantile(t.rates, 0.75);
    t.seconds = group.cases[i].work / t.rate;
  }
  return timings;
}

double MedianRatio(const BenchTiming& a, const BenchTiming& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < a.rates.size(); ++i) ratios.push_back(a.rates[i] / b.rates[i]);
  return Quantile(std::move(ratios), 0.5);
}

}  // namespace lostbits::cli
