// The online softmax of FlashAttention-3, one row at a time, in the hardware's order of operations.
//
// Source: vllm-project/flash-attention, commit 617264c1, hopper/softmax.h. Every step is an FP32
// operation of its own; where the compiler may fuse two, the recipe says whether it did.
//
// Not modelled: the GPU's own ex2.approx, lg2.approx and rcp.approx (see sim/exp2.h). Here log2 is
// the binary64 result rounded to float, and the reciprocal is the nearest float.
#ifndef LOSTBITS_SIM_SOFTMAX_H_
#define LOSTBITS_SIM_SOFTMAX_H_

#include <cstdint>

#include "fp8/hd.h"
#include "sim/exp2.h"
#include "sim/recipe.h"

namespace lostbits::sim {

inline constexpr float kLog2E = 0x1.715476p+0f;  // float(M_LOG2E): flash_api's and __expf's factor
inline constexpr float kLn2 = 0x1.62e430p-1f;    // float(M_LN2): softmax.h:151, and __logf's factor

/// FP32 arithmetic with or without flush-to-zero. Under ftz, subnormal operands count as zero and
/// results that are subnormal after rounding become zero; the sign stays.
struct Fp32 {
  bool ftz;

  FP8_HD float Flush(float x) const {
    const uint32_t bits = fp8::BitCast<uint32_t>(x);
    const bool subnormal = (bits & kFp32Infinity) == 0;
    return fp8::BitCast<float>(ftz && subnormal ? bits & 0x8000'0000 : bits);
  }
  FP8_HD float Add(float a, float b) const { return Flush(Flush(a) + Flush(b)); }
  FP8_HD float Mul(float a, float b) const { return Flush(Flush(a) * Flush(b)); }
  FP8_HD float Fma(float a, float b, float c) const {
    return Flush(FusedMultiplyAdd(Flush(a), Flush(b), Flush(c)));
  }
  /// a * b + c: fused, or rounded twice.
  FP8_HD float MulAdd(bool fused, float a, float b, float c) const {
    return fused ? Fma(a, b, c) : Add(Mul(a, b), c);
  }
};

/// What one block of rows needs to know; the same for all rows of a (batch, KV head).
struct SoftmaxParams {
  Fp32 math;
  Exp2Model model;
  const Exp2Table* table;  ///< for Exp2Model::kTable
  FmaSites fma;
  float scale_log2;  ///< softmax scale * log2(e) * q_descale * k_descale
  float max_offset;
};

/// The running state of one row. Four threads (a quad) share a row; thread q owns the columns 8j +
/// 2q and 8j + 2q + 1 of every tile and keeps a sum of its own.
struct SoftmaxRow {
  float max = 0;
  float sum[4] = {0, 0, 0, 0};
  bool started = false;
  bool exp2_missing = false;  ///< the captured table lacked an input: the results are NaN
  float missing_input = 0;    ///< the first such input
};

/// ex2.approx.ftz.f32 under the chosen model.
FP8_HD inline float Exp2(const SoftmaxParams& p, SoftmaxRow* row, float x) {
  x = p.math.Flush(x);
  switch (p.model) {
    case Exp2Model::kCorrectlyRounded: return p.math.Flush(Exp2CorrectlyRounded(x));
    case Exp2Model::kPolynomial: return p.math.Flush(Exp2Polynomial(x));
    case Exp2Model::kTable: break;
  }
  float result = fp8::BitCast<float>(kFp32Nan);
  if (!p.table->Find(x, &result) && !row->exp2_missing) {
    row->exp2_missing = true;
    row->missing_input = x;
  }
  return result;
}

/// lg2.approx.ftz.f32, as far as it is public.
FP8_HD inline float Log2(const Fp32& math, float x) {
  return math.Flush(static_cast<float>(Log2Double(math.Flush(x))));
}

FP8_HD inline float NegativeInfinity() { return fp8::BitCast<float>(kFp32Infinity | 0x8000'0000); }

/// How one tile's scores become P: 2^(s * scale_log2 - max_scaled); what was gathered before
/// shrinks by `scale` (1 on the first tile).
struct TileScale {
  float scale, max_scaled;
};

/// The row's maximum becomes `max`, and its sums shrink. check_inf: a row whose scores are all -Inf
/// counts as maximum 0.
FP8_HD inline TileScale MoveMaximum(const SoftmaxParams& p, bool check_inf, float max,
                                    SoftmaxRow* row) {
  const float minus_inf = NegativeInfinity();
  const bool first = !row->started;
  TileScale tile{1, 0};
  if (!first) {  // softmax.h:116-120
    const float current = check_inf && max == minus_inf ? 0 : max;
    const float distance = p.math.Mul(p.math.Add(row->max, -current), p.scale_log2);
    // Most tiles leave the maximum where it is.
    tile.scale =
        distance == 0 && p.model == Exp2Model::kCorrectlyRounded ? 1 : Exp2(p, row, distance);
    for (float& sum : row->sum) sum = p.math.Mul(sum, tile.scale);
  }
  row->max = max;
  row->started = true;
  // softmax.h:77-79: no offset where the maximum is replaced.
  if (!check_inf || max != minus_inf)
    tile.max_scaled = p.math.MulAdd(p.fma.max_scaled, max, p.scale_log2, -p.max_offset);
  return tile;
}

/// First part of a tile of n scores, masked ones -Inf: flushes them and finds the maximum so far.
FP8_HD inline TileScale SoftmaxMaximum(const SoftmaxParams& p, bool check_inf, float* s, int n,
                                       SoftmaxRow* row) {
  // fmax of all scores: a NaN loses against a number (softmax.h:108, 113; utils.h:66).
  float max = row->started ? row->max : p.math.Flush(s[0]);
  for (int i = 0; i < n; ++i) {
    const float x = s[i] = p.math.Flush(s[i]);
    max = x > max || max != max ? x : max;
  }
  return MoveMaximum(p, check_inf, max, row);
}

/// Second part: s becomes P before its rounding (softmax.h:85).
FP8_HD inline void SoftmaxProbabilities(const SoftmaxParams& p, float max_scaled, float* s, int n,
                                        SoftmaxRow* row) {
  for (int i = 0; i < n; ++i)
    s[i] = Exp2(p, row, p.math.MulAdd(p.fma.p_argument, s[i], p.scale_log2, -max_scaled));
}

/// Third part, n a multiple of 8: each thread of the quad adds its columns of unrounded P in
/// increasing order (softmax.h:134 and 27-31).
FP8_HD inline void SoftmaxSum(const SoftmaxParams& p, const float* s, int n, SoftmaxRow* row) {
  for (int j = 0; j < n; j += 8)
    for (int e = 0; e < 2; ++e)
      for (int q = 0; q < 4; ++q) row->sum[q] = p.math.Add(row->sum[q], s[j + 2 * q + e]);
}

/// All three; returns the factor for what was gathered before. sim/softmax_lanes.h has its twin.
FP8_HD inline float SoftmaxStep(const SoftmaxParams& p, bool check_inf, float* s, int n,
                                SoftmaxRow* row) {
  const TileScale tile = SoftmaxMaximum(p, check_inf, s, n, row);
  SoftmaxProbabilities(p, tile.max_scaled, s, n, row);
  SoftmaxSum(p, s, n, row);
  return tile.scale;
}

/// The four threads' sums as one: exchange with the thread 2 away, then 1 away (utils.h:79-98).
FP8_HD inline float QuadSum(const Fp32& math, const float sum[4]) {
  return math.Add(math.Add(sum[0], sum[2]), math.Add(sum[1], sum[3]));
}

struct SoftmaxEnd {
  float factor;  ///< O is multiplied by it
  float lse;     ///< natural logarithm of the sum of exp(score); -Inf for an empty row
};

/// softmax.h:137-175. sink: a logit that takes part in the sum only, or null.
FP8_HD inline SoftmaxEnd SoftmaxFinish(const SoftmaxParams& p, SoftmaxRow* row, const float* sink,
                                       float v_descale) {
  float sum = QuadSum(p.math, row->sum);
  if (sink != nullptr) {
    if (row->max == NegativeInfinity()) row->max = 0;
    const float max_scaled = p.math.MulAdd(p.fma.max_scaled, row->max, p.scale_log2, -p.max_offset);
    sum = p.math.Add(sum, Exp2(p, row, p.math.MulAdd(p.fma.sink, kLog2E, *sink, -max_scaled)));
  }
  const bool empty = sum == 0 || sum != sum;
  const float inverse = empty ? 0 : p.math.Flush(1 / p.math.Flush(sum));
  SoftmaxEnd end{p.math.Mul(inverse, v_descale), NegativeInfinity()};
  if (p.max_offset != 0) {
    const float offset_scale =
        fp8::BitCast<float>(static_cast<uint32_t>(127 - static_cast<int>(p.max_offset)) << 23);
    sum = p.math.Mul(sum, offset_scale);
  }
  if (sum == 0 || sum != sum) return end;
  const float log = p.math.Mul(Log2(p.math, sum), kLn2);
  end.lse = p.math.MulAdd(p.fma.lse, row->max, p.math.Mul(p.scale_log2, kLn2), log);
  return end;
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_SOFTMAX_H_
