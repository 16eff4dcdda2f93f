// What a row of the machine table rests on, as data: how much was replayed, what that does not pin,
// and where published sources part.
#ifndef LOSTBITS_SIM_EVIDENCE_H_
#define LOSTBITS_SIM_EVIDENCE_H_

#include <cstdint>

namespace lostbits::sim {

enum class EvidenceLevel : uint8_t {
  kHardware,   ///< recorded hardware outputs replayed, all equal
  kPublished,  ///< read in at least one published model, not replayed
  kAssumed,    ///< inferred from a neighbouring row; tools ask for --allow-unverified
};

/// What the evidence of a row does not pin; a row has any number of them. What each means:
/// kGapTexts.
enum Gap : uint16_t {
  kGroupFromBelow = 1 << 0,
  kZeroC = 1 << 1,
  kThroughWmma = 1 << 2,
  kNoSpecials = 1 << 3,
  kFromModels = 1 << 4,
  kFractionRange = 1 << 5,
  kInterleave = 1 << 6,
  kLowering = 1 << 7,
  kNanBits = 1 << 8,
  kZeroSign = 1 << 9,
};
struct GapText {
  Gap gap;
  const char* name;  ///< stable, for programs
  const char* text;  ///< for people
};
inline constexpr GapText kGapTexts[] = {
    {kGroupFromBelow, "group_from_below", "group length from below only: the rest of k was zero"},
    {kZeroC, "c_zero_only", "recorded with c = 0 only"},
    {kThroughWmma, "through_wmma",
     "recorded through wmma::mma_sync; that mma.sync does the same is assumed"},
    {kNoSpecials, "no_specials",
     "recorded inputs are all ~N(0,1): NaN, Inf, overflow, underflow, the clamp and the sign of a "
     "zero sum are from models"},
    {kFromModels, "from_models", "no recorded outputs were at hand to replay"},
    {kFractionRange, "fraction_bits_range", "the rows admit more than one F; F is the models'"},
    {kInterleave, "interleave_assumed", "which k share a group is assumed"},
    {kLowering, "lowering", "the lowering is ptxas's and may change with the toolkit"},
    {kNanBits, "nan_bits", "the bits of a NaN result are not pinned"},
    {kZeroSign, "zero_sign", "the sign of an exactly zero sum is not pinned"},
};

/// A question on which published sources part, and the inputs that would settle it.
enum class Dispute : uint8_t {
  kNone,
  kClampFp32,   // D1
  kClampFp16,   // D2
  kUnderflow,   // S8
  kLateBits,    // D4
  kPairwise,    // D5
  kWmmaTf32,    // D6
  kBlockClamp,  // D8
};
struct DisputeText {
  Dispute dispute;
  const char* id;
  const char* question;
  const char* taken;  ///< who says what the row says
  const char* other;  ///< who says otherwise
  const char* probe;  ///< "a codes ; b codes ; c word" and what the sides answer
};

/// A row's part in a dispute: `setting` turns the row into what the other side says.
struct DisputeSide {
  Dispute dispute = Dispute::kNone;
  const char* setting = "";  ///< as in a machine's name: "hopper:wgmma:f16:f16@e_zero=-133"
};

/// What a row rests on.
struct Evidence {
  EvidenceLevel level;
  int vectors;         ///< recorded rows replayed, all equal; 0 unless kHardware
  const char* gpus;    ///< which GPUs gave them; "" unless kHardware
  const char* source;  ///< abbreviations: kSources
  uint16_t gaps;       ///< of Gap
  DisputeSide disputes[3] = {};
  const char* note = "";

