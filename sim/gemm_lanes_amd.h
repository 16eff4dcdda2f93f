// Entry points of the lanes that run in floating point (IsFloatPath), dispatched to the best
// instruction set present. As those of sim/gemm_lanes.h; the caller's floating-point environment
// changes nothing.
#ifndef LOSTBITS_SIM_GEMM_LANES_AMD_H_
#define LOSTBITS_SIM_GEMM_LANES_AMD_H_

#include <cstdint>

#include "sim/gemm_pack.h"

namespace lostbits::sim {

void PackFloatStripsInLanes(PackedB::Impl& b);
void PackFloatRowsInLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks);
void MultiplyFloatsInLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                           MatrixView<uint32_t> c);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_LANES_AMD_H_
