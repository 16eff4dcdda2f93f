// Which specs are machines: the one rule for rows of the table, "@settings" and recipes that
// `compare` makes up.
#ifndef LOSTBITS_SIM_ARCH_CHECK_H_
#define LOSTBITS_SIM_ARCH_CHECK_H_

#include <string>

#include "sim/arch.h"

namespace lostbits::sim {

/// Why sim/accum.h cannot compute this spec: one clause, what was expected and what was found. ""
/// if it can, every sum in the integers it has.
std::string WhyNoMachine(const AccumSpec& spec);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ARCH_CHECK_H_
