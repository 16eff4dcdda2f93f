// Taking operands apart in 16-bit lanes, into the blocks that sim/gemm_pack.h describes.
// Included once an instruction set; no include guard of the usual kind.
#if defined(LOSTBITS_SIM_GEMM_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_GEMM_PACK_INL_H_
#undef LOSTBITS_SIM_GEMM_PACK_INL_H_
#else
#define LOSTBITS_SIM_GEMM_PACK_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "sim/gemm_pack.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Codes of one group, gathered: TF32 in two halves, everything else in `upper` alone.
struct alignas(64) StagedCodes {
  static constexpr int kMost = 32 * kStrip;
  uint16_t upper[kMost];
  uint16_t lower[kMost];
};

// Operands taken apart: exponent (with its bias, or kZeroExponent or kSpecialExponent), shifted
// significand, and 0 or -1 for the sign.
struct alignas(64) StagedOperands {
  int16_t exponent[StagedCodes::kMost];
  int16_t significand[StagedCodes::kMost];
  int16_t negative[StagedCodes::kMost];
};

// Decodes codes[0, count); count is a multiple of 32, or lanes are scalar.
HWY_ATTR inline void DecodeCodes(const DecodePlan& plan, const StagedCodes& codes, int count,
                                 StagedOperands& out) {
  const fp8::Format f = plan.format;
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < count; ++i) {
    const fp8::Format whole{f.exponent_bits,
                            static_cast<uint8_t>(f.mantissa_bits + plan.extra_bits), f.bias,
                            f.specials};
    const uint32_t code = (uint32_t{codes.upper[i]} << plan.extra_bits) | codes.lower[i];
    const fp8::Unpacked u = fp8::Unpack(whole, code);
    out.exponent[i] =
        static_cast<int16_t>(u.cls == fp8::Class::kZero     ? kZeroExponent
                             : u.cls == fp8::Class::kFinite ? u.exponent + plan.exponent_bias
                                                            : kSpecialExponent);
    out.significand[i] = static_cast<int16_t>(u.significand << plan.shift);
    out.negative[i] = u.negative ? -1 : 0;
  }
#else
  const hn::CappedTag<int16_t, 32> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto zero = hn::Zero(d);
  const auto one = hn::Set(d, 1);
  const auto sign_mask = hn::Set(d, static_cast<int16_t>(fp8::SignMask(f)));
  const auto magnitude_mask = hn::Set(du, static_cast<uint16_t>((1 << fp8::MagnitudeBits(f)) - 1));
  const auto mantissa_mask = hn::Set(d, static_cast<int16_t>((1 << f.mantissa_bits) - 1));
  const auto hidden = hn::Set(d, static_cast<int16_t>(1 << f.mantissa_bits));
  const auto largest = hn::Set(d, static_cast<int16_t>(fp8::MaxMagnitude(f)));
  const auto bias = hn::Set(d, static_cast<int16_t>(plan.exponent_bias - f.bias));
  const bool fnuz = f.specials == fp8::Specials::kFnuz;
  const auto only_nan = hn::Set(d, static_cast<int16_t>(fnuz ? fp8::SignMask(f) : 0));
  for (int i = 0; i < count; i += static_cast<int>(hn::Lanes(d))) {
    const auto upper = hn::Load(du, codes.upper + i);
    const auto lower = hn::BitCast(d, hn::Load(du, codes.lower + i));
    const auto magnitude = hn::And(upper, magnitude_mask);
    const auto field = hn::BitCast(d, hn::ShiftRightSame(magnitude, f.mantissa_bits));
    const auto mantissa = hn::And(hn::BitCast(d, magnitude), mantissa_mask);
    const auto sign = hn::And(hn::BitCast(d, upper), sign_mask);
    auto special = hn::Gt(hn::BitCast(d, magnitude), largest);
    if (fnuz) {
      special = hn::And(hn::Eq(sign, only_nan), hn::Eq(hn::BitCast(d, magnitude), zero));
    }
    auto significand = hn::Or(mantissa, hn::IfThenZeroElse(hn::Eq(field, zero), hidden));
    significand = hn::Or(hn::ShiftLeftSame(significand, plan.extra_bits), lower);
    auto exponent = hn::Add(hn::Max(field, one), bias);
    exponent = hn::IfThenElse(hn::Eq(significand, zero), hn::Set(d, kZeroExponent), exponent);
    exponent = hn::IfThenElse(special, hn::Set(d, kSpecialExponent), exponent);
    significand = hn::IfThenZeroElse(special, significand);
    hn::Store(exponent, d, out.exponent + i);
    hn::Store(hn::ShiftLeftSame(significand, plan.shift), d, out.significand + i);
    hn::Store(hn::VecFromMask(d, hn::Ne(sign, zero)), d, out.negative + i);
  }
