// The arithmetic of the kernels, the same functions compiled for the host: equal to sim/, bit for
// bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "cuda/attention_bound.h"
#include "cuda/attention_twin.h"
#include "cuda/codec_fast.h"
#include "cuda/codec_plan.h"
#include "cuda/gemm_twin.h"
#include "sim/arch_table.h"
#include "sim/attention_block.h"
#include "sim/attention_combine.h"
#include "sim/gemm.h"

namespace lostbits::gpu {
namespace {

std::vector<int64_t> All(int64_t n) {
  std::vector<int64_t> all(static_cast<size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

const sim::ArchRow& Row(std::string_view arch, std::string_view instruction) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (arch == row.arch && instruction == row.instruction && std::string_view("e4m3") == row.in &&
        std::string_view("f32") == row.out)
      return row;
  }
  std::abort();
}

// ---- GEMM ------------------------------------------------------------------------------------

/// Every output of the plan by the twin, as gemm_v1_twin.cu addresses it.
std::vector<uint32_t> ByTwin(const GemmPlan& plan, const GemmOperands& x) {
  const auto [m, n, k] = plan.shape;
  const int64_t row_a = k * ElementBytes(plan.recipe.unit.a);
  const int64_t row_b = k * ElementBytes(plan.recipe.unit.b);
  const int64_t blocks = (k + 127) / 128, blocks_n = (n + 127) / 128;
  std::vector<uint32_t> d;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      const bool scaled = !x.scale_a.empty();
      const TwinLine a{x.a.data() + i * row_a, scaled ? x.scale_a.data() + i * blocks : nullptr, 1};
      const TwinLine b{x.b.data() + j * row_b, scaled ? x.scale_b.data() + j / 128 : nullptr,
                       blocks_n};
      d.push_back(GemmTwinOutput(plan.recipe, a, b, k));
    }
  return d;
}

TEST(GemmTwin, EqualsGemmOnEveryMachineRow) {
  int rows = 0;
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!sim::HasMatrixProduct(row.spec)) continue;
    ++rows;
    const GemmPlan plan =
        PlanGemm(GemmKernel::kTwin, Promotion::kNone, {3, 5, 77}, row.spec, row.spec.acc);
    const GemmOperands x = DrawGemm(plan, OperandPattern::kWide, 7);
    EXPECT_EQ(ByTwin(plan, x), GemmOnCpu(plan, x, All(3), 1))
        << row.arch << ":" << row.instruction << ":" << row.in << ":" << row.out;
  }
  EXPECT_GT(rows, 40);
}

TEST(GemmTwin, EqualsGemmPromotedScaledAndRounded) {
  for (const char* instruction : {"wgmma", "mma.sync"})
    for (const Promotion promotion : {Promotion::kNone, Promotion::kAdd, Promotion::kScaled})
      for (const fp8::Format& output : {fp8::kFP32, fp8::kBF16})
        for (const OperandPattern pattern : {OperandPattern::kWide, OperandPattern::kNormal}) {
          const GemmPlan plan = PlanGemm(GemmKernel::kTwin, promotion, {3, 131, 461},
                                         Row("hopper", instruction).spec, output);
          const GemmOperands x = DrawGemm(plan, pattern, 11);
          ASSERT_EQ(ByTwin(plan, x), GemmOnCpu(plan, x, All(3), 1))
              << instruction << " " << NameOf(promotion);
        }
}

// v2 and v3 run whole tiles of k: instructions of zeros beyond the last k change nothing.
TEST(GemmTwin, InstructionsOfZerosChangeNothing) {
  for (const char* instruction : {"wgmma", "mma.sync"}) {
    const sim::AccumSpec& unit = Row("hopper", instruction).spec;
    const std::vector<uint8_t> zeros(32);
    const GemmPlan plan =
        PlanGemm(GemmKernel::kTwin, Promotion::kNone, {40, 40, 48}, unit, fp8::kFP32);
    for (const uint32_t word :
         GemmOnCpu(plan, DrawGemm(plan, OperandPattern::kWide, 5), All(40), 1))
      ASSERT_EQ(ChainOver(unit, zeros.data(), zeros.data(), 0, 32, word), word);
  }
}

TEST(Operands, AreFiniteAndRepeat) {
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (!sim::HasMatrixProduct(row.spec)) continue;
    for (const OperandPattern pattern :
         {OperandPattern::kNormal, OperandPattern::kWide, OperandPattern::kBits}) {
      const int bytes = ElementBytes(row.spec.a);
      std::vector<uint8_t> codes(static_cast<size_t>(256 * bytes)), again(codes.size());
      DrawCodes(row.spec.a, pattern, 1, 2, 256, codes.data());
      DrawCodes(row.spec.a, pattern, 1, 2, 256, again.data());
      EXPECT_EQ(codes, again);
      for (int i = 0; i < 256; ++i) {
        const fp8::Class cls = fp8::Unpack(row.spec.a, ElementAt(codes.data(), i, bytes)).cls;
        ASSERT_TRUE(cls == fp8::Class::kZero || cls == fp8::Class::kFinite) << row.in;
      }
    }
  }
}

