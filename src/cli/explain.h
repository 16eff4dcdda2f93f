// lostbits explain: where the bits of one dot product went. The parts the command is made of.
#ifndef LOSTBITS_SRC_CLI_EXPLAIN_H_
#define LOSTBITS_SRC_CLI_EXPLAIN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/dot_lines.h"
#include "cli/output.h"
#include "sim/trace.h"

namespace lostbits::cli {

/// A dot product on a machine, followed.
struct Explanation {
  Machine machine;
  DotLine codes;
  UnpackedLine operands;  ///< the codes taken apart
  int promote = 0;
  sim::ChainTrace chain;
  std::vector<int64_t> shown;  ///< instructions to show in full, from 0

  const sim::AccumSpec& spec() const { return machine.spec; }
  sim::InstructionTrace Instruction(int64_t index) const;
};

/// Follows a dot product. Shown in full: the instruction that `step` names ("1", "2", ...,
/// "worst"); without one, that of a chain of one.
Explanation Follow(const Machine& machine, const DotLine& codes, int promote,
                   const std::string& step = "");

/// How text is laid out.
struct Layout {
  int width = 80;
  bool colour = false;  ///< what is dropped also in colour: only at a terminal
};

// What a person reads, from the top of the page down.
std::vector<std::string> MachineSentences(const Machine& machine);  ///< the instruction itself
std::string InputText(const Explanation& e, int width);
std::string ChainText(const Explanation& e, int width);  ///< one line an instruction, about 20
std::string InstructionText(const Explanation& e, int64_t index, const Layout& layout);
std::string SummaryText(const Explanation& e, int width);

/// All of that; with the machine's sentences before it, if wanted.
std::string ExplanationText(const Explanation& e, bool sentences, const Layout& layout);

/// All of it for programs; ExplanationReport also has the machine's evidence.
Json ExplanationJson(const Explanation& e);
Json ExplanationReport(const Explanation& e, bool sentences);

/// The worked example of the machine table in the operands of this machine (cli/worked_example.h),
/// so that `explain MACHINE` has something to show.
DotLine ExampleLine(const sim::AccumSpec& spec);

/// The instruction that lost most.
int64_t WorstInstruction(const sim::ChainTrace& chain);

// Why Inf or NaN came out.

/// "inf_times_zero": for programs.
const char* CauseName(sim::Cause cause);
/// "Inf * 0", "beyond the range of FP16": for a table. "" of a finite step.
std::string CauseWords(const sim::StepTrace& step);
/// "k = 0 is inf * 0; acc is nan". `addend`: what the accumulator that entered is called.
std::string CauseText(const Explanation& e, const sim::StepTrace& step, const std::string& addend);
/// That of the first result like the one that came back, Inf or NaN; "" if it is finite.
std::string FirstCause(const Explanation& e);

/// A code of which the unit ignores low bits that are not zero (TF32 in a 32-bit register).
struct IgnoredBits {
  char operand = 'a';
  int64_t k = 0;
  uint64_t code = 0, counts_as = 0;
};
std::vector<IgnoredBits> FindIgnoredBits(const Explanation& e);

// Small pieces.

/// At most `digits` significant digits.
std::string Short(double x, int digits = 6);
/// "0x43615000": a word of the machine's accumulator.
std::string WordText(const Explanation& e, uint64_t word);
/// What an accumulator is called: "c" where it still is the user's, else "acc".
std::string AddendName(const Explanation& e, int64_t instruction,
                       const std::vector<sim::StepTrace>& steps, size_t step);
/// "3", "0-15" (a block), "c", "products", "even k", "odd k", "partial".
std::string TermName(const sim::TermTrace& t, const std::string& addend);
/// The same where no column says what the number counts: "product 3", "block 0-15", "c".
std::string TermLabel(const sim::TermTrace& t, const std::string& addend);
/// How many bits a term's significand has, and how many of them were cut.
struct BitLoss {
  int bits = 0, cut = 0;
};
BitLoss CountBits(const sim::TermTrace& t);
/// What is left of a term, in units of 2^lsb: "-26"; "-104 x 2^-24" where it has another grid.
std::string KeptText(const sim::TermTrace& t, int lsb);
/// A cut toward minus infinity made a negative term one unit more than the bits above the cut.
bool Floored(const sim::TermTrace& t);
/// "5 of 7 bits", "all 6 bits", "its 1 bit", "-"; ", down" where a floor made a negative term more
/// negative.
std::string LossText(const sim::TermTrace& t);
/// "E8M13 keeps 14 bits of it, the rest is cut off:", "FP32 holds it whole."
std::string RoundingText(const sim::AccumSpec& spec, const sim::StepTrace& step);
/// The end of a rounded sum: four bits kept, and the first ones dropped: "..1010|0110 01..".
std::string TailText(const sim::StepTrace& step);

// Bits. '.' stands for a position above the number's first one bit.

/// The magnitude from weight 2^top to 2^bottom, in fours counted from the bottom.
std::string KeptBits(const sim::ExactNumber& x, int top, int bottom);
/// The magnitude from weight 2^(cut - 1) to 2^bottom, in fours counted from the top. Longer than
/// `room`: shortened, with the weight of the first one bit among them ("-> 2^-30").
std::string DroppedBits(const sim::ExactNumber& x, int cut, int bottom, int room);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_EXPLAIN_H_
