#include "cuda/bench.h"
#include "cuda/codec_launch.h"
#include "cuda/device_attention.h"
#include "cuda/device_bench.h"
#include "cuda/device_gemm.h"

namespace lostbits::gpu {

Timing TimeDeviceCopy(int64_t bytes) {
  const auto half = static_cast<size_t>(bytes / 2);
  DeviceArray<uint8_t> from(half), to(half);
  Check(cudaMemset(from.data(), 0, half), "cudaMemset");
  return TimeLaunches([&] {
    Check(cudaMemcpyAsync(to.data(), from.data(), half, cudaMemcpyDeviceToDevice), "copy");
  });
}

Timing TimeDeviceCodec(const CodecPlan& plan, int64_t count) {
  const auto n = static_cast<size_t>(count), wide = n * static_cast<size_t>(plan.WideBytes());
  DeviceArray<uint8_t> from(plan.decode ? n : wide), to(plan.decode ? wide : n);
  Check(cudaMemset(from.data(), 0x3d, from.size()), "cudaMemset");
  return TimeLaunches([&] { LaunchCodec(plan, from.data(), to.data(), n); });
}

Timing TimeDeviceGemm(const GemmPlan& plan, const GemmOperands& operands) {
  DeviceGemm gemm(plan, operands);
  return TimeLaunches([&] { gemm.Run(); });
}

Timing TimeDevicePeer(const GemmPlan& plan, const GemmOperands& operands) {
  const DeviceArray<uint8_t> a((std::span<const uint8_t>(operands.a)));
  const DeviceArray<uint8_t> b((std::span<const uint8_t>(operands.b)));
  return TimeCublasLt(plan.shape, plan.promotion == Promotion::kNone, a.data(), b.data());
}

Timing TimeDeviceAttention(const AttentionPlan& plan, const AttentionOperands& operands) {
  const int64_t first = 0;
  DeviceAttention attention(plan, operands, {&first, 1});
  return TimeLaunches([&] { attention.Run(); });
}

void RunDeviceCodec(const CodecPlan& plan, std::span<const uint8_t> in, std::span<uint8_t> out) {
  DeviceArray<uint8_t> from(in), to(out.size());
  LaunchCodec(plan, from.data(), to.data(), plan.decode ? in.size() : out.size());
  CheckLaunch("codec");
  to.CopyTo(out);
}

}  // namespace lostbits::gpu
