// "@setting=value" behind a machine's name: what it changes, how it is printed, what it refuses.
#include <gtest/gtest.h>

#include <string>

#include "registry.h"
#include "tests/src/error_of.h"

namespace lostbits {
namespace {

using test::ErrorOf;

TEST(Settings, AreAppliedAndPrintedInOneOrder) {
  const Machine m = FindMachine("h100:wgmma:e4m3:f32@underflow=signed,E_zero=-126,f=25,out=acc");
  EXPECT_EQ(m.name, "hopper:wgmma:e4m3:f32@F=25,e_zero=-126,out=acc,underflow=signed");
  EXPECT_TRUE(m.altered);
  EXPECT_EQ(m.spec.e_zero, -126);
  EXPECT_EQ(m.spec.fraction_bits, 25);
  EXPECT_TRUE(m.spec.out == fp8::kFP32);
  EXPECT_TRUE(m.spec.signed_underflow);
  EXPECT_TRUE(FindMachine(m.name).spec == m.spec);

  const Machine tree = FindMachine("mi100:mfma:f16:f32@flow=tree,flush=on");
  EXPECT_EQ(tree.spec.flow, sim::Flow::kTree);
  EXPECT_TRUE(tree.spec.flush);
  const Machine late = FindMachine("cdna3:mfma:f16@sum_bits=31,final_bits=0,group=4");
  EXPECT_EQ(late.spec.sum_bits, 31);
  EXPECT_EQ(late.spec.final_bits, 0);
  EXPECT_EQ(late.spec.group, 4);
  EXPECT_EQ(FindMachine("hopper:wgmma:f16:f16@rounding=RZ").spec.rounding,
            fp8::Rounding::kTowardZero);
  EXPECT_TRUE(FindMachine("hopper:wgmma:f16:f32@out=e8m13").spec.out == sim::kE8M13);
}

TEST(Settings, OfTheRowItselfDoNotAlterIt) {
  const Machine m = FindMachine("hopper:wgmma:e4m3:f32@F=13,group=32,flow=chained");
  EXPECT_EQ(m.name, "hopper:wgmma:e4m3:f32");
  EXPECT_FALSE(m.altered);
}

TEST(Settings, AShapeThatExistsIsNoAlteration) {
  EXPECT_FALSE(FindMachine("ada:mma.sync:e4m3:f32@k=16").altered);
  EXPECT_TRUE(FindMachine("hopper:wgmma:e4m3:f32@k=16").altered);  // wgmma has no such shape
  EXPECT_EQ(FindMachine("hopper:wgmma:e4m3:f32@k=16").spec.group, 16);
  EXPECT_TRUE(FindMachine("hopper:wgmma:e4m3:f32@k=64").altered);
  EXPECT_EQ(FindMachine("hopper:mma.sync:f16:f32@group=4,k=8").spec.group, 4);
}

TEST(Settings, EveryOtherSideOfADisputeIsAMachine) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    for (const sim::DisputeSide& side : row.evidence.disputes) {
      if (side.dispute == sim::Dispute::kNone) continue;
      const std::string name = MachineName(row) + "@" + side.setting;
      const std::string error = ErrorOf([&] { FindMachine(name); });
      ASSERT_EQ(error, "(no error)") << name;
      EXPECT_EQ(FindMachine(name).name, name);
      EXPECT_TRUE(FindMachine(name).altered) << name;
    }
  }
}

TEST(Settings, RefusesWhatMakesNoMachine) {
  const std::pair<const char*, const char*> kCases[] = {
      {"hopper:wgmma:e4m3:f32@", "setting=value"},
      {"hopper:wgmma:e4m3:f32@e_zer=-126", "did you mean e_zero"},
      {"hopper:wgmma:e4m3:f32@zzzzzzzz=1", "known: k, flow, group, F"},
      {"hopper:wgmma:e4m3:f32@F", "F=13"},
      {"hopper:wgmma:e4m3:f32@F=", "F=13"},
      {"hopper:wgmma:e4m3:f32@F=13,F=14", "'F' is set twice"},
      {"hopper:wgmma:e4m3:f32@F=thirteen", "expected 1 to 62, found 'thirteen'"},
      {"hopper:wgmma:e4m3:f32@F=13.5", "found '13.5'"},
      {"hopper:wgmma:e4m3:f32@group=12", "k = 32 is no multiple of group = 12"},
      {"hopper:mma.sync:f16:f32@group=16,k=8", "k = 8 is no multiple of group = 16"},
      {"hopper:wgmma:e4m3:f32@k=65", "expected 1 to 64"},
      {"hopper:wgmma:e4m3:f32@F=56", "F = 56"},
      {"hopper:wgmma:e4m3:f32@flow=treee", "known: chained"},
      {"hopper:wgmma:e4m3:f32@flow=tree", "groups of 2 or 4, found 32"},
      {"hopper:wgmma:e4m3:f32@flow=block_dot", "block scales"},
      {"hopper:wgmma:e4m3:f32@flow=interleaved_late_c", "two groups an instruction"},
      {"hopper:wgmma:e4m3:f32@sum_bits=31", "sum_bits has no meaning with flow=chained"},
      {"hopper:wgmma:e4m3:f32@flush=on", "flush has no meaning"},
      {"hopper:wgmma:e4m3:f32@underflow=minus", "signed or plus"},
      {"hopper:wgmma:e4m3:f32@rounding=stochastic", "random bits"},
      {"hopper:wgmma:f16:f16@out=e8m13", "float32 accumulator"},
      {"a100:mma.sync:f64:f64@flow=chained,F=24", "float64"},
      {"a100:mma.sync:f64:f64@F=24", "F has no meaning with flow=exact"},
      {"mi100:mfma:f16:f32@flow=chained", "flow=chained needs F"},
      {"mi250:mfma:f16:f32@rounding=toward-zero", "rounding has no meaning with flow=tree"},
      {"b200:nvfp4@flow=exact", "no block scales"},
      {"b200:nvfp4@group=8", "no multiple of a block of 16"},
      {"b200:nvfp4@F=60", "F = 60"},
      {"b200:mxfp8:e4m3@flow=block_dot", "at most 6 bits"},
      {"mi300x:mfma:f16:f32@sum_bits=20", "less than F = 24"},
      {"mi300x:mfma:f16:f32@final_bits=9", "final_bits = 9"},
      {"h100@F=13", "fits"},
  };
  for (const auto& [name, part] : kCases) {
    const std::string error = ErrorOf([&, n = name] { FindMachine(n); });
    EXPECT_NE(error.find(part), error.npos) << "'" << name << "': " << error;
    EXPECT_EQ(error.find('\n'), error.npos) << error;
  }
}

}  // namespace
}  // namespace lostbits
