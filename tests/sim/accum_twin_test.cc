// sim/accum.h = sim/spec.h on a stratified sample of generated cases, on every row of the table.
#include "tests/sim/accum_twin.h"

#include <gtest/gtest.h>

namespace lostbits {
namespace {

constexpr uint64_t kSeed = 1;
constexpr uint64_t kCasesPerRow = 4000;

int Smallest(fp8::Format f) { return fp8::MinExponent(f) - f.mantissa_bits; }

/// 2^(this) is the smallest product that the row's formats can make.
int SmallestProduct(const sim::AccumSpec& s) {
  return Smallest(s.a) + Smallest(s.b) + (s.block == 0 ? 0 : 2 * Smallest(s.scale));
}

TEST(AccumTwin, IntegersEqualValuesOnEveryRow) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    test::TwinCount count;
    for (uint64_t i = 0; i < kCasesPerRow; ++i) test::CompareTwin(row, kSeed, i, count);
    EXPECT_EQ(count.unequal, 0) << "of " << count.cases << "; first: " << count.first;
    // The sample is worth something only if the hard outcomes occur in it.
    const std::string name = test::Name(row);
    const sim::AccumSpec& spec = row.spec;
    EXPECT_GT(count.nan, 0) << name;
    EXPECT_GT(count.zero, 0) << name;
    EXPECT_GT(count.inf, 0) << name;
    // Products of E4M3 are never smaller than FP16's smallest subnormal, and so on.
    if (spec.flush) {
      EXPECT_EQ(count.subnormal, 0) << name;
    } else if (SmallestProduct(spec) < fp8::MinExponent(spec.acc)) {
      EXPECT_GT(count.subnormal, 0) << name;
    }
    // -0 takes a sum far below the output's smallest number. Emulated FP8 returns it only if its
    // second group underflows and c is -0 as well; CDNA2 takes a c of -0 for +0.
    const bool never = spec.flow == sim::Flow::kInterleavedLateC || spec.flush;
    if (SmallestProduct(spec) < Smallest(spec.acc) - 8 && !never) {
      EXPECT_GT(count.minus_zero, 0) << name;
    }
  }
}

std::vector<fp8::Unpacked> UnpackScales(const sim::AccumSpec& spec,
                                        const std::vector<uint64_t>& codes) {
  std::vector<fp8::Unpacked> out;
  for (uint64_t code : codes) out.push_back(sim::UnpackScale(spec.scale, code));
  return out;
}

