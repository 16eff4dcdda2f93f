// What the two halves of `lostbits needle` share.
#ifndef LOSTBITS_SRC_CLI_NEEDLE_H_
#define LOSTBITS_SRC_CLI_NEEDLE_H_

#include <string>
#include <vector>

#include "cli/output.h"
#include "sim/needle.h"

namespace lostbits::cli {

/// The machine rows the study computes with, once each, with their evidence.
std::vector<Machine> NeedleMachines(const std::vector<sim::NeedleVariant>& variants);
Json NeedleMachinesJson(const std::vector<sim::NeedleVariant>& variants);
/// What a reader must know before believing a figure: one sentence each, for both kinds of run.
std::vector<std::string> NeedleAssumptions();

struct TensorRun {
  std::string path;
  std::string scale = "1";  ///< of E4M3 K, V and Q: "1" or "amax"
  int64_t rows = 1;         ///< how many of the last queries
};
/// `lostbits needle --qkv`: the comparison on a user's own tensors.
int NeedleOnTensors(const TensorRun& run, const GlobalOptions& global);

/// "3.1e-04"; "-" for NaN.
std::string ErrorText(double x);
/// "62.5%", "<0.1%"; "-" for NaN.
std::string ShareText(double x);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_NEEDLE_H_
