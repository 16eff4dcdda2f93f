// The choices other libraries make, as data: EncodeLike(library, target, source).
//
// Measured, all of them, on these versions:
//   cuda        cuda_fp8.h, cuda_fp6.h, cuda_fp4.h of CUDA 13.0.88, host path
//   torch       2.13.0 CPU for torch_2_12; `torch` is the behaviour up to 2.11: see there
//   ml_dtypes   0.6.0 through numpy 2.4.6; saturating: C++ headers at commit b793a6e
//   onnx        ONNX 1.23.2's Cast table, and ONNX Runtime 1.31.1, which implements it
//
// Not copied, because they are defects of an implementation and not a choice:
//   - ONNX Runtime, saturate = 0: E4M3FN [480, 496) gives 0x7E (448), all above and below it NaN;
//     E5M2 [61440, 65536) gives 0x7F (NaN), all above it 0x7C (Inf). Seen in 1.31.1.
//   - ml_dtypes 0.6.0 and torch 2.13.0: E8M0 of (2^-127, 1.5 * 2^-127) gives 1 (2^-126), not the
//     nearest, 0 (2^-127); seen from every source type.
//   - oneDNN float8.cpp rounds f32 to f16 first: 0x3F880001 gives E4M3FN 0x38 instead of 0x39.
//   - universal's microfloat rounds a double to float first; its E8M0 rounds the logarithm.
//   - CPFloat's "e4m3" and universal's cfloat<8,4,...> are other formats than E4M3FN: the largest
//     number is 480 in one, code 0x7E is Inf in the other.
#ifndef LOSTBITS_FP8_PRESET_H_
#define LOSTBITS_FP8_PRESET_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "fp8/codec.h"
#include "fp8/format.h"
#include "fp8/rounding.h"

