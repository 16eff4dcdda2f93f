// A kernel's schedule as data: everything besides the matrix unit that decides the bits of a GEMM
// or of an attention forward. Printable, comparable, no behaviour.
#ifndef LOSTBITS_SIM_RECIPE_H_
#define LOSTBITS_SIM_RECIPE_H_

#include <cstdint>

#include "sim/arch.h"

namespace lostbits::sim {

// ---- GEMM ------------------------------------------------------------------------------------


// ---- Attention -------------------------------------------------------------------------------


}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_RECIPE_H_
