// Which element lies in which register: the one rule of cuda/ptx/fragment.h against the tables of
// the PTX ISA, written here as PTX prints them (by element, one table an instruction), and every
// element of a tile once.
#include "cuda/ptx/fragment.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "cuda/unit.h"

namespace lostbits::gpu {
namespace {

using Position = std::pair<int, int>;  // row, column, as PTX counts them

/// PTX ISA 9.0: row and col of element a_i of lane `lane`, b_i likewise; groupID = lane / 4,
/// threadID_in_group = lane % 4.
struct PublishedMma {
  const char* section;
  int k, elements_a, elements_b;
  int element_bytes;
  Position (*a)(int group, int thread, int i);
  Position (*b)(int group, int thread, int i);
};
constexpr PublishedMma kPublished[] = {
    {"m16n8k4 .tf32", 4, 2, 1, 4,
     [](int g, int t, int i) { return Position(i == 0 ? g : g + 8, t); },
     [](int g, int t, int) { return Position(t, g); }},
    {"m16n8k8 .tf32", 8, 4, 2, 4,
     [](int g, int t, int i) {
       return Position(i == 0 || i == 2 ? g : g + 8, i == 0 || i == 1 ? t : t + 4);
     },
     [](int g, int t, int i) { return Position(i == 0 ? t : t + 4, g); }},
    {"m16n8k8 .f16", 8, 4, 2, 2,
     [](int g, int t, int i) { return Position(i < 2 ? g : g + 8, t * 2 + (i & 1)); },
     [](int g, int t, int i) { return Position(t * 2 + i, g); }},
    {"m16n8k16 .f16", 16, 8, 4, 2,
     [](int g, int t, int i) {
       const bool upper = (0 <= i && i < 2) || (4 <= i && i < 6);
       return Position(upper ? g : g + 8, i < 4 ? t * 2 + (i & 1) : t * 2 + (i & 1) + 8);
     },
     [](int g, int t, int i) {
       return Position(i < 2 ? t * 2 + (i & 1) : t * 2 + (i & 1) + 8, g);
     }},
    {"m16n8k16 .e4m3", 16, 8, 4, 1,
     [](int g, int t, int i) { return Position(i < 4 ? g : g + 8, t * 4 + (i & 3)); },
     [](int g, int t, int i) { return Position(t * 4 + i, g); }},
    {"m16n8k32 .e4m3", 32, 16, 8, 1,
     [](int g, int t, int i) {
       const bool upper = (0 <= i && i < 4) || (8 <= i && i < 12);
       return Position(upper ? g : g + 8, i < 8 ? t * 4 + (i & 3) : t * 4 + (i & 3) + 16);
     },
     [](int g, int t, int i) {
       return Position(i < 4 ? t * 4 + (i & 3) : t * 4 + (i & 3) + 16, g);
     }},
};

TEST(Fragment, MmaOperandsLieWherePtxSays) {
  for (const PublishedMma& published : kPublished) {
    SCOPED_TRACE(published.section);
    const int per_register = 4 / published.element_bytes;
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < published.elements_a; ++i) {
        const RegisterPlace at = MmaA(lane, i / per_register);
        const Position ours(at.line, at.byte / published.element_bytes + i % per_register);
        EXPECT_EQ(ours, published.a(lane / 4, lane % 4, i)) << "a" << i << " of lane " << lane;
      }
      for (int i = 0; i < published.elements_b; ++i) {
        const RegisterPlace at = MmaB(lane, i / per_register);
        const Position ours(at.byte / published.element_bytes + i % per_register, at.line);
        EXPECT_EQ(ours, published.b(lane / 4, lane % 4, i)) << "b" << i << " of lane " << lane;
      }
    }
  }
}

TEST(Fragment, MmaResultsLieWherePtxSays) {
  // "row = groupID for c0, c1; groupID + 8 for c2, c3; col = threadID_in_group * 2 + (i & 1)".
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const OutputPlace at = MmaD(lane, i);
      EXPECT_EQ(at.row, i < 2 ? lane / 4 : lane / 4 + 8);
      EXPECT_EQ(at.col, lane % 4 * 2 + (i & 1));
    }
  }
}