// ---- Attention -------------------------------------------------------------------------------

struct OneThread {
  static constexpr int lane = 0, lanes = 1;
  void Sync() const {}
};

sim::SoftmaxParams ParamsOf(const AttentionPlan& plan) {
  const sim::AttentionRecipe& r = plan.recipe;
  return {{r.ftz}, r.exp2, nullptr, r.fma, plan.scale_log2, r.max_offset};
}

/// What both kernels do with a row's splits: Combine of attention_v1_twin.cu.
void Finish(const AttentionPlan& plan, const std::vector<float>& o, const std::vector<float>& lse,
            AttentionRows* rows) {
  const int d = plan.shape.head_dim, splits = plan.shape.splits;
  float weight[sim::kMaxSplits];
  sim::SoftmaxRow unused;
  rows->lse.push_back(
      splits == 1 ? lse[0]
                  : sim::SplitWeights(ParamsOf(plan), splits, d, lse.data(), 1, &unused, weight));
  for (int c = 0; c < d; ++c) {
    const float x = splits == 1
                        ? o[static_cast<size_t>(c)]
                        : sim::CombineColumn(ParamsOf(plan), splits, weight, o.data() + c, d);
    rows->o.push_back(OutputWord(plan.recipe.output, FloatWord(x)));
  }
}

struct Place {
  TwinRowInputs in;
  int64_t query, head_in_group;
};

/// Rows in the order of AttentionRows, one after the other; `split_row` computes one split of one.
template <class SplitRow>
AttentionRows ByRows(const AttentionPlan& plan, const AttentionOperands& x,
                     const SplitRow& split_row) {
  const AttentionShape& s = plan.shape;
  const auto d = static_cast<size_t>(s.head_dim);
  const int64_t line = int64_t{s.heads_kv} * s.head_dim, group = s.heads_q / s.heads_kv;
  AttentionRows rows;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t query = 0; query < s.seqlen_q; ++query)
      for (int64_t head = 0; head < s.heads_q; ++head) {
        const int64_t kv = b * s.seqlen_k * line + head / group * s.head_dim;
        const TwinRowInputs in{
            x.q.data() + ((b * s.seqlen_q + query) * s.heads_q + head) * s.head_dim,
            x.k.data() + kv, x.v.data() + kv, line, s.seqlen_k};
        std::vector<float> o(d * static_cast<size_t>(s.splits));
        std::vector<float> lse(static_cast<size_t>(s.splits));
        for (int split = 0; split < s.splits; ++split)
          split_row(Place{in, query, head % group}, split,
                    o.data() + d * static_cast<size_t>(split), &lse[static_cast<size_t>(split)]);
        Finish(plan, o, lse, &rows);
      }
  // AttentionRows has lse by head.
  std::vector<float> by_head;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t head = 0; head < s.heads_q; ++head)
      for (int64_t query = 0; query < s.seqlen_q; ++query)
        by_head.push_back(
            rows.lse[static_cast<size_t>((b * s.seqlen_q + query) * s.heads_q + head)]);
  rows.lse = by_head;
  return rows;
}

AttentionRows ByTwin(const AttentionPlan& plan, const AttentionOperands& x) {
  const AttentionShape& s = plan.shape;
  return ByRows(plan, x, [&](const Place& at, int split, float* o, float* lse) {
    const sim::RowSchedule schedule =
        sim::ScheduleRow(plan.recipe, {s.seqlen_q, s.seqlen_k, s.heads_q / s.heads_kv}, at.query,
                         at.head_in_group, split);
    TwinWorkspace workspace;
    TwinAttentionRow(OneThread{}, plan.recipe, ParamsOf(plan), schedule, at.in, &workspace, o, lse);
  });
}

