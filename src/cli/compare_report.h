// What `compare` says about two matrix products.
#ifndef LOSTBITS_SRC_CLI_COMPARE_REPORT_H_
#define LOSTBITS_SRC_CLI_COMPARE_REPORT_H_

#include <string>
#include <vector>

#include "cli/compare_operands.h"
#include "cli/output.h"
#include "sim/compare.h"
#include "sim/error.h"

namespace lostbits::cli {

/// The comparison on the first k products.
struct Growth {
  int64_t k;
  sim::KernelComparison result;
};

/// Everything there is to say. Arrays of two: side A, side B.
struct ComparisonReport {
  const Machine* machine;
  const sim::ComparedKernel* kernel;
  const SharedOperand& a;
  const SharedOperand& b;
  const sim::KernelComparison& result;
  const std::vector<Growth>& growth;
  const std::vector<uint32_t>* words;
  const sim::ErrorReport* error;
  int64_t n, k, first_k;
  std::string explain[2];
};

std::string ReportText(const ComparisonReport& report, int width);
Json ReportJson(const ComparisonReport& report);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_COMPARE_REPORT_H_
