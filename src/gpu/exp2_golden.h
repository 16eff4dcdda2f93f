// ex2.approx.ftz.f32 of a device as a golden: src/exp2_file.h.
#ifndef LOSTBITS_SRC_GPU_EXP2_GOLDEN_H_
#define LOSTBITS_SRC_GPU_EXP2_GOLDEN_H_

#include <string>

#include "exp2_file.h"
#include "gpu/golden.h"

namespace lostbits::gpu {

/// Asks `count` blocks, evenly spread (all 512 for a real golden), and the table's.
Exp2Golden CaptureExp2(Backend& device, int count);
/// Writes a golden where there is none, or over one of fewer blocks that says the same. Of one that
/// says otherwise nothing is overwritten: what is new goes to DisagreesPath(path), and cli::Failure
/// (mismatch) is thrown.
void StoreExp2(const std::string& path, const Exp2Golden& golden);
/// The model rebuilt from the file against the recorded checksums: `count` of the blocks asked,
/// evenly spread, and all with deltas of their own. Rows are inputs.
Agreement ReplayExp2(const std::string& path, int count);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_SRC_GPU_EXP2_GOLDEN_H_
