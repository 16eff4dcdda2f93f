// Functions of one float, over runs of consecutive bit patterns: ex2.approx.ftz and cvt to FP8.
#include "cuda/check.h"
#include "cuda/launch.h"
#include "cuda/ptx/cvt.h"

namespace lostbits::gpu {
namespace {

constexpr int kThreads = 256;

__global__ void Ex2Kernel(uint32_t first, uint32_t* out, size_t count) {
  const size_t i = static_cast<size_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= count) return;
  const float x = __uint_as_float(first + static_cast<uint32_t>(i));
  out[i] = __float_as_uint(ptx::Ex2ApproxFtz(x));
}

template <bool kE4m3>
__global__ void CvtKernel(uint32_t first, uint16_t* out, size_t pairs) {
  const size_t i = static_cast<size_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= pairs) return;
  const uint32_t bits = first + 2 * static_cast<uint32_t>(i);
  const float low = __uint_as_float(bits), high = __uint_as_float(bits + 1);
  out[i] = kE4m3 ? ptx::CvtE4m3x2(high, low) : ptx::CvtE5m2x2(high, low);
}

unsigned Blocks(size_t count) { return static_cast<unsigned>((count + kThreads - 1) / kThreads); }

}  // namespace

void Ex2Words(uint32_t first, uint32_t* out, size_t count) {
  Ex2Kernel<<<Blocks(count), kThreads>>>(first, out, count);
  CheckLaunch("ex2.approx.ftz.f32");
}

void CvtCodes(bool e4m3, uint32_t first, uint8_t* out, size_t count) {
  auto* pairs = reinterpret_cast<uint16_t*>(out);
  if (e4m3) {
    CvtKernel<true><<<Blocks(count / 2), kThreads>>>(first, pairs, count / 2);
  } else {
    CvtKernel<false><<<Blocks(count / 2), kThreads>>>(first, pairs, count / 2);
  }
  CheckLaunch("cvt.rn.satfinite");
}

}  // namespace lostbits::gpu
