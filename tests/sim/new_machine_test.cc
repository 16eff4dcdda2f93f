// To add a machine is to add a row: units nobody has built run through the arithmetic, its twin by
// value and matrix products, without a line of code for them.
#include <gtest/gtest.h>

#include <vector>

#include "sim/arch_check.h"
#include "sim/gemm.h"
#include "tests/sim/accum_ask.h"
#include "tests/sim/accum_twin.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using sim::ArchFamily;
using sim::ArchRow;
using sim::Flow;

constexpr AccumSpec kTwentyFour{.a = {},
                                .b = {},
                                .acc = fp8::kFP32,
                                .out = sim::kE8M13,
                                .rounding = fp8::Rounding::kTowardZero,
                                .group = 24,
                                .fraction_bits = 19,
                                .e_zero = -140,
                                .k = 48};
constexpr AccumSpec kScaled{.a = {},
                            .b = {},
                            .acc = fp8::kFP32,
                            .out = fp8::kFP32,
                            .rounding = fp8::Rounding::kNearestEven,
                            .group = 32,
                            .fraction_bits = 30,
                            .e_zero = -150,
                            .k = 64,
                            .flow = Flow::kBlockDot,
                            .scale = fp8::kE4M3FN,
                            .block = 32};
constexpr AccumSpec kWideExact{.a = {},
                               .b = {},
                               .acc = fp8::kFP16,
                               .out = fp8::kFP16,
                               .rounding = fp8::Rounding::kNearestEven,
                               .group = 10,
                               .fraction_bits = 0,
                               .e_zero = 0,
                               .k = 20,
                               .flow = Flow::kExact,
                               .signed_underflow = true};
constexpr sim::Evidence kNone = sim::table::Assumed("nobody has built it");
constexpr sim::OperandPair kFp6In[] = {{fp8::kE3M2, fp8::kE2M3, "e3m2.e2m3"}};
constexpr ArchFamily kInvented[] = {
    {"nobody", "mma", sim::table::kFp8AnyIn, kTwentyFour, kNone},
    {"nobody", "mma.scaled", kFp6In, kScaled, kNone},
    {"nobody", "mma.exact", sim::table::kF16Bf16In, kWideExact, kNone},
};

std::vector<ArchRow> InventedRows() {
  std::vector<ArchRow> rows;
  for (const ArchFamily& f : kInvented) {
    for (const sim::OperandPair& pair : f.pairs) {
      AccumSpec spec = f.spec;
      spec.a = pair.a;
      spec.b = pair.b;
      rows.push_back({f.arch, f.instruction, pair.name, spec.block != 0 ? "ue4m3/32" : "",
                      sim::table::OutName(spec.acc), spec, f.evidence, 0});
    }
  }
  return rows;
}

TEST(NewMachine, AnswersByItsRow) {
  // e4m3 * e5m2: 448 * 1.75 (exponent 8, grid 2^-11); 2^-9 * 2^-3 = 2^-12 falls below the grid;
  // c = -0.3 becomes -614 * 2^-11: 784 - 0.2998046875, cut to 13 bits: 783.6875. The second group
  // (k = 24) adds 1 * 1.
  const AccumSpec spec = InventedRows()[2].spec;
  EXPECT_WORD(0x4444'2C00u,
              test::Ask(spec, {{0, 0x7E, 0x3F}, {23, 0x01, 0x30}, {24, 0x38, 0x3C}}, 0xBE99'999A));
}

TEST(NewMachine, IntegersEqualValues) {
  for (const ArchRow& row : InventedRows()) {
    EXPECT_EQ(sim::WhyNoMachine(row.spec), "") << test::Name(row);
    test::TwinCount count;
    for (uint64_t i = 0; i < 20'000; ++i) test::CompareTwin(row, 1, i, count);
    EXPECT_EQ(count.unequal, 0) << "of " << count.cases << "; first: " << count.first;
    EXPECT_GT(count.nan, 0) << test::Name(row);
    EXPECT_GT(count.inf, 0) << test::Name(row);
    EXPECT_GT(count.zero, 0) << test::Name(row);
  }
}

/// A matrix of codes as sim/gemm.h takes it: elements of 1 or 2 bytes.
struct Matrix {
  std::vector<uint8_t> bytes;
  sim::CodeView view;

  Matrix(fp8::Format f, const std::vector<uint64_t>& codes, int64_t rows, int64_t cols) {
    const bool two = fp8::StorageBits(f) > 8;
    for (uint64_t code : codes) {
      bytes.push_back(static_cast<uint8_t>(code));
      if (two) bytes.push_back(static_cast<uint8_t>(code >> 8));
    }
    view = {bytes.data(), f, rows, cols, cols};
  }
};

// 5 x 3 outputs, k over two instructions and a part of one.
TEST(NewMachine, MultipliesMatrices) {
  constexpr int64_t kM = 5, kN = 3;
  test::Random r(3);
  for (const ArchRow& row : InventedRows()) {
    const AccumSpec& spec = row.spec;
    if (spec.block != 0) continue;  // matrix products take no block scales
    SCOPED_TRACE(test::Name(row));
    for (int repeat = 0; repeat < 20; ++repeat) {
      const int64_t k = 2 * spec.k + 7;
      std::vector<uint64_t> a, bt;
      std::vector<uint32_t> c;
      for (int64_t i = 0; i < kM * k; ++i) a.push_back(test::FiniteCode(r, spec.a));
      for (int64_t i = 0; i < kN * k; ++i) bt.push_back(test::NormalCode(r, spec.b));
      for (int64_t i = 0; i < kM * kN; ++i)
        c.push_back(static_cast<uint32_t>(test::NormalCode(r, spec.acc)));
      const std::vector<uint32_t> start = c;

      const Matrix a_matrix(spec.a, a, kM, k), b_matrix(spec.b, bt, kN, k);
      sim::PackedB packed;
      packed.PackTransposed(spec, b_matrix.view);
      sim::MultiplyAccumulate(spec, a_matrix.view, packed, {c.data(), kM, kN});
      for (int64_t i = 0; i < kM; ++i) {
        for (int64_t j = 0; j < kN; ++j) {
          const auto at = static_cast<size_t>(i * kN + j);
          EXPECT_WORD(sim::spec::Chain(spec, &a[static_cast<size_t>(i * k)],
                                       &bt[static_cast<size_t>(j * k)], k, start[at]),
                      c[at]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lostbits