/// A row of v2 as its four threads do it: RowPart each, P packed in the order of KeyAtPosition.
void QuadRow(const AttentionPlan& plan, const Place& at, int split, float* o, float* lse) {
  const AttentionShape& s = plan.shape;
  const int d = s.head_dim;
  const int64_t row = at.query * (s.heads_q / s.heads_kv) + at.head_in_group;
  const TileRange range = BlockTiles(plan, row / 128, split);
  const int64_t seen =
      s.causal ? std::min(at.query + s.seqlen_k - s.seqlen_q + 1, s.seqlen_k) : s.seqlen_k;
  const auto exp2 = [](float x) { return sim::Exp2Polynomial(x); };
  RowPart parts[4];
  std::fill_n(o, d, 0.0f);
  for (int tile = range.end - 1; tile >= range.begin; --tile) {
    const int64_t first = int64_t{tile} * kKeyTile;
    float p[kKeyTile], max = parts[0].started ? parts[0].max : sim::NegativeInfinity();
    for (int j = 0; j < kKeyTile; ++j) {
      const int64_t key = first + j;
      p[j] = key >= seen ? sim::NegativeInfinity()
                         : fp8::BitCast<float>(ChainOver(plan.recipe.qk, at.in.q,
                                                         at.in.k + key * at.in.stride, 0, d, 0));
      max = p[j] > max ? p[j] : max;
    }
    float scale = 0;
    for (int q = 0; q < 4; ++q) {
      const RowScales scales = MoveRowMaximum(max, plan.scale_log2, exp2, &parts[q]);
      scale = scales.scale;
      for (int j = 0; j < kKeyTile; j += 8)
        for (int e = 0; e < 2; ++e) {
          float& x = p[j + 2 * q + e];
          x = Probability(x, plan.scale_log2, scales.max_scaled, exp2);
          parts[q].sum += x;
        }
    }
    for (int c = 0; c < d; ++c) {
      uint32_t word = 0;
      for (int g = 0; g < kKeyTile; g += 32) {
        fp8::Unpacked a[32], b[32];
        for (int i = 0; i < 32; ++i) {
          const int64_t key = first + KeyAtPosition(g + i);
          a[i] = fp8::Unpack(fp8::kE4M3FN, EncodeFast<fp8::kE4M3FN>(p[KeyAtPosition(g + i)]));
          b[i] = fp8::Unpack(fp8::kE4M3FN, key < s.seqlen_k ? at.in.v[key * at.in.stride + c] : 0);
        }
        word = static_cast<uint32_t>(sim::DotInstruction(plan.recipe.pv, a, b, 32, word));
      }
      o[c] = GatherTile(o[c], scale, fp8::BitCast<float>(word));
    }
  }
  sim::SoftmaxRow whole;
  whole.max = parts[0].max;
  for (int q = 0; q < 4; ++q) whole.sum[q] = parts[q].sum;
  sim::SoftmaxEnd end{0, sim::NegativeInfinity()};
  if (range.begin < range.end) end = sim::SoftmaxFinish(ParamsOf(plan), &whole, nullptr, 1.0f);
  *lse = end.lse;
  for (int c = 0; c < d; ++c) o[c] = o[c] * end.factor;
}

std::vector<AttentionShape> Shapes() {
  std::vector<AttentionShape> shapes = {
      {.batch = 2, .seqlen_q = 3, .seqlen_k = 300, .heads_q = 4, .heads_kv = 2, .head_dim = 64},
      {.seqlen_q = 5, .seqlen_k = 257, .heads_q = 2, .heads_kv = 1, .causal = true},
      {.seqlen_q = 4, .seqlen_k = 700, .heads_q = 3, .heads_kv = 1, .causal = true, .splits = 3},
      {.seqlen_q = 2, .seqlen_k = 400, .heads_q = 1, .heads_kv = 1, .head_dim = 256, .splits = 5},
      // More splits than threads that sum them.
      {.seqlen_q = 6, .seqlen_k = 41 * 128, .head_dim = 64, .splits = 41},
      {.seqlen_q = 3, .seqlen_k = 41 * 128, .head_dim = 128, .splits = 41},
      // More queries than keys: the first rows see nothing.
      {.seqlen_q = 140, .seqlen_k = 9, .causal = true},
  };
  return shapes;
}

TEST(AttentionTwin, EqualsAttentionForward) {
  for (const AttentionShape& shape : Shapes())
    for (const KernelExp2 exp2 : {KernelExp2::kPolynomial, KernelExp2::kCorrectlyRounded})
      for (const fp8::Format& output : {fp8::kFP32, fp8::kBF16}) {
        const AttentionPlan plan = PlanAttention(AttentionKernel::kTwin, exp2, shape, output);
        const AttentionOperands x = DrawAttention(plan, OperandPattern::kNormal, 3);
        const AttentionRows twin = ByTwin(plan, x);
        const AttentionRows cpu = AttentionOnCpu(plan, x, All(shape.seqlen_q), 1);
        EXPECT_EQ(twin.o, cpu.o) << NameOf(exp2) << " d " << shape.head_dim;
        EXPECT_EQ(twin.lse, cpu.lse);
      }
}

