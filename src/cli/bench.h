// What `lostbits bench` measures: cases in groups, and what each is held against. The same cases
// run under Google Benchmark (tests/bench/cases_bench.cc).
#ifndef LOSTBITS_SRC_CLI_BENCH_H_
#define LOSTBITS_SRC_CLI_BENCH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/bench_peer.h"

namespace lostbits::cli {

/// A case's rate is divided by that of `baseline`, another case of its group.
struct BenchGoal {
  std::string baseline;
  double least = 0;       ///< the ratio wanted; 0: none, the ratio is for information
  std::string text = {};  ///< the goal's line in tests/bench/README.md; "" without one
};

/// One thing to time.
struct BenchCase {
  std::string name;           ///< unique in its group
  double work;                ///< units of BenchGroup::unit in one call
  std::function<void()> run;  ///< one call; owns or shares what it needs
  int threads = 1;
  bool wall_clock = false;  ///< also for one thread: to compare with several
  std::vector<BenchGoal> goals = {};
  std::string note = {};
  std::string series = {};  ///< cases that belong together: a curve over x, or a line of text
  double x = 0;
};

/// Cases measured side by side, in turns.
struct BenchGroup {
  std::string id;     ///< stable, for JSON: "gemm"
  std::string title;  ///< "Matrix products, one thread"
  std::string state;  ///< shape and where the data lie: "32 KiB of f32, in L1"
  std::string unit;   ///< "MAC", "B" (bytes read and written), "element"
  std::vector<BenchCase> cases;
  bool worst_only = false;  ///< text shows each series by its worst case; JSON has all
  bool once = false;        ///< one call each, not repeated: what takes minutes
  std::string axis = {};    ///< what x is, where the series are curves: text has a column each
  std::vector<std::string> notes = {};
};

struct BenchSetup {
  bool quick = false;
  bool long_runs = false;  ///< also 128k x 128k attention
  int threads = 1;         ///< most that the thread cases use
  uint64_t seed = 0;
  const OpenBlas* blas = nullptr;     ///< null: not on this machine
  const PeerModule* peers = nullptr;  ///< null: not found
};

/// A group is made when its turn comes, and its memory goes before the next one's.
using BenchPlan = std::vector<std::function<BenchGroup()>>;

struct BenchMode {
  const char* name;
  const char* what;
  BenchPlan (*plan)(const BenchSetup&);
};
/// The modes in the order `all` runs them.
const std::vector<BenchMode>& BenchModes();

BenchPlan GemmPlan(const BenchSetup& setup);
BenchPlan InstructionSetPlan(const BenchSetup& setup);
BenchPlan MachinesPlan(const BenchSetup& setup);
BenchPlan ThreadsPlan(const BenchSetup& setup);
BenchPlan AttentionPlan(const BenchSetup& setup);
BenchPlan CodecPlan(const BenchSetup& setup);
BenchPlan ScalingPlan(const BenchSetup& setup);

/// Runs `work` with Highway's lanes held to one instruction set; "" leaves the choice alone.
/// Not while another thread runs lanes.
std::function<void()> OnInstructionSet(const std::string& name, std::function<void()> work);
/// Instruction sets that the lanes were compiled for and this CPU has, best first.
std::vector<std::string> LaneInstructionSets();

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_H_
