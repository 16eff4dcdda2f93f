// The trace of a sum is the sum: its words are DotChain's, and what it says was lost is exactly
// what is missing.
#include "sim/trace.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sim/arch_table.h"
#include "sim/exact.h"
#include "sim/gemm_recipe.h"
#include "tests/support/generator.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

using sim::ExactNumber;
using sim::Fate;
using sim::Step;

/// Codes of one dot product, and the same taken apart.
struct Case {
  std::vector<uint64_t> a, b, scale_a, scale_b;
  uint64_t c = 0;
  std::vector<fp8::Unpacked> ua, ub, usa, usb;

  void TakeApart(const sim::AccumSpec& spec) {
    for (uint64_t x : a) ua.push_back(fp8::Unpack(spec.a, x));
    for (uint64_t x : b) ub.push_back(fp8::Unpack(spec.b, x));
    for (uint64_t x : scale_a) usa.push_back(sim::UnpackScale(spec.scale, x));
    for (uint64_t x : scale_b) usb.push_back(sim::UnpackScale(spec.scale, x));
  }
  sim::DotOperands Operands() const {
    return {ua.data(), ub.data(), static_cast<int64_t>(ua.size()), c, {usa.data(), usb.data()}};
  }
};

Case Make(const sim::AccumSpec& spec, std::vector<uint64_t> a, std::vector<uint64_t> b,
          uint64_t c) {
  Case x;
  x.a = std::move(a);
  x.b = std::move(b);
  x.c = c;
  x.TakeApart(spec);
  return x;
}

uint64_t Addend(test::Random& r, fp8::Format acc) {
  switch (r.Below(5)) {
    case 0: return 0;
    case 1: return test::RawCode(r, acc);
    case 2: return test::ExtremeCode(r, acc);
    default: return test::CodeWithExponent(r, acc, r.Between(-24, 8));
  }
}

Case Generate(test::Random& r, const sim::AccumSpec& spec, int n) {
  Case x;
  const auto pattern = static_cast<test::Pattern>(r.Below(test::kPatternCount));
  for (int i = 0; i < n; ++i) {
    const bool near = r.OneIn(3);  // exponents near each other: some bits stay, some go
    x.a.push_back(near ? test::NormalCode(r, spec.a) : test::Code(r, spec.a, pattern));
    x.b.push_back(near ? test::NormalCode(r, spec.b) : test::Code(r, spec.b, pattern));
  }
  x.c = Addend(r, spec.acc);
  if (spec.block != 0) {
    for (int i = 0; i < (n + spec.k - 1) / spec.k * spec.k / spec.block; ++i) {
      const bool raw = r.OneIn(3);
      const int offset = spec.scale.bias - 4;
      for (auto* scales : {&x.scale_a, &x.scale_b})
        scales->push_back(raw ? r.Below(256)
                              : (offset + r.Below(8)) << spec.scale.mantissa_bits | r.Below(2));
    }
  }
  x.TakeApart(spec);
  return x;
}

ExactNumber Number(fp8::Format f, uint64_t word) { return ExactNumber(fp8::Unpack(f, word)); }

/// Every step of the chain again, each against its own account.
void CheckSteps(const sim::AccumSpec& spec, const sim::DotOperands& dot,
                const sim::ChainTrace& chain) {
  for (size_t i = 0; i < chain.instructions.size(); ++i) {
    const sim::InstructionSummary& s = chain.instructions[i];
    const sim::InstructionTrace one =
        sim::TraceInstruction(spec, dot, static_cast<int64_t>(i), s.word_in);
    ASSERT_EQ(one.summary.word, s.word);
    ASSERT_EQ(one.steps.back().word, s.word);
    for (const sim::StepTrace& step : one.steps) {
      ExactNumber terms, kept;
      for (const sim::TermTrace& t : step.terms) {
        terms += t.exact;
        kept += t.exact - t.lost;
        if (!step.aligned) continue;
        ASSERT_EQ(t.exact - t.lost, ExactNumber(t.kept, t.lsb));
      }
      ASSERT_EQ(kept, step.before);
      ASSERT_EQ(terms - kept, step.lost_to_alignment);
      if (!step.rounded || !step.finite) continue;
      ASSERT_EQ(step.before - step.lost_to_rounding, Number(spec.acc, step.word));
    }
  }
}

