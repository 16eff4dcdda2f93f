// The machine table is data: it stands here a second time, spelled by families; and what every row
// must satisfy for the arithmetic to be exact. Its evidence: arch_evidence_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "sim/accum.h"
#include "sim/arch_check.h"
#include "sim/spec.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

using fp8::Rounding;
using sim::AccumSpec;
using sim::ArchRow;
using sim::Flow;

const std::map<std::string_view, fp8::Format> kFormatOf = {
    {"f64", fp8::kFP64},   {"f32", fp8::kFP32},          {"tf32", fp8::kTF32},
    {"bf16", fp8::kBF16},  {"f16", fp8::kFP16},          {"e4m3", fp8::kE4M3FN},
    {"e5m2", fp8::kE5M2},  {"e3m2", fp8::kE3M2},         {"e2m3", fp8::kE2M3},
    {"e2m1", fp8::kE2M1},  {"e4m3fnuz", fp8::kE4M3FNUZ}, {"e5m2fnuz", fp8::kE5M2FNUZ},
    {"ue8m0", fp8::kE8M0}, {"ue4m3", fp8::kE4M3FN}};

/// Several rows at once: every arch, instruction, pair of inputs and scale of the lists. Inputs of
/// 8 bits and fewer pair with each other, wider ones with themselves.
struct Family {
  const char* arches;
  const char* instructions;
  const char* inputs;
  const char* out;
  int group, fraction_bits, e_zero, k;
  Flow flow = Flow::kChained;
  const char* scales = "";
};
constexpr char kFp8[] = "e4m3 e5m2", kNarrow[] = "e4m3 e5m2 e3m2 e2m3 e2m1";
constexpr Flow kLate = Flow::kInterleavedLateC;

