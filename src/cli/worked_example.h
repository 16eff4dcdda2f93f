// One small sum on any machine, computed by the simulator, to show what the machine does.
#ifndef LOSTBITS_SRC_CLI_WORKED_EXAMPLE_H_
#define LOSTBITS_SRC_CLI_WORKED_EXAMPLE_H_

#include <string>

#include "cli/output.h"
#include "registry.h"

namespace lostbits::cli {

/// {"a", "b", "c", "d", "value", "exact"}, and "scale_a", "scale_b" with block scales: ExampleLine
/// (cli/explain.h) in hex.
Json ExampleJson(const Machine& machine);
/// Its steps, what each cuts off, the result against the exact sum, and a command to repeat it.
std::string ExampleText(const Machine& machine, int width);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_WORKED_EXAMPLE_H_
