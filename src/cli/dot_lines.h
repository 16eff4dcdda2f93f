// Lines of dot products: "a codes ; b codes ; c word", all hex.
#ifndef LOSTBITS_SRC_CLI_DOT_LINES_H_
#define LOSTBITS_SRC_CLI_DOT_LINES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/arch.h"

namespace lostbits::cli {

struct DotLine {
  std::vector<uint32_t> a, b;  ///< of equal, nonzero length
  uint32_t c = 0;              ///< word of spec.acc
};

/// Reads one line; digits may be grouped by spaces or commas and start with 0x. `where` ("-:3")
/// starts every error. Throws std::invalid_argument on a code that does not fit its format.
DotLine ParseDotLine(const std::string& line, const sim::AccumSpec& spec, const std::string& where);

/// The word of spec.acc that the machine returns: a chain of instructions, the last zero-padded.
uint32_t ComputeDot(const sim::AccumSpec& spec, const DotLine& line);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_DOT_LINES_H_