TEST(Trace, EveryRowReturnsTheWordOfTheChainAndAccountsForEveryBit) {
  int64_t finite = 0, lossy = 0;
  uint64_t row_number = 0;
  for (const sim::ArchRow& row : sim::kArchTable) {
    const sim::AccumSpec& spec = row.spec;
    ++row_number;
    int64_t finite_here = 0;
    for (uint64_t index = 0; index < 100; ++index) {
      test::Random r(row_number, index);
      const int n = r.OneIn(2) ? spec.k : r.Between(1, 3 * spec.k);
      const Case x = Generate(r, spec, n);
      const sim::DotOperands dot = x.Operands();
      const sim::ChainTrace trace = sim::TraceChain(spec, dot);
      SCOPED_TRACE(test::Name(row) + " case " + std::to_string(index));
      ASSERT_EQ(trace.word, sim::DotChain(spec, dot.a, dot.b, dot.n, dot.c_word, dot.scales));
      ASSERT_NO_FATAL_FAILURE(CheckSteps(spec, dot, trace));
      if (!trace.finite) continue;
      ++finite_here;
      lossy += trace.exact != Number(spec.acc, trace.word);
      const ExactNumber lost = trace.lost_to_alignment + trace.lost_to_rounding;
      ASSERT_EQ(trace.exact - Number(spec.acc, trace.word), lost);
    }
    EXPECT_GE(finite_here, 10) << test::Name(row);
    finite += finite_here;
  }
  EXPECT_GT(finite, 10000);
  EXPECT_GT(lossy, 5000);
}

TEST(Trace, ExactSumIsThatOfTheExactOracle) {
  for (const char* name : {"hopper:wgmma:e4m3:f32", "hopper:wgmma:f16:f16", "cdna2:mfma:bf16:f32",
                           "cdna3:mfma:e5m2fnuz:f32", "ampere:mma.sync:tf32:f32"}) {
    const sim::AccumSpec& spec = test::Row(name).spec;
    for (uint64_t index = 0; index < 200; ++index) {
      test::Random r(7, index);
      const Case x = Generate(r, spec, r.Between(1, 80));
      const sim::ChainTrace trace = sim::TraceChain(spec, x.Operands());
      if (!trace.finite) continue;
      const std::vector<uint32_t> a(x.a.begin(), x.a.end()), b(x.b.begin(), x.b.end());
      const uint64_t oracle =
          sim::ExactDot(spec.a, a.data(), spec.b, b.data(), static_cast<int64_t>(a.size()),
                        spec.acc, static_cast<uint32_t>(x.c), fp8::kFP64);
      ASSERT_EQ(trace.exact.Value(), fp8::BitCast<double>(oracle)) << name << " case " << index;
    }
  }
}

