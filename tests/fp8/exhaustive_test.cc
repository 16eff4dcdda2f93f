// All 2^32 floats.
//
// Default: E4M3FN and E5M2, to nearest even, saturating and not, on every float: integers =
// definition = CUDA's host functions (where built with them) = lanes on every instruction set. All
// other formats, roundings and overflow rules: integers = definition = lanes on 1 float in 4096, in
// blocks of 1024 consecutive ones at all exponents.
//
//   LOSTBITS_EXHAUSTIVE=all   every float for those too, 14 formats x 6 roundings x 3 overflow
//   rules
//
// as an environment variable of this program. Cost: the default takes 7.3 CPU minutes (measured on
// two busy cores, with five instruction sets), `all` some 3 CPU hours (extrapolated from one
// format). TF32 from FP32 is included; FP32 from FP32 is the identity and FP64 has no float
// midpoints: codec_test covers both. kStochastic: codec_test. The definition is tabulated
// (spec::Thresholds), which codec_test compares with spec::Encode.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "fp8/codec.h"
#include "fp8/convert.h"
#include "fp8/preset.h"
#include "fp8/spec.h"
#include "tests/fp8/cases.h"
#include "tests/fp8/cuda_host.h"

namespace lostbits::fp8 {
namespace {

constexpr uint64_t kFloats = uint64_t{1} << 32;
constexpr uint32_t kBlock = 1u << 16;  // floats at a time: their codes stay in the L2 cache
constexpr uint32_t kSmallBlock = 1u << 10;

bool Everything() {
  const char* wish = std::getenv("LOSTBITS_EXHAUSTIVE");
  return wish != nullptr && std::strcmp(wish, "all") == 0;
}

/// Bits of the smallest float that is not below t >= 0; those of Inf if there is none.
uint32_t FirstFloatNotBelow(double t) {
  if (t > std::numeric_limits<float>::max()) return 0x7F80'0000;
  const auto x = static_cast<float>(t);
  return BitCast<uint32_t>(x) + (x < t ? 1 : 0);
}

/// The definition for runs of consecutive floats: between two thresholds the code is constant.
class Definition {
 public:
  Definition(Format f, const EncodePolicy& p) : format_(f), policy_(p) {
    for (const bool negative : {false, true}) {
      Side& side = sides_[negative];
      for (const double t : spec::Thresholds(f, p.rounding, negative && IsSigned(f)))
        side.starts.push_back(FirstFloatNotBelow(t));
      // One number of each magnitude, encoded by the definition itself; the last stands for all
      // that overflow. E8M0's zero is the one input that its thresholds do not govern.
      for (uint64_t m = 0; m <= side.starts.size(); ++m) {
        const double x = spec::Value(f, m);
        side.codes.push_back(static_cast<uint32_t>(spec::Encode(f, negative ? -x : x, p).code));
      }
    }
  }

  /// Codes of the floats with bits first, first + 1, ...: all of one sign, all finite or none.
  template <class Code>
  void Encode(uint32_t first, std::vector<Code>& codes) const {
    const Side& side = sides_[first >> 31];
    const uint32_t magnitude = first & 0x7FFF'FFFF;
    if (magnitude >= 0x7F80'0000) {
      for (size_t i = 0; i < codes.size(); ++i) {
        const float x = BitCast<float>(first + static_cast<uint32_t>(i));
        codes[i] = static_cast<Code>(spec::Encode(format_, x, policy_, 0, NanPayloadOf(x)).code);
      }
      return;
    }
    auto m = static_cast<size_t>(
        std::upper_bound(side.starts.begin(), side.starts.end(), magnitude) - side.starts.begin());
    for (size_t i = 0; i < codes.size(); ++m) {
      const size_t end = m == side.starts.size()
                             ? codes.size()
                             : std::min<size_t>(codes.size(), side.starts[m] - magnitude);
      std::fill(codes.begin() + static_cast<ptrdiff_t>(i),
                codes.begin() + static_cast<ptrdiff_t>(end), static_cast<Code>(side.codes[m]));
      i = end;
    }
    if (magnitude == 0)
      codes[0] = static_cast<Code>(spec::Encode(format_, BitCast<float>(first), policy_).code);
  }

