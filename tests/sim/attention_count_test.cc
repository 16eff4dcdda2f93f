// Products counted in lanes = products counted by the integers.
#include "sim/attention_count.h"

#include <cmath>
#include <string>
#include <vector>

#include "sim/attention_recipe.h"
#include "tests/sim/attention_problem.h"
#include "tests/sim/lanes_case.h"

namespace lostbits::test {
namespace {

using sim::AttentionRecipe;
using sim::LostProducts;
using sim::PvAccumulation;

void ExpectSame(const LostProducts& got, const LostProducts& want, const std::string& where) {
  EXPECT_EQ(got.keys, want.keys) << where;
  EXPECT_EQ(got.keys_p_zero, want.keys_p_zero) << where;
  EXPECT_EQ(got.keys_cut, want.keys_cut) << where;
  EXPECT_EQ(got.products, want.products) << where;
  EXPECT_EQ(got.products_cut, want.products_cut) << where;
}

/// Wide scores and values, some of them zero: products over some 40 binades.
AttentionProblem Problem(fp8::Format format, int64_t keys, int64_t dim, uint64_t seed) {
  AttentionProblem p({1, 2, keys, 2, 1, dim}, format);
  p.FillNormal(seed);
  Random random(seed);
  p.Fill(&p.q, random, [](Random& r, int64_t) { return 4 * r.Normal(); });
  p.Fill(&p.v, random, [](Random& r, int64_t) {
    return r.OneIn(5) ? 0.0 : std::ldexp(1 + r.Uniform(), r.Between(-9, 7));
  });
  return p;
}

struct Machine {
  const char* name;
  AttentionRecipe recipe;
};

std::vector<Machine> Machines(int dim) {
  const auto hopper = [&](bool bf16, PvAccumulation accumulation, int interval) {
    return sim::FlashAttention3Recipe({.head_dim = dim,
                                       .bf16 = bf16,
                                       .accumulation = accumulation,
                                       .interval = interval,
                                       .causal = true});
  };
  AttentionRecipe splits = hopper(false, PvAccumulation::kOneLevel, 0);
  splits.num_splits = 3;
  return {{"one level", hopper(false, PvAccumulation::kOneLevel, 0)},
          {"per tile", hopper(false, PvAccumulation::kPerTile, 0)},
          {"every 2", hopper(false, PvAccumulation::kEveryNTiles, 2)},
          {"bf16", hopper(true, PvAccumulation::kOneLevel, 0)},
          {"blackwell", sim::BlackwellFp8Recipe(dim)},
          {"splits", splits}};
}

TEST(AttentionCountTest, LanesEqualTheIntegers) {
  for (const int64_t target : Targets()) {
    const ForcedTarget forced(target);
    for (const int64_t dim : {64, 24}) {
      for (const Machine& m : Machines(static_cast<int>(dim))) {
        const AttentionProblem p = Problem(m.recipe.qk.a, dim == 64 ? 1501 : 333, dim, 9);
        const sim::AttentionInputs in = p.Inputs();
        const sim::RowPlace row{0, 1, 1};
        const LostProducts want = CountLostProducts(m.recipe, in, 0, 1, 1);
        EXPECT_GT(want.products_cut, 0) << m.name;
        const auto values = sim::KeyTiles(in.v, 0, 0, m.recipe.block_n);
        const std::vector<LostProducts> got = CountLostInLanes(m.recipe, in, row, values, 1);
        ASSERT_EQ(got.size(), 1u);
        ExpectSame(got[0], want, std::string(hwy::TargetName(target)) + ", " + m.name);
      }
    }
  }
}

// Two values beside each other: each part counts as if it were alone.
TEST(AttentionCountTest, PartsSideBySide) {
  const int64_t dim = 40, keys = 500;
  const AttentionRecipe recipe =
      sim::FlashAttention3Recipe({.head_dim = 40, .accumulation = PvAccumulation::kOneLevel});
  AttentionProblem p = Problem(fp8::kE4M3FN, keys, dim, 4);
  const std::vector<uint8_t> first = p.v, second = Problem(fp8::kE4M3FN, keys, dim, 5).v;
  std::vector<uint8_t> both;
  for (int64_t key = 0; key < keys; ++key)
    for (const auto* v : {&first, &second})
      both.insert(both.end(), v->begin() + key * dim, v->begin() + (key + 1) * dim);
  const sim::HeadsView wide = sim::ContiguousHeads(both.data(), fp8::kE4M3FN, 1, keys, 1, 2 * dim);
  const std::vector<LostProducts> got =
      CountLostInLanes(recipe, p.Inputs(), {0, 0, 1}, sim::KeyTiles(wide, 0, 0, recipe.block_n), 2);
  ASSERT_EQ(got.size(), 2u);
  ExpectSame(got[0], CountLostProducts(recipe, p.Inputs(), 0, 0, 1), "first part");
  p.v = second;
  ExpectSame(got[1], CountLostProducts(recipe, p.Inputs(), 0, 0, 1), "second part");
  EXPECT_NE(got[0].products_cut, got[1].products_cut);
}

}  // namespace
}  // namespace lostbits::test
