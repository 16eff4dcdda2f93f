// The machine table: what each matrix unit does to a sum, as data, each row with its evidence.
//
// A row is keyed by (architecture, instruction, input types, output type), never by architecture
// alone: FP8 on an H100 is three different functions. To add a machine, add a row.
//
// Abbreviated sources:
//   VEC   hardware outputs published in north-numerical-computing/MATLAB-tensor-core,
//         model_validation/, commit b12b5a7 (BSD-2), 48 sets of 5,000 rows. The counts below were
//         reached on all of them by the integer reference that this table was written from; this
//         code replays the sets that are at hand (`lostbits verify DIR`).
//   MM1   microsoft/MMA-Sim, commit c785138;  MM2  its newer line, PyPI mmasim 2.x
//   MAT   MATLAB-tensor-core's own models;    KM   Khattak and Mikaitis, arXiv 2512.07004
//   SAGE  SageAttention2 as quoted in thu-ml/SageAttention issue 287
//   CUT   NVIDIA's answer in NVIDIA/cutlass issue 1986
#ifndef LOSTBITS_SIM_ARCH_H_
#define LOSTBITS_SIM_ARCH_H_

#include <cstddef>
#include <cstdint>

#include "fp8/format.h"
#include "fp8/rounding.h"

namespace lostbits::sim {

/// A binary32 register of which only 13 fraction bits are written ("FP22": the accumulator that FP8
/// units of Ada and Hopper hand on). Low 10 bits are zero.
inline constexpr fp8::Format kE8M13{8, 13, 127, fp8::Specials::kIeee, 10};

/// How the products of one instruction are gathered into fused groups.
enum class Flow : uint8_t {
  kChained,           ///< groups over increasing k; c enters the first, each result the next
  kInterleavedLateC,  ///< FP8 mma.sync where it is emulated through FP16: k%4 in {0,1}, then {2,3},
                      ///< chained from zero; c is added last, round to nearest even
};

/// Everything that decides the bits of one instruction's sums.
struct AccumSpec {
  fp8::Format a, b;        ///< operand formats
  fp8::Format acc;         ///< register format of c and d: FP32 or FP16
  fp8::Format out;         ///< precision a group's result is rounded to: FP32, E8M13 or FP16
  fp8::Rounding rounding;  ///< of a group's result (overflow always gives Inf)
  int group;               ///< L: products aligned together
  int fraction_bits;       ///< F: bits kept below the group's largest exponent
  int e_zero;              ///< the largest exponent never counts as less than this
  int k;                   ///< products of one instruction
  Flow flow = Flow::kChained;

