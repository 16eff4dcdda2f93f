// Arrays: every path gives the bits of fp8/codec.h; counts, random words, aliasing and errors.
#include "fp8/convert.h"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <cstring>
#include <random>

#include "fp8/preset.h"
#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

/// Every policy that lanes carry out: overflow, Inf and NaN rules apart.
std::vector<EncodePolicy> LanePolicies() {
  std::vector<EncodePolicy> policies;
  for (const Overflow overflow : kAllOverflows)
    for (const InfRule inf : {InfRule::kSaturate, InfRule::kKeep})
      for (const NanSign sign : {NanSign::kKeep, NanSign::kClear, NanSign::kSet})
        for (const NanPayload payload : {NanPayload::kAllOnes, NanPayload::kQuiet})
          policies.push_back(
              {.overflow = overflow, .inf = inf, .nan_sign = sign, .nan_payload = payload});
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

std::vector<uint8_t> EncodeOn(Path path, ConstCodes in, Format f, const EncodePolicy& p) {
  std::vector<uint8_t> out(in.size, 0xA5);
  Encode(in, {f, out}, p, {.path = path});
  return out;
}

class Lanes : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(Fp8, Lanes, testing::Values(kE4M3FN, kE5M2),
                         [](const auto& param) { return FormatName(param.param); });

TEST_P(Lanes, EncodeFloatsAsTheIntegersOnEveryTarget) {
  const Format f = GetParam();
  const std::vector<float> x = LaneInputs(f);
  ASSERT_FALSE(LaneTargets().empty());
  for (const EncodePolicy& p : LanePolicies()) {
    const std::vector<uint8_t> expected = EncodeOn({Path::kIntegers}, x, f, p);
    for (const LaneTarget& target : LaneTargets()) {
      const std::vector<uint8_t> codes = EncodeOn({Path::kLanes, target.id}, x, f, p);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(codes[i], expected[i]) << target.name << " " << Hex(x[i]) << " " << Describe(p);
    }
  }
}

TEST_P(Lanes, EncodeAllBfloat16AsTheIntegersOnEveryTarget) {
  const Format f = GetParam();
  std::vector<uint16_t> x(65'536);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i);
  const ConstCodes in(kBF16, x);
  for (const EncodePolicy& p : LanePolicies()) {
    const std::vector<uint8_t> expected = EncodeOn({Path::kIntegers}, in, f, p);
    for (const LaneTarget& target : LaneTargets()) {
      const std::vector<uint8_t> codes = EncodeOn({Path::kLanes, target.id}, in, f, p);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(codes[i], expected[i]) << target.name << " " << HexCode(x[i]) << Describe(p);
    }
  }
}

TEST_P(Lanes, DecodeEveryCodeAsTheIntegersOnEveryTarget) {
  const Format f = GetParam();
  std::vector<uint8_t> codes(256);
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(i);
  const ConstCodes in(f, codes);
  for (const Library library : {Library::kCuda, Library::kMlDtypes}) {
    const DecodePolicy d = DecodeLike(library, f);
    for (const LaneTarget& target : LaneTargets()) {
      std::vector<float> x(256);
      Decode(in, x, d, {Path::kLanes, target.id});
      for (size_t i = 0; i < codes.size(); ++i)
        ASSERT_EQ(BitCast<uint32_t>(x[i]), BitCast<uint32_t>(Decode(f, codes[i], d)))
            << target.name << " " << HexCode(i);
    }
  }
}

// Arrays of every length around a vector, and nothing written past the end.
TEST_P(Lanes, WriteExactlyTheirElements) {
  const Format f = GetParam();
  for (const LaneTarget& target : LaneTargets()) {
    for (size_t n = 0; n < 70; ++n) {
      std::vector<float> x(n), back(n + 16, -1.0f);
      for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i) - 20.5f;
      std::vector<uint8_t> codes(n + 16, 0xA5);
      Encode(x, {f, std::span(codes).first(n)}, {}, {.path = {Path::kLanes, target.id}});
      Decode({f, std::span(codes).first(n)}, std::span(back).first(n), {},
             {Path::kLanes, target.id});
      for (size_t i = 0; i < n + 16; ++i) {
        const uint64_t expected = i < n ? Pack(f, Unpack(x[i])).code : 0xA5;
        ASSERT_EQ(codes[i], expected) << target.name << " n " << n << " i " << i;
        ASSERT_EQ(back[i], i < n ? Decode(f, expected) : -1.0f) << target.name << " n " << n;
      }
    }
  }
}

/// Sets a rounding mode, and the old one again at the end.
class RoundingModeGuard {
 public:
  explicit RoundingModeGuard(int mode) : old_(std::fegetround()) { std::fesetround(mode); }
  ~RoundingModeGuard() { std::fesetround(old_); }
  RoundingModeGuard(const RoundingModeGuard&) = delete;
  RoundingModeGuard& operator=(const RoundingModeGuard&) = delete;

 private:
  int old_;
};

// A caller's rounding mode changes no bit, on any path, in either direction.
TEST_P(Lanes, IgnoreTheCallersRoundingMode) {
  const Format f = GetParam();
  const std::vector<float> x = LaneInputs(f);
  const std::vector<uint8_t> expected = EncodeOn({Path::kIntegers}, x, f, {});
  std::vector<uint8_t> all(256);
  for (size_t i = 0; i < 256; ++i) all[i] = static_cast<uint8_t>(i);
  const ConstCodes every_code(f, all);
  std::vector<float> values(256);
  Decode(every_code, values, {}, {Path::kIntegers});
  std::vector<Path> paths = {{Path::kIntegers}, {Path::kBest}};
  for (const LaneTarget& target : LaneTargets()) paths.push_back({Path::kLanes, target.id});
  for (const int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
    for (const Path path : paths) {
      std::vector<uint8_t> codes;
      std::vector<float> back(256);
      {
        const RoundingModeGuard guard(mode);
        codes = EncodeOn(path, x, f, {});
        Decode(every_code, back, {}, path);
      }
      ASSERT_EQ(codes, expected) << "mode " << mode << " target " << path.target;
      for (size_t i = 0; i < 256; ++i)
        ASSERT_EQ(BitCast<uint32_t>(back[i]), BitCast<uint32_t>(values[i])) << HexCode(i);
    }
  }
}

// Any format to any format, container by container.
TEST(Convert, EveryPairOfFormats) {
  std::mt19937_64 generator(7);
  for (const Format from : kAllFormats) {
    for (const Format to : kAllFormats) {
      const size_t n = 300;
      std::vector<uint64_t> in64(n), out64(n);
      std::vector<char> in(n * 8), out(n * 8);
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
              Encode(x, {kE2M1, narrow}, {}, {.path = {Path::kLanes}});
            }),
            "expected FP32 or BF16 to E4M3FN or E5M2, to nearest even and without counts, for "
            "lanes");
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
  EXPECT_EQ(message([&] {
              Decode({kE2M1, narrow}, x, {}, {Path::kLanes});
            }),
            "expected E4M3FN or E5M2 without NaN payloads for lanes");
}

}  // namespace
}  // namespace lostbits::fp8
