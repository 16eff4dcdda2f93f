// What `lostbits bench` can measure.
#include "cli/bench.h"

namespace lostbits::cli {
namespace {

BenchPlan GemmAndInstructionSets(const BenchSetup& setup) {
  BenchPlan plan = GemmPlan(setup), more = InstructionSetPlan(setup);
  plan.insert(plan.end(), more.begin(), more.end());
  return plan;
}

}  // namespace

const std::vector<BenchMode>& BenchModes() {
  static const std::vector<BenchMode> modes = {
      {"gemm", "matrix products against SGEMM; instruction sets", GemmAndInstructionSets},
      {"attention", "FlashAttention-3 against the machine's own matrix products", AttentionPlan},
      {"threads", "two threads and more against one", ThreadsPlan},
      {"codec", "conversions against memcpy, PyTorch's form, CUDA's host functions", CodecPlan},
      {"machines", "every machine against its integers", MachinesPlan},
      {"scaling", "cost against K, N, keys and threads", ScalingPlan}};
  return modes;
}

}  // namespace lostbits::cli