#endif
}

// The code at p of a format's container, as the two halves DecodeCodes takes.
template <class T>
HWY_INLINE void Split(T code, uint32_t& upper, uint32_t& lower) {
  if constexpr (sizeof(T) == 4) {
    upper = code >> 16;
    lower = (code >> fp8::kTF32.pad) & 7;
  } else {
    upper = code;
    lower = 0;
  }
}

// Gathers products [first, first + group) of columns [column, column + kStrip) of b, in the order
// of StripLayout; missing ones are +0. b is K x N, or N x K if transposed.
template <class T>
HWY_ATTR void StageStrip(const T* b, int64_t stride, bool transposed, int64_t rows, int64_t columns,
                         int64_t first, int64_t column, int group, StagedCodes& out) {
  const int n = static_cast<int>(std::min<int64_t>(kStrip, columns - column));
  const int k = static_cast<int>(std::clamp<int64_t>(rows - first, 0, group));
  uint32_t upper = 0, lower = 0;
  if (n < kStrip || k < group) {
    std::memset(out.upper, 0, sizeof(uint16_t) * static_cast<size_t>(group * kStrip));
    std::memset(out.lower, 0, sizeof(uint16_t) * static_cast<size_t>(group * kStrip));
  }
  if (transposed) {
    for (int j = 0; j < n; ++j) {
      const T* from = b + (column + j) * stride + first;
      for (int i = 0; i < k; ++i) {
        Split(from[i], upper, lower);
        const int to = ((i / 2) * kStrip + j) * 2 + i % 2;
        out.upper[to] = static_cast<uint16_t>(upper);
        if constexpr (sizeof(T) == 4) out.lower[to] = static_cast<uint16_t>(lower);
      }
    }
    return;
  }
  for (int i = 0; i < k; ++i) {
    const T* from = b + (first + i) * stride + column;
    for (int j = 0; j < n; ++j) {
      Split(from[j], upper, lower);
      const int to = ((i / 2) * kStrip + j) * 2 + i % 2;
      out.upper[to] = static_cast<uint16_t>(upper);
      if constexpr (sizeof(T) == 4) out.lower[to] = static_cast<uint16_t>(lower);
    }
  }
}

// Gathers products [first, first + group) of one row of a.
template <class T>
HWY_ATTR void StageRow(const T* row, int64_t columns, int64_t first, int group, StagedCodes& out) {
  const int k = static_cast<int>(std::clamp<int64_t>(columns - first, 0, group));
  uint32_t upper = 0, lower = 0;
  for (int i = 0; i < k; ++i) {
    Split(row[first + i], upper, lower);
    out.upper[i] = static_cast<uint16_t>(upper);
    if constexpr (sizeof(T) == 4) out.lower[i] = static_cast<uint16_t>(lower);
  }
  for (int i = k; i < group; ++i) out.upper[i] = out.lower[i] = 0;
}

// Writes `count` operands as three arrays of int16. The exclusive or of A's 0 or -2 and B's 1 or -1
// is the sign of the product: `positive` is 0 for A and 1 for B.
HWY_ATTR inline void StoreNarrow(const StagedOperands& ops, int count, int positive,
                                 const BlockLayout& layout, uint8_t* block) {
  const size_t bytes = sizeof(int16_t) * static_cast<size_t>(count);
  std::memcpy(block, ops.exponent, bytes);
  std::memcpy(block + layout.significands, ops.significand, bytes);
  auto* signs = reinterpret_cast<int16_t*>(block + layout.signs);
  for (int i = 0; i < count; ++i)
    signs[i] = static_cast<int16_t>((ops.negative[i] & ~1) | positive);
}

// Writes one product's operand as (signed significand, sign).
HWY_INLINE uint32_t SignedPair(int16_t significand, int16_t negative) {
  const auto sig = static_cast<uint16_t>((significand ^ negative) - negative);
  const auto sign = static_cast<uint16_t>(negative | 1);
  return sig | (uint32_t{sign} << 16);
}

