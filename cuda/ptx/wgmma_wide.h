// wgmma.mma_async m64nNk32 on E4M3 with a wide N, for the kernels of this folder (sm_90a).
// cuda/ptx/wgmma.h has the narrow one that the probes use, and the fences.
//
// d has N / 2 registers a thread (WgmmaD of cuda/ptx/fragment.h). Both operands have k fastest:
// FP8 knows no other layout.
#ifndef LOSTBITS_CUDA_PTX_WGMMA_WIDE_H_
#define LOSTBITS_CUDA_PTX_WGMMA_WIDE_H_

#include <cstdint>

#include "cuda/ptx/types.h"

namespace lostbits::gpu::ptx {

#define LOSTBITS_D4(i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define LOSTBITS_D16(i) \
  LOSTBITS_D4(i), LOSTBITS_D4((i) + 4), LOSTBITS_D4((i) + 8), LOSTBITS_D4((i) + 12)
#define LOSTBITS_D32(i) LOSTBITS_D16(i), LOSTBITS_D16((i) + 16)
#define LOSTBITS_D64(i) LOSTBITS_D32(i), LOSTBITS_D32((i) + 32)
// clang-format off
#define LOSTBITS_R32 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define LOSTBITS_R64 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define LOSTBITS_R128 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63," \
  "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79," \
  "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95," \
  "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111," \
  "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
// clang-format on

/// kN: 64, 128 or 256. RunSS: a and b by descriptor. RunRS: a from registers (four of 32 bits a
/// thread: MmaA of its warp's 16 rows), b by descriptor. use_c: false takes +0 for c.
template <int kN>
struct WgmmaE4m3;

template <>
struct WgmmaE4m3<64> {
  static __device__ void RunSS(float* d, uint64_t a, uint64_t b, bool use_c) {
    if constexpr (kSm90a) {
      asm volatile(
          "{ .reg .pred p; setp.ne.b32 p, %34, 0; "
          "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {" LOSTBITS_R32
          "}, %32, %33, p, 1, 1; }"
          : LOSTBITS_D32(0)
          : "l"(a), "l"(b), "r"(static_cast<int>(use_c)));
    }
  }
  static __device__ void RunRS(float* d, const uint32_t* a, uint64_t b, bool use_c) {
    if constexpr (kSm90a) {
      asm volatile(
          "{ .reg .pred p; setp.ne.b32 p, %37, 0; "
          "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {" LOSTBITS_R32
          "}, {%32,%33,%34,%35}, %36, p, 1, 1; }"
          : LOSTBITS_D32(0)
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(use_c)));
    }
  }
};
template <>
struct WgmmaE4m3<128> {
  static __device__ void RunSS(float* d, uint64_t a, uint64_t b, bool use_c) {
    if constexpr (kSm90a) {
      asm volatile(
          "{ .reg .pred p; setp.ne.b32 p, %66, 0; "
          "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" LOSTBITS_R64
          "}, %64, %65, p, 1, 1; }"
          : LOSTBITS_D64(0)
          : "l"(a), "l"(b), "r"(static_cast<int>(use_c)));
    }
  }
  static __device__ void RunRS(float* d, const uint32_t* a, uint64_t b, bool use_c) {
    if constexpr (kSm90a) {
      asm volatile(
          "{ .reg .pred p; setp.ne.b32 p, %69, 0; "
          "wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" LOSTBITS_R64
          "}, {%64,%65,%66,%67}, %68, p, 1, 1; }"
          : LOSTBITS_D64(0)
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(use_c)));
    }
  }
};
template <>
struct WgmmaE4m3<256> {
  static __device__ void RunSS(float* d, uint64_t a, uint64_t b, bool use_c) {
    if constexpr (kSm90a) {
      asm volatile(
          "{ .reg .pred p; setp.ne.b32 p, %130, 0; "
          "wgmma.mma_async.sync.aligned.m64n256k32.f32.e4m3.e4m3 {" LOSTBITS_R128
          "}, %128, %129, p, 1, 1; }"
          : LOSTBITS_D64(0), LOSTBITS_D64(64)
          : "l"(a), "l"(b), "r"(static_cast<int>(use_c)));
    }
  }
};

#undef LOSTBITS_D4
#undef LOSTBITS_D16
#undef LOSTBITS_D32
#undef LOSTBITS_D64
#undef LOSTBITS_R32
#undef LOSTBITS_R64
#undef LOSTBITS_R128

/// More and fewer registers for the warps of a warpgroup: all of its threads run it.
template <int kRegisters>
__device__ inline void RegistersUp() {
  if constexpr (kSm90a) asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void RegistersDown() {
  if constexpr (kSm90a) asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

}  // namespace lostbits::gpu::ptx

#endif  // LOSTBITS_CUDA_PTX_WGMMA_WIDE_H_
