// Two kernels on the same inputs: differences counted against a plain count, blame against kernels
// that differ in one known thing.
#include "sim/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "sim/arch_check.h"
#include "sim/attention_recipe.h"
#include "sim/compare_attention.h"
#include "sim/random.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

using sim::ComparedKernel;
using sim::Feature;
using sim::GemmRecipe;
using sim::KernelComparison;

constexpr int64_t kM = 5, kN = 7;

/// Operands of N(0, 1) in the formats of a unit; the same numbers for every format that holds them.
struct Inputs {
  Inputs(const sim::AccumSpec& unit, int64_t k, uint64_t seed)
      : a(Draw(unit.a, kM * k, seed)), b(Draw(unit.b, k * kN, seed + 1)) {
    in.a = {a.data(), unit.a, kM, k, k};
    in.b = {b.data(), unit.b, k, kN, kN};
  }
  static std::vector<uint16_t> Draw(fp8::Format f, int64_t count, uint64_t seed) {
    std::vector<uint16_t> words(static_cast<size_t>(count));
    auto* bytes = reinterpret_cast<uint8_t*>(words.data());
    for (int64_t i = 0; i < count; ++i) {
      const double x = sim::Random(seed, static_cast<uint64_t>(i)).Normal();
      const uint32_t e4m3 = fp8::Encode<fp8::kE4M3FN>(x);
      const auto code = static_cast<uint16_t>(fp8::Pack(f, fp8::Unpack(fp8::kE4M3FN, e4m3)).code);
      if (fp8::StorageBits(f) <= 8) {
        bytes[i] = static_cast<uint8_t>(code);
      } else {
        words[static_cast<size_t>(i)] = code;
      }
    }
    return words;
  }
  std::vector<uint16_t> a, b;
  sim::GemmInputs in;
};

GemmRecipe Recipe(const char* machine) {
  GemmRecipe r;
  r.unit = test::Row(machine).spec;
  r.output = r.unit.acc;
  return r;
}

struct Pair {
  Pair(const GemmRecipe& x, const GemmRecipe& y, int64_t k)
      : inputs_a(x.unit, k, 1), inputs_b(y.unit, k, 1), a{x, inputs_a.in}, b{y, inputs_b.in} {}
  KernelComparison Compare(bool attribute = true) {
    return sim::CompareKernels(a, b, attribute, {words_a.data(), kM, kN}, {words_b.data(), kM, kN},
                               2);
  }
  Inputs inputs_a, inputs_b;
  ComparedKernel a, b;
  std::vector<uint32_t> words_a = std::vector<uint32_t>(kM * kN), words_b = words_a;
};

const sim::Attribution& Find(const KernelComparison& c, Feature feature) {
  for (const sim::Attribution& f : c.features) {
    if (f.feature == feature) return f;
  }
  throw std::out_of_range("no such feature");
}

TEST(Compare, AKernelEqualsItself) {
  const GemmRecipe r = Recipe("hopper:wgmma:e4m3:f32");
  Pair pair(r, r, 500);
  const KernelComparison c = pair.Compare();
  EXPECT_EQ(c.outputs, kM * kN);
  EXPECT_EQ(c.different, 0);
  EXPECT_EQ(c.row, -1);
  EXPECT_TRUE(c.features.empty());
  EXPECT_EQ(sim::FirstDifference(pair.a, pair.b, 0, 0), 0);
}

TEST(Compare, CountsWhatDiffers) {
  Pair pair(Recipe("hopper:wgmma:e4m3:f32"), Recipe("blackwell:tcgen05:e4m3:f32"), 300);
  const KernelComparison c = pair.Compare(false);
  int64_t different = 0;
  double worst = 0;
  for (size_t i = 0; i < pair.words_a.size(); ++i) {
    if (pair.words_a[i] == pair.words_b[i]) continue;
    if (different++ == 0) {
      EXPECT_EQ(c.row * kN + c.col, static_cast<int64_t>(i));
    }
    // E8M13, the coarser of the two results: 2^-13 below the leading bit.
    const double x = fp8::BitCast<float>(pair.words_a[i]), y = fp8::BitCast<float>(pair.words_b[i]);
    const double larger = std::max(std::abs(x), std::abs(y));
    worst = std::max(worst, std::abs(x - y) / std::ldexp(1.0, std::ilogb(larger) - 13));
  }
  EXPECT_GT(different, 0);
  EXPECT_EQ(c.different, different);
  EXPECT_EQ(c.max_ulp, worst);
}

