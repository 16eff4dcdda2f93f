// Matrix products as cases: what several groups measure.
#ifndef LOSTBITS_SRC_CLI_BENCH_GEMM_H_
#define LOSTBITS_SRC_CLI_BENCH_GEMM_H_

#include <fmt/format.h>

#include <string>

#include "cli/bench.h"
#include "sim/gemm_recipe.h"

namespace lostbits::cli {

struct Shape {
  int64_t m, n, k;
};
std::string ShapeText(const Shape& shape);

struct GemmCaseOptions {
  int promote_k = 0;  ///< k between flushes to an FP32 sum; 0: none
  int threads = 1;
  uint64_t seed = 0;
};
/// sim::Gemm on codes of N(0, 1), packing included.
BenchCase GemmCase(const std::string& machine, const Shape& shape, const GemmCaseOptions& options);

/// OpenBLAS, and the peers' float GEMMs, on the same shape; those that are there.
void AddSgemmCases(const BenchSetup& setup, const Shape& shape, BenchGroup& group);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_GEMM_H_
