// CUDA's own host functions as an oracle, in all formats they know and from all four sources.
// Built where the CUDA headers are found; plain C++, no GPU and no nvcc.
#include "tests/fp8/cuda_host.h"

#include <gtest/gtest.h>

#include "fp8/preset.h"
#include "tests/fp8/cases.h"

namespace lostbits::fp8 {
namespace {

#if !LOSTBITS_HAVE_CUDA_HEADERS

TEST(CudaHost, Headers) {
  GTEST_SKIP() << "no CUDA headers at build time: CUDA's host conversions are NOT compared. Set "
                  "LOSTBITS_CUDA_INCLUDE to the folder of cuda_fp8.h.";
}

#else

constexpr Format kCudaFormats[] = {kE4M3FN, kE5M2, kE8M0, kE2M3, kE3M2, kE2M1};

/// CUDA's code for a source given as bits.
uint32_t CudaCode(Format f, Format source, uint64_t bits, bool saturate) {
  if (source == kFP64) return cuda_host::Encode(f, BitCast<double>(bits), saturate);
  if (source == kFP32)
    return cuda_host::Encode(f, BitCast<float>(static_cast<uint32_t>(bits)), saturate);
  const auto word = static_cast<uint16_t>(bits);
  if (source == kFP16) return cuda_host::Encode(f, cuda_host::Half(word), saturate);
  return cuda_host::Encode(f, cuda_host::Bfloat16(word), saturate);
}

void ExpectSame(Format f, Format source, uint64_t bits) {
  for (const bool saturate : {true, false}) {
    const Library library = saturate ? Library::kCuda : Library::kCudaNosat;
    const auto ours = PackLike(library, f, source, Unpack(source, bits));
    if (!ours) continue;  // FP6 and FP4 know no __NV_NOSAT
    ASSERT_EQ(ours->code, CudaCode(f, source, bits, saturate))
        << FormatName(f) << " of " << FormatName(source) << " " << HexCode(bits)
        << (saturate ? " satfinite" : " nosat");
  }
}

TEST(CudaHost, AllFp16AndBf16) {
  for (const Format f : kCudaFormats)
    for (const Format source : {kFP16, kBF16})
      for (uint64_t code = 0; code < 65'536; ++code) ExpectSame(f, source, code);
}

// All 65,536 upper halves with lower halves around ties, and every midpoint's neighbours.
TEST(CudaHost, StratifiedFloats) {
  for (const Format f : kCudaFormats)
    for (uint64_t high = 0; high < 65'536; ++high)
      for (const uint64_t low : {0x0000, 0x0001, 0x8000, 0xFFFF})
        ExpectSame(f, kFP32, high << 16 | low);
}

TEST(CudaHost, StratifiedDoubles) {
  for (const Format f : kCudaFormats) {
    for (const double x : Stratified(f, 256)) {
      ExpectSame(f, kFP64, BitCast<uint64_t>(x));
      ExpectSame(f, kFP32, BitCast<uint32_t>(static_cast<float>(x)));
    }
  }
}

// cudaRoundZero: FP6, FP4 and E8M0.
TEST(CudaHost, TowardZero) {
  for (const Format f : {kE8M0, kE2M3, kE3M2, kE2M1}) {
    EncodePolicy p = *EncodeLike(Library::kCuda, f);
    p.rounding = Rounding::kTowardZero;
    for (uint64_t high = 0; high < 65'536; ++high) {
      for (const uint64_t low : {0x0000, 0x0001, 0x8000}) {
        const float x = BitCast<float>(static_cast<uint32_t>(high << 16 | low));
        ASSERT_EQ(Pack(f, Unpack(x), p).code, cuda_host::EncodeTowardZero(f, x))
            << FormatName(f) << " of " << Hex(x);
      }
    }
  }
}

TEST(CudaHost, DecodesEveryCode) {
  for (const Format f : kCudaFormats) {
    for (uint32_t code = 0; code < uint32_t{1} << StorageBits(f); ++code) {
      const float ours = Decode(f, code, DecodeLike(Library::kCuda, f));
      const float cuda = cuda_host::Decode(f, static_cast<uint8_t>(code));
      ASSERT_EQ(BitCast<uint32_t>(ours), BitCast<uint32_t>(cuda))
          << FormatName(f) << " " << HexCode(code);
    }
  }
}

#endif

}  // namespace
}  // namespace lostbits::fp8
