// The cases of a capture: those that say most a byte first, generated ones after them.
#ifndef LOSTBITS_SRC_GPU_CHOSEN_H_
#define LOSTBITS_SRC_GPU_CHOSEN_H_

#include <vector>

#include "cuda/gpu.h"

namespace lostbits::gpu {

/// Ladders: sums in which one term is a step smaller, or at another k, from case to case. One
/// ladder shows a unit's F, what it keeps of c, the last bit of its result and how it rounds there,
/// which k it adds together, and where its range ends; whatever those are.
std::vector<Case> Ladders(const Unit& unit);

/// Cases in as few tiles as their b vectors allow: every case gets a row, cases of equal b share a
/// column. The other outputs of a tile are cases too, with c = 0.
Tiles PackCases(const Unit& unit, const std::vector<Case>& cases);

/// PackCases, then `generated` tiles of the generator. d is empty.
Tiles CaptureTiles(const Unit& unit, const std::vector<Case>& cases, uint64_t seed, int generated);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_SRC_GPU_CHOSEN_H_