// From the same sources as sim/arch_table.h: a slip in one of the two copies shows.
// clang-format off
constexpr Family kSecondTable[] = {
    {"volta", "mma.sync", "f16", "f32", 4, 23, -131, 4},
    {"volta", "mma.sync", "f16", "f16", 4, 23, -19, 4},
    {"turing", "mma.sync.m8n8k4", "f16", "f32", 4, 23, -131, 4},
    {"turing", "mma.sync.m8n8k4", "f16", "f16", 4, 23, -19, 4},
    {"turing", "mma.sync", "f16", "f32", 8, 24, -132, 8},
    {"turing", "mma.sync", "f16", "f16", 8, 24, -20, 8},
    {"ampere ada", "mma.sync", "f16 bf16", "f32", 8, 24, -132, 16},
    {"ampere ada", "mma.sync", "f16", "f16", 8, 24, -20, 16},
    {"ampere ada", "mma.sync", "tf32", "f32", 4, 24, -132, 8},
    {"ada", "mma.sync", kFp8, "f32", 16, 13, -132, 32},
    {"ada", "mma.sync", kFp8, "f16", 16, 13, -20, 32},
    {"hopper blackwell rtx_blackwell", "mma.sync", "f16 bf16", "f32", 16, 25, -133, 16},
    {"hopper blackwell rtx_blackwell", "mma.sync", "f16", "f16", 16, 25, -21, 16},
    {"hopper blackwell rtx_blackwell", "mma.sync", "tf32", "f32", 8, 25, -133, 8},
    {"hopper blackwell", "wmma", "tf32", "f32", 4, 25, -133, 8},
    {"hopper blackwell", "mma.sync", kFp8, "f32", 16, 25, -133, 32, kLate},
    {"hopper blackwell", "mma.sync", kFp8, "f16", 16, 25, -21, 32, kLate},
    {"hopper", "wgmma", "f16 bf16", "f32", 16, 25, -133, 16},
    {"hopper", "wgmma", "f16", "f16", 16, 25, -21, 16},
    {"hopper", "wgmma", "tf32", "f32", 8, 25, -133, 8},
    {"hopper", "wgmma", kFp8, "f32", 32, 13, -133, 32},
    {"hopper", "wgmma", kFp8, "f16", 32, 13, -21, 32},
    {"blackwell", "tcgen05", "f16 bf16", "f32", 16, 25, -133, 16},
    {"blackwell", "tcgen05", "f16", "f16", 16, 25, -21, 16},
    {"blackwell", "tcgen05", "tf32", "f32", 8, 25, -133, 8},
    {"blackwell", "tcgen05", kNarrow, "f32", 32, 25, -133, 32},
    {"blackwell", "tcgen05", kNarrow, "f16", 32, 25, -21, 32},
    {"rtx_blackwell", "mma.sync", kNarrow, "f32", 32, 25, -133, 32},
    {"rtx_blackwell", "mma.sync", kNarrow, "f16", 32, 25, -21, 32},
    {"blackwell", "tcgen05.mxf8f6f4", kNarrow, "f32", 32, 25, -133, 32, Flow::kChained, "ue8m0/32"},
    {"blackwell", "tcgen05.mxf4", "e2m1", "f32", 64, 35, -139, 64, Flow::kBlockDot, "ue8m0/32"},
    {"blackwell", "tcgen05.mxf4nvf4", "e2m1", "f32", 64, 35, -139, 64, Flow::kBlockDot,
     "ue8m0/32 ue8m0/16 ue4m3/16"},
    {"rtx_blackwell", "mma.sync.mxf8f6f4", kNarrow, "f32", 32, 25, -133, 32, Flow::kChained,
     "ue8m0/32"},
    {"rtx_blackwell", "mma.sync.mxf4", "e2m1", "f32", 64, 35, -139, 64, Flow::kBlockDot,
     "ue8m0/32"},
    {"rtx_blackwell", "mma.sync.mxf4nvf4", "e2m1", "f32", 64, 35, -139, 64, Flow::kBlockDot,
     "ue8m0/32 ue8m0/16 ue4m3/16"},
    {"ampere ada blackwell rtx_blackwell", "mma.sync", "f64", "f64", 1, 0, 0, 4, Flow::kExact},
    {"hopper", "mma.sync", "f64", "f64", 1, 0, 0, 16, Flow::kExact},
    {"cdna2 cdna3", "mfma", "f64", "f64", 1, 0, 0, 4, Flow::kExact},
    {"cdna1 cdna2 cdna3", "mfma", "f32", "f32", 1, 0, 0, 4, Flow::kExact},
    {"cdna1", "mfma", "f16", "f32", 4, 0, 0, 16, Flow::kExact},
    {"cdna1", "mfma", "bf16", "f32", 2, 0, 0, 8, Flow::kExact},
    {"cdna2", "mfma", "f16", "f32", 4, 0, 0, 16, Flow::kTree},
    {"cdna2", "mfma", "bf16", "f32", 2, 0, 0, 8, Flow::kTree},
    {"cdna2", "mfma_1k", "bf16", "f32", 4, 0, 0, 16, Flow::kTree},
    {"cdna3", "mfma", "tf32", "f32", 4, 24, -126, 8, Flow::kLateFloor},
    {"cdna3", "mfma", "f16 bf16", "f32", 8, 24, -126, 16, Flow::kLateFloor},
    {"cdna3", "mfma", "e4m3fnuz e5m2fnuz", "f32", 16, 24, -126, 32, Flow::kLateFloorPairs},
};
// clang-format on

