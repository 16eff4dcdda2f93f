// Arrays: every path gives the bits of fp8/codec.h; counts, random words, aliasing and errors.
#include "fp8/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "fp8/preset.h"
#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

/// Every policy that tells lanes apart: roundings, overflow, Inf and NaN rules, and E8M0's own.
std::vector<EncodePolicy> LanePolicies(Format f) {
  std::vector<EncodePolicy> policies;
  for (const Rounding rounding : kAllRoundings)
    for (const Overflow overflow : kAllOverflows)
      for (const InfRule inf : {InfRule::kSaturate, InfRule::kKeep})
        policies.push_back({.rounding = rounding, .overflow = overflow, .inf = inf});
  for (const NanSign sign : {NanSign::kKeep, NanSign::kClear, NanSign::kSet})
    for (const NanPayload payload : {NanPayload::kAllOnes, NanPayload::kQuiet})
      policies.push_back({.nan_sign = sign, .nan_payload = payload});
  for (const NanToFinite nan :
       {NanToFinite::kMax, NanToFinite::kZeroFlippedSign, NanToFinite::kZero})
    policies.push_back({.nan_to_finite = nan});
  if (!IsSigned(f)) {
    for (const ScaleNegative negative :
         {ScaleNegative::kMagnitude, ScaleNegative::kNan, ScaleNegative::kMin})
      for (const ScaleZero zero : {ScaleZero::kMin, ScaleZero::kNan, ScaleZero::kTinyNan})
        for (const InfRule inf : {InfRule::kSaturate, InfRule::kKeep})
          policies.push_back({.inf = inf, .scale_negative = negative, .scale_zero = zero});
  }
  for (size_t i = 0; i < policies.size(); ++i) {
    constexpr uint8_t kBits[] = {16, 32, 0, 1, 24, 29};
    policies[i].random_bit_count = kBits[i % std::size(kBits)];
  }
  return policies;
}

