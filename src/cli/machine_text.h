// What a machine does, in words: one text, which `machines` prints as notes and `explain` as
// paragraphs.
#ifndef LOSTBITS_SRC_CLI_MACHINE_TEXT_H_
#define LOSTBITS_SRC_CLI_MACHINE_TEXT_H_

#include <string>
#include <vector>

#include "registry.h"

namespace lostbits::cli {

/// Sentences, each field one or more of them.
struct MachineText {
  std::string flow;                  ///< what is added with what, in which order
  std::string scales;                ///< of blocks; "" if there are none
  std::string alignment;             ///< what terms lose before they are added
  std::string result;                ///< how sums are rounded
  std::vector<std::string> remarks;  ///< what that means for the bits, for a newcomer
};
MachineText TextOf(const Machine& machine);

/// A flow in a word or two: "chained", "c last", "fma chain".
std::string FlowWords(const sim::AccumSpec& spec);
/// "RZ", "RNE", else the rounding's own name.
std::string RoundingInitials(fp8::Rounding rounding);
/// "RZ E8M13", "RNE FP16": how a group's result is rounded, and to what.
std::string ResultText(const sim::AccumSpec& spec);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_MACHINE_TEXT_H_
