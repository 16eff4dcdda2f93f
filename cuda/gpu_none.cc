// The device's side of gpu.h where lostbits is built without CUDA.
#include <memory>

#include "cuda/gpu.h"

namespace lostbits::gpu {

std::unique_ptr<Backend> OpenDevice() { return nullptr; }
std::string WhyNoDevice() { return "built without CUDA (LOSTBITS_CUDA=OFF, or no nvcc)"; }

}  // namespace lostbits::gpu
