// Compiled once an instruction set; the best one present is chosen at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/softmax_lanes.cc"
#include "sim/softmax_lanes.h"

#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

// Emulated vectors gain nothing, and their double-to-float conversion stops at the largest finite
// float.
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

void ProbabilityLanes(const SoftmaxParams& p, float max_scaled, float* s, int n) {
  SoftmaxParams exact = p;
  exact.model = Exp2Model::kCorrectlyRounded;
  SoftmaxRow unused;
  SoftmaxProbabilities(exact, max_scaled, s, n, &unused);
}

float StepLanes(const SoftmaxParams& p, bool check_inf, float* s, int n, SoftmaxRow* row) {
  SoftmaxParams exact = p;
  exact.model = Exp2Model::kCorrectlyRounded;
  return SoftmaxStep(exact, check_inf, s, n, row);
}

void ScaleRow(const Fp32& math, float scale, float* o, int64_t n) {
  for (int64_t i = 0; i < n; ++i) o[i] = math.Mul(o[i], scale);
}

void ScaleAndAddRow(const Fp32& math, bool fused, float scale, const float* tile, float* o,
                    int64_t n) {
  for (int64_t i = 0; i < n; ++i) o[i] = math.MulAdd(fused, o[i], scale, tile[i]);
}

#else

namespace hn = hwy::HWY_NAMESPACE;
using D64 = hn::ScalableTag<double>;
using DI64 = hn::RebindToSigned<D64>;
using D32 = hn::Rebind<float, D64>;  // as many floats as doubles
using DU32 = hn::RebindToUnsigned<D32>;
using V64 = hn::Vec<D64>;
using V32 = hn::Vec<D32>;

