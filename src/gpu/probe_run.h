// The probe list of cuda/probe.h put to a device: what each side expects, what the device says.
#ifndef LOSTBITS_SRC_GPU_PROBE_RUN_H_
#define LOSTBITS_SRC_GPU_PROBE_RUN_H_

#include <string>
#include <vector>

#include "cuda/probe.h"
#include "gpu/session.h"

namespace lostbits::gpu {

/// One side of a question, for one unit on one architecture.
struct Expected {
  std::string who;
  std::string machine;  ///< that computed it; "" if the word was worked out by hand
  uint32_t word;
};
struct Question {
  const Probe* probe;
  const Unit* unit;
  Machine machine;
  Case input;
  std::vector<Expected> expected;  ///< the table's first
};

/// All questions that concern an architecture and the units it has.
std::vector<Question> QuestionsFor(const Backend& device);

struct Finding {
  uint32_t observed;
  int agrees;  ///< with expected[agrees]; -1: with none
};
/// Each question put to the device in every row of two tiles or more.
std::vector<Finding> Ask(Backend& device, const std::vector<Question>& questions);

/// Hex digits of a result of the unit.
std::string WordText(const Unit& unit, uint32_t word);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_SRC_GPU_PROBE_RUN_H_
