// Compiled once an instruction set; the best one present is chosen at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/haystack_lanes.cc"
#include "sim/haystack_lanes.h"

#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"
// clang-format off
#include "fp8/codec.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void NormalCodes(Random* random, std::span<uint8_t> codes) {
  for (uint8_t& code : codes)
    code = static_cast<uint8_t>(fp8::Encode<fp8::kE4M3FN>(random->Normal()));
}

#else

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<double, 8>;
using DU = hn::RebindToUnsigned<D>;
using DI = hn::RebindToSigned<D>;
using V = hn::Vec<D>;
using VU = hn::Vec<DU>;

/// a * factor modulo 2^64, from products of 32-bit halves.
HWY_INLINE VU Times(VU a, uint64_t factor) {
  const DU d;
  const hn::Repartition<uint32_t, DU> halves;
  const auto half = [&](VU x) HWY_ATTR { return hn::BitCast(halves, x); };
  const VU low = hn::Set(d, factor), high = hn::Set(d, factor >> 32);
  const VU cross = hn::Add(hn::MulEven(half(hn::ShiftRight<32>(a)), half(low)),
                           hn::MulEven(half(a), half(high)));
  return hn::Add(hn::MulEven(half(a), half(low)), hn::ShiftLeft<32>(cross));
}

/// Random::Next from its state.
HWY_INLINE VU Mix(VU z) {
  z = Times(hn::Xor(z, hn::ShiftRight<30>(z)), Random::kMix1);
  z = Times(hn::Xor(z, hn::ShiftRight<27>(z)), Random::kMix2);
  return hn::Xor(z, hn::ShiftRight<31>(z));
}

HWY_INLINE V ToDouble(VU small) { return hn::ConvertTo(D(), hn::BitCast(DI(), small)); }

/// Encode<kE4M3FN> of finite numbers below 448.
HWY_INLINE VU ToE4M3(V x) {
  const D d;
  const DU du;
  const VU bits = hn::BitCast(du, x);
  const VU magnitude = hn::AndNot(hn::Set(du, uint64_t{1} << 63), bits);
  // Normal: 49 of binary64's mantissa bits go, to nearest even; the exponent's bias falls to 7.
  const VU odd = hn::And(hn::ShiftRight<49>(magnitude), hn::Set(du, 1));
  const VU rounded =
      hn::ShiftRight<49>(hn::Add(magnitude, hn::Add(odd, hn::Set(du, (uint64_t{1} << 48) - 1))));
  const VU normal = hn::Sub(rounded, hn::Set(du, (1023 - 7) << 3));
  // Below 2^-6: a multiple of 2^-9, which the sum with 2^43 has in its last bits.
  const V pad = hn::Set(d, 0x1p43);
  const VU subnormal =
      hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(d, magnitude), pad)), hn::BitCast(du, pad));
  const auto small = hn::RebindMask(du, hn::Lt(hn::BitCast(d, magnitude), hn::Set(d, 0x1p-6)));
  const VU sign = hn::And(hn::ShiftRight<56>(bits), hn::Set(du, 0x80));
  return hn::Or(hn::IfThenElse(small, subnormal, normal), sign);
}

void NormalCodes(Random* random, std::span<uint8_t> codes) {
  const D d;
  const DU du;
  const size_t lanes = hn::Lanes(d), whole = codes.size() / lanes * lanes;
  // Number i of the stream, counted from 1, is the mix of start + i * kGamma; a normal takes three.
  const uint64_t start = random->Skip(3 * whole);
  alignas(64) uint64_t each[8];
  for (size_t l = 0; l < lanes; ++l) each[l] = start + (3 * l + 1) * Random::kGamma;
  VU state = hn::Load(du, each);
  const VU gamma = hn::Set(du, Random::kGamma), step = hn::Set(du, 3 * lanes * Random::kGamma);
  for (size_t i = 0; i < whole; i += lanes) {
    // Random::Normal, in its order.
    const VU second = hn::Add(state, gamma), third = hn::Add(second, gamma);
    const VU ones = hn::Add(hn::PopulationCount(Mix(state)), hn::PopulationCount(Mix(second)));
    const V uniform = hn::Mul(ToDouble(hn::ShiftRight<11>(Mix(third))), hn::Set(d, 0x1p-53));
    const V centred = hn::Sub(ToDouble(ones), hn::Set(d, 64));
    const V normal = hn::Mul(hn::Sub(hn::Add(centred, uniform), hn::Set(d, 0.5)),
                             hn::Set(d, Random::kInverseDeviation));
    hn::Store(ToE4M3(normal), du, each);
    for (size_t l = 0; l < lanes; ++l) codes[i + l] = static_cast<uint8_t>(each[l]);
    state = hn::Add(state, step);
  }
  for (uint8_t& code : codes.subspan(whole))
    code = static_cast<uint8_t>(fp8::Encode<fp8::kE4M3FN>(random->Normal()));
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {

HWY_EXPORT(NormalCodes);

void NormalCodesInLanes(Random* random, std::span<uint8_t> codes) {
  HWY_DYNAMIC_DISPATCH(NormalCodes)(random, codes);
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
