// Compiled once an instruction set; the best one present is chosen at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/softmax_lanes.cc"
#include "sim/softmax_lanes.h"

#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D64 = hn::ScalableTag<double>;
using DI64 = hn::RebindToSigned<D64>;
using D32 = hn::Rebind<float, D64>;  // as many floats as doubles
using DU32 = hn::RebindToUnsigned<D32>;
using V64 = hn::Vec<D64>;
using V32 = hn::Vec<D32>;

V32 FlushLanes(bool ftz, V32 x) {
  if (!ftz) return x;
  const D32 d;
  const DU32 du;
  const auto bits = hn::BitCast(du, x);
  const auto subnormal = hn::And(bits, hn::Set(du, kFp32Infinity)) == hn::Zero(du);
  const auto sign = hn::And(bits, hn::Set(du, 0x8000'0000));
  return hn::BitCast(d, hn::IfThenElse(subnormal, sign, bits));
}

/// sim/exp2.h: RoundToOdd.
V64 RoundToOddLanes(V64 sum, V64 error) {
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

V32 MulAddLanes(bool ftz, bool fused, V32 a, V32 b, V32 c) {
  const D64 d;
  const D32 df;
  if (!fused) return FlushLanes(ftz, hn::Add(FlushLanes(ftz, hn::Mul(a, b)), c));
  const auto product = hn::Mul(hn::PromoteTo(d, a), hn::PromoteTo(d, b));
  const auto addend = hn::PromoteTo(d, c);
  const auto sum = hn::Add(product, addend);
  const auto from_product = hn::Sub(sum, addend);
  const auto error =
      hn::Add(hn::Sub(product, from_product), hn::Sub(addend, hn::Sub(sum, from_product)));
  return FlushLanes(ftz, hn::DemoteTo(df, RoundToOddLanes(sum, error)));
}

/// sim/exp2.h: SplitExp2 and Exp2CorrectlyRounded.
V32 Exp2Lanes(V32 x32) {
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

void ProbabilityLanes(const SoftmaxParams& p, float max_scaled, float* s, int n) {
  const D32 df;
  const int lanes = static_cast<int>(hn::Lanes(df));
  const bool ftz = p.math.ftz;
  const auto scale = hn::Set(df, p.math.Flush(p.scale_log2));
  const auto addend = hn::Set(df, p.math.Flush(-max_scaled));
  int i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto x =
        MulAddLanes(ftz, p.fma.p_argument, FlushLanes(ftz, hn::LoadU(df, s + i)), scale, addend);
    hn::StoreU(FlushLanes(ftz, Exp2Lanes(x)), df, s + i);
  }
  for (; i < n; ++i)
    s[i] = p.math.Flush(
        Exp2CorrectlyRounded(p.math.MulAdd(p.fma.p_argument, s[i], p.scale_log2, -max_scaled)));
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {

HWY_EXPORT(ProbabilityLanes);

void SoftmaxProbabilityLanes(const SoftmaxParams& p, float max_scaled, float* s, int n) {
  HWY_DYNAMIC_DISPATCH(ProbabilityLanes)(p, max_scaled, s, n);
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
