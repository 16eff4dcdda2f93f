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

/// Follows a dot product. A chain of one instruction shows it.
Explanation Follow(const Machine& machine, const DotLine& codes, int promote);

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

/// All of it for programs.
Json ExplanationJson(const Explanation& e);

/// The worked example of the machine table in the operands of this machine (cli/worked_example.h),
/// so that `explain MACHINE` has something to show.
DotLine ExampleLine(const sim::AccumSpec& spec);

/// The instruction that lost most.
int64_t WorstInstruction(const sim::ChainTrace& chain);

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
/// "5 of 7 bits", "all 6 bits", "-"; ", down" where a floor made a negative term more negative.
std::string LossText(const sim::TermTrace& t);
/// "E8M13 keeps 14 bits of it, the rest is cut off:", "FP32 holds it whole."
std::string RoundingText(const sim::AccumSpec& spec, const sim::StepTrace& step);
/// The end of a rounded sum: four bits kept, and the first ones dropped: "..1010|0110 01..".
std::string TailText(const sim::StepTrace& step);

// Bits. '.' stands for a position above the number's first one bit.

/// The magnitude from weight 2^top to 2^bottom, in fours counted from the bottom.
std::string KeptBits(const sim::ExactNumber& x, int top, int bottom);
/// The magnitude from weight 2^(cut - 1) to 2^bottom, in fours counted from the top. Longer than
/// `room`: shortened, with the weight of its first one bit ("-> 2^-30").
std::string DroppedBits(const sim::ExactNumber& x, int cut, int bottom, int room);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_EXPLAIN_H_
