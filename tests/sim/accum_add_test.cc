// AddNearestEven = IEEE addition: against the host's float adder for FP32, and against the exact
// double sum rounded once for FP16.
#include "tests/sim/accum_add.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "sim/accum.h"
#include "sim/spec.h"
#include "tests/support/generator.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

using fp8::kFP16;
using fp8::kFP32;

uint32_t HostAdd(uint32_t x, uint32_t y) {
  volatile float sum = fp8::BitCast<float>(x) + fp8::BitCast<float>(y);
  return std::isnan(sum) ? 0x7FFF'FFFF : fp8::BitCast<uint32_t>(static_cast<float>(sum));
}

void ExpectHostAdd(uint32_t x, uint32_t y) {
  const uint32_t host = HostAdd(x, y);
  ASSERT_EQ(test::Hex(sim::AddNearestEven(kFP32, x, y)), test::Hex(host))
      << test::Hex(x) << " + " << test::Hex(y);
  ASSERT_EQ(test::Hex(sim::spec::AddNearestEven(kFP32, x, y)), test::Hex(host))
      << "by value: " << test::Hex(x) << " + " << test::Hex(y);
}

TEST(AccumAdd, Fp32EqualsHostOnCorners) {
  std::vector<uint32_t> words;
  for (uint32_t field : {0u,   1u,   2u,   24u,  25u,  26u,  100u, 101u, 102u, 124u, 125u, 126u,
                         127u, 128u, 150u, 151u, 152u, 229u, 230u, 231u, 253u, 254u, 255u}) {
    for (uint32_t mantissa :
         {0u, 1u, 2u, 3u, 0x3F'FFFFu, 0x40'0000u, 0x40'0001u, 0x7F'FFFEu, 0x7F'FFFFu}) {
      words.push_back(field << 23 | mantissa);
      words.push_back(0x8000'0000 | field << 23 | mantissa);
    }
  }
  for (uint32_t x : words) {
    for (uint32_t y : words) ASSERT_NO_FATAL_FAILURE(ExpectHostAdd(x, y));
  }
}

TEST(AccumAdd, Fp32EqualsHostOnGeneratedPairs) {
  test::Random r(1);
  for (int i = 0; i < 500'000; ++i) {
    const uint32_t x = static_cast<uint32_t>(test::RawCode(r, kFP32));
    uint32_t y = static_cast<uint32_t>(test::RawCode(r, kFP32));
    if (!r.OneIn(4)) {  // exponents near enough to meet, mantissas often special
      const int e = static_cast<int>(x >> 23 & 0xFF) - 127 + r.Between(-56, 2);
      y = static_cast<uint32_t>(test::CodeWithExponent(r, kFP32, e));
      if (r.OneIn(3)) y &= ~0u << r.Below(24);
    }
    ASSERT_NO_FATAL_FAILURE(ExpectHostAdd(x, y));
  }
}

TEST(AccumAdd, Fp16EqualsExactSumRoundedOnce) {
  test::Random r(2);
  std::vector<uint32_t> ys = {0,      0x8000, 1,      0x8001, 0x3FF,  0x400,  0x3C00, 0xBC00,
                              0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7C01, 0x7E00, 0xFFFF};
  while (ys.size() < 64) ys.push_back(static_cast<uint32_t>(test::RawCode(r, kFP16)));
  for (uint32_t y : ys) EXPECT_EQ(test::CountUnequalFp16(y), 0) << "y = " << test::Hex(y, 4);
}

}  // namespace
}  // namespace lostbits
