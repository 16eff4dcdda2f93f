#include "cuda/probe.h"
#include "cuda/probe_units.h"

namespace lostbits::gpu {
namespace {

using namespace probe;

constexpr char kUnderflowSign[] = "the sign of a negative sum that rounds to zero";
constexpr char kNanBits[] = "the bits of a NaN result";
constexpr char kZeroSum[] = "the sign of an exactly zero sum";
constexpr char kOverflow[] = "a sum beyond the largest number";
constexpr char kSubnormalIn[] = "a subnormal operand";
constexpr char kSubnormalOut[] = "a subnormal result";
constexpr char kE4m3Nan[] = "E4M3 codes 7F and FF";
constexpr char kFp8Nan[] = "mma.sync.m16n8k32.e4m3.f32 wgmma.m64n8k32.e4m3.f32";
constexpr char kFp8ToF16[] = "mma.sync.m16n8k32.e4m3.f16 wgmma.m64n8k32.e4m3.f16";

constexpr Flags kDropC{true, false, false}, kNegateA{false, true, false},
    kNegateB{false, false, true};

// clang-format off
constexpr Probe kProbes[] = {
    // Overflow.
    {"S7", kOverflow, kSinceAmpere, kBf16, "7F00 7F00 ; 3F80 3F80 ; 0",
     {{"Inf, though sums are cut (MM1, MM2)"}, {"the largest number", "", "", "7F7FFFFF"}}},
    {"S7n", kOverflow, kSinceAmpere, kBf16, "FF00 7F00 ; 3F80 BF80 ; 0",
     {{"-Inf (MM1, MM2)"}, {"the largest number", "", "", "FF7FFFFF"}}},
    {"S7h", kOverflow, kSinceAmpere, kF16ToF16, "7BFF 4C00 ; 3C00 3C00 ; 0",
     {{"65520: Inf"}, {"the largest number", "", "", "7BFF"}}},
    {"S7i", kOverflow, kSinceAmpere, kF16ToF16, "7BFF 4B80 ; 3C00 3C00 ; 0",
     {{"65519: the largest number"}, {"Inf", "", "", "7C00"}}},
    {"S7e", kOverflow, "ada hopper blackwell rtx_blackwell", kFp8ToF16, "7E ; 7E ; 0",
     {{"448 * 448 in FP16: Inf"}, {"the largest number", "", "", "7BFF"}}},
    {"S7b", "a product beyond the largest number that cancels", kSinceAmpere, kBf16,
     "7F00 FF00 3F80 ; 4480 4480 3F80 ; 0",
     {{"no Inf inside (MM1, MM2)"}, {"Inf - Inf", "", "", "7FFFFFFF"},
      {"the third product survives", "", "", "3F800000"}}},
    // Underflow.
    {"S8", kUnderflowSign, kSinceAmpere, kBf16, LOSTBITS_Z15 "8080 ; " LOSTBITS_Z15 "3080 ; 0",
     {{"+0 (MM2 since 2.1.0)"}, {"-0 (MM1)", "underflow=signed"}}},
    {"S8t", kUnderflowSign, kSinceAmpere, kTf32AndWmma,
     LOSTBITS_Z7 "80800000 ; " LOSTBITS_Z7 "30800000 ; 0",
     {{"+0 (MM2 since 2.1.0)"}, {"-0 (MM1)", "underflow=signed"}}},
    {"S8h", kUnderflowSign, kSinceAmpere, kF16ToF16, LOSTBITS_Z15 "8001 ; " LOSTBITS_Z15 "0400 ; 0",
     {{"+0 (MM2 since 2.1.0)"}, {"-0 (MM1)", "underflow=signed"}}},
    {"U1", kSubnormalOut, kSinceAmpere, kBf16, "0080 ; 3F00 ; 0",
     {{"kept (MM1, MM2, MAT)"}, {"flushed", "", "", "00000000"}}},
    {"U1h", kSubnormalOut, kSinceAmpere, kF16ToF16, "0400 ; 3800 ; 0",
     {{"kept (MM1, MM2, MAT)"}, {"flushed", "", "", "0000"}}},
    {"U2", "a subnormal c", kSinceAmpere, kBf16, "0 ; 0 ; 00000001",
     {{"kept (MM1, MM2, MAT)"}, {"flushed", "", "", "00000000"}}},
    {"U2q", "a subnormal c", kHopper, kWgmmaE4m3, "0 ; 0 ; 00000400",
     {{"kept to 2^-139, the last bit of E8M13"}, {"flushed", "", "", "00000000"}}},
    {"U3", kSubnormalIn, kSinceAmpere, kBf16, "0001 ; 3F80 ; 0",
     {{"counts (MM1, MM2, MAT)"}, {"flushed", "", "0 ; 3F80 ; 0"}}},
    {"U3h", kSubnormalIn, kSinceAmpere, kF16, "0001 ; 3C00 ; 0",
     {{"counts (MM1, MM2, MAT)"}, {"flushed", "", "0 ; 3C00 ; 0"}}},
    {"U3e", kSubnormalIn, "ada hopper blackwell rtx_blackwell", kE4m3, "01 ; 38 ; 0",
     {{"counts (VEC)"}, {"flushed", "", "0 ; 38 ; 0"}}},
    {"U3t", kSubnormalIn, kSinceAmpere, kTf32AndWmma, "00002000 ; 3F800000 ; 0",
     {{"counts (MM1, MM2, MAT)"}, {"flushed", "", "0 ; 3F800000 ; 0"}}},
    // NaN and Inf.
    {"D7", kNanBits, kSinceAmpere, kBf16, "FFC1 ; 3F80 ; 0",
     {{"7FFFFFFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7FC00000"}, {"the operand's", "", "",
      "FFC10000"}}},
    {"D7s", "a signalling NaN operand", kSinceAmpere, kBf16, "7F81 ; 3F80 ; 0",
     {{"7FFFFFFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7FC00000"}, {"the operand's, quiet",
      "", "", "7FC10000"}}},
    {"D7c", kNanBits, kSinceAmpere, kBf16, "0 ; 0 ; FFC01234",
     {{"of a NaN c: 7FFFFFFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7FC00000"}, {"c's", "",
      "", "FFC01234"}}},
    {"D7h", kNanBits, kSinceAmpere, kF16ToF16, "FE01 ; 3C00 ; 0",
     {{"7FFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7E00"}, {"the operand's", "", "",
      "FE01"}}},
    {"D7t", kNanBits, kSinceAmpere, kTf32AndWmma, "FFC02000 ; 3F800000 ; 0",
     {{"7FFFFFFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7FC00000"}, {"the operand's", "", "",
      "FFC02000"}}},
    {"D7l", "a TF32 NaN whose payload lies in the ignored bits", kSinceAmpere, kTf32AndWmma,
     "7F800001 ; 3F800000 ; 0",
     {{"an Inf (the bits are ignored first)"}, {"a NaN", "", "7FC00000 ; 3F800000 ; 0"}}},
    {"D7e", kE4m3Nan, "ada hopper blackwell rtx_blackwell", kFp8Nan, "7F ; 38 ; 0",
     {{"NaN: 7FFFFFFF (MM1, MM2)"}, {"480", "", "", "43F00000"}, {"quiet, no payload", "", "",
      "7FC00000"}}},
    {"D7f", kE4m3Nan, "ada hopper blackwell rtx_blackwell", kFp8ToF16, "FF ; 38 ; 0",
     {{"NaN: 7FFF (MM1, MM2)"}, {"-480", "", "", "DF80"}, {"quiet, no payload", "", "", "7E00"}}},
    {"D7g", kNanBits, "ada hopper blackwell rtx_blackwell", kFp8Nan, "0 ; 0 ; FFC01234",
     {{"of a NaN c: 7FFFFFFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7FC00000"}, {"c's", "",
      "", "FFC01234"}, {"c's, cut to E8M13", "", "", "FFC01000"}}},
    {"I1", "Inf - Inf", kSinceAmpere, kBf16, "7F80 FF80 ; 3F80 3F80 ; 0",
     {{"7FFFFFFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7FC00000"}, {"x86's", "", "",
      "FFC00000"}}},
    {"I2", "Inf * 0", kSinceAmpere, kBf16, "7F80 ; 0 ; 0",
     {{"7FFFFFFF (MM1, MM2)"}, {"quiet, no payload", "", "", "7FC00000"}, {"0", "", "",
      "00000000"}}},
    {"I3", "Inf and a finite sum", kSinceAmpere, kBf16, "FF80 7F00 ; 3F80 7F00 ; 7F7FFFFF",
     {{"Inf (MM1, MM2)"}, {"NaN: the finite sum overflowed inside", "", "", "7FFFFFFF"}}},
    {"I4", "Inf operands of E5M2", "ada hopper blackwell rtx_blackwell", kE5m2, "7C ; 3C ; 0",
     {{"Inf (MM1, MM2)"}, {"65536", "", "", "47800000"}, {"NaN", "", "", "7FFFFFFF"}}},
    // Zeros.
    {"Z1", kZeroSum, kSinceAmpere, kBf16,
     "8000 8000 8000 8000 8000 8000 8000 8000 8000 8000 8000 8000 8000 8000 8000 8000 ; "
     "3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 3F80 ; 80000000",
     {{"all terms -0: +0 (MM1, MM2)"}, {"all terms -0: -0 (IEEE 754)", "", "", "80000000"}}},
    {"Z2", kZeroSum, kSinceAmpere, kBf16, "3F80 BF80 ; 3F80 3F80 ; 80000000",
     {{"1 - 1 and c = -0: +0"}, {"-0", "", "", "80000000"}}},
    {"Z3", kZeroSum, kSinceAmpere, kBf16, "0 ; 0 ; 80000000",
     {{"+0 products and c = -0: +0"}, {"c as it is: -0", "", "", "80000000"}}},
    {"Z4", kZeroSum, "ada hopper blackwell rtx_blackwell", kE4m3, "0 ; 0 ; 80000000",
     {{"+0 products and c = -0: +0"}, {"c as it is: -0", "", "", "80000000"}}},
    // Flags of wgmma; no source says.
    {"W1", "wgmma scale-d = 0 and a NaN c", kHopper, kWgmmaE4m3, "38 ; 38 ; FFC01234",
     {{"c is not read", "", "38 ; 38 ; 0"}, {"c counts"}}, kDropC},
    {"W2", "wgmma scale-d = 0: alignment", kHopper, kWgmmaE4m3, "38 ; 38 ; 4B000000",
     {{"c is not read", "", "38 ; 38 ; 0"}, {"1 is aligned to c and cut", "", "", "00000000"}},
      kDropC},
    {"W3", "wgmma imm-scale-a = -1", kHopper, kWgmmaE4m3, "38 34 ; 38 38 ; 0",
     {{"a's signs flip", "", "B8 B4 ; 38 38 ; 0"}, {"no effect"}}, kNegateA},
    {"W4", "wgmma imm-scale-b = -1", kHopper, kWgmmaE4m3, "38 34 ; 38 38 ; 40000000",
     {{"b's signs flip", "", "38 34 ; B8 B8 ; 40000000"}, {"the whole result's sign flips", "",
      "B8 B4 ; 38 38 ; C0000000"}, {"no effect"}}, kNegateB},
    {"W5", "wgmma imm-scale-a = -1, half precision", kHopper, "wgmma.m64n8k16.f16.f32",
     "3C00 ; 3C00 ; 40000000",
     {{"a's signs flip", "", "BC00 ; 3C00 ; 40000000"}, {"no effect"}}, kNegateA},
};
// clang-format on

}  // namespace

std::span<const Probe> SpecialProbes() { return kProbes; }

}  // namespace lostbits::gpu
