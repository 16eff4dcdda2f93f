// What the wrappers share: type tags, and what the code is compiled for.
#ifndef LOSTBITS_CUDA_PTX_TYPES_H_
#define LOSTBITS_CUDA_PTX_TYPES_H_

#include <cstdint>

namespace lostbits::gpu::ptx {

// Named as PTX names the types. Those of results: what a register of theirs holds.
struct f16 {
  static constexpr bool kHalf = true;
  using Register = uint32_t;  // two
};
struct f32 {
  static constexpr bool kHalf = false;
  using Register = float;
};
struct bf16 {};
struct tf32 {};
struct e4m3 {};
struct e5m2 {};

/// 10 * compute capability of the code being compiled (900 for sm_90); 0 on the host. A wrapper
/// compiled for a device without its instruction traps.
#if defined(__CUDA_ARCH__)
inline constexpr int kDeviceArch = __CUDA_ARCH__;
#else
inline constexpr int kDeviceArch = 0;
#endif
// The instructions of one architecture only ("a" targets: sm_90a, sm_100a).
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool kSm90a = true;
#else
inline constexpr bool kSm90a = false;
#endif
#if defined(__CUDA_ARCH_FEAT_SM100_ALL)
inline constexpr bool kSm100a = true;
#else
inline constexpr bool kSm100a = false;
#endif

}  // namespace lostbits::gpu::ptx

#endif  // LOSTBITS_CUDA_PTX_TYPES_H_