std::vector<std::string> Words(const char* list) {
  std::istringstream stream(list);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// The spec of one row, from its family and the names in it.
AccumSpec SpecOf(const Family& f, const std::string& a, const std::string& b,
                 const std::string& scale) {
  AccumSpec s{};
  s.a = kFormatOf.at(a);
  s.b = kFormatOf.at(b);
  s.acc = s.out = kFormatOf.at(f.out);
  s.group = f.group;
  s.fraction_bits = f.fraction_bits;
  s.e_zero = f.e_zero;
  s.k = f.k;
  s.flow = f.flow;
  if (!scale.empty()) {
    s.scale = kFormatOf.at(scale.substr(0, scale.find('/')));
    s.block = std::stoi(scale.substr(scale.find('/') + 1));
  }
  // NVIDIA cuts FP32 results; the FP8 units with 13 bits cut to 13. All others round.
  const bool nvidia_sum = f.e_zero < -126 || s.acc == fp8::kFP16;
  s.rounding = nvidia_sum && s.acc == fp8::kFP32 ? Rounding::kTowardZero : Rounding::kNearestEven;
  if (s.fraction_bits == 13 && s.acc == fp8::kFP32) s.out = sim::kE8M13;
  s.signed_underflow = !nvidia_sum;
  s.flush = f.flow == Flow::kTree;
  if (f.flow == Flow::kLateFloor || f.flow == Flow::kLateFloorPairs) {
    s.sum_bits = 32;
    s.final_bits = 31;
  }
  return s;
}

std::map<std::string, AccumSpec> SecondTable() {
  std::map<std::string, AccumSpec> rows;
  for (const Family& f : kSecondTable) {
    std::vector<std::string> scales = Words(f.scales);
    if (scales.empty()) scales = {""};
    for (const std::string& arch : Words(f.arches)) {
      for (const std::string& instruction : Words(f.instructions)) {
        for (const std::string& a : Words(f.inputs)) {
          for (const std::string& b : Words(f.inputs)) {
            if (a != b && fp8::StorageBits(kFormatOf.at(a)) > 8) continue;
            for (const std::string& scale : scales) {
              const std::string in =
                  (a == b ? a : a + "." + b) + (scale.empty() ? "" : "+") + scale;
              const std::string name = arch + ":" + instruction + ":" + in + ":" + f.out;
              EXPECT_TRUE(rows.emplace(name, SpecOf(f, a, b, scale)).second) << name << " twice";
            }
          }
        }
      }
    }
  }
  return rows;
}

TEST(ArchTable, IsTheSecondTable) {
  const std::map<std::string, AccumSpec> second = SecondTable();
  std::set<std::string> names;
  for (const ArchRow& row : sim::kArchTable) {
    const std::string name = test::Name(row);
    SCOPED_TRACE(name);
    EXPECT_TRUE(names.insert(name).second) << "not unique";
    const auto found = second.find(name);
    if (found == second.end()) {
      ADD_FAILURE() << "not in the second table";
      continue;
    }
    const AccumSpec &s = row.spec, &t = found->second;
    EXPECT_EQ(s.group, t.group);
    EXPECT_EQ(s.fraction_bits, t.fraction_bits);
    EXPECT_EQ(s.e_zero, t.e_zero);
    EXPECT_EQ(s.k, t.k);
    EXPECT_EQ(s.flow, t.flow);
    EXPECT_EQ(s.rounding, t.rounding);
    EXPECT_EQ(s.block, t.block);
    EXPECT_EQ(s.signed_underflow, t.signed_underflow);
    EXPECT_TRUE(s == t) << "formats, flush, sum_bits or final_bits";
  }
  for (const auto& [name, spec] : second) EXPECT_TRUE(names.contains(name)) << name << " missing";
}

TEST(ArchTable, FamiliesNumberTheirRows) {
  int last = 0;
  for (const ArchRow& row : sim::kArchTable) {
    EXPECT_TRUE(row.family == last || row.family == last + 1) << test::Name(row);
    last = row.family;
  }
  EXPECT_EQ(static_cast<size_t>(last) + 1, sim::kFamilies.size());
}

TEST(ArchTable, ResultsAreWordsOfTheAccumulator) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const AccumSpec& s = row.spec;
    // Same container, the missing low bits zero.
    EXPECT_EQ(fp8::StorageBits(s.out), fp8::StorageBits(s.acc));
    EXPECT_EQ(s.out.exponent_bits, s.acc.exponent_bits);
    EXPECT_EQ(s.out.bias, s.acc.bias);
    EXPECT_EQ(s.out.mantissa_bits + s.out.pad, s.acc.mantissa_bits);
  }
}

