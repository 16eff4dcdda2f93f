// Taking operands apart in 16-bit lanes, into the blocks of kCut and kWide that sim/gemm_pack.h
// describes.
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
#include "sim/accum.h"
#include "sim/gemm_pack.h"
#include "sim/gemm_stage-inl.h"

#if HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Operands taken apart: exponent, shifted significand, and 0 or -1 for the sign.
struct alignas(64) StagedOperands {
  int16_t exponent[StagedCodes::kMost];
  int16_t significand[StagedCodes::kMost];
  int16_t negative[StagedCodes::kMost];
};

// Operands taken apart, and the constants that it takes.
class Decoder {
 public:
  using D = hn::CappedTag<int16_t, 32>;
  using DU = hn::RebindToUnsigned<D>;
  using V = hn::Vec<D>;
  using VU = hn::Vec<DU>;
  struct Operands {
    V exponent, significand, negative;
  };

  HWY_INLINE explicit Decoder(const DecodePlan& plan)
      : format_(plan.format),
        extra_bits_(plan.extra_bits),
        shift_(plan.shift),
        lift_(plan.lift),
        bias_(static_cast<int16_t>(-plan.format.bias)),
        zero_(plan.zero),
        special_(plan.special) {}

  HWY_INLINE Operands Take(VU upper, V lower) const {
    const D d;
    const DU du;
    const fp8::Format f = format_;
    const V zero = hn::Zero(d);
    const auto mask = static_cast<uint16_t>((1 << fp8::MagnitudeBits(f)) - 1);
    const VU code = hn::And(upper, hn::Set(du, mask));
    const V magnitude = hn::BitCast(d, code);
    const V field = hn::BitCast(d, hn::ShiftRightSame(code, f.mantissa_bits));
    const V mantissa = hn::And(magnitude, Short((1 << f.mantissa_bits) - 1));
    const V sign = hn::And(hn::BitCast(d, upper), Short(static_cast<int>(fp8::SignMask(f))));
    const V hidden = hn::IfThenZeroElse(hn::Eq(field, zero), Short(1 << f.mantissa_bits));
    V significand = hn::Or(hn::ShiftLeftSame(hn::Or(mantissa, hidden), extra_bits_), lower);
    auto special = hn::Gt(magnitude, Short(static_cast<int>(fp8::MaxMagnitude(f))));
    if (f.specials == fp8::Specials::kFnuz) {
      special = hn::And(hn::Ne(sign, zero), hn::Eq(magnitude, zero));
    }
    V exponent = hn::Add(hn::Max(field, Short(1)), hn::Set(d, bias_));
    for (int i = 0; i < lift_; ++i) {
      const auto low = hn::Lt(significand, Short(1 << f.mantissa_bits));
      significand = hn::Add(significand, hn::IfThenElseZero(low, significand));
      exponent = hn::Add(exponent, hn::VecFromMask(d, low));
    }
    exponent = hn::IfThenElse(hn::Eq(significand, zero), Short(zero_), exponent);
    exponent = hn::IfThenElse(special, Short(special_), exponent);
    significand = hn::ShiftLeftSame(hn::IfThenZeroElse(special, significand), shift_);
    return {exponent, significand, hn::VecFromMask(d, hn::Ne(sign, zero))};
  }

 private:
  static HWY_INLINE V Short(int x) { return hn::Set(D(), static_cast<int16_t>(x)); }

  fp8::Format format_;
  int extra_bits_, shift_, lift_;
  int16_t bias_;
  int zero_, special_;
};

// Decodes codes[0, count); count is a multiple of 32.
HWY_ATTR inline void DecodeCodes(const DecodePlan& plan, const StagedCodes& codes, int count,
                                 StagedOperands& out) {
  const Decoder decoder(plan);
  const Decoder::D d;
  const Decoder::DU du;
  for (int i = 0; i < count; i += static_cast<int>(hn::Lanes(d))) {
    const Decoder::Operands ops =
        decoder.Take(hn::Load(du, codes.upper + i), hn::BitCast(d, hn::Load(du, codes.lower + i)));
    hn::Store(ops.exponent, d, out.exponent + i);
    hn::Store(ops.significand, d, out.significand + i);
    hn::Store(ops.negative, d, out.negative + i);
  }
}

