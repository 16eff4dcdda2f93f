// A GEMM's operands and result in device memory. Host code of .cu files only.
#ifndef LOSTBITS_CUDA_DEVICE_GEMM_H_
#define LOSTBITS_CUDA_DEVICE_GEMM_H_

#include <vector>

#include "cuda/check.h"
#include "cuda/gemm_launch.h"
#include "cuda/gemm_twin.h"

namespace lostbits::gpu {

class DeviceGemm {
 public:
  DeviceGemm(const GemmPlan& plan, const GemmOperands& operands)
      : plan_(plan),
        a_(std::span<const uint8_t>(operands.a)),
        b_(std::span<const uint8_t>(operands.b)),
        scale_a_(std::span<const float>(Transposed(plan, operands.scale_a))),
        scale_b_(std::span<const float>(operands.scale_b)),
        d_(static_cast<size_t>(plan.shape.m * plan.shape.n * OutputBytes())) {}

  /// Launches; does not wait.
  void Run() { LaunchGemm(plan_, Pointers()); }

  GemmPointers Pointers() {
    const bool scaled = scale_b_.size() > 0;
    return {a_.data(), b_.data(), scaled ? scale_a_.data() : nullptr,
            scaled ? scale_b_.data() : nullptr, d_.data()};
  }

  /// Runs, and copies the result: M x N words.
  std::vector<uint32_t> Words() {
    Run();
    CheckLaunch("gemm");
    std::vector<uint8_t> bytes(d_.size());
    d_.CopyTo(bytes);
    const auto size = static_cast<size_t>(OutputBytes());
    std::vector<uint32_t> words(bytes.size() / size);
    for (size_t i = 0; i < words.size(); ++i)
      words[i] = ElementAt(bytes.data(), static_cast<int64_t>(i), static_cast<int>(size));
    return words;
  }

 private:
  int OutputBytes() const { return fp8::StorageBits(plan_.recipe.output) / 8; }
  /// M x blocks to blocks x M.
  static std::vector<float> Transposed(const GemmPlan& plan, const std::vector<float>& from) {
    const auto m = static_cast<size_t>(plan.shape.m), blocks = from.size() / m;
    std::vector<float> to(from.size());
    for (size_t i = 0; i < m; ++i)
      for (size_t j = 0; j < blocks; ++j) to[j * m + i] = from[i * blocks + j];
    return to;
  }

  const GemmPlan plan_;
  DeviceArray<uint8_t> a_, b_;
  DeviceArray<float> scale_a_, scale_b_;
  DeviceArray<uint8_t> d_;
};

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_DEVICE_GEMM_H_
