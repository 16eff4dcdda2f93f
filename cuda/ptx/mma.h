// mma.sync: one thin wrapper an instruction. PTX ISA 9.0, "mma".
//
// A warp computes d = a * b + d, m16n8kK: d holds c before and d after. Registers as they are;
// which element lies where: cuda/ptx/fragment.h. FP32 words pass as integers and keep every bit.
#ifndef LOSTBITS_CUDA_PTX_MMA_H_
#define LOSTBITS_CUDA_PTX_MMA_H_

#include <cstdint>

#include "cuda/ptx/types.h"
#include "cuda/unit_list.h"

namespace lostbits::gpu::ptx {

/// One instruction of LOSTBITS_MMA_UNITS: kRowBytes along k, and Run.
template <int kK, class A, class B, class D>
struct Mma;

#define LOSTBITS_MMA_32_f32(text)                                            \
  asm volatile(text " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
               : "+f"(f[0]), "+f"(f[1]), "+f"(f[2]), "+f"(f[3])              \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define LOSTBITS_MMA_16_f32(text)                                   \
  asm volatile(text " {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};" \
               : "+f"(f[0]), "+f"(f[1]), "+f"(f[2]), "+f"(f[3])     \
               : "r"(a[0]), "r"(a[1]), "r"(b[0]))
#define LOSTBITS_MMA_32_f16(text)                                \
  asm volatile(text " {%0,%1}, {%2,%3,%4,%5}, {%6,%7}, {%0,%1};" \
               : "+r"(d[0]), "+r"(d[1])                          \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define LOSTBITS_MMA_16_f16(text)                       \
  asm volatile(text " {%0,%1}, {%2,%3}, {%4}, {%0,%1};" \
               : "+r"(d[0]), "+r"(d[1])                 \
               : "r"(a[0]), "r"(a[1]), "r"(b[0]))

// PTX wants float registers for FP32.
#define LOSTBITS_THROUGH_f32 \
  float f[4];                \
  for (int i = 0; i < 4; ++i) f[i] = __uint_as_float(d[i]);
#define LOSTBITS_BACK_f32 \
  for (int i = 0; i < 4; ++i) d[i] = __float_as_uint(f[i]);
#define LOSTBITS_THROUGH_f16
#define LOSTBITS_BACK_f16

#define LOSTBITS_MMA_WRAPPER(bytes, k, ta, tb, td, first, last)                     \
  template <>                                                                       \
  struct Mma<k, ta, tb, td> {                                                       \
    static constexpr int kRowBytes = bytes;                                         \
    static __device__ void Run(uint32_t* d, const uint32_t* a, const uint32_t* b) { \
      if constexpr (kDeviceArch >= 10 * first) {                                    \
        LOSTBITS_THROUGH_##td LOSTBITS_MMA_##bytes##_##td(                          \
            "mma.sync.aligned.m16n8k" #k ".row.col." #td "." #ta "." #tb "." #td);  \
        LOSTBITS_BACK_##td                                                          \
      } else {                                                                      \
        __trap();                                                                   \
      }                                                                             \
    }                                                                               \
  };
LOSTBITS_MMA_UNITS(LOSTBITS_MMA_WRAPPER)

#undef LOSTBITS_MMA_32_f32
#undef LOSTBITS_MMA_16_f32
#undef LOSTBITS_MMA_32_f16
#undef LOSTBITS_MMA_16_f16
#undef LOSTBITS_THROUGH_f32
#undef LOSTBITS_BACK_f32
#undef LOSTBITS_THROUGH_f16
#undef LOSTBITS_BACK_f16
#undef LOSTBITS_MMA_WRAPPER

}  // namespace lostbits::gpu::ptx

#endif  // LOSTBITS_CUDA_PTX_MMA_H_
