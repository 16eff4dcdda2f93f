// The codec kernels, as data. One header for whoever asks for them; nothing here needs a GPU.
#ifndef LOSTBITS_CUDA_CODEC_PLAN_H_
#define LOSTBITS_CUDA_CODEC_PLAN_H_

#include <cstdint>
#include <string>

#include "fp8/format.h"

namespace lostbits::gpu {

struct CodecPlan {
  fp8::Format code;  ///< kE4M3FN or kE5M2
  fp8::Format wide;  ///< kFP32, kFP16 or kBF16
  bool decode;
  bool hardware;  ///< cvt (sm_89); otherwise cuda/codec_fast.h

  int WideBytes() const { return fp8::StorageBits(wide) / 8; }
  std::string Name() const {
    const std::string narrow = code == fp8::kE4M3FN ? "e4m3" : "e5m2";
    const std::string other = wide == fp8::kFP32 ? "f32" : wide == fp8::kFP16 ? "f16" : "bf16";
    return (decode ? narrow + " to " + other : other + " to " + narrow) +
           (hardware ? ", cvt" : ", ours");
  }
};

/// Every plan there is.
inline constexpr CodecPlan kCodecPlans[] = {
#define LOSTBITS_CODEC_PLAN(f, w)                                                               \
  {fp8::f, fp8::w, false, false}, {fp8::f, fp8::w, false, true}, {fp8::f, fp8::w, true, false}, \
      {fp8::f, fp8::w, true, true},
    LOSTBITS_CODEC_PLAN(kE4M3FN, kFP32) LOSTBITS_CODEC_PLAN(kE4M3FN, kFP16)
        LOSTBITS_CODEC_PLAN(kE4M3FN, kBF16) LOSTBITS_CODEC_PLAN(kE5M2, kFP32)
            LOSTBITS_CODEC_PLAN(kE5M2, kFP16) LOSTBITS_CODEC_PLAN(kE5M2, kBF16)
#undef LOSTBITS_CODEC_PLAN
};

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_CODEC_PLAN_H_
