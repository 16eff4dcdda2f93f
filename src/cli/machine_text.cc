#include "cli/machine_text.h"

#include <fmt/format.h>

#include "sim/accum.h"

namespace lostbits::cli {
namespace {

using sim::AccumSpec;
using sim::Flow;

std::string GroupSentence(const AccumSpec& s) {
  if (s.k == s.group)
    return fmt::format("One instruction takes {} products and the accumulator c as one group.",
                       s.k);
  return fmt::format(
      "One instruction takes {} products in {} groups of {}, one after the other over increasing "
      "k; c enters the first, the result of each group the next.",
      s.k, s.k / s.group, s.group);
}

std::string FlowSentences(const Machine& machine) {
  const AccumSpec& s = machine.spec;
  switch (s.flow) {
    case Flow::kChained: return GroupSentence(s);
    case Flow::kInterleavedLateC:
      return fmt::format(
          "This GPU has no {} unit behind {}: the compiler converts the operands to FP16, which is "
          "exact, and emulates the instruction with the FP16 unit. Two FP16 groups of {} products "
          "run, starting from zero: first the products with k % 4 = 0 and 1, then those with "
          "k % 4 = 2 and 3 on top of the first result. c does not take part in this: it is added "
          "last, in one ordinary {} addition, to nearest even.",
          machine.row->in, machine.row->instruction, s.group, PrecisionName(s.acc));
    case Flow::kBlockDot:
      return GroupSentence(s) +
             fmt::format(
                 " Each block of {} products is added exactly; its sum, times both scales "
                 "of the block, is one term.",
                 sim::kBlockDotLength);
    case Flow::kExact:
      if (s.group == 1)
        return fmt::format(
            "A chain of fused multiply-adds over increasing k ({} an instruction): each adds one "
            "product and the accumulator exactly.",
            s.k);
      return GroupSentence(s) + " All of a group is added exactly.";
    case Flow::kTree:
      return GroupSentence(s) +
             " The products of a group are added in pairs, the pairs' sums likewise, and that sum "
             "to c.";
    case Flow::kLateFloor:
      return GroupSentence(s) + " The products of a group are added first; c joins their sum.";
    case Flow::kLateFloorPairs:
      return GroupSentence(s) +
             " The products of even and of odd k are added each by themselves, then together; c "
             "joins their sum.";
  }
  return "";
}

std::string AlignmentSentences(const AccumSpec& s) {
  switch (s.flow) {
    case Flow::kChained:
    case Flow::kInterleavedLateC:
      return fmt::format(
          "Every product is made exactly. The largest exponent among them and {} (at least {}) "
          "sets a grid that ends F = {} bits below it; what a term has below the grid is dropped "
          "(cut toward zero), and the rest is added exactly.",
          s.flow == Flow::kChained ? "c" : "the first group's result", s.e_zero, s.fraction_bits);
    case Flow::kBlockDot:
      return fmt::format(
          "The exponents of the scales alone (not the size of a block's sum) and that of c (at "
          "least {}) set a grid that ends F = {} bits below the largest; what a term has below it "
          "is dropped (cut toward zero).",
          s.e_zero, s.fraction_bits);
    case Flow::kLateFloor:
    case Flow::kLateFloorPairs:
      return fmt::format(
          "Products are cut toward zero F = {} bits below their largest exponent. Where c joins, "
          "both are cut toward minus infinity, c at {} bits and the products' sum at {} bits below "
          "the larger exponent of the two{}.",
          s.fraction_bits, s.fraction_bits, s.sum_bits,
          s.final_bits == 0
              ? ""
              : fmt::format(", and the whole at {} bits below its own leading bit", s.final_bits));
    case Flow::kExact: return "Nothing is aligned to a grid, so no product loses bits.";
    case Flow::kTree: return "Nothing is aligned to a grid.";
  }
  return "";
}

std::string ScaleSentences(const AccumSpec& s) {
  // E4M3FN's sign bit is ignored where it is a scale: PTX calls that ue4m3.
  const bool signless = fp8::SignMask(s.scale) != 0;
  std::string text =
      fmt::format("Every {} products share a scale of a and one of b ({}). ", s.block,
                  signless ? "ue4m3: e4m3 whose sign bit is ignored" : NamesOf(s.scale).brief);
  const bool blocks = s.flow == Flow::kBlockDot;
  text += blocks ? "Their exponents alone are the exponent of the block's sum"
                 : "Their exponents add to those of the products";
  if (s.scale.mantissa_bits == 0) return text + '.';
  return text +
         (blocks ? "; their significands multiply it." : ", their significands multiply them.");
}

std::string ResultSentences(const AccumSpec& s) {
  const std::string_view rounding = RoundingName(s.rounding);
  std::string text;
  if (s.out == sim::kE8M13) {
    text = fmt::format(
        "The sum of a group is rounded once, {}, to 13 fraction bits (E8M13, \"FP22\"): the "
        "FP32 word that comes back has its low 10 bits at zero.",
        rounding);
  } else if (s.flow == Flow::kTree) {
    text = fmt::format("Every product and every sum is rounded, {}, to {}.", rounding,
                       PrecisionName(s.out));
  } else {
    text = fmt::format("{} is rounded once, {}, to {}.",
                       s.group == 1    ? "Each sum"
                       : s.group < s.k ? "The sum of each group"
                                       : "The sum",
                       rounding, PrecisionName(s.out));
  }
  if (s.flush) text += " Subnormal operands count as +0, subnormal results of every step as zero.";
  if (s.signed_underflow) text += " A negative sum that rounds to zero gives -0.";
  return text;
}

/// The row of the same GPU and the same types whose unit takes the operands as they are.
const sim::ArchRow* NativeTwin(const sim::ArchRow& row) {
  for (const sim::ArchRow& other : sim::kArchTable) {
    if (std::string_view(other.arch) == row.arch && std::string_view(other.in) == row.in &&
        std::string_view(other.out) == row.out && other.spec.flow == Flow::kChained &&
        other.spec.block == 0)
      return &other;
  }
  return nullptr;
}

std::string EmulationRemark(const AccumSpec& s, const sim::ArchRow& native) {
  const int here = s.fraction_bits, there = native.spec.fraction_bits;
  return fmt::format(
      "For the bits that means: {}. On the same GPU {} keeps {}: the same source line, compiled to "
      "another instruction, returns other bits.",
      s.acc == fp8::kFP32 ? "the result is nearly that of FP32 arithmetic"
                          : "only the roundings to FP16 count",
      MachineName(native),
      there == here ? "as many bits, but with c among the terms"
                    : fmt::format("{} bits where this one keeps {}", there, here));
}

}  // namespace

MachineText TextOf(const Machine& machine) {
  const AccumSpec& s = machine.spec;
  MachineText text{FlowSentences(machine), "", AlignmentSentences(s), ResultSentences(s), {}};
  if (s.block != 0) text.scales = ScaleSentences(s);
  if (s.flow == Flow::kChained)
    text.remarks.push_back(
        fmt::format("A term whose exponent lies {} or more below the largest leaves no trace.",
                    s.fraction_bits + 2));
  if (s.flow == Flow::kLateFloor || s.flow == Flow::kLateFloorPairs)
    text.remarks.emplace_back(
        "A cut toward minus infinity makes a negative number more negative, so these cuts lean "
        "downward.");
  if (s.flow == Flow::kInterleavedLateC) {
    if (const sim::ArchRow* native = NativeTwin(*machine.row))
      text.remarks.push_back(EmulationRemark(s, *native));
  }
  return text;
}

std::string FlowWords(const AccumSpec& s) {
  switch (s.flow) {
    case Flow::kChained: return "chained";
    case Flow::kInterleavedLateC: return "c last";
    case Flow::kBlockDot: return "blocks exact";
    case Flow::kExact: return s.group == 1 ? "fma chain" : "exact";
    case Flow::kTree: return "tree";
    case Flow::kLateFloor: return "c late";
    case Flow::kLateFloorPairs: return "c late, pairs";
  }
  return "?";
}

std::string RoundingInitials(fp8::Rounding rounding) {
  return rounding == fp8::Rounding::kTowardZero    ? "RZ"
         : rounding == fp8::Rounding::kNearestEven ? "RNE"
                                                   : std::string(RoundingName(rounding));
}

std::string ResultText(const AccumSpec& s) {
  return RoundingInitials(s.rounding) + " " + PrecisionName(s.out);
}

}  // namespace lostbits::cli
