// The caller's floating-point environment changes no bit of a matrix product.
#include "hwy/highway.h"

#if HWY_ARCH_X86
#include <xmmintrin.h>

#include "sim/gemm_recipe.h"
#include "tests/sim/lanes_case.h"

namespace lostbits {
namespace {

using test::Layout;
using test::MatrixCase;
using test::Pattern;

// MXCSR until the end of the scope.
class Mxcsr {
 public:
  explicit Mxcsr(unsigned value) : saved_(_mm_getcsr()) { _mm_setcsr(value); }
  ~Mxcsr() { _mm_setcsr(saved_); }
  Mxcsr(const Mxcsr&) = delete;
  Mxcsr& operator=(const Mxcsr&) = delete;

 private:
  unsigned saved_;
};

TEST(LanesEnvironment, RoundingModeAndFlushToZeroChangeNothing) {
  // Intel SDM volume 1, section 10.2.3: all exceptions masked; rounding mode in bits 13 and 14;
  // flush-to-zero is bit 15, denormals-are-zeros bit 6.
  constexpr unsigned kMasked = 0x1F80, kFlush = 0x8040;
  test::Random r(30);
  sim::PackedB packed;
  for (const char* name :
       {"hopper:wgmma:e4m3:f32", "hopper:wgmma:e5m2:f32", "blackwell:tcgen05:e4m3:f32",
        "hopper:mma.sync:bf16:f32", "ampere:mma.sync:f16:f32", "ampere:mma.sync:f16:f16",
        "hopper:wgmma:e4m3:f16", "blackwell:mma.sync:e4m3:f32", "hopper:mma.sync:e5m2:f16",
        "cdna1:mfma:f32:f32", "cdna1:mfma:bf16:f32", "cdna2:mfma:bf16:f32", "cdna3:mfma:tf32:f32",
        "cdna3:mfma:bf16:f32", "cdna3:mfma:e5m2fnuz:f32"}) {
    const sim::ArchRow& row = test::Row(name);
    for (int p = 0; p < test::kPatternCount; ++p) {
      const MatrixCase x = DrawMatrix(r, row.spec, 4, 17, 33, static_cast<Pattern>(p));
      const std::vector<uint32_t> want = ExpectedProduct(row.spec, x);
      for (unsigned mode = 0; mode < 8; ++mode) {
        std::vector<uint32_t> got;
        for (int64_t target : test::Targets()) {
          const test::ForcedTarget forced(target);
          {
            const Mxcsr environment(kMasked | (mode & 3) << 13 | (mode & 4 ? kFlush : 0));
            got = LaneProduct(row.spec, x, Layout::kRowMajor, packed);
          }
          ASSERT_TRUE(SameWords(row, x, got, want))
              << "rounding mode " << (mode & 3) << (mode & 4 ? ", flushing" : "");
        }
      }
    }
  }
}

// Beside products that are zero, a subnormal c that is added last comes out as it was.
TEST(LanesEnvironment, KeepsASubnormalLateCWhereTheCallerFlushesIt) {
  const sim::ArchRow& row = test::Row("blackwell:mma.sync:e4m3:f32");
  MatrixCase x;
  x.what = "subnormal late c";
  x.a = {{0x00, 0x38}, {0x80, 0x00}};
  x.b = {{0x38, 0x00}, {0x00, 0x80}};
  x.c = {0x0000'0001, 0x807F'FFFF, 0x0040'0000, 0x8000'0000};
  sim::PackedB packed;
  for (int64_t target : test::Targets()) {
    const test::ForcedTarget forced(target);
    std::vector<uint32_t> got;
    {
      const Mxcsr environment(0x9FC0);  // all masked, both flushes
      got = LaneProduct(row.spec, x, Layout::kRowMajor, packed);
    }
    ASSERT_TRUE(SameWords(row, x, got, ExpectedProduct(row.spec, x)));
  }
}

// 2^-126 * 2^-1, a subnormal: flushed, it would be 0; and the scale itself is one.
TEST(GemmEnvironment, KeepsSubnormalsWhereTheCallerFlushesThem) {
  const sim::GemmRecipe recipe{.unit = test::Row("hopper:wgmma:e4m3:f32").spec,
                               .promote_every = 4,
                               .scale_a = sim::GemmScaling::kBlock128};
  const uint8_t a[32] = {0x30}, b[32] = {0x38};  // 0.5 * 1
  const float scale = 0x1p-127f;
  sim::GemmInputs in;
  in.a = {a, recipe.unit.a, 1, 32, 32};
  in.b = {b, recipe.unit.b, 32, 1, 1};
  in.scale_a = {&scale, 1, 1};
  uint32_t d = 0;
  unsigned after = 0;
  {
    const Mxcsr environment(0x9FC0);  // all masked, both flushes
    sim::Gemm(recipe, in, {&d, 1, 1}, 1);
    after = _mm_getcsr();
  }
  EXPECT_EQ(d, 0x0020'0000u);  // 2^-128
  EXPECT_EQ(after & 0xFFC0u, 0x9FC0u);
}

}  // namespace
}  // namespace lostbits
#endif  // HWY_ARCH_X86
