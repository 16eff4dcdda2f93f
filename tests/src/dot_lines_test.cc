// Lines of dot products: read, computed and written back, with block scales and 64-bit words.
#include "cli/dot_lines.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "registry.h"
#include "tests/src/error_of.h"

namespace lostbits::cli {
namespace {

uint64_t Dot(const char* machine, const char* line) {
  const sim::AccumSpec spec = FindMachine(machine).spec;
  return ComputeDot(spec, ParseDotLine(line, spec, "here"));
}

std::string ErrorOf(const char* machine, const char* line) {
  return test::ErrorOf([&] { Dot(machine, line); });
}

TEST(DotLines, WordsOfEveryWidth) {
  // 1.5 * 1.5 + 0.25 = 2.5.
  EXPECT_EQ(Dot("ampere:mma.sync:f64:f64", "3FF8000000000000;3FF8000000000000;3FD0000000000000"),
            0x4004'0000'0000'0000u);
  EXPECT_EQ(Dot("cdna3:mfma:f32:f32", "3FC00000 ; 3FC00000 ; 3E800000"), 0x4020'0000u);
  EXPECT_EQ(Dot("hopper:wgmma:f16:f16", "3E00 ; 3E00 ; 3400"), 0x4100u);
  EXPECT_EQ(Dot("blackwell:tcgen05:e2m1:f32", "3 ; 0x3 ; 3E800000"), 0x4020'0000u);
}

TEST(DotLines, AScaleEveryBlock) {
  // 6 * 0.5 * 2 * 0.5 = 3; the sign bit of ue4m3 is ignored.
  EXPECT_EQ(Dot("b200:nvfp4", "7 ; 1 ; 0 ; 40 ; 30"), 0x4040'0000u);
  EXPECT_EQ(Dot("b200:nvfp4", "7 ; 1 ; 0 ; C0 ; B0"), 0x4040'0000u);
  // The second block has its own scales: 1 + 2 * 2 * 4 = 17.
  EXPECT_EQ(Dot("b200:nvfp4",
                "2 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 4 ; 2 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
                "4 ; 0 ; 38 40 ; 38 40"),
            0x4188'0000u);
  // 65 products: a second instruction, whose missing blocks have scale 1.
  std::string ones;
  for (int i = 0; i < 65; ++i) ones += " 2";
  EXPECT_EQ(
      Dot("b200:nvfp4", (ones + ";" + ones + "; 0 ; 38 38 38 38 38 ; 38 38 38 38 40").c_str()),
      0x4284'0000u);
}

TEST(DotLines, RefusesFieldsOfTheWrongLength) {
  const std::tuple<const char*, const char*, const char*> kCases[] = {
      {"b200:nvfp4", "2 ; 2 ; 0", "scales of b'"},
      {"b200:nvfp4", "2 ; 2 ; 0 ; 38 38 ; 38", "expected 1 scale each"},
      {"b200:nvfp4", "2 ; 2 ; 0 ; ; 38", "found 0 and 1"},
      {"b200:nvfp4", "2 ; 2 ; 0 ; 100 ; 38", "here: scales of a: expected 8-bit"},
      {"hopper:wgmma:e4m3:f32", "38 ; 38 ; 0 ; 38 ; 38", "no block scales"},
      {"hopper:wgmma:e4m3:f32", "38 ; 38 38 ; 0", "found 1 and 2"},
      {"hopper:wgmma:e4m3:f32", "38 ; 38 ; 100000000", "32-bit"},
      {"hopper:wgmma:e4m3:f32", "38 ; 38 ; ", "one word c, found 0"},
      {"blackwell:tcgen05:e2m1:f32", "10 ; 1 ; 0", "4-bit"},
      {"ampere:mma.sync:f64:f64", "10000000000000000 ; 1 ; 0", "64-bit"},
  };
  for (const auto& [machine, line, part] : kCases)
    EXPECT_NE(ErrorOf(machine, line).find(part), std::string::npos) << ErrorOf(machine, line);
}

TEST(DotLines, TextReadsBack) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    DotLine line;
    for (uint64_t i = 0; i < 33; ++i) {
      line.a.push_back(i % 16);
      line.b.push_back(15 - i % 16);
    }
    line.c = 0x1234;
    const size_t blocks = row.spec.block == 0 ? 0 : 33 / static_cast<size_t>(row.spec.block) + 1;
    line.scale_a.assign(blocks, 0x40);
    line.scale_b.assign(blocks, 0x3F);
    const DotLine back = ParseDotLine(DotLineText(row.spec, line), row.spec, "text");
    EXPECT_EQ(back.a, line.a) << MachineName(row);
    EXPECT_EQ(back.b, line.b) << MachineName(row);
    EXPECT_EQ(back.c, line.c) << MachineName(row);
    EXPECT_EQ(back.scale_a, line.scale_a) << MachineName(row);
    EXPECT_EQ(back.scale_b, line.scale_b) << MachineName(row);
  }
}

}  // namespace
}  // namespace lostbits::cli