TEST(AttentionV2, ItsThreadsTogetherEqualAttentionForward) {
  for (const AttentionShape& shape : Shapes()) {
    const AttentionPlan plan =
        PlanAttention(AttentionKernel::kWgmma, KernelExp2::kPolynomial, shape, fp8::kFP32);
    for (const OperandPattern pattern : {OperandPattern::kNormal, OperandPattern::kWide}) {
      const AttentionOperands x = DrawAttention(plan, pattern, 4);
      const AttentionRows v2 =
          ByRows(plan, x, [&](const Place& at, int split, float* o, float* lse) {
            QuadRow(plan, at, split, o, lse);
          });
      const AttentionRows cpu = AttentionOnCpu(plan, x, All(shape.seqlen_q), 1);
      EXPECT_EQ(v2.o, cpu.o) << "d " << shape.head_dim;
      EXPECT_EQ(v2.lse, cpu.lse);
    }
  }
}

TEST(AttentionBound, HoldsForTheSimulatorAndNotForAWrongKey) {
  AttentionShape shape{.seqlen_q = 3, .seqlen_k = 300, .heads_q = 2, .heads_kv = 1};
  const AttentionPlan plan =
      PlanAttention(AttentionKernel::kWgmma, KernelExp2::kApprox, shape, fp8::kFP32);
  AttentionOperands x = DrawAttention(plan, OperandPattern::kNormal, 5);
  const AttentionRows right = AttentionOnCpu(plan, x, All(3), 1);
  const BoundedRow spread = AttentionBound(plan, x, 0, 0, 0);
  int broken = 0, total = 0;
  double worst = 0;
  // The wrong kernel sees V one key off, with one key that has all the weight.
  for (size_t i = 0; i < 128; ++i) x.k[200 * 128 + i] = x.q[i];
  const AttentionRows peaked = AttentionOnCpu(plan, x, All(3), 1);
  AttentionOperands off = x;
  off.v.assign(x.v.begin() + 128, x.v.end());
  off.v.resize(x.v.size());
  const AttentionRows wrong = AttentionOnCpu(plan, off, All(3), 1);
  const BoundedRow bound = AttentionBound(plan, x, 0, 0, 0);
  for (size_t c = 0; c < 128; ++c) {
    const auto error = [&](const AttentionRows& rows) {
      return std::fabs(double{fp8::BitCast<float>(rows.o[c])} - bound.exact[c]);
    };
    ++total;
    worst = std::max(worst, error(peaked) / bound.bound[c]);
    broken += error(wrong) > bound.bound[c];
  }
  EXPECT_LT(worst, 1.0);
  EXPECT_GT(broken, total / 2);
  // Exact as sim/attention_exact.cc has it.
  std::vector<double> exact(static_cast<size_t>(3 * 2 * 128));
  std::vector<uint8_t> q;
  const std::vector<int64_t> all = All(3);
  sim::AttentionExact(plan.recipe, InputsFor(plan, x, all, &q), exact.data());
  for (size_t c = 0; c < 128; ++c) EXPECT_NEAR(bound.exact[c], exact[c], 1e-12);
  EXPECT_EQ(right.o.size(), peaked.o.size());
  // LSE: far below its bound, and beyond it where the keys are others or an offset is forgotten.
  EXPECT_LT(std::fabs(double{right.lse[0]} - spread.lse), 0.5 * spread.lse_bound);
  const auto lse_error = [&](float lse) { return std::fabs(double{lse} - bound.lse); };
  EXPECT_LT(lse_error(peaked.lse[0]), 0.5 * bound.lse_bound);
  EXPECT_GT(lse_error(right.lse[0]), bound.lse_bound);
  EXPECT_GT(lse_error(peaked.lse[0] + kMaxOffset * 0x1.62e430p-1f), bound.lse_bound);
}

// ---- Codec -----------------------------------------------------------------------------------

template <fp8::Format F>
void CompareCodec() {
  for (uint32_t code = 0; code < 256; ++code) {
    const float value = fp8::Decode<F>(code, {.nan = 0x7fff'ffff, .keep_sign = false});
    ASSERT_EQ(DecodeFast<F>(code), fp8::BitCast<uint32_t>(value)) << code;
  }
  const auto same = [](uint32_t bits) {
    const float x = fp8::BitCast<float>(bits);
    return EncodeFast<F>(x) == fp8::Encode<F>(x);
  };
  // Every upper half with lower halves about every tie; and a stride that meets all exponents.
  for (uint32_t high = 0; high < 65536; ++high)
    for (const uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      ASSERT_TRUE(same(high << 16 | low)) << std::hex << (high << 16 | low);
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4093)
    ASSERT_TRUE(same(static_cast<uint32_t>(bits))) << std::hex << bits;
}

TEST(CodecFast, EqualsTheCodec) {
  CompareCodec<fp8::kE4M3FN>();
  CompareCodec<fp8::kE5M2>();
}

}  // namespace
}  // namespace lostbits::gpu
