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

// Products of a strip, or of one row, on their way into blocks: whole groups, as many as fit.
struct alignas(64) StagedFloats {
  static constexpr int kMost = kMaxInstructionK * kStrip;
  uint32_t codes[kMost];
  float values[kMost];
  int32_t exponents[kMost];  // unbiased; or kZeroExponent, kSpecialExponent
};

// Takes apart codes[0, count), count a multiple of kStrip. flush: subnormals count as +0, as does
// -0.
HWY_ATTR inline void DecodeFloats(fp8::Format f, bool flush, int count, StagedFloats& out) {
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

// Writes the group that begins at `values` and `exponents` as one block of B.
HWY_ATTR inline void StoreStripBlock(const float* values, const int32_t* exponents,
                                     const AccumSpec& spec, LanePath path,
                                     const FloatLayout& layout, uint8_t* block) {
  std::memcpy(block, values, static_cast<size_t>(layout.second));
  if (path == LanePath::kDouble) {
    auto* spreads = reinterpret_cast<int32_t*>(block + layout.second);
    for (int j = 0; j < kStrip; ++j) spreads[j] = Spread(exponents + j, spec.group, kStrip);
  }
  if (path == LanePath::kLateFloor) {
    auto* pairs = reinterpret_cast<int16_t*>(block + layout.second);
    for (int k = 0; k < spec.group; ++k, exponents += kStrip) {
      int16_t* to = pairs + k / 2 * 2 * kStrip + k % 2;
      for (int j = 0; j < kStrip; ++j) {
        to[2 * j] = static_cast<int16_t>(exponents[j] + kExponentBias);
      }
    }
  }
}

// As one block of A.
HWY_ATTR inline void StoreRowBlock(const float* values, const int32_t* exponents,
                                   const AccumSpec& spec, LanePath path, const FloatLayout& layout,
                                   uint8_t* block) {
  if (path == LanePath::kDouble) {
    for (int k = 0; k < spec.group; ++k) reinterpret_cast<double*>(block)[k] = values[k];
    const int32_t spread = Spread(exponents, spec.group, 1);
    std::memcpy(block + layout.second, &spread, sizeof(spread));
    return;
  }
  std::memcpy(block, values, static_cast<size_t>(layout.second));
  if (path == LanePath::kLateFloor) {
    auto* shorts = reinterpret_cast<int16_t*>(block + layout.second);
    for (int k = 0; k < spec.group; ++k) shorts[k] = static_cast<int16_t>(exponents[k]);
  }
}

HWY_INLINE bool FlushesInputs(const AccumSpec& s) { return s.flow == Flow::kTree && s.flush; }

template <class T>
HWY_ATTR void PackFloatStripsOf(const PackedB::Impl& b, uint8_t* strips) {
  const AccumSpec& spec = b.spec;
  const FloatLayout layout = FloatStripLayout(spec, b.plan.path);
  const auto* codes = static_cast<const T*>(b.codes.data);
  const int64_t k_step = b.KStep(), column_step = b.ColumnStep();
  const int64_t whole = GroupCount(spec, b.k) * spec.group;
  const int64_t at_once = StagedFloats::kMost / kStrip / spec.group * spec.group;
  StagedFloats staged;
  for (int64_t column = 0; column < b.n; column += kStrip) {
    const int n = static_cast<int>(std::min<int64_t>(kStrip, b.n - column));
    for (int64_t first = 0; first < whole; first += at_once) {
      const int count = static_cast<int>(std::min(at_once, whole - first));
      const int present = static_cast<int>(std::clamp<int64_t>(b.k - first, 0, count));
      if (n < kStrip || present < count) std::fill_n(staged.codes, count * kStrip, 0);
      for (int k = 0; k < present; ++k) {
        const T* from = codes + (first + k) * k_step + column * column_step;
        for (int j = 0; j < n; ++j) staged.codes[k * kStrip + j] = from[j * column_step];
      }
      DecodeFloats(spec.b, FlushesInputs(spec), count * kStrip, staged);
      for (int k = 0; k < count; k += spec.group, strips += layout.bytes) {
        StoreStripBlock(staged.values + k * kStrip, staged.exponents + k * kStrip, spec,
                        b.plan.path, layout, strips);
      }
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
  const int64_t whole = GroupCount(spec, a.cols) * spec.group;
  const int64_t at_once = StagedFloats::kMost / spec.group * spec.group;
  StagedFloats staged;
  for (int64_t i = 0; i < a.rows; ++i) {
    const T* row = static_cast<const T*>(a.data) + i * a.stride;
    for (int64_t first = 0; first < whole; first += at_once) {
      const int count = static_cast<int>(std::min(at_once, whole - first));
      const int present = static_cast<int>(std::clamp<int64_t>(a.cols - first, 0, count));
      const int staged_count = (count + kStrip - 1) / kStrip * kStrip;
      std::copy_n(row + first, present, staged.codes);
      std::fill(staged.codes + present, staged.codes + staged_count, 0);
      DecodeFloats(spec.a, FlushesInputs(spec), staged_count, staged);
      for (int k = 0; k < count; k += spec.group, blocks += layout.bytes) {
        StoreRowBlock(staged.values + k, staged.exponents + k, spec, path, layout, blocks);
      }
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
