// sim/accum.h = sim/spec.h on a million generated cases on each row of the table, and FP16 addition
// on all pairs. One test a row: --gtest_filter='*hopper_wgmma*'.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>

#include "tests/sim/accum_add.h"
#include "tests/sim/accum_twin.h"

namespace lostbits {
namespace {

constexpr uint64_t kSeed = 2;
constexpr int64_t kCases = 1'000'000;

class AccumTwinExhaustive : public ::testing::TestWithParam<sim::ArchRow> {};

TEST_P(AccumTwinExhaustive, MillionCases) {
  test::TwinCount total;
#pragma omp parallel
  {
    test::TwinCount count;
#pragma omp for schedule(dynamic, 1024)
    for (int64_t i = 0; i < kCases; ++i)
      test::CompareTwin(GetParam(), kSeed, static_cast<uint64_t>(i), count);
#pragma omp critical
    total += count;
  }
  EXPECT_EQ(total.cases, kCases);
  EXPECT_EQ(total.unequal, 0) << "of " << total.cases << "; one of them: " << total.first;
  std::printf("%lld cases: %lld NaN, %lld Inf, %lld +0, %lld -0, %lld subnormal results\n",
              static_cast<long long>(total.cases), static_cast<long long>(total.nan),
              static_cast<long long>(total.inf), static_cast<long long>(total.zero),
              static_cast<long long>(total.minus_zero), static_cast<long long>(total.subnormal));
}

/// "hopper_wgmma_e4m3_f32": GoogleTest wants letters, digits and underscores.
std::string ParameterName(const ::testing::TestParamInfo<sim::ArchRow>& info) {
  std::string name = test::Name(info.param);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Rows, AccumTwinExhaustive, ::testing::ValuesIn(sim::kArchTable),
                         ParameterName);

TEST(AccumAddExhaustive, AllFp16Additions) {
  int64_t unequal = 0;
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : unequal)
  for (int64_t y = 0; y < 65536; ++y) unequal += test::CountUnequalFp16(static_cast<uint32_t>(y));
  EXPECT_EQ(unequal, 0);
}

}  // namespace

namespace sim {
// How GoogleTest prints a parameter.
void PrintTo(const ArchRow& row, std::ostream* out) { *out << test::Name(row); }
}  // namespace sim
}  // namespace lostbits
