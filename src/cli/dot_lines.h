// Lines of dot products: "a codes ; b codes ; c word", all hex; where the machine has block scales,
// also "; codes of a's scales ; codes of b's scales".
#ifndef LOSTBITS_SRC_CLI_DOT_LINES_H_
#define LOSTBITS_SRC_CLI_DOT_LINES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/trace.h"

namespace lostbits::cli {

/// A dot product in codes.
struct DotLine {
  std::vector<uint64_t> a, b;  ///< of equal, nonzero length
  uint64_t c = 0;              ///< word of spec.acc
  /// One every spec.block products; empty if there are none.
  std::vector<uint64_t> scale_a, scale_b;
};

/// "'a codes ; b codes ; c word'", and the scales behind it, for help and errors.
const char* DotLineShape(const sim::AccumSpec& spec);

/// A line without its "#..." and the blanks around the rest: "" if it holds no dot product.
std::string WithoutComment(const std::string& line);

/// Reads one line; digits may be grouped by spaces or commas and start with 0x. `where` ("-:3")
/// starts every error. Throws std::invalid_argument on a code that does not fit its format, on
/// fields of the wrong length, and on scales that are missing or not wanted.
DotLine ParseDotLine(const std::string& line, const sim::AccumSpec& spec, const std::string& where);

/// A dot product taken apart. Scales are filled up with 1.0, so that every instruction has all of
/// its own.
struct UnpackedLine {
  std::vector<fp8::Unpacked> a, b, scale_a, scale_b;
  uint64_t c = 0;

  sim::DotOperands View() const {
    return {
        a.data(), b.data(), static_cast<int64_t>(a.size()), c, {scale_a.data(), scale_b.data()}};
  }
};
UnpackedLine TakeApart(const sim::AccumSpec& spec, const DotLine& line);

/// The word of spec.acc that the machine returns: a chain of instructions, the last zero-padded.
uint64_t ComputeDot(const sim::AccumSpec& spec, const DotLine& line);

/// A code in hex, without 0x: as many digits as the format's bits take.
std::string CodeDigits(uint64_t code, const fp8::Format& format);
/// The line as ParseDotLine reads it.
std::string DotLineText(const sim::AccumSpec& spec, const DotLine& line);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_DOT_LINES_H_