// Hopper's and Ada's FP8 units differ in the group's length, and in a clamp that FP8 cannot reach.
TEST(Compare, NamesTheOneFeatureToBlame) {
  Pair pair(Recipe("hopper:wgmma:e4m3:f32"), Recipe("ada:mma.sync:e4m3:f32"), 700);
  const KernelComparison c = pair.Compare();
  ASSERT_GT(c.different, 0);
  ASSERT_EQ(c.features.size(), 2u);
  const sim::Attribution& group = Find(c, Feature::kGroup);
  EXPECT_EQ(group.a_to_b->equal, c.different);
  EXPECT_EQ(group.b_to_a->equal, c.different);
  EXPECT_EQ(group.a_to_b->rms_left, 0);
  const sim::Attribution& clamp = Find(c, Feature::kClamp);
  EXPECT_EQ(clamp.a_to_b->equal, 0);
  EXPECT_EQ(clamp.a_to_b->rms_left, 1);
}

TEST(Compare, NamesPromotionAndSplits) {
  const GemmRecipe plain = Recipe("hopper:wgmma:e4m3:f32");
  for (Feature feature : {Feature::kPromotion, Feature::kSplitK}) {
    GemmRecipe other = plain;
    if (feature == Feature::kPromotion) {
      other.promote_every = 4;
    } else {
      other.split_k = 3;
      other.split_tile = 4;
    }
    Pair pair(plain, other, 900);
    const KernelComparison c = pair.Compare();
    ASSERT_GT(c.different, 0);
    ASSERT_EQ(c.features.size(), 1u);
    EXPECT_EQ(c.features[0].feature, feature);
    EXPECT_EQ(c.features[0].a_to_b->equal, c.different);
  }
}

TEST(Compare, RangesOfTilesAreComparedInK) {
  GemmRecipe k32 = Recipe("hopper:wgmma:e4m3:f32"), k16 = Recipe("hopper:wgmma:bf16:f32");
  ASSERT_EQ(k32.unit.k, 2 * k16.unit.k);
  k32.split_k = k16.split_k = 3;
  k32.split_tile = 4;
  k16.split_tile = 8;
  for (Feature feature : sim::DifferingFeatures(k32, k16)) EXPECT_NE(feature, Feature::kSplitK);
  k16.split_tile = 4;
  EXPECT_EQ(sim::WithFeature(k32, k16, Feature::kSplitK)->split_tile, 2);
  k16.split_tile = 5;  // 80 k: no tile of instructions of 32
  EXPECT_FALSE(sim::WithFeature(k32, k16, Feature::kSplitK));
  k16.split_tile = 6;  // 96 k: cuts intervals of 128
  k32.promote_every = 4;
  EXPECT_FALSE(sim::WithFeature(k32, k16, Feature::kSplitK));
}

// Moving every feature, in any order that stays a machine, turns one recipe into the other.
TEST(Compare, AllFeaturesTogetherAreTheWholeDifference) {
  int refused = 0;
  for (const sim::ArchRow& from : sim::kArchTable) {
    if (!sim::HasMatrixProduct(from.spec)) continue;
    GemmRecipe target = Recipe("hopper:wgmma:e4m3:f32");
    target.unit = from.spec;
    target.output = from.spec.acc;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      GemmRecipe r = Recipe("hopper:wgmma:e4m3:f32");
      std::mt19937 random(static_cast<unsigned>(seed));
      // Each pass moves at least one feature, or none can move any more.
      for (int pass = 0; pass <= static_cast<int>(Feature::kOutput); ++pass) {
        std::vector<Feature> features = sim::DifferingFeatures(r, target);
        std::shuffle(features.begin(), features.end(), random);
        for (Feature feature : features) {
          const auto moved = sim::WithFeature(r, target, feature);
          refused += !moved.has_value();
          if (!moved) continue;
          EXPECT_EQ(sim::WhyNoMachine(moved->unit), "") << test::Name(from);
          r = *moved;
        }
      }
      EXPECT_TRUE(r == target) << test::Name(from) << ", seed " << seed;
    }
  }
  EXPECT_GT(refused, 0);  // else no order was worth trying
}

