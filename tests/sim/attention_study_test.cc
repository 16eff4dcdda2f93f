// What the accumulator does to attention: the effects that a separate small CPU model found, again.
// Tables and setups: docs of the model, sections named at each test. Seeds differ, so curves are
// compared within a factor, exact laws exactly.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "sim/attention_recipe.h"
#include "tests/sim/attention_problem.h"

namespace lostbits::test {
namespace {

using sim::AttentionRecipe;
using sim::PvAccumulation;

AttentionRecipe Fp8Recipe(int head_dim, int block_n, PvAccumulation accumulation,
                          int interval = 0) {
  sim::FlashAttention3Options o;
  o.head_dim = head_dim;
  o.accumulation = accumulation;
  o.interval = interval;
  AttentionRecipe recipe = FlashAttention3Recipe(o);
  recipe.block_n = block_n;
  recipe.output = fp8::kFP32;
  return recipe;
}

/// Simulated over true output for equal keys with value v.
float UniformGain(const AttentionRecipe& recipe, int64_t keys, double v) {
  AttentionProblem problem({1, 1, keys, 1, 1, recipe.head_dim}, fp8::kE4M3FN);
  Random random(1);
  problem.Fill(&problem.v, random, [v](Random&, int64_t) { return v; });
  const AttentionResult result = RunForward(recipe, problem);
  for (size_t i = 1; i < result.o.size(); ++i) EXPECT_EQ(result.o[i], result.o[0]);
  return result.O(0) / static_cast<float>(v);
}

// The accumulator keeps 13 fraction bits: a sum of 2^14 equal terms no longer feels the next one.
TEST(AttentionStudyTest, EqualKeysStagnateAtTwoToTheFourteen) {
  const AttentionRecipe one = Fp8Recipe(32, 128, PvAccumulation::kOneLevel);
  const AttentionRecipe two = Fp8Recipe(32, 128, PvAccumulation::kPerTile);
  EXPECT_EQ(UniformGain(one, 16384, 1), 1.0f);
  EXPECT_EQ(UniformGain(one, 16384 + 128, 1), 16384.0f / (16384 + 128));
  EXPECT_EQ(UniformGain(one, 32768, 1), 0.5f);
  EXPECT_EQ(UniformGain(one, 131072, 1), 0.125f);
  EXPECT_EQ(UniformGain(two, 131072, 1), 1.0f);
}

// Table 5.1, tile 192.
TEST(AttentionStudyTest, OtherValuesStagnateEarlier) {
  const struct {
    int64_t keys;
    double one[3];       // V = 1, 1.125, 1.875
    double interval[3];  // flushed every 64 tiles
  } kTable[] = {{1024, {1, 1, 1}, {1, 1, 1}},
                {2048, {1, .988, .970}, {1, .988, .970}},
                {4096, {1, .938, .892}, {1, .938, .892}},
                {8192, {1, .914, .742}, {1, .914, .742}},
                {16384, {1, .889, .533}, {1, .914, .729}},
                {32768, {.500, .445, .267}, {1, .907, .690}},
                {65536, {.250, .222, .133}, {1, .907, .687}},
                {131072, {.125, .111, .067}, {1, .906, .677}}};
  constexpr double kValues[] = {1, 1.125, 1.875};
  for (const auto& row : kTable)
    for (int i = 0; i < 3; ++i) {
      const auto at = [&](PvAccumulation accumulation, int interval) {
        return UniformGain(Fp8Recipe(16, 192, accumulation, interval), row.keys, kValues[i]);
      };
      const std::string where =
          std::to_string(row.keys) + " keys of value " + std::to_string(kValues[i]);
      EXPECT_NEAR(at(PvAccumulation::kOneLevel, 0), row.one[i], 6e-4) << where;
      EXPECT_NEAR(at(PvAccumulation::kEveryNTiles, 64), row.interval[i], 6e-4) << where;
      EXPECT_EQ(at(PvAccumulation::kPerTile, 0), 1) << where;
      EXPECT_EQ(at(PvAccumulation::kEveryNTiles, 4), 1) << where;
    }
}

/// Eight rows, logits close to N(0, 1) nats, V from N(+-mean, 1) per channel.
AttentionProblem NormalProblem(int64_t keys, int rows, int dim, double mean, uint64_t seed) {
  AttentionProblem problem({1, 1, keys, rows, 1, dim}, fp8::kE4M3FN);
  problem.FillNormal(seed);
  Random random(seed + 1);
  problem.Fill(&problem.v, random, [=](Random& r, int64_t i) {
    return r.Normal() + (i % dim % 2 == 0 ? mean : -mean);
  });
  return problem;
}

// Section 5.2.
TEST(AttentionStudyTest, ErrorAgainstContextLength) {
  const struct {
    int64_t keys;
    double one, two, every4, every64, blackwell;
  } kTable[] = {{1024, 5.9e-3, 3.0e-3, 3.8e-3, 5.9e-3, 2.7e-3},
                {4096, 2.7e-2, 1.7e-3, 3.5e-3, 2.7e-2, 1.6e-3},
                {16384, 1.05e-1, 1.4e-3, 3.7e-3, 7.0e-2, 1.2e-3},
                {131072, 4.60e-1, 1.0e-3, 3.5e-3, 8.4e-2, 8.1e-4}};
  AttentionRecipe blackwell = sim::BlackwellFp8Recipe(32);
  blackwell.output = fp8::kFP32;
  for (const auto& row : kTable) {
    const AttentionProblem problem =
        NormalProblem(row.keys, 8, 32, 0.5, static_cast<uint64_t>(row.keys));
    const AttentionRecipe one = Fp8Recipe(32, 192, PvAccumulation::kOneLevel);
    const std::vector<double> exact = RunExact(one, problem);
    const auto check = [&](const char* name, const AttentionRecipe& recipe, double expected) {
      const double error = RelativeError(RunForward(recipe, problem), exact);
      EXPECT_GT(error, expected / 2) << name << ", " << row.keys << " keys";
      EXPECT_LT(error, expected * 2) << name << ", " << row.keys << " keys";
    };
    check("one level", one, row.one);
    check("per tile", Fp8Recipe(32, 192, PvAccumulation::kPerTile), row.two);
    check("every 4", Fp8Recipe(32, 192, PvAccumulation::kEveryNTiles, 4), row.every4);
    check("every 64", Fp8Recipe(32, 192, PvAccumulation::kEveryNTiles, 64), row.every64);
    check("Blackwell", blackwell, row.blackwell);
  }
}

// Section 5.2, below the table: without a mean the sum stays small and nothing collapses.
TEST(AttentionStudyTest, NoCollapseWithoutACommonMode) {
  const AttentionProblem problem = NormalProblem(131072, 8, 32, 0, 5);
  const AttentionRecipe one = Fp8Recipe(32, 192, PvAccumulation::kOneLevel);
  const std::vector<double> exact = RunExact(one, problem);
  const double error_one = RelativeError(RunForward(one, problem), exact);
  const double error_two =
      RelativeError(RunForward(Fp8Recipe(32, 192, PvAccumulation::kPerTile), problem), exact);
  EXPECT_LT(error_one, 1.5 * error_two);
}

// Section 5.3: more splits, shorter chains. The two-level column fits a tile of 96 (with 192 one
// split gives 2.6e-4); the one-level one does not depend on the tile.
TEST(AttentionStudyTest, SplitsShortenTheChain) {
  const AttentionProblem problem = NormalProblem(131072, 4, 16, 0.5, 9);
  const auto exact_accumulation = Fp8Recipe(16, 192, PvAccumulation::kExact);
  const AttentionResult truth = RunForward(exact_accumulation, problem);
  std::vector<double> reference;
  for (size_t i = 0; i < truth.o.size(); ++i) reference.push_back(truth.O(i));
  const struct {
    int splits;
    double one, two;
  } kTable[] = {{1, .458, 8.6e-5},  {2, .317, 2.3e-4},  {4, .199, 2.2e-4},  {8, .111, 3.2e-4},
                {16, .056, 3.3e-4}, {32, .026, 3.9e-4}, {64, .011, 4.0e-4}, {128, .0043, 3.6e-4}};
  double previous = 1;
  for (const auto& row : kTable) {
    AttentionRecipe one = Fp8Recipe(16, 192, PvAccumulation::kOneLevel);
    AttentionRecipe two = Fp8Recipe(16, 96, PvAccumulation::kPerTile);
    one.num_splits = two.num_splits = row.splits;
    const double error_one = RelativeError(RunForward(one, problem), reference);
    const double error_two = RelativeError(RunForward(two, problem), reference);
    EXPECT_LT(error_one, previous) << row.splits << " splits";
    EXPECT_GT(error_one, row.one / 2) << row.splits << " splits";
    EXPECT_LT(error_one, row.one * 2) << row.splits << " splits";
    EXPECT_GT(error_two, row.two / 2) << row.splits << " splits";
    EXPECT_LT(error_two, row.two * 2) << row.splits << " splits";
    previous = error_one;
  }
}

/// A bulk of N(0, 1) logits and one key `lift` nats above the largest of them, with value zero.
AttentionProblem SinkProblem(double lift, int64_t sink_key, uint64_t seed) {
  constexpr int64_t kKeys = 32768;
  constexpr int kDim = 32;
  AttentionProblem problem({1, 1, kKeys, 1, 1, kDim}, fp8::kE4M3FN);
  Random random(seed);
  problem.Fill(&problem.q, random, [](Random&, int64_t) { return 1.0; });
  // A logit is spread over four coordinates, each a code of what is left.
  double bulk_max = -100, rest = 0, logit = 0;
  problem.Fill(&problem.k, random, [&](Random& r, int64_t i) {
    if (i % kDim >= 4) return 0.0;
    if (i % kDim == 0) rest = logit = r.Normal();
    const auto part = static_cast<double>(
        fp8::Decode<fp8::kE4M3FN>(fp8::Encode<fp8::kE4M3FN>(static_cast<float>(rest))));
    rest -= part;
    bulk_max = std::max(bulk_max, logit);
    return part;
  });
  problem.Fill(&problem.v, random,
               [](Random& r, int64_t i) { return r.Normal() + (i % 2 == 0 ? 0.5 : -0.5); });
  rest = bulk_max + lift;
  for (int c = 0; c < kDim; ++c) {
    const auto code = fp8::Encode<fp8::kE4M3FN>(rest);
    problem.k[static_cast<size_t>(sink_key * kDim + c)] = static_cast<uint8_t>(code);
    problem.v[static_cast<size_t>(sink_key * kDim + c)] = 0;
    rest -= fp8::Decode<fp8::kE4M3FN>(code);
  }
  EXPECT_LT(std::abs(rest), 1e-3);
  return problem;
}

// Section 5.4b: keys more than 12.5 nats below the running maximum round to zero; visiting the
// tiles from the last to the first saves the bulk from a sink at key 0, and only from one there.
TEST(AttentionStudyTest, VisitingOrderDecidesWhatUnderflows) {
  const struct {
    double lift, last_first, first_last;
  } kTable[] = {{0, 9.0e-4, 8.5e-4},  {8, 1.1e-3, 5.1e-2},  {9, 2.0e-3, 2.3e-1},
                {10, 4.9e-3, 7.5e-1}, {11, 6.2e-3, 9.0e-1}, {13, 6.2e-3, 1.0}};
  // The largest of the bulk's logits, which one draw fixes, moves the figures: so a mean over
  // draws.
  constexpr uint64_t kDraws = 6;
  for (const auto& row : kTable) {
    double last_first = 0, first_last = 0;
    for (uint64_t seed = 0; seed < kDraws; ++seed) {
      const AttentionProblem problem = SinkProblem(row.lift, 0, seed);
      AttentionRecipe recipe = Fp8Recipe(32, 192, PvAccumulation::kExact);
      recipe.softmax_scale = 1;
      const std::vector<double> exact = RunExact(recipe, problem);
      last_first += RelativeError(RunForward(recipe, problem), exact) / kDraws;
      recipe.order = sim::TileOrder::kFirstToLast;
      first_last += RelativeError(RunForward(recipe, problem), exact) / kDraws;
    }
    EXPECT_GT(last_first, row.last_first / 2) << row.lift;
    EXPECT_LT(last_first, row.last_first * 2) << row.lift;
    EXPECT_GT(first_last, row.first_last / 2) << row.lift;
    EXPECT_LT(first_last, row.first_last * 2) << row.lift;
    // The bad case of the hardware's order: a dominant last key.
    if (row.lift < 10) continue;
    const AttentionProblem last = SinkProblem(row.lift, 32767, 0);
    AttentionRecipe recipe = Fp8Recipe(32, 192, PvAccumulation::kExact);
    recipe.softmax_scale = 1;
    EXPECT_GT(RelativeError(RunForward(recipe, last), RunExact(recipe, last)), 0.5);
  }
}

struct Differences {
  int64_t elements = 0, differing = 0, first_length = -1;
  double largest = 0;
};

/// BF16 outputs under key tiles of 96 and of 192, over lengths.
Differences DecodeAgainstPrefill(PvAccumulation accumulation, sim::PFormat p_format,
                                 const std::vector<int64_t>& lengths) {
  Differences d;
  for (const uint64_t seed : {1, 2, 3, 4, 5}) {
    for (const int64_t keys : lengths) {
      // 32 query heads: whether a row differs at all hangs on which tile holds its largest score.
      AttentionProblem problem({1, 1, keys, 32, 1, 128}, fp8::kE4M3FN);
      problem.FillNormal(seed);
      AttentionRecipe decode = Fp8Recipe(128, 96, accumulation);
      AttentionRecipe prefill = Fp8Recipe(128, 192, accumulation);
      for (AttentionRecipe* r : {&decode, &prefill}) {
        r->output = fp8::kBF16;
        r->p_format = p_format;
      }
      const AttentionResult a = RunForward(decode, problem), b = RunForward(prefill, problem);
      for (size_t i = 0; i < a.o.size(); ++i) {
        ++d.elements;
        if (a.o[i] == b.o[i]) continue;
        ++d.differing;
        if (d.first_length < 0) d.first_length = keys;
        d.largest = std::max(d.largest, static_cast<double>(std::abs(a.O(i) - b.O(i))));
      }
    }
  }
  return d;
}

// Section 5.5: P is rounded relative to the maximum so far, and that depends on the tile.
TEST(AttentionStudyTest, DecodeAndPrefillDifferBecausePIsRounded) {
  std::vector<int64_t> lengths;
  for (int64_t n = 97; n <= 192; n += 5) lengths.push_back(n);
  for (const PvAccumulation a :
       {PvAccumulation::kPerTile, PvAccumulation::kOneLevel, PvAccumulation::kExact}) {
    EXPECT_EQ(DecodeAgainstPrefill(a, sim::PFormat::kE4M3, {1, 33, 95, 96}).differing, 0);
    EXPECT_EQ(DecodeAgainstPrefill(a, sim::PFormat::kE4M3, {97}).first_length, 97);
    const Differences d = DecodeAgainstPrefill(a, sim::PFormat::kE4M3, lengths);
    EXPECT_NEAR(static_cast<double>(d.differing) / static_cast<double>(d.elements), 0.63, 0.1);
  }
  const Differences unrounded =
      DecodeAgainstPrefill(PvAccumulation::kExact, sim::PFormat::kNone, lengths);
  EXPECT_LT(unrounded.differing * 1000, unrounded.elements);
}

}  // namespace
}  // namespace lostbits::test
