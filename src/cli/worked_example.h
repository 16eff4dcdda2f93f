// One small sum, computed by the simulator, to show what a machine does.
#ifndef LOSTBITS_SRC_CLI_WORKED_EXAMPLE_H_
#define LOSTBITS_SRC_CLI_WORKED_EXAMPLE_H_

#include <string>
#include <vector>

#include "cli/output.h"
#include "sim/accum.h"

namespace lostbits::cli {

struct WorkedExample {
  std::vector<uint32_t> a, b;  ///< codes
  uint32_t c = 0, d = 0;       ///< words
  std::vector<double> products;
  double c_value = 0, d_value = 0;
  double exact = 0;  ///< the sum of the products and c; exact in binary64 for these operands
};

/// 15 * 15 + 1.125 * 3/128 - 7/8 * 1/128 + 1/512 * 1/2 + 0.3: a large product, two that lose bits
/// and one that may be lost whole.
WorkedExample ComputeExample(const sim::AccumSpec& spec);
Json ExampleJson(const sim::AccumSpec& spec, const WorkedExample& example);
std::string ExampleText(const sim::ArchRow& row, const WorkedExample& example, int width);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_WORKED_EXAMPLE_H_
