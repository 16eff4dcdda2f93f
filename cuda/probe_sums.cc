#include "cuda/probe.h"
#include "cuda/probe_units.h"

namespace lostbits::gpu {
namespace {

using namespace probe;

constexpr char kClamp[] = "the least exponent a group is aligned to, FP32 results";
constexpr char kClampF16[] = "the least exponent a group is aligned to, FP16 results";
constexpr char kGroup[] = "products aligned together";
constexpr char kFraction[] = "bits kept below the largest exponent";
constexpr char kAccumulator[] = "bits of an FP32 c that FP8 wgmma reads and keeps";
constexpr char kFp8Emulated[] = "how FP8 mma.sync is emulated: which k share a group";
constexpr char kFp8LateC[] = "how FP8 mma.sync is emulated: when c is added";

// A run of 8 equal codes.
#define LOSTBITS_8(code) code code code code code code code code

// clang-format off
constexpr Probe kProbes[] = {
    // e_zero of FP32 results: 2^-149 less a smaller product.
    {"S1", kClamp, kSinceAmpere, kBf16, "B280 3400 ; 0080 0080 ; 0",
     {{"-132 to Ada, -133 since (MM2, MAT)"}, {"-126 (MM1)", "e_zero=-126"}}},
    {"S1t", kClamp, kSinceAmpere, kTf32AndWmma, "B2800000 34000000 ; 00800000 00800000 ; 0",
     {{"-132 to Ada, -133 since (MM2, MAT)"}, {"-126 (MM1)", "e_zero=-126"}}},
    {"S1b", kClamp, kSinceHopper, kBf16, "AF80 3400 ; 0080 0080 ; 0",
     {{"-133 or less"}, {"-132 or more", "e_zero=-132"}}},
    {"S1c", kClamp, kSinceHopper, kBf16, "AF00 3400 ; 0080 0080 ; 0",
     {{"-133 or more"}, {"-134 or less", "e_zero=-134"}}},
    {"S1d", kClamp, kToAda, kBf16, "B080 3400 ; 0080 0080 ; 0",
     {{"-132 or less"}, {"-131 or more", "e_zero=-131"}}},
    {"S1e", kClamp, kToAda, kBf16, "B000 3400 ; 0080 0080 ; 0",
     {{"-132 or more"}, {"-133 or less", "e_zero=-133"}}},
    // e_zero of FP16 results: 2^-25, half the smallest subnormal, and a smaller product.
    {"S2", kClampF16, kSinceHopper, kF16ToF16, "1000 0002 ; 0400 0001 ; 0",
     {{"-21 (MAT, MM2 since 2.1.1)"}, {"-22 or less (MM2 before 2.1.1)", "e_zero=-22"}}},
    {"S2b", kClampF16, kSinceHopper, kF16ToF16, "1000 0001 ; 0400 0001 ; 0",
     {{"-22 or more"}, {"-133, no clamp (MM2 before 2.1.1, of wgmma)", "e_zero=-133"}}},
    {"S2c", kClampF16, kSinceHopper, kF16ToF16, "1000 0004 ; 0400 0001 ; 0",
     {{"-21 or less"}, {"-20 or more", "e_zero=-20"}}},
    {"S2a", kClampF16, kToAda, kF16ToF16, "1000 0008 ; 0400 0001 ; 0",
     {{"-20 (MAT, MM2 since 2.1.1)"}, {"-21 or less (MM2 before 2.1.1)", "e_zero=-21"}}},
    // Products are not renormalised: eight of 2^-25 survive beside 1.5 * 1.5, of exponent 0.
    {"S3", "the exponent of a product in [2, 4)", kSinceHopper, kF16,
     "3E00 " LOSTBITS_8("1000 ") "; 3E00 " LOSTBITS_8("0400 ") "; 0",
     {{"the operands' sum (MM1, MM2, MAT)"}, {"its own, as of 2.25 * 1", "",
      "4080 " LOSTBITS_8("1000 ") "; 3C00 " LOSTBITS_8("0400 ") "; 0"}}},
    // Group length: 1 + 2^-25 (or 2^-24) - 1, the -1 in the second half.
    {"S4", kGroup, kToAda, "mma.sync.m16n8k16.f16.f32",
     "3C00 1000 " LOSTBITS_Z3 LOSTBITS_Z3 "BC00 ; 3C00 0800 " LOSTBITS_Z3 LOSTBITS_Z3 "3C00 ; 0",
     {{"8 (MM2, MAT)"}, {"16", "group=16"}}},
    {"S4h", kGroup, kSinceHopper, kF16,
     "3C00 1000 " LOSTBITS_Z3 LOSTBITS_Z3 "BC00 ; 3C00 0800 " LOSTBITS_Z3 LOSTBITS_Z3 "3C00 ; 0",
     {{"16 (MM2, MAT)"}, {"8", "group=8"}}},
    {"S4g", kGroup, kSinceHopper, kBf16,
     "3F80 3A00 " LOSTBITS_Z3 LOSTBITS_Z3 "BF80 ; 3F80 3900 " LOSTBITS_Z3 LOSTBITS_Z3 "3F80 ; 0",
     {{"16 (MM2, MAT)"}, {"8", "group=8"}}},
    {"S4c", kGroup, kSinceHopper, kTf32,
     "3F800000 3A000000 0 0 BF800000 ; 3F800000 39000000 0 0 3F800000 ; 0",
     {{"8 (MM2, KM)"}, {"4", "group=4"}}},
    {"D6", kGroup, kEmulated, "wmma.m16n16k8.tf32.f32",
     "3F800000 3A000000 0 0 BF800000 ; 3F800000 39000000 0 0 3F800000 ; 0",
     {{"4 (KM)"}, {"8 (MAT)", "group=8"}}},
    {"S4d", kGroup, kToAda, "mma.sync.m16n8k8.tf32.f32 wmma.m16n16k8.tf32.f32",
     "3F800000 3A000000 0 0 BF800000 ; 3F800000 39000000 0 0 3F800000 ; 0",
     {{"4 (MM2, MAT)"}, {"8", "group=8"}}},
    // 2.25 + 2^-13 - 2.25 in E5M2, the last in the second half.
    {"S4e", kGroup, kHopper, kWgmmaE5m2,
     "3E 08 " LOSTBITS_Z7 LOSTBITS_Z7 "BE ; 3E 3C " LOSTBITS_Z7 LOSTBITS_Z7 "3E ; 0",
     {{"32 (VEC)"}, {"16, as on Ada", "group=16"}}},
    // F: 1 + 2^-F - 1, and one below.
    {"F1", kFraction, kSinceHopper, kF16, "3C00 1000 BC00 ; 3C00 0400 3C00 ; 0",
     {{"25 or more"}, {"24 or fewer", "F=24"}}},
    {"F2", kFraction, kSinceHopper, kF16, "3C00 0C00 BC00 ; 3C00 0400 3C00 ; 0",
     {{"25 or fewer"}, {"26 or more", "F=26"}}},
    {"F3", kFraction, kSinceHopper, kTf32,
     "3F800000 3A000000 BF800000 ; 3F800000 38800000 3F800000 ; 0",
     {{"25 or more"}, {"24 or fewer", "F=24"}}},
    {"F4", kFraction, kSinceHopper, kTf32,
     "3F800000 39800000 BF800000 ; 3F800000 38800000 3F800000 ; 0",
     {{"25 or fewer"}, {"26 or more", "F=26"}}},
    {"F5", kFraction, kHopper, "wgmma.m64n8k32.e4m3.f16 wgmma.m64n8k32.e4m3.f32",
     "38 08 B8 ; 38 04 38 ; 0",
     {{"13 or more"}, {"12 or fewer", "F=12"}}},
    {"F6", kFraction, kHopper, "wgmma.m64n8k32.e4m3.f16 wgmma.m64n8k32.e4m3.f32",
     "38 04 B8 ; 38 04 38 ; 0",
     {{"13 or fewer"}, {"14 or more", "F=14"}}},
    {"F7", kFraction, kHopper, "wgmma.m64n8k32.e4m3.e5m2.f32 wgmma.m64n8k32.e4m3.e5m2.f16",
     "38 04 B8 ; 3C 24 3C ; 0",
     {{"13 or more"}, {"12 or fewer", "F=12"}}},
    {"F8", kFraction, kHopper, "wgmma.m64n8k32.e4m3.e5m2.f32 wgmma.m64n8k32.e4m3.e5m2.f16",
     "38 04 B8 ; 3C 20 3C ; 0",
     {{"13 or fewer"}, {"14 or more", "F=14"}}},
    // c of FP8 wgmma: the published rows have c = 0 only.
    {"S5", kAccumulator, kHopper, kWgmmaE4m3, "0 ; 0 ; 3F800200",
     {{"cut 13 bits below its own exponent (MM1, MM2, SAGE)"}, {"all 24", "F=25,out=acc"}}},
    {"S5m", kAccumulator, kEmulated, "mma.sync.m16n8k32.e4m3.f32", "0 ; 0 ; 3F800200",
     {{"not wgmma but mma.sync: all 24"}, {"cut to 13 fraction bits", "", "", "3F800000"}}},
    {"S5b", kAccumulator, kHopper, kWgmmaE4m3, "38 ; 38 ; 38804000",
     {{"aligned with F = 13 like a product"}, {"F = 25, as tcgen05", "F=25,out=acc"}}},
    {"S5c", kAccumulator, kHopper, kWgmmaE4m3, "38 B8 ; 38 38 ; 38804000",
     {{"cut to the grid of products that cancel"}, {"added after the products are summed", "",
      "0 ; 0 ; 38804000"}}},
    {"S5d", "rounding of an FP8 wgmma sum that outgrows its grid, c included", kHopper, kWgmmaE4m3,
     "3C ; 3C ; 3F800400",
     {{"cut to 13 bits (E8M13)"}, {"kept to the grid's last bit", "out=acc"}}},
    // FP8 mma.sync on Hopper and datacentre Blackwell. 1 + 2^-25 - 1, the -1 at k = 2.
    {"S9", kFp8Emulated, kEmulated, "mma.sync.m16n8k32.e5m2.f32", "3C 0C BC ; 3C 08 3C ; 0",
     {{"k%4 in {0,1}, then {2,3} (VEC, of FP16 results)"}, {"first half, then second; or all 32",
      "flow=chained"}}},
    {"S9b", kFp8Emulated, kEmulated, "mma.sync.m16n8k32.e5m2.f32",
     "3C 0C " LOSTBITS_Z7 LOSTBITS_Z7 "BC ; 3C 08 " LOSTBITS_Z7 LOSTBITS_Z7 "3C ; 0",
     {{"k%4 in {0,1}, then {2,3}; or all 32"}, {"first half, then second", "flow=chained"}}},
    {"S9m", kFp8Emulated, kEmulated, "mma.sync.m16n8k32.e4m3.e5m2.f32", "38 01 B8 ; 3C 01 3C ; 0",
     {{"k%4 in {0,1}, then {2,3}"}, {"first half, then second; or all 32", "flow=chained"}}},
    {"S9c", kFp8LateC, kEmulated, "mma.sync.m16n8k32.e5m2.f32", "10 0C ; 08 08 ; 3F800000",
     {{"last, to nearest"}, {"in the first group, cut", "flow=chained"}}},
    {"S9k", kFp8Emulated, kEmulated, "mma.sync.m16n8k16.e5m2.f32", "3C 0C BC ; 3C 08 3C ; 0",
     {{"k = 16: k%4 in {0,1}, then {2,3}"}, {"k = 16: one FP16 instruction",
      "flow=chained,group=16"}}},
    {"S9l", kFp8LateC, kEmulated, "mma.sync.m16n8k16.e5m2.f32", "10 0C ; 08 08 ; 3F800000",
     {{"k = 16: last, to nearest"}, {"k = 16: in the group, cut", "flow=chained,group=16"}}},
    // The exponent of a subnormal operand.
    {"S10", "the exponent of a subnormal operand", kHopper, kWgmmaE4m3, "01 ; 01 ; 31800000",
     {{"that of the smallest normal (MM1, MM2, MAT)"}, {"that of its leading bit", "", "",
      "36802000"}}},
    {"S10h", "the exponent of a subnormal operand", kSinceHopper, kF16, "0001 ; 3C00 ; 29000000",
     {{"that of the smallest normal (MM1, MM2, MAT)"}, {"that of its leading bit", "", "",
      "33800004"}}},
    {"T1", "the low 13 bits of a TF32 operand", kSinceAmpere, kTf32AndWmma,
     "3F801FFF ; 3F800000 ; 0",
     {{"ignored (MM1, MM2, MAT)"}, {"rounded to nearest", "", "3F802000 ; 3F800000 ; 0"}, {"used",
      "", "", "3F801FFF"}}},
};
// clang-format on

}  // namespace

std::span<const Probe> SumProbes() { return kProbes; }

}  // namespace lostbits::gpu