TEST(ArchTable, GroupsFillTheInstruction) {
  static_assert(sim::kBlockDotLength == sim::spec::kExactBlock);
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const AccumSpec& s = row.spec;
    EXPECT_EQ(sim::WhyNoMachine(s), "");
    ASSERT_GT(s.group, 0);
    EXPECT_EQ(s.k % s.group, 0);
    EXPECT_LE(s.k, sim::kMaxInstructionK);
    EXPECT_LE(s.group + 1, sim::kMaxGroupTerms);
    if (s.block != 0) {
      EXPECT_EQ(s.group % s.block, 0);
      // accum.h does not look for an Inf times a scale of zero; E8M0 has no zero.
      EXPECT_TRUE(s.scale == fp8::kE8M0 || (!fp8::HasInf(s.a) && !fp8::HasInf(s.b)));
    }
    switch (s.flow) {
      case Flow::kChained: break;
      case Flow::kInterleavedLateC: EXPECT_EQ(s.k, 2 * s.group); break;
      case Flow::kBlockDot:
        // Formats without NaN and Inf, and each exact dot within one block of scales.
        EXPECT_TRUE(!fp8::HasNan(s.a) && !fp8::HasNan(s.b));
        EXPECT_EQ(s.block % sim::kBlockDotLength, 0);
        EXPECT_GT(s.block, 0);
        break;
      case Flow::kExact: break;
      case Flow::kTree: EXPECT_TRUE(s.group == 2 || s.group == 4); break;
      case Flow::kLateFloorPairs: EXPECT_EQ(s.group % 2, 0); break;
      case Flow::kLateFloor: EXPECT_GE(s.sum_bits, s.fraction_bits); break;
    }
  }
}

// accum.h adds in int64: no term and no sum may leave it; spec.h adds in double, exactly below
// 2^53. (Exact sums have registers of their own; a tree rounds at every step.)
TEST(ArchTable, SumsFitTheirTypes) {
  for (const ArchRow& row : sim::kArchTable) {
    const AccumSpec& s = row.spec;
    if (s.flow == Flow::kExact || s.flow == Flow::kTree) continue;
    SCOPED_TRACE(test::Name(row));
    EXPECT_EQ(sim::WhyNoMachine(s), "");
    // A product is below 4; with scales that have a significand, below 16. A block of FP4 products
    // is at most 16 * 6 * 6 before that.
    double largest = s.scale.mantissa_bits > 0 ? 16 : 4;
    if (s.flow == Flow::kBlockDot) largest *= 16 * 6 * 6 / 4;
    const int fraction = s.a.mantissa_bits + s.b.mantissa_bits + 2 * s.scale.mantissa_bits;
    const int grid = std::max(s.fraction_bits, s.sum_bits);
    // One term, in units of the finer of its own last bit and the group's grid.
    EXPECT_LT(std::ldexp(largest, std::max(fraction, grid)), 0x1p63);
    EXPECT_LE(1 + std::max<int>(s.acc.mantissa_bits, grid), 63);
    // All of them and a c below 2.
    EXPECT_LT(std::ldexp(largest * s.group + 2, grid), 0x1p53);
  }
}

// Why the clamp may be unconditional: a nonzero c always lies above e_zero, and a zero c is the
// zero term that e_zero stands for. CDNA3 compares c's exponent alone: there it is c's own least.
TEST(ArchTable, ClampsLieBelowEveryAddend) {
  for (const ArchRow& row : sim::kArchTable) {
    const AccumSpec& s = row.spec;
    if (s.flow == Flow::kExact || s.flow == Flow::kTree) continue;
    const bool late = s.flow == Flow::kLateFloor || s.flow == Flow::kLateFloorPairs;
    EXPECT_LT(s.e_zero, fp8::MinExponent(s.acc) + (late ? 1 : 0)) << test::Name(row);
  }
}

}  // namespace
}  // namespace lostbits