/// Numerics section 3, worked example: 15*15 + 1.125*3/128 - 7/8/128 + 2^-9/2 + 0.3.
Case WorkedExample(const sim::AccumSpec& spec) {
  return Make(spec, {0x57, 0x39, 0xB6, 0x01}, {0x57, 0x0C, 0x04, 0x30}, 0x3E99'999A);
}

sim::InstructionTrace TraceOne(const sim::AccumSpec& spec, const Case& x) {
  return sim::TraceInstruction(spec, x.Operands(), 0, x.c);
}

std::vector<int64_t> Kept(const sim::StepTrace& step) {
  std::vector<int64_t> kept;
  for (const sim::TermTrace& t : step.terms) kept.push_back(t.kept);
  return kept;
}

TEST(Trace, WorkedExampleOnHopperWgmma) {
  const sim::AccumSpec& spec = test::Row("hopper:wgmma:e4m3:f32").spec;
  const sim::InstructionTrace one = TraceOne(spec, WorkedExample(spec));
  ASSERT_EQ(one.steps.size(), 1u);
  const sim::StepTrace& step = one.steps[0];
  EXPECT_EQ(step.e_max, 6);
  EXPECT_EQ(step.setter, 0);
  EXPECT_EQ(step.lsb, -7);
  EXPECT_EQ(Kept(step), (std::vector<int64_t>{28800, 3, 0, 0, 38}));
  EXPECT_EQ(step.sum, 28841);
  EXPECT_EQ(step.word, 0x4361'5000u);
  EXPECT_EQ(step.last_kept, -6);  // E8M13 of a number in [2^7, 2^8): the sum's last bit goes
  EXPECT_EQ(step.lost_to_rounding, ExactNumber(1, -7));
  const Fate fates[] = {Fate::kWhole, Fate::kCut, Fate::kGone, Fate::kGone, Fate::kCut};
  const int shifts[] = {7, -5, -6, -6, -18};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(step.terms[i].fate, fates[i]) << i;
    EXPECT_EQ(step.terms[i].shift, shifts[i]) << i;
  }
  EXPECT_EQ(step.terms[1].lost, ExactNumber(108 - (3 << 5), -12));
  EXPECT_EQ(one.summary.terms, 4);
  EXPECT_EQ(one.summary.cut, 3);
  EXPECT_EQ(one.summary.gone, 2);
  EXPECT_EQ(one.summary.addends_cut, 1);
}

TEST(Trace, WorkedExampleOnBlackwellTcgen05) {
  const sim::AccumSpec& spec = test::Row("blackwell:tcgen05:e4m3:f32").spec;
  const sim::InstructionTrace one = TraceOne(spec, WorkedExample(spec));
  ASSERT_EQ(one.steps.size(), 1u);
  EXPECT_EQ(Kept(one.steps[0]), (std::vector<int64_t>{117964800, 13824, -3584, 512, 157286}));
  EXPECT_EQ(one.steps[0].sum, 118132838);
  EXPECT_EQ(one.steps[0].word, 0x4361'520Cu);
}

TEST(Trace, EmulatedInstructionNamesTheProductsOfEachHalf) {
  const sim::AccumSpec& spec = test::Row("hopper:mma.sync:e4m3:f32").spec;
  const Case x = WorkedExample(spec);
  const sim::InstructionTrace one = TraceOne(spec, x);
  ASSERT_EQ(one.steps.size(), 3u);
  EXPECT_EQ(one.steps[0].before.Value(), 225.0263671875);
  EXPECT_EQ(one.steps[1].before.Value(), 225.0205078125);
  EXPECT_EQ(one.steps[2].kind, Step::kAdd);
  EXPECT_EQ(one.steps[2].word, 0x4361'520Du);

  const std::vector<uint64_t> ones(32, 0x38);
  const sim::InstructionTrace full = TraceOne(spec, Make(spec, ones, ones, 0));
  for (int half = 0; half < 2; ++half) {
    const sim::StepTrace& step = full.steps[static_cast<size_t>(half)];
    ASSERT_EQ(step.terms.size(), 17u);
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(step.terms[i].k % 4 / 2, half);
    EXPECT_EQ(step.terms[0].k, 2 * half);
    EXPECT_EQ(step.terms[15].k, 29 + 2 * half);
  }
}

TEST(Trace, FloorTakesMoreFromANegativeAddendThanItHas) {
  const sim::AccumSpec& spec = test::Row("cdna3:mfma:f16:f32").spec;
  // 1 - 2^-26: numerics section 6, "biased toward -inf".
  const Case x = Make(spec, {0x3C00}, {0x3C00}, 0xB280'0000);
  const sim::InstructionTrace one = TraceOne(spec, x);
  ASSERT_EQ(one.steps.size(), 4u);  // two groups: products, then the late sum
  const sim::TermTrace& c = one.steps[1].terms[1];
  EXPECT_EQ(c.exact - c.lost, ExactNumber(-1, -24));
  EXPECT_EQ(c.lsb, -24);  // its own grid: the products' sum keeps 8 bits more
  EXPECT_EQ(c.kept, -1);
  EXPECT_FALSE(c.lost.IsNegative());
  EXPECT_EQ(one.summary.word, 0x3F7F'FFFFu);
}

/// What the steps that are not finite blame, in order, and the k of the first such input or -1.
using Blame = std::pair<sim::Cause, int64_t>;
std::vector<Blame> Blamed(const sim::AccumSpec& spec, const Case& x) {
  std::vector<Blame> blamed;
  for (const sim::StepTrace& step : TraceOne(spec, x).steps) {
    EXPECT_EQ(step.finite, step.cause == sim::Cause::kNone);
    if (step.finite) continue;
    blamed.emplace_back(step.cause, -1);
    for (const sim::SpecialInput& source : step.sources) {
      if (source.cause == step.cause && blamed.back().second < 0) blamed.back().second = source.k;
    }
  }
  return blamed;
}

TEST(Trace, NamesTheCauseOfEveryInfAndNan) {
  using enum sim::Cause;
  using Blames = std::vector<Blame>;
  const sim::AccumSpec& ada = test::Row("ada:mma.sync:e4m3:f16").spec;  // two groups
  EXPECT_EQ(Blamed(ada, Make(ada, {0x7E, 0x7F}, {0x7E, 0x7E}, 0)),
            (Blames{{kNanOperand, 1}, {kNanAccumulator, -1}}));
  EXPECT_EQ(Blamed(ada, Make(ada, {0x7E, 0x7E}, {0x7E, 0x7E}, 0)),
            (Blames{{kOverflow, -1}, {kInfAccumulator, -1}}));
  std::vector<uint64_t> late(17, 0);
  late[16] = 0x7F;
  EXPECT_EQ(Blamed(ada, Make(ada, late, std::vector<uint64_t>(17, 0x38), 0)),
            (Blames{{kNanOperand, 16}}));

  const sim::AccumSpec& hopper = test::Row("hopper:wgmma:f16:f32").spec;
  EXPECT_EQ(Blamed(hopper, Make(hopper, {0x7C00, 0x7C00}, {0x3C00, 0}, 0)),
            (Blames{{kInfTimesZero, 1}}));
  EXPECT_EQ(Blamed(hopper, Make(hopper, {0x7C00}, {0x3C00}, 0xFF80'0000)),
            (Blames{{kInfMinusInf, -1}}));
  EXPECT_EQ(Blamed(hopper, Make(hopper, {0xFC00}, {0x3C00}, 0)), (Blames{{kInfOperand, 0}}));

  // Emulated: the halves start from zero, and c comes last.
  const sim::AccumSpec& emulated = test::Row("hopper:mma.sync:e4m3:f32").spec;
  EXPECT_EQ(Blamed(emulated, Make(emulated, {0, 0, 0x7F}, {0, 0, 0x38}, 0)),
            (Blames{{kNanOperand, 2}, {kNanPartial, -1}}));
  EXPECT_EQ(Blamed(emulated, Make(emulated, {0x38}, {0x38}, 0x7F80'0000)),
            (Blames{{kInfAccumulator, -1}}));

  const sim::AccumSpec& cdna3 = test::Row("cdna3:mfma:bf16:f32").spec;  // two groups
  EXPECT_EQ(Blamed(cdna3, Make(cdna3, {0x7F00}, {0x4480}, 0)),
            (Blames{{kProductOverflow, 0}, {kInfAccumulator, -1}}));
  EXPECT_EQ(Blamed(cdna3, Make(cdna3, {0x7F00, 0xFF00}, {0x4480, 0x4480}, 0)),
            (Blames{{kInfMinusInf, -1}, {kNanAccumulator, -1}}));

  // The product, its pair, the group of four, c + that; then three groups of zeros.
  const sim::AccumSpec& cdna2 = test::Row("cdna2:mfma:f16:f32").spec;
  const Blames tree = Blamed(cdna2, Make(cdna2, {0x7C00, 0x3C00}, {0x3C00, 0x3C00}, 0));
  ASSERT_EQ(tree.size(), 7u);
  EXPECT_EQ(tree[0], (Blame{kInfOperand, 0}));
  EXPECT_EQ(tree[3], (Blame{kInfPartial, -1}));
  EXPECT_EQ(tree[6], (Blame{kInfAccumulator, -1}));
  EXPECT_EQ(Blamed(cdna2, Make(cdna2, {0x7C00, 0xFC00}, {0x3C00, 0x3C00}, 0))[2],
            (Blame{kInfMinusInf, -1}));
  // A subnormal operand counts as zero there.
  EXPECT_EQ(Blamed(cdna2, Make(cdna2, {0x7C00}, {0x0001}, 0))[0], (Blame{kInfTimesZero, 0}));

  const sim::AccumSpec& f64 = test::Row("hopper:mma.sync:f64:f64").spec;
  EXPECT_EQ(Blamed(f64, Make(f64, {0x7FE0'0000'0000'0000}, {0x7FE0'0000'0000'0000}, 0))[0],
            (Blame{kOverflow, -1}));

  const sim::AccumSpec& nvfp4 = test::Row("blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32").spec;
  Case scaled;
  scaled.a = scaled.b = std::vector<uint64_t>(32, 2);
  scaled.scale_a = {0x38, 0x7F, 0x38, 0x38};
  scaled.scale_b = {0x38, 0x38, 0x38, 0x38};
  scaled.TakeApart(nvfp4);
  EXPECT_EQ(Blamed(nvfp4, scaled), (Blames{{kNanScale, 16}}));

  const sim::StepTrace promotion = sim::TracePromotion(0x7F7F'FFFF, 0x7F7F'FFFF);
  EXPECT_EQ(promotion.cause, kOverflow);
  EXPECT_EQ(sim::TracePromotion(0x7F80'0000, 0xFF80'0000).cause, kInfMinusInf);
}

TEST(Trace, FlushedOperandsAreLost) {
  const sim::AccumSpec& spec = test::Row("cdna2:mfma:f16:f32").spec;
  const Case x = Make(spec, {0x0001, 0x3C00}, {0x3C00, 0x3C00}, 0x0000'0001);
  const sim::ChainTrace trace = sim::TraceChain(spec, x.Operands());
  EXPECT_EQ(trace.word, 0x3F80'0000u);
  EXPECT_EQ(trace.gone, 1);
  EXPECT_EQ(trace.lost_to_alignment, ExactNumber(1, -24) + ExactNumber(1, -149));
  EXPECT_EQ(trace.instructions[0].addends_cut, 1);
}

TEST(Trace, ClampSetsTheMaximumWhereEveryTermIsTiny) {
  const sim::AccumSpec& spec = test::Row("hopper:wgmma:bf16:f32").spec;
  const Case x = Make(spec, {0x0080}, {0x3400}, 0);  // 2^-126 * 2^-23
  EXPECT_EQ(TraceOne(spec, x).steps[0].setter, -1);
  EXPECT_EQ(TraceOne(spec, x).steps[0].e_max, spec.e_zero);
}

TEST(Trace, LongChainStallsWhereTheGridOutgrowsTheProducts) {
  const sim::AccumSpec& spec = test::Row("hopper:wgmma:e4m3:f32").spec;
  const std::vector<uint64_t> ones(131072, 0x38);
  const Case x = Make(spec, ones, ones, 0);
  // At 2^14 a unit of the grid is 2: every further 1 is cut to nothing.
  const sim::ChainTrace stalled = sim::TraceChain(spec, x.Operands());
  EXPECT_EQ(stalled.word, 0x4680'0000u);
  EXPECT_EQ(stalled.instructions.size(), 4096u);
  EXPECT_EQ(stalled.gone, 131072 - 16384);
  EXPECT_EQ(stalled.lost_to_alignment, ExactNumber(131072 - 16384, 0));
  EXPECT_EQ(stalled.instructions.back().lost_to_alignment, 32);
  const sim::ChainTrace promoted = sim::TraceChain(spec, x.Operands(), 4);
  EXPECT_EQ(promoted.word, 0x4800'0000u);
  EXPECT_EQ(promoted.gone, 0);
}

TEST(Trace, PromotionIsThatOfTheGemmRecipe) {
  const sim::AccumSpec& spec = test::Row("hopper:wgmma:e5m2:f32").spec;
  int64_t lost = 0;
  for (uint64_t index = 0; index < 200; ++index) {
    test::Random r(11, index);
    const int n = r.Between(1, 700), every = r.Between(1, 6);
    const Case x = Generate(r, spec, n);
    const sim::ChainTrace trace = sim::TraceChain(spec, x.Operands(), every);
    const std::vector<uint8_t> a(x.a.begin(), x.a.end()), b(x.b.begin(), x.b.end());
    uint32_t c = static_cast<uint32_t>(x.c), d = 0;
    sim::GemmInputs in;
    in.a = {a.data(), spec.a, 1, n, n};
    in.b = {b.data(), spec.b, 1, n, n};
    in.b_transposed = true;
    in.c = {&c, 1, 1, 1};
    sim::GemmRecipe recipe;
    recipe.unit = spec;
    recipe.promote_every = every;
    sim::Gemm(recipe, in, {&d, 1, 1, 1}, 1);
    ASSERT_EQ(trace.word, d) << "case " << index;
    if (!trace.finite) continue;
    lost += !trace.lost_to_promotion.IsZero();
    ASSERT_EQ(trace.exact - Number(spec.acc, trace.word),
              trace.lost_to_alignment + trace.lost_to_rounding + trace.lost_to_promotion);
  }
  EXPECT_GT(lost, 10);
}

TEST(Trace, RefusesPromotionOfOtherAccumulators) {
  const sim::AccumSpec& spec = test::Row("hopper:wgmma:f16:f16").spec;
  const Case x = Make(spec, {0}, {0}, 0);
  EXPECT_THROW(sim::TraceChain(spec, x.Operands(), 4), std::invalid_argument);
  EXPECT_THROW(sim::TraceChain(spec, x.Operands(), -1), std::invalid_argument);
}

TEST(ExactNumber, EqualNumbersAreEqualObjects) {
  EXPECT_EQ(ExactNumber(12, -3), ExactNumber(3, -1));
  EXPECT_EQ(ExactNumber(1, 200) + ExactNumber(1, -200) - ExactNumber(1, 200), ExactNumber(1, -200));
  EXPECT_EQ(ExactNumber(5, 7) - ExactNumber(5, 7), ExactNumber());
  EXPECT_EQ((ExactNumber(1, 70) - ExactNumber(1, 0)).Leading(), 69);
  EXPECT_EQ((ExactNumber(1, 4) - ExactNumber(27, 0)).Hex(), "-0xBp+0");
  EXPECT_EQ(ExactNumber(-0x1B3, -12).Hex(), "-0x1B3p-12");
  EXPECT_EQ((ExactNumber(1, 53) + ExactNumber(1, 0)).Value(), 0x1p53);  // a tie goes to even
  EXPECT_EQ((ExactNumber(1, 53) + ExactNumber(1, 0) + ExactNumber(1, -90)).Value(), 0x1p53 + 2);
  EXPECT_EQ(ExactNumber(-3, -1074).Value(), -0x3p-1074);
}

}  // namespace
}  // namespace lostbits
