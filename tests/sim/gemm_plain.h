// The GEMM recipe again, one output at a time: DotInstruction, integer additions, no tiles.
#ifndef LOSTBITS_TESTS_SIM_GEMM_PLAIN_H_
#define LOSTBITS_TESTS_SIM_GEMM_PLAIN_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "sim/accum.h"
#include "sim/gemm_recipe.h"
#include "tests/support/generator.h"
#include "tests/support/machine.h"

namespace lostbits::test {

/// Operands of a GEMM that own their memory. b is K x N.
struct GemmCase {
  int64_t m = 0, n = 0, k = 0;
  std::vector<uint8_t> a, b;  ///< codes of 8 bits
  std::vector<uint8_t> b_transposed;
  std::vector<float> scale_a, scale_b;
  std::vector<uint32_t> c;  ///< empty: none

  sim::GemmInputs Inputs(const sim::GemmRecipe& recipe, bool transposed = false) const {
    sim::GemmInputs in;
    in.a = {a.data(), recipe.unit.a, m, k, k};
    in.b = transposed ? sim::CodeView{b_transposed.data(), recipe.unit.b, n, k, k}
                      : sim::CodeView{b.data(), recipe.unit.b, k, n, n};
    in.b_transposed = transposed;
    const int64_t blocks = (k + 127) / 128, column_blocks = (n + 127) / 128;
    if (recipe.scale_a == sim::GemmScaling::kPerTensor) in.scale_a = {scale_a.data(), 1, 1};
    if (recipe.scale_b == sim::GemmScaling::kPerTensor) in.scale_b = {scale_b.data(), 1, 1};
    if (recipe.scale_a == sim::GemmScaling::kBlock128) in.scale_a = {scale_a.data(), m, blocks};
    if (recipe.scale_b == sim::GemmScaling::kBlock128)
      in.scale_b = {scale_b.data(), blocks, column_blocks};
    if (!c.empty()) in.c = {c.data(), m, n};
    return in;
  }
};

/// Random codes and scales; K x N stored both ways.
inline GemmCase DrawGemm(Random& r, const sim::GemmRecipe& recipe, int64_t m, int64_t n, int64_t k,
                         Pattern pattern) {
  GemmCase x{m, n, k, {}, {}, {}, {}, {}, {}};
  for (int64_t i = 0; i < m * k; ++i)
    x.a.push_back(static_cast<uint8_t>(Code(r, recipe.unit.a, pattern)));
  for (int64_t i = 0; i < k * n; ++i)
    x.b.push_back(static_cast<uint8_t>(Code(r, recipe.unit.b, pattern)));
  for (int64_t j = 0; j < n; ++j)
    for (int64_t i = 0; i < k; ++i) x.b_transposed.push_back(x.b[static_cast<size_t>(i * n + j)]);
  const int64_t blocks = (k + 127) / 128;
  for (int64_t i = 0; i < m * blocks; ++i)
    x.scale_a.push_back(static_cast<float>(0.1 + r.Uniform()));
  for (int64_t i = 0; i < blocks * ((n + 127) / 128); ++i)
    x.scale_b.push_back(static_cast<float>(0.1 + r.Uniform()));
  return x;
}

inline uint32_t CanonicalWord(float x) {
  return std::isnan(x) ? 0x7FFF'FFFFu : fp8::BitCast<uint32_t>(x);
}

inline uint32_t RoundWord(fp8::Format f, uint32_t word) {
  const fp8::EncodePolicy policy{.overflow = fp8::Overflow::kToSpecial, .inf = fp8::InfRule::kKeep};
  return static_cast<uint32_t>(fp8::Pack(f, fp8::Unpack(fp8::kFP32, word), policy).code);
}

/// Output (i, j). The host's float environment must be the default one.
inline uint32_t PlainGemm(const sim::GemmRecipe& recipe, const sim::GemmInputs& in, int64_t i,
                          int64_t j) {
  const sim::AccumSpec& unit = recipe.unit;
  const int64_t k = in.a.cols;
  std::vector<fp8::Unpacked> a, b;
  for (int64_t p = 0; p < k; ++p) {
    a.push_back(fp8::Unpack(unit.a, in.a(i, p)));
    b.push_back(fp8::Unpack(unit.b, in.b_transposed ? in.b(j, p) : in.b(p, j)));
  }
  const auto value = [](uint32_t w) { return fp8::BitCast<float>(w); };
  const auto add = [](uint32_t x, uint32_t y) {
    return static_cast<uint32_t>(sim::AddNearestEven(fp8::kFP32, x, y));
  };
  const bool block_a = recipe.scale_a == sim::GemmScaling::kBlock128;
  const bool block_b = recipe.scale_b == sim::GemmScaling::kBlock128;

  const int64_t instructions = (k + unit.k - 1) / unit.k;
  const int64_t per_interval = std::max(recipe.promote_every, 1);
  const int64_t per_tile = recipe.split_tile != 0 ? recipe.split_tile : per_interval;
  const int64_t tiles = (instructions + per_tile - 1) / per_tile;
  const int64_t per_range = (tiles + recipe.split_k - 1) / recipe.split_k * per_tile;
  const uint32_t start = in.c.data != nullptr ? in.c(i, j) : 0;
  uint32_t total = 0;
  uint32_t sum = start, partial = 0;
  for (int64_t n = 0; n < instructions; ++n) {
    const int64_t p = n * unit.k;
    const int here = static_cast<int>(std::min<int64_t>(unit.k, k - p));
    uint32_t& chain = recipe.promote_every == 0 ? sum : partial;
    chain =
        static_cast<uint32_t>(sim::DotInstruction(unit, a.data() + p, b.data() + p, here, chain));
    const bool last = n + 1 == instructions;
    if (recipe.promote_every != 0 && ((n + 1) % per_interval == 0 || last)) {
      if (block_a || block_b) {
        const float scale = (block_a ? in.scale_a(i, p / 128) : 1.0f) *
                            (block_b ? in.scale_b(p / 128, j / 128) : 1.0f);
        sum = CanonicalWord(std::fma(scale, value(partial), value(sum)));
      } else {
        sum = add(sum, partial);
      }
      partial = 0;
    }
    if (recipe.split_k > 1 && ((n + 1) % per_range == 0 || last)) {
      if (recipe.partial == fp8::kBF16) sum = RoundWord(fp8::kBF16, sum) << 16;
      total = add(total, sum);
      sum = 0;
    }
  }
  if (recipe.split_k == 1) total = sum;
  const bool tensor_a = recipe.scale_a == sim::GemmScaling::kPerTensor;
  const bool tensor_b = recipe.scale_b == sim::GemmScaling::kPerTensor;
  if (tensor_a || tensor_b) {
    const float scale = (tensor_a ? in.scale_a(0, 0) : 1.0f) * (tensor_b ? in.scale_b(0, 0) : 1.0f);
    total = CanonicalWord(scale * value(total));
  }
  if (unit.acc == fp8::kFP16 || recipe.output == fp8::kFP32) return total;
  return RoundWord(recipe.output, total);
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_GEMM_PLAIN_H_
