// Between the .cu files: codec kernels on device memory.
#ifndef LOSTBITS_CUDA_CODEC_LAUNCH_H_
#define LOSTBITS_CUDA_CODEC_LAUNCH_H_

#include <cstddef>

#include "cuda/codec_plan.h"

namespace lostbits::gpu {

inline constexpr size_t kCodecMultiple = 8;  ///< elements of a 16-byte piece of halves
/// `count` elements, a multiple of kCodecMultiple; in and out start at multiples of 16. Launches;
/// does not wait.
void LaunchCodec(const CodecPlan& plan, const void* in, void* out, size_t count);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_CODEC_LAUNCH_H_
