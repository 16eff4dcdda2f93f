// Entry points of the lanes, dispatched to the best instruction set present. Not part of the public
// interface; sim/gemm.h is. For plans other than LanePath::kInteger only.
#ifndef LOSTBITS_SIM_GEMM_LANES_H_
#define LOSTBITS_SIM_GEMM_LANES_H_

#include <cstdint>

#include "sim/gemm_pack.h"

namespace lostbits::sim {

/// The fastest path of the instruction set in use; kInteger where none is proved.
LanePlan BestPlan(const AccumSpec& spec);

/// Fills b.strips from b.codes; the memory is reserved.
void PackStripsInLanes(PackedB::Impl& b);

/// Takes the rows of a apart for products with b: blocks of RowLayout, [row][group].
void PackRowsInLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks);

/// MultiplyAccumulate, with a's rows as PackRowsInLanes left them.
void MultiplyInLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                     MatrixView<uint32_t> c);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_LANES_H_
