// tcgen05 (sm_100a): the FP8 matrix instruction of datacentre Blackwell and the tensor memory it
// accumulates in. PTX ISA 9.0, "TensorCore 5th Generation Family Instructions".
//
// Compiled, never run: no lostbits-gpu command uses it yet.
#ifndef LOSTBITS_CUDA_PTX_TCGEN05_H_
#define LOSTBITS_CUDA_PTX_TCGEN05_H_

#include <cstdint>

#include "cuda/ptx/types.h"
#include "fp8/hd.h"

namespace lostbits::gpu::ptx {

/// One warp takes kColumns (a power of two, 32 to 512) of tensor memory; its address goes to
/// `shared`.
template <int kColumns>
__device__ inline void TensorAlloc(uint32_t shared) {
  if constexpr (kSm100a)
    asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(shared),
                 "n"(kColumns)
                 : "memory");
}
template <int kColumns>
__device__ inline void TensorFree(uint32_t tensor) {
  if constexpr (kSm100a)
    asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(tensor),
                 "n"(kColumns));
}

/// Field of a type in the instruction descriptor of kind::f8f6f4 (PTX ISA 9.0, "Instruction
/// descriptor", table for .kind::tf32, .kind::f16, .kind::f8f6f4 and .kind::i8).
enum Tcgen05Type : uint32_t { kTcgenE4m3 = 0, kTcgenE5m2 = 1 };
/// That descriptor, dense, K-major operands, no negation: d format in bits 4-5 (0 FP16, 1 FP32), a
/// in 7-9, b in 10-12, n / 8 in 17-22, m / 16 in 24-28.
FP8_HD constexpr uint32_t Tcgen05Descriptor(bool fp32, Tcgen05Type a, Tcgen05Type b, int m, int n) {
  return (fp32 ? 1u : 0u) << 4 | a << 7 | b << 10 | static_cast<uint32_t>(n / 8) << 17 |
         static_cast<uint32_t>(m / 16) << 24;
}

/// One thread starts d = a * b + d (d = a * b unless use_c), k = 32; d at `tensor`, operands by
/// shared memory descriptors.
__device__ inline void Tcgen05MmaF8(uint32_t tensor, uint64_t a, uint64_t b, uint32_t descriptor,
                                    bool use_c) {
  if constexpr (kSm100a)
    asm volatile(
        "{ .reg .pred p; setp.ne.b32 p, %4, 0; "
        "tcgen05.mma.cta_group::1.kind::f8f6f4 [%0], %1, %2, %3, p; }" ::"r"(tensor),
        "l"(a), "l"(b), "r"(descriptor), "r"(static_cast<int>(use_c))
        : "memory");
}
/// `barrier` (a shared memory address) is told when all that this thread has started is done.
__device__ inline void Tcgen05Commit(uint32_t barrier) {
  if constexpr (kSm100a)
    asm volatile(
        "tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(barrier)
        : "memory");
}
/// Eight columns of a warp's 32 lanes, a word each.
__device__ inline void TensorLoad8(uint32_t tensor, uint32_t* d) {
  if constexpr (kSm100a) {
    asm volatile("tcgen05.ld.sync.aligned.32x32b.x8.b32 {%0,%1,%2,%3,%4,%5,%6,%7}, [%8];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3]), "=r"(d[4]), "=r"(d[5]),
                   "=r"(d[6]), "=r"(d[7])
                 : "r"(tensor));
    asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
  }
}

}  // namespace lostbits::gpu::ptx

#endif  // LOSTBITS_CUDA_PTX_TCGEN05_H_
