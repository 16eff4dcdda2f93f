// sim/accum.h = sim/spec.h on ten million generated cases over all rows of the table, and FP16
// addition on all pairs.
#include <gtest/gtest.h>

#include <cstdio>
#include <iterator>

#include "tests/sim/accum_add.h"
#include "tests/sim/accum_twin.h"

namespace lostbits {
namespace {

constexpr uint64_t kSeed = 2;
constexpr int64_t kCases = 10'000'000;

TEST(AccumTwinExhaustive, TenMillionCases) {
  constexpr int64_t kRows = std::size(sim::kArchTable);
  constexpr int64_t kPerRow = (kCases + kRows - 1) / kRows;
  test::TwinCount total;
#pragma omp parallel
  {
    test::TwinCount count;
#pragma omp for schedule(dynamic, 1024)
    for (int64_t i = 0; i < kRows * kPerRow; ++i) {
      test::CompareTwin(sim::kArchTable[i / kPerRow], kSeed, static_cast<uint64_t>(i), count);
    }
#pragma omp critical
    total += count;
  }
  EXPECT_GE(total.cases, kCases);
  EXPECT_EQ(total.unequal, 0) << "of " << total.cases << "; one of them: " << total.first;
  std::printf("%lld cases: %lld NaN, %lld Inf, %lld +0, %lld -0, %lld subnormal results\n",
              static_cast<long long>(total.cases), static_cast<long long>(total.nan),
              static_cast<long long>(total.inf), static_cast<long long>(total.zero),
              static_cast<long long>(total.minus_zero), static_cast<long long>(total.subnormal));
}

TEST(AccumTwinExhaustive, AllFp16Additions) {
  int64_t unequal = 0;
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : unequal)
  for (int64_t y = 0; y < 65536; ++y) unequal += test::CountUnequalFp16(static_cast<uint32_t>(y));
  EXPECT_EQ(unequal, 0);
}

}  // namespace
}  // namespace lostbits
