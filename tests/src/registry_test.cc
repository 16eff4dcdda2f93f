// Names: every spelling finds its row, every row prints a name that finds it again, and a wrong
// name lists the right one.
#include "registry.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

#include "tests/src/error_of.h"

namespace lostbits {
namespace {

using test::ErrorOf;

TEST(Formats, EveryFormatHasOneRowInTableOrder) {
  ASSERT_EQ(AllFormatNames().size(), std::size(fp8::kAllFormats));
  for (size_t i = 0; i < AllFormatNames().size(); ++i)
    EXPECT_TRUE(AllFormatNames()[i].format == fp8::kAllFormats[i]) << AllFormatNames()[i].name;
}

TEST(Formats, PrintedNamesAndAliasesFindTheirOwnRow) {
  std::set<std::string> seen;
  for (const FormatNames& names : AllFormatNames()) {
    EXPECT_TRUE(seen.insert(names.name).second) << names.name << " names two formats";
    for (const char* name : {names.name, names.brief, names.safetensors, names.onnx}) {
      if (*name == '\0') continue;
      EXPECT_STREQ(FindFormat(name).name, names.name) << "as " << name;
    }
    for (const std::string& alias : Split(names.aliases, " "))
      EXPECT_STREQ(FindFormat(alias).name, names.name) << "as " << alias;
  }
}

TEST(Formats, SpellingsOfEveryStack) {
  const std::pair<const char*, fp8::Format> kCases[] = {
      {"torch.float8_e4m3fn", fp8::kE4M3FN},
      {"e4m3", fp8::kE4M3FN},
      {".e4m3", fp8::kE4M3FN},
      {"__nv_fp8_e4m3", fp8::kE4M3FN},
      {"__NV_E4M3", fp8::kE4M3FN},
      {"cutlass::float_e4m3_t", fp8::kE4M3FN},
      {"FLOAT8E4M3FN", fp8::kE4M3FN},
      {"F8_E4M3", fp8::kE4M3FN},
      {"tl.float8e4nv", fp8::kE4M3FN},
      {"float8_e4m3", fp8::kE4M3},
      {"ml_dtypes.float8_e5m2", fp8::kE5M2},
      {"tl.float8e5", fp8::kE5M2},
      {"float8e4b8", fp8::kE4M3FNUZ},
      {"float8e5b16", fp8::kE5M2FNUZ},
      {"float_ue8m0_t", fp8::kE8M0},
      {"F8_E8M0", fp8::kE8M0},
      {"__nv_fp4_e2m1", fp8::kE2M1},
      {"half", fp8::kFP16},
      {"__nv_bfloat16", fp8::kBF16},
      {"torch.bfloat16", fp8::kBF16},
      {"tf32", fp8::kTF32},
      {"float", fp8::kFP32},
      {"double", fp8::kFP64},
  };
  for (const auto& [name, format] : kCases)
    EXPECT_TRUE(FindFormat(name).format == format) << name << " -> " << FindFormat(name).name;
}

TEST(Formats, UnknownNameListsTheNearest) {
  const std::string error = ErrorOf([] { FindFormat("float8_e4m3fm"); });
  EXPECT_NE(error.find("'float8_e4m3fm'"), error.npos) << error;
  EXPECT_NE(error.find("float8_e4m3fn"), error.npos) << error;
  EXPECT_EQ(error.find('\n'), error.npos) << error;
  EXPECT_NE(ErrorOf([] { FindFormat(""); }), "(no error)");
}

TEST(Formats, DidYouMeanCountsSwappedNeighboursOnce) {
  // Two edits from wgmyy, one from wgmma: the nearer one comes first.
  const std::string known[] = {"wgmyy", "wgmma", "tcgen05"};
  EXPECT_EQ(DidYouMean("wgmam", known), "; did you mean wgmma, wgmyy?");
  EXPECT_EQ(DidYouMean("zzzzzzzz", known), "");
}

TEST(Roundings, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(fp8::Rounding::kStochastic); ++i) {
    const auto rounding = static_cast<fp8::Rounding>(i);
    EXPECT_EQ(FindRounding(RoundingName(rounding)), rounding) << RoundingName(rounding);
  }
  EXPECT_EQ(FindRounding("RNE"), fp8::Rounding::kNearestEven);
  EXPECT_EQ(FindRounding("rz"), fp8::Rounding::kTowardZero);
  EXPECT_EQ(FindRounding("rn_away"), fp8::Rounding::kNearestAway);
  EXPECT_EQ(FindOverflow("satfinite"), fp8::Overflow::kSaturate);
  EXPECT_EQ(FindOverflow("nan"), fp8::Overflow::kToSpecial);
  EXPECT_NE(ErrorOf([] { FindRounding("nearest-evn"); }).find("nearest-even"), std::string::npos);
  for (const fp8::LibraryRow& row : fp8::kLibraries)
    EXPECT_EQ(FindLibrary(row.name), row.library) << row.name;
}

TEST(Machines, PrintedNamesAreUniqueAndFindTheirRow) {
  std::set<std::string> seen;
  for (const sim::ArchRow& row : sim::kArchTable) {
    EXPECT_TRUE(seen.insert(MachineName(row)).second) << MachineName(row) << " names two rows";
    const Machine machine = FindMachine(MachineName(row));
    EXPECT_EQ(machine.row, &row) << MachineName(row);
    EXPECT_EQ(machine.name, MachineName(row));
    EXPECT_TRUE(machine.spec == row.spec) << MachineName(row);
    EXPECT_FALSE(machine.altered) << MachineName(row);
  }
}

TEST(Machines, OtherSpellingsResolveToTheSameRow) {
  const std::pair<const char*, const char*> kCases[] = {
      {"H100:wgmma:float8_e4m3fn:float32", "hopper:wgmma:e4m3:f32"},
      {"sm_90a:wgmma:e4m3:f32", "hopper:wgmma:e4m3:f32"},
      {"sm90:wgmma:e4m3.e5m2:f16", "hopper:wgmma:e4m3.e5m2:f16"},
      {"h200:wgmma:e4m3.e4m3:f32", "hopper:wgmma:e4m3:f32"},
      {"l40s:mma.sync:e5m2:f16", "ada:mma.sync:e5m2:f16"},
      {"rtx_4090:mma:e4m3:f32", "ada:mma.sync:e4m3:f32"},
      {"a100:mma.sync:bf16", "ampere:mma.sync:bf16:f32"},
      {"b200:tcgen05:e4m3:f32", "blackwell:tcgen05:e4m3:f32"},
      {"wgmma:e4m3:f32", "hopper:wgmma:e4m3:f32"},
      {"t4:mma.sync.m8n8k4:f16:f32", "turing:mma.sync.m8n8k4:f16:f32"},
      {"GeForce RTX 5090:mma:e2m3.e2m1:f16", "rtx_blackwell:mma.sync:e2m3.e2m1:f16"},
      {"sm_120a:mma.sync:e4m3:f32", "rtx_blackwell:mma.sync:e4m3:f32"},
      {"mi300x:mfma:xf32", "cdna3:mfma:tf32:f32"},
      {"gfx90a:mfma_1k:bf16", "cdna2:mfma_1k:bf16:f32"},
      {"mi100:mfma:float32", "cdna1:mfma:f32:f32"},
      // Block scales.
      {"b200:nvfp4", "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32"},
      {"b200:mxf4nvf4:e2m1+ue4m3", "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32"},
      {"b200:mxf4nvf4:e2m1+ue8m0/16", "blackwell:tcgen05.mxf4nvf4:e2m1+ue8m0/16:f32"},
      {"b200:mxf4nvf4:e2m1+32", "blackwell:tcgen05.mxf4nvf4:e2m1+ue8m0/32:f32"},
      {"rtx5090:mxfp4", "rtx_blackwell:mma.sync.mxf4:e2m1+ue8m0/32:f32"},
      {"b200:nvfp4:f32", "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32"},  // of a lone type
      {"b200:mxfp8:e4m3.e5m2", "blackwell:tcgen05.mxf8f6f4:e4m3.e5m2+ue8m0/32:f32"},
      // PTX ISA, "wgmma.mma_async", "mma", "wmma.mma", "tcgen05.mma".
      {"wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3", "hopper:wgmma:e4m3:f32"},
      {"wgmma.mma_async.sync.aligned.m64n8k32.f16.e5m2.e4m3", "hopper:wgmma:e5m2.e4m3:f16"},
      {"wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16;", "hopper:wgmma:bf16:f32"},
      {"wgmma.mma_async.sync.aligned.m64n256k8.f32.tf32.tf32", "hopper:wgmma:tf32:f32"},
      {"sm_89:mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "ada:mma.sync:e4m3:f32"},
      {"sm_89:mma.sync.aligned.m16n8k16.row.col.f32.e4m3.e4m3.f32", "ada:mma.sync:e4m3:f32@k=16"},
      {"sm_120:mma.sync.aligned.m16n8k16.row.col.f32.e4m3.e5m2.f32",
       "rtx_blackwell:mma.sync:e4m3.e5m2:f32@k=16"},
      {"sm_90:mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e4m3.f16", "hopper:mma.sync:e4m3:f16"},
      {"sm_90:mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", "hopper:mma.sync:f16:f32@k=8"},
      {"sm_90:mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", "hopper:mma.sync:tf32:f32@k=4"},
      {"sm_80:mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64", "ampere:mma.sync:f64:f64"},
      {"sm_90:mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64", "hopper:mma.sync:f64:f64@k=8"},
      {"v100:mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32", "volta:mma.sync:f16:f32"},
      {"sm_75:mma.sync.aligned.m8n8k4.row.col.f16.f16.f16.f16", "turing:mma.sync.m8n8k4:f16:f16"},
      {"sm_75:mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", "turing:mma.sync:f16:f32"},
      {"mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e3m2.e2m1.f32",
       "rtx_blackwell:mma.sync:e3m2.e2m1:f32"},
      {"mma.sync.aligned.m16n8k32.row.col.kind::mxf8f6f4.block_scale.scale_vec::1X.f32.e4m3.e4m3."
       "f32.ue8m0",
       "rtx_blackwell:mma.sync.mxf8f6f4:e4m3+ue8m0/32:f32"},
      {"mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1."
       "f32.ue4m3",
       "rtx_blackwell:mma.sync.mxf4nvf4:e2m1+ue4m3/16:f32"},
      {"mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::2X.f32.e2m1.e2m1."
       "f32.ue8m0",
       "rtx_blackwell:mma.sync.mxf4nvf4:e2m1+ue8m0/32:f32"},
      {"h100:wmma.mma.sync.aligned.row.col.m16n16k8.f32.tf32.tf32.f32", "hopper:wmma:tf32:f32"},
      {"a100:wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32", "ampere:mma.sync:f16:f32"},
      {"v100:wmma.mma.sync.aligned.row.col.m32n8k16.f16.f16", "volta:mma.sync:f16:f16"},
      {"h100:wmma.mma.sync.aligned.row.col.m8n8k4.f64.f64.f64.f64", "hopper:mma.sync:f64:f64@k=4"},
      {"tcgen05.mma.cta_group::1.kind::mxf4.block_scale",
       "blackwell:tcgen05.mxf4:e2m1+ue8m0/32:f32"},
      // MMA-Sim's short form.
      {"m64n128k32.f32.e4m3.e4m3", "hopper:wgmma:e4m3:f32"},
      {"a100:m16n8k16.f32.f16.f16.f32", "ampere:mma.sync:f16:f32"},
      {"m16n8k64.kind::mxf4nvf4.block16.f32.e2m1.e2m1.f32.ue4m3",
       "rtx_blackwell:mma.sync.mxf4nvf4:e2m1+ue4m3/16:f32"},
      {"m128n16k64.kind::mxf4nvf4.block16.f32.e2m1.e2m1.ue8m0",
       "blackwell:tcgen05.mxf4nvf4:e2m1+ue8m0/16:f32"},
      {"m64n8k32.kind::f8f6f4.f16.e5m2.e2m3", "blackwell:tcgen05:e5m2.e2m3:f16"},
      // SASS.
      {"QGMMA.64x128x32.F32.E4M3.E4M3", "hopper:wgmma:e4m3:f32"},
      {"HGMMA.64x128x16.F32.BF16", "hopper:wgmma:bf16:f32"},
      {"HGMMA.64x64x16.F32", "hopper:wgmma:f16:f32"},
      {"sm_89:QMMA.16832.F32.E4M3.E4M3", "ada:mma.sync:e4m3:f32"},
      {"sm_120:QMMA.16832.F32.E4M3.E2M1", "rtx_blackwell:mma.sync:e4m3.e2m1:f32"},
      {"QMMA.SF.16832.F32.E4M3.E5M2.E8", "rtx_blackwell:mma.sync.mxf8f6f4:e4m3.e5m2+ue8m0/32:f32"},
      {"OMMA.SF.16864.F32.E2M1.E2M1.UE4M3.4X", "rtx_blackwell:mma.sync.mxf4nvf4:e2m1+ue4m3/16:f32"},
      {"sm_80:HMMA.16816.F32.BF16", "ampere:mma.sync:bf16:f32"},
      {"sm_90:HMMA.1684.F32.TF32", "hopper:wmma:tf32:f32@k=4"},
      {"sm_90:HMMA.1688.F32.TF32", "hopper:mma.sync:tf32:f32"},
      {"sm_90:HMMA.16816.F16", "hopper:mma.sync:f16:f16"},
      {"sm_70:HMMA.884.F32.F32.STEP0", "volta:mma.sync:f16:f32"},
      {"sm_80:DMMA.884", "ampere:mma.sync:f64:f64"},
      // AMD assembly, builtins, MMA-Sim's short form.
      {"gfx942:v_mfma_f32_16x16x16_f16", "cdna3:mfma:f16:f32"},
      {"gfx942:v_mfma_f32_4x4x4_16b_f16", "cdna3:mfma:f16:f32@k=4"},
      {"gfx908:v_mfma_f32_32x32x8f16", "cdna1:mfma:f16:f32@k=8"},
      {"mi250x:v_mfma_f32_32x32x8bf16_1k", "cdna2:mfma_1k:bf16:f32@k=8"},
      {"gfx90a:v_mfma_f32_16x16x8bf16", "cdna2:mfma:bf16:f32"},
      {"gfx942:__builtin_amdgcn_mfma_f32_16x16x16bf16_1k", "cdna3:mfma:bf16:f32"},
      {"v_mfma_f32_16x16x32_fp8_bf8", "cdna3:mfma:e4m3fnuz.e5m2fnuz:f32"},
      {"v_mfma_f32_32x32x16_bf8_bf8", "cdna3:mfma:e5m2fnuz:f32@k=16"},
      {"v_mfma_f32_16x16x8_xf32", "cdna3:mfma:tf32:f32"},
      {"gfx908:__builtin_amdgcn_mfma_f32_16x16x16f16", "cdna1:mfma:f16:f32"},
      {"gfx90a:llvm.amdgcn.mfma.f64.16x16x4f64", "cdna2:mfma:f64:f64"},
      {"cdna3:f32_16x16x4_f32", "cdna3:mfma:f32:f32"},
      // On CDNA3 "fp8" and "bf8" are the FNUZ formats.
      {"mi300x:mfma:fp8:f32", "cdna3:mfma:e4m3fnuz:f32"},
      {"mi300x:mfma:bf8.fp8", "cdna3:mfma:e5m2fnuz.e4m3fnuz:f32"},
      {"mi300x:fp8", "cdna3:mfma:e4m3fnuz:f32"},
      // CUTLASS atoms and Composable Kernel's intrinsics.
      {"SM90_64x128x32_F32E4M3E4M3_SS_TN", "hopper:wgmma:e4m3:f32"},
      {"SM90::GMMA::MMA_64x128x32_F16E4M3E5M2_RS_TN<GMMA::ScaleIn::One>",
       "hopper:wgmma:e4m3.e5m2:f16"},
      {"cute::SM90_64x64x16_F32BF16BF16_SS", "hopper:wgmma:bf16:f32"},
      {"SM70_8x8x4_F32F16F16F32_NT", "volta:mma.sync:f16:f32"},
      {"SM80_16x8x16_F32F16F16F32_TN", "ampere:mma.sync:f16:f32"},
      {"h100:SM80_16x8x8_F32F16F16F32_TN", "hopper:mma.sync:f16:f32@k=8"},
      {"SM89_16x8x32_F32E4M3E4M3F32_TN", "ada:mma.sync:e4m3:f32"},
      {"gfx942:intrin_mfma_f32_32x32x8f16<32, 32>", "cdna3:mfma:f16:f32@k=8"},
      {"intrin_mfma_f32_32x32x16f8bf8", "cdna3:mfma:e4m3fnuz.e5m2fnuz:f32@k=16"},
      // With their operands.
      {"sm_89:mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {%0, %1, %2, %3}, {%4};",
       "ada:mma.sync:e4m3:f32"},
      {"wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {%0, %1}, %64, %65, p, 1, 1;",
       "hopper:wgmma:e4m3:f32"},
      {"wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 acc, desc_a, desc_b, p, 1, 1",
       "hopper:wgmma:e4m3:f32"},
      {"gfx942:v_mfma_f32_32x32x8_f16 a[0:15], v[0:1], v[2:3], a[0:15]", "cdna3:mfma:f16:f32@k=8"},
      {"QGMMA.64x128x32.F32.E4M3.E4M3 R24, gdesc[UR4], R24, gsb0", "hopper:wgmma:e4m3:f32"},
  };
  for (const auto& [name, machine] : kCases) {
    const std::string error = ErrorOf([&, n = name] { FindMachine(n); });
    EXPECT_EQ(error, "(no error)") << name;
    if (error != "(no error)") continue;
    EXPECT_EQ(FindMachine(name).name, machine) << "from " << name;
    EXPECT_FALSE(FindMachine(name).altered) << name;
  }
}

TEST(Machines, AShorterShapeHasNoLongerGroups) {
  const std::tuple<const char*, int, int> kCases[] = {
      {"sm_90:mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 8, 8},
      {"sm_80:mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 8, 8},
      {"sm_80:mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 16, 8},
      {"sm_80:mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", 4, 4},
      {"sm_120:mma.sync.aligned.m16n8k16.row.col.f32.e4m3.e4m3.f32", 16, 16},
      {"gfx942:v_mfma_f32_16x16x4_4b_f16", 4, 4},
      {"gfx942:v_mfma_f32_32x32x8_f16", 8, 8},
      {"gfx90a:v_mfma_f32_4x4x4f16", 4, 4},
      // A longer one is a chain of the row's.
      {"v100:wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32", 4, 4},
  };
  for (const auto& [name, k, group] : kCases) {
    const Machine machine = FindMachine(name);
    EXPECT_EQ(machine.spec.k, k) << name;
    EXPECT_EQ(machine.spec.group, group) << name;
    EXPECT_TRUE(FindMachine(machine.name).spec == machine.spec) << machine.name;
  }
}

TEST(Machines, RefusesWhatNoRowStandsFor) {
  const std::pair<const char*, const char*> kCases[] = {
      {"hoper:wgmma:e4m3:f32", "hopper:wgmma:e4m3:f32"},
      {"blackwell:tcgen5:e4m3:f32", "blackwell:tcgen05:e4m3:f32"},
      {"hopper:wgmma:e4m3:f64", "hopper:wgmma:e4m3:f32"},
      {"b20", "b200"},
      {"h100", "fits"},
      {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "ada:mma.sync:e4m3:f32"},
      {"v_mfma_f32_16x16x16f16", "cdna1:mfma:f16:f32, cdna2:mfma:f16:f32, cdna3:mfma:f16:f32"},
      {"ada:wgmma:e4m3:f32", "no machine"},
      {"h100:wmma:e4m3:f32", "no machine"},  // wmma has no FP8 operands
      {"rtx5090:wmma:tf32:f32", "did you mean rtx_blackwell:mma.sync:tf32:f32"},  // see kShapes
      {"h100:QMMA.16832.F32.E4M3.E4M3", "of ada and rtx_blackwell, not of hopper"},
      {"a100:QGMMA.64x128x32.F32.E4M3.E4M3", "of hopper, not of ampere"},
      {"h100:mma.sync.aligned.m16n8k32.row.col.kind::f8f6f4.f32.e4m3.e4m3.f32", "rtx_blackwell"},
      {"b300:tcgen05:e4m3:f32", "Blackwell Ultra (sm_103)"},
      {"sm_103a", "Blackwell Ultra (sm_103)"},
      {"mi355x", "CDNA4"},
      {"gfx950:v_mfma_f32_16x16x32_f16", "CDNA4"},
      {"jetson-thor", "Jetson Thor"},
      {"sm_121", "GB10"},
      {"hopper:wgmma:e4m4:f32", "'e4m4'; did you mean hopper:wgmma:e4m3:f32"},
      {"hopper:wgmma:e4m3:f23", "'f23'; did you mean hopper:wgmma:e4m3:f32?"},
      {"hopper:wgmma:e4m3:f8", "known here: f32, f16"},
      {"b200:mxf4nvf4:e2m1+ue5m3/16", "ue4m3/16"},
      {"hopper:wgmma:e4m3:f32:f32", "unknown machine"},
      {"hopper:mma.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32",
       "is known for m16n8k8, m16n8k16, not for m16n8k32"},
      {"hopper:mma.sync.aligned.m16n8k16.row.col.f16.e4m3.e4m3.f16", "not for m16n8k16"},
      {"a100:mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32", "not for m8n8k4"},
      {"sm_75:mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "not for m16n8k16"},
      {"wgmma.mma_async.sync.aligned.m64n12k32.f32.e4m3.e4m3",
       "known for m64nNk32 with N a multiple of 8 up to 256, not for m64n12k32"},
      {"gfx942:v_mfma_f32_16x16x8_f16", "not for m16n16k8"},
      {"wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.E4N3",
       "unknown part 'E4N3'; did you mean e4m3"},
      // Mended part by part.
      {"H100-SXM5:wgmma:e4m3:f32", "did you mean h100:wgmma:e4m3:f32?"},
      {"NVIDIA H100 80GB HBM3", "did you mean h100?"},
      {"4090", "did you mean rtx4090?"},
      {"HGMA.64x128x16.F32", "'HGMA.64x128x16.F32'; did you mean hgmma.64x128x16.F32"},
      {"wgma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3", "did you mean wgmma.mma_async.sync"},
      {"hoper:wgma:e4m3:f32", "unknown part 'hoper'; did you mean hopper?"},
      {"nosuch", "`lostbits machines` lists them"},
      // Who has it instead.
      {"mi300x:mfma:e4m3:f32", "did you mean cdna3:mfma:e4m3fnuz:f32"},
      {"hopper:tcgen05:e4m3:f32",
       "tcgen05:e4m3:f32 is of blackwell, not of hopper; did you mean blackwell:tcgen05:e4m3:f32, "
       "hopper:mma.sync:e4m3:f32, hopper:wgmma:e4m3:f32?"},
      {"sm_80:mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32",
       "mma.sync:e4m3:f32 is of ada, hopper, blackwell, rtx_blackwell, not of ampere"},
      {"h100:fp32", "operand type f32 is of cdna1, cdna2, cdna3, not of hopper"},
      {"b200:nvfp4:f16", "did you mean blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32?"},
      // SASS is read to its end.
      {"HMMA.16817.F32", "unknown part '16817'; did you mean 16816"},
      {"HMMA.1688.F32.BF16.XX", "unknown part 'XX'"},
      {"HMMA.16816.F33", "unknown part 'F33'; did you mean f32"},
      // CUTLASS atoms without types, or with others.
      {"SM120_16x8x64_TN_VS", "the name has no operand types"},
      {"SM100_MMA_F8F6F4_SS", "the name has no operand types"},
      {"SM80_16x8x32_S32S8S8S32_TN", "integer"},
      {"SM90::GMMA::SPARSE::GMMA_64x8x64_F32E4M3E4M3_SS_TN", "sparse"},
      {"SM90_64x65x16_F32BF16BF16_SS", "not for m64n65k16"},
      {"mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf5.f32.e2m1.e2m1.f32", "kind::mxf4nvf4"},
      {"v100:mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f16", "c in f16 and d in f32"},
      {"v100:wmma.mma.sync.aligned.row.col.m16n16k16.f32.f16", "c in f16 and d in f32"},
      {"mma.sp.sync.aligned.m16n8k64.row.col.f32.e4m3.e4m3.f32", "sparse"},
      {"mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.f32.e4m3.e4m3.f32", "sparse"},
      {"v_smfmac_f32_16x16x32_f16", "sparse"},
      {"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", "integer"},
      {"v_mfma_i32_16x16x32_i8", "integer"},
      {"IGMMA.64x8x32.S8.S8", "integer"},
      {"tcgen05.mma.ws.cta_group::1.kind::f16", ".ws is not modelled"},
      {"tcgen05.mma.cta_group::2.kind::f16", "cta_group::2"},
      {"tcgen05.mma.cta_group::1.kind::f8f6f4", "instruction descriptor"},
      {"tcgen05.mma.cta_group::1.kind::tf32.f32.f16.f16", "no machine"},
      {"", "unknown machine"},
      {":::", "unknown machine"},
      {"@k=16", "unknown machine"},
  };
  for (const auto& [name, part] : kCases) {
    const std::string error = ErrorOf([&, n = name] { FindMachine(n); });
    EXPECT_NE(error.find(part), error.npos) << "'" << name << "': " << error;
    EXPECT_EQ(error.find('\n'), error.npos) << error;
  }
}

TEST(Machines, PartialNamesListEveryRow) {
  EXPECT_EQ(FindMachines("ada").size(), 13u);
  EXPECT_EQ(FindMachines("QGMMA").size(), 8u);
  EXPECT_EQ(FindMachines("hopper:wgmma").size(), 12u);
  EXPECT_EQ(FindMachines("b200:tcgen05:f8f6f4:f32").size(), 25u);
  EXPECT_EQ(FindMachines("nvfp4").size(), 2u);
  EXPECT_EQ(FindMachines("UTCQMMA").size(), 75u);
  EXPECT_EQ(FindMachines("hopper:wgmma:e4m3:f32@F=12").size(), 1u);
  // Of operand types only, and of the result's.
  EXPECT_EQ(FindMachines("h100:e4m3").size(), 4u);
  EXPECT_EQ(FindMachines("hopper:e4m3:f32").size(), 2u);
  EXPECT_EQ(FindMachines("a100:fp16").size(), 2u);
  EXPECT_EQ(FindMachines("fp64").size(), 7u);
  EXPECT_EQ(FindMachines("b200:mxf8").size(), 4u);
  EXPECT_EQ(FindMachines("hopper:wgmma:f32").size(), 7u);
  // As `lostbits machines` prints them.
  EXPECT_EQ(FindMachines("hopper:mma.sync:e4m3|e5m2:f16").size(), 2u);
  EXPECT_EQ(FindMachines("ada:mma.sync:e4m3.e5m2|e5m2.e4m3:f32").size(), 2u);
  EXPECT_EQ(FindMachines("hopper:wgmma:e4m3|e5m2, any pair:f16").size(), 4u);
}

}  // namespace
}  // namespace lostbits
