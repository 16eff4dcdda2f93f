// Times cases in turns: one after another, over and over, so that what disturbs one disturbs its
// neighbours too.
#ifndef LOSTBITS_SRC_CLI_BENCH_CLOCK_H_
#define LOSTBITS_SRC_CLI_BENCH_CLOCK_H_

#include <functional>
#include <vector>

#include "cli/bench.h"

namespace lostbits::cli {

/// Of one case.
struct BenchTiming {
  double rate = 0;  ///< units a second, median of the rounds
  double low = 0;   ///< its quartiles
  double high = 0;
  double seconds = 0;         ///< one call, median
  std::vector<double> rates;  ///< a round each
};

struct BenchEffort {
  double turn = 0.03;  ///< seconds that a case runs in one round, at least one call
  double budget = 6;   ///< seconds for a group, once every case has had the least rounds
  int least_rounds = 3;
  int most_rounds = 15;
};
BenchEffort EffortOf(const BenchSetup& setup);

/// Runs every case of the group once to warm up, then in rounds. A case of one thread is timed by
/// the thread's own CPU time, which other processes do not lengthen; others by the wall clock.
/// `progress` is told the share done.
std::vector<BenchTiming> TimeInTurns(const BenchGroup& group, const BenchEffort& effort,
                                     const std::function<void(double)>& progress);

/// The median over the rounds of a's rate divided by b's in the same round.
double MedianRatio(const BenchTiming& a, const BenchTiming& b);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_CLOCK_H_