  constexpr bool operator==(const AccumSpec&) const = default;
};

enum class Evidence : uint8_t {
  kHardware,   ///< recorded hardware outputs replayed, all equal
  kPublished,  ///< read in at least one published model, not replayed
  kAssumed,    ///< inferred from a neighbouring row; tools ask for --allow-unverified
};

/// One row of the table. in: "e4m3", or "e4m3.e5m2" for mixed operands.
struct ArchRow {
  const char* arch;
  const char* instruction;
  const char* in;
  const char* out;
  AccumSpec spec;
  Evidence evidence;
  const char* proof;  ///< how much was replayed on which GPU, or which model says so
  const char* open;   ///< what the evidence does not pin; "" if nothing known
};

namespace detail {

// The three ways a group's result is rounded (numerics: RZ_FP32, RZ_E8M13, RNE_FP16).
constexpr AccumSpec Fp32(fp8::Format a, fp8::Format b, int group, int f, int e_zero, int k,
                         Flow flow = Flow::kChained) {
  return {a, b, fp8::kFP32, fp8::kFP32, fp8::Rounding::kTowardZero, group, f, e_zero, k, flow};
}
constexpr AccumSpec Fp22(fp8::Format a, fp8::Format b, int group, int f, int e_zero, int k) {
  return {a, b, fp8::kFP32, kE8M13, fp8::Rounding::kTowardZero, group, f, e_zero, k};
}
constexpr AccumSpec Fp16(fp8::Format a, fp8::Format b, int group, int f, int e_zero, int k,
                         Flow flow = Flow::kChained) {
  return {a, b, fp8::kFP16, fp8::kFP16, fp8::Rounding::kNearestEven, group, f, e_zero, k, flow};
}

inline constexpr fp8::Format kA = fp8::kE4M3FN, kB = fp8::kE5M2;  // the two FP8 operand formats
inline constexpr Flow kLate = Flow::kInterleavedLateC;

}  // namespace detail

// clang-format off
inline constexpr ArchRow kArchTable[] = {
  //  arch        instruction  in       out             a             b         L   F  e_zero  k
  // Volta: wmma and mma.sync.m8n8k4.
  {"volta",     "mma.sync", "f16",  "f32", detail::Fp32(fp8::kFP16, fp8::kFP16,  4, 23, -131,  4),
   Evidence::kHardware, "VEC V100 5000/5000 rows (wmma)", "L from below only (4 of 16 products used)"},
  {"volta",     "mma.sync", "f16",  "f16", detail::Fp16(fp8::kFP16, fp8::kFP16,  4, 23,  -20,  4),
   Evidence::kHardware, "VEC V100 5000/5000 rows (wmma)", "F >= 22; e_zero disputed: -20 (MM2), -19 (MAT)"},
  // Ampere: m16n8k8 and m16n8k16 (two chained groups).
  {"ampere",    "mma.sync", "f16",  "f32", detail::Fp32(fp8::kFP16, fp8::kFP16,  8, 24, -132, 16),
   Evidence::kHardware, "VEC A100 and A2, 10000/10000 rows (wmma)", "L from below only (8 of 16 products used)"},
  {"ampere",    "mma.sync", "f16",  "f16", detail::Fp16(fp8::kFP16, fp8::kFP16,  8, 24,  -21, 16),
   Evidence::kHardware, "VEC A100 and A2, 10000/10000 rows (wmma)", "F >= 24; e_zero disputed: -21 (MM2), -20 (MAT)"},
  {"ampere",    "mma.sync", "bf16", "f32", detail::Fp32(fp8::kBF16, fp8::kBF16,  8, 24, -132, 16),
   Evidence::kHardware, "VEC A100 and A2, 10000/10000 rows (wmma)", "L from below only; e_zero from MM2"},
  {"ampere",    "mma.sync", "tf32", "f32", detail::Fp32(fp8::kTF32, fp8::kTF32,  4, 24, -132,  8),
   Evidence::kHardware, "VEC A100 and A2, 10000/10000 rows (wmma)", "L from below only (4 of 8 products used)"},
  // Ada: as Ampere, plus the first FP8 unit (QMMA): two chained halves of 16.
  {"ada",       "mma.sync", "f16",  "f32", detail::Fp32(fp8::kFP16, fp8::kFP16,  8, 24, -132, 16),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows (wmma)", "L from below only (8 of 16 products used)"},
  {"ada",       "mma.sync", "f16",  "f16", detail::Fp16(fp8::kFP16, fp8::kFP16,  8, 24,  -21, 16),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows (wmma)", "F >= 24; e_zero disputed: -21 (MM2), -20 (MAT)"},
  {"ada",       "mma.sync", "bf16", "f32", detail::Fp32(fp8::kBF16, fp8::kBF16,  8, 24, -132, 16),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows (wmma)", "L from below only; e_zero from MM2"},
  {"ada",       "mma.sync", "tf32", "f32", detail::Fp32(fp8::kTF32, fp8::kTF32,  4, 24, -132,  8),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows (wmma)", "L from below only (4 of 8 products used)"},
  {"ada",       "mma.sync", "e4m3", "f32", detail::Fp22(detail::kA, detail::kA, 16, 13, -132, 32),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows", "specials from MM1, MM2"},
  {"ada",       "mma.sync", "e5m2", "f32", detail::Fp22(detail::kB, detail::kB, 16, 13, -132, 32),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows", "specials from MM1, MM2"},
  {"ada",       "mma.sync", "e4m3", "f16", detail::Fp16(detail::kA, detail::kA, 16, 13,  -21, 32),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows", "e_zero from MM2"},
  {"ada",       "mma.sync", "e5m2", "f16", detail::Fp16(detail::kB, detail::kB, 16, 13,  -21, 32),
   Evidence::kHardware, "VEC Ada RTX-1000 5000/5000 rows", "e_zero from MM2"},
  // Hopper wmma and mma.sync.
  {"hopper",    "mma.sync", "f16",  "f32", detail::Fp32(fp8::kFP16, fp8::kFP16, 16, 25, -133, 16),
   Evidence::kHardware, "VEC H100 and H200, 10000/10000 rows (wmma)", "specials from MM1, MM2"},
  {"hopper",    "mma.sync", "f16",  "f16", detail::Fp16(fp8::kFP16, fp8::kFP16, 16, 25,  -22, 16),
   Evidence::kHardware, "VEC H100 and H200, 10000/10000 rows (wmma)", "F is 24 or 25; e_zero disputed: -22 (MM2), -21 (MAT)"},
  {"hopper",    "mma.sync", "bf16", "f32", detail::Fp32(fp8::kBF16, fp8::kBF16, 16, 25, -133, 16),
   Evidence::kHardware, "VEC H100 and H200, 10000/10000 rows (wmma)", "e_zero disputed: -133 (MM2, MAT), -126 (MM1)"},
  {"hopper",    "mma.sync", "tf32", "f32", detail::Fp32(fp8::kTF32, fp8::kTF32,  8, 25, -133,  8),
   Evidence::kPublished, "MM2, KM", "no rows: the published ones come from wmma"},
  {"hopper",    "wmma",     "tf32", "f32", detail::Fp32(fp8::kTF32, fp8::kTF32,  4, 25, -133,  8),
   Evidence::kHardware, "VEC H100 and H200, 10000/10000 rows", "L disputed: 4 (KM), 8 (MAT); the rows use 4 of 8 products"},
  // Hopper mma.sync FP8 is emulated through FP16 (CUT).
  {"hopper",    "mma.sync", "e4m3", "f16", detail::Fp16(detail::kA, detail::kA, 16, 25,  -22, 32, detail::kLate),
   Evidence::kHardware, "VEC H100 and H200, 10000/10000 rows", "the lowering is ptxas's and may change with the toolkit"},
  {"hopper",    "mma.sync", "e5m2", "f16", detail::Fp16(detail::kB, detail::kB, 16, 25,  -22, 32, detail::kLate),
   Evidence::kHardware, "VEC H100 and H200, 10000/10000 rows", "the lowering is ptxas's and may change with the toolkit"},
  {"hopper",    "mma.sync", "e4m3", "f32", detail::Fp32(detail::kA, detail::kA, 16, 25, -133, 32, detail::kLate),
   Evidence::kAssumed,  "inferred from B200 rows and CUT", "no H100 rows; the interleave of k is assumed"},
  {"hopper",    "mma.sync", "e5m2", "f32", detail::Fp32(detail::kB, detail::kB, 16, 25, -133, 32, detail::kLate),
   Evidence::kAssumed,  "inferred from B200 rows and CUT", "no H100 rows; the interleave of k is assumed"},
  // Hopper wgmma: FP16, BF16, TF32, and the native FP8 unit (QGMMA), m64nNk32.
  {"hopper",    "wgmma",    "f16",  "f32", detail::Fp32(fp8::kFP16, fp8::kFP16, 16, 25, -133, 16),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"hopper",    "wgmma",    "f16",  "f16", detail::Fp16(fp8::kFP16, fp8::kFP16, 16, 25, -133, 16),
   Evidence::kPublished, "MM2", "no rows; e_zero differs from mma.sync (-22)"},
  {"hopper",    "wgmma",    "bf16", "f32", detail::Fp32(fp8::kBF16, fp8::kBF16, 16, 25, -133, 16),
   Evidence::kPublished, "MM1, MM2", "no rows; e_zero disputed: -133 (MM2), -126 (MM1)"},
  {"hopper",    "wgmma",    "tf32", "f32", detail::Fp32(fp8::kTF32, fp8::kTF32,  8, 25, -133,  8),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"hopper",    "wgmma",    "e4m3", "f32", detail::Fp22(detail::kA, detail::kA, 32, 13, -133, 32),
   Evidence::kHardware, "VEC H100, 5000/5000 rows, c = 0 (H200's files are the same)", "c != 0 from MM1, MM2, SAGE; specials from MM1, MM2"},
  {"hopper",    "wgmma",    "e5m2", "f32", detail::Fp22(detail::kB, detail::kB, 32, 13, -133, 32),
   Evidence::kHardware, "VEC H100, 5000/5000 rows, c = 0 (H200's files are the same)", "c != 0 from MM1, MM2, SAGE; specials from MM1, MM2"},
  {"hopper",    "wgmma", "e4m3.e5m2", "f32", detail::Fp22(detail::kA, detail::kB, 32, 13, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows with mixed operands"},
  {"hopper",    "wgmma", "e5m2.e4m3", "f32", detail::Fp22(detail::kB, detail::kA, 32, 13, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows with mixed operands"},
  {"hopper",    "wgmma",    "e4m3", "f16", detail::Fp16(detail::kA, detail::kA, 32, 13, -133, 32),
   Evidence::kPublished, "MM2", "no rows"},
  {"hopper",    "wgmma",    "e5m2", "f16", detail::Fp16(detail::kB, detail::kB, 32, 13, -133, 32),
   Evidence::kPublished, "MM2", "no rows"},
  {"hopper",    "wgmma", "e4m3.e5m2", "f16", detail::Fp16(detail::kA, detail::kB, 32, 13, -133, 32),
   Evidence::kPublished, "MM2", "no rows"},
  {"hopper",    "wgmma", "e5m2.e4m3", "f16", detail::Fp16(detail::kB, detail::kA, 32, 13, -133, 32),
   Evidence::kPublished, "MM2", "no rows"},
  // Blackwell, datacentre (sm_100): mma.sync as on Hopper, tcgen05 native.
  {"blackwell", "mma.sync", "f16",  "f32", detail::Fp32(fp8::kFP16, fp8::kFP16, 16, 25, -133, 16),
   Evidence::kHardware, "VEC B200 5000/5000 rows (wmma)", "specials from MM1, MM2"},
  {"blackwell", "mma.sync", "f16",  "f16", detail::Fp16(fp8::kFP16, fp8::kFP16, 16, 25,  -22, 16),
   Evidence::kHardware, "VEC B200 5000/5000 rows (wmma)", "F >= 25; e_zero disputed: -22 (MM2), -21 (MAT)"},
  {"blackwell", "mma.sync", "bf16", "f32", detail::Fp32(fp8::kBF16, fp8::kBF16, 16, 25, -133, 16),
   Evidence::kHardware, "VEC B200 5000/5000 rows (wmma)", "e_zero from MM2"},
  {"blackwell", "mma.sync", "tf32", "f32", detail::Fp32(fp8::kTF32, fp8::kTF32,  8, 25, -133,  8),
   Evidence::kPublished, "MM2", "no rows: the published ones come from wmma"},
  {"blackwell", "wmma",     "tf32", "f32", detail::Fp32(fp8::kTF32, fp8::kTF32,  4, 25, -133,  8),
   Evidence::kHardware, "VEC B200 5000/5000 rows", "L from below only (4 of 8 products used)"},
  {"blackwell", "mma.sync", "e4m3", "f32", detail::Fp32(detail::kA, detail::kA, 16, 25, -133, 32, detail::kLate),
   Evidence::kHardware, "VEC B200 5000/5000 rows", "two groups from zero and a late c are pinned, the interleave of k is assumed"},
  {"blackwell", "mma.sync", "e5m2", "f32", detail::Fp32(detail::kB, detail::kB, 16, 25, -133, 32, detail::kLate),
   Evidence::kHardware, "VEC B200 5000/5000 rows", "two groups from zero and a late c are pinned, the interleave of k is assumed"},
  {"blackwell", "mma.sync", "e4m3", "f16", detail::Fp16(detail::kA, detail::kA, 16, 25,  -22, 32, detail::kLate),
   Evidence::kHardware, "VEC B200 5000/5000 rows", "the lowering is ptxas's and may change with the toolkit"},
  {"blackwell", "mma.sync", "e5m2", "f16", detail::Fp16(detail::kB, detail::kB, 16, 25,  -22, 32, detail::kLate),
   Evidence::kHardware, "VEC B200 5000/5000 rows", "the lowering is ptxas's and may change with the toolkit"},
  {"blackwell", "tcgen05",  "e4m3", "f32", detail::Fp32(detail::kA, detail::kA, 32, 25, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"blackwell", "tcgen05",  "e5m2", "f32", detail::Fp32(detail::kB, detail::kB, 32, 25, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"blackwell", "tcgen05", "e4m3.e5m2", "f32", detail::Fp32(detail::kA, detail::kB, 32, 25, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"blackwell", "tcgen05", "e5m2.e4m3", "f32", detail::Fp32(detail::kB, detail::kA, 32, 25, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"blackwell", "tcgen05",  "e4m3", "f16", detail::Fp16(detail::kA, detail::kA, 32, 25, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"blackwell", "tcgen05",  "e5m2", "f16", detail::Fp16(detail::kB, detail::kB, 32, 25, -133, 32),
   Evidence::kPublished, "MM1, MM2", "no rows"},
  {"blackwell", "tcgen05",  "bf16", "f32", detail::Fp32(fp8::kBF16, fp8::kBF16, 16, 25, -133, 16),
   Evidence::kPublished, "MM1, MM2", "no rows"},
};
// clang-format on

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ARCH_H_
