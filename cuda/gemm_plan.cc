#include "cuda/gemm_plan.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "sim/draw.h"
#include "sim/gemm_recipe.h"
#include "sim/parallel_for.h"

namespace lostbits::gpu {
namespace {

void Require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument("gemm: " + message);
}

std::string Text(const GemmShape& s) {
  return std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k);
}

bool IsFp8(const fp8::Format& f) { return f == fp8::kE4M3FN || f == fp8::kE5M2; }

}  // namespace

const char* NameOf(GemmKernel kernel) {
  switch (kernel) {
    case GemmKernel::kTwin: return "twin";
    case GemmKernel::kMma: return "mma";
    case GemmKernel::kWgmma: return "wgmma";
  }
  return "?";
}

const char* NameOf(Promotion promotion) {
  switch (promotion) {
    case Promotion::kNone: return "none";
    case Promotion::kAdd: return "128";
    case Promotion::kScaled: return "scaled";
  }
  return "?";
}

int ElementBytes(const fp8::Format& format) {
  const int bits = fp8::StorageBits(format);
  return bits <= 8 ? 1 : bits <= 16 ? 2 : 4;
}

GemmPlan PlanGemm(GemmKernel kernel, Promotion promotion, const GemmShape& shape,
                  const sim::AccumSpec& unit, const fp8::Format& output) {
  constexpr int64_t kLimit = int64_t{1} << 20;
  Require(shape.m > 0 && shape.n > 0 && shape.k > 0 && shape.m <= kLimit && shape.n <= kLimit &&
              shape.k <= kLimit,
          "shape is " + Text(shape) + ", expected MxNxK, each from 1 to 2^20");
  Require(sim::HasMatrixProduct(unit), "no matrix product with block scales or FP64 words");
  Require(output == fp8::kFP32 || output == fp8::kBF16 || output == unit.acc,
          "output must be FP32 or BF16, or the unit's FP16");
  const bool promoted = promotion != Promotion::kNone;
  Require(!promoted || (sim::kScaleBlock % unit.k == 0 && unit.acc == fp8::kFP32),
          "promotion every 128 needs FP32 words and a k that divides 128, the unit has k " +
              std::to_string(unit.k));
  GemmPlan p{};
  p.kernel = kernel;
  p.promotion = promotion;
  p.shape = shape;
  p.recipe.unit = unit;
  p.recipe.promote_every = promoted ? sim::kScaleBlock / unit.k : 0;
  if (promotion == Promotion::kScaled)
    p.recipe.scale_a = p.recipe.scale_b = sim::GemmScaling::kBlock128;
  p.recipe.output = unit.acc == fp8::kFP32 ? output : unit.acc;
  switch (kernel) {
    case GemmKernel::kTwin:
      p.tile_m = 8;
      p.tile_n = 16;
      p.tile_k = unit.k;
      p.stages = 1;
      p.threads = p.tile_m * p.tile_n;
      break;
    case GemmKernel::kMma:
      Require(IsFp8(unit.a) && IsFp8(unit.b) && unit.acc == fp8::kFP32 && unit.k == 32,
              "the mma kernel runs m16n8k32 on E4M3 and E5M2 into FP32 only");
      Require(shape.k % 16 == 0,
              "the mma kernel needs K in multiples of 16, K is " + std::to_string(shape.k));
      p.tile_m = p.tile_n = p.tile_k = 64;
      p.stages = 2;
      p.threads = 128;
      // Rows of 64 bytes, 80 apart: cuda/gemm_v2_mma.cu.
      p.shared_bytes = p.stages * (p.tile_m + p.tile_n) * 80;
      break;
    case GemmKernel::kWgmma:
      Require(unit.a == fp8::kE4M3FN && unit.b == fp8::kE4M3FN && unit.acc == fp8::kFP32 &&
                  unit.k == 32,
              "the wgmma kernel runs m64nNk32 on E4M3 into FP32 only");
      Require(
          shape.k % 16 == 0 && shape.n % 8 == 0,
          "the wgmma kernel needs K in multiples of 16 (TMA strides) and N of 8, the shape is " +
              Text(shape));
      // Promotion needs a second set of accumulators, so half the columns.
      p.tile_m = 128;
      p.tile_n = promoted ? 128 : 256;
      p.tile_k = 128;
      p.stages = promoted ? 6 : 4;
      p.threads = 384;
      // Stages, two barriers each, and room to start at a multiple of 1024.
      p.shared_bytes = p.stages * ((p.tile_m + p.tile_n) * p.tile_k + 16) + 1024;
      break;
  }
  p.tiles_m = (shape.m + p.tile_m - 1) / p.tile_m;
  p.tiles_n = (shape.n + p.tile_n - 1) / p.tile_n;
  return p;
}

