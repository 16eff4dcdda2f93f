// The caller's floating-point environment changes no bit of a matrix product.
#include "hwy/highway.h"

#if HWY_ARCH_X86
#include <xmmintrin.h>

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
        "hopper:mma.sync:bf16:f32", "ampere:mma.sync:f16:f32", "ampere:mma.sync:f16:f16"}) {
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

}  // namespace
}  // namespace lostbits
#endif  // HWY_ARCH_X86
