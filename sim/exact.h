// Exact sums: what a dot product of codes is before any machine cuts it.
//
// Every product and every sum is exact, in integers; the total is rounded once, to nearest even,
// into the format asked for. Overflow gives Inf; a total that underflows keeps its sign; an exact
// zero is +0. NaN and Inf follow IEEE 754 whatever the order of the sum: a NaN operand, Inf * 0, or
// both infinities give NaN (the canonical one: positive, mantissa all ones); otherwise an Inf
// stays.
//
// Formats: any whose codes fit 32 bits and whose numbers fit FP32's range (all but FP64), also
// mixed.
#ifndef LOSTBITS_SIM_EXACT_H_
#define LOSTBITS_SIM_EXACT_H_

#include <cstdint>

#include "fp8/format.h"
#include "sim/gemm.h"
#include "sim/view.h"

namespace lostbits::sim {

/// The sum of a[i] * b[i] over i < n plus c, a word of c_format, as a code of `out` (any IEEE-style
/// format, FP64 included). Throws std::invalid_argument on an operand FP64 or an `out` without Inf.
/// Cost: about 10 ns a product where exponents span little, up to 60 ns where they span much.
uint64_t ExactDot(fp8::Format a_format, const uint32_t* a, fp8::Format b_format, const uint32_t* b,
                  int64_t n, fp8::Format c_format, uint32_t c, fp8::Format out);

/// The same without c, as a double or a float.
double ExactDotDouble(fp8::Format a_format, const uint32_t* a, fp8::Format b_format,
                      const uint32_t* b, int64_t n);
float ExactDotFloat(fp8::Format a_format, const uint32_t* a, fp8::Format b_format,
                    const uint32_t* b, int64_t n);

/// out[i][j] <- the exact sum of a[i][k] * b[k][j] over k, rounded once. a is M x K, b is K x N,
/// out M x N and must not overlap a or b. Runs OpenMP threads over rows; the result does not depend
/// on how many. Throws std::invalid_argument on shapes that do not fit. Meant for shapes of tests
/// and studies: about 1 ns a product and thread where exponents span little.
void ExactGemm(CodeView a, CodeView b, MatrixView<double> out);
void ExactGemm(CodeView a, CodeView b, MatrixView<float> out);

/// The same for a right operand given as its transpose bt, N x K.
void ExactGemmTransposed(CodeView a, CodeView bt, MatrixView<double> out);
void ExactGemmTransposed(CodeView a, CodeView bt, MatrixView<float> out);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_EXACT_H_
