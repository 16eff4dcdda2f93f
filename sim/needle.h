// The main job: does one weakly attended key survive a long FP8 attention?
//
// A haystack of N keys carries N values V = mu * s + codeword, where s is a fixed sign per channel
// (a common mode, which N(0, 1) tensors lack) and each key's codeword is one of 64 random +-1
// vectors. A query asks for one planted key, the needle, whose logit is set so that its softmax
// weight is w; all other logits are close to N(0, 1). The attention output is read out by a matched
// filter: the codeword that correlates best with the output less its expected mean. Retrieval is
// the share of queries whose needle is read out; guessing gives 1/64.
//
// Why it can fail: a Hopper FP8 accumulator keeps 13 fraction bits. Once the running sum of equal
// terms exceeds 2^13 times one term, further terms are cut to nothing, the output shrinks, and the
// readout sees the missing common mode instead of the needle. Whether it fails depends on mu and w,
// so the study always reports the whole grid of both.
//
// All variants see the same Q, K and V. Every value is representable in E4M3, hence in BF16: the
// variants differ in arithmetic only, not in quantisation of their inputs.
#ifndef LOSTBITS_SIM_NEEDLE_H_
#define LOSTBITS_SIM_NEEDLE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/attention.h"
#include "sim/recipe.h"

namespace lostbits::sim {

/// One way to compute attention, with the name under which it is reported. Whether it reads Q, K
/// and V as E4M3 or as BF16 codes follows from recipe.qk.a.
struct NeedleVariant {
  std::string name;
  AttentionRecipe recipe;
};

/// The rows of the study: BF16 FlashAttention-3; FP8 one-level, two-level every tile (#104), every
/// 4 and every 64 tiles (#122), all on Hopper; FP8 on Blackwell. Decode tiles.
std::vector<NeedleVariant> DefaultNeedleVariants(int head_dim);

/// Query heads of one weight that share one haystack (one KV head), each with its own needle.
inline constexpr int kNeedleGroup = 8;

struct NeedleOptions {
  std::vector<int64_t> contexts{1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072};
  std::vector<double> means{0, 0.25, 0.5, 0.75, 1, 2};  ///< mu, in units of one codeword entry
  std::vector<double> weights{0.05, 0.2};               ///< w, the needle's softmax weight
  int trials = 256;    ///< queries per (context, mu, w), a multiple of kNeedleGroup
  int head_dim = 128;  ///< 1 to 256; 64, 96, 128, 192 and 256 have tiles of their own
  uint64_t seed = 0;
  int threads = 0;  ///< 0: all
};

/// How far outputs lie from exact attention, over any number of rows.
struct OutputError {
  double relative = 0;  ///< |o - exact|_2 / |exact|_2
  double gain = 0;      ///< <o, exact> / <exact, exact>: 1 is right, 0.125 keeps an eighth
};

/// One cell of the grid, for one variant ("exact" is softmax attention in binary64).
struct NeedleCell {
  int64_t context = 0;
  double mean = 0;
  double weight = 0;
  std::string variant;
  int trials = 0;
  int found = 0;      ///< queries whose needle was read out
  OutputError error;  ///< over all trials
  /// Share of keys that left no trace in one sampled row's output: P rounded to zero, or every
  /// product P * V cut to nothing. NaN for "exact".
  double keys_lost = 0;
  double realised_weight = 0;  ///< mean softmax weight the needles really got
};

/// Runs the study. Cells come ordered by context, mean, weight, then variant, "exact" first.
/// progress, if set, is called from the calling thread with the share done.
/// Throws std::invalid_argument: contexts outside [1024, 2^20], weights outside (0, 1), trials not
/// a positive multiple of kNeedleGroup, means beyond +-64, head_dim not within 1 to 256, variants
/// with splits or none at all.
/// Cost: trials * |weights| * |means| * |variants| * sum(contexts) * head_dim * 2 multiply-adds.
/// Memory: O(max(context) * head_dim * threads).
std::vector<NeedleCell> RunNeedle(const NeedleOptions& options,
                                  const std::vector<NeedleVariant>& variants,
                                  const std::function<void(double)>& progress = {});

/// One KV head of a user's tensors under one variant.
struct HeadError {
  int64_t batch = 0;
  int64_t kv_head = 0;
  std::string variant;   ///< "exact on E4M3" is exact attention on the quantised tensors
  OutputError error;     ///< against exact attention on the tensors as given
  double keys_lost = 0;  ///< as in NeedleCell, for the head group's first sampled row
};

/// The same comparison on given tensors. bf16 and e4m3 hold the same Q, K and V in two formats (the
/// E4M3 ones with their descales); both are row-sampled alike. Recipes are the variants' with
/// `causal` and the given softmax_scale. Results are ordered by batch, head, variant.
/// Throws std::invalid_argument as AttentionForward does.
std::vector<HeadError> CompareOnTensors(const AttentionInputs& bf16, const AttentionInputs& e4m3,
                                        bool causal, float softmax_scale,
                                        const std::vector<NeedleVariant>& variants, int threads,
                                        const std::function<void(double)>& progress = {});

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_NEEDLE_H_
