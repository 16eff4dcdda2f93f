// What other libraries make of the same inputs, line by line. A line's number is that of the table
// of disagreements the project keeps (formats.md, section 4); lines 4, 5, 6, 17 and 18 there are
// defects of single libraries: the tests named NotCopied hold what is right instead.
#include "fp8/preset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kPlusNan = BitCast<float>(0x7FC0'0000u), kMinusNan = BitCast<float>(0xFFC0'0000u);
const float kAbove464 = std::nextafter(464.0f, kInf);

using enum Library;

struct Line {
  int number;
  Format target;
  float x;
  Library library;
  uint32_t code;
};

const std::vector<Line> kLines = {
    // 1: E4M3FN beyond 448. 464 is a tie and stays.
    {1, kE4M3FN, 464.0f, kCuda, 0x7E},
    {1, kE4M3FN, 464.0f, kCudaNosat, 0x7E},
    {1, kE4M3FN, 464.0f, kTorch, 0x7E},
    {1, kE4M3FN, 464.0f, kTorch212, 0x7E},
    {1, kE4M3FN, 464.0f, kMlDtypes, 0x7E},
    {1, kE4M3FN, 464.0f, kMlDtypesSaturating, 0x7E},
    {1, kE4M3FN, 464.0f, kOnnx, 0x7E},
    {1, kE4M3FN, 464.0f, kOnnxNosat, 0x7E},
    {1, kE4M3FN, kAbove464, kCuda, 0x7E},
    {1, kE4M3FN, kAbove464, kMlDtypesSaturating, 0x7E},
    {1, kE4M3FN, kAbove464, kOnnx, 0x7E},
    {1, kE4M3FN, kAbove464, kTorch212, 0x7E},
    {1, kE4M3FN, kAbove464, kCudaNosat, 0x7F},
    {1, kE4M3FN, kAbove464, kMlDtypes, 0x7F},
    {1, kE4M3FN, kAbove464, kTorch, 0x7F},
    {1, kE4M3FN, kAbove464, kOnnxNosat, 0x7F},
    {1, kE4M3FN, -1e30f, kCudaNosat, 0xFF},
    {1, kE4M3FN, -1e30f, kTorch, 0xFF},
    {1, kE4M3FN, -1e30f, kCuda, 0xFE},
    // 2: E4M3FN of infinity.
    {2, kE4M3FN, kInf, kMlDtypesSaturating, 0x7F},
    {2, kE4M3FN, -kInf, kMlDtypesSaturating, 0xFF},
    {2, kE4M3FN, kInf, kCuda, 0x7E},
    {2, kE4M3FN, -kInf, kCuda, 0xFE},
    {2, kE4M3FN, kInf, kOnnx, 0x7E},
    {2, kE4M3FN, -kInf, kOnnx, 0xFE},
    {2, kE4M3FN, kInf, kTorch212, 0x7E},
    {2, kE4M3FN, -kInf, kTorch212, 0xFE},
    {2, kE4M3FN, kInf, kCudaNosat, 0x7F},
    {2, kE4M3FN, -kInf, kCudaNosat, 0xFF},
    {2, kE4M3FN, kInf, kMlDtypes, 0x7F},
    {2, kE4M3FN, kInf, kTorch, 0x7F},
    {2, kE4M3FN, -kInf, kOnnxNosat, 0xFF},
    // 3: E4M3FN of a negative NaN.
    {3, kE4M3FN, kMinusNan, kCuda, 0x7F},
    {3, kE4M3FN, kMinusNan, kCudaNosat, 0x7F},
    {3, kE4M3FN, kMinusNan, kMlDtypes, 0xFF},
    {3, kE4M3FN, kMinusNan, kMlDtypesSaturating, 0xFF},
    {3, kE4M3FN, kMinusNan, kTorch, 0xFF},
    {3, kE4M3FN, kMinusNan, kOnnx, 0xFF},
    {3, kE4M3FN, kPlusNan, kOnnx, 0x7F},
    // 8: E5M2 overflow and infinity.
    {8, kE5M2, 61440.0f, kCuda, 0x7B},
    {8, kE5M2, kInf, kCuda, 0x7B},
    {8, kE5M2, -kInf, kCuda, 0xFB},
    {8, kE5M2, 61440.0f, kOnnx, 0x7B},
    {8, kE5M2, kInf, kOnnx, 0x7B},
    {8, kE5M2, 61440.0f, kMlDtypesSaturating, 0x7B},
    {8, kE5M2, kInf, kMlDtypesSaturating, 0x7C},
    {8, kE5M2, 61440.0f, kCudaNosat, 0x7C},
    {8, kE5M2, 61440.0f, kMlDtypes, 0x7C},
    {8, kE5M2, 61440.0f, kTorch, 0x7C},
    {8, kE5M2, 61440.0f, kTorch212, 0x7C},
    {8, kE5M2, -kInf, kTorch212, 0xFC},
    // 9: E5M2 of NaN.
    {9, kE5M2, kPlusNan, kCuda, 0x7F},
    {9, kE5M2, kMinusNan, kCuda, 0x7F},
    {9, kE5M2, kPlusNan, kTorch, 0x7F},
    {9, kE5M2, kMinusNan, kTorch, 0xFF},
    {9, kE5M2, kMinusNan, kOnnx, 0xFF},
    {9, kE5M2, kPlusNan, kMlDtypes, 0x7E},
    {9, kE5M2, kMinusNan, kMlDtypes, 0xFE},
    // 10: FNUZ of infinity. ONNX's table once said NaN; since then it says what ONNX Runtime does.
    {10, kE4M3FNUZ, kInf, kMlDtypesSaturating, 0x80},
    {10, kE4M3FNUZ, kInf, kOnnx, 0x7F},
    {10, kE4M3FNUZ, -kInf, kOnnx, 0xFF},
    {10, kE5M2FNUZ, kInf, kMlDtypesSaturating, 0x80},
    {10, kE5M2FNUZ, -kInf, kOnnx, 0xFF},
    {10, kE5M2FNUZ, -kInf, kTorch, 0x80},
    // 11: FNUZ of -0, of small negatives and beyond the maximum.
    {11, kE4M3FNUZ, -0.0f, kMlDtypes, 0x00},
    {11, kE4M3FNUZ, -1e-30f, kMlDtypes, 0x00},
    {11, kE4M3FNUZ, -0.0f, kTorch, 0x00},
    {11, kE5M2FNUZ, -1e-30f, kOnnx, 0x00},
    {11, kE4M3FNUZ, 248.0f, kMlDtypesSaturating, 0x7F},
    {11, kE4M3FNUZ, -248.0f, kOnnx, 0xFF},
    {11, kE4M3FNUZ, 248.0f, kMlDtypes, 0x80},
    {11, kE4M3FNUZ, 248.0f, kTorch212, 0x80},
    {11, kE5M2FNUZ, -61440.0f, kOnnxNosat, 0x80},
    // 12: E8M0 of -1.
    {12, kE8M0, -1.0f, kCuda, 0x7F},
    {12, kE8M0, -1.0f, kTorch, 0x7F},
    {12, kE8M0, -1.0f, kMlDtypesSaturating, 0x00},
    {12, kE8M0, -1.0f, kMlDtypes, 0xFF},
    // 13: E8M0 of 0.
    {13, kE8M0, 0.0f, kMlDtypes, 0xFF},
    {13, kE8M0, 0.0f, kMlDtypesSaturating, 0x00},
    {13, kE8M0, 0.0f, kCuda, 0x00},
    {13, kE8M0, 0.0f, kTorch, 0x00},
    {13, kE8M0, 0.0f, kOnnx, 0x00},
    // 14: E8M0 rounding; CUDA's constructors round up (its other mode: CudaTowardZero below).
    {14, kE8M0, 1.25f, kCuda, 0x80},
    {14, kE8M0, 1.4142137f, kCuda, 0x80},
    {14, kE8M0, 1.5f, kCuda, 0x80},
    {14, kE8M0, 1.25f, kMlDtypes, 0x7F},
    {14, kE8M0, 1.4142137f, kMlDtypes, 0x7F},
    {14, kE8M0, 1.5f, kMlDtypes, 0x80},
    {14, kE8M0, 1.25f, kTorch, 0x7F},
    {14, kE8M0, 1.4142137f, kTorch, 0x7F},
    {14, kE8M0, 1.5f, kTorch, 0x80},
    // 15: E8M0 from 1.5 * 2^127 on.
    {15, kE8M0, 0x1.8p127f, kCuda, 0xFE},
    {15, kE8M0, kInf, kCuda, 0xFE},
    {15, kE8M0, 0x1.8p127f, kMlDtypesSaturating, 0xFE},
    {15, kE8M0, kInf, kMlDtypesSaturating, 0xFF},
    {15, kE8M0, 0x1.8p127f, kMlDtypes, 0xFF},
    {15, kE8M0, kInf, kMlDtypes, 0xFF},
    {15, kE8M0, 0x1.8p127f, kTorch, 0xFF},
    {15, kE8M0, kInf, kTorch, 0xFF},
    // 16: NaN for the formats that have none.
    {16, kE2M1, kPlusNan, kCuda, 0x07},
    {16, kE2M1, kMinusNan, kCuda, 0x07},
    {16, kE2M1, kPlusNan, kMlDtypes, 0x08},
    {16, kE2M1, kMinusNan, kMlDtypes, 0x00},
    {16, kE2M3, kMinusNan, kCuda, 0x1F},
    {16, kE3M2, kPlusNan, kCuda, 0x1F},
    {16, kE2M3, kPlusNan, kMlDtypes, 0x20},
    {16, kE3M2, kMinusNan, kMlDtypes, 0x00},
};

