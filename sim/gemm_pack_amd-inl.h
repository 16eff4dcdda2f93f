// Taking operands apart into FP32 numbers, in the blocks that sim/gemm_pack_amd.h describes. For
// callers in the default floating-point environment: BF16's subnormals are FP32's.
// Included once an instruction set; no include guard of the usual kind.
#if defined(LOSTBITS_SIM_GEMM_PACK_AMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_GEMM_PACK_AMD_INL_H_
#undef LOSTBITS_SIM_GEMM_PACK_AMD_INL_H_
#else
#define LOSTBITS_SIM_GEMM_PACK_AMD_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "fp8/hd.h"
#include "hwy/highway.h"
#include "sim/accum.h"
#include "sim/gemm_pack_amd.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One group of a strip, or of one row (one element a product, then unused ones).
struct alignas(64) FloatGroup {
  static constexpr int kMost = kMaxInstructionK * kStrip;
  uint32_t codes[kMost];
  float values[kMost];
  int32_t exponents[kMost];  // unbiased; or kZeroExponent, kSpecialExponent
};

// Takes apart codes[0, count), count a multiple of kStrip. flush: subnormals count as +0, as does
// -0.
HWY_ATTR inline void DecodeFloats(fp8::Format f, bool flush, int count, FloatGroup& out) {
  const hn::CappedTag<int32_t, kStrip> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::RebindToFloat<decltype(d)> df;
  const auto zero = hn::Zero(d);
  const auto largest = hn::Set(d, static_cast<int>(fp8::MaxMagnitude(f)));
  const auto nan = hn::Set(d, 0x7FFF'FFFF);
  const auto inf = fp8::HasInf(f) ? hn::Set(d, 0x7F80'0000) : nan;
  // The fields in FP32's places are the number times 2^(bias - 127).
  const auto scale =
      hn::Set(df, fp8::BitCast<float>(static_cast<uint32_t>(127 + 127 - f.bias) << 23));
  for (int i = 0; i < count; i += static_cast<int>(hn::Lanes(d))) {
    const auto code = hn::ShiftRightSame(hn::Load(du, out.codes + i), f.pad);
    const auto magnitude =
        hn::BitCast(d, hn::And(code, hn::Set(du, (uint32_t{1} << fp8::MagnitudeBits(f)) - 1)));
    const auto sign = hn::BitCast(
        d, hn::And(hn::ShiftLeftSame(code, 31 - fp8::MagnitudeBits(f)), hn::Set(du, 0x8000'0000)));
    const auto field =
        hn::BitCast(d, hn::ShiftRightSame(hn::BitCast(du, magnitude), f.mantissa_bits));
    const auto is_zero = hn::Eq(magnitude, zero);
    auto special = hn::Gt(magnitude, largest);
    if (f.specials == fp8::Specials::kFnuz) special = hn::And(is_zero, hn::Ne(sign, zero));
    const auto fields = hn::ShiftLeftSame(magnitude, 23 - f.mantissa_bits);
    auto word = hn::BitCast(d, hn::Mul(hn::BitCast(df, fields), scale));
    word = hn::Or(word, sign);
    const auto first_special = hn::Eq(magnitude, hn::Add(largest, hn::Set(d, 1)));
    word = hn::IfThenElse(special, hn::Or(hn::IfThenElse(first_special, inf, nan), sign), word);
    auto exponent = hn::Sub(hn::Max(field, hn::Set(d, 1)), hn::Set(d, f.bias));
    exponent = hn::IfThenElse(is_zero, hn::Set(d, kZeroExponent), exponent);
    exponent = hn::IfThenElse(special, hn::Set(d, kSpecialExponent), exponent);
    if (flush) {
      const auto flushed = hn::And(hn::Eq(field, zero), hn::Not(special));
      word = hn::IfThenZeroElse(flushed, word);
      exponent = hn::IfThenElse(flushed, hn::Set(d, kZeroExponent), exponent);
    }
    hn::Store(hn::BitCast(df, word), df, out.values + i);
    hn::Store(exponent, d, out.exponents + i);
  }
}

// The largest exponent less the smallest, of the finite nonzero ones among `group` of them `step`
// apart.
HWY_INLINE int32_t Spread(const int32_t* exponents, int group, int step) {
  int32_t smallest = kSpecialExponent, largest = kZeroExponent;
  for (int k = 0; k < group; ++k) {
    const int32_t e = exponents[k * step];
    smallest = std::min(smallest, e == kZeroExponent ? kSpecialExponent : e);
    largest = std::max(largest, e == kSpecialExponent ? kZeroExponent : e);
  }
  return std::max(largest - smallest, 0);
}

// Writes what was taken apart as one block of B.
HWY_ATTR inline void StoreStripBlock(const FloatGroup& group, const AccumSpec& spec, LanePath path,
                                     const FloatLayout& layout, uint8_t* block) {
  std::memcpy(block, group.values, static_cast<size_t>(layout.second));
  if (path == LanePath::kDouble) {
    auto* spreads = reinterpret_cast<int32_t*>(block + layout.second);
    for (int j = 0; j < kStrip; ++j) spreads[j] = Spread(group.exponents + j, spec.group, kStrip);
  }
  if (path == LanePath::kLateFloor) {
    auto* exponents = reinterpret_cast<int16_t*>(block + layout.second);
    for (int k = 0; k < spec.group; ++k) {
      const int32_t* from = group.exponents + k * kStrip;
      int16_t* to = exponents + k / 2 * 2 * kStrip + k % 2;
      for (int j = 0; j < kStrip; ++j) to[2 * j] = static_cast<int16_t>(from[j] + kExponentBias);
    }
  }
}

// As one block of A.
HWY_ATTR inline void StoreRowBlock(const FloatGroup& group, const AccumSpec& spec, LanePath path,
                                   const FloatLayout& layout, uint8_t* block) {
  if (path == LanePath::kDouble) {
    for (int k = 0; k < spec.group; ++k) reinterpret_cast<double*>(block)[k] = group.values[k];
    const int32_t spread = Spread(group.exponents, spec.group, 1);
    std::memcpy(block + layout.second, &spread, sizeof(spread));
    return;
  }
  std::memcpy(block, group.values, static_cast<size_t>(layout.second));
  if (path == LanePath::kLateFloor) {
    auto* exponents = reinterpret_cast<int16_t*>(block + layout.second);
    for (int k = 0; k < spec.group; ++k) exponents[k] = static_cast<int16_t>(group.exponents[k]);
  }
}

HWY_INLINE bool FlushesInputs(const AccumSpec& s) { return s.flow == Flow::kTree && s.flush; }

template <class T>
HWY_ATTR void PackFloatStripsOf(const PackedB::Impl& b, uint8_t* strips) {
  const AccumSpec& spec = b.spec;
  const FloatLayout layout = FloatStripLayout(spec, b.plan.path);
  const auto* codes = reinterpret_cast<const T*>(b.codes.data());
  const int64_t k_step = b.transposed ? 1 : b.n, column_step = b.transposed ? b.k : 1;
  FloatGroup group;
  for (int64_t column = 0; column < b.n; column += kStrip) {
    const int n = static_cast<int>(std::min<int64_t>(kStrip, b.n - column));
    for (int64_t g = 0; g < GroupCount(spec, b.k); ++g, strips += layout.bytes) {
      const GroupPlace place = PlaceOfGroup(spec, b.k, g);
      const int count = spec.group * kStrip;
      if (n < kStrip || place.count < spec.group) std::fill_n(group.codes, count, 0);
      for (int i = 0; i < place.count; ++i) {
        const T* from = codes + (place.first + i) * k_step + column * column_step;
        for (int j = 0; j < n; ++j) group.codes[i * kStrip + j] = from[j * column_step];
      }
      DecodeFloats(spec.b, FlushesInputs(spec), count, group);
      StoreStripBlock(group, spec, b.plan.path, layout, strips);
    }
  }
}

/// Fills b.strips from b.codes.
HWY_ATTR inline void PackFloatStrips(PackedB::Impl& b) {
  const int bits = fp8::StorageBits(b.spec.b);
  uint8_t* strips = b.strips.data();
  if (bits <= 8) return PackFloatStripsOf<uint8_t>(b, strips);
  if (bits <= 16) return PackFloatStripsOf<uint16_t>(b, strips);
  return PackFloatStripsOf<uint32_t>(b, strips);
}

template <class T>
HWY_ATTR void PackFloatRowsOf(const AccumSpec& spec, LanePath path, CodeView a, uint8_t* blocks) {
  const FloatLayout layout = FloatRowLayout(spec, path);
  const int count = (spec.group + kStrip - 1) / kStrip * kStrip;
  FloatGroup group;
  for (int64_t i = 0; i < a.rows; ++i) {
    const T* row = static_cast<const T*>(a.data) + i * a.stride;
    for (int64_t g = 0; g < GroupCount(spec, a.cols); ++g, blocks += layout.bytes) {
      const GroupPlace place = PlaceOfGroup(spec, a.cols, g);
      std::fill_n(group.codes, count, 0);
      for (int k = 0; k < place.count; ++k) group.codes[k] = row[place.first + k];
      DecodeFloats(spec.a, FlushesInputs(spec), count, group);
      StoreRowBlock(group, spec, path, layout, blocks);
    }
  }
}

/// Takes rows of A apart: blocks of FloatRowLayout, [row][group].
HWY_ATTR inline void PackFloatRows(const AccumSpec& spec, LanePath path, CodeView a,
                                   uint8_t* blocks) {
  const int bits = fp8::StorageBits(spec.a);
  if (bits <= 8) return PackFloatRowsOf<uint8_t>(spec, path, a, blocks);
  if (bits <= 16) return PackFloatRowsOf<uint16_t>(spec, path, a, blocks);
  return PackFloatRowsOf<uint32_t>(spec, path, a, blocks);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // include guard toggle
