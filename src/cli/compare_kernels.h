// `lostbits compare` without its command line: for the program and for Python.
#ifndef LOSTBITS_SRC_CLI_COMPARE_KERNELS_H_
#define LOSTBITS_SRC_CLI_COMPARE_KERNELS_H_

#include <optional>
#include <string>

#include "cli/output.h"
#include "tensor_file.h"

namespace lostbits::cli {

struct CompareOptions {
  std::string machine[2];  ///< matrix units, or attention presets
  std::string data = "normal";
  int promote[2] = {0, 0}, split_k[2] = {1, 1};
  int64_t m = 32, n = 32, k = 4096;  ///< of what is drawn
};

/// Compares the two on the operands given (M x K and K x N values), or on drawn ones. Throws
/// std::invalid_argument on names, counts and shapes; Failure(kNoEvidence) on assumed machines.
Report CompareReport(const CompareOptions& options, const std::optional<Tensor>& a,
                     const std::optional<Tensor>& b, const GlobalOptions& global, int width);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_COMPARE_KERNELS_H_
