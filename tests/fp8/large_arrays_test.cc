// Arrays beyond the caches, which are written by other instructions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "fp8/convert.h"

namespace lostbits::fp8 {
namespace {

// Large arrays are written past the caches, from an aligned element on; every alignment.
TEST(LargeArrays, AreTheSameBits) {
  const size_t n = (size_t{12} << 20) + 77;  // 60 MiB of FP32 and codes
  std::vector<float> x(n), back(n + 16);
  for (size_t i = 0; i < n; ++i) x[i] = BitCast<float>(static_cast<uint32_t>(i * 359));
  std::vector<uint8_t> codes(n + 64), expected(n);
  Encode(x, {kE4M3FN, expected}, {}, {.path = {Path::kIntegers}});
  for (const size_t shift : {0, 1, 5, 63}) {
    std::fill(codes.begin(), codes.end(), uint8_t{0xA5});
    Encode(x, {kE4M3FN, codes.data() + shift, n, 1});
    ASSERT_EQ(std::memcmp(codes.data() + shift, expected.data(), n), 0) << shift;
    ASSERT_EQ(codes[shift + n], 0xA5);
    if (shift > 0) {
      ASSERT_EQ(codes[shift - 1], 0xA5);
    }
  }
  std::vector<float> values(n);
  Decode({kE4M3FN, expected}, values, {}, {Path::kIntegers});
  for (const size_t shift : {0, 1, 7, 15}) {
    Decode({kE4M3FN, expected}, {back.data() + shift, n});
    ASSERT_EQ(std::memcmp(back.data() + shift, values.data(), n * sizeof(float)), 0) << shift;
  }
}

}  // namespace
}  // namespace lostbits::fp8
