// Doubles, FP16 and BF16 go straight to the target: no intermediate format, no second rounding.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "fp8/codec.h"
#include "fp8/spec.h"
#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

// 1.0625 lies halfway between the E4M3FN numbers 1 and 1.125. Anything above it rounds up; a detour
// through float loses the 2^-40 first and ties to 1.
TEST(Doubles, AreRoundedOnce) {
  EXPECT_EQ(Encode<kE4M3FN>(1.0625), 0x38u);
  EXPECT_EQ(Encode<kE4M3FN>(1.0625 + 0x1p-40), 0x39u);
  EXPECT_EQ(Encode<kE4M3FN>(1.0625 - 0x1p-40), 0x38u);
  EXPECT_EQ(Encode<kE4M3FN>(1.1875), 0x3Au);
  EXPECT_EQ(Encode<kE4M3FN>(1.1875 - 0x1p-40), 0x39u);
  EXPECT_EQ(Encode<kE5M2>(1.125 + 0x1p-52), 0x3Du);
  EXPECT_EQ(Encode<kFP16>(1.0 + 0x1p-11 + 0x1p-40), 0x3C01u);
  EXPECT_EQ(Encode<kBF16>(1.0 + 0x1p-8 + 0x1p-40), 0x3F81u);
  EXPECT_EQ(Encode<kFP32>(1.0 + 0x1p-24 + 0x1p-52), 0x3F80'0001u);
}

// Around every midpoint and every number of every format, one unit of binary64 to each side.
TEST(Doubles, EqualTheDefinitionAroundEveryMidpoint) {
  for (const Format f : kAllFormats) {
    if (StorageBits(f) > 16) continue;  // FP32 and TF32: codec_test, stratified
    const bool wide = StorageBits(f) > 8;
    for (uint64_t m = 0; m < spec::FiniteCount(f); ++m) {
      std::vector<double> inputs;
      const double here = spec::Value(f, m), next = spec::Value(f, m + 1);
      AddWithNeighbours(inputs, here + (next - here) / 2);
      if (!wide) AddWithNeighbours(inputs, here);
      for (const double x : inputs)
        for (const Rounding rounding : {Rounding::kNearestEven, Rounding::kToOdd})
          ASSERT_EQ(Difference(f, x, {.rounding = rounding}, 0), "");
    }
  }
}

/// All 65,536 codes of a 16-bit source, into every format, by integers and by definition.
void AllCodesOf(Format source) {
  for (const Format f : kAllFormats) {
    for (const bool saturate : {true, false}) {
      const EncodePolicy p{.overflow = saturate ? Overflow::kSaturate : Overflow::kToSpecial,
                           .inf = saturate ? InfRule::kSaturate : InfRule::kKeep,
                           .nan_sign = NanSign::kKeep,
                           .nan_payload = NanPayload::kQuiet};
      for (uint32_t code = 0; code < 65'536; ++code) {
        const spec::Decoded d = spec::Decode(source, code);
        double x = d.kind == spec::Decoded::kNan   ? std::numeric_limits<double>::quiet_NaN()
                   : d.kind == spec::Decoded::kInf ? std::numeric_limits<double>::infinity()
                                                   : d.value;
        x = std::copysign(x, d.negative ? -1.0 : 1.0);
        const uint64_t by_integers = Pack(f, Unpack(source, code), p).code;
        ASSERT_EQ(by_integers, spec::Encode(f, x, p).code)
            << FormatName(source) << " " << HexCode(code) << " to " << FormatName(f);
      }
    }
  }
}
TEST(Fp16, AllCodesEqualTheDefinition) { AllCodesOf(kFP16); }
TEST(Bf16, AllCodesEqualTheDefinition) { AllCodesOf(kBF16); }

// A binary32 NaN's payload reaches the formats that can hold it, made quiet.
TEST(NanPayload, IsKeptOnRequest) {
  constexpr EncodePolicy kKeep{.nan_sign = NanSign::kKeep, .nan_payload = NanPayload::kKeep};
  EXPECT_EQ(Pack(kE5M2, Unpack(kFP32, 0x7F80'0001), kKeep).code, 0x7Eu);
  EXPECT_EQ(Pack(kE5M2, Unpack(kFP32, 0xFFA0'0000), kKeep).code, 0xFFu);
  EXPECT_EQ(Pack(kFP32, Unpack(kFP64, 0xFFF4'0000'2000'0000), kKeep).code, 0xFFE0'0001u);
  EXPECT_EQ(Pack(kE4M3FN, Unpack(kFP32, 0x7F80'0001), kKeep).code, 0x7Fu);
}

}  // namespace
}  // namespace lostbits::fp8
