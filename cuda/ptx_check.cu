// Compiles the wrappers that nothing here runs yet (TMA, tcgen05, conversions from FP8), so that
// ptxas sees them. Never launched.
#include "cuda/ptx/cvt.h"
#include "cuda/ptx/tcgen05.h"
#include "cuda/ptx/tma.h"

namespace lostbits::gpu {

__global__ void CompileConversions(const uint16_t* codes, uint32_t* out) {
  out[0] = ptx::CvtFromE4m3x2(codes[0]);
  out[1] = ptx::CvtFromE5m2x2(codes[1]);
}

__global__ void CompileTma(const void* map, uint32_t* out) {
  __shared__ alignas(128) uint32_t tile[32 * 32];
  __shared__ uint64_t barrier;
  if (threadIdx.x == 0) {
    ptx::BarrierInit(&barrier, 1);
    ptx::BarrierExpect(&barrier, sizeof tile);
    ptx::TmaLoad2d(tile, map, 0, 32, &barrier);
  }
  __syncthreads();
  ptx::BarrierWait(&barrier, 0);
  out[threadIdx.x] = tile[threadIdx.x];
}

__global__ void CompileTcgen05(uint64_t a, uint64_t b, uint32_t* out) {
  __shared__ uint32_t tensor;
  __shared__ uint64_t barrier;
  ptx::TensorAlloc<32>(ptx::SharedAddress(&tensor));
  if (threadIdx.x == 0) ptx::BarrierInit(&barrier, 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::Tcgen05MmaF8(tensor, a, b,
                      ptx::Tcgen05Descriptor(true, ptx::kTcgenE4m3, ptx::kTcgenE5m2, 128, 8),
                      false);
    ptx::Tcgen05Commit(ptx::SharedAddress(&barrier));
  }
  ptx::BarrierWait(&barrier, 0);
  uint32_t d[8];
  ptx::TensorLoad8(tensor, d);
  if constexpr (ptx::kSm100a) {
    for (int i = 0; i < 8; ++i) out[threadIdx.x * 8 + i] = d[i];
  }
  ptx::TensorFree<32>(tensor);
}

}  // namespace lostbits::gpu
