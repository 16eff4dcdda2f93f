// The product a GEMM would give in exact arithmetic, scales and addend included.
#ifndef LOSTBITS_SRC_CLI_GEMM_REFERENCE_H_
#define LOSTBITS_SRC_CLI_GEMM_REFERENCE_H_

#include <vector>

#include "sim/gemm_recipe.h"

namespace lostbits::cli {

/// M x N: the exact sum of the codes' products, rounded once to binary64. Per-tensor scales
/// multiply it in binary64; block scales weigh exact sums over 128 k, added in binary64, so the
/// result is off by at most a few 2^-53 of the sum of their magnitudes. c is added in binary64.
std::vector<double> ExactProduct(const sim::GemmRecipe& recipe, const sim::GemmInputs& in);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_GEMM_REFERENCE_H_