// kCut: one group of a row of A.
HWY_ATTR inline void StoreCutRow(const StagedOperands& ops, const DecodePlan& plan, int group,
                                 const BlockLayout& layout, uint8_t* block) {
  for (int k = 0; k < group; k += 4) {
    const int16_t* e = ops.exponent + k;
    const int16_t quad[4] = {e[0], e[2], e[1], e[3]};  // as in B
    for (int i = 0; i < 4; ++i) block[k + i] = static_cast<uint8_t>(quad[i]);
  }
  auto* values = reinterpret_cast<float*>(block + layout.significands);
  const int bias = kExponentBias - plan.format.mantissa_bits;
  for (int k = 0; k < group; ++k) {
    const auto sig = static_cast<float>((ops.significand[k] ^ ops.negative[k]) - ops.negative[k]);
    values[k] = sig * fp8::BitCast<float>(static_cast<uint32_t>(ops.exponent[k] + bias) << 23);
  }
}

// Writes one product's operand as (signed significand, sign).
HWY_INLINE uint32_t SignedPair(int16_t significand, int16_t negative) {
  const auto sig = static_cast<uint16_t>((significand ^ negative) - negative);
  const auto sign = static_cast<uint16_t>(negative | 1);
  return sig | (uint32_t{sign} << 16);
}

// kWide: one group of a row of A.
HWY_ATTR inline void StoreWideRow(const StagedOperands& ops, int group, const BlockLayout& layout,
                                  uint8_t* block) {
  std::memcpy(block, ops.exponent, sizeof(int16_t) * static_cast<size_t>(group));
  auto* pairs = reinterpret_cast<uint32_t*>(block + layout.significands);
  uint32_t signs = 0;
  for (int p = 0; p < group / 2; ++p) {
    const int16_t* sig = ops.significand + 2 * p;
    const int16_t* neg = ops.negative + 2 * p;
    pairs[2 * p] = SignedPair(sig[0], neg[0]);
    pairs[2 * p + 1] = SignedPair(sig[1], neg[1]);
    signs |= (neg[0] & (1u << p)) | (neg[1] & (0x10000u << p));
  }
  std::memcpy(block + layout.signs, &signs, sizeof(signs));
}

// Words of 16-bit lanes: those of even products, sign extended, and those of odd ones.
using DWords = hn::Repartition<int32_t, Decoder::D>;
HWY_INLINE hn::Vec<DWords> EvenWords(Decoder::V x) {
  return hn::ShiftRight<16>(hn::ShiftLeft<16>(hn::BitCast(DWords(), x)));
}
HWY_INLINE hn::Vec<DWords> OddWords(Decoder::V x) {
  return hn::ShiftRight<16>(hn::BitCast(DWords(), x));
}

// kCut: takes apart the codes of one group of a strip.
HWY_ATTR inline void PackCutStrip(const DecodePlan& plan, int group, const BlockLayout& layout,
                                  const StagedCodes& codes, uint8_t* block) {
  const Decoder decoder(plan);
  const Decoder::D d;
  const Decoder::DU du;
  const DWords dw;
  const hn::RebindToFloat<DWords> df;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const auto field = hn::Set(dw, kExponentBias - plan.format.mantissa_bits);
  const auto value = [&](hn::Vec<DWords> sig, hn::Vec<DWords> exponent) HWY_ATTR {
    const auto scale = hn::BitCast(df, hn::ShiftLeft<23>(hn::Add(exponent, field)));
    return hn::Mul(hn::ConvertTo(df, sig), scale);
  };
  for (int at = 0; at < group * kStrip; at += 4 * kStrip) {
    for (int l = 0; l < 2 * kStrip; l += lanes) {
      Decoder::V exponent[2];
      for (int pair = 0; pair < 2; ++pair) {
        const int from = at + pair * 2 * kStrip + l;
        const Decoder::Operands ops = decoder.Take(
            hn::Load(du, codes.upper + from), hn::BitCast(d, hn::Load(du, codes.lower + from)));
        const Decoder::V sig = hn::Sub(hn::Xor(ops.significand, ops.negative), ops.negative);
        auto* values =
            reinterpret_cast<float*>(block + layout.significands) + at + 2 * pair * kStrip + l / 2;
        hn::Store(value(EvenWords(sig), EvenWords(ops.exponent)), df, values);
        hn::Store(value(OddWords(sig), OddWords(ops.exponent)), df, values + kStrip);
        exponent[pair] = ops.exponent;
      }
      const Decoder::V quad =
          hn::Or(hn::And(exponent[0], hn::Set(d, 0xFF)), hn::ShiftLeft<8>(exponent[1]));
      hn::Store(quad, d, reinterpret_cast<int16_t*>(block + at) + l);
    }
  }
}