  constexpr Evidence Disputed(Dispute d, const char* setting) const {
    Evidence e = *this;
    DisputeSide* side = e.disputes;
    while (side->dispute != Dispute::kNone) ++side;
    *side = {d, setting};
    return e;
  }
  constexpr Evidence Without(Dispute d) const {
    Evidence e = *this;
    DisputeSide* to = e.disputes;
    for (const DisputeSide& side : disputes) {
      if (side.dispute != d) *to++ = side;
    }
    while (to != e.disputes + 3) *to++ = {};
    return e;
  }
  constexpr Evidence Note(const char* text) const {
    Evidence e = *this;
    e.note = text;
    return e;
  }
};

// What the abbreviations in Evidence::source stand for.
struct Source {
  const char* name;
  const char* text;
};
inline constexpr Source kSources[] = {
    {"VEC",
     "recorded hardware outputs, north-numerical-computing/MATLAB-tensor-core, model_validation/, "
     "commit b12b5a7 (BSD-2), 48 sets of 5,000 rows. The counts were reached on all of them by the "
     "integer reference this table was written from; `lostbits verify DIR` replays what is at "
     "hand"},
    {"MM1", "microsoft/MMA-Sim, commit c785138 (January 2026)"},
    {"MM2",
     "PyPI mmasim 2.1.1 (October 2026), nv_ptx/sim.py and amd/sim.py; its authors report about "
     "10^6 random tests an instruction on V100, T4, A100, RTX 4090, H100, B200, RTX PRO 6000, "
     "MI100, MI250X and MI300X"},
    {"MAT", "the models in north-numerical-computing/MATLAB-tensor-core, commit b12b5a7"},
    {"KM",
     "Khattak and Mikaitis, Accurate Models of NVIDIA Tensor Cores, arXiv 2512.07004, read through "
     "a review; for RTX Blackwell as mmaemu's README quotes section 4.1.8 and tables 3 and 4"},
    {"EMU",
     "PyPI mmaemu 0.1.0 (October 2026), model/presets.py: reports 1.06e8 outputs of RTX 4060 "
     "mma.sync and thousands of cuBLASLt calls on an H100 PCIe, bit for bit"},
    {"SAGE", "SageAttention2 as quoted in thu-ml/SageAttention issue 287"},
    {"CUT", "NVIDIA's answer in NVIDIA/cutlass issue 1986"},
};

inline constexpr DisputeText kDisputeTexts[] = {
    {Dispute::kClampFp32, "D1", "the least exponent a group is aligned to, FP32 results",
     "MM2, MAT (-131 Volta, -132 to Ada, -133 since)", "MM1 (-126)",
     "bf16, 'B280 3400 ; 0080 0080 ; 0': the row's gives 00000000, -126 gives 00000001 (tf32: 0000 "
     "behind each code)"},
    {Dispute::kClampFp16, "D2", "the least exponent a group is aligned to, FP16 results",
     "MAT, MM2 since 2.1.1 (-19 Volta, -20 to Ada, -21 since)",
     "MM2 before 2.1.1: one lower for mma.sync, -133 for wgmma and tcgen05",
     "f16, '1000 X ; 0400 0001 ; 0', X 0020 on Volta, 0008 to Ada, 0002 since: the row's gives "
     "0000, the other 0001"},
    {Dispute::kUnderflow, "S8", "the sign of a negative sum that rounds to zero",
     "MM2 since 2.1.0 (+0)", "MM1, MM2 before 2.1.0 (-0)",
     "one product in the last group, c 0: bf16 8080 * 3080 (tf32: 0000 behind each code) gives "
     "00000000 or 80000000; f16 8001 * 0400 gives 0000 or 8000"},
    {Dispute::kLateBits, "D4", "CDNA3: bits of the products' sum, and a floor before the rounding",
     "MM2 (32 bits, then a floor to 31)", "MM1, MAT (31 bits, no floor)",
     "f16, 'A800 0C00 0010 ; 2C00 0800 0C00 ; 3F800000': 3F7F8001 or 3F7F8000"},
    {Dispute::kPairwise, "D5", "CDNA1: exact sum or a tree of rounded sums", "MM2, MAT (exact)",
     "MM1 (pairwise, every step rounded)",
     "f16, '6C00 3C00 EC00 0 ; 6C00 3C00 6C00 0 ; 0': 3F800000 or 00000000"},
    {Dispute::kWmmaTf32, "D6", "wmma TF32: products aligned together", "KM (4)", "MAT (8)",
     "tf32, '3F800000 3A000000 0 0 BF800000 ; 3F800000 39000000 0 0 3F800000 ; 0': 00000000 or "
     "33800000"},
    {Dispute::kBlockClamp, "D8", "the exponent of a zero in block-scaled FP4", "MM2 (-139)",
     "MM1 (-126 for a zero c)",
     "e2m1, 1 * 1 first in block 0 and 9 * 1 first in block 1, c 0, scales '00 00 ; 6B 5C': -139 "
     "gives 00000000, -126 gives 00000001"},
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_EVIDENCE_H_
