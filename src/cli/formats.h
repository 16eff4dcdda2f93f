// A number format for programs.
#ifndef LOSTBITS_SRC_CLI_FORMATS_H_
#define LOSTBITS_SRC_CLI_FORMATS_H_

#include "cli/output.h"

namespace lostbits::cli {

/// {"name", "bits", "exponent_bits", ..., "aliases"}: a row of `lostbits formats --json`.
Json FormatJson(const FormatNames& names);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_FORMATS_H_
