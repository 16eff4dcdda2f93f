// The operands of `compare`: the same numbers in the formats of both sides.
#ifndef LOSTBITS_SRC_CLI_COMPARE_OPERANDS_H_
#define LOSTBITS_SRC_CLI_COMPARE_OPERANDS_H_

#include <string>

#include "cli/output.h"
#include "tensor_file.h"

namespace lostbits::cli {

/// How `compare` draws a matrix.
enum class Draw : uint8_t {
  kNormal,  ///< N(0, 1)
  kWide,    ///< N(0, 1) times 2^u, u uniform in -6 .. 6
};
/// "normal", "wide".
Draw FindDraw(std::string_view name);

/// rows x cols values in FP32; element i depends on seed and i alone.
Tensor DrawMatrix(Draw draw, int64_t rows, int64_t cols, uint64_t seed);

/// One operand in the formats of both sides. Values are encoded (nearest even, saturating) in the
/// format with fewer mantissa bits, and from there in the other.
struct SharedOperand {
  Tensor a, b;            ///< codes for side A and for side B
  std::string from;       ///< where the values came from
  int64_t changed = 0;    ///< elements that the second format cannot hold as they are
  int64_t saturated = 0;  ///< elements beyond the first format's range, infinities too
};
SharedOperand ShareOperand(const Tensor& values, const fp8::Format& of_a, const fp8::Format& of_b);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_COMPARE_OPERANDS_H_