TEST(Presets, GiveEveryLineOfTheTable) {
  for (const Line& line : kLines) {
    const auto code = PackLike(line.library, line.target, kFP32, Unpack(line.x));
    ASSERT_TRUE(code.has_value());
    EXPECT_EQ(code->code, line.code)
        << "line " << line.number << ", " << kLibraries[static_cast<int>(line.library)].name << ", "
        << FormatName(line.target) << " of " << Hex(line.x);
  }
}

// 3, from double: CUDA keeps the sign that it drops from a float. 9: and the payload.
TEST(Presets, CudaKeepsTheNanOfADouble) {
  const auto code = [](Format f, uint64_t bits) {
    return PackLike(kCuda, f, kFP64, Unpack(kFP64, bits))->code;
  };
  EXPECT_EQ(code(kE4M3FN, 0xFFF8'0000'0000'0000), 0xFFu);
  EXPECT_EQ(code(kE4M3FN, 0x7FF8'0000'0000'0000), 0x7Fu);
  EXPECT_EQ(code(kE5M2, 0xFFF8'0000'0000'0000), 0xFEu);
  EXPECT_EQ(code(kE5M2, 0x7FFC'0000'0000'0000), 0x7Fu);
}

// 6 and 7: one rounding from float and from double, except where a library goes through float.
TEST(Presets, RoundDoublesAsTheLibraryDoes) {
  const auto code = [](Library l) {
    return PackLike(l, kE4M3FN, kFP64, Unpack(1.0625 + 0x1p-40))->code;
  };
  EXPECT_EQ(code(kCuda), 0x39u);
  EXPECT_EQ(code(kMlDtypesSaturating), 0x39u);  // C++
  EXPECT_EQ(code(kMlDtypes), 0x38u);            // numpy
  EXPECT_EQ(code(kTorch), 0x38u);
  EXPECT_EQ(code(kOnnx), 0x38u);
}

// 4, 5: ONNX Runtime's two wrong ranges. 6: oneDNN's double rounding.
TEST(NotCopied, OnnxRuntimeAndOneDnn) {
  const auto nosat = [](Format f, float x) {
    return PackLike(kOnnxNosat, f, kFP32, Unpack(x))->code;
  };
  for (const float x : {480.0f, 488.0f, 495.0f}) EXPECT_EQ(nosat(kE4M3FN, x), 0x7Fu);
  for (const float x : {61440.0f, 63000.0f, 65535.0f}) EXPECT_EQ(nosat(kE5M2, x), 0x7Cu);
  EXPECT_EQ(nosat(kE4M3FN, BitCast<float>(0x3F88'0001u)), 0x39u);
  EXPECT_EQ(nosat(kE5M2, BitCast<float>(0x3F90'0001u)), 0x3Du);
  EXPECT_EQ(nosat(kE4M3FN, BitCast<float>(0x3A80'0001u)), 0x01u);
  EXPECT_EQ(nosat(kE5M2, std::nextafter(61440.0f, 0.0f)), 0x7Bu);
}

// 14: CUDA's functions also take cudaRoundZero; the preset's rounding is then the caller's.
TEST(Presets, CudaTowardZero) {
  EncodePolicy p = *EncodeLike(kCuda, kE8M0);
  p.rounding = Rounding::kTowardZero;
  for (const float x : {1.25f, 1.4142137f, 1.5f}) EXPECT_EQ(Encode<kE8M0>(x, p), 0x7Fu);
}

// 17, 18: E4M3FN's largest number is 448, its code is 0x7E, and 480 does not exist.
TEST(NotCopied, OtherE4M3s) {
  EXPECT_EQ(Decode<kE4M3FN>(0x7E), 448.0f);
  EXPECT_EQ(Encode<kE4M3FN>(480.0f), 0x7Eu);
}

// 19: the binary32 NaN that 0x7F and 0xFF decode to.
TEST(Presets, DecodeNan) {
  const auto bits = [](Library l, Format f, uint32_t code) {
    return BitCast<uint32_t>(Decode(f, code, DecodeLike(l, f)));
  };
  EXPECT_EQ(bits(kCuda, kE4M3FN, 0x7F), 0x7FFF'FFFFu);
  EXPECT_EQ(bits(kCuda, kE4M3FN, 0xFF), 0x7FFF'FFFFu);
  EXPECT_EQ(bits(kCuda, kE5M2, 0xFD), 0x7FFF'FFFFu);
  EXPECT_EQ(bits(kMlDtypes, kE4M3FN, 0x7F), 0x7FC0'0000u);
  EXPECT_EQ(bits(kMlDtypes, kE4M3FN, 0xFF), 0xFFC0'0000u);
  EXPECT_EQ(bits(kMlDtypes, kE4M3FNUZ, 0x80), 0xFFC0'0000u);
  EXPECT_EQ(bits(kOnnx, kE4M3FN, 0xFF), 0xFFC0'0000u);
  EXPECT_EQ(bits(kTorch, kE4M3FN, 0x7F), 0x7FF0'0000u);
  EXPECT_EQ(bits(kTorch, kE4M3FN, 0xFF), 0xFFF0'0000u);
  EXPECT_EQ(bits(kTorch212, kE5M2, 0x7D), 0x7FE0'0000u);
  EXPECT_EQ(bits(kTorch212, kE5M2, 0xFE), 0xFFC0'0000u);
  EXPECT_EQ(bits(kTorch, kE4M3FNUZ, 0x80), 0x7F80'0001u);
  EXPECT_EQ(bits(kTorch, kE8M0, 0xFF), 0x7F80'0001u);
}

// A library has no policy for a format that it cannot convert to.
TEST(Presets, AreAbsentWhereALibraryHasNoConversion) {
  EXPECT_FALSE(EncodeLike(kCuda, kE4M3FNUZ));
  EXPECT_FALSE(EncodeLike(kCudaNosat, kE2M1));
  EXPECT_FALSE(EncodeLike(kTorch, kE2M1));
  EXPECT_FALSE(EncodeLike(kMlDtypes, kFP16));
  EXPECT_FALSE(EncodeLike(kCuda, kE4M3FN, kE5M2));
  EXPECT_TRUE(EncodeLike(kMlDtypes, kE3M4, kBF16));
}

TEST(Presets, RowsAreInOrder) {
  for (size_t i = 0; i < std::size(kLibraries); ++i)
    EXPECT_EQ(static_cast<size_t>(kLibraries[i].library), i);
}

}  // namespace
}  // namespace lostbits::fp8