void DrawCodes(const fp8::Format& format, OperandPattern pattern, uint64_t seed, uint64_t stream,
               int64_t count, uint8_t* out) {
  sim::Random r(seed, stream);
  const int bytes = ElementBytes(format);
  if (pattern == OperandPattern::kBits && bytes == 1) {
    // Eight codes a number; those that are not finite lose their lowest exponent bit.
    std::array<uint8_t, 256> finite;
    const auto mask = static_cast<uint64_t>((1 << fp8::StorageBits(format)) - 1);
    for (uint64_t code = 0; code < 256; ++code) {
      const uint64_t masked = code & mask;
      finite[code] = static_cast<uint8_t>(sim::draw::IsFinite(format, masked)
                                              ? masked
                                              : masked ^ uint64_t{1} << format.mantissa_bits);
    }
    uint64_t bits = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (i % 8 == 0) bits = r.Next();
      out[i] = finite[bits >> (8 * (i % 8)) & 255];
    }
    return;
  }
  const int top = static_cast<int>(fp8::MaxMagnitude(format) >> format.mantissa_bits) - format.bias;
  const int low = fp8::Max(fp8::MinExponent(format) - 1, -16);
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t code =
        pattern == OperandPattern::kNormal ? sim::draw::NormalCode(r, format)
        : pattern == OperandPattern::kWide
            ? sim::draw::CodeWithExponent(r, format, r.Between(low, fp8::Min(top, 16)))
            : sim::draw::FiniteCode(r, format);
    std::memcpy(out + i * bytes, &code, static_cast<size_t>(bytes));
  }
}

GemmOperands DrawGemm(const GemmPlan& plan, OperandPattern pattern, uint64_t seed) {
  const int64_t m = plan.shape.m, n = plan.shape.n, k = plan.shape.k;
  const sim::AccumSpec& unit = plan.recipe.unit;
  const int64_t row_a = k * ElementBytes(unit.a), row_b = k * ElementBytes(unit.b);
  GemmOperands x;
  x.a.resize(static_cast<size_t>(m * row_a));
  x.b.resize(static_cast<size_t>(n * row_b));
  sim::ParallelFor(m + n, sim::ThreadCount(0), {}, [&](int64_t r) -> std::string {
    const bool is_a = r < m;
    const int64_t row = is_a ? r : r - m;
    DrawCodes(is_a ? unit.a : unit.b, pattern, seed,
              2 * static_cast<uint64_t>(row) + (is_a ? 0 : 1), k,
              is_a ? x.a.data() + row * row_a : x.b.data() + row * row_b);
    return "";
  });
  if (plan.promotion != Promotion::kScaled) return x;
  const int64_t blocks = (k + sim::kScaleBlock - 1) / sim::kScaleBlock;
  sim::Random r(seed, uint64_t{1} << 40);
  // Scales with full mantissas around 2^-6.
  const auto scale = [&r] { return static_cast<float>((0.5 + r.Uniform()) * 0x1p-6); };
  for (int64_t i = 0; i < m * blocks; ++i) x.scale_a.push_back(scale());
  for (int64_t i = 0; i < blocks * ((n + sim::kScaleBlock - 1) / sim::kScaleBlock); ++i)
    x.scale_b.push_back(scale());
  return x;
}

std::vector<uint32_t> GemmOnCpu(const GemmPlan& plan, const GemmOperands& operands,
                                std::span<const int64_t> rows, int threads) {
  const int64_t n = plan.shape.n, k = plan.shape.k;
  const int64_t bytes = ElementBytes(plan.recipe.unit.a);
  const int64_t blocks = (k + sim::kScaleBlock - 1) / sim::kScaleBlock;
  const auto count = static_cast<int64_t>(rows.size());
  std::vector<uint8_t> a(static_cast<size_t>(count * k * bytes));
  std::vector<float> scale_a;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = rows[static_cast<size_t>(i)];
    std::memcpy(a.data() + i * k * bytes, operands.a.data() + row * k * bytes,
                static_cast<size_t>(k * bytes));
    if (!operands.scale_a.empty())
      scale_a.insert(scale_a.end(), operands.scale_a.begin() + row * blocks,
                     operands.scale_a.begin() + (row + 1) * blocks);
  }
  sim::GemmInputs in;
  in.a = {a.data(), plan.recipe.unit.a, count, k, k};
  in.b = {operands.b.data(), plan.recipe.unit.b, n, k, k};
  in.b_transposed = true;
  if (plan.promotion == Promotion::kScaled) {
    in.scale_a = {scale_a.data(), count, blocks};
    in.scale_b = {operands.scale_b.data(), blocks, (n + sim::kScaleBlock - 1) / sim::kScaleBlock};
  }
  std::vector<uint32_t> d(static_cast<size_t>(count * n));
  sim::Gemm(plan.recipe, in, {d.data(), count, n}, sim::ThreadCount(threads));
  return d;
}

}  // namespace lostbits::gpu
