// What a user says about a matrix product, checked and made a recipe: for the program and for
// Python.
#ifndef LOSTBITS_SRC_CLI_GEMM_CHOICES_H_
#define LOSTBITS_SRC_CLI_GEMM_CHOICES_H_

#include <string>
#include <vector>

#include "cli/operand.h"
#include "registry.h"
#include "sim/gemm_recipe.h"

namespace lostbits::cli {

struct GemmChoices {
  int promote = 0, split_k = 1, split_tile = 0;
  std::string partial = "float32";
  std::string output;  ///< "": the accumulator's format
};

/// The recipe without scales. Throws std::invalid_argument on unknown formats and bad counts.
sim::GemmRecipe MakeGemmRecipe(const Machine& machine, const GemmChoices& choices);

/// M x K times K x N.
struct ProductShape {
  int64_t m = 0, k = 0, n = 0;
};
/// Throws std::invalid_argument, naming both shapes, unless they are two matrices that fit.
ProductShape CheckProduct(const std::string& a_source, const std::vector<int64_t>& a,
                          const std::string& b_source, const std::vector<int64_t>& b,
                          bool b_transposed);

/// One number: per tensor. Otherwise blocks of 128. Throws on any other shape.
sim::GemmScaling ScalingOfA(const Scales& scales, const ProductShape& shape);
sim::GemmScaling ScalingOfB(const Scales& scales, const ProductShape& shape);
/// The scales as sim/gemm_recipe.h reads them; no data if there are none.
sim::MatrixView<const float> ScaleView(const Scales& scales);

/// The codes; values are divided by a scale of their tensor first. Block scales need codes.
Operand EncodeScaled(LoadedOperand loaded, const fp8::Format& format, const Scales& scales,
                     sim::GemmScaling scaling);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_GEMM_CHOICES_H_
