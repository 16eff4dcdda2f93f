// What the two halves of `lostbits needle` share.
#ifndef LOSTBITS_SRC_CLI_NEEDLE_H_
#define LOSTBITS_SRC_CLI_NEEDLE_H_

#include <array>
#include <string>
#include <vector>

#include "cli/output.h"
#include "sim/needle.h"
#include "tensor_file.h"

namespace lostbits::cli {

/// The machine rows the study computes with, once each, with their evidence.
std::vector<Machine> NeedleMachines(const std::vector<sim::NeedleVariant>& variants);
Json NeedleMachinesJson(const std::vector<sim::NeedleVariant>& variants);
/// What a reader must know before believing a figure: one sentence each, for both kinds of run.
std::vector<std::string> NeedleAssumptions();

/// The study, with progress on stderr.
Report NeedleReport(const sim::NeedleOptions& options, int width);

struct TensorRun {
  std::string scale = "1";  ///< of E4M3 K, V and Q: "1" or "amax"
  int64_t rows = 1;         ///< how many of the last queries
};
/// Throws std::invalid_argument on an unknown scale.
void CheckTensorRun(const TensorRun& run);
/// Q, K and V, and where they came from.
struct Qkv {
  std::string source;
  std::array<Tensor, 3> tensors;
};
/// From a .safetensors file with q, k and v, or a .npy file [3, ...].
Qkv ReadQkv(const std::string& path);
/// `lostbits needle --qkv`: the comparison on a user's own tensors, with progress on stderr.
Report TensorReport(const TensorRun& run, const Qkv& qkv, int threads, int width);

/// "3.1e-04"; "-" for NaN.
std::string ErrorText(double x);
/// "62.5%", "<0.1%"; "-" for NaN.
std::string ShareText(double x);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_NEEDLE_H_