// Groups shorter than the machine's, down to none, and an instruction that is all padding.
TEST(AccumTwin, MissingProductsAreZeros) {
  for (const char* machine :
       {"hopper:wgmma:e4m3:f32", "blackwell:mma.sync:e5m2:f16", "cdna1:mfma:bf16:f32",
        "cdna2:mfma:f16:f32", "cdna3:mfma:f16:f32", "cdna3:mfma:e5m2fnuz:f32",
        "hopper:mma.sync:f64:f64", "blackwell:tcgen05.mxf8f6f4:e4m3+ue8m0/32:f32",
        "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32"}) {
    const sim::AccumSpec& spec = test::Row(machine).spec;
    test::Random r(kSeed);
    for (int n = 0; n < spec.k; ++n) {
      const test::DotCase dot = test::GenerateDot(r, spec.a, spec.b, spec.acc, n);
      std::vector<uint64_t> a = dot.a, b = dot.b;
      a.resize(static_cast<size_t>(spec.k));
      b.resize(static_cast<size_t>(spec.k));
      const int blocks = spec.block == 0 ? 0 : spec.k / spec.block;
      const std::vector<uint64_t> scale_a = test::GenerateScales(r, spec.scale, blocks, 0),
                                  scale_b = test::GenerateScales(r, spec.scale, blocks, 0);
      const auto sa = UnpackScales(spec, scale_a), sb = UnpackScales(spec, scale_b);
      const auto ua = test::UnpackAll(spec.a, dot.a), ub = test::UnpackAll(spec.b, dot.b);
      EXPECT_EQ(test::Hex(sim::DotInstruction(spec, ua.data(), ub.data(), n, dot.c,
                                              {sa.data(), sb.data()})),
                test::Hex(test::DotCodes(spec, a, b, dot.c, scale_a, scale_b)))
          << machine << ": " << test::DotLine(spec, dot.a, dot.b, dot.c);
    }
  }
  const sim::AccumSpec& spec = test::Row("hopper:wgmma:e4m3:f32").spec;
  EXPECT_EQ(sim::DotInstruction(spec, nullptr, nullptr, 0, 0x3F80'03FF), 0x3F80'0000u);
  EXPECT_EQ(sim::DotChain(spec, nullptr, nullptr, 0, 0x3F80'03FF), 0x3F80'03FFu);
}

// Host and device share accum.h; what a compiler can evaluate has no undefined behaviour. A zero
// product here has an exponent far above e_max.
constexpr uint64_t TinyBesideHugeZero() {
  const fp8::Unpacked a[2] = {fp8::Unpack(fp8::kBF16, 0x0001), fp8::Unpack(fp8::kBF16, 0x0000)};
  const fp8::Unpacked b[2] = {fp8::Unpack(fp8::kBF16, 0x3F80), fp8::Unpack(fp8::kBF16, 0x7F00)};
  sim::AccumSpec spec = sim::table::Fp32(16, 25, -133, 16);
  spec.a = spec.b = fp8::kBF16;
  return sim::DotInstruction(spec, a, b, 2, 0);
}
// One product of the smallest numbers, and a c: `negative` products.
constexpr uint64_t Tiny(sim::AccumSpec spec, fp8::Format in, bool negative, uint64_t c) {
  const uint64_t sign = negative ? fp8::SignMask(in) : 0;
  const fp8::Unpacked a[1] = {fp8::Unpack(in, 1 | sign)};
  const fp8::Unpacked b[1] = {fp8::Unpack(in, 1)};
  spec.a = spec.b = in;
  return sim::DotInstruction(spec, a, b, 1, c);
}
// 1.5 * 1.5 in FP4, times block scales of 2 and 0.5 whose signs are ignored, and a c.
constexpr uint64_t OneBlock(uint64_t c) {
  sim::AccumSpec spec = sim::table::Fp4(fp8::kE4M3FN, 16);
  spec.a = spec.b = fp8::kE2M1;
  const fp8::Unpacked x[1] = {fp8::Unpack(fp8::kE2M1, 3)};
  const fp8::Unpacked one = sim::UnpackScale(spec.scale, 0x38);
  const fp8::Unpacked scale_a[4] = {sim::UnpackScale(spec.scale, 0xC0), one, one, one};
  const fp8::Unpacked scale_b[4] = {sim::UnpackScale(spec.scale, 0x30), one, one, one};
  return sim::DotInstruction(spec, x, x, 1, c, {scale_a, scale_b});
}
TEST(AccumTwin, CompilersCanEvaluateIt) {
  constexpr uint64_t kWord = TinyBesideHugeZero();
  EXPECT_EQ(test::Hex(kWord), "00010000");  // 2^-133
  constexpr uint64_t kExact = Tiny(sim::table::Exact(fp8::kFP32, 4, 16), fp8::kFP16, true, 1);
  EXPECT_EQ(test::Hex(kExact), "A7800000");  // -2^-48 + 2^-149
  constexpr uint64_t kFma = Tiny(sim::table::Exact(fp8::kFP64, 1, 4), fp8::kFP64, true, 1u << 31);
  EXPECT_EQ(test::Hex(kFma, 16), "0000000080000000");  // -2^-2148 is far below c's last bit
  constexpr uint64_t kTree = Tiny(sim::table::FlushedTree(4, 16), fp8::kFP16, true, 1);
  EXPECT_EQ(test::Hex(kTree), "00000000");  // subnormal operands, subnormal c
  constexpr uint64_t kLate = Tiny(sim::table::LateFloor(8, 16), fp8::kFP16, true, 0x3F80'0000);
  EXPECT_EQ(test::Hex(kLate), "3F800000");  // 1 - 2^-48 to 31 bits: 1 - 2^-32, to nearest 1
  constexpr uint64_t kPairs = Tiny(sim::table::LateFloor(16, 32, sim::Flow::kLateFloorPairs),
                                   fp8::kE4M3FNUZ, true, 0x3F80'0000);
  EXPECT_EQ(test::Hex(kPairs), "3F7FFFF0");  // 1 - 2^-20
  constexpr uint64_t kBlocks = OneBlock(0x3F80'0000);
  EXPECT_EQ(test::Hex(kBlocks), "40500000");  // 2.25 + 1
  constexpr uint64_t kEmulated =
      Tiny(sim::table::Fp32(16, 25, -133, 32, sim::table::kLate), fp8::kE5M2, true, 1);
  EXPECT_EQ(test::Hex(kEmulated), "AF800000");  // -2^-32 + 2^-149, to nearest
}

}  // namespace
}  // namespace lostbits