bool Has(const std::vector<Feature>& features, Feature feature) {
  return std::find(features.begin(), features.end(), feature) != features.end();
}

// An exact sum has no F and no e_zero: they come and go with the way of adding.
TEST(Compare, TheGridBelongsToTheFlow) {
  const GemmRecipe exact = Recipe("cdna1:mfma:f16:f32"),
                   chained = Recipe("hopper:mma.sync:f16:f32");
  const std::vector<Feature> features = sim::DifferingFeatures(exact, chained);
  EXPECT_TRUE(Has(features, Feature::kFlow));
  EXPECT_FALSE(Has(features, Feature::kFraction));
  EXPECT_FALSE(Has(features, Feature::kClamp));
  const auto aligned = sim::WithFeature(exact, chained, Feature::kFlow);
  ASSERT_TRUE(aligned.has_value());
  EXPECT_EQ(aligned->unit.fraction_bits, 25);
  EXPECT_EQ(aligned->unit.e_zero, -133);

  // Two flows with a grid: F is a feature of its own, the bits of the late sum are not.
  GemmRecipe wide = Recipe("ampere:mma.sync:f16:f32");
  wide.unit.fraction_bits = 40;
  const GemmRecipe late = Recipe("cdna3:mfma:f16:f32");
  EXPECT_TRUE(Has(sim::DifferingFeatures(late, wide), Feature::kFraction));
  EXPECT_FALSE(sim::WithFeature(late, wide, Feature::kFraction).has_value());  // sum_bits is 32
  EXPECT_FALSE(sim::WithFeature(wide, late, Feature::kFlow).has_value());
  const auto narrow = sim::WithFeature(wide, late, Feature::kFraction);
  ASSERT_TRUE(narrow.has_value());
  EXPECT_EQ(sim::WithFeature(*narrow, late, Feature::kFlow)->unit.sum_bits, 32);

  // What a flow does not read is no difference.
  GemmRecipe other = exact;
  other.unit.fraction_bits = 7;
  other.unit.sum_bits = 9;
  other.unit.flush = true;
  EXPECT_TRUE(sim::DifferingFeatures(exact, other).empty());
}

TEST(Compare, RefusesWhatIsNoMachine) {
  const GemmRecipe wgmma = Recipe("hopper:wgmma:e4m3:f32");
  GemmRecipe emulated = Recipe("hopper:mma.sync:e4m3:f32");
  // An emulated instruction has two groups: 32 products in one group are none.
  EXPECT_FALSE(sim::WithFeature(wgmma, emulated, Feature::kFlow).has_value());
  EXPECT_FALSE(sim::WithFeature(emulated, wgmma, Feature::kGroup).has_value());
  GemmRecipe promoted = wgmma;
  promoted.promote_every = 1;  // every 32 products: no whole number of instructions of 64
  GemmRecipe longer = wgmma;
  longer.unit.k = 64;
  EXPECT_FALSE(sim::WithFeature(promoted, longer, Feature::kGroup).has_value());
  promoted.promote_every = 4;
  const auto moved = sim::WithFeature(promoted, longer, Feature::kGroup);
  ASSERT_TRUE(moved.has_value());
  EXPECT_EQ(moved->promote_every, 2);  // still every 128 products
}

TEST(Compare, FindsTheFirstDifference) {
  Pair pair(Recipe("hopper:wgmma:e4m3:f32"), Recipe("ada:mma.sync:e4m3:f32"), 700);
  const KernelComparison c = pair.Compare(false);
  const int64_t first = sim::FirstDifference(pair.a, pair.b, c.row, c.col);
  ASSERT_GT(first, 0);
  EXPECT_EQ(first % 32, 0);
  for (int64_t k = 32; k <= first; k += 32) {
    Pair shorter = pair;
    shorter.a = sim::FirstProducts(pair.a, k);
    shorter.b = sim::FirstProducts(pair.b, k);
    shorter.Compare(false);
    const auto at = static_cast<size_t>(c.row * kN + c.col);
    EXPECT_EQ(shorter.words_a[at] != shorter.words_b[at], k == first) << k;
  }
  // Rounded to another format, every prefix is a kernel of its own; a last c of FP32 that differs
  // in its low bits alone is no difference then.
  for (ComparedKernel* kernel : {&pair.a, &pair.b}) kernel->recipe.output = fp8::kBF16;
  const int64_t rounded = sim::FirstDifference(pair.a, pair.b, c.row, c.col);
  EXPECT_TRUE(rounded == 0 || rounded >= first) << rounded;
}

