// Matrix products for the lane tests: drawn by pattern, packed into real operands, and computed one
// output at a time by DotChain from the codes themselves.
#ifndef LOSTBITS_TESTS_SIM_LANES_CASE_H_
#define LOSTBITS_TESTS_SIM_LANES_CASE_H_

#define HWY_WANT_AVX3_DL  // as sim/gemm_lanes.cc

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "hwy/highway.h"
#include "sim/gemm.h"
#include "tests/support/generator.h"
#include "tests/support/machine.h"

namespace lostbits::test {

/// Lanes on one of Highway's instruction sets until the end of the scope.
class ForcedTarget {
 public:
  explicit ForcedTarget(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().DeInit();
  }
  ~ForcedTarget() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().DeInit();
  }
  ForcedTarget(const ForcedTarget&) = delete;
  ForcedTarget& operator=(const ForcedTarget&) = delete;
};

/// Every instruction set that Highway compiled and this CPU has.
inline std::vector<int64_t> Targets() { return hwy::SupportedAndGeneratedTargets(); }

/// Codes in the container of their format, rows padded with codes no result may depend on.
struct StoredMatrix {
  StoredMatrix(fp8::Format f, int64_t r, int64_t c, int64_t gap)
      : format(f),
        rows(r),
        cols(c),
        stride(c + gap),
        bytes(static_cast<size_t>(r * stride) * Width(), 0x7F) {}

  size_t Width() const {
    const int bits = fp8::StorageBits(format);
    return bits <= 8 ? 1 : bits <= 16 ? 2 : 4;
  }
  void Set(int64_t r, int64_t c, uint32_t code) {
    std::memcpy(&bytes[static_cast<size_t>(r * stride + c) * Width()], &code, Width());
  }
  sim::CodeView View() const { return {bytes.data(), format, rows, cols, stride}; }

  fp8::Format format;
  int64_t rows, cols, stride;
  std::vector<uint8_t> bytes;
};

/// One product: a[i] and b[j] are the row of A and the column of B, c is M x N.
struct MatrixCase {
  std::vector<std::vector<uint32_t>> a, b;
  std::vector<uint32_t> c;
  std::string what;  ///< for messages

  int64_t m() const { return static_cast<int64_t>(a.size()); }
  int64_t n() const { return static_cast<int64_t>(b.size()); }
  int64_t k() const { return static_cast<int64_t>(a.empty() ? 0 : a[0].size()); }
};

/// The codes of a format of at most 32 bits.
inline std::vector<uint32_t> Narrow(const std::vector<uint64_t>& codes) {
  return {codes.begin(), codes.end()};
}

/// Rows, columns and accumulators of one pattern; row i and column i come from one dot product, so
/// what the pattern says about pairs holds at (i, i).
inline MatrixCase DrawMatrix(Random& r, const sim::AccumSpec& spec, int m, int n, int k,
                             Pattern pattern) {
  MatrixCase out;
  out.what = Name(pattern);
  for (int i = 0; i < std::max(m, n); ++i) {
    DotCase dot = GenerateDot(r, spec.a, spec.b, spec.acc, k, pattern);
    if (i < m) out.a.push_back(Narrow(dot.a));
    if (i < n) out.b.push_back(Narrow(dot.b));
  }
  for (int i = 0; i < m * n; ++i) {
    const DotCase dot = GenerateDot(r, spec.a, spec.b, spec.acc, 1, pattern);
    out.c.push_back(static_cast<uint32_t>(dot.c));
  }
  return out;
}

/// DotChain for every output.
inline std::vector<uint32_t> ExpectedProduct(const sim::AccumSpec& spec, const MatrixCase& x) {
  std::vector<uint32_t> out = x.c;
  std::vector<std::vector<fp8::Unpacked>> a, b;
  for (const auto& row : x.a) a.push_back(UnpackAll(spec.a, row));
  for (const auto& column : x.b) b.push_back(UnpackAll(spec.b, column));
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) {
      uint32_t& word = out[i * b.size() + j];
      word = static_cast<uint32_t>(sim::DotChain(spec, a[i].data(), b[j].data(), x.k(), word));
    }
  }
  return out;
}

enum class Layout : uint8_t { kRowMajor, kTransposed };

/// MultiplyAccumulate on the case, operands and result with gaps between rows; B packed before, and
/// again on the way.
inline std::vector<uint32_t> LaneProduct(const sim::AccumSpec& spec, const MatrixCase& x,
                                         Layout layout, sim::PackedB& packed) {
  const int64_t m = x.m(), n = x.n(), k = x.k();
  StoredMatrix a(spec.a, m, k, 3);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t p = 0; p < k; ++p)
      a.Set(i, p, x.a[static_cast<size_t>(i)][static_cast<size_t>(p)]);
  const bool transposed = layout == Layout::kTransposed;
  StoredMatrix b(spec.b, transposed ? n : k, transposed ? k : n, 5);
  for (int64_t j = 0; j < n; ++j)
    for (int64_t p = 0; p < k; ++p)
      b.Set(transposed ? j : p, transposed ? p : j,
            x.b[static_cast<size_t>(j)][static_cast<size_t>(p)]);
  const int64_t stride = n + 2;
  constexpr uint32_t kUntouched = 0xDEAD'BEEF;
  std::vector<uint32_t> c(static_cast<size_t>(m * stride), kUntouched);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      c[static_cast<size_t>(i * stride + j)] = x.c[static_cast<size_t>(i * n + j)];
  std::vector<uint32_t> on_the_way = c;
  const auto multiply = [&](sim::Packing packing, std::vector<uint32_t>& into) {
    transposed ? packed.PackTransposed(spec, b.View(), packing)
               : packed.Pack(spec, b.View(), packing);
    sim::MultiplyAccumulate(spec, a.View(), packed, {into.data(), m, n, stride});
  };
  multiply(sim::Packing::kNow, c);
  multiply(sim::Packing::kLater, on_the_way);
  EXPECT_EQ(c, on_the_way);
  std::vector<uint32_t> out;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < stride; ++j) {
      const uint32_t word = c[static_cast<size_t>(i * stride + j)];
      if (j < n) {
        out.push_back(word);
      } else {
        EXPECT_EQ(word, kUntouched) << "written outside c at (" << i << ", " << j << ")";
      }
    }
  }
  return out;
}

/// The first difference, with everything needed to repeat it; true if there is none.
inline ::testing::AssertionResult SameWords(const sim::ArchRow& row, const MatrixCase& x,
                                            const std::vector<uint32_t>& got,
                                            const std::vector<uint32_t>& want) {
  for (size_t at = 0; at < want.size(); ++at) {
    if (got[at] == want[at]) continue;
    const size_t i = at / x.b.size(), j = at % x.b.size();
    return ::testing::AssertionFailure()
           << Name(row) << " on " << sim::InstructionSetName() << " ("
           << sim::LanePathName(row.spec) << "), " << x.what << ", M N K = " << x.m() << ' '
           << x.n() << ' ' << x.k() << ", (" << i << ", " << j << "): got " << Hex(got[at])
           << ", integers " << Hex(want[at]) << "\n  lostbits dot --machine " << Name(row)
           << " <<< '" << DotLine(row.spec, x.a[i], x.b[j], x.c[at]) << "'";
  }
  return ::testing::AssertionSuccess();
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_LANES_CASE_H_
