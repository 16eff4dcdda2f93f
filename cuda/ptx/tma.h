// The tensor memory accelerator and the barriers it signals (sm_90): tiles from global to shared
// memory. PTX ISA 9.0, "cp.async.bulk.tensor", "mbarrier".
#ifndef LOSTBITS_CUDA_PTX_TMA_H_
#define LOSTBITS_CUDA_PTX_TMA_H_

#include <cstdint>

#include "cuda/ptx/types.h"

namespace lostbits::gpu::ptx {

__device__ inline uint32_t SharedAddress(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

/// A barrier of one phase after another; `arrivals` threads arrive in each.
__device__ inline void BarrierInit(uint64_t* barrier, uint32_t arrivals) {
  if constexpr (kDeviceArch >= 900)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(SharedAddress(barrier)),
                 "r"(arrivals)
                 : "memory");
}
/// Arrives, and lets the phase wait for `bytes` more bytes of asynchronous copies.
__device__ inline void BarrierExpect(uint64_t* barrier, uint32_t bytes) {
  if constexpr (kDeviceArch >= 900)
    asm volatile(
        "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(SharedAddress(barrier)),
        "r"(bytes)
        : "memory");
}
/// After all barriers of a block are initialised, and before __syncthreads: copies see them.
__device__ inline void BarrierInitFence() {
  if constexpr (kDeviceArch >= 900)
    asm volatile("fence.mbarrier_init.release.cluster; fence.proxy.async;" ::: "memory");
}
__device__ inline void BarrierArrive(uint64_t* barrier) {
  if constexpr (kDeviceArch >= 900)
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(SharedAddress(barrier))
                 : "memory");
}
/// Until the phase of this parity (0 first, then 1, 0, ...) is complete.
__device__ inline void BarrierWait(uint64_t* barrier, uint32_t parity) {
  if constexpr (kDeviceArch >= 900) {
    uint32_t done = 0;
    while (done == 0) {
      asm volatile(
          "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; "
          "selp.u32 %0, 1, 0, p; }"
          : "=r"(done)
          : "r"(SharedAddress(barrier)), "r"(parity)
          : "memory");
    }
  }
}

/// The box of `map` (a CUtensorMap in constant, parameter or global memory) at (x, y), x counting
/// along the contiguous dimension, to `shared`; `barrier` gets its bytes.
__device__ inline void TmaLoad2d(void* shared, const void* map, int x, int y, uint64_t* barrier) {
  if constexpr (kDeviceArch >= 900)
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4}], [%2];" ::"r"(SharedAddress(shared)),
        "l"(map), "r"(SharedAddress(barrier)), "r"(x), "r"(y)
        : "memory");
}

__device__ inline void TmaLoad4d(void* shared, const void* map, int x, int y, int z, int w,
                                 uint64_t* barrier) {
  if constexpr (kDeviceArch >= 900)
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(SharedAddress(shared)),
        "l"(map), "r"(SharedAddress(barrier)), "r"(x), "r"(y), "r"(z), "r"(w)
        : "memory");
}
__device__ inline void TmaPrefetch(const void* map) {
  if constexpr (kDeviceArch >= 900) asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

}  // namespace lostbits::gpu::ptx

#endif  // LOSTBITS_CUDA_PTX_TMA_H_