TEST(Compare, FindsTheFirstDifferenceOfPromotion) {
  const GemmRecipe plain = Recipe("hopper:wgmma:e4m3:f32");
  GemmRecipe promoted = plain;
  promoted.promote_every = 4;
  Pair pair(plain, promoted, 700);
  const KernelComparison c = pair.Compare(false);
  ASSERT_GT(c.different, 0);
  // Up to the first promotion, and the sum of it with zero, the two are one kernel.
  EXPECT_GT(sim::FirstDifference(pair.a, pair.b, c.row, c.col), 128);
}

// The ranges of a shorter k are others: no prefix of a split kernel is that kernel.
TEST(Compare, NoFirstDifferenceUnderSplits) {
  const GemmRecipe plain = Recipe("hopper:wgmma:e4m3:f32");
  GemmRecipe split = plain;
  split.split_k = 3;
  Pair pair(plain, split, 900);
  const KernelComparison c = pair.Compare(false);
  ASSERT_GT(c.different, 0);
  EXPECT_EQ(sim::FirstDifference(pair.a, pair.b, c.row, c.col), 0);
  EXPECT_EQ(sim::FirstDifference(pair.b, pair.a, c.row, c.col), 0);
}

// FP8 decode and prefill kernels differ in their key tile alone, first at 97 keys: one tile of 96
// against one of 192 (vllm-project/vllm issue 54035).
TEST(CompareAttention, DecodeAndPrefillPartAtKey97) {
  sim::FlashAttention3Options decode, prefill;
  decode.decode = true;
  constexpr int64_t kHeads = 2, kDim = 128, kKeys = 400;
  std::vector<uint8_t> codes[3];
  sim::AttentionInputs in;
  for (int i = 0; i < 3; ++i) {
    const int64_t length = i == 0 ? 1 : kKeys;
    for (int64_t x = 0; x < length * kHeads * kDim; ++x) {
      const double value =
          sim::Random(7 + static_cast<uint64_t>(i), static_cast<uint64_t>(x)).Normal();
      codes[i].push_back(static_cast<uint8_t>(fp8::Encode<fp8::kE4M3FN>(value)));
    }
    (i == 0   ? in.q
     : i == 1 ? in.k
              : in.v) =
        sim::ContiguousHeads(codes[i].data(), fp8::kE4M3FN, 1, length, kHeads, kDim);
  }
  const sim::ComparedAttention a{sim::FlashAttention3Recipe(decode), in};
  const sim::ComparedAttention b{sim::FlashAttention3Recipe(prefill), in};
  EXPECT_EQ(sim::CompareAttention(a, b, 96, false, 2).different, 0);
  EXPECT_GT(sim::CompareAttention(a, b, 97, false, 2).different, 0);
  const sim::AttentionComparison c = sim::CompareAttention(a, b, kKeys, true, 2);
  ASSERT_GT(c.different, 0);
  ASSERT_EQ(c.features.size(), 1u);
  EXPECT_EQ(c.features[0].feature, sim::AttentionFeature::kTile);
  EXPECT_EQ(c.features[0].a_becomes_b, c.different);
  EXPECT_EQ(c.features[0].b_becomes_a, c.different);
}

TEST(CompareAttention, UnitsMoveWithTheirOperands) {
  sim::FlashAttention3Options fp8, bf16;
  bf16.bf16 = true;
  const sim::AttentionRecipe x = sim::FlashAttention3Recipe(fp8),
                             y = sim::FlashAttention3Recipe(bf16);
  const sim::AttentionRecipe moved = sim::WithFeature(x, y, sim::AttentionFeature::kUnits);
  EXPECT_TRUE(moved.qk == y.qk && moved.pv == y.pv && moved.p_format == y.p_format);
  EXPECT_EQ(moved.max_offset, y.max_offset);
  EXPECT_EQ(moved.block_n, x.block_n);
}

}  // namespace
}  // namespace lostbits
