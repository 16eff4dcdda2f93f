// The fast path equals the slow reference, bit for bit, over the grid of features.
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "sim/attention_recipe.h"
#include "tests/sim/attention_reference.h"

namespace lostbits::test {
namespace {

using sim::AttentionRecipe;
using sim::FlashAttention3Options;
using sim::PvAccumulation;

void ExpectSame(const AttentionRecipe& recipe, const AttentionProblem& problem,
                const std::string& name, bool threads_too = true) {
  sim::AttentionOptions one, two;
  one.threads = 1;
  two.threads = 2;
  const AttentionResult fast = RunForward(recipe, problem, one);
  const AttentionResult slow = AttentionReference(recipe, problem).Forward();
  ASSERT_EQ(fast.o.size(), slow.o.size());
  for (size_t i = 0; i < fast.o.size(); ++i)
    ASSERT_EQ(fast.o[i], slow.o[i])
        << name << std::hex << "\n  output " << i << ": 0x" << fast.o[i] << ", reference 0x"
        << slow.o[i] << std::dec << "\n  head_dim " << problem.shape.dim << ", block_n "
        << recipe.block_n << ", seqlen_q " << problem.shape.seqlen_q << ", seqlen_k "
        << problem.shape.seqlen_k;
  for (size_t i = 0; i < fast.lse.size(); ++i)
    ASSERT_EQ(fast.lse[i], slow.lse[i]) << name << std::hex << "\n  LSE " << i << ": 0x"
                                        << fast.lse[i] << ", reference 0x" << slow.lse[i];
  if (!threads_too) return;
  const AttentionResult threaded = RunForward(recipe, problem, two);
  EXPECT_EQ(fast.o, threaded.o) << name << ": one thread and two differ";
  EXPECT_EQ(fast.lse, threaded.lse) << name;
}

fp8::Format FormatOf(bool bf16) { return bf16 ? fp8::kBF16 : fp8::kE4M3FN; }

struct Mode {
  const char* name;
  bool bf16;
  PvAccumulation accumulation;
  int interval;
};
constexpr Mode kModes[] = {{"one level", false, PvAccumulation::kOneLevel, 0},
                           {"per tile", false, PvAccumulation::kPerTile, 0},
                           {"every 1", false, PvAccumulation::kEveryNTiles, 1},
                           {"every 2", false, PvAccumulation::kEveryNTiles, 2},
                           {"every 3", false, PvAccumulation::kEveryNTiles, 3},
                           {"bf16", true, PvAccumulation::kOneLevel, 0}};

AttentionRecipe Recipe(const Mode& mode, int head_dim, bool decode = false) {
  FlashAttention3Options o;
  o.head_dim = head_dim;
  o.decode = decode;
  o.bf16 = mode.bf16;
  o.accumulation = mode.accumulation;
  o.interval = mode.interval;
  return FlashAttention3Recipe(o);
}

TEST(AttentionTwinTest, EveryHeadDimAndAccumulation) {
  uint64_t seed = 1;
  for (const Mode& mode : kModes)
    for (const int d : {64, 96, 128, 192, 256}) {
      AttentionRecipe recipe = Recipe(mode, d);
      recipe.output = seed % 2 == 0 ? fp8::kBF16 : fp8::kFP32;
      AttentionProblem problem({1, 2, 4 * recipe.block_n + 1 - 37 * (d % 5), 1, 1, d},
                               FormatOf(mode.bf16));
      problem.FillNormal(++seed);
      ExpectSame(recipe, problem, std::string(mode.name) + ", d " + std::to_string(d), d == 64);
    }
}

TEST(AttentionTwinTest, OddHeadDimsAndDecodeTiles) {
  for (const int d : {16, 80, 112}) {
    AttentionProblem problem({1, 2, 301, 1, 1, d}, fp8::kE4M3FN);
    problem.FillNormal(static_cast<uint64_t>(d));
    ExpectSame(Recipe(kModes[1], d), problem, "d " + std::to_string(d));
  }
  for (const Mode& mode : kModes)
    for (const int d : {64, 128}) {
      AttentionProblem problem({1, 1, 500, 4, 1, d}, FormatOf(mode.bf16));
      problem.FillNormal(static_cast<uint64_t>(d));
      ExpectSame(Recipe(mode, d, true), problem, std::string("decode, ") + mode.name);
    }
}

// Small tiles put many of them into short sequences: what is at stake is the schedule.
AttentionRecipe SmallTiles(const Mode& mode, int block_m, int block_n) {
  AttentionRecipe recipe = Recipe(mode, 32);
  recipe.block_m = block_m;
  recipe.block_n = block_n;
  recipe.output = fp8::kFP32;
  return recipe;
}

TEST(AttentionTwinTest, MasksSplitsHeadsDescales) {
  Random random(7);
  for (int i = 0; i < 150; ++i) {
    const Mode& mode = kModes[random.Below(6)];
    AttentionRecipe recipe = SmallTiles(mode, random.OneIn(2) ? 8 : 12, random.OneIn(2) ? 32 : 40);
    AttentionShape shape;
    shape.batch = random.Between(1, 2);
    shape.heads_kv = random.Between(1, 2);
    shape.heads_q = shape.heads_kv * random.Between(1, 3);
    shape.seqlen_q = random.Between(1, 12);
    shape.seqlen_k = random.Between(1, 200);
    shape.dim = 32;
    recipe.causal = random.OneIn(3);
    if (random.OneIn(3)) recipe.window_left = random.Between(0, 90);
    if (random.OneIn(4)) recipe.window_right = random.Between(0, 20);
    if (random.OneIn(4)) recipe.softcap = 2.5f;
    if (random.OneIn(2)) recipe.num_splits = random.Between(2, 40);
    recipe.overlap = !random.OneIn(4);
    recipe.ftz = !random.OneIn(4);
    for (bool* site :
         {&recipe.fma.max_scaled, &recipe.fma.p_argument, &recipe.fma.sink, &recipe.fma.lse,
          &recipe.fma.interval_merge, &recipe.fma.combine, &recipe.fma.combine_lse})
      *site = !random.OneIn(4);
    recipe.fma.rescale_add = random.OneIn(4);
    AttentionProblem problem(shape, FormatOf(mode.bf16));
    problem.FillNormal(random.Next());
    const auto scales = [&] {
      std::vector<float> x;
      for (int64_t j = 0; j < shape.batch * shape.heads_kv; ++j)
        x.push_back(static_cast<float>(0.3 + 2 * random.Uniform()));
      return x;
    };
    if (!mode.bf16 && random.OneIn(2)) problem.q_descale = scales();
    if (!mode.bf16 && random.OneIn(2)) problem.k_descale = scales();
    if (!mode.bf16 && random.OneIn(2)) problem.v_descale = scales();
    if (random.OneIn(3))
      for (int64_t h = 0; h < shape.heads_q; ++h)
        problem.sinks.push_back(static_cast<float>(2 * random.Normal()));
    if (random.OneIn(3)) {
      problem.query_length = shape.seqlen_q + random.Between(0, 30);
      for (int64_t r = 0; r < shape.seqlen_q; ++r)
        problem.query_numbers.push_back(random.Below(static_cast<uint32_t>(problem.query_length)));
    }
    ExpectSame(recipe, problem, "case " + std::to_string(i) + ", " + mode.name, i % 5 == 0);
    if (HasFatalFailure()) return;
  }
}

TEST(AttentionTwinTest, NanAndSaturatingInputs) {
  for (const Mode& mode : kModes) {
    Random random(11);
    for (int i = 0; i < 6; ++i) {
      AttentionRecipe recipe = SmallTiles(mode, 8, 32);
      recipe.num_splits = i % 2 == 0 ? 1 : 3;
      AttentionProblem problem({1, 3, 100, 1, 1, 32}, FormatOf(mode.bf16));
      problem.FillNormal(random.Next());
      // One NaN in Q's last row, one in K or V.
      const double nan = std::numeric_limits<double>::quiet_NaN();
      problem.Set(&problem.q, 2 * 32 + 5, nan);
      if (i % 3 == 1) problem.Set(&problem.k, 40 * 32 + 1, nan);
      if (i % 3 == 2) problem.Set(&problem.v, 70 * 32 + 9, nan);
      ExpectSame(recipe, problem, std::string("NaN, ") + mode.name);
    }
  }
  // Infinities exist in BF16 only: one in V reaches the output of its channel.
  AttentionRecipe recipe = SmallTiles(kModes[5], 8, 32);
  AttentionProblem problem({1, 2, 100, 1, 1, 32}, fp8::kBF16);
  problem.FillNormal(3);
  problem.v[2 * (50 * 32 + 4)] = 0x80;
  problem.v[2 * (50 * 32 + 4) + 1] = 0x7f;
  ExpectSame(recipe, problem, "infinite V");
  EXPECT_EQ(RunForward(recipe, problem).o[4], 0x7f80'0000u);
}

}  // namespace
}  // namespace lostbits::test
