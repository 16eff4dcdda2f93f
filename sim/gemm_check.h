// What Gemm refuses. Not part of the public interface; sim/gemm_recipe.h is.
#ifndef LOSTBITS_SIM_GEMM_CHECK_H_
#define LOSTBITS_SIM_GEMM_CHECK_H_

#include "sim/gemm_recipe.h"

namespace lostbits::sim {

/// Throws std::invalid_argument for a recipe that no kernel defines.
void CheckRecipe(const GemmRecipe& recipe);

/// Throws std::invalid_argument where shapes, formats or scales do not fit the recipe.
void CheckInputs(const GemmRecipe& recipe, const GemmInputs& in, const MatrixView<uint32_t>& d);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_CHECK_H_
