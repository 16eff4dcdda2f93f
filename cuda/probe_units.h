// Names of units and architectures that the probe lists use again and again.
#ifndef LOSTBITS_CUDA_PROBE_UNITS_H_
#define LOSTBITS_CUDA_PROBE_UNITS_H_

namespace lostbits::gpu::probe {

inline constexpr char kHopper[] = "hopper";
inline constexpr char kSinceAmpere[] = "ampere ada hopper blackwell rtx_blackwell";
inline constexpr char kSinceHopper[] = "hopper blackwell rtx_blackwell";
inline constexpr char kToAda[] = "ampere ada";
inline constexpr char kEmulated[] = "hopper blackwell";  // FP8 mma.sync through FP16

inline constexpr char kBf16[] = "mma.sync.m16n8k16.bf16.f32 wgmma.m64n8k16.bf16.f32";
inline constexpr char kTf32[] = "mma.sync.m16n8k8.tf32.f32 wgmma.m64n8k8.tf32.f32";
inline constexpr char kTf32AndWmma[] =
    "mma.sync.m16n8k8.tf32.f32 wgmma.m64n8k8.tf32.f32 wmma.m16n16k8.tf32.f32";
inline constexpr char kF16[] = "mma.sync.m16n8k16.f16.f32 wgmma.m64n8k16.f16.f32";
inline constexpr char kF16ToF16[] = "mma.sync.m16n8k16.f16.f16 wgmma.m64n8k16.f16.f16";
inline constexpr char kWgmmaE4m3[] = "wgmma.m64n8k32.e4m3.f32";
inline constexpr char kWgmmaE5m2[] = "wgmma.m64n8k32.e5m2.f32";
inline constexpr char kE4m3[] = "mma.sync.m16n8k32.e4m3.f32 wgmma.m64n8k32.e4m3.f32";
inline constexpr char kE5m2[] = "mma.sync.m16n8k32.e5m2.f32 wgmma.m64n8k32.e5m2.f32";

// Runs of zero codes.
#define LOSTBITS_Z3 "0 0 0 "
#define LOSTBITS_Z7 LOSTBITS_Z3 "0 " LOSTBITS_Z3
#define LOSTBITS_Z15 LOSTBITS_Z7 "0 " LOSTBITS_Z7

}  // namespace lostbits::gpu::probe

#endif  // LOSTBITS_CUDA_PROBE_UNITS_H_
