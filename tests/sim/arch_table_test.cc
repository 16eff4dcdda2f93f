// The machine table is data: what every row must satisfy for the arithmetic to be exact and for a
// reader to know what the row rests on.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "sim/accum.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

using sim::AccumSpec;
using sim::ArchRow;

const std::map<std::string_view, fp8::Format> kFormatOf = {
    {"f16", fp8::kFP16}, {"bf16", fp8::kBF16},   {"tf32", fp8::kTF32},
    {"f32", fp8::kFP32}, {"e4m3", fp8::kE4M3FN}, {"e5m2", fp8::kE5M2}};

TEST(ArchTable, NamesAreUnique) {
  std::set<std::string> names;
  for (const ArchRow& row : sim::kArchTable)
    EXPECT_TRUE(names.insert(test::Name(row)).second) << test::Name(row);
}

TEST(ArchTable, NamesSayWhatTheSpecDoes) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const std::string_view in = row.in;
    const size_t dot = in.find('.');
    const std::string_view a = in.substr(0, dot);
    const std::string_view b = dot == in.npos ? a : in.substr(dot + 1);
    ASSERT_TRUE(kFormatOf.contains(a) && kFormatOf.contains(b) && kFormatOf.contains(row.out));
    EXPECT_TRUE(row.spec.a == kFormatOf.at(a));
    EXPECT_TRUE(row.spec.b == kFormatOf.at(b));
    EXPECT_TRUE(row.spec.acc == kFormatOf.at(row.out));
  }
}

/// The table once more, by families: a slip in one of the two copies shows. From the same sources.
struct Family {
  const char* arches;
  const char* instruction;
  const char* inputs;
  int group, fraction_bits, e_zero_f32, e_zero_f16, k;
  bool late_c;
};
constexpr Family kFamilies[] = {
    {"volta", "mma.sync", "f16", 4, 23, -131, -20, 4, false},
    {"ampere ada", "mma.sync", "f16 bf16", 8, 24, -132, -21, 16, false},
    {"ampere ada", "mma.sync", "tf32", 4, 24, -132, 0, 8, false},
    {"ada", "mma.sync", "e4m3 e5m2", 16, 13, -132, -21, 32, false},
    {"hopper blackwell", "mma.sync", "f16 bf16", 16, 25, -133, -22, 16, false},
    {"hopper blackwell", "mma.sync", "tf32", 8, 25, -133, 0, 8, false},
    {"hopper blackwell", "wmma", "tf32", 4, 25, -133, 0, 8, false},
    {"hopper blackwell", "mma.sync", "e4m3 e5m2", 16, 25, -133, -22, 32, true},
    {"hopper", "wgmma", "f16 bf16", 16, 25, -133, -133, 16, false},
    {"hopper", "wgmma", "tf32", 8, 25, -133, 0, 8, false},
    {"hopper", "wgmma", "e4m3 e5m2 e4m3.e5m2 e5m2.e4m3", 32, 13, -133, -133, 32, false},
    {"blackwell", "tcgen05", "bf16", 16, 25, -133, -133, 16, false},
    {"blackwell", "tcgen05", "e4m3 e5m2 e4m3.e5m2 e5m2.e4m3", 32, 25, -133, -133, 32, false},
};

