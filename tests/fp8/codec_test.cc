// The integers of fp8/codec.h against the definition of fp8/spec.h.
#include "fp8/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "fp8/spec.h"
#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

// The codec runs at compile time. Values: OFP8 rev 1.0 table 1; MX v1.0 tables 2, 4, 5, 6.
static_assert(Decode<kE4M3FN>(0x7E) == 448.0f);
static_assert(Decode<kE4M3FN>(0x01) == 0x1p-9f);
static_assert(Decode<kE5M2>(0x7B) == 57344.0f);
static_assert(Decode<kE5M2>(0x01) == 0x1p-16f);
static_assert(Decode<kE4M3>(0x77) == 240.0f);
static_assert(Decode<kE3M4>(0x6F) == 15.5f);
static_assert(Decode<kE4M3FNUZ>(0x7F) == 240.0f);
static_assert(Decode<kE5M2FNUZ>(0x7F) == 57344.0f);
static_assert(Decode<kE4M3B11FNUZ>(0x7F) == 30.0f);
static_assert(Decode<kE8M0>(0x00) == 0x1p-127f && Decode<kE8M0>(0xFE) == 0x1p127f);
static_assert(Decode<kE2M3>(0x1F) == 7.5f && Decode<kE3M2>(0x1F) == 28.0f);
static_assert(Decode<kE2M1>(0x07) == 6.0f);
static_assert(Encode<kE4M3FN>(1.0f) == 0x38 && Encode<kE4M3FN>(-1.0) == 0xB8);
static_assert(Encode<kE4M3FN>(449.0f) == 0x7E && Encode<kE4M3FN>(0x1p-11f) == 0x00);
static_assert(Convert<kE4M3FN, kFP16>(0x3C00) == 0x38 && Convert<kE5M2, kBF16>(0x3F80) == 0x3C);

std::string Name(const testing::TestParamInfo<Format>& info) { return FormatName(info.param); }

class EveryFormat : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(All, EveryFormat, testing::ValuesIn(kAllFormats), Name);

TEST_P(EveryFormat, DecodesEveryCode) {
  const Format f = GetParam();
  // All codes up to 16 bits; an odd stride through the wider ones, and both ends.
  const int bits = StorageBits(f);
  const uint64_t last = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  const uint64_t step = bits <= 16 ? 1 : last / 100'003 * 2 + 1;
  for (uint64_t code = 0;; code += step) {
    const spec::Decoded d = spec::Decode(f, code);
    const Unpacked u = Unpack(f, code);
    ASSERT_EQ(u.cls == Class::kNan, d.kind == spec::Decoded::kNan) << HexCode(code);
    ASSERT_EQ(u.cls == Class::kInf, d.kind == spec::Decoded::kInf) << HexCode(code);
    ASSERT_EQ(u.negative, d.negative) << HexCode(code);
    if (d.kind == spec::Decoded::kNumber) {
      const double value =
          std::ldexp(static_cast<double>(u.significand), u.exponent - u.fraction_bits);
      ASSERT_EQ(value, d.value) << HexCode(code);
      ASSERT_EQ(u.cls == Class::kZero, d.value == 0) << HexCode(code);
      if (f == kFP64) {
        ASSERT_EQ(BitCast<double>(code), d.negative ? -d.value : d.value) << HexCode(code);
      } else {
        const float x = Decode(f, code);
        ASSERT_EQ(x, static_cast<float>(d.negative ? -d.value : d.value)) << HexCode(code);
        ASSERT_EQ(std::signbit(x), d.negative) << HexCode(code);
      }
    } else if (d.kind == spec::Decoded::kNan) {
      ASSERT_EQ(BitCast<uint32_t>(Decode(f, code)), d.negative ? 0xFFC0'0000u : 0x7FC0'0000u);
    } else {
      ASSERT_EQ(BitCast<uint32_t>(Decode(f, code)), d.negative ? 0xFF80'0000u : 0x7F80'0000u);
    }
    if (code > last - step) break;
  }
}

TEST_P(EveryFormat, EveryCodeComesBack) {
  const Format f = GetParam();
  const uint64_t codes = uint64_t{1} << std::min(StorageBits(f), 16);
  const uint64_t stride = StorageBits(f) > 16 ? uint64_t{1} << (StorageBits(f) - 16) : 1;
  for (uint64_t i = 0; i < codes; ++i) {
    const uint64_t code = i * stride;
    const spec::Decoded d = spec::Decode(f, code);
    if (d.kind != spec::Decoded::kNumber) continue;
    const Encoded e = Pack(f, Unpack(d.negative ? -d.value : d.value));
    ASSERT_EQ(e.code, code);
    ASSERT_FALSE(e.inexact || e.overflow || e.flushed || e.nan) << HexCode(code);
  }
}

TEST_P(EveryFormat, EqualsTheDefinitionOnStratifiedInputs) {
  const Format f = GetParam();
  const std::vector<double> inputs = Stratified(f, 128);
  std::mt19937 generator(2024);
  for (const Rounding rounding : kAllRoundings) {
    for (const Overflow overflow : kAllOverflows) {
      for (const InfRule inf : {InfRule::kSaturate, InfRule::kKeep}) {
        EncodePolicy p{.rounding = rounding, .overflow = overflow, .inf = inf};
        if (rounding == Rounding::kStochastic) p.random_bit_count = 5;
        for (const double x : inputs) {
          const auto random = static_cast<uint32_t>(generator());
          ASSERT_EQ(Difference(f, x, p, random), "");
        }
      }
    }
  }
}

