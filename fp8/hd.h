// Host/device portability. The only file that names __CUDACC__.
//
// FP8_HD marks a function that host and device share: one source for both, so the simulator and the
// CUDA kernels cannot drift. Such functions use no STL, no exceptions and no I/O.
#ifndef LOSTBITS_FP8_HD_H_
#define LOSTBITS_FP8_HD_H_

#include <cstdint>

#if defined(__CUDACC__)
#define FP8_HD __host__ __device__
#else
#define FP8_HD
#endif

namespace lostbits::fp8 {

/// The same bits read as another type of the same size.
template <class To, class From>
FP8_HD constexpr To BitCast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}

/// Number of bits needed to write x: floor(log2(x)) + 1, and 0 for x = 0.
FP8_HD constexpr int BitWidth(uint64_t x) {
  if (x == 0) return 0;
#if defined(__CUDA_ARCH__)
  return 64 - __clzll(static_cast<long long>(x));
#else
  return 64 - __builtin_clzll(x);
#endif
}

/// Number of ones in x.
FP8_HD constexpr int PopCount(uint64_t x) {
#if defined(__CUDA_ARCH__)
  return __popcll(x);
#else
  return __builtin_popcountll(x);
#endif
}

FP8_HD constexpr int Max(int a, int b) { return a > b ? a : b; }
FP8_HD constexpr int Min(int a, int b) { return a < b ? a : b; }

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_HD_H_
