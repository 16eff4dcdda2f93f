// An instruction in sentences, for a reader who never saw a matrix unit.
#include <cmath>

#include "cli/explain.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::AccumSpec;
using sim::Flow;

std::string OutSentence(const AccumSpec& s) {
  if (s.out == sim::kE8M13)
    return "The sum is cut toward zero to 13 fraction bits (E8M13, \"FP22\"): the FP32 register "
           "that "
           "comes back has its low 10 bits at zero.";
  return fmt::format(
      "The sum is rounded once, {}, to {}.",
      s.rounding == fp8::Rounding::kTowardZero ? "by cutting it toward zero" : "to nearest even",
      PrecisionName(s.out));
}

std::string GroupSentence(const AccumSpec& s) {
  if (s.k == s.group)
    return fmt::format("One instruction takes {} products and the accumulator c, all at once.",
                       s.k);
  return fmt::format(
      "One instruction takes {} products in {} groups of {}, one after the other; c enters the "
      "first, the result of each group the next.",
      s.k, s.k / s.group, s.group);
}

std::string AlignSentence(const AccumSpec& s) {
  return fmt::format(
      "Every product is made exactly. The largest exponent among them and c sets a grid that ends "
      "{} bits below it; what a term has below the grid is dropped, and the rest is added exactly. "
      "A term whose exponent lies {} or more below the largest leaves no trace.",
      s.fraction_bits, s.fraction_bits + 2);
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

}  // namespace

std::vector<std::string> MachineSentences(const Machine& machine) {
  const AccumSpec& s = machine.spec;
  const sim::ArchRow& row = *machine.row;
  std::vector<std::string> out;
  switch (s.flow) {
    case Flow::kChained: out = {GroupSentence(s) + " " + AlignSentence(s), OutSentence(s)}; break;
    case Flow::kInterleavedLateC: {
      out = {fmt::format("This GPU has no {} unit behind {}: the compiler converts the operands to "
                         "FP16, which is exact, and emulates the instruction with the FP16 unit.",
                         row.in, row.instruction),
             fmt::format("Two FP16 groups of {} products run, starting from zero: first the "
                         "products with k % 4 = 0 and 1, then those with k % 4 = 2 and 3 on top of "
                         "the first result. Each aligns to its largest exponent and keeps {} bits "
                         "below it (F = {}); {} c does not take part in this: it is added last, in "
                         "one ordinary {} addition, to nearest even.",
                         s.group, s.fraction_bits, s.fraction_bits,
                         s.out == fp8::kFP16 ? "each result is rounded to FP16."
                                             : "each result is cut to FP32.",
                         PrecisionName(s.acc))};
      if (const sim::ArchRow* native = NativeTwin(row)) {
        const std::string kept = native->spec.fraction_bits == s.fraction_bits
                                     ? "as many, but with c among the terms"
                                     : fmt::format("{}", native->spec.fraction_bits);
        out.push_back(fmt::format(
            "For the bits that means: {}. On the same GPU {} keeps {}{}: the same source line, "
            "compiled to another instruction, returns other bits.",
            s.acc == fp8::kFP32 ? "the result is nearly that of FP32 arithmetic"
                                : "only the roundings to FP16 count",
            MachineName(*native), kept,
            native->spec.fraction_bits < s.fraction_bits
                ? fmt::format(" bits where this one keeps {}", s.fraction_bits)
                : ""));
      }
      break;
    }
    case Flow::kBlockDot:
      out = {
          fmt::format("One instruction takes {} products. Each block of {} is added exactly; its "
                      "sum, times both scales of the block, is one term. The exponents of the "
                      "scales alone (not the size of the sum) and that of c set a grid that "
                      "ends {} bits below the largest; what a term has below it is dropped.",
                      s.k, sim::kBlockDotLength, s.fraction_bits),
          OutSentence(s)};
      break;
    case Flow::kExact:
      out = {s.group == 1 ? fmt::format("A chain of fused multiply-adds over increasing k ({} an "
                                        "instruction): each adds one product and the accumulator "
                                        "exactly and rounds once, to nearest even, to {}.",
                                        s.k, PrecisionName(s.out))
                          : fmt::format("Groups of {} products and c are added exactly and rounded "
                                        "once, to nearest even, to {}.",
                                        s.group, PrecisionName(s.out)),
             "Nothing is aligned to a grid, so no product loses bits; only the roundings do."};
      break;
    case Flow::kTree:
      out = {
          fmt::format("Every product is rounded to {}, the products of {} are added in pairs, "
                      "and that sum is added to c; every step is rounded to nearest even.",
                      PrecisionName(s.out), s.group)};
      if (s.flush)
        out.push_back("Subnormal numbers count as zero, as operands and as results of every step.");
      break;
    case Flow::kLateFloor:
    case Flow::kLateFloorPairs:
      out = {fmt::format("{}Products are cut toward zero {} bits below their largest exponent and "
                         "added. Then c joins: both are cut toward minus infinity, c at {} bits "
                         "and the products' sum at {} bits below the larger exponent of the two, "
                         "and the rounded sum goes on to the next group of {}.",
                         s.flow == Flow::kLateFloorPairs
                             ? "Products of even and of odd k are aligned apart. "
                             : "",
                         s.fraction_bits, s.fraction_bits, s.sum_bits, s.group),
             "A cut toward minus infinity makes a negative number more negative, so results lean "
             "downward.",
             OutSentence(s)};
      break;
  }
  if (s.block != 0)
    out.push_back(
        fmt::format("Every {} products share a scale of a and one of b ({}): their "
                    "exponents add to those of the products.",
                    s.block, row.scale));
  return out;
}

DotLine ExampleLine(const sim::AccumSpec& spec) {
  // Numerics section 3: a large product, two that lose bits on a coarse grid, one that goes whole.
  constexpr double kA[] = {15, 1.125, -0.875, 0x1p-9}, kB[] = {15, 0x3p-7, 0x1p-7, 0.5};
  DotLine line;
  // The nearest number of the format that is not zero.
  const auto code = [](const fp8::Format& f, double x) {
    const uint64_t nearest = fp8::Pack(f, fp8::Unpack(x)).code;
    if (fp8::Unpack(f, nearest).significand != 0) return nearest;
    return (uint64_t{1} << f.pad) | (x < 0 ? fp8::SignMask(f) : 0);
  };
  // Where blocks are added exactly, each product gets a block of its own, each smaller by its
  // scale.
  const bool blocks = spec.flow == sim::Flow::kBlockDot;
  const size_t stride = blocks ? static_cast<size_t>(sim::kBlockDotLength) : 1;
  line.a.resize(3 * stride + 1);
  line.b.resize(3 * stride + 1);
  for (size_t i = 0; i < 4; ++i) {
    line.a[i * stride] = code(spec.a, blocks ? 1.5 : kA[i]);
    line.b[i * stride] = code(spec.b, blocks ? (i == 2 ? -3 : 3) : kB[i]);
  }
  line.c = code(spec.acc, 0.3);
  if (spec.block == 0) return line;
  const size_t block = static_cast<size_t>(spec.block);
  for (size_t i = 0; i < (line.a.size() + block - 1) / block; ++i) {
    const double falling = std::ldexp(256, -4 * static_cast<int>(i));
    line.scale_a.push_back(code(spec.scale, blocks ? falling : 2));
    line.scale_b.push_back(code(spec.scale, blocks ? falling : 0.5));
  }
  return line;
}

}  // namespace lostbits::cli