TEST(Fragment, WgmmaResultsLieWherePtxSays) {
  // PTX ISA 9.0, "Register Fragments for wgmma.mma_async.m64nNk16", figure of accumulator D. Some
  // cells of it: thread, element, row, column.
  constexpr int kCells[][4] = {{0, 0, 0, 0},   {0, 1, 0, 1},   {1, 0, 0, 2},    {3, 1, 0, 7},
                               {0, 2, 8, 0},   {4, 0, 1, 0},   {31, 3, 15, 7},  {0, 4, 0, 8},
                               {2, 7, 8, 13},  {32, 0, 16, 0}, {127, 3, 63, 7}, {96, 0, 48, 0},
                               {64, 2, 40, 0}, {5, 5, 1, 11}};
  for (const auto& cell : kCells) {
    const OutputPlace at = WgmmaD(cell[0], cell[1]);
    EXPECT_EQ(at.row, cell[2]) << cell[0] << ", " << cell[1];
    EXPECT_EQ(at.col, cell[3]) << cell[0] << ", " << cell[1];
  }
}

TEST(Fragment, EveryElementOnce) {
  for (const int row_bytes : {16, 32}) {
    std::map<Position, int> a, b;
    for (int lane = 0; lane < 32; ++lane) {
      for (int r = 0; r < row_bytes / 8; ++r) ++a[{MmaA(lane, r).line, MmaA(lane, r).byte}];
      for (int r = 0; r < row_bytes / 16; ++r) ++b[{MmaB(lane, r).line, MmaB(lane, r).byte}];
    }
    EXPECT_EQ(a.size(), size_t(16 * row_bytes / 4));
    EXPECT_EQ(b.size(), size_t(8 * row_bytes / 4));
    for (const auto* places : {&a, &b}) {
      for (const auto& [at, count] : *places) {
        EXPECT_EQ(count, 1);
        EXPECT_EQ(at.second % 4, 0);
        EXPECT_LT(at.second, row_bytes);
      }
    }
  }
  std::map<Position, int> d, wide;
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) ++d[{MmaD(lane, i).row, MmaD(lane, i).col}];
  EXPECT_EQ(d.size(), size_t(16 * 8));
  for (const int n : {8, 128, 256}) {
    wide.clear();
    for (int t = 0; t < 128; ++t)
      for (int i = 0; i < n / 2; ++i) ++wide[{WgmmaD(t, i).row, WgmmaD(t, i).col}];
    EXPECT_EQ(wide.size(), size_t(64 * n));
    for (const auto& [at, count] : wide) EXPECT_LT(at.second, n);
  }
}

TEST(Fragment, CoreMatrices) {
  // Every byte of 64 lines once; a core matrix is 8 lines of 16 contiguous bytes.
  std::map<int, int> bytes;
  for (int line = 0; line < 64; ++line)
    for (int byte = 0; byte < 32; ++byte) ++bytes[CoreMatrixByte(line, byte)];
  EXPECT_EQ(bytes.size(), size_t(64 * 32));
  EXPECT_EQ(bytes.rbegin()->first, 64 * 32 - 1);
  EXPECT_EQ(CoreMatrixByte(1, 0), 16);
  EXPECT_EQ(CoreMatrixByte(0, 16), kCoreLeadingBytes);
  EXPECT_EQ(CoreMatrixByte(8, 0), kCoreStrideBytes);
}

TEST(Fragment, Descriptor) {
  // Address 0x1230, leading offset 128, stride 256: fields of 16 bytes at bits 0, 16 and 32; no
  // base offset, no swizzle.
  EXPECT_EQ(WgmmaDescriptor(0x1230, 128, 256), 0x0000'0010'0008'0123u);
  EXPECT_EQ(WgmmaDescriptor(0x4'0000, 0, 0), 0u);  // 18 bits of address, no more
}

}  // namespace
}  // namespace lostbits::gpu
