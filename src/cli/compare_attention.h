// The attention half of `compare`: two presets on the same queries, keys and values.
#ifndef LOSTBITS_SRC_CLI_COMPARE_ATTENTION_H_
#define LOSTBITS_SRC_CLI_COMPARE_ATTENTION_H_

#include <string>

#include "cli/compare_operands.h"
#include "cli/output.h"

namespace lostbits::cli {

/// Whether a side of `compare` is an attention preset: "fa3.sm90.e4m3", "...@decode,splits=4".
bool NamesAttention(const std::string& side);

/// keys: the longest context. Throws std::invalid_argument on unknown presets or settings.
Report CompareAttentionPresets(const std::string& a, const std::string& b, Draw draw, int64_t keys,
                               const GlobalOptions& global, int width);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_COMPARE_ATTENTION_H_