// `lanes` columns side by side (1 for a row of A), in the order of StripLayout.
HWY_ATTR inline void StoreWide(const StagedOperands& ops, int group, int lanes,
                               const BlockLayout& layout, uint8_t* block) {
  std::memcpy(block, ops.exponent, sizeof(int16_t) * static_cast<size_t>(group * lanes));
  auto* pairs = reinterpret_cast<uint32_t*>(block + layout.significands);
  auto* signs = reinterpret_cast<uint32_t*>(block + layout.signs);
  for (int j = 0; j < lanes; ++j) signs[j] = 0;
  for (int p = 0; p < group / 2; ++p) {
    const int16_t* sig = ops.significand + 2 * p * lanes;
    const int16_t* neg = ops.negative + 2 * p * lanes;
    for (int j = 0; j < lanes; ++j) {
      pairs[2 * p * lanes + j] = SignedPair(sig[2 * j], neg[2 * j]);
      pairs[(2 * p + 1) * lanes + j] = SignedPair(sig[2 * j + 1], neg[2 * j + 1]);
      signs[j] |= (neg[2 * j] & (1u << p)) | (neg[2 * j + 1] & (0x10000u << p));
    }
  }
}

template <class T>
HWY_ATTR void PackStripsOf(const PackedB::Impl& b, uint8_t* strips) {
  const AccumSpec& spec = b.spec;
  const BlockLayout layout = StripLayout(spec, b.plan.path);
  const DecodePlan decode = PlanDecode(spec.b, kExponentBias, b.plan.b_shift);
  const int64_t groups = GroupCount(spec, b.k);
  const auto* codes = reinterpret_cast<const T*>(b.codes.data());
  const int count = spec.group * kStrip;
  StagedCodes staged;
  StagedOperands ops;
  if constexpr (sizeof(T) < 4) std::memset(staged.lower, 0, sizeof(staged.lower));
  for (int64_t column = 0; column < b.n; column += kStrip) {
    for (int64_t g = 0; g < groups; ++g, strips += layout.bytes) {
      StageStrip(codes, b.transposed ? b.k : b.n, b.transposed, b.k, b.n, g * spec.group, column,
                 spec.group, staged);
      DecodeCodes(decode, staged, count, ops);
      if (b.plan.path == LanePath::kNarrow) {
        StoreNarrow(ops, count, 1, layout, strips);
      } else {
        StoreWide(ops, spec.group, kStrip, layout, strips);
      }
    }
  }
}

/// Fills b.strips from b.codes.
HWY_ATTR inline void PackStrips(PackedB::Impl& b) {
  const int bits = fp8::StorageBits(b.spec.b);
  uint8_t* strips = b.strips.data();
  if (bits <= 8) return PackStripsOf<uint8_t>(b, strips);
  if (bits <= 16) return PackStripsOf<uint16_t>(b, strips);
  return PackStripsOf<uint32_t>(b, strips);
}

template <class T>
HWY_ATTR void PackRowsOf(const AccumSpec& spec, const LanePlan& plan, CodeView a, uint8_t* blocks) {
  const BlockLayout layout = RowLayout(spec, plan.path);
  const DecodePlan decode = PlanDecode(spec.a, 0, plan.a_shift);
  const int64_t groups = GroupCount(spec, a.cols);
  StagedCodes staged;
  StagedOperands ops;
  std::memset(&staged, 0, sizeof(staged));
  for (int64_t i = 0; i < a.rows; ++i) {
    const T* row = static_cast<const T*>(a.data) + i * a.stride;
    for (int64_t g = 0; g < groups; ++g, blocks += layout.bytes) {
      StageRow(row, a.cols, g * spec.group, spec.group, staged);
      DecodeCodes(decode, staged, (spec.group + 31) / 32 * 32, ops);
      if (plan.path == LanePath::kNarrow) {
        StoreNarrow(ops, spec.group, 0, layout, blocks);
      } else {
        StoreWide(ops, spec.group, 1, layout, blocks);
      }
    }
  }
}

/// Takes rows of A apart: blocks of RowLayout, [row][group].
HWY_ATTR inline void PackRows(const AccumSpec& spec, const LanePlan& plan, CodeView a,
                              uint8_t* blocks) {
  const int bits = fp8::StorageBits(spec.a);
  if (bits <= 8) return PackRowsOf<uint8_t>(spec, plan, a, blocks);
  if (bits <= 16) return PackRowsOf<uint16_t>(spec, plan, a, blocks);
  return PackRowsOf<uint32_t>(spec, plan, a, blocks);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // include guard toggle
