// What surrounds the arithmetic of the kernels: who reads which byte when. The functions are the
// kernels' own; hardware (TMA's writes, wgmma's reads, barriers) is played as PTX describes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <vector>

#include "cuda/attention_plan.h"
#include "cuda/attention_row.h"
#include "cuda/gemm_plan.h"
#include "cuda/gpu.h"
#include "cuda/ptx/fragment.h"
#include "cuda/ring.h"
#include "cuda/tensor_map.h"
#include "cuda/unit.h"
#include "sim/arch_table.h"
#include "sim/random.h"

namespace lostbits::gpu {
namespace {

const sim::AccumSpec& HopperWgmma() {
  for (const Unit& unit : kUnits) {
    if (UnitName(unit) == "wgmma.m64n8k32.e4m3.f32")
      return sim::kArchTable[static_cast<size_t>(RowOf(unit, "hopper"))].spec;
  }
  std::abort();
}

// ---- Shared memory ---------------------------------------------------------------------------

/// PTX ISA 9.0, "Swizzling Modes": the 16-byte piece p of a line of an 8-line group stands where
/// the figure for 128, 64 and 32 bytes shows it.
int PublishedPiece(int row_bytes, int line, int piece) {
  switch (row_bytes) {
    case 128: return piece ^ line % 8;
    case 64: return piece ^ line / 2 % 4;
    default: return piece ^ line / 4 % 2;
  }
}

/// Where wgmma looks for byte `byte` of line `line` of an operand with k fastest: the descriptor's
/// fields, 8 lines of the swizzle's width a group, and the swizzle applied to address bits.
uint32_t AddressOf(uint64_t descriptor, int line, int byte) {
  const auto field = [&](int bit) {
    return static_cast<uint32_t>(descriptor >> bit & 0x3fff) << 4;
  };
  const int mode = static_cast<int>(descriptor >> 62);
  const int width = mode == 1 ? 128 : mode == 2 ? 64 : 32;
  const uint32_t at = field(0) + static_cast<uint32_t>(line / 8) * field(32) +
                      static_cast<uint32_t>(line % 8 * width + byte);
  const uint32_t pieces = static_cast<uint32_t>(width) / 16 - 1;
  return at ^ (at >> 3 & pieces << 4);
}

TEST(Swizzle, IsThePublishedOneAndLosesNoByte) {
  for (const int row_bytes : {32, 64, 128}) {
    std::set<int> seen;
    for (int line = 0; line < 64; ++line)
      for (int byte = 0; byte < row_bytes; ++byte) {
        const int at = SwizzledByte(line, byte, row_bytes);
        EXPECT_EQ(at,
                  line * row_bytes + PublishedPiece(row_bytes, line, byte / 16) * 16 + byte % 16)
            << row_bytes << " " << line << " " << byte;
        seen.insert(at);
      }
    EXPECT_EQ(seen.size(), static_cast<size_t>(64 * row_bytes));
    EXPECT_EQ(*seen.rbegin(), 64 * row_bytes - 1);
  }
}

TEST(Swizzle, WgmmaReadsWhatTmaWrote) {
  for (const int row_bytes : {64, 128}) {
    for (const uint32_t base : {1024u, 17u * 1024, 200u * 1024}) {
      const uint64_t descriptor = SwizzledDescriptor(base, row_bytes);
      for (int step = 0; step < row_bytes / 32; ++step)
        for (int line = 0; line < 256; ++line)
          for (int byte = 0; byte < 32; ++byte)
            ASSERT_EQ(
                AddressOf(descriptor + static_cast<uint64_t>(step * 32 >> 4), line, byte),
                base + static_cast<uint32_t>(SwizzledByte(line, step * 32 + byte, row_bytes)));
    }
  }
}

TEST(MmaTile, EightRowsOfAWarpTouchEveryBankOnce) {
  for (int r = 0; r < 4; ++r) {
    std::set<int> banks;
    for (int lane = 0; lane < 32; ++lane)
      banks.insert((MmaA(lane, r).line * 80 + MmaA(lane, r).byte) / 4 % 32);
    EXPECT_EQ(banks.size(), 32u);
  }
}

// ---- Tiles -----------------------------------------------------------------------------------

TEST(GemmTile, EveryTileOnce) {
  for (const auto& [m, n] : {std::pair(1, 1), {8, 3}, {9, 5}, {17, 1}, {3, 40}, {64, 32}}) {
    std::set<std::pair<int, int>> seen;
    for (int i = 0; i < m * n; ++i) {
      const TilePlace at = GemmTile(i, m, n);
      EXPECT_TRUE(at.m >= 0 && at.m < m && at.n >= 0 && at.n < n) << i;
      seen.insert({at.m, at.n});
    }
    EXPECT_EQ(seen.size(), static_cast<size_t>(m * n));
  }
}

TEST(Plan, WgmmaFitsTheMachine) {
  // 64 K registers of a processor: 40, 232, 232 for the warpgroups of GEMM, 24, 240, 240 of
  // attention; setmaxnreg takes multiples of 8 up to 256.
  EXPECT_LE(128 * (40 + 2 * 232), 65536);
  EXPECT_LE(128 * (24 + 2 * 240), 65536);
  for (const Promotion promotion : {Promotion::kNone, Promotion::kAdd, Promotion::kScaled}) {
    const GemmPlan p =
        PlanGemm(GemmKernel::kWgmma, promotion, {8192, 4096, 131072}, HopperWgmma(), fp8::kBF16);
    EXPECT_LE(p.shared_bytes, kMaxSharedBytes);
    EXPECT_GE(p.stages, 2);
    const TensorMapPlan a = MatrixMap(8192, 131072, p.tile_m, p.tile_k);
    const TensorMapPlan b = MatrixMap(4096, 131072, p.tile_n, p.tile_k);
    EXPECT_EQ(WhyNoTensorMap(a) + WhyNoTensorMap(b), "");
    // What the producer announces is what the boxes bring.
    EXPECT_EQ(p.stages * (a.BoxBytes() + b.BoxBytes() + 16) + 1024, p.shared_bytes);
    EXPECT_EQ(p.recipe.promote_every, promotion == Promotion::kNone ? 0 : 4);
  }
  for (const int d : {64, 128, 256}) {
    AttentionShape s{.batch = 3, .seqlen_q = 5, .seqlen_k = 1000, .heads_q = 8, .heads_kv = 2};
    s.head_dim = d;
    const AttentionPlan p =
        PlanAttention(AttentionKernel::kWgmma, KernelExp2::kApprox, s, fp8::kBF16);
    EXPECT_LE(p.shared_bytes, kMaxSharedBytes);
    EXPECT_EQ(p.key_stride, 1024);
    const int line = d < 128 ? d : 128;
    const TensorMapPlan k = HeadsMap(3, 1000, 2, d, 128, line);
    const TensorMapPlan v = MatrixMap(3 * 2 * d, p.key_stride, d, 128);
    EXPECT_EQ(WhyNoTensorMap(k) + WhyNoTensorMap(v), "");
    EXPECT_EQ(k.BoxBytes() * (d / line), 128 * d);
    EXPECT_EQ(v.BoxBytes(), 128 * d);
  }
}

TEST(TensorMap, SaysWhatTheDriverWouldRefuse) {
  EXPECT_NE(WhyNoTensorMap(MatrixMap(8, 40, 8, 32)), "");      // rows of 40 bytes
  EXPECT_NE(WhyNoTensorMap(MatrixMap(8, 512, 257, 128)), "");  // 257 lines
  EXPECT_NE(WhyNoTensorMap(MatrixMap(0, 512, 8, 128)), "");
  TensorMapPlan wide = MatrixMap(8, 512, 8, 128);
  wide.swizzle = 64;
  EXPECT_NE(WhyNoTensorMap(wide), "");
  // Lines of 16 and of 32 bytes have swizzles of their own, which EncodeTensorMap does not name.
  for (const int bytes : {16, 32, 64, 128})
    EXPECT_EQ(WhyNoTensorMap(MatrixMap(8, 512, 8, bytes)) == "", bytes >= 64) << bytes;
}

template <class Body>
std::string WhatOf(const Body& body) {
  try {
    body();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(Plan, RefusesWhatNoKernelTakes) {
  const auto gemm = [](GemmKernel kernel, GemmShape shape) {
    return WhatOf([&] { PlanGemm(kernel, Promotion::kNone, shape, HopperWgmma(), fp8::kFP32); });
  };
  EXPECT_EQ(gemm(GemmKernel::kTwin, {1, 1, 1}), "");
  EXPECT_NE(gemm(GemmKernel::kTwin, {0, 1, 1}), "");
  EXPECT_NE(gemm(GemmKernel::kMma, {16, 8, 8}).find("16"), std::string::npos);
  EXPECT_NE(gemm(GemmKernel::kWgmma, {64, 4, 32}).find("64x4x32"), std::string::npos);
  sim::AccumSpec e5m2 = HopperWgmma();
  e5m2.a = fp8::kE5M2;
  EXPECT_NE(WhatOf([&] {
              PlanGemm(GemmKernel::kWgmma, Promotion::kNone, {64, 8, 32}, e5m2, fp8::kFP32);
            }),
            "");
  const auto attention = [](AttentionShape shape, KernelExp2 exp2 = KernelExp2::kApprox) {
    return WhatOf([&] { PlanAttention(AttentionKernel::kWgmma, exp2, shape, fp8::kFP32); });
  };
  EXPECT_EQ(attention({}), "");
  EXPECT_NE(attention({.head_dim = 96}).find("96"), std::string::npos);
  EXPECT_NE(attention({.heads_q = 3, .heads_kv = 2}), "");
  EXPECT_NE(attention({.splits = 257}), "");
  EXPECT_NE(attention({.seqlen_k = 0}), "");
  EXPECT_NE(attention({}, KernelExp2::kCorrectlyRounded), "");
}

TEST(Plan, KernelsRunWhereTheirInstructionsAre) {
  const auto lacks = [](const char* arch, const auto& plan) {
    const auto device = Simulate(arch, [](const Unit&) { return HopperWgmma(); });
    try {
      device->CheckRuns(plan);
    } catch (const NotOnThisDevice& missing) {
      EXPECT_NE(std::string(missing.what()).find(arch), std::string::npos) << missing.what();
      return true;
    }
    return false;
  };
  const auto gemm = [](GemmKernel kernel) {
    return PlanGemm(kernel, Promotion::kNone, {64, 8, 32}, HopperWgmma(), fp8::kFP32);
  };
  const auto attention = [](AttentionKernel kernel) {
    return PlanAttention(kernel, KernelExp2::kPolynomial, {}, fp8::kFP32);
  };
  for (const char* arch : {"ampere", "ada", "hopper", "blackwell", "rtx_blackwell"}) {
    SCOPED_TRACE(arch);
    const std::string name = arch;
    EXPECT_FALSE(lacks(arch, gemm(GemmKernel::kTwin)));
    EXPECT_EQ(lacks(arch, gemm(GemmKernel::kMma)), name == "ampere");
    EXPECT_EQ(lacks(arch, gemm(GemmKernel::kWgmma)), name != "hopper");
    EXPECT_FALSE(lacks(arch, attention(AttentionKernel::kTwin)));
    EXPECT_EQ(lacks(arch, attention(AttentionKernel::kWgmma)), name != "hopper");
    for (const CodecPlan& plan : kCodecPlans)
      EXPECT_EQ(lacks(arch, plan), plan.hardware && name == "ampere");
    EXPECT_EQ(lacks(arch, *FindUnit("wgmma.m64n8k32.e4m3.f32")), name != "hopper");
  }
}

TEST(Schedule, RowsOfABlockShareTheirTiles) {
  sim::Random r(3);
  for (int i = 0; i < 300; ++i) {
    AttentionShape s;
    s.seqlen_q = r.Between(1, 600);
    s.seqlen_k = r.Between(1, 2000);
    s.heads_kv = 2;
    s.heads_q = 2 * r.Between(1, 5);
    s.causal = r.OneIn(2);
    s.splits = r.Between(1, 6);
    const AttentionPlan p =
        PlanAttention(AttentionKernel::kWgmma, KernelExp2::kPolynomial, s, fp8::kFP32);
    const int64_t group = s.heads_q / s.heads_kv;
    for (int split = 0; split < s.splits; ++split)
      for (int64_t row = 0; row < PackedRows(s); ++row) {
        const sim::RowSchedule x = sim::ScheduleRow(p.recipe, {s.seqlen_q, s.seqlen_k, group},
                                                    row / group, row % group, split);
        const TileRange t = BlockTiles(p, row / 128, split);
        ASSERT_EQ(x.Visits(), t.end - t.begin);
        if (x.Visits() == 0) continue;
        ASSERT_EQ(x.tile_begin, t.begin);
        // What attention_v2_wgmma.cu computes for itself.
        ASSERT_EQ(x.first_key, 0);
        const int64_t seen = s.causal ? row / group + s.seqlen_k - s.seqlen_q + 1 : s.seqlen_k;
        ASSERT_EQ(x.key_end, std::min(seen, s.seqlen_k));
      }
  }
}

// ---- P in registers --------------------------------------------------------------------------

// Pack of attention_v2_wgmma.cu, element by element: which accumulator of S becomes which byte of
// operand a, and whether that byte's place along k holds the same key in V^T.
TEST(KeyOrder, AccumulatorsOfScoresAreOperandA) {
  for (int t = 0; t < 128; ++t)
    for (int g = 0; g < 4; ++g)
      for (int r = 0; r < 4; ++r)
        for (int byte = 0; byte < 4; ++byte) {
          const int i = 4 * (4 * g + 2 * (r / 2)) + 2 * (r % 2) + (byte < 2 ? byte : byte + 2);
          const OutputPlace score = WgmmaD(t, i);
          const RegisterPlace a = MmaA(t % 32, r);
          EXPECT_EQ(score.row, t / 32 * 16 + a.line);
          EXPECT_EQ(score.col, KeyAtPosition(32 * g + a.byte + byte))
              << "thread " << t << " register " << 4 * g + r << " byte " << byte;
        }
}

TEST(KeyOrder, AGroupOf32KeepsItsKeys) {
  std::set<int> keys;
  for (int p = 0; p < 128; ++p) {
    EXPECT_EQ(KeyAtPosition(p) / 32, p / 32);
    keys.insert(KeyAtPosition(p));
  }
  EXPECT_EQ(keys.size(), 128u);
}

// ---- Barriers --------------------------------------------------------------------------------

/// mbarrier: a phase completes when its arrivals and bytes are there; a wait for a parity returns
/// once the phase of that parity is complete (PTX ISA 9.0, "mbarrier.test_wait").
struct Barrier {
  int expected;
  int pending = expected;
  int phase = 0;  // the current, incomplete one

  void Arrive() {
    if (--pending > 0) return;
    pending = expected;
    ++phase;
  }
  bool Passes(uint32_t parity) const { return (static_cast<uint32_t>(phase) & 1) != parity; }
};

template <int kStages>
void Play(uint64_t seed, int uses) {
  constexpr int kWarps = 8;
  std::vector<Barrier> full(kStages, Barrier{1}), empty(kStages, Barrier{kWarps});
  std::vector<int> holds(kStages, -1);    // which use's tile lies in a stage
  std::vector<int> landing(kStages, -1);  // which use TMA is writing
  std::vector<std::set<int>> reading(kStages);
  Ring<kStages> producer;
  std::array<Ring<kStages>, kWarps> consumer;
  int produced = 0;
  std::array<int, kWarps> consumed{};
  std::array<bool, kWarps> busy{};
  sim::Random r(seed);
  for (int64_t step = 0;; ++step) {
    ASSERT_LT(step, 1'000'000) << "the pipeline stands still";
    bool done = produced == uses;
    for (const int n : consumed) done = done && n == uses;
    if (done) break;
    const auto who = r.Below(kWarps + 2);
    if (who == kWarps) {  // the producer
      const auto s = static_cast<size_t>(producer.stage);
      if (produced == uses || !empty[s].Passes(producer.EmptyParity())) continue;
      ASSERT_TRUE(reading[s].empty()) << "TMA writes what a warp reads";
      ASSERT_EQ(landing[s], -1);
      holds[s] = -1;
      landing[s] = produced++;
      producer.Advance();
    } else if (who > kWarps) {  // a copy arrives
      const auto s = static_cast<size_t>(r.Below(kStages));
      if (landing[s] < 0) continue;
      holds[s] = landing[s];
      landing[s] = -1;
      full[s].Arrive();
    } else {
      const auto s = static_cast<size_t>(consumer[who].stage);
      if (busy[who]) {
        ASSERT_EQ(holds[s], consumed[who]) << "the tile changed under a warp";
        reading[s].erase(static_cast<int>(who));
        empty[s].Arrive();
        busy[who] = false;
        ++consumed[who];
        consumer[who].Advance();
      } else if (consumed[who] < uses && full[s].Passes(consumer[who].FullParity())) {
        ASSERT_EQ(holds[s], consumed[who]) << "a warp reads another tile";
        reading[s].insert(static_cast<int>(who));
        busy[who] = true;
      }
    }
  }
}

TEST(Ring, EveryTileIsReadOnceByEveryWarpAndNoneTooEarly) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Play<2>(seed, 25);
    Play<4>(seed, 25);
    Play<6>(seed, 25);
  }
}

}  // namespace
}  // namespace lostbits::gpu
