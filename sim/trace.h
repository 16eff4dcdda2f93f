// Where the bits of one dot product went: every step of sim/accum.h as it happened, with what each
// term lost when it was cut to the grid and what the sum lost when it was rounded.
//
// The steps are recorded by watching sim::WatchedInstruction, so they are the arithmetic itself.
// Everything lost is kept as an exact number, and for finite results the account closes exactly:
//
//   exact sum - result = lost to alignment + lost to rounding + lost to promotion
//
// Long sums: a record per instruction (TraceChain), and any instruction again in full
// (TraceInstruction).
#ifndef LOSTBITS_SIM_TRACE_H_
#define LOSTBITS_SIM_TRACE_H_

#include <cstdint>
#include <vector>

#include "sim/accum.h"
#include "sim/exact_number.h"

namespace lostbits::sim {

/// What became of a term.
enum class Fate : uint8_t {
  kZero,   ///< it was zero
  kWhole,  ///< nothing was cut
  kCut,    ///< bits were cut
  kGone,   ///< all of it was cut: nonzero before, zero after
};

/// Why a step's result is no number.
enum class Cause : uint8_t {
  kNone,
  kOverflow,         ///< finite numbers came in, their sum lies beyond the range
  kProductOverflow,  ///< Flow::kLateFloor*: a product beyond FP32's range counts as Inf
  kInfOperand,
  kInfAccumulator,
  kInfPartial,  ///< the result of an earlier step
  kInfMinusInf,
  kInfTimesZero,
  kNanOperand,
  kNanScale,
  kNanAccumulator,
  kNanPartial,
};

/// Decides alone: whatever else comes in, NaN comes out.
constexpr bool IsNan(Cause cause) { return cause >= Cause::kInfTimesZero; }

/// An Inf or a NaN that came into a step.
struct SpecialInput {
  Cause cause = Cause::kNone;
  int64_t k = -1;  ///< of the product, or of the first that a NaN scale belongs to
  bool negative = false;
};

/// One term of a step. What it is worth is `exact`; what entered the sum is exact - lost.
struct TermTrace {
  Term term;          ///< as the step saw it. The significand of an FP64 product wraps.
  int64_t k = -1;     ///< of a product or of a block's first: its index in the dot product
  Unpacked a, b;      ///< operands of a product
  int lsb = 0;        ///< aligned steps: it is cut to multiples of 2^lsb
  int shift = 0;      ///< aligned steps: bits the significand moves left; < 0: right
  int64_t kept = 0;   ///< aligned steps: what is left, in units of 2^lsb
  ExactNumber exact;  ///< before alignment and before any flush to zero
  ExactNumber lost;   ///< exact minus what entered the sum
  Fate fate = Fate::kZero;
};

/// One step of an instruction.
struct StepTrace {
  Step::Kind kind = Step::kSpecial;
  std::vector<TermTrace> terms;
  bool aligned = false;  ///< the terms were cut to a grid: e_max, setter, lsb, sum and kept count
  int e_max = 0;
  int setter = -1;       ///< the term that set e_max; -1: the clamp e_zero, or there is none
  int lsb = 0;           ///< the grid is the multiples of 2^lsb
  int64_t sum = 0;       ///< in units of 2^lsb
  ExactNumber before;    ///< the sum before it is rounded
  bool rounded = false;  ///< the step ends with a word of `format`
  fp8::Format format{};  ///< what the sum is rounded to
  uint64_t word = 0;
  bool finite = true;                 ///< neither Inf nor NaN came out
  Cause cause = Cause::kNone;         ///< of what came out, if it is not finite
  std::vector<SpecialInput> sources;  ///< every Inf and NaN that came in
  int group = 0;                      ///< of the instruction, from 0
  int last_kept = 0;  ///< the last bit of `before` that the format keeps weighs 2^last_kept
  ExactNumber lost_to_alignment;  ///< the sum of the terms' `lost`
  ExactNumber lost_to_rounding;   ///< before - word, if finite
};

/// An instruction in a few numbers. "Terms" are its nonzero products, or blocks of products where
/// these are added exactly (Flow::kBlockDot).
struct InstructionSummary {
  int64_t first = 0;     ///< index of its first product
  int count = 0;         ///< products given; the rest of the instruction is zero
  uint64_t word_in = 0;  ///< the accumulator before
  uint64_t word = 0;     ///< and after
  int terms = 0, cut = 0, gone = 0;
  int addends_cut = 0;  ///< accumulators that lost bits, over the groups of the instruction
  double lost_to_alignment = 0, lost_to_rounding = 0;  ///< nearest doubles of exact numbers
  bool promoted = false;                               ///< afterwards added to the FP32 sum
  uint64_t sum_in = 0;                                 ///< if promoted: the sum before
  uint64_t sum = 0;                                    ///< and after
  double lost_to_promotion = 0;
};

/// One instruction in full.
struct InstructionTrace {
  InstructionSummary summary;
  std::vector<StepTrace> steps;
  ExactNumber lost_to_alignment, lost_to_rounding;
};

/// A dot product taken apart: a[i] * b[i] for i < n, plus c.
struct DotOperands {
  const Unpacked* a = nullptr;
  const Unpacked* b = nullptr;
  int64_t n = 0;
  uint64_t c_word = 0;  ///< of spec.acc
  BlockScales scales;   ///< as for DotChain
};

/// A whole dot product.
struct ChainTrace {
  std::vector<InstructionSummary> instructions;
  uint64_t word = 0;
  bool finite = false;  ///< operands, result and all between; else the numbers below are zero
  ExactNumber exact;    ///< the sum of all products and c
  ExactNumber lost_to_alignment, lost_to_rounding, lost_to_promotion;
  int64_t terms = 0, cut = 0, gone = 0;  ///< over all instructions
};

/// Follows a chain as DotChain computes it. With promote_every > 0 as sim/gemm_recipe.h does: the
/// unit starts from +0, and after every promote_every instructions, and after the last, its result
/// is added to an FP32 sum, to nearest even, which starts from c. Throws std::invalid_argument if
/// promote_every < 0, or > 0 with another accumulator than FP32. Memory: a summary an instruction.
/// Cost: about 0.2 us a product.
ChainTrace TraceChain(const AccumSpec& spec, const DotOperands& dot, int promote_every = 0);

/// Instruction `index` (from 0) of the chain in full, the accumulator before it given:
/// instructions[index].word_in of TraceChain.
InstructionTrace TraceInstruction(const AccumSpec& spec, const DotOperands& dot, int64_t index,
                                  uint64_t word_in);

/// One promotion: sum + partial, both FP32 words, as a step of kind kAdd.
StepTrace TracePromotion(uint64_t sum, uint64_t partial);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_TRACE_H_