TEST_P(EveryFormat, EqualsTheDefinitionUnderEverySpecialRule) {
  const Format f = GetParam();
  std::vector<double> inputs;
  AddSpecials(inputs);
  AddWithNeighbours(inputs, spec::Value(f, 0));
  AddWithNeighbours(inputs, spec::Value(f, spec::FiniteCount(f)) / 1.01);
  AddWithNeighbours(inputs, 0x1p-127);
  AddWithNeighbours(inputs, 0x1.8p-128);
  for (int i = 0; i < 3 * 3 * 3 * 3 * 3 * 2 * 3; ++i) {
    int rest = i;
    const auto pick = [&rest](int n) {
      const int choice = rest % n;
      rest /= n;
      return choice;
    };
    EncodePolicy p;
    p.nan_sign = static_cast<NanSign>(pick(3));
    p.nan_payload = static_cast<NanPayload>(pick(3));
    p.nan_to_finite = static_cast<NanToFinite>(pick(3));
    p.scale_negative = static_cast<ScaleNegative>(pick(3));
    p.scale_zero = static_cast<ScaleZero>(pick(3));
    p.inf = static_cast<InfRule>(pick(2));
    p.overflow = static_cast<Overflow>(pick(3));
    for (const double x : inputs) ASSERT_EQ(Difference(f, x, p, 0), "");
  }
}

// Overflow is judged after rounding: the last number that is rounded down stays, the next goes.
TEST(Overflow, IsJudgedAfterRounding) {
  constexpr EncodePolicy kSpecial{.overflow = Overflow::kToSpecial};
  EXPECT_EQ(Encode<kE4M3FN>(464.0f, kSpecial), 0x7Eu);                        // tie, to 448
  EXPECT_EQ(Encode<kE4M3FN>(std::nextafter(464.0f, 1e9f), kSpecial), 0x7Fu);  // NaN
  EXPECT_EQ(Encode<kE5M2>(61440.0f, kSpecial), 0x7Cu);                        // tie, to 65536: Inf
  EXPECT_EQ(Encode<kE5M2>(std::nextafter(61440.0f, 0.0f), kSpecial), 0x7Bu);
  EXPECT_EQ(Encode<kE4M3FNUZ>(248.0f, kSpecial), 0x80u);  // tie, to 256: NaN
  EXPECT_EQ(Encode<kE4M3FNUZ>(std::nextafter(248.0f, 0.0f), kSpecial), 0x7Fu);
  constexpr EncodePolicy kCut{.rounding = Rounding::kTowardZero, .overflow = Overflow::kToSpecial};
  EXPECT_EQ(Encode<kE4M3FN>(std::nextafter(480.0f, 0.0f), kCut), 0x7Eu);  // cut to 448: no overflow
  EXPECT_EQ(Encode<kE4M3FN>(480.0f, kCut), 0x7Fu);
}

// The sweep of exhaustive_test.cc uses the tabulated definition.
TEST(Thresholds, AreTheDefinitionTabulated) {
  for (const Format f : kAllFormats) {
    if (StorageBits(f) > 16) continue;
    for (const Rounding rounding : kAllRoundings) {
      if (rounding == Rounding::kStochastic) continue;
      for (const bool negative : {false, true}) {
        const std::vector<double> t = spec::Thresholds(f, rounding, negative && IsSigned(f));
        const size_t step = t.size() > 256 ? 61 : 1;
        for (size_t m = 0; m < t.size(); m += step) {
          const EncodePolicy p{.rounding = rounding, .overflow = Overflow::kSaturate};
          const auto magnitude = [&](double x) {
            const spec::Result r = spec::Encode(f, negative ? -x : x, p);
            return r.overflow ? t.size() : (r.code >> f.pad) % spec::FieldCount(f);
          };
          ASSERT_GE(magnitude(t[m]), m + 1) << FormatName(f) << " " << Hex(t[m]);
          if (t[m] <= spec::Value(f, 0)) continue;  // E8M0: there is nothing below
          ASSERT_LE(magnitude(std::nextafter(t[m], 0.0)), m) << FormatName(f) << " " << Hex(t[m]);
        }
      }
    }
  }
}

// Over all 2^n random values exactly floor(fraction * 2^n) round up.
TEST(Stochastic, ProbabilityIsExact) {
  for (const int bits : {1, 4, 8}) {
    EncodePolicy p{.rounding = Rounding::kStochastic};
    p.random_bit_count = static_cast<uint8_t>(bits);
    const uint32_t count = 1u << bits;
    for (int fraction = 0; fraction < 64; ++fraction) {
      for (const double sign : {1.0, -1.0}) {
        const double x = sign * (1.0 + fraction / 512.0);  // between 0x38 (1) and 0x39 (1.125)
        uint32_t ups = 0;
        for (uint32_t r = 0; r < count; ++r) {
          const uint32_t code =
              Encode<kE4M3FN>(x, p, r | 0xFFFF'0000u) & 0x7Fu;  // high bits: unused
          ASSERT_TRUE(code == 0x38 || code == 0x39) << Hex(x);
          ups += code == 0x39 ? 1 : 0;
        }
        EXPECT_EQ(ups, static_cast<uint32_t>(fraction) * count / 64) << Hex(x) << " bits " << bits;
      }
    }
  }
}

}  // namespace
}  // namespace lostbits::fp8