HWY_INLINE V32 FlushLanes(bool ftz, V32 x) {
  if (!ftz) return x;
  const D32 d;
  const DU32 du;
  const auto bits = hn::BitCast(du, x);
  const auto subnormal = hn::And(bits, hn::Set(du, kFp32Infinity)) == hn::Zero(du);
  const auto sign = hn::And(bits, hn::Set(du, 0x8000'0000));
  return hn::BitCast(d, hn::IfThenElse(subnormal, sign, bits));
}

/// sim/exp2.h: RoundToOdd.
HWY_INLINE V64 RoundToOddLanes(V64 sum, V64 error) {
  const D64 d;
  const DI64 di;
  const auto zero = hn::Zero(d);
  const auto bits = hn::BitCast(di, sum);
  const auto one = hn::Set(di, 1);
  const auto toward_zero = hn::MaskFromVec(
      hn::Xor(hn::VecFromMask(d, hn::Gt(error, zero)), hn::VecFromMask(d, hn::Gt(sum, zero))));
  const auto direction = hn::IfThenElse(hn::RebindMask(di, toward_zero), hn::Set(di, -1), one);
  const auto inexact = hn::RebindMask(di, hn::Or(hn::Gt(error, zero), hn::Lt(error, zero)));
  const auto even = hn::And(bits, one) == hn::Zero(di);
  const auto step = hn::IfThenElseZero(hn::And(inexact, even), direction);
  return hn::BitCast(d, hn::Add(bits, step));
}

/// Fp32::MulAdd of flushed operands.
HWY_INLINE V32 MulAddLanes(bool ftz, bool fused, V32 a, V32 b, V32 c) {
  if (!fused) return FlushLanes(ftz, hn::Add(FlushLanes(ftz, hn::Mul(a, b)), c));
#if HWY_NATIVE_FMA
  return FlushLanes(ftz, hn::MulAdd(a, b, c));
#else
  const D64 d;
  const D32 df;
  const auto product = hn::Mul(hn::PromoteTo(d, a), hn::PromoteTo(d, b));
  const auto addend = hn::PromoteTo(d, c);
  const auto sum = hn::Add(product, addend);
  const auto from_product = hn::Sub(sum, addend);
  const auto error =
      hn::Add(hn::Sub(product, from_product), hn::Sub(addend, hn::Sub(sum, from_product)));
  return FlushLanes(ftz, hn::DemoteTo(df, RoundToOddLanes(sum, error)));
#endif
}

/// sim/exp2.h: SplitExp2 and Exp2CorrectlyRounded.
HWY_NOINLINE V32 Exp2Slowly(V32 x32) {
  const D64 d;
  const DI64 di;
  const D32 df;
  using C = Exp2Coefficients;
  const double* table = Exp2Entry(0);
  const auto clamped = hn::Max(hn::Min(x32, hn::Set(df, 129.0f)), hn::Set(df, -151.0f));
  // A NaN becomes any number here, and NaN again below.
  const auto x = hn::PromoteTo(d, hn::IfThenElseZero(x32 == x32, clamped));
  const auto round = hn::Set(d, 0x1.8p+52);
  const auto shifted = hn::Add(hn::Mul(x, hn::Set(d, 64)), round);
  const auto whole = hn::Sub(shifted, round);
  const auto k = hn::Sub(hn::BitCast(di, shifted), hn::BitCast(di, round));
  const auto entry = hn::ShiftLeft<1>(hn::And(k, hn::Set(di, 63)));
  const auto t_hi = hn::GatherIndex(d, table, entry);
  const auto t_lo = hn::GatherIndex(d, table + 1, entry);
  const auto r = hn::Sub(x, hn::Mul(whole, hn::Set(d, 0x1p-6)));
  auto p = hn::Mul(r, hn::Set(d, C::kC6));
  for (const double c : {C::kC5, C::kC4, C::kC3, C::kC2, C::kC1})
    p = hn::Mul(r, hn::Add(hn::Set(d, c), p));
  const auto lo = hn::Add(t_lo, hn::Mul(t_hi, p));
  const auto sum = hn::Add(t_hi, lo);
  const auto error = hn::Add(hn::Sub(t_hi, sum), lo);
  const auto power =
      hn::BitCast(d, hn::ShiftLeft<52>(hn::Add(hn::ShiftRight<6>(k), hn::Set(di, 1023))));
  auto y = hn::DemoteTo(df, hn::Mul(RoundToOddLanes(sum, error), power));
  const auto constant = [&](uint32_t bits) { return hn::Set(df, fp8::BitCast<float>(bits)); };
  y = hn::IfThenElse(hn::Ge(x32, hn::Set(df, 128.0f)), constant(kFp32Infinity), y);
  y = hn::IfThenElse(hn::Le(x32, hn::Set(df, -150.0f)), hn::Zero(df), y);
  return hn::IfThenElse(x32 == x32, y, constant(kFp32Nan));
}

/// The same, by one polynomial in binary64: x = n + f, |f| <= 1/2, 2^x = 2^n (1 + f q(f)). Where
/// its result is too close to a midpoint of floats to be sure of the nearest one, or is none of
/// FP32's normal numbers, the vector goes the slow way.
HWY_INLINE V32 Exp2Lanes(bool ftz, V32 x32) {
  const D64 d;
  const DI64 di;
  const D32 df;
  const auto x = hn::PromoteTo(d, x32);
  const auto round = hn::Set(d, 0x1.8p+52);
  const auto shifted = hn::Add(x, round);
  const auto f = hn::Sub(x, hn::Sub(shifted, round));
  // Near-minimax for (2^f - 1) / f on [-1/2, 1/2]: mpmath 1.3 chebyfit, 9 terms, rounded to
  // double. 1 + f q(f) then lies within 2^-44.6 of 2^f, relative (at 4001 points).
  constexpr double kQ[] = {0x1.b63880a30e9ffp-24, 0x1.63d136366db24p-20, 0x1.ffcb9515a8016p-17,
                           0x1.4308ac85aa947p-13, 0x1.5d87fe86fe88ep-10, 0x1.3b2ab7181b755p-7,
                           0x1.c6b08d7047e52p-5,  0x1.ebfbdff823cedp-3,  0x1.62e42fefa39efp-1};
  auto q = hn::Set(d, kQ[0]);
  for (int i = 1; i < 9; ++i) q = hn::MulAdd(q, f, hn::Set(d, kQ[i]));
  const auto y = hn::BitCast(di, hn::MulAdd(q, f, hn::Set(d, 1)));  // in [0.7, 1.42]

  // 29 of its bits lie below a float's last; the midpoint is 2^28. The error is at most
  // 2^-44.6 * 2^53 < 2^9 units of the last place; four times that counts as close.
  constexpr int64_t kClose = int64_t{1} << 11;
  const auto below = hn::And(hn::Add(y, hn::Set(di, kClose - (int64_t{1} << 28))),
                             hn::Set(di, (int64_t{1} << 29) - 1));
  const auto close = hn::RebindMask(d, hn::Lt(below, hn::Set(di, 2 * kClose)));
  const auto normal = hn::And(hn::Ge(x, hn::Set(d, -126)), hn::Lt(x, hn::Set(d, 128)));
  const auto nothing = hn::Le(x, hn::Set(d, -150));
  if (HWY_UNLIKELY(!hn::AllTrue(d, hn::AndNot(close, hn::Or(normal, nothing))))) {
    return FlushLanes(ftz, Exp2Slowly(FlushLanes(ftz, x32)));
  }
  // The low bits of `shifted` are those of n.
  const auto power = hn::ShiftLeft<52>(hn::BitCast(di, shifted));
  return hn::DemoteTo(df, hn::IfThenElseZero(normal, hn::BitCast(d, hn::Add(y, power))));
}

/// The constants of a tile's exponents.
class Probability {
 public:
  HWY_INLINE Probability(const SoftmaxParams& p, float max_scaled)
      : ftz_(p.math.ftz),
        fused_(p.fma.p_argument),
        scale_(hn::Set(D32(), p.math.Flush(p.scale_log2))),
        addend_(hn::Set(D32(), p.math.Flush(-max_scaled))) {}

  HWY_INLINE void operator()(float* s) const {
    const D32 df;
    const V32 score = FlushLanes(ftz_, hn::LoadU(df, s));
    hn::StoreU(Exp2Lanes(ftz_, MulAddLanes(ftz_, fused_, score, scale_, addend_)), df, s);
  }

 private:
  bool ftz_, fused_;
  V32 scale_, addend_;
};

void ProbabilityLanes(const SoftmaxParams& p, float max_scaled, float* s, int n) {
  const int lanes = static_cast<int>(hn::Lanes(D32()));
  const Probability probability(p, max_scaled);
  int i = 0;
  for (; i + lanes <= n; i += lanes) probability(s + i);
  for (; i < n; ++i)
    s[i] = p.math.Flush(
        Exp2CorrectlyRounded(p.math.MulAdd(p.fma.p_argument, s[i], p.scale_log2, -max_scaled)));
}

TileScale MaximumLanes(const SoftmaxParams& p, bool check_inf, float* s, int n, SoftmaxRow* row) {
  const hn::CappedTag<float, 8> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const float minus_inf = NegativeInfinity();
  auto max = hn::Set(d, row->started && row->max == row->max ? row->max : minus_inf);
  for (int i = 0; i < n; i += lanes) {
    auto x = hn::LoadU(d, s + i);
    if (p.math.ftz) {
      const auto bits = hn::BitCast(du, x);
      const auto subnormal = hn::And(bits, hn::Set(du, kFp32Infinity)) == hn::Zero(du);
      const auto sign = hn::And(bits, hn::Set(du, 0x8000'0000));
      x = hn::BitCast(d, hn::IfThenElse(subnormal, sign, bits));
      hn::StoreU(x, d, s + i);
    }
    max = hn::IfThenElse(hn::Gt(x, max), x, max);
  }
  alignas(32) float each[8];
  hn::Store(max, d, each);
  float largest = each[0];
  for (int i = 1; i < lanes; ++i) largest = each[i] > largest ? each[i] : largest;
  // Two zeros differ in sign, and -Inf may stand for NaNs: the first of them decides.
  if (largest == 0 || largest == minus_inf) return SoftmaxMaximum(p, check_inf, s, n, row);
  return MoveMaximum(p, check_inf, largest, row);
}

float StepLanes(const SoftmaxParams& p, bool check_inf, float* s, int n, SoftmaxRow* row) {
  const TileScale tile = MaximumLanes(p, check_inf, s, n, row);
  const int lanes = static_cast<int>(hn::Lanes(D32()));
  const hn::FixedTag<float, 4> quad;
  const Probability probability(p, tile.max_scaled);
  // SoftmaxSum without its flushes: P and the sums are flushed and not negative, so are their sums.
  auto sum = hn::LoadU(quad, row->sum);
  for (int j = 0; j < n; j += 8) {
    for (int i = 0; i < 8; i += lanes) probability(s + j + i);
    const auto low = hn::LoadU(quad, s + j), high = hn::LoadU(quad, s + j + 4);
    sum = hn::Add(sum, hn::ConcatEven(quad, high, low));
    sum = hn::Add(sum, hn::ConcatOdd(quad, high, low));
  }
  hn::StoreU(sum, quad, row->sum);
  return tile.scale;
}

/// o <- o * scale, then + tile if there is one.
HWY_INLINE void UpdateRow(const Fp32& math, bool fused, float scale, const float* tile, float* o,
                          int64_t n) {
  const D32 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const V32 factor = hn::Set(d, math.Flush(scale));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V32 old = FlushLanes(math.ftz, hn::LoadU(d, o + i));
    if (tile == nullptr) {
      hn::StoreU(FlushLanes(math.ftz, hn::Mul(old, factor)), d, o + i);
    } else {
      const V32 addend = FlushLanes(math.ftz, hn::LoadU(d, tile + i));
      hn::StoreU(MulAddLanes(math.ftz, fused, old, factor, addend), d, o + i);
    }
  }
  for (; i < n; ++i) {
    o[i] = tile == nullptr ? math.Mul(o[i], scale) : math.MulAdd(fused, o[i], scale, tile[i]);
  }
}

void ScaleRow(const Fp32& math, float scale, float* o, int64_t n) {
  UpdateRow(math, false, scale, nullptr, o, n);
}

void ScaleAndAddRow(const Fp32& math, bool fused, float scale, const float* tile, float* o,
                    int64_t n) {
  UpdateRow(math, fused, scale, tile, o, n);
}

#endif  // emulated

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {

HWY_EXPORT(ProbabilityLanes);
HWY_EXPORT(StepLanes);
HWY_EXPORT(ScaleRow);
HWY_EXPORT(ScaleAndAddRow);

float SoftmaxStepLanes(const SoftmaxParams& p, bool check_inf, float* s, int n, SoftmaxRow* row) {
  return HWY_DYNAMIC_DISPATCH(StepLanes)(p, check_inf, s, n, row);
}

void SoftmaxProbabilityLanes(const SoftmaxParams& p, float max_scaled, float* s, int n) {
  HWY_DYNAMIC_DISPATCH(ProbabilityLanes)(p, max_scaled, s, n);
}

void ScaleLanes(const Fp32& math, float scale, float* o, int64_t n) {
  HWY_DYNAMIC_DISPATCH(ScaleRow)(math, scale, o, n);
}

void ScaleAndAddLanes(const Fp32& math, bool fused, float scale, const float* tile, float* o,
                      int64_t n) {
  HWY_DYNAMIC_DISPATCH(ScaleAndAddRow)(math, fused, scale, tile, o, n);
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
