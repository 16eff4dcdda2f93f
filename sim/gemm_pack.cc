#include "sim/gemm_pack.h"

#include <algorithm>

#include "sim/accum.h"
#include "sim/gemm_pack_amd.h"

namespace lostbits::sim {
namespace {

constexpr int64_t LargestSignificand(fp8::Format f) { return (int64_t{2} << f.mantissa_bits) - 1; }

constexpr int LargestExponent(fp8::Format f) { return (1 << f.exponent_bits) - 1 - f.bias; }

// The shift of a product's significand to F fraction bits.
int ProductShift(const AccumSpec& s) {
  return s.fraction_bits - s.a.mantissa_bits - s.b.mantissa_bits;
}

int64_t LargestProduct(const AccumSpec& s) {
  return (LargestSignificand(s.a) * LargestSignificand(s.b)) << ProductShift(s);
}

// No FP32 operand or product is subnormal, and exponents fit bytes.
bool CutHolds(const AccumSpec& s) {
  const auto small = [](fp8::Format f) {
    return fp8::MinExponent(f) >= fp8::MinExponent(fp8::kFP16) && LargestExponent(f) <= 16 &&
           f.mantissa_bits <= 11 && fp8::StorageBits(f) <= 16;
  };
  return small(s.a) && small(s.b) && s.group % 4 == 0;
}

// Significands take 16-bit halves; see WideProduct in sim/accum_forms-inl.h.
bool WideHolds(const AccumSpec& s, const LanePlan& plan) {
  const bool packed = (LargestSignificand(s.a) << plan.a_shift) < (1 << 15) &&
                      (LargestSignificand(s.b) << plan.b_shift) < (1 << 15);
  return s.flow == Flow::kChained && s.out == fp8::kFP32 && packed && plan.b_shift >= 0 &&
         s.fraction_bits >= 23 && s.a.mantissa_bits <= 10 && s.b.mantissa_bits <= 10;
}

// F = 13 into E8M13 or FP16, or F = 23 to 25 into FP32 or FP16; half a group and c fit int32.
bool SumHolds(const AccumSpec& s) {
  const bool narrow = s.fraction_bits == kE8M13.mantissa_bits;
  if (narrow ? s.out == fp8::kFP32 : s.out == kE8M13 || s.fraction_bits < 23) return false;
  if (s.fraction_bits > 25 || ProductShift(s) < 0 || s.group > 32) return false;
  const int64_t half = s.group / 2 * (LargestProduct(s) + 2) + (int64_t{2} << s.fraction_bits);
  // All products and c zero: where an FP32 sum begins makes no difference if below all others.
  const int lowest = kExponentBias + s.e_zero;
  const bool zero_holds = s.acc == fp8::kFP16 || lowest <= s.fraction_bits + 1;
  return zero_holds && half < int64_t{1} << (narrow ? 23 : 31);
}

// Registers and roundings that the lanes know.
bool ResultHolds(const AccumSpec& s) {
  if (s.acc == fp8::kFP16) return s.out == s.acc && s.rounding == fp8::Rounding::kNearestEven;
  return s.acc == fp8::kFP32 && (s.out == s.acc || s.out == kE8M13) &&
         s.rounding == fp8::Rounding::kTowardZero;
}

// Chained groups; or two of them and c after, on operands that are FP16 numbers.
bool FlowHolds(const AccumSpec& s) {
  if (s.flow == Flow::kChained) return s.k % s.group == 0;
  const int lowest = fp8::MinExponent(fp8::kFP16);
  return s.flow == Flow::kInterleavedLateC && s.k == 2 * s.group &&
         fp8::MinExponent(s.a) >= lowest && fp8::MinExponent(s.b) >= lowest;
}

ByteTables TabulateBytes(fp8::Format f, int shift) {
  ByteTables out;
  for (uint32_t code = 0; code < 128; ++code) {
    const fp8::Unpacked u = fp8::Unpack(f, code);
    const bool finite = u.cls == fp8::Class::kFinite;
    const int exponent = finite                       ? u.exponent
                         : u.cls == fp8::Class::kZero ? kByteZero
                                                      : kByteSpecial;
    out.exponent[code] = static_cast<uint8_t>(exponent);
    out.significand[code] = static_cast<uint8_t>(finite ? u.significand << shift : 0);
  }
  return out;
}

}  // namespace

LanePlan PlanLanes(const AccumSpec& s) {
  if (const LanePlan plan = PlanFloatLanes(s); IsFloatPath(plan.path)) return plan;
  if (!FlowHolds(s) || !ResultHolds(s) || s.block != 0 || s.signed_underflow || s.group % 2 != 0 ||
      !SumHolds(s) || !fp8::IsSigned(s.a) || !fp8::IsSigned(s.b)) {
    return {};
  }
  const int shift = ProductShift(s);
  if (CutHolds(s)) return {LanePath::kCut, 0, 0, {}, {}};
  // One bit more than the cut needs: see WideProduct in sim/accum_forms-inl.h.
  const int a_shift = std::min(14 - s.a.mantissa_bits, shift + 1);
  const LanePlan wide{LanePath::kWide, a_shift, shift + 1 - a_shift, {}, {}};
  return WideHolds(s, wide) ? wide : LanePlan{};
}

LanePlan PlanBytes(const AccumSpec& s, const LanePlan& plan) {
  const auto fp8 = [](fp8::Format f) {
    return f.exponent_bits + f.mantissa_bits == 7 && f.specials != fp8::Specials::kFnuz;
  };
  const int shift = ProductShift(s);
  // A's significand fills an unsigned byte, B's takes the rest of the shift in a signed one.
  const int a_shift = 7 - s.a.mantissa_bits, b_shift = shift - a_shift;
  if (plan.path != LanePath::kCut || s.flow != Flow::kChained || !fp8(s.a) || !fp8(s.b) ||
      s.fraction_bits != 13 || (s.group != 16 && s.group != 32) || b_shift < 0 ||
      LargestSignificand(s.b) << b_shift > 127 || LargestProduct(s) >= 1 << 15) {
    return plan;
  }
  return {LanePath::kBytes, a_shift, b_shift, TabulateBytes(s.a, a_shift),
          TabulateBytes(s.b, b_shift)};
}

int SumBits(const AccumSpec& s) {
  if (s.fraction_bits == kE8M13.mantissa_bits) return 24;
  const int64_t sum = s.group * LargestProduct(s) + (int64_t{2} << s.fraction_bits);
  return sum < int64_t{1} << 31 ? 31 : 32;
}

BlockLayout StripLayout(const AccumSpec& spec, LanePath path) {
  if (IsFloatPath(path)) return {0, 0, FloatStripLayout(spec, path).bytes};
  const int64_t bytes = spec.group * kStrip;
  if (path == LanePath::kCut) return {bytes, 0, 5 * bytes};
  if (path == LanePath::kBytes) {
    return {0, 0, spec.group == 16 ? StripBytes<16>::kBytes : StripBytes<32>::kBytes};
  }
  return {2 * bytes, 6 * bytes, 6 * bytes + kStrip * int64_t{sizeof(uint32_t)}};
}

BlockLayout RowLayout(const AccumSpec& spec, LanePath path) {
  if (IsFloatPath(path)) return {0, 0, FloatRowLayout(spec, path).bytes};
  const int64_t bytes = spec.group;
  if (path == LanePath::kCut) return {bytes, 0, 5 * bytes};
  if (path == LanePath::kBytes) {
    return {0, 0, spec.group == 16 ? RowBytes<16>::kBytes : RowBytes<32>::kBytes};
  }
  return {2 * bytes, 6 * bytes, 6 * bytes + int64_t{sizeof(uint32_t)}};
}

void AlignedBytes::Reserve(int64_t bytes) {
  constexpr int64_t kAlign = 64;
  if (bytes <= capacity_) return;
  storage_.reset(new uint8_t[static_cast<size_t>(bytes + kAlign)]);
  const auto address = reinterpret_cast<uintptr_t>(storage_.get());
  data_ = storage_.get() + (kAlign - static_cast<int64_t>(address % kAlign)) % kAlign;
  capacity_ = bytes;
}

DecodePlan PlanDecode(fp8::Format format, Flow flow, LanePath path, int shift) {
  const int above_fp16 = fp8::MinExponent(format) - fp8::MinExponent(fp8::kFP16);
  const int lift =
      flow == Flow::kInterleavedLateC ? std::clamp<int>(above_fp16, 0, format.mantissa_bits) : 0;
  DecodePlan plan{format, 0, shift, lift, kZeroExponent, kSpecialExponent};
  if (path == LanePath::kCut) {
    plan.zero = kByteZero;
    plan.special = kByteSpecial;
  }
  if (fp8::StorageBits(format) > 16) {
    // The upper half of a TF32 word is a BF16 code.
    plan.format = fp8::kBF16;
    plan.extra_bits = format.mantissa_bits - fp8::kBF16.mantissa_bits;
  }
  return plan;
}

uint32_t GroupByIntegers(const AccumSpec& spec, CodeView a, const PackedB::Impl& b, int64_t row,
                         int64_t column, int64_t group_index, uint32_t c_word) {
  fp8::Unpacked ua[kMaxInstructionK], ub[kMaxInstructionK];
  const GroupPlace place = PlaceOfGroup(spec, b.k, group_index);
  for (int i = 0; i < place.count; ++i) {
    const int64_t k = place.first + place.Offset(i);
    ua[i] = fp8::Unpack(spec.a, a(row, k));
    ub[i] = b.At(k, column);
    if (spec.flow != Flow::kInterleavedLateC) continue;
    ua[i] = AsFp16(ua[i]);
    ub[i] = AsFp16(ub[i]);
  }
  return static_cast<uint32_t>(DotGroup(spec, ua, ub, place.count, c_word));
}

}  // namespace lostbits::sim
