// Attention kernels by name, and recipes in words.
#ifndef LOSTBITS_SRC_CLI_ATTENTION_PRESET_H_
#define LOSTBITS_SRC_CLI_ATTENTION_PRESET_H_

#include <string>
#include <string_view>
#include <vector>

#include "cli/output.h"
#include "sim/attention_recipe.h"

namespace lostbits::cli {

struct AttentionPreset {
  const char* name;
  const char* machine;  ///< row of both products
  const char* what;
  sim::PvAccumulation accumulation;
  int interval;
  bool bf16;
  bool blackwell;  ///< tiles and order of sums are assumed: asks for --allow-unverified
};

/// Throws std::invalid_argument and lists the nearest names.
const AttentionPreset& FindAttentionPreset(std::string_view name);
std::vector<std::string> AttentionPresetNames();

/// "one-level", "per-tile", "every-n", "exact".
sim::PvAccumulation FindAccumulation(std::string_view name);
std::string_view AccumulationName(sim::PvAccumulation accumulation);

/// "correctly-rounded", "polynomial".
sim::Exp2Model FindExp2(std::string_view name);

std::string RecipeText(const sim::AttentionRecipe& recipe);
Json RecipeJson(const sim::AttentionRecipe& recipe);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_ATTENTION_PRESET_H_
