// Between device.cu and bench.cu.
#ifndef LOSTBITS_CUDA_DEVICE_BENCH_H_
#define LOSTBITS_CUDA_DEVICE_BENCH_H_

#include "cuda/gpu.h"

namespace lostbits::gpu {

Timing TimeDeviceCopy(int64_t bytes);
Timing TimeDeviceCodec(const CodecPlan& plan, int64_t count);
Timing TimeDeviceGemm(const GemmPlan& plan, const GemmOperands& operands);
Timing TimeDevicePeer(const GemmPlan& plan, const GemmOperands& operands);
Timing TimeDeviceAttention(const AttentionPlan& plan, const AttentionOperands& operands);
void RunDeviceCodec(const CodecPlan& plan, std::span<const uint8_t> in, std::span<uint8_t> out);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_DEVICE_BENCH_H_
