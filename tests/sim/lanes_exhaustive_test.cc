// Lanes = integers at length: every pair of FP8 codes beside addends that matter, and many drawn
// matrices, on every instruction set.
#include <string>

#include "tests/sim/lanes_case.h"

namespace lostbits {
namespace {

using test::Layout;
using test::MatrixCase;
using test::Pattern;

TEST(LanesExhaustive, EveryPairOfCodesBesideAddends) {
  test::Random r(50);
  sim::PackedB packed;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!sim::HasMatrixProduct(row.spec)) continue;
    if (fp8::StorageBits(row.spec.a) != 8 || fp8::StorageBits(row.spec.b) != 8) continue;
    if (std::string("integer") == sim::LanePathName(row.spec)) continue;
    MatrixCase x;
    x.what = "all pairs";
    for (uint32_t code = 0; code < 256; ++code) {
      x.a.push_back({code});
      x.b.push_back({code});
    }
    for (int repeat = 0; repeat < 4; ++repeat) {
      x.c.clear();
      for (int i = 0; i < 65536; ++i) {
        x.c.push_back(repeat == 0 ? 0
                                  : static_cast<uint32_t>(
                                        test::AddendWord(r, row.spec.acc, r.Between(-32, 32))));
      }
      const std::vector<uint32_t> want = ExpectedProduct(row.spec, x);
      for (int64_t target : test::Targets()) {
        const test::ForcedTarget forced(target);
        ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, Layout::kTransposed, packed), want));
      }
    }
  }
}

TEST(LanesExhaustive, ManyMatricesOfEveryPattern) {
  test::Random r(51);
  sim::PackedB packed;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!sim::HasMatrixProduct(row.spec)) continue;
    if (std::string("integer") == sim::LanePathName(row.spec)) continue;
    for (int p = 0; p < test::kPatternCount; ++p) {
      for (int repeat = 0; repeat < 100; ++repeat) {
        const MatrixCase x = DrawMatrix(r, row.spec, r.Between(1, 9), r.Between(1, 50),
                                        r.Between(1, 3 * row.spec.k + 3), static_cast<Pattern>(p));
        const std::vector<uint32_t> want = ExpectedProduct(row.spec, x);
        const Layout layout = r.OneIn(2) ? Layout::kTransposed : Layout::kRowMajor;
        for (int64_t target : test::Targets()) {
          const test::ForcedTarget forced(target);
          ASSERT_TRUE(SameWords(row, x, LaneProduct(row.spec, x, layout, packed), want));
        }
      }
    }
  }
}

}  // namespace
}  // namespace lostbits
