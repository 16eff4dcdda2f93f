// Gemm = a plain loop over outputs, for every combination of a recipe's fields, on any number of
// threads and in any floating-point environment.
#include "sim/gemm_recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <vector>

#include "tests/sim/gemm_plain.h"

namespace lostbits {
namespace {

using sim::GemmRecipe;
using sim::GemmScaling;
using test::GemmCase;
using test::Pattern;

std::vector<uint32_t> RunGemm(const GemmRecipe& recipe, const GemmCase& x, int threads = 1,
                              bool transposed = false) {
  std::vector<uint32_t> d(static_cast<size_t>(x.m * x.n), 0xDEAD'BEEF);
  sim::Gemm(recipe, x.Inputs(recipe, transposed), {d.data(), x.m, x.n}, threads);
  return d;
}

::testing::AssertionResult EqualsPlain(const GemmRecipe& recipe, const GemmCase& x,
                                       const std::vector<uint32_t>& d) {
  const sim::GemmInputs in = x.Inputs(recipe);
  for (int64_t i = 0; i < x.m; ++i) {
    for (int64_t j = 0; j < x.n; ++j) {
      const uint32_t got = d[static_cast<size_t>(i * x.n + j)];
      const uint32_t want = test::PlainGemm(recipe, in, i, j);
      if (got == want) continue;
      return ::testing::AssertionFailure()
             << "M N K = " << x.m << ' ' << x.n << ' ' << x.k << ", (" << i << ", " << j
             << "): got " << test::Hex(got) << ", plain loop " << test::Hex(want)
             << "; promote_every " << recipe.promote_every << ", split_k " << recipe.split_k
             << " of tiles of " << recipe.split_tile << ", scales " << int(recipe.scale_a) << ' '
             << int(recipe.scale_b) << ", partial BF16 " << (recipe.partial == fp8::kBF16)
             << ", output M" << int{recipe.output.mantissa_bits};
    }
  }
  return ::testing::AssertionSuccess();
}

TEST(GemmRecipe, EqualsThePlainLoopForEveryCombination) {
  test::Random r(40);
  const GemmScaling kinds[] = {GemmScaling::kNone, GemmScaling::kPerTensor, GemmScaling::kBlock128};
  int runs = 0;
  for (const char* name : {"hopper:wgmma:e4m3:f32", "ada:mma.sync:e5m2:f32",
                           "blackwell:tcgen05:e4m3.e5m2:f32", "blackwell:mma.sync:e4m3:f32"}) {
    for (GemmScaling scale_a : kinds) {
      for (GemmScaling scale_b : kinds) {
        for (int promote_every : {0, 1, 2, 3, 4}) {
          const bool blocks =
              scale_a == GemmScaling::kBlock128 || scale_b == GemmScaling::kBlock128;
          if (blocks && (promote_every == 0 || promote_every == 3)) continue;
          GemmRecipe recipe{.unit = test::Row(name).spec,
                            .promote_every = promote_every,
                            .scale_a = scale_a,
                            .scale_b = scale_b};
          recipe.split_k = r.OneIn(2) ? 1 : r.Between(2, 5);
          if (recipe.split_k > 1 && r.OneIn(2))
            recipe.split_tile = std::max(promote_every, 1) * r.Between(1, 4);
          recipe.partial = r.OneIn(2) ? fp8::kFP32 : fp8::kBF16;
          const fp8::Format outputs[] = {fp8::kFP32, fp8::kBF16, fp8::kFP16};
          recipe.output = outputs[r.Below(3)];
          const Pattern patterns[] = {Pattern::kNormal, Pattern::kFinite, Pattern::kSpecials};
          GemmCase x = DrawGemm(r, recipe, r.Between(1, 5), r.Between(1, 5) * 30, r.Between(1, 420),
                                patterns[r.Below(3)]);
          const bool tensor =
              scale_a == GemmScaling::kPerTensor || scale_b == GemmScaling::kPerTensor;
          if (recipe.split_k == 1 && !tensor && r.OneIn(2)) {
            for (int64_t i = 0; i < x.m * x.n; ++i)
              x.c.push_back(static_cast<uint32_t>(test::AddendWord(r, recipe.unit.acc, 0)));
          }
          ASSERT_TRUE(EqualsPlain(recipe, x, RunGemm(recipe, x, 1, r.OneIn(2)))) << name;
          ++runs;
        }
      }
    }
  }
  EXPECT_EQ(runs, 4 * (4 * 5 + 5 * 3));
}

TEST(GemmRecipe, CrossesTilesAndPackedBlocks) {
  test::Random r(41);
  for (int promote_every : {0, 4}) {
    const GemmRecipe recipe{.unit = test::Row("hopper:wgmma:e4m3:f32").spec,
                            .promote_every = promote_every};
    for (const auto& [m, n, k] : {std::array<int, 3>{259, 131, 65}, {3, 5, 2100}, {1, 1, 1}}) {
      const GemmCase x = DrawGemm(r, recipe, m, n, k, Pattern::kNormal);
      const std::vector<uint32_t> d = RunGemm(recipe, x);
      ASSERT_TRUE(EqualsPlain(recipe, x, d));
      EXPECT_EQ(RunGemm(recipe, x, 2), d);
      EXPECT_EQ(RunGemm(recipe, x, 5, true), d);
    }
  }
}

TEST(GemmRecipe, FP16AccumulatorsRunPlain) {
  test::Random r(42);
  const GemmRecipe recipe{.unit = test::Row("hopper:wgmma:e4m3:f16").spec, .output = fp8::kFP16};
  GemmCase x = DrawGemm(r, recipe, 4, 20, 70, Pattern::kNormal);
  for (int64_t i = 0; i < x.m * x.n; ++i)
    x.c.push_back(static_cast<uint32_t>(test::NormalCode(r, fp8::kFP16)));
  EXPECT_TRUE(EqualsPlain(recipe, x, RunGemm(recipe, x)));
}

TEST(GemmRecipe, CallersEnvironmentChangesNothingAndComesBack) {
  test::Random r(43);
  GemmRecipe recipe{.unit = test::Row("hopper:wgmma:e4m3:f32").spec,
                    .promote_every = 4,
                    .scale_a = GemmScaling::kBlock128,
                    .scale_b = GemmScaling::kBlock128,
                    .split_k = 2};
  const GemmCase x = DrawGemm(r, recipe, 7, 150, 300, Pattern::kNormal);
  const std::vector<uint32_t> d = RunGemm(recipe, x);
  for (int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
    for (int threads : {1, 2}) {
      ASSERT_EQ(std::fesetround(mode), 0);
      const std::vector<uint32_t> other = RunGemm(recipe, x, threads);
      EXPECT_EQ(std::fegetround(), mode);
      std::fesetround(FE_TONEAREST);
      EXPECT_EQ(other, d) << "rounding mode " << mode << ", threads " << threads;
    }
  }
}

}  // namespace
}  // namespace lostbits