/// All 65,536 upper halves of binary32 with lower halves around ties, and midpoint neighbours.
std::vector<float> LaneInputs(Format f) {
  std::vector<float> x;
  for (uint32_t high = 0; high < 65'536; ++high)
    for (const uint32_t low : {0x0000u, 0x0001u, 0xFFFFu})
      x.push_back(BitCast<float>(high << 16 | low));
  for (const double y : Stratified(f, 256)) x.push_back(static_cast<float>(y));
  return x;
}

/// Codes as bytes, each of fp8::ContainerBytes(f).
std::vector<uint8_t> EncodeOn(Path path, ConstCodes in, Format f, const EncodePolicy& p) {
  const int bytes = ContainerBytes(f);
  std::vector<uint8_t> out(in.size * static_cast<size_t>(bytes), 0xA5);
  std::vector<uint32_t> random;
  if (p.rounding == Rounding::kStochastic) {
    std::mt19937 generator(11);
    for (size_t i = 0; i < in.size; ++i)
      random.push_back(i % 5 == 0 ? 0xFFFF'FFFF : static_cast<uint32_t>(generator()));
  }
  Encode(in, {f, out.data(), in.size, bytes}, p, {.random = random, .path = path});
  return out;
}

/// Empty, or the first element in which two arrays of elements of `bytes` bytes differ.
std::string FirstDifference(const std::vector<uint8_t>& got, const std::vector<uint8_t>& expected,
                            const ConstCodes& in, int bytes) {
  if (got == expected) return "";
  const auto at = std::mismatch(got.begin(), got.end(), expected.begin()).first - got.begin();
  const size_t i = static_cast<size_t>(at / bytes);
  const auto word = [&](const void* data, int size) {
    uint64_t w = 0;
    std::memcpy(&w, static_cast<const char*>(data) + i * static_cast<size_t>(size), size);
    return HexCode(w);
  };
  return "element " + std::to_string(i) + " " + word(in.data, in.bytes) + " is " +
         word(got.data(), bytes) + ", by integers " + word(expected.data(), bytes);
}

/// What a caller may have set: a rounding mode, and on x86 flush-to-zero and denormals-are-zero.
struct CallerSettings {
  int mode;
  bool flush;
};
constexpr CallerSettings kCallerSettings[] = {
    {FE_DOWNWARD, false}, {FE_UPWARD, true}, {FE_TOWARDZERO, true}, {FE_TONEAREST, true}};

class SettingsGuard {
 public:
  explicit SettingsGuard(CallerSettings settings) {
    std::fegetenv(&old_);
    std::fesetround(settings.mode);
#if defined(__SSE2__)
    constexpr unsigned kFlushBits = 0x8040;  // Intel SDM vol. 1, 10.2.3: FZ and DAZ
    if (settings.flush) _mm_setcsr(_mm_getcsr() | kFlushBits);
    set_ = _mm_getcsr();
#endif
  }
  ~SettingsGuard() { std::fesetenv(&old_); }
  SettingsGuard(const SettingsGuard&) = delete;
  SettingsGuard& operator=(const SettingsGuard&) = delete;

  /// Whether the settings are what the constructor left.
  bool Unchanged() const {
#if defined(__SSE2__)
    return _mm_getcsr() == set_;
#else
    return true;
#endif
  }

 private:
  std::fenv_t old_;
  unsigned set_ = 0;
};

class Lanes : public testing::TestWithParam<Format> {};
constexpr Format kLaneFormats[] = {kE4M3FN,   kE5M2,        kE4M3, kE3M4, kE4M3FNUZ,
                                   kE5M2FNUZ, kE4M3B11FNUZ, kE8M0, kE2M3, kE3M2,
                                   kE2M1,     kFP16,        kBF16, kTF32, kFP32};
INSTANTIATE_TEST_SUITE_P(Fp8, Lanes, testing::ValuesIn(kLaneFormats),
                         [](const auto& param) { return FormatName(param.param); });

TEST_P(Lanes, EncodeFloatsAsTheIntegersOnEveryTarget) {
  const Format f = GetParam();
  const std::vector<float> x = LaneInputs(f);
  ASSERT_FALSE(LaneTargets().empty());
  for (const EncodePolicy& p : LanePolicies(f)) {
    const std::vector<uint8_t> expected = EncodeOn({Path::kIntegers}, x, f, p);
    for (const LaneTarget& target : LaneTargets()) {
      const std::vector<uint8_t> codes = EncodeOn({Path::kLanes, target.id}, x, f, p);
      ASSERT_EQ(FirstDifference(codes, expected, x, ContainerBytes(f)), "")
          << target.name << " " << Describe(p);
    }
  }
}

// All codes of the narrow sources: 256 of FP8, 65,536 of FP16 and BF16.
TEST_P(Lanes, EncodeEveryNarrowSourceAsTheIntegersOnEveryTarget) {
  const Format to = GetParam();
  std::vector<uint16_t> words(65'536);
  for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint16_t>(i);
  std::vector<uint8_t> bytes(words.begin(), words.end());
  for (const Format from : kLaneFormats) {
    const int size = ContainerBytes(from);
    if (size > 2) continue;
    const ConstCodes in(from, size == 1 ? static_cast<const void*>(bytes.data()) : words.data(),
                        words.size(), size);
    for (const Rounding rounding : kAllRoundings) {
      const EncodePolicy p{.rounding = rounding,
                           .overflow = Overflow::kIeee,
                           .inf = InfRule::kKeep,
                           .nan_sign = NanSign::kKeep,
                           .random_bit_count = 9};
      const std::vector<uint8_t> expected = EncodeOn({Path::kIntegers}, in, to, p);
      for (const LaneTarget& target : LaneTargets()) {
        const std::vector<uint8_t> codes = EncodeOn({Path::kLanes, target.id}, in, to, p);
        ASSERT_EQ(FirstDifference(codes, expected, in, ContainerBytes(to)), "")
            << target.name << " from " << FormatName(from) << " " << Describe(p);
      }
    }
  }
}

TEST_P(Lanes, DecodeEveryCodeAsTheIntegersOnEveryTarget) {
  const Format f = GetParam();
  const int bytes = ContainerBytes(f);
  std::vector<uint32_t> words(65'536);
  for (uint32_t i = 0; i < words.size(); ++i) {  // all codes, or all upper halves of wide ones
    const uint32_t word = bytes == 4 ? i << 16 | (i * 40'503 >> 3 & 0xFFFF) : i;
    std::memcpy(reinterpret_cast<char*>(words.data()) + i * static_cast<size_t>(bytes), &word,
                static_cast<size_t>(bytes));
  }
  const size_t n = 65'536;
  const ConstCodes in(f, words.data(), n, bytes);
  const DecodePolicy policies[] = {{},
                                   DecodeLike(Library::kCuda, kE4M3FN),
                                   {.nan = 0x7F80'0000, .keep_sign = false, .keep_payload = true},
                                   {.nan = 0x7FC0'1234, .keep_sign = true, .keep_payload = true}};
  for (const DecodePolicy& d : policies) {
    std::vector<float> expected(n), x(n);
    Decode(in, expected, d, {Path::kIntegers});
    for (const LaneTarget& target : LaneTargets()) {
      std::memset(x.data(), 0xA5, n * sizeof(float));
      Decode(in, x, d, {Path::kLanes, target.id});
      for (size_t i = 0; i < n; ++i)
        ASSERT_EQ(HexCode(BitCast<uint32_t>(x[i])), HexCode(BitCast<uint32_t>(expected[i])))
            << target.name << " element " << i << " of " << FormatName(f);
    }
  }
}

// Arrays of every length around a block of 64, and nothing written past the end.
TEST_P(Lanes, WriteExactlyTheirElements) {
  const Format f = GetParam();
  const auto bytes = static_cast<size_t>(ContainerBytes(f));
  for (const LaneTarget& target : LaneTargets()) {
    for (size_t n = 0; n < 140; ++n) {
      std::vector<float> x(n), back(n + 16, -1.0f);
      for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i) - 20.5f;
      std::vector<uint8_t> codes((n + 16) * bytes, 0xA5);
      const int size = static_cast<int>(bytes);
      Encode(x, {f, codes.data(), n, size}, {}, {.path = {Path::kLanes, target.id}});
      // BF16, exactly these numbers, has loads of its own.
      std::vector<uint16_t> halves(n);
      for (size_t i = 0; i < n; ++i)
        halves[i] = static_cast<uint16_t>(BitCast<uint32_t>(x[i]) >> 16);
      std::vector<uint8_t> from_halves((n + 16) * bytes, 0xA5);
      Encode({kBF16, halves}, {f, from_halves.data(), n, size}, {},
             {.path = {Path::kLanes, target.id}});
      ASSERT_EQ(from_halves, codes) << target.name << " n " << n;
      Decode({f, codes.data(), n, size}, std::span(back).first(n), {}, {Path::kLanes, target.id});
      for (size_t i = 0; i < n + 16; ++i) {
        const uint64_t expected = i < n ? Pack(f, Unpack(x[i])).code : 0xA5A5'A5A5;
        ASSERT_EQ(std::memcmp(&codes[i * bytes], &expected, bytes), 0)
            << target.name << " n " << n << " i " << i;
        ASSERT_EQ(back[i], i < n ? Decode(f, expected) : -1.0f) << target.name << " n " << n;
      }
    }
  }
}

// A caller's rounding mode, flush-to-zero and raised flags change no bit, and come back unchanged.
TEST_P(Lanes, IgnoreTheCallersFloatingPointSettings) {
  const Format f = GetParam();
  const std::vector<float> x = LaneInputs(f);
  std::vector<EncodePolicy> policies;
  for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kUp, Rounding::kStochastic})
    policies.push_back({.rounding = rounding, .random_bit_count = 12});
  const int bytes = ContainerBytes(f);
  for (const EncodePolicy& p : policies) {
    const std::vector<uint8_t> expected = EncodeOn({Path::kIntegers}, x, f, p);
    std::vector<float> values(x.size());
    const ConstCodes all(f, expected.data(), x.size(), bytes);
    Decode(all, values, {}, {Path::kIntegers});
    std::vector<Path> paths = {{Path::kIntegers}, {Path::kBest}};
    for (const LaneTarget& target : LaneTargets()) paths.push_back({Path::kLanes, target.id});
    for (const CallerSettings settings : kCallerSettings) {
      for (const Path path : paths) {
        std::vector<float> back(x.size());
        std::vector<uint8_t> codes;
        bool kept = false;
        {
          const SettingsGuard guard(settings);
          codes = EncodeOn(path, x, f, p);
          Decode(all, back, {}, path);
          kept = guard.Unchanged();
        }
        ASSERT_TRUE(kept) << "target " << path.target;
        ASSERT_EQ(FirstDifference(codes, expected, x, bytes), "") << "target " << path.target;
        ASSERT_EQ(std::memcmp(back.data(), values.data(), back.size() * sizeof(float)), 0)
            << "target " << path.target;
      }
    }
  }
}

// Any format to any format, container by container.
TEST(Convert, EveryPairOfFormats) {
  std::mt19937_64 generator(7);
  for (const Format from : kAllFormats) {
    for (const Format to : kAllFormats) {
      for (const size_t n : {300, 1100}) {  // without a table of 256 results, and with one
        std::vector<uint64_t> in64(n);
        std::vector<char> in(n * 8), out((n + 1) * 8, '\xA5');
        const int in_bytes = ContainerBytes(from), out_bytes = ContainerBytes(to);
        for (size_t i = 0; i < n; ++i) {
          in64[i] = generator();
          std::memcpy(in.data() + i * in_bytes, &in64[i], in_bytes);  // little-endian: low bytes
        }
        Encode({from, in.data(), n, in_bytes}, {to, out.data(), n, out_bytes});
        for (size_t i = 0; i < n; ++i) {
          uint64_t code = 0;
          std::memcpy(&code, out.data() + i * out_bytes, out_bytes);
          ASSERT_EQ(code, Pack(to, Unpack(from, in64[i])).code)
              << FormatName(from) << " " << HexCode(in64[i]) << " to " << FormatName(to);
        }
        ASSERT_EQ(out[n * out_bytes], '\xA5') << FormatName(from) << " to " << FormatName(to);
      }
    }
  }
}

TEST(Convert, DecodesEveryFormat) {
  for (const Format f : kAllFormats) {
    for (const size_t n : {100, 400}) {  // below and above the table's threshold
      std::vector<char> in(n * 8);
      std::vector<float> x(n);
      std::mt19937_64 generator(n);
      const int bytes = ContainerBytes(f);
      for (char& c : in) c = static_cast<char>(generator());
      Decode({f, in.data(), n, bytes}, x);
      for (size_t i = 0; i < n; ++i) {
        uint64_t code = 0;
        std::memcpy(&code, in.data() + i * bytes, bytes);
        ASSERT_EQ(BitCast<uint32_t>(x[i]), BitCast<uint32_t>(Decode(f, code)))
            << FormatName(f) << " " << HexCode(code);
      }
    }
  }
}

TEST(Counts, SayWhatHappened) {
  const std::vector<float> x = {0.0f,   1.0f,    1.06f,     464.0f, 465.0f, -1e30f,  0x1p-10f,
                                -1e-9f, 0x1p-9f, 0x1.8p-8f, NAN,    448.0f, INFINITY};
  std::vector<uint8_t> codes(x.size());
  EncodeCounts counts;
  Encode(x, {kE4M3FN, codes}, {.overflow = Overflow::kToSpecial}, {.counts = &counts});
  // inexact: 1.06, 464, 465, -1e30, 2^-10, -1e-9. overflow: 465, -1e30, both NaN. flushed: 2^-10,
  // -1e-9. subnormal: 2^-9, 3 * 2^-9. Inf saturates to 448 and counts nowhere.
  const EncodeCounts expected{
      .total = 13, .inexact = 6, .overflow = 2, .flushed = 2, .subnormal = 2, .nan = 3};
  EXPECT_EQ(counts, expected);
  Encode(x, {kE4M3FN, codes}, {.overflow = Overflow::kToSpecial}, {.counts = &counts});
  EXPECT_EQ(counts.total, 26u) << "counts are added to";
}

TEST(Stochastic, UsesTheCallersWords) {
  const std::vector<double> x = {1.0625, 1.0625, 1.0625, 1.0625};
  const std::vector<uint32_t> random = {0, 1, 2, 3};
  std::vector<uint8_t> codes(4);
  const EncodePolicy p{.rounding = Rounding::kStochastic, .random_bit_count = 2};
  Encode(x, {kE4M3FN, codes}, p, {.random = random});
  EXPECT_EQ(codes, (std::vector<uint8_t>{0x38, 0x38, 0x39, 0x39}));
}

TEST(Aliasing, InPlaceWhereSizesAgree) {
  std::vector<float> x = {1.0f, 1.0f + 0x1p-12f, -3.0f};
  Encode(x, {kTF32, x.data(), x.size(), 4});
  EXPECT_EQ(x, (std::vector<float>{1.0f, 1.0f, -3.0f}));
}

TEST(Errors, NameWhatWasExpectedAndWhatCame) {
  std::vector<float> x(4);
  std::vector<uint8_t> narrow(4), short_out(3);
  std::vector<uint16_t> wide(4);
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] {
              Encode(x, {kE4M3FN, short_out});
            }),
            "expected input and output of one size, came 4 and 3");
  EXPECT_EQ(message([&] {
              Encode(x, {kE4M3FN, wide});
            }),
            "output: expected 1-byte elements for format E4M3, came 2-byte ones");
  EXPECT_EQ(message([&] {
              Encode(x, {kE5M2, x.data(), 4, 1});
            }),
            "expected input and output apart, came arrays that overlap");
  EXPECT_EQ(message([&] {
              Encode(x, {kE5M2, narrow}, {.rounding = Rounding::kStochastic});
            }),
            "expected 4 random words, came 0");
  EXPECT_EQ(message([&] {
              EncodeCounts counts;
              Encode(x, {kE2M1, narrow}, {}, {.counts = &counts, .path = {Path::kLanes}});
            }),
            "expected no FP64, no kept NaN payloads and no counts for lanes");
  EXPECT_NE(message([&] {
              Encode(x, {kE5M2, narrow}, {}, {.path = {Path::kLanes, 3}});
            }).find("expected one of the instruction sets"),
            std::string::npos);
  const std::vector<uint32_t> random(4);
  EXPECT_EQ(message([&] {
              Encode(x, {kE5M2, narrow},
                     {.rounding = Rounding::kStochastic, .random_bit_count = 33},
                     {.random = random});
            }),
            "expected a random_bit_count of at most 32, came 33");
  EXPECT_EQ(message([&] { Decode(std::vector<double>(4), x, {}, {Path::kLanes}); }),
            "expected another format than FP64 for lanes");
}

}  // namespace
}  // namespace lostbits::fp8