/// Whether `word` is one of the words of `list`.
bool Lists(std::string_view list, std::string_view word) {
  for (size_t at = 0; at < list.size();) {
    const size_t end = std::min(list.find(' ', at), list.size());
    if (list.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

TEST(ArchTable, ParametersAreThoseOfTheFamily) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    int families = 0;
    for (const Family& f : kFamilies) {
      if (!Lists(f.arches, row.arch) || std::string_view(row.instruction) != f.instruction ||
          !Lists(f.inputs, row.in))
        continue;
      ++families;
      const bool fp16 = std::string_view(row.out) == "f16";
      EXPECT_EQ(row.spec.group, f.group);
      EXPECT_EQ(row.spec.fraction_bits, f.fraction_bits);
      EXPECT_EQ(row.spec.e_zero, fp16 ? f.e_zero_f16 : f.e_zero_f32);
      EXPECT_EQ(row.spec.k, f.k);
      EXPECT_EQ(row.spec.flow == sim::Flow::kInterleavedLateC, f.late_c);
      // Only the native FP8 units of Ada and Hopper write 13 bits.
      const int written = fp16 ? 10 : f.fraction_bits == 13 ? 13 : 23;
      EXPECT_EQ(row.spec.out.mantissa_bits, written);
    }
    EXPECT_EQ(families, 1);
  }
}

TEST(ArchTable, OutputIsCutInFp32AndRoundedInFp16) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const AccumSpec& s = row.spec;
    const bool fp16 = s.acc == fp8::kFP16;
    EXPECT_EQ(s.rounding, fp16 ? fp8::Rounding::kNearestEven : fp8::Rounding::kTowardZero);
    // A result's word is a word of acc: same container, the missing low bits zero.
    EXPECT_EQ(fp8::StorageBits(s.out), fp8::StorageBits(s.acc));
    EXPECT_EQ(s.out.exponent_bits, s.acc.exponent_bits);
    EXPECT_EQ(s.out.bias, s.acc.bias);
    EXPECT_EQ(s.out.mantissa_bits + s.out.pad, s.acc.mantissa_bits);
  }
}

TEST(ArchTable, GroupsFillTheInstruction) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    ASSERT_GT(row.spec.group, 0);
    EXPECT_EQ(row.spec.k % row.spec.group, 0);
    EXPECT_LE(row.spec.k, sim::kMaxInstructionK);
    if (row.spec.flow == sim::Flow::kInterleavedLateC) {
      EXPECT_EQ(row.spec.k, 2 * row.spec.group);
    }
  }
}

// accum.h adds in int64: no term and no sum may leave it; spec.h adds in double, exactly below
// 2^53.
TEST(ArchTable, SumsFitTheirTypes) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    const AccumSpec& s = row.spec;
    const int fraction = s.a.mantissa_bits + s.b.mantissa_bits;
    // A product below 4, in units of the finer of its own last bit and the group's grid.
    EXPECT_LE(2 + std::max(fraction, s.fraction_bits), 63);
    EXPECT_LE(1 + std::max<int>(s.acc.mantissa_bits, s.fraction_bits), 63);
    // group products below 4 and one c below 2, on the grid: |sum| < (4 group + 2) 2^F.
    EXPECT_LT(s.fraction_bits + fp8::BitWidth(static_cast<uint64_t>(4 * s.group + 2)), 53);
  }
}

// Why the clamp may be unconditional: a nonzero c always lies above e_zero, and a zero c is the
// zero term that e_zero stands for.
TEST(ArchTable, EveryNonzeroAddendLiesAboveTheClamp) {
  for (const ArchRow& row : sim::kArchTable)
    EXPECT_LT(row.spec.e_zero, fp8::MinExponent(row.spec.acc)) << test::Name(row);
}

TEST(ArchTable, EveryRowSaysWhatItRestsOn) {
  for (const ArchRow& row : sim::kArchTable) {
    SCOPED_TRACE(test::Name(row));
    ASSERT_NE(row.proof, nullptr);
    ASSERT_NE(row.open, nullptr);
    const std::string_view proof = row.proof, open = row.open;
    EXPECT_FALSE(proof.empty());
    const bool replayed = proof.starts_with("VEC ") && proof.find("000 rows") != proof.npos;
    EXPECT_EQ(row.evidence == sim::Evidence::kHardware, replayed) << proof;
    if (row.evidence == sim::Evidence::kPublished) {
      EXPECT_TRUE(proof.find("MM") != proof.npos) << proof;
    }
    // What is not replayed has something open, and so has every row whose inputs were all N(0, 1).
    EXPECT_FALSE(open.empty());
  }
}

}  // namespace
}  // namespace lostbits
