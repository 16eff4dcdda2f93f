// All 2^32 floats.
//
// Default: E4M3FN and E5M2, to nearest even, saturating and not, on every float: integers =
// definition = CUDA's host functions (where built with them) = lanes on every instruction set. All
// other formats, roundings and overflow rules: integers = definition on 1 float in 4096, in blocks
// of 1024 consecutive ones at all exponents.
//
//   LOSTBITS_EXHAUSTIVE=all   every float for those too, 14 formats x 6 roundings x 3 overflow
//   rules
//
// as an environment variable of this program. TF32 from FP32 is included; FP32 from FP32 is the
// identity and FP64 has no float midpoints: codec_test covers both. kStochastic: codec_test.
// The definition is tabulated (spec::Thresholds): between two thresholds the code is constant.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "fp8/convert.h"
#include "fp8/preset.h"
#include "fp8/spec.h"
#include "tests/fp8/cases.h"
#include "tests/fp8/cuda_host.h"

namespace lostbits::fp8 {
namespace {

constexpr uint32_t kBlock = 1u << 16;  // floats at a time: their codes stay in the L2 cache
constexpr uint32_t kSmallBlock = 1u << 10;

bool Everything() {
  const char* wish = std::getenv("LOSTBITS_EXHAUSTIVE");
  return wish != nullptr && std::strcmp(wish, "all") == 0;
}

/// The definition for floats in ascending order of magnitude: codes looked up, thresholds walked.
class Definition {
 public:
  Definition(Format f, const EncodePolicy& p) : format_(f), policy_(p) {
    for (const bool negative : {false, true}) {
      Side& side = sides_[negative];
      side.thresholds = spec::Thresholds(f, p.rounding, negative && IsSigned(f));
      // One number of each magnitude, encoded by the definition itself; the last stands for all
      // that overflow. E8M0's zero is the one input that its thresholds do not govern.
      for (uint64_t m = 0; m <= side.thresholds.size(); ++m) {
        const double x = spec::Value(f, m);
        side.codes.push_back(static_cast<uint32_t>(spec::Encode(f, negative ? -x : x, p).code));
      }
    }
  }

  /// Codes of the n floats with bits first, first + 1, ... of one sign, all finite or all not.
  void Encode(uint32_t first, size_t n, uint32_t* codes) const {
    const Side& side = sides_[first >> 31];
    const float start = std::fabs(BitCast<float>(first));
    if (!std::isfinite(start)) {
      for (size_t i = 0; i < n; ++i) {
        const float x = BitCast<float>(first + static_cast<uint32_t>(i));
        codes[i] =
            static_cast<uint32_t>(spec::Encode(format_, x, policy_, 0, NanPayloadOf(x)).code);
      }
      return;
    }
    const auto& t = side.thresholds;
    auto m = static_cast<size_t>(std::upper_bound(t.begin(), t.end(), static_cast<double>(start)) -
                                 t.begin());
    for (size_t i = 0; i < n; ++i) {
      const double x = std::fabs(BitCast<float>(first + static_cast<uint32_t>(i)));
      while (m < t.size() && x >= t[m]) ++m;
      codes[i] = side.codes[m];
    }
    if (start == 0) {
      codes[0] = static_cast<uint32_t>(spec::Encode(format_, BitCast<float>(first), policy_).code);
    }
  }

 private:
  struct Side {
    std::vector<double> thresholds;
    std::vector<uint32_t> codes;
  };
  Format format_;
  EncodePolicy policy_;
  Side sides_[2];
};

/// The first disagreement of each kind, and how many blocks have one.
struct Report {
  std::string first;
  uint64_t blocks = 0;

