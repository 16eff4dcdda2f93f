// The machine table: what each matrix unit does to a sum, each row with its evidence.
//
// A line of kFamilies serves one or more pairs of operand formats; kArchTable has one row a pair.
// To add a machine, add a line. Abbreviated sources: kSources of sim/evidence.h.
#ifndef LOSTBITS_SIM_ARCH_TABLE_H_
#define LOSTBITS_SIM_ARCH_TABLE_H_

#include <array>
#include <cstddef>
#include <span>

#include "sim/arch.h"

namespace lostbits::sim {

/// Formats of a and b, and how a machine's name spells them.
struct OperandPair {
  fp8::Format a, b;
  const char* name;
};

/// One line of the table.
struct ArchFamily {
  const char* arch;
  const char* instruction;
  std::span<const OperandPair> pairs;
  AccumSpec spec;  ///< a and b are filled in from the pairs
  Evidence evidence;
};

namespace table {

using fp8::kBF16, fp8::kE4M3FN, fp8::kE5M2, fp8::kE2M1, fp8::kE2M3, fp8::kE3M2, fp8::kE4M3FNUZ,
    fp8::kE5M2FNUZ, fp8::kE8M0, fp8::kFP16, fp8::kFP32, fp8::kFP64, fp8::kTF32, fp8::Rounding;

inline constexpr OperandPair kF64In[] = {{kFP64, kFP64, "f64"}};
inline constexpr OperandPair kF32In[] = {{kFP32, kFP32, "f32"}};
inline constexpr OperandPair kTf32In[] = {{kTF32, kTF32, "tf32"}};
inline constexpr OperandPair kBf16In[] = {{kBF16, kBF16, "bf16"}};
inline constexpr OperandPair kF16In[] = {{kFP16, kFP16, "f16"}};
inline constexpr OperandPair kF16Bf16In[] = {{kFP16, kFP16, "f16"}, {kBF16, kBF16, "bf16"}};
inline constexpr OperandPair kFp8In[] = {{kE4M3FN, kE4M3FN, "e4m3"}, {kE5M2, kE5M2, "e5m2"}};
inline constexpr OperandPair kFp8MixedIn[] = {{kE4M3FN, kE5M2, "e4m3.e5m2"},
                                              {kE5M2, kE4M3FN, "e5m2.e4m3"}};
inline constexpr OperandPair kFp8AnyIn[] = {{kE4M3FN, kE4M3FN, "e4m3"},
                                            {kE5M2, kE5M2, "e5m2"},
                                            {kE4M3FN, kE5M2, "e4m3.e5m2"},
                                            {kE5M2, kE4M3FN, "e5m2.e4m3"}};
inline constexpr OperandPair kE2m1In[] = {{kE2M1, kE2M1, "e2m1"}};
inline constexpr OperandPair kFnuzIn[] = {{kE4M3FNUZ, kE4M3FNUZ, "e4m3fnuz"},
                                          {kE5M2FNUZ, kE5M2FNUZ, "e5m2fnuz"},
                                          {kE4M3FNUZ, kE5M2FNUZ, "e4m3fnuz.e5m2fnuz"},
                                          {kE5M2FNUZ, kE4M3FNUZ, "e5m2fnuz.e4m3fnuz"}};
// PTX ISA, kind::f8f6f4 and kind::mxf8f6f4: any two of the five.
// clang-format off
inline constexpr OperandPair kF8f6f4In[] = {
    {kE4M3FN, kE4M3FN, "e4m3"}, {kE5M2, kE5M2, "e5m2"},
    {kE3M2, kE3M2, "e3m2"}, {kE2M3, kE2M3, "e2m3"}, {kE2M1, kE2M1, "e2m1"},
    {kE4M3FN, kE5M2, "e4m3.e5m2"}, {kE5M2, kE4M3FN, "e5m2.e4m3"},
    {kE4M3FN, kE3M2, "e4m3.e3m2"}, {kE3M2, kE4M3FN, "e3m2.e4m3"},
    {kE4M3FN, kE2M3, "e4m3.e2m3"}, {kE2M3, kE4M3FN, "e2m3.e4m3"},
    {kE4M3FN, kE2M1, "e4m3.e2m1"}, {kE2M1, kE4M3FN, "e2m1.e4m3"},
    {kE5M2, kE3M2, "e5m2.e3m2"}, {kE3M2, kE5M2, "e3m2.e5m2"},
    {kE5M2, kE2M3, "e5m2.e2m3"}, {kE2M3, kE5M2, "e2m3.e5m2"},
    {kE5M2, kE2M1, "e5m2.e2m1"}, {kE2M1, kE5M2, "e2m1.e5m2"},
    {kE3M2, kE2M3, "e3m2.e2m3"}, {kE2M3, kE3M2, "e2m3.e3m2"},
    {kE3M2, kE2M1, "e3m2.e2m1"}, {kE2M1, kE3M2, "e2m1.e3m2"},
    {kE2M3, kE2M1, "e2m3.e2m1"}, {kE2M1, kE2M3, "e2m1.e2m3"}};
// clang-format on

// How a group's result is rounded (numerics: RZ_FP32, RZ_E8M13, RNE_FP16).
constexpr AccumSpec Fp32(int group, int f, int e_zero, int k, Flow flow = Flow::kChained) {
  return {{}, {}, kFP32, kFP32, Rounding::kTowardZero, group, f, e_zero, k, flow};
}
constexpr AccumSpec Fp22(int group, int f, int e_zero, int k) {
  return {{}, {}, kFP32, kE8M13, Rounding::kTowardZero, group, f, e_zero, k};
}
constexpr AccumSpec Fp16(int group, int f, int e_zero, int k, Flow flow = Flow::kChained) {
  return {{}, {}, kFP16, kFP16, Rounding::kNearestEven, group, f, e_zero, k, flow};
}
// Block-scaled (numerics section 7): ST-FDPA, scales of 32 added to each product's exponent; and
// GST-FDPA, exact dots of 16 aligned by their scales.
constexpr AccumSpec Mx(fp8::Format scale, int block) {
  AccumSpec s = Fp32(32, 25, -133, 32);
  s.scale = scale;
  s.block = block;
  return s;
}
constexpr AccumSpec Fp4(fp8::Format scale, int block) {
  AccumSpec s = Fp32(64, 35, -139, 64, Flow::kBlockDot);
  s.scale = scale;
  s.block = block;
  return s;
}
// A group added exactly and rounded once to nearest even; group 1 is a chain of fma. No alignment,
// so no F and no clamp. Here and below an underflow keeps its sign, as IEEE 754 has it.
constexpr AccumSpec Exact(fp8::Format acc, int group, int k) {
  AccumSpec s{{}, {}, acc, acc, Rounding::kNearestEven, group, 0, 0, k, Flow::kExact};
  s.signed_underflow = true;
  return s;
}
// AMD (numerics section 6): FTZ-AddMul, and TR-FDPA and GTR-FDPA.
constexpr AccumSpec FlushedTree(int group, int k) {
  AccumSpec s{{}, {}, kFP32, kFP32, Rounding::kNearestEven, group, 0, 0, k, Flow::kTree};
  s.signed_underflow = s.flush = true;
  return s;
}
constexpr AccumSpec LateFloor(int group, int k, Flow flow = Flow::kLateFloor) {
  AccumSpec s{{}, {}, kFP32, kFP32, Rounding::kNearestEven, group, 24, -126, k, flow};
  s.signed_underflow = true;
  s.sum_bits = 32;
  s.final_bits = 31;
  return s;
}

constexpr Evidence Rests(EvidenceLevel level, int vectors, const char* gpus, const char* source,
                         unsigned gaps) {
  return Evidence{level, vectors, gpus, source, static_cast<uint16_t>(gaps), {}, ""};
}
constexpr Evidence Replayed(int vectors, const char* gpus, const char* source, unsigned gaps) {
  return Rests(EvidenceLevel::kHardware, vectors, gpus, source, gaps | kNoSpecials);
}
constexpr Evidence Published(const char* source, unsigned gaps = 0) {
  return Rests(EvidenceLevel::kPublished, 0, "", source, gaps | kFromModels);
}
constexpr Evidence Assumed(const char* source, unsigned gaps = 0) {
  return Rests(EvidenceLevel::kAssumed, 0, "", source, gaps | kFromModels);
}

inline constexpr Flow kLate = Flow::kInterleavedLateC;
inline constexpr Dispute kD1 = Dispute::kClampFp32, kD2 = Dispute::kClampFp16,
                         kS8 = Dispute::kUnderflow, kD4 = Dispute::kLateBits,
                         kD5 = Dispute::kPairwise, kD6 = Dispute::kWmmaTf32,
                         kD8 = Dispute::kBlockClamp;
inline constexpr char kMinusZero[] = "underflow=signed";
inline constexpr unsigned kAmdGaps = kNanBits | kZeroSign;

// clang-format off
inline constexpr ArchFamily kFamilies[] = {
    //  arch, instruction, operands, result(L, F, e_zero, k), evidence
    // Volta: wmma and mma.sync.m8n8k4.
    {"volta", "mma.sync", kF16In, Fp32(4, 23, -131, 4),
     Replayed(5000, "V100", "VEC", kThroughWmma | kGroupFromBelow)},
    {"volta", "mma.sync", kF16In, Fp16(4, 23, -19, 4),
     Replayed(5000, "V100", "VEC", kThroughWmma | kGroupFromBelow | kFractionRange)
         .Disputed(kD2, "e_zero=-20").Disputed(kS8, kMinusZero)},
    // Turing: m16n8k8, and Volta's m8n8k4 as it is on Volta.
    {"turing", "mma.sync", kF16In, Fp32(8, 24, -132, 8),
     Published("MM2")},
    {"turing", "mma.sync", kF16In, Fp16(8, 24, -20, 8),
     Published("MM2").Disputed(kD2, "e_zero=-21").Disputed(kS8, kMinusZero)},
    {"turing", "mma.sync.m8n8k4", kF16In, Fp32(4, 23, -131, 4),
     Published("MM2")},
    {"turing", "mma.sync.m8n8k4", kF16In, Fp16(4, 23, -19, 4),
     Published("MM2").Disputed(kD2, "e_zero=-20").Disputed(kS8, kMinusZero)},
    // Ampere: m16n8k8 and m16n8k16 (two chained groups).
    {"ampere", "mma.sync", kF64In, Exact(kFP64, 1, 4),
     Published("MM1, MM2", kNanBits)},
    {"ampere", "mma.sync", kF16In, Fp32(8, 24, -132, 16),
     Replayed(10000, "A100, A2", "VEC", kThroughWmma | kGroupFromBelow)},
    {"ampere", "mma.sync", kF16In, Fp16(8, 24, -20, 16),
     Replayed(10000, "A100, A2", "VEC", kThroughWmma | kGroupFromBelow | kFractionRange)
         .Disputed(kD2, "e_zero=-21").Disputed(kS8, kMinusZero)},
    {"ampere", "mma.sync", kBf16In, Fp32(8, 24, -132, 16),
     Replayed(10000, "A100, A2", "VEC", kThroughWmma | kGroupFromBelow)
         .Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"ampere", "mma.sync", kTf32In, Fp32(4, 24, -132, 8),
     Replayed(10000, "A100, A2", "VEC", kThroughWmma | kGroupFromBelow)
         .Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    // Ada: as Ampere, plus the first FP8 unit (QMMA): two chained halves of 16. The L40S files of
    // VEC are copies of the RTX 1000's and not counted.
    {"ada", "mma.sync", kF64In, Exact(kFP64, 1, 4),
     Published("MM2", kNanBits)},
    {"ada", "mma.sync", kF16In, Fp32(8, 24, -132, 16),
     Replayed(5000, "RTX 1000 Ada", "VEC", kThroughWmma | kGroupFromBelow)},
    {"ada", "mma.sync", kF16In, Fp16(8, 24, -20, 16),
     Replayed(5000, "RTX 1000 Ada", "VEC", kThroughWmma | kGroupFromBelow | kFractionRange)
         .Disputed(kD2, "e_zero=-21").Disputed(kS8, kMinusZero)},
    {"ada", "mma.sync", kBf16In, Fp32(8, 24, -132, 16),
     Replayed(5000, "RTX 1000 Ada", "VEC", kThroughWmma | kGroupFromBelow)
         .Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"ada", "mma.sync", kTf32In, Fp32(4, 24, -132, 8),
     Replayed(5000, "RTX 1000 Ada", "VEC", kThroughWmma | kGroupFromBelow)
         .Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"ada", "mma.sync", kFp8In, Fp22(16, 13, -132, 32),
     Replayed(5000, "RTX 1000 Ada", "VEC; also EMU", 0)},
    {"ada", "mma.sync", kFp8MixedIn, Fp22(16, 13, -132, 32),
     Published("MM2, EMU")},
    {"ada", "mma.sync", kFp8In, Fp16(16, 13, -20, 32),
     Replayed(5000, "RTX 1000 Ada", "VEC", 0)
         .Disputed(kS8, kMinusZero)},
    {"ada", "mma.sync", kFp8MixedIn, Fp16(16, 13, -20, 32),
     Published("MM2").Disputed(kS8, kMinusZero)},
    // Hopper wmma and mma.sync.
    {"hopper", "mma.sync", kF64In, Exact(kFP64, 1, 16),
     Published("MM1, MM2", kNanBits)},
    {"hopper", "mma.sync", kF16In, Fp32(16, 25, -133, 16),
     Replayed(10000, "H100, H200", "VEC", kThroughWmma)},
    {"hopper", "mma.sync", kF16In, Fp16(16, 25, -21, 16),
     Replayed(10000, "H100, H200", "VEC", kThroughWmma | kFractionRange)
         .Disputed(kD2, "e_zero=-22").Disputed(kS8, kMinusZero)},
    {"hopper", "mma.sync", kBf16In, Fp32(16, 25, -133, 16),
     Replayed(10000, "H100, H200", "VEC", kThroughWmma)
         .Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"hopper", "mma.sync", kTf32In, Fp32(8, 25, -133, 8),
     Published("MM2, KM").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"hopper", "wmma", kTf32In, Fp32(4, 25, -133, 8),
     Replayed(10000, "H100, H200", "VEC", kGroupFromBelow)
         .Disputed(kD6, "group=8").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    // Hopper mma.sync FP8 is emulated through FP16 (CUT).
    {"hopper", "mma.sync", kFp8In, Fp16(16, 25, -21, 32, kLate),
     Replayed(10000, "H100, H200", "VEC", kLowering)
         .Disputed(kS8, kMinusZero)},
    {"hopper", "mma.sync", kFp8MixedIn, Fp16(16, 25, -21, 32, kLate),
     Assumed("from the unmixed rows", kLowering)
         .Disputed(kS8, kMinusZero)},
    {"hopper", "mma.sync", kFp8AnyIn, Fp32(16, 25, -133, 32, kLate),
     Assumed("from B200's rows and CUT", kInterleave | kLowering)},
    // Hopper wgmma: FP16, BF16, TF32, and the native FP8 unit (QGMMA), m64nNk32. The H200 files of
    // VEC for FP8 are copies of the H100's and not counted.
    {"hopper", "wgmma", kF16In, Fp32(16, 25, -133, 16),
     Published("MM1, MM2")},
    {"hopper", "wgmma", kF16In, Fp16(16, 25, -21, 16),
     Published("MM2").Disputed(kD2, "e_zero=-133").Disputed(kS8, kMinusZero)},
    {"hopper", "wgmma", kBf16In, Fp32(16, 25, -133, 16),
     Published("MM1, MM2").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"hopper", "wgmma", kTf32In, Fp32(8, 25, -133, 8),
     Published("MM1, MM2").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"hopper", "wgmma", kFp8In, Fp22(32, 13, -133, 32),
     Replayed(5000, "H100", "VEC", kZeroC)
         .Note("c != 0: MM1, MM2 and SAGE; EMU for e4m3 (cuBLASLt on an H100 PCIe)")},
    {"hopper", "wgmma", kFp8MixedIn, Fp22(32, 13, -133, 32),
     Published("MM1, MM2")},
    {"hopper", "wgmma", kFp8AnyIn, Fp16(32, 13, -21, 32),
     Published("MM2").Disputed(kS8, kMinusZero)},
    // Blackwell, datacentre (sm_100): mma.sync as on Hopper, tcgen05 native.
    {"blackwell", "mma.sync", kF64In, Exact(kFP64, 1, 4),
     Published("MM1, MM2", kNanBits)},
    {"blackwell", "mma.sync", kF16In, Fp32(16, 25, -133, 16),
     Replayed(5000, "B200", "VEC", kThroughWmma)},
    {"blackwell", "mma.sync", kF16In, Fp16(16, 25, -21, 16),
     Replayed(5000, "B200", "VEC", kThroughWmma | kFractionRange)
         .Disputed(kD2, "e_zero=-22").Disputed(kS8, kMinusZero)},
    {"blackwell", "mma.sync", kBf16In, Fp32(16, 25, -133, 16),
     Replayed(5000, "B200", "VEC", kThroughWmma)
         .Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "mma.sync", kTf32In, Fp32(8, 25, -133, 8),
     Published("MM2").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "wmma", kTf32In, Fp32(4, 25, -133, 8),
     Replayed(5000, "B200", "VEC", kGroupFromBelow)
         .Disputed(kD6, "group=8").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "mma.sync", kFp8In, Fp32(16, 25, -133, 32, kLate),
     Replayed(5000, "B200", "VEC", kInterleave | kLowering)},
    {"blackwell", "mma.sync", kFp8In, Fp16(16, 25, -21, 32, kLate),
     Replayed(5000, "B200", "VEC", kLowering)
         .Disputed(kS8, kMinusZero)},
    {"blackwell", "mma.sync", kFp8MixedIn, Fp32(16, 25, -133, 32, kLate),
     Assumed("from the unmixed rows", kInterleave | kLowering)},
    {"blackwell", "mma.sync", kFp8MixedIn, Fp16(16, 25, -21, 32, kLate),
     Assumed("from the unmixed rows", kLowering)
         .Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05", kF16In, Fp32(16, 25, -133, 16),
     Published("MM1, MM2")},
    {"blackwell", "tcgen05", kF16In, Fp16(16, 25, -21, 16),
     Published("MM2").Disputed(kD2, "e_zero=-133").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05", kBf16In, Fp32(16, 25, -133, 16),
     Published("MM1, MM2").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05", kTf32In, Fp32(8, 25, -133, 8),
     Published("MM1, MM2").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05", kF8f6f4In, Fp32(32, 25, -133, 32),
     Published("MM2; FP8 and FP4 also MM1")},
    {"blackwell", "tcgen05", kF8f6f4In, Fp16(32, 25, -21, 32),
     Published("MM2; FP8 and FP4 also MM1").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05.mxf8f6f4", kF8f6f4In, Mx(kE8M0, 32),
     Published("MM2; FP8 and FP4 also MM1").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05.mxf4", kE2m1In, Fp4(kE8M0, 32),
     Published("MM1, MM2").Disputed(kD8, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05.mxf4nvf4", kE2m1In, Fp4(kE8M0, 32),
     Published("MM1, MM2").Disputed(kD8, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05.mxf4nvf4", kE2m1In, Fp4(kE8M0, 16),
     Published("MM1, MM2").Disputed(kD8, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"blackwell", "tcgen05.mxf4nvf4", kE2m1In, Fp4(kE4M3FN, 16),
     Published("MM1, MM2")},
    // Blackwell, RTX (sm_120): mma.sync with a native f8f6f4 unit.
    {"rtx_blackwell", "mma.sync", kF64In, Exact(kFP64, 1, 4),
     Published("MM2", kNanBits)},
    {"rtx_blackwell", "mma.sync", kF16In, Fp32(16, 25, -133, 16),
     Published("MM2, KM")},
    {"rtx_blackwell", "mma.sync", kF16In, Fp16(16, 25, -21, 16),
     Published("MM2, KM").Disputed(kD2, "e_zero=-22").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync", kBf16In, Fp32(16, 25, -133, 16),
     Published("MM2, KM").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync", kTf32In, Fp32(8, 25, -133, 8),
     Published("MM2, KM").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync", kF8f6f4In, Fp32(32, 25, -133, 32),
     Published("MM2; FP8 and FP4 also MM1")},
    {"rtx_blackwell", "mma.sync", kF8f6f4In, Fp16(32, 25, -21, 32),
     Published("MM2; FP8 and FP4 also MM1").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync.mxf8f6f4", kF8f6f4In, Mx(kE8M0, 32),
     Published("MM2; FP8 and FP4 also MM1").Disputed(kD1, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync.mxf4", kE2m1In, Fp4(kE8M0, 32),
     Published("MM1, MM2").Disputed(kD8, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync.mxf4nvf4", kE2m1In, Fp4(kE8M0, 32),
     Published("MM1, MM2").Disputed(kD8, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync.mxf4nvf4", kE2m1In, Fp4(kE8M0, 16),
     Published("MM1, MM2").Disputed(kD8, "e_zero=-126").Disputed(kS8, kMinusZero)},
    {"rtx_blackwell", "mma.sync.mxf4nvf4", kE2m1In, Fp4(kE4M3FN, 16),
     Published("MM1, MM2")},
    // AMD CDNA1 (gfx908): v_mfma_f32_*.
    {"cdna1", "mfma", kF32In, Exact(kFP32, 1, 4),
     Published("MM1, MM2", kAmdGaps)},
    {"cdna1", "mfma", kF16In, Exact(kFP32, 4, 16),
     Published("MM2, MAT", kAmdGaps).Disputed(kD5, "flow=tree")},
    {"cdna1", "mfma", kBf16In, Exact(kFP32, 2, 8),
     Published("MM2, MAT", kAmdGaps).Disputed(kD5, "flow=tree")},
    // AMD CDNA2 (gfx90a). bf16 without and with the suffix _1k.
    {"cdna2", "mfma", kF64In, Exact(kFP64, 1, 4),
     Published("MM1, MM2", kAmdGaps)},
    {"cdna2", "mfma", kF32In, Exact(kFP32, 1, 4),
     Published("MM1, MM2", kAmdGaps)},
    {"cdna2", "mfma", kF16In, FlushedTree(4, 16),
     Published("MM1, MM2, MAT", kAmdGaps)},
    {"cdna2", "mfma", kBf16In, FlushedTree(2, 8),
     Published("MM1, MM2", kAmdGaps)},
    {"cdna2", "mfma_1k", kBf16In, FlushedTree(4, 16),
     Published("MM1, MM2, MAT", kAmdGaps)},
    // AMD CDNA3 (gfx942). tf32 is xf32 there; FP8 is the FNUZ kind.
    {"cdna3", "mfma", kF64In, Exact(kFP64, 1, 4),
     Published("MM1, MM2", kAmdGaps)},
    {"cdna3", "mfma", kF32In, Exact(kFP32, 1, 4),
     Published("MM1, MM2", kAmdGaps)},
    {"cdna3", "mfma", kTf32In, LateFloor(4, 8),
     Published("MM2", kAmdGaps).Disputed(kD4, "sum_bits=31,final_bits=0")},
    {"cdna3", "mfma", kF16Bf16In, LateFloor(8, 16),
     Published("MM2", kAmdGaps).Disputed(kD4, "sum_bits=31,final_bits=0")},
    {"cdna3", "mfma", kFnuzIn, LateFloor(16, 32, Flow::kLateFloorPairs),
     Published("MM2", kAmdGaps).Disputed(kD4, "sum_bits=31,final_bits=0")
         .Note("an Inf or NaN c beside products of 2^25: kept here and in MM1, lost in MM2")},
};
// clang-format on

constexpr size_t RowCount(std::span<const ArchFamily> families) {
  size_t rows = 0;
  for (const ArchFamily& family : families) rows += family.pairs.size();
  return rows;
}

constexpr const char* OutName(fp8::Format acc) {
  return acc == kFP64 ? "f64" : acc == kFP16 ? "f16" : "f32";
}
constexpr const char* ScaleName(const AccumSpec& s) {
  if (s.block == 0) return "";
  if (s.scale == kE4M3FN) return s.block == 32 ? "ue4m3/32" : "ue4m3/16";
  return s.block == 32 ? "ue8m0/32" : "ue8m0/16";
}

/// Whether a nonzero sum can round to zero: not if every product and every c is a multiple of the
/// smallest number of acc, for then so is every sum of them, cut or not.
constexpr bool CanUnderflow(const AccumSpec& s) {
  const auto last_bit = [](fp8::Format f) { return fp8::MinExponent(f) - f.mantissa_bits; };
  const int product = last_bit(s.a) + last_bit(s.b) + (s.block == 0 ? 0 : 2 * last_bit(s.scale));
  return product < last_bit(s.acc);
}

/// The rows of some lines, in order. kCount is RowCount(families).
template <size_t kCount>
constexpr std::array<ArchRow, kCount> Rows(std::span<const ArchFamily> families) {
  std::array<ArchRow, kCount> rows{};
  size_t next = 0;
  int number = 0;
  for (const ArchFamily& f : families) {
    for (const OperandPair& pair : f.pairs) {
      AccumSpec spec = f.spec;
      spec.a = pair.a;
      spec.b = pair.b;
      const Evidence evidence =
          CanUnderflow(spec) ? f.evidence : f.evidence.Without(Dispute::kUnderflow);
      rows[next++] = {f.arch, f.instruction, pair.name, ScaleName(spec), OutName(spec.acc),
                      spec,   evidence,      number};
    }
    ++number;
  }
  return rows;
}

}  // namespace table

inline constexpr std::span<const ArchFamily> kFamilies = table::kFamilies;
inline constexpr auto kArchTable = table::Rows<table::RowCount(kFamilies)>(kFamilies);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ARCH_TABLE_H_
