// One output of a GEMM recipe, on host and device alike: sim/gemm_recipe.h's steps 1 to 6, an
// output at a time. Equal to sim::Gemm by test; compiled with -fmad=false.
#ifndef LOSTBITS_CUDA_GEMM_TWIN_H_
#define LOSTBITS_CUDA_GEMM_TWIN_H_

#include <cstdint>

#include "cuda/gemm_plan.h"
#include "sim/accum.h"
#include "sim/exp2.h"

namespace lostbits::gpu {

/// Step 3 for one interval. The kernels v2 and v3 call the same function.
template <Promotion kPromotion>
FP8_HD inline float Promote(float sum, float partial, float scale) {
  if constexpr (kPromotion == Promotion::kScaled) return sim::FusedMultiplyAdd(scale, partial, sum);
  return sum + partial;
}

/// The one NaN.
FP8_HD inline uint32_t FloatWord(float x) {
  return sim::IsNan(x) ? sim::kFp32Nan : fp8::BitCast<uint32_t>(x);
}

/// An FP32 word in the recipe's output format, to nearest even; beyond its range Inf.
FP8_HD inline uint32_t OutputWord(fp8::Format output, uint32_t word) {
  if (fp8::StorageBits(output) == 32) return word;
  const fp8::EncodePolicy policy{.overflow = fp8::Overflow::kToSpecial, .inf = fp8::InfRule::kKeep};
  return static_cast<uint32_t>(fp8::Pack(output, fp8::Unpack(fp8::kFP32, word), policy).code);
}

FP8_HD constexpr uint32_t ElementAt(const uint8_t* row, int64_t i, int bytes) {
  uint32_t code = 0;
  for (int j = 0; j < bytes; ++j) code |= static_cast<uint32_t>(row[i * bytes + j]) << (8 * j);
  return code;
}

/// A row of a and of b, and where their scales lie: block after block, `stride` floats apart.
struct TwinLine {
  const uint8_t* codes;
  const float* scales;  ///< null without block scales
  int64_t stride;
};

/// Instructions over [k0, k1), starting from `word`.
FP8_HD inline uint32_t ChainOver(const sim::AccumSpec& unit, const uint8_t* a, const uint8_t* b,
                                 int64_t k0, int64_t k1, uint32_t word) {
  fp8::Unpacked ua[sim::kMaxInstructionK], ub[sim::kMaxInstructionK];
  const int bits_a = fp8::StorageBits(unit.a), bits_b = fp8::StorageBits(unit.b);
  const int bytes_a = bits_a <= 8 ? 1 : bits_a <= 16 ? 2 : 4;
  const int bytes_b = bits_b <= 8 ? 1 : bits_b <= 16 ? 2 : 4;
  for (int64_t k = k0; k < k1; k += unit.k) {
    const int n = static_cast<int>(k1 - k < unit.k ? k1 - k : unit.k);
    for (int i = 0; i < n; ++i) {
      ua[i] = fp8::Unpack(unit.a, ElementAt(a, k + i, bytes_a));
      ub[i] = fp8::Unpack(unit.b, ElementAt(b, k + i, bytes_b));
    }
    word = static_cast<uint32_t>(sim::DotInstruction(unit, ua, ub, n, word));
  }
  return word;
}

/// The word of D: recipes without split, c and per-tensor scales.
FP8_HD inline uint32_t GemmTwinOutput(const sim::GemmRecipe& recipe, const TwinLine& a,
                                      const TwinLine& b, int64_t k) {
  if (recipe.promote_every == 0) {
    const uint32_t word = ChainOver(recipe.unit, a.codes, b.codes, 0, k, 0);
    return recipe.output == recipe.unit.acc ? word : OutputWord(recipe.output, word);
  }
  const int64_t interval = int64_t{recipe.promote_every} * recipe.unit.k;
  float sum = 0;
  for (int64_t k0 = 0; k0 < k; k0 += interval) {
    const int64_t k1 = k0 + interval < k ? k0 + interval : k;
    const uint32_t word = ChainOver(recipe.unit, a.codes, b.codes, k0, k1, 0);
    const float partial = fp8::BitCast<float>(word);
    if (a.scales == nullptr) {
      sum = Promote<Promotion::kAdd>(sum, partial, 1);
    } else {
      const int64_t block = k0 / 128;  // sim::kScaleBlock
      sum = Promote<Promotion::kScaled>(sum, partial,
                                        a.scales[block * a.stride] * b.scales[block * b.stride]);
    }
  }
  return OutputWord(recipe.output, FloatWord(sum));
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_GEMM_TWIN_H_
