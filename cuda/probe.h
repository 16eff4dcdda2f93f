// Questions that published sources leave open, with inputs whose answer settles them. Data: nothing
// here computes.
//
// An answer's word is what the simulator says: of the unit's machine (its row of the table), or of
// that machine with a setting ("e_zero=-126"), or on other inputs. Only where no machine can be set
// to what somebody expects, the word stands here, worked out by hand. Inputs of S1 to S10, D1 to
// D7 (kNumberedQuestions): tests/sim/accum_questions_test.cc asks the simulator the same.
#ifndef LOSTBITS_CUDA_PROBE_H_
#define LOSTBITS_CUDA_PROBE_H_

#include <span>

#include "cuda/unit.h"

namespace lostbits::gpu {

/// What one side expects.
struct Answer {
  const char* who = "";      ///< the claim, and who makes it
  const char* setting = "";  ///< behind "@"; "" for the row as it stands
  const char* line = "";     ///< "": the probe's own
  const char* word = "";     ///< hex; "": computed
};
inline constexpr int kMostAnswers = 4;

struct Probe {
  const char* id;
  const char* question;
  const char* archs;             ///< that it concerns, separated by spaces
  const char* units;             ///< UnitName of each, separated by spaces
  const char* line;              ///< "a codes ; b codes ; c word", at most k of each
  Answer answers[kMostAnswers];  ///< the first is the table's; those with an empty `who` are none
  Flags flags = {};
};

/// The numbered questions of the published comparison, and the probe that asks each; "": none does.
struct NumberedQuestion {
  const char* id;
  const char* probe;
  const char* note;  ///< why not, or under which name
};
inline constexpr char kOfAmd[] = "a CDNA unit: no CUDA device answers";
inline constexpr char kOfVolta[] = "Volta: CUDA 13 compiles for sm_75 and later";
inline constexpr NumberedQuestion kNumberedQuestions[] = {
    {"S1", "S1", ""},
    {"S2", "S2", ""},
    {"S2v", "", kOfVolta},
    {"S3", "S3", ""},
    {"S4", "S4", ""},
    {"S4b", "", kOfVolta},
    {"S4c", "S4c", "of mma.sync; of wmma: D6"},
    {"S5", "S5", ""},
    {"S6", "", "the comparison has no question of this number"},
    {"S7", "S7", ""},
    {"S8", "S8", ""},
    {"S9", "S9", ""},
    {"S10", "S10", ""},
    {"D1", "S1", "the same question"},
    {"D2", "S2", "the same question"},
    {"D3", "S9", "the same question"},
    {"D4", "", kOfAmd},
    {"D5", "", kOfAmd},
    {"D6", "D6", ""},
    {"D7", "D7", ""},
};

/// How sums are aligned, grouped, cut and rounded.
std::span<const Probe> SumProbes();
/// Inf, NaN, zeros, subnormals, overflow, and the flags of wgmma.
std::span<const Probe> SpecialProbes();

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_PROBE_H_
