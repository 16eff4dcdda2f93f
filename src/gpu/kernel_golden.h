// Goldens of whole kernels: some rows of what a device computed, and the seed that its operands
// follow from. Operands are drawn again by whoever replays, so a golden of K = 131072 takes
// kilobytes; their SHA-256 says that the draw has not changed.
//
//   DIR/<arch>/kernels/<case>.safetensors   d: FP32 words of the sampled rows, one after another;
//                                           lse, of attention: FP32, by head
//
// A kernel is declared equal to a recipe. Words that are not the recipe's are its mistake and no
// truth to replay: they go to <case>.disagrees.safetensors, which nothing reads as a golden.
#ifndef LOSTBITS_SRC_GPU_KERNEL_GOLDEN_H_
#define LOSTBITS_SRC_GPU_KERNEL_GOLDEN_H_

#include <string>
#include <vector>

#include "cuda/attention_plan.h"
#include "gpu/golden.h"

namespace lostbits::gpu {

/// What is recorded: one GEMM or one attention, rows sampled.
struct KernelCase {
  std::string name;  ///< of the file, without ".safetensors"
  bool attention = false;
  // GEMM
  GemmKernel gemm = GemmKernel::kWgmma;
  Promotion promotion = Promotion::kNone;
  GemmShape shape{};
  // attention
  AttentionShape heads{};
  int64_t rows = 2;
  OperandPattern pattern = OperandPattern::kWide;
};

/// Those that run on a device of this architecture.
std::vector<KernelCase> KernelCases(const std::string& arch);

/// Runs the case on the device. Where there is no golden at `path` yet, its words are held against
/// the simulator's and written if all agree; a golden that is there is held against them and stays.
/// What disagrees goes to DisagreesPath(path).
Agreement CaptureKernel(const std::string& path, const KernelCase& c, Backend& device,
                        uint64_t seed, const Metadata& metadata);
/// Against the simulator, or against a device that is given.
Agreement ReplayKernel(const std::string& path, Backend* device);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_SRC_GPU_KERNEL_GOLDEN_H_
