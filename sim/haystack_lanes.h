// Random E4M3 codes in lanes: the same codes on every instruction set.
#ifndef LOSTBITS_SIM_HAYSTACK_LANES_H_
#define LOSTBITS_SIM_HAYSTACK_LANES_H_

#include <cstdint>
#include <span>

#include "sim/random.h"

namespace lostbits::sim {

/// code <- Encode<kE4M3FN>(random.Normal()) for each code in turn. Proved equal by
/// tests/sim/needle_test.cc.
void NormalCodesInLanes(Random* random, std::span<uint8_t> codes);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_HAYSTACK_LANES_H_
