// Names: every spelling finds its row, every row prints a name that finds it again, and a wrong
// name lists the right one.
#include "registry.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>

namespace lostbits {
namespace {

std::string ErrorOf(const auto& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "(no error)";
}

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
    EXPECT_EQ(&FindMachine(MachineName(row)), &row) << MachineName(row);
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
      // PTX ISA, "wgmma.mma_async", "mma", "wmma.mma".
      {"wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3", "hopper:wgmma:e4m3:f32"},
      {"wgmma.mma_async.sync.aligned.m64n8k32.f16.e5m2.e4m3", "hopper:wgmma:e5m2.e4m3:f16"},
      {"wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16", "hopper:wgmma:bf16:f32"},
      {"sm_89:mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "ada:mma.sync:e4m3:f32"},
      {"sm_89:mma.sync.aligned.m16n8k16.row.col.f32.e4m3.e4m3.f32", "ada:mma.sync:e4m3:f32"},
      {"sm_90:mma.sync.aligned.m16n8k32.row.col.f16.e4m3.e4m3.f16", "hopper:mma.sync:e4m3:f16"},
      {"v100:mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32", "volta:mma.sync:f16:f32"},
      {"h100:wmma.mma.sync.aligned.row.col.m16n16k8.f32.tf32.tf32.f32", "hopper:wmma:tf32:f32"},
      {"a100:wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32", "ampere:mma.sync:f16:f32"},
      // MMA-Sim's short form.
      {"m64n128k32.f32.e4m3.e4m3", "hopper:wgmma:e4m3:f32"},
      {"a100:m16n8k16.f32.f16.f16.f32", "ampere:mma.sync:f16:f32"},
      // SASS.
      {"QGMMA.64x128x32.F32.E4M3.E4M3", "hopper:wgmma:e4m3:f32"},
      {"HGMMA.64x128x16.F32.BF16", "hopper:wgmma:bf16:f32"},
      {"HGMMA.64x64x16.F32", "hopper:wgmma:f16:f32"},
      {"QMMA.16832.F32.E4M3.E4M3", "ada:mma.sync:e4m3:f32"},
      {"sm_80:HMMA.16816.F32.BF16", "ampere:mma.sync:bf16:f32"},
      {"sm_90:HMMA.1684.F32.TF32", "hopper:wmma:tf32:f32"},
      {"sm_90:HMMA.1688.F32.TF32", "hopper:mma.sync:tf32:f32"},
      {"sm_90:HMMA.16816.F16", "hopper:mma.sync:f16:f16"},
  };
  for (const auto& [name, machine] : kCases) {
    const std::string error = ErrorOf([&, n = name] { FindMachine(n); });
    ASSERT_EQ(error, "(no error)") << name;
    EXPECT_EQ(MachineName(FindMachine(name)), machine) << "from " << name;
  }
}

TEST(Machines, RefusesWhatNoRowStandsFor) {
  const std::pair<const char*, const char*> kCases[] = {
      {"hoper:wgmma:e4m3:f32", "hopper:wgmma:e4m3:f32"},
      {"h100", "fits"},
      {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", "ada:mma.sync:e4m3:f32"},
      {"ada:wgmma:e4m3:f32", "no machine"},
      {"h100:wmma:e4m3:f32", "no machine"},  // wmma has no FP8 operands
      {"h100:QMMA.16832.F32.E4M3.E4M3", "ada"},
      {"a100:QGMMA.64x128x32.F32.E4M3.E4M3", "hopper"},
      {"rtx5090:mma.sync:e4m3:f32", "volta, ampere, ada, hopper and blackwell"},
      {"mi300x", "volta, ampere, ada, hopper and blackwell"},
      {"hopper:wgmma:e4m4:f32", "unknown format"},
      {"hopper:wgmma:e4m3:f32:f32", "unknown machine"},
      {"hopper:mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", "k = 8"},
      {"hopper:mma.sync.aligned.m16n8k16.row.col.f16.e4m3.e4m3.f16", "k = 16"},
      {"v100:mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f16", "c in f16"},
      {"mma.sp.sync.aligned.m16n8k64.row.col.f32.e4m3.e4m3.f32", "sparse"},
      {"tcgen05.mma.cta_group::1.kind::f8f6f4", "instruction descriptor"},
      {"", "unknown machine"},
      {":::", "unknown machine"},
  };
  for (const auto& [name, part] : kCases) {
    const std::string error = ErrorOf([&, n = name] { FindMachine(n); });
    EXPECT_NE(error.find(part), error.npos) << "'" << name << "': " << error;
    EXPECT_EQ(error.find('\n'), error.npos) << error;
  }
}

TEST(Machines, PartialNamesListEveryRow) {
  EXPECT_EQ(FindMachines("ada").size(), 8u);
  EXPECT_EQ(FindMachines("QGMMA").size(), 8u);
  EXPECT_EQ(FindMachines("hopper:wgmma").size(), 12u);
}

}  // namespace
}  // namespace lostbits