 private:
  struct Side {
    std::vector<uint32_t> starts;  ///< bits of the first float of magnitude code m + 1
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

template <class Code>
void Compare(const char* who, Format f, const EncodePolicy& p, uint32_t first,
             const std::vector<Code>& got, const std::vector<Code>& expected, Report& report) {
  if (std::memcmp(got.data(), expected.data(), got.size() * sizeof(Code)) == 0) return;
  const auto i = static_cast<uint32_t>(
      std::mismatch(got.begin(), got.end(), expected.begin()).first - got.begin());
  const uint32_t bits = first + i;
  report.Add(std::string(who) + ": " + FormatName(f) + " of float " + HexCode(bits) + " " +
             Hex(BitCast<float>(bits)) + " is " + HexCode(got[i]) + ", by definition " +
             HexCode(expected[i]) + "; " + Describe(p));
}

/// Floats of one block into F under CUDA's policy, by all spellings.
template <Format F, bool kSaturate>
void CheckBlock(const Definition& definition, const std::vector<LaneTarget>& targets,
                uint32_t first, const std::vector<float>& x, Report& report) {
  constexpr EncodePolicy kPolicy = *EncodeLike(kSaturate ? Library::kCuda : Library::kCudaNosat, F);
  std::vector<uint8_t> expected(kBlock), codes(kBlock);
  definition.Encode(first, expected);
  for (uint32_t i = 0; i < kBlock; ++i)
    codes[i] = static_cast<uint8_t>(Pack(F, Unpack(kFP32, first + i), kPolicy).code);
  Compare("integers", F, kPolicy, first, codes, expected, report);
  for (const LaneTarget& target : targets) {
    std::memset(codes.data(), 0xA5, codes.size());
    Encode(x, {F, codes}, kPolicy, {.path = {Path::kLanes, target.id}});
    Compare(target.name.c_str(), F, kPolicy, first, codes, expected, report);
  }
#if LOSTBITS_HAVE_CUDA_HEADERS
  for (uint32_t i = 0; i < kBlock; ++i)
    codes[i] = static_cast<uint8_t>(cuda_host::Encode(F, x[i], kSaturate));
  Compare("CUDA host", F, kPolicy, first, codes, expected, report);
#endif
}

// Integers, lanes on every instruction set and CUDA's host functions equal the definition.
template <Format F>
void AllFloatsInto() {
  const Definition saturating(F, *EncodeLike(Library::kCuda, F));
  const Definition special(F, *EncodeLike(Library::kCudaNosat, F));
  const std::vector<LaneTarget> targets = LaneTargets();
  Report report;
#pragma omp parallel
  {
    std::vector<float> x(kBlock);
#pragma omp for schedule(dynamic, 16)
    for (uint64_t block = 0; block < kFloats / kBlock; ++block) {
      const auto first = static_cast<uint32_t>(block * kBlock);
      for (uint32_t i = 0; i < kBlock; ++i) x[i] = BitCast<float>(first + i);
      CheckBlock<F, true>(saturating, targets, first, x, report);
      CheckBlock<F, false>(special, targets, first, x, report);
    }
  }
  EXPECT_EQ(report.blocks, 0u) << report.first;
}
TEST(AllFloats, IntoE4M3FN) { AllFloatsInto<kE4M3FN>(); }
TEST(AllFloats, IntoE5M2) { AllFloatsInto<kE5M2>(); }

template <Format F>
void SweepUnder(const EncodePolicy& policy, uint64_t step, Report& report) {
  using Code = std::conditional_t<(StorageBits(F) <= 8), uint8_t,
                                  std::conditional_t<(StorageBits(F) <= 16), uint16_t, uint32_t>>;
  const std::vector<LaneTarget> targets = LaneTargets();
  const Definition definition(F, policy);
#pragma omp parallel
  {
    const EncodePolicy p = policy;
    std::vector<Code> expected(kSmallBlock), codes(kSmallBlock);
#pragma omp for schedule(dynamic, 64)
    for (uint64_t i = 0; i < kFloats / kSmallBlock / step; ++i) {
      // Under a step, one block of every `step` takes part, another one each time.
      const auto first = static_cast<uint32_t>((i * step + i * 37 % step) * kSmallBlock);
      definition.Encode(first, expected);
      for (uint32_t k = 0; k < kSmallBlock; ++k)
        codes[k] = static_cast<Code>(Pack(F, Unpack(kFP32, first + k), p).code);
      Compare("integers", F, p, first, codes, expected, report);
      std::vector<float> x(kSmallBlock);
      for (uint32_t k = 0; k < kSmallBlock; ++k) x[k] = BitCast<float>(first + k);
      for (const LaneTarget& target : targets) {
        std::fill(codes.begin(), codes.end(), static_cast<Code>(~expected[0]));
        const Codes out(F, codes.data(), codes.size(), ContainerBytes(F));
        Encode(x, out, p, {.path = {Path::kLanes, target.id}});
        Compare(target.name.c_str(), F, p, first, codes, expected, report);
      }
    }
  }
}

/// Integers and lanes equal the definition under every rounding and overflow rule.
template <Format F>
void Sweep() {
  Report report;
  for (const Rounding rounding : kAllRoundings) {
    if (rounding == Rounding::kStochastic) continue;
    for (const Overflow overflow : kAllOverflows) {
      SweepUnder<F>({.rounding = rounding, .overflow = overflow, .inf = InfRule::kKeep},
                    Everything() ? 1 : 4096, report);
    }
  }
  EXPECT_EQ(report.blocks, 0u) << report.first;
}
TEST(Sweep, E4M3FN) { Sweep<kE4M3FN>(); }
TEST(Sweep, E5M2) { Sweep<kE5M2>(); }
TEST(Sweep, E4M3) { Sweep<kE4M3>(); }
TEST(Sweep, E3M4) { Sweep<kE3M4>(); }
TEST(Sweep, E4M3FNUZ) { Sweep<kE4M3FNUZ>(); }
TEST(Sweep, E5M2FNUZ) { Sweep<kE5M2FNUZ>(); }
TEST(Sweep, E4M3B11FNUZ) { Sweep<kE4M3B11FNUZ>(); }
TEST(Sweep, E8M0) { Sweep<kE8M0>(); }
TEST(Sweep, E2M3) { Sweep<kE2M3>(); }
TEST(Sweep, E3M2) { Sweep<kE3M2>(); }
TEST(Sweep, E2M1) { Sweep<kE2M1>(); }
TEST(Sweep, FP16) { Sweep<kFP16>(); }
TEST(Sweep, BF16) { Sweep<kBF16>(); }
TEST(Sweep, TF32) { Sweep<kTF32>(); }

}  // namespace
}  // namespace lostbits::fp8
