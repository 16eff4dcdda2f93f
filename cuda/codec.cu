// Codec kernels: FP32, FP16 and BF16 to E4M3FN and E5M2 and back, by integers (cuda/codec_fast.h)
// and by the hardware's cvt. A thread moves 16 bytes of the wider type at a time, four pieces in
// flight, so the rate is the memory's.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <stdexcept>

#include "cuda/check.h"
#include "cuda/codec_fast.h"
#include "cuda/codec_launch.h"
#include "cuda/ptx/cvt.h"

namespace lostbits::gpu {
namespace {

constexpr int kThreads = 256, kPieces = 4;

// How each wide type is read as FP32 and written from FP32; both exact here.
struct F32 {
  using Element = uint32_t;
  static __device__ float Load(uint32_t word) { return __uint_as_float(word); }
  static __device__ uint32_t Store(uint32_t word) { return word; }
};
struct F16 {
  using Element = uint16_t;
  static __device__ float Load(uint16_t word) { return __half2float(__ushort_as_half(word)); }
  static __device__ uint16_t Store(uint32_t word) {
    return __half_as_ushort(__float2half_rn(__uint_as_float(word)));
  }
};
struct BF16 {
  using Element = uint16_t;
  static __device__ float Load(uint16_t word) {
    return __uint_as_float(static_cast<uint32_t>(word) << 16);
  }
  static __device__ uint16_t Store(uint32_t word) { return static_cast<uint16_t>(word >> 16); }
};

// nvcc 13.0 writes a kernel's class-type template arguments wrongly: formats go in as types.
struct E4M3FN {
  static constexpr fp8::Format kFormat = fp8::kE4M3FN;
};
struct E5M2 {
  static constexpr fp8::Format kFormat = fp8::kE5M2;
};

/// Two elements to two codes.
template <class Wide, class Code, bool kHardware>
__device__ uint32_t EncodePair(typename Wide::Element low, typename Wide::Element high) {
  const float x = Wide::Load(low), y = Wide::Load(high);
  if constexpr (!kHardware) return EncodeFast<Code::kFormat>(x) | EncodeFast<Code::kFormat>(y) << 8;
  return Code::kFormat.mantissa_bits == 3 ? ptx::CvtE4m3x2(y, x) : ptx::CvtE5m2x2(y, x);
}

/// Two codes to two elements.
template <class Wide, class Code, bool kHardware>
__device__ void DecodePair(uint32_t codes, typename Wide::Element* to) {
  if constexpr (kHardware) {
    const auto pair = static_cast<uint16_t>(codes);
    const uint32_t halves =
        Code::kFormat.mantissa_bits == 3 ? ptx::CvtFromE4m3x2(pair) : ptx::CvtFromE5m2x2(pair);
    for (int i = 0; i < 2; ++i) {
      const auto half = static_cast<uint16_t>(halves >> (16 * i));
      to[i] = Wide::Store(__float_as_uint(F16::Load(half)));
    }
  } else {
    to[0] = Wide::Store(DecodeFast<Code::kFormat>(codes & 0xff));
    to[1] = Wide::Store(DecodeFast<Code::kFormat>(codes >> 8 & 0xff));
  }
}

/// 16 bytes of the wide type and as many codes.
template <class Wide>
struct Piece {
  static constexpr int kCount = 16 / sizeof(typename Wide::Element);
  struct alignas(16) Elements {
    typename Wide::Element e[kCount];
  };
  struct alignas(kCount) CodeBytes {
    uint8_t c[kCount];
  };
};

// One piece, either way: In to Out.
template <class Wide, class Code, bool kHardware>
struct EncodePiece {
  using In = typename Piece<Wide>::Elements;
  using Out = typename Piece<Wide>::CodeBytes;
  static __device__ Out Run(const In& in) {
    Out out;
#pragma unroll
    for (int j = 0; j < Piece<Wide>::kCount; j += 2) {
      const uint32_t pair = EncodePair<Wide, Code, kHardware>(in.e[j], in.e[j + 1]);
      out.c[j] = static_cast<uint8_t>(pair);
      out.c[j + 1] = static_cast<uint8_t>(pair >> 8);
    }
    return out;
  }
};
template <class Wide, class Code, bool kHardware>
struct DecodePiece {
  using In = typename Piece<Wide>::CodeBytes;
  using Out = typename Piece<Wide>::Elements;
  static __device__ Out Run(const In& in) {
    Out out;
#pragma unroll
    for (int j = 0; j < Piece<Wide>::kCount; j += 2)
      DecodePair<Wide, Code, kHardware>(in.c[j] | in.c[j + 1] << 8, out.e + j);
    return out;
  }
};

template <class Step>
__global__ void __launch_bounds__(kThreads)
    CodecKernel(const typename Step::In* in, typename Step::Out* out, size_t pieces) {
  const size_t first = static_cast<size_t>(blockIdx.x) * kThreads * kPieces + threadIdx.x;
  typename Step::In x[kPieces];
#pragma unroll
  for (int i = 0; i < kPieces; ++i)
    if (first + i * kThreads < pieces) x[i] = in[first + i * kThreads];
#pragma unroll
  for (int i = 0; i < kPieces; ++i)
    if (first + i * kThreads < pieces) out[first + i * kThreads] = Step::Run(x[i]);
}

template <class Step>
void LaunchStep(const void* in, void* out, size_t pieces) {
  const size_t block = kThreads * kPieces;
  CodecKernel<Step><<<static_cast<unsigned>((pieces + block - 1) / block), kThreads>>>(
      static_cast<const typename Step::In*>(in), static_cast<typename Step::Out*>(out), pieces);
  Check(cudaGetLastError(), "codec");
}

template <class Wide, class Code, bool kHardware>
void Launch(const CodecPlan& plan, const void* in, void* out, size_t count) {
  const size_t pieces = count / Piece<Wide>::kCount;
  if (plan.decode) return LaunchStep<DecodePiece<Wide, Code, kHardware>>(in, out, pieces);
  LaunchStep<EncodePiece<Wide, Code, kHardware>>(in, out, pieces);
}

template <class Wide, class Code>
void LaunchFor(const CodecPlan& plan, const void* in, void* out, size_t count) {
  if (plan.hardware) return Launch<Wide, Code, true>(plan, in, out, count);
  Launch<Wide, Code, false>(plan, in, out, count);
}

template <class Code>
void LaunchCode(const CodecPlan& plan, const void* in, void* out, size_t count) {
  if (plan.wide == fp8::kFP32) return LaunchFor<F32, Code>(plan, in, out, count);
  if (plan.wide == fp8::kFP16) return LaunchFor<F16, Code>(plan, in, out, count);
  LaunchFor<BF16, Code>(plan, in, out, count);
}

}  // namespace

void LaunchCodec(const CodecPlan& plan, const void* in, void* out, size_t count) {
  if (count == 0) return;
  if (count % kCodecMultiple != 0) throw std::invalid_argument("codec: expected a multiple of 8");
  if (plan.code == fp8::kE4M3FN) return LaunchCode<E4M3FN>(plan, in, out, count);
  LaunchCode<E5M2>(plan, in, out, count);
}

}  // namespace lostbits::gpu