  void Add(const std::string& text) {
#pragma omp critical(lostbits_report)
    {
      if (blocks == 0) first = text;
      ++blocks;
    }
  }
};

template <class A, class B>
void Compare(const char* who, Format f, const EncodePolicy& p, uint32_t first, size_t n,
             const A* got, const B* expected, Report& report) {
  for (size_t i = 0; i < n; ++i) {
    if (got[i] == expected[i]) continue;
    const uint32_t bits = first + static_cast<uint32_t>(i);
    report.Add(std::string(who) + ": " + FormatName(f) + " of float " + HexCode(bits) + " " +
               Hex(BitCast<float>(bits)) + " is " + HexCode(got[i]) + ", by definition " +
               HexCode(expected[i]) + "; " + Describe(p));
    return;
  }
}

struct AllFloatsCase {
  Format format;
  bool saturate;
};
class AllFloats : public testing::TestWithParam<AllFloatsCase> {};
INSTANTIATE_TEST_SUITE_P(Fp8, AllFloats,
                         testing::Values(AllFloatsCase{kE4M3FN, true},
                                         AllFloatsCase{kE4M3FN, false}, AllFloatsCase{kE5M2, true},
                                         AllFloatsCase{kE5M2, false}),
                         [](const auto& param) {
                           return FormatName(param.param.format) +
                                  (param.param.saturate ? "Saturating" : "Special");
                         });

TEST_P(AllFloats, IntegersAndLanesAndCudaEqualTheDefinition) {
  const auto [format, saturate] = GetParam();
  const Format f = format;
  const EncodePolicy p = *EncodeLike(saturate ? Library::kCuda : Library::kCudaNosat, f);
  const Definition definition(f, p);
  const std::vector<LaneTarget> targets = LaneTargets();
  Report report;
#pragma omp parallel
  {
    std::vector<float> x(kBlock);
    std::vector<uint32_t> expected(kBlock);
    std::vector<uint8_t> codes(kBlock);
#pragma omp for schedule(dynamic, 16)
    for (uint64_t block = 0; block < (uint64_t{1} << 32) / kBlock; ++block) {
      const auto first = static_cast<uint32_t>(block * kBlock);
      for (uint32_t i = 0; i < kBlock; ++i) x[i] = BitCast<float>(first + i);
      definition.Encode(first, kBlock, expected.data());
      Encode(x, {f, codes}, p, {.path = {Path::kIntegers}});
      Compare("integers", f, p, first, kBlock, codes.data(), expected.data(), report);
      for (const LaneTarget& target : targets) {
        std::fill(codes.begin(), codes.end(), uint8_t{0xA5});
        Encode(x, {f, codes}, p, {.path = {Path::kLanes, target.id}});
        Compare(target.name.c_str(), f, p, first, kBlock, codes.data(), expected.data(), report);
      }
#if LOSTBITS_HAVE_CUDA_HEADERS
      for (uint32_t i = 0; i < kBlock; ++i)
        codes[i] = static_cast<uint8_t>(cuda_host::Encode(f, x[i], saturate));
      Compare("CUDA host", f, p, first, kBlock, codes.data(), expected.data(), report);
#endif
    }
  }
  EXPECT_EQ(report.blocks, 0u) << report.first;
}

class OtherFormats : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(All, OtherFormats,
                         testing::ValuesIn(std::begin(kAllFormats), std::end(kAllFormats) - 2),
                         [](const auto& param) { return FormatName(param.param); });

TEST_P(OtherFormats, IntegersEqualTheDefinition) {
  const Format f = GetParam();
  const uint64_t step = Everything() ? 1 : 4096;
  Report report;
  for (const Rounding rounding : kAllRoundings) {
    if (rounding == Rounding::kStochastic) continue;
    for (const Overflow overflow : kAllOverflows) {
      const EncodePolicy p{.rounding = rounding, .overflow = overflow, .inf = InfRule::kKeep};
      const Definition definition(f, p);
#pragma omp parallel
      {
        std::vector<uint32_t> expected(kSmallBlock), codes(kSmallBlock);
#pragma omp for schedule(dynamic, 64)
        for (uint64_t i = 0; i < (uint64_t{1} << 32) / kSmallBlock / step; ++i) {
          // Under a step, block i of every group of `step` blocks shifts along: over the groups all
          // positions within a binade take part.
          const auto first =
              static_cast<uint32_t>((i * step + i * 37 % step) * uint64_t{kSmallBlock});
          definition.Encode(first, kSmallBlock, expected.data());
          for (uint32_t k = 0; k < kSmallBlock; ++k)
            codes[k] = static_cast<uint32_t>(Pack(f, Unpack(kFP32, first + k), p).code);
          Compare("integers", f, p, first, kSmallBlock, codes.data(), expected.data(), report);
        }
      }
    }
  }
  EXPECT_EQ(report.blocks, 0u) << report.first;
}

}  // namespace
}  // namespace lostbits::fp8
