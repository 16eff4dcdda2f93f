// sim/accum.h = sim/spec.h on a stratified sample of generated cases, on every row of the table.
#include "tests/sim/accum_twin.h"

#include <gtest/gtest.h>

namespace lostbits {
namespace {

constexpr uint64_t kSeed = 1;
constexpr uint64_t kCasesPerRow = 6000;

TEST(AccumTwin, IntegersEqualValuesOnEveryRow) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    test::TwinCount count;
    for (uint64_t i = 0; i < kCasesPerRow; ++i) test::CompareTwin(row, kSeed, i, count);
    EXPECT_EQ(count.unequal, 0) << "of " << count.cases << "; first: " << count.first;
    // The sample is worth something only if the hard outcomes occur in it.
    const std::string name = test::Name(row);
    EXPECT_GT(count.nan, 0) << name;
    EXPECT_GT(count.zero, 0) << name;
    EXPECT_GT(count.inf, 0) << name;
    // Products of E4M3 are never smaller than FP16's smallest subnormal, and so on.
    const auto smallest = [](fp8::Format f) { return fp8::MinExponent(f) - f.mantissa_bits; };
    const int product = smallest(row.spec.a) + smallest(row.spec.b);
    if (product < fp8::MinExponent(row.spec.acc)) {
      EXPECT_GT(count.subnormal, 0) << name;
    }
    // Emulated FP8 returns -0 only if its second group underflows and c is -0 as well.
    if (product < smallest(row.spec.acc) - 1 && row.spec.flow == sim::Flow::kChained) {
      EXPECT_GT(count.minus_zero, 0) << name;
    }
  }
}

// Groups shorter than the machine's, down to none, and an instruction that is all padding.
TEST(AccumTwin, MissingProductsAreZeros) {
  const sim::AccumSpec& spec = test::Row("hopper:wgmma:e4m3:f32").spec;
  test::Random r(kSeed);
  for (int n = 0; n < spec.k; ++n) {
    const test::DotCase dot = test::GenerateDot(r, spec.a, spec.b, spec.acc, n);
    std::vector<uint32_t> a = dot.a, b = dot.b;
    a.resize(static_cast<size_t>(spec.k));
    b.resize(static_cast<size_t>(spec.k));
    const auto ua = test::UnpackAll(spec.a, dot.a), ub = test::UnpackAll(spec.b, dot.b);
    EXPECT_EQ(test::Hex(sim::DotInstruction(spec, ua.data(), ub.data(), n, dot.c)),
              test::Hex(test::DotCodes(spec, a, b, dot.c)))
        << test::DotLine(spec, dot.a, dot.b, dot.c);
  }
  EXPECT_EQ(sim::DotInstruction(spec, nullptr, nullptr, 0, 0x3F80'03FF), 0x3F80'0000u);
  EXPECT_EQ(sim::DotChain(spec, nullptr, nullptr, 0, 0x3F80'03FF), 0x3F80'03FFu);
}

// Host and device share accum.h; what a compiler can evaluate has no undefined behaviour. A zero
// product here has an exponent far above e_max.
constexpr uint32_t TinyBesideHugeZero() {
  const fp8::Unpacked a[2] = {fp8::Unpack(fp8::kBF16, 0x0001), fp8::Unpack(fp8::kBF16, 0x0000)};
  const fp8::Unpacked b[2] = {fp8::Unpack(fp8::kBF16, 0x3F80), fp8::Unpack(fp8::kBF16, 0x7F00)};
  constexpr sim::AccumSpec kSpec = sim::detail::Fp32(fp8::kBF16, fp8::kBF16, 16, 25, -133, 16);
  return sim::DotInstruction(kSpec, a, b, 2, 0);
}
TEST(AccumTwin, CompilersCanEvaluateIt) {
  constexpr uint32_t kWord = TinyBesideHugeZero();
  EXPECT_EQ(test::Hex(kWord), "00010000");  // 2^-133
}

}  // namespace
}  // namespace lostbits