namespace lostbits::fp8 {

enum class Library : uint8_t {
  kCuda,                ///< __NV_SATFINITE, as the __nv_fp8_* constructors use it
  kCudaNosat,           ///< __NV_NOSAT
  kTorch,               ///< Tensor.to(float8_*) before 2.12: E4M3FN overflow is NaN
  kTorch212,            ///< from 2.12 on (pytorch #178817): E4M3FN overflow and Inf saturate
  kMlDtypes,            ///< ndarray.astype(ml_dtypes.*): does not saturate
  kMlDtypesSaturating,  ///< C++ ConvertFrom</*kSaturate=*/true>: finite overflow only; Inf stays
  kOnnx,                ///< Cast, saturate = 1 (the default)
  kOnnxNosat,           ///< Cast, saturate = 0
};

struct LibraryRow {
  Library library;
  std::string_view name;  ///< as a user types it
};

inline constexpr LibraryRow kLibraries[] = {
    {Library::kCuda, "cuda"},          {Library::kCudaNosat, "cuda_nosat"},
    {Library::kTorch, "torch"},        {Library::kTorch212, "torch_2_12"},
    {Library::kMlDtypes, "ml_dtypes"}, {Library::kMlDtypesSaturating, "ml_dtypes_saturating"},
    {Library::kOnnx, "onnx"},          {Library::kOnnxNosat, "onnx_nosat"},
};

namespace detail {

constexpr bool IsAnyOf(Format f, std::initializer_list<Format> formats) {
  for (const Format& g : formats)
    if (f == g) return true;
  return false;
}

constexpr bool Converts(Library library, Format target) {
  switch (library) {
    case Library::kCuda: return IsAnyOf(target, {kE4M3FN, kE5M2, kE8M0, kE2M3, kE3M2, kE2M1});
    // The FP6 and FP4 headers have no __NV_NOSAT.
    case Library::kCudaNosat: return IsAnyOf(target, {kE4M3FN, kE5M2, kE8M0});
    case Library::kTorch:
    case Library::kTorch212:
    // ONNX Runtime 1.31.1 has no CPU Cast from float to FLOAT4E2M1.
    case Library::kOnnx:
    case Library::kOnnxNosat: return IsAnyOf(target, {kE4M3FN, kE5M2, kE4M3FNUZ, kE5M2FNUZ, kE8M0});
    case Library::kMlDtypes:
    case Library::kMlDtypesSaturating:
      return IsAnyOf(target, {kE4M3FN, kE5M2, kE4M3, kE3M4, kE4M3FNUZ, kE5M2FNUZ, kE4M3B11FNUZ,
                              kE8M0, kE2M3, kE3M2, kE2M1});
  }
  return false;
}

constexpr EncodePolicy CudaPolicy(Format target, Format source, bool saturate) {
  EncodePolicy p{.overflow = saturate ? Overflow::kSaturate : Overflow::kToSpecial,
                 .inf = saturate ? InfRule::kSaturate : InfRule::kKeep};
  // A float becomes the canonical 0x7FFFFFFF first; a double keeps its sign and its payload
  // (cuda_fp8.hpp, __nv_cvt_double_to_fp8: 0x7E | mantissa).
  if (source == kFP64 && target.specials != Specials::kFinite) {
    p.nan_sign = NanSign::kKeep;
    p.nan_payload = NanPayload::kKeep;
  }
  // __nv_fp8_e8m0's constructors: cudaRoundPosInf. The functions also take cudaRoundZero.
  if (target == kE8M0) p.rounding = Rounding::kUp;
  return p;
}

constexpr EncodePolicy TorchPolicy(Format target, bool saturates_e4m3) {
  const bool saturate = saturates_e4m3 && target == kE4M3FN;
  return {.overflow = saturate ? Overflow::kSaturate : Overflow::kToSpecial,
          .inf = saturate ? InfRule::kSaturate : InfRule::kKeep,
          .nan_sign = NanSign::kKeep,
          .nan_payload = NanPayload::kAllOnes};
}

constexpr EncodePolicy MlDtypesPolicy(bool saturate) {
  return {.overflow = saturate ? Overflow::kSaturate : Overflow::kToSpecial,
          .inf = InfRule::kKeep,
          .nan_sign = NanSign::kKeep,
          .nan_payload = NanPayload::kQuiet,
          .nan_to_finite = NanToFinite::kZeroFlippedSign,
          .scale_negative = saturate ? ScaleNegative::kMin : ScaleNegative::kNan,
          .scale_zero = saturate ? ScaleZero::kMin : ScaleZero::kNan};
}

constexpr EncodePolicy OnnxPolicy(Format target, bool saturate) {
  return {// E8M0: round_mode = "up" is the attribute's default.
          .rounding = target == kE8M0 ? Rounding::kUp : Rounding::kNearestEven,
          .overflow = saturate ? Overflow::kSaturate : Overflow::kToSpecial,
          // The table once said NaN for FNUZ (onnx#6220, #7085); 1.23.2 says FLT_MAX, as ORT does.
          .inf = saturate ? InfRule::kSaturate : InfRule::kKeep,
          .nan_sign = NanSign::kKeep,
          .nan_payload = NanPayload::kAllOnes,
          // Unspecified by the table for x < 0; this is what ONNX Runtime does.
          .scale_negative = saturate ? ScaleNegative::kMin : ScaleNegative::kNan,
          .scale_zero = saturate ? ScaleZero::kMin : ScaleZero::kTinyNan};
}

}  // namespace detail

/// The policy by which `library` converts `source` (FP64, FP32, FP16 or BF16) to `target`; nothing
/// where it has no such conversion.
constexpr std::optional<EncodePolicy> EncodeLike(Library library, Format target,
                                                 Format source = kFP32) {
  if (!detail::Converts(library, target) || !detail::IsAnyOf(source, {kFP64, kFP32, kFP16, kBF16}))
    return std::nullopt;
  switch (library) {
    case Library::kCuda: return detail::CudaPolicy(target, source, true);
    case Library::kCudaNosat: return detail::CudaPolicy(target, source, false);
    case Library::kTorch: return detail::TorchPolicy(target, false);
    case Library::kTorch212: return detail::TorchPolicy(target, true);
    case Library::kMlDtypes: return detail::MlDtypesPolicy(false);
    case Library::kMlDtypesSaturating: return detail::MlDtypesPolicy(true);
    case Library::kOnnx: return detail::OnnxPolicy(target, true);
    case Library::kOnnxNosat: return detail::OnnxPolicy(target, false);
  }
  return std::nullopt;
}

/// Whether `library` rounds a double to float first, and so rounds twice: 1.0625 + 2^-40 becomes
/// E4M3FN 0x38 and not 0x39. (ml_dtypes does so in numpy's casts, not in its C++ templates.)
constexpr bool RoundsDoubleToFloatFirst(Library library) {
  switch (library) {
    case Library::kTorch:
    case Library::kTorch212:
    case Library::kMlDtypes:
    case Library::kOnnx:
    case Library::kOnnxNosat: return true;
    case Library::kCuda:
    case Library::kCudaNosat:
    case Library::kMlDtypesSaturating: break;
  }
  return false;
}

/// Encodes as `library` does, with its detours. `x` came from `source`; std::nullopt as EncodeLike.
constexpr std::optional<Encoded> PackLike(Library library, Format target, Format source,
                                          Unpacked x) {
  const std::optional<EncodePolicy> policy = EncodeLike(library, target, source);
  if (!policy) return std::nullopt;
  if (source == kFP64 && RoundsDoubleToFloatFirst(library)) {
    constexpr EncodePolicy kCast{.overflow = Overflow::kToSpecial,
                                 .inf = InfRule::kKeep,
                                 .nan_sign = NanSign::kKeep,
                                 .nan_payload = NanPayload::kKeep};
    x = Unpack(kFP32, Pack(kFP32, x, kCast).code);
  }
  return Pack(target, x, *policy);
}

/// The binary32 NaN that `library` decodes the NaN codes of `from` to.
constexpr DecodePolicy DecodeLike(Library library, Format from) {
  switch (library) {
    case Library::kCuda:
    case Library::kCudaNosat:
      // Through FP16 0x7FFF, or through BF16 0x7FFF for E8M0 (__nv_cvt_e8m0_to_bf16raw).
      return {.nan = from == kE8M0 ? 0x7FFF'0000u : 0x7FFF'FFFFu, .keep_sign = false};
    case Library::kTorch:
    case Library::kTorch212:
      // Measured on 2.13.0: a signalling NaN for FNUZ and E8M0; E4M3FN and E5M2
      // move the mantissa up. (2.13.0 does so in its vector code too; vec512_float8.h of the
      // measured older version gave 0x7FC00000.)
      if (from.specials == Specials::kFnuz || from == kE8M0)
        return {.nan = 0x7F80'0001, .keep_sign = false};
      return {.nan = 0x7FC0'0000, .keep_sign = true, .keep_payload = true};
    case Library::kMlDtypes:
    case Library::kMlDtypesSaturating:
    case Library::kOnnx:
    case Library::kOnnxNosat: break;
  }
  return {};
}

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_PRESET_H_
