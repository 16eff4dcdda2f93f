// Every machine that sim/arch_check.h lets through is computed right: specs drawn at random, far
// from any row of the table, by integers (sim/accum.h) and by value (sim/spec.h). And what it
// refuses.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <sstream>
#include <string>

#include "sim/arch_check.h"
#include "tests/sim/accum_twin.h"

namespace lostbits {
namespace {

using fp8::Rounding;
using sim::AccumSpec;
using sim::Flow;
using test::Random;

constexpr uint64_t kSeed = 1;
constexpr int kSpecsPerRow = 500;

/// A row's formats and scales under settings of any kind: a machine or not.
AccumSpec DrawSettings(Random& r, const sim::ArchRow& row) {
  constexpr Rounding kRoundings[] = {Rounding::kNearestEven, Rounding::kNearestAway,
                                     Rounding::kTowardZero,  Rounding::kUp,
                                     Rounding::kDown,        Rounding::kToOdd};
  AccumSpec s = row.spec;
  if (!r.OneIn(3)) s.flow = static_cast<Flow>(r.Below(sim::kFlowCount));
  s.group = s.block != 0 ? s.block * r.Between(1, 64 / s.block) : r.Between(1, 32);
  if (s.acc == fp8::kFP64) s.group = 1;  // ExactByValue
  if (s.flow == Flow::kTree) s.group = r.OneIn(2) ? 2 : 4;
  s.k = s.group * (s.flow == Flow::kInterleavedLateC ? 2 : r.Between(1, 64 / s.group));
  s.fraction_bits = r.Between(1, 45);
  s.e_zero = r.Between(-170, r.OneIn(4) ? 40 : -100);
  s.out = r.OneIn(3) ? sim::kE8M13 : s.acc;
  s.rounding = r.OneIn(2) ? row.spec.rounding : kRoundings[r.Below(6)];
  s.sum_bits = s.fraction_bits + r.Between(-1, 12);
  s.final_bits = r.OneIn(3) ? 0 : r.Between(10, 40);
  s.signed_underflow = r.OneIn(2);
  s.flush = r.OneIn(2);
  return s;
}

/// Whether sim/spec.h, which adds in doubles, is exact on it. One product at a time it rounds as
/// IEEE fma does.
bool ExactByValue(const AccumSpec& s) {
  if (s.flow == Flow::kExact && (s.group == 1 || s.acc == fp8::kFP64))
    return s.group == 1 && s.acc != fp8::kFP16 && s.rounding == Rounding::kNearestEven &&
           s.signed_underflow;
  if (!sim::HasGrid(s.flow)) return true;
  // A block of 16 products of FP6 and two scales is below 2^16, another term below 2^4.
  const int below = sim::AddsCLate(s.flow) ? s.sum_bits : s.fraction_bits;
  const int term = s.flow == Flow::kBlockDot ? 16 : s.block != 0 ? 4 : 2;
  return term + below + fp8::BitWidth(static_cast<uint64_t>(s.group) + 1) <= 53;
}

TEST(SettingsTwin, IntegersEqualValuesOnEveryMachine) {
  std::map<Flow, int> drawn;
  uint64_t seed = kSeed;
  for (const sim::ArchRow& row : sim::kArchTable) {
    test::TwinCount count;
    ++seed;
    for (uint64_t i = 0; i < kSpecsPerRow; ++i) {
      Random r(seed, i);
      const AccumSpec s = DrawSettings(r, row);
      if (!sim::WhyNoMachine(s).empty() || !ExactByValue(s)) continue;
      ++drawn[s.flow];
      std::ostringstream name;
      name << test::Name(row) << "@k=" << s.k << ",flow=" << sim::FlowName(s.flow)
           << ",group=" << s.group << ",F=" << s.fraction_bits << ",e_zero=" << s.e_zero
           << ",out=" << (s.out == s.acc ? "acc" : "e8m13")
           << ",rounding=" << static_cast<int>(s.rounding) << ",signed=" << s.signed_underflow
           << ",flush=" << s.flush << ",sum_bits=" << s.sum_bits << ",final_bits=" << s.final_bits;
      for (int repeat = 0; repeat < 4; ++repeat) test::CompareCase(r, s, name.str(), i, count);
    }
    EXPECT_EQ(count.unequal, 0) << "of " << count.cases << "; first: " << count.first;
    EXPECT_GT(count.cases, 0) << test::Name(row);
  }
  for (int i = 0; i < sim::kFlowCount; ++i)
    EXPECT_GT(drawn[static_cast<Flow>(i)], 100) << sim::FlowName(static_cast<Flow>(i));
}

// FP16 holds every number of E5M2FNUZ, but its smallest normal one only as a subnormal.
TEST(SettingsTwin, Fp16TakesASmallestNormalAsSubnormal) {
  AccumSpec s = test::Row("hopper:mma.sync:e5m2:f32").spec;
  s.a = s.b = fp8::kE5M2FNUZ;
  s.fraction_bits = 17;
  ASSERT_EQ(sim::WhyNoMachine(s), "");
  test::TwinCount count;
  for (uint64_t i = 0; i < 2000; ++i) {
    Random r(kSeed, i);
    test::CompareCase(r, s, "emulated e5m2fnuz", i, count);
  }
  EXPECT_EQ(count.unequal, 0) << count.first;
}

// Blocks of the largest terms, all of one sign, at the largest F that passes.
TEST(SettingsTwin, TheLargestBlocksFit) {
  for (const fp8::Format& f : {fp8::kE3M2, fp8::kE2M3, fp8::kE2M1}) {
    AccumSpec s = test::Row("blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32").spec;
    s.a = s.b = f;
    while (sim::WhyNoMachine(s).empty()) ++s.fraction_bits;
    --s.fraction_bits;
    const std::vector<uint64_t> largest(64, fp8::MaxMagnitude(f)), scales(4, 0x7E);
    const double value = fp8::Decode(f, static_cast<uint32_t>(fp8::MaxMagnitude(f)));
    const double sum = 64 * value * value * 448 * 448;
    const uint64_t word = test::DotCodes(s, largest, largest, 0, scales, scales);
    EXPECT_EQ(fp8::Decode(fp8::kFP32, static_cast<uint32_t>(word)), static_cast<float>(sum));
  }
}

struct Refusal {
  const char* row;
  std::function<void(AccumSpec&)> change;
  const char* says;
};

TEST(WhyNoMachine, NamesWhatWasExpectedAndFound) {
  constexpr char kWgmma[] = "hopper:wgmma:e4m3:f32", kEmulated[] = "hopper:mma.sync:e4m3:f32";
  constexpr char kLate[] = "cdna3:mfma:f16:f32", kTree[] = "cdna2:mfma:f16:f32";
  constexpr char kBlocks[] = "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32";
  const auto operands = [](const fp8::Format& f) { return [f](AccumSpec& s) { s.a = f; }; };
  const Refusal refusals[] = {
      {kWgmma, [](AccumSpec& s) { s.k = 128; }, "expected 1 to 64"},
      {kWgmma, [](AccumSpec& s) { s.group = 0; }, "expected 1 or more"},
      {kWgmma, [](AccumSpec& s) { s.group = 12; }, "no multiple of group = 12"},
      {kWgmma, [](AccumSpec& s) { s.acc = s.out = fp8::kBF16; }, "found one of 16 bits"},
      {kWgmma, [](AccumSpec& s) { s.out = fp8::kFP16; }, "in the accumulator's format"},
      {kWgmma, [](AccumSpec& s) { s.acc = fp8::kFP16; }, "float32 accumulator"},
      {kWgmma, [](AccumSpec& s) { s.rounding = Rounding::kStochastic; }, "random bits"},
      {kWgmma, [](AccumSpec& s) { s.fraction_bits = 0; }, "found 0"},
      {kWgmma, [](AccumSpec& s) { s.fraction_bits = 56; }, "64 bits, more than 63"},
      {kWgmma, [](AccumSpec& s) { s.flow = Flow::kExact; }, "not to e8m13"},
      {kWgmma, operands(fp8::kFP64), "float64"},
      {kEmulated, [](AccumSpec& s) { s.group = 32; }, "found group = 32, k = 32"},
      {kEmulated, operands(fp8::kBF16), "found one of 7 mantissa bits and exponents -126 to 127"},
      {kEmulated, operands(fp8::kTF32), "float16 holds exactly"},
      {kEmulated, operands(fp8::kFP32), "float16 holds exactly"},
      {kTree, [](AccumSpec& s) { s.group = 8; }, "groups of 2 or 4, found 8"},
      {kTree, [](AccumSpec& s) { s.rounding = Rounding::kTowardZero; }, "nearest even only"},
      {kLate, [](AccumSpec& s) { s.sum_bits = 23; }, "less than F = 24"},
      {kLate, [](AccumSpec& s) { s.sum_bits = 60; }, "more than 63"},
      {kLate, [](AccumSpec& s) { s.final_bits = 22; }, "less than the 23"},
      {kBlocks, [](AccumSpec& s) { s.block = 0; }, "found none"},
      {kBlocks, [](AccumSpec& s) { s.block = 8; }, "multiples of 16, found 8"},
      {kBlocks, [](AccumSpec& s) { s.group = 8; }, "no multiple of a block of 16"},
      {kBlocks,
       [](AccumSpec& s) {
         s.flow = Flow::kTree;
         s.group = 4;
         s.rounding = Rounding::kNearestEven;
       },
       "no block scales"},
      // 8 and 4 bits: as many as two of 6.
      {kBlocks, operands(fp8::kE4M3FN), "at most 6 bits, without NaN; found 8 bits"},
      {kBlocks, operands(fp8::kE5M2), "without Inf"},
      // 16 * 28 * 28 * 1.875^2 takes 16 bits, the sum of 65 such terms 7 more.
      {kBlocks,
       [](AccumSpec& s) {
         s.a = s.b = fp8::kE3M2;
         s.fraction_bits = 42;
       },
       "65 bits, more than 63"},
  };
  for (const Refusal& refusal : refusals) {
    AccumSpec s = test::Row(refusal.row).spec;
    EXPECT_EQ(sim::WhyNoMachine(s), "") << refusal.row;
    refusal.change(s);
    EXPECT_NE(sim::WhyNoMachine(s).find(refusal.says), std::string::npos)
        << refusal.row << ": expected '" << refusal.says << "', found '" << sim::WhyNoMachine(s)
        << "'";
  }
}

}  // namespace
}  // namespace lostbits
