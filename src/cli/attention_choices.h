// What a user says about an attention forward, checked and made a recipe: for the program and for
// Python.
#ifndef LOSTBITS_SRC_CLI_ATTENTION_CHOICES_H_
#define LOSTBITS_SRC_CLI_ATTENTION_CHOICES_H_

#include <memory>
#include <string>
#include <vector>

#include "cli/attention_preset.h"
#include "cli/operand.h"
#include "exp2_file.h"
#include "sim/attention_recipe.h"

namespace lostbits::cli {

/// "" and 0 leave a choice to the preset and to the kernel's own rules.
struct AttentionChoices {
  std::string preset = "fa3.sm90.e4m3", accumulation, exp2, decode = "auto";
  std::string output;       ///< format of O
  std::vector<int> window;  ///< left and right, or empty
  int interval = 0, block_m = 0, block_n = 0, splits = 1;
  float softmax_scale = 0, softcap = 0;
  bool causal = false;
};

/// [batch, seqlen, heads, dim] of a shape with two to four axes: leading ones are added, and a
/// single head where there are two axes.
std::vector<int64_t> FourAxes(const std::string& source, const std::vector<int64_t>& shape,
                              const char* what);
/// Throws std::invalid_argument, naming all three shapes (of four axes), unless they fit.
void CheckHeads(const std::vector<int64_t>& q, const std::vector<int64_t>& k,
                const std::vector<int64_t>& v);

/// The recipe for a Q of four axes. Throws std::invalid_argument on unknown names and bad counts.
sim::AttentionRecipe MakeAttentionRecipe(const AttentionChoices& choices,
                                         const std::vector<int64_t>& q, int64_t heads_kv);
/// The file that `exp2` names, which the recipe's Exp2Model::kTable reads; null if it names a
/// model.
std::unique_ptr<Exp2File> OpenExp2(const AttentionChoices& o);

/// One scale for each (batch, KV head), from a number, [heads_kv] or [batch, heads_kv].
std::vector<float> SpreadDescales(const Scales& scales, const char* option, int64_t batch,
                                  int64_t heads);
/// Codes of one input; values are divided by their KV head's descale first, as vLLM's cache does
/// (csrc/quantization/w8a8/fp8/nvidia/quant_utils.cuh: FP8 = Quantize(x / scale)).
Operand EncodeHeads(LoadedOperand loaded, const std::vector<int64_t>& axes,
                    const fp8::Format& format, const std::vector<float>& descales,
                    int64_t heads_kv);

/// Throws Failure(kNoEvidence) for a kernel or a machine that is assumed and not allowed.
void CheckPresetEvidence(const AttentionPreset& preset, const GlobalOptions& global);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_ATTENTION_CHOICES_H_
