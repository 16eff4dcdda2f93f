// The needle study: what is planted, what is read out, and the cliff it exists to show.
#include "sim/needle.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "fp8/codec.h"
#include "sim/haystack.h"
#include "sim/random.h"

namespace lostbits::sim {
namespace {

double Value(uint8_t code) { return fp8::Decode<fp8::kE4M3FN>(code); }

TEST(Random, NormalHasTheMomentsOfANormal) {
  Random random(1);
  constexpr int kCount = 1 << 20;
  double sum = 0, sum2 = 0, sum4 = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.Normal();
    sum += x;
    sum2 += x * x;
    sum4 += x * x * x * x;
  }
  // Five standard deviations of each estimate: 1, sqrt(2), sqrt(96) over sqrt(count).
  EXPECT_NEAR(sum / kCount, 0, 5 * 1.0 / 1024);
  EXPECT_NEAR(sum2 / kCount, 1, 5 * std::sqrt(2.0) / 1024);
  EXPECT_NEAR(sum4 / kCount, 3 - 1.0 / 64, 5 * std::sqrt(96.0) / 1024);
}

TEST(Haystack, PlantsDistinctNeedlesOfTheWantedLogit) {
  const double weights[] = {0.05, 0.2};
  const Haystack h = MakeHaystack(4096, 128, weights, 8, 7);
  ASSERT_EQ(h.rows(), 16);
  EXPECT_EQ(std::set<int64_t>(h.needle.begin(), h.needle.end()).size(), 16u);
  for (size_t r = 0; r < 16; ++r) {
    EXPECT_EQ(h.weight[r], r < 8 ? 0.05 : 0.2);
    double dot = 0, norm2 = 0;
    for (size_t c = 0; c < 128; ++c) {
      const double q = Value(h.q[r * 128 + c]);
      dot += q * Value(h.k[static_cast<size_t>(h.needle[r]) * 128 + c]);
      norm2 += q * q;
    }
    const double wanted =
        std::log(h.weight[r] / (1 - h.weight[r])) + std::log(4095.0) + norm2 / 256;
    EXPECT_NEAR(dot / std::sqrt(128.0), wanted, 0.01) << "row " << r;  // 1 % of the weight
  }
}

TEST(Haystack, ValuesAreCommonModePlusCodeword) {
  const double weights[] = {0.1};
  const Haystack h = MakeHaystack(1024, 64, weights, 8, 3);
  for (double mean : {0.0, 0.25, 2.0}) {  // exact in E4M3
    const std::vector<uint8_t> v = HaystackValues(h, mean);
    for (size_t j = 0; j < 1024; ++j) {
      for (size_t c = 0; c < 64; ++c)
        ASSERT_EQ(Value(v[j * 64 + c]),
                  mean * h.common_mode[c] + h.codebook[h.codeword[j] * size_t{64} + c]);
    }
  }
}

TEST(Haystack, ReadOutFindsAFaintCodewordOverTheMean) {
  const double weights[] = {0.1};
  const Haystack h = MakeHaystack(1024, 64, weights, 8, 3);
  std::vector<double> expected(64), count(kCodewords);
  for (uint8_t w : h.codeword) ++count[w];
  for (size_t c = 0; c < 64; ++c) {
    expected[c] = 2.0 * h.common_mode[c];
    for (size_t w = 0; w < kCodewords; ++w) expected[c] += count[w] / 1024 * h.codebook[w * 64 + c];
  }
  for (size_t word = 0; word < kCodewords; ++word) {
    std::vector<double> output = expected;
    for (size_t c = 0; c < 64; ++c) output[c] += 0.01 * h.codebook[word * 64 + c];
    EXPECT_EQ(ReadOut(h, 2.0, output), static_cast<int>(word));
  }
}

NeedleOptions Small() {
  NeedleOptions o;
  o.contexts = {1024, 16384};
  o.means = {0, 2};
  o.weights = {0.05, 0.2};
  o.trials = 16;
  o.head_dim = 64;
  return o;
}

const NeedleCell& Find(const std::vector<NeedleCell>& cells, int64_t context, double mean,
                       double weight, const std::string& variant) {
  for (const NeedleCell& c : cells) {
    if (c.context == context && c.mean == mean && c.weight == weight && c.variant == variant)
      return c;
  }
  throw std::out_of_range(variant);
}

// fp8-attention.md 5.4: at 16k and mu = 2 a weak needle is lost under one-level accumulation, and
// under no other; without a common mode nothing is lost anywhere.
TEST(Needle, OneLevelAccumulationLosesAWeakNeedleUnderACommonMode) {
  const auto cells = RunNeedle(Small(), DefaultNeedleVariants(64));
  ASSERT_EQ(cells.size(), 2u * 2 * 2 * 7);
  for (const NeedleCell& c : cells) {
    SCOPED_TRACE(c.variant + " N " + std::to_string(c.context) + " mu " + std::to_string(c.mean) +
                 " w " + std::to_string(c.weight));
    EXPECT_NEAR(c.realised_weight, c.weight, 0.15 * c.weight);
    // Short contexts are noisy for exact attention too (5.4: .99 at 1k), but no noisier in FP8.
    const int exact = Find(cells, c.context, c.mean, c.weight, "exact").found;
    EXPECT_GE(exact, 12);
    if (c.mean == 0 || c.context == 1024) {
      EXPECT_NEAR(c.found, exact, 1);
    }
    if (c.variant == "exact") {
      EXPECT_EQ(c.error.relative, 0);
      EXPECT_TRUE(std::isnan(c.keys_lost));
    } else {
      EXPECT_GT(c.error.relative, 0);
    }
  }
  EXPECT_LE(Find(cells, 16384, 2, 0.05, "FP8 one-level").found, 3);
  EXPECT_LT(Find(cells, 16384, 2, 0.05, "FP8 one-level").error.gain, 0.9);
  EXPECT_GT(Find(cells, 16384, 2, 0.05, "FP8 one-level").keys_lost, 0.1);
  for (const char* fine :
       {"exact", "BF16", "FP8 two-level, every tile", "FP8 two-level, every 4", "FP8 Blackwell"}) {
    EXPECT_EQ(Find(cells, 16384, 2, 0.05, fine).found, 16) << fine;
    EXPECT_NEAR(Find(cells, 16384, 2, 0.05, fine).error.gain, 1, 0.01) << fine;
  }
}

TEST(Needle, SameBitsOnAnyNumberOfThreads) {
  NeedleOptions o = Small();
  o.contexts = {2048};
  o.threads = 1;
  const auto one = RunNeedle(o, DefaultNeedleVariants(64));
  o.threads = 2;
  double last = 0;
  const auto two = RunNeedle(o, DefaultNeedleVariants(64), [&](double share) {
    EXPECT_GT(share, last);
    last = share;
  });
  EXPECT_DOUBLE_EQ(last, 1);
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].error.relative, two[i].error.relative);
    EXPECT_EQ(one[i].error.gain, two[i].error.gain);
    EXPECT_EQ(one[i].found, two[i].found);
  }
}

TEST(Needle, RefusesWhatItCannotRun) {
  const auto refused = [](auto change) {
    NeedleOptions o = Small();
    change(o);
    EXPECT_THROW(RunNeedle(o, DefaultNeedleVariants(64)), std::invalid_argument);
  };
  refused([](NeedleOptions& o) { o.contexts = {512}; });
  refused([](NeedleOptions& o) { o.contexts = {}; });
  refused([](NeedleOptions& o) { o.weights = {1}; });
  refused([](NeedleOptions& o) { o.weights = {std::nan("")}; });
  refused([](NeedleOptions& o) { o.means = {std::nan("")}; });
  refused([](NeedleOptions& o) { o.trials = 12; });
  EXPECT_THROW(DefaultNeedleVariants(100000), std::invalid_argument);
}

}  // namespace
}  // namespace lostbits::sim