// kWide: the same.
HWY_ATTR inline void PackWideStrip(const DecodePlan& plan, int group, const BlockLayout& layout,
                                   const StagedCodes& codes, uint8_t* block) {
  const Decoder decoder(plan);
  const Decoder::D d;
  const Decoder::DU du;
  const hn::Repartition<uint32_t, Decoder::D> du32;
  const int lanes = static_cast<int>(hn::Lanes(d));
  auto* exponents = reinterpret_cast<int16_t*>(block);
  auto* pairs = reinterpret_cast<uint32_t*>(block + layout.significands);
  for (int l = 0; l < 2 * kStrip; l += lanes) {
    auto signs = hn::Zero(d);
    for (int p = 0; p < group / 2; ++p) {
      const int at = p * 2 * kStrip + l;
      const Decoder::Operands ops = decoder.Take(hn::Load(du, codes.upper + at),
                                                 hn::BitCast(d, hn::Load(du, codes.lower + at)));
      hn::Store(ops.exponent, d, exponents + at);
      const auto signed_significand =
          hn::BitCast(du32, hn::Sub(hn::Xor(ops.significand, ops.negative), ops.negative));
      const auto sign_pair = hn::BitCast(du32, hn::Or(ops.negative, hn::Set(d, 1)));
      const auto low = hn::Set(du32, 0xFFFF);
      const int pair = (2 * p * 2 * kStrip + l) / 2;
      hn::Store(hn::Or(hn::And(signed_significand, low), hn::ShiftLeft<16>(sign_pair)), du32,
                pairs + pair);
      hn::Store(hn::Or(hn::ShiftRight<16>(signed_significand), hn::AndNot(low, sign_pair)), du32,
                pairs + pair + kStrip);
      const auto bit = hn::Set(d, static_cast<int16_t>(1 << p));
      signs = hn::Or(signs, hn::And(ops.negative, bit));
    }
    hn::Store(signs, d, reinterpret_cast<int16_t*>(block + layout.signs) + l);
  }
}

template <class T>
HWY_ATTR void PackStripsOf(const PackedB::Impl& b, const StripRange& range, uint8_t* strips) {
  const AccumSpec& spec = b.spec;
  const BlockLayout layout = StripLayout(spec, b.plan.path);
  const bool cut = b.plan.path == LanePath::kCut;
  const DecodePlan decode = PlanDecode(spec.b, spec.flow, b.plan.path, b.plan.b_shift);
  const auto* codes = static_cast<const T*>(b.codes.data);
  StagedCodes staged;
  if constexpr (sizeof(T) < 4) std::memset(staged.lower, 0, sizeof(staged.lower));
  for (int64_t column = range.column; column < range.column_end; column += kStrip) {
    for (int64_t g = range.group; g < range.group_end; ++g, strips += layout.bytes) {
      StageStrip(codes, b.codes.stride, b.transposed, b.n, PlaceOfGroup(spec, b.k, g), column,
                 spec.group, staged);
      cut ? PackCutStrip(decode, spec.group, layout, staged, strips)
          : PackWideStrip(decode, spec.group, layout, staged, strips);
    }
  }
}

/// Takes a range of b's codes apart: blocks of StripLayout, [strip][group].
HWY_ATTR inline void PackStrips(const PackedB::Impl& b, const StripRange& range, uint8_t* strips) {
  const int bits = fp8::StorageBits(b.spec.b);
  if (bits <= 8) return PackStripsOf<uint8_t>(b, range, strips);
  if (bits <= 16) return PackStripsOf<uint16_t>(b, range, strips);
  return PackStripsOf<uint32_t>(b, range, strips);
}

template <class T>
HWY_ATTR void PackRowsOf(const AccumSpec& spec, const LanePlan& plan, CodeView a, uint8_t* blocks) {
  const BlockLayout layout = RowLayout(spec, plan.path);
  const DecodePlan decode = PlanDecode(spec.a, spec.flow, plan.path, plan.a_shift);
  const int64_t groups = GroupCount(spec, a.cols);
  StagedCodes staged;
  StagedOperands ops;
  std::memset(&staged, 0, sizeof(staged));
  for (int64_t i = 0; i < a.rows; ++i) {
    const T* row = static_cast<const T*>(a.data) + i * a.stride;
    for (int64_t g = 0; g < groups; ++g, blocks += layout.bytes) {
      StageRow(row, PlaceOfGroup(spec, a.cols, g), spec.group, staged);
      DecodeCodes(decode, staged, (spec.group + 31) / 32 * 32, ops);
      plan.path == LanePath::kCut ? StoreCutRow(ops, decode, spec.group, layout, blocks)
                                  : StoreWideRow(ops, spec.group, layout, blocks);
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

#endif  // not scalar, not scalable
#endif  // include guard toggle
