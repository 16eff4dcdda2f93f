// wgmma.mma_async (sm_90a): one thin wrapper an instruction, m64n8kK, and the fences around it.
// PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Instructions".
//
// A warpgroup (128 threads) computes d = a * b + d. a and b lie in shared memory and are given by
// descriptors, d by its registers, which hold c before: cuda/ptx/fragment.h.
#ifndef LOSTBITS_CUDA_PTX_WGMMA_H_
#define LOSTBITS_CUDA_PTX_WGMMA_H_

#include <cstdint>

#include "cuda/ptx/types.h"
#include "cuda/unit_list.h"

namespace lostbits::gpu::ptx {

/// Writes to shared memory by ordinary instructions become visible to the asynchronous ones.
__device__ inline void FenceProxyAsync() {
  if constexpr (kDeviceArch >= 900) asm volatile("fence.proxy.async;" ::: "memory");
}
/// Before the first wgmma, and whenever registers that it reads have been written. Threads of a
/// warp that a wait or a mask has parted come together.
__device__ inline void WgmmaFence() {
  if constexpr (kSm90a) {
    __syncwarp();
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  }
}
__device__ inline void WgmmaCommit() {
  if constexpr (kSm90a) asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until at most kPending groups are under way.
template <int kPending = 0>
__device__ inline void WgmmaWait() {
  if constexpr (kSm90a)
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// After the wait: no read of d moves before it.
__device__ inline void HoldRegister(float& d) { asm volatile("" : "+f"(d)::"memory"); }
__device__ inline void HoldRegister(uint32_t& d) { asm volatile("" : "+r"(d)::"memory"); }

/// One instruction of LOSTBITS_WGMMA_UNITS. kSignA, kSignB: 1 or -1 (imm-scale). use_c: scale-d.
template <int kK, class A, class B, class D>
struct Wgmma;

// FP16 and BF16 can be transposed, which takes two more immediates.
#define LOSTBITS_WGMMA_TAIL_f16 ", 0, 0"
#define LOSTBITS_WGMMA_TAIL_bf16 ", 0, 0"
#define LOSTBITS_WGMMA_TAIL_tf32 ""
#define LOSTBITS_WGMMA_TAIL_e4m3 ""
#define LOSTBITS_WGMMA_TAIL_e5m2 ""

#define LOSTBITS_WGMMA_f32(text, tail)                          \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %6, 0; " text    \
               " {%0,%1,%2,%3}, %4, %5, p, %7, %8" tail "; }"   \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) \
               : "l"(a), "l"(b), "r"(static_cast<int>(use_c)), "n"(kSignA), "n"(kSignB))
#define LOSTBITS_WGMMA_f16(text, tail)                                                          \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %4, 0; " text " {%0,%1}, %2, %3, p, %5, %6" tail \
               "; }"                                                                            \
               : "+r"(d[0]), "+r"(d[1])                                                         \
               : "l"(a), "l"(b), "r"(static_cast<int>(use_c)), "n"(kSignA), "n"(kSignB))

#define LOSTBITS_WGMMA_WRAPPER(bytes, k, ta, tb, td, first, last)                             \
  template <>                                                                                 \
  struct Wgmma<k, ta, tb, td> {                                                               \
    static constexpr int kRegisters = td::kHalf ? 2 : 4;                                      \
    template <int kSignA, int kSignB>                                                         \
    static __device__ void Run(td::Register* d, uint64_t a, uint64_t b, bool use_c) {         \
      if constexpr (kSm90a) {                                                                 \
        LOSTBITS_WGMMA_##td("wgmma.mma_async.sync.aligned.m64n8k" #k "." #td "." #ta "." #tb, \
                            LOSTBITS_WGMMA_TAIL_##ta);                                        \
      } else {                                                                                \
        __trap();                                                                             \
      }                                                                                       \
    }                                                                                         \
  };
LOSTBITS_WGMMA_UNITS(LOSTBITS_WGMMA_WRAPPER)

#undef LOSTBITS_WGMMA_TAIL_f16
#undef LOSTBITS_WGMMA_TAIL_bf16
#undef LOSTBITS_WGMMA_TAIL_tf32
#undef LOSTBITS_WGMMA_TAIL_e4m3
#undef LOSTBITS_WGMMA_TAIL_e5m2
#undef LOSTBITS_WGMMA_f32
#undef LOSTBITS_WGMMA_f16
#undef LOSTBITS_WGMMA_WRAPPER

}  // namespace lostbits::gpu::ptx

#endif  // LOSTBITS_CUDA_PTX_WGMMA_H_
