#include "sim/gemm_pack.h"

#include <algorithm>
#include <cstdlib>

#include "sim/accum.h"
#include "sim/gemm_pack_amd.h"

namespace lostbits::sim {
namespace {

constexpr int64_t LargestSignificand(fp8::Format f) { return (int64_t{2} << f.mantissa_bits) - 1; }

constexpr int LargestExponent(fp8::Format f) { return (1 << f.exponent_bits) - 1 - f.bias; }

// 16-bit halves: a product's magnitude keeps to 15 bits, 32 of them and c to 24 (the conversion to
// float is then exact), and no real sum of exponents leaves the range the lanes check c against.
bool NarrowHolds(const AccumSpec& s) {
  const int shift = s.fraction_bits - s.a.mantissa_bits - s.b.mantissa_bits;
  // Where c = 0 can stand for e_zero: no nonzero c lies below it, and in E8M13 no product does.
  const bool clamp_holds = s.out == kE8M13       ? s.e_zero <= -113
                           : s.out == fp8::kFP16 ? s.e_zero <= fp8::MinExponent(fp8::kFP16)
                                                 : false;
  return s.flow == Flow::kChained && clamp_holds && s.fraction_bits == kE8M13.mantissa_bits &&
         shift >= 0 && ((LargestSignificand(s.a) * LargestSignificand(s.b)) << shift) < (1 << 15) &&
         fp8::StorageBits(s.a) <= 8 && fp8::StorageBits(s.b) <= 8 && s.group <= 32 &&
         fp8::MinExponent(s.a) + fp8::MinExponent(s.b) > -100 &&
         LargestExponent(s.a) + LargestExponent(s.b) < 100;
}

// 32-bit lanes: half a group of products (each up to one unit below its cut magnitude), c, and the
// count of negative products fit int32.
bool WideHolds(const AccumSpec& s, const LanePlan& plan) {
  const int shift = s.fraction_bits - s.a.mantissa_bits - s.b.mantissa_bits;
  if (s.out == kE8M13 || s.fraction_bits < 23 || s.fraction_bits > 25 || shift < 0) return false;
  const int64_t product = (LargestSignificand(s.a) * LargestSignificand(s.b)) << shift;
  const int64_t sum = s.group / 2 * (product + 1) + (int64_t{2} << s.fraction_bits) + s.group;
  const bool packed = (LargestSignificand(s.a) << plan.a_shift) < (1 << 15) &&
                      (LargestSignificand(s.b) << plan.b_shift) < (1 << 15);
  return sum < (int64_t{1} << 31) && packed && plan.b_shift >= 0 && s.group <= 32 &&
         s.a.mantissa_bits <= 10 && s.b.mantissa_bits <= 10;
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

}  // namespace

LanePlan PlanLanes(const AccumSpec& s) {
  if (const LanePlan plan = PlanFloatLanes(s); IsFloatPath(plan.path)) return plan;
  if (!FlowHolds(s) || !ResultHolds(s) || s.block != 0 || s.signed_underflow || s.group % 2 != 0 ||
      std::abs(s.e_zero) > 1000 || !fp8::IsSigned(s.a) || !fp8::IsSigned(s.b)) {
    return {};
  }
  const int shift = s.fraction_bits - s.a.mantissa_bits - s.b.mantissa_bits;
  if (NarrowHolds(s)) return {LanePath::kNarrow, 0, shift};
  // One bit more than the cut needs: see WideProduct in sim/accum-inl.h.
  const int a_shift = std::min(14 - s.a.mantissa_bits, shift + 1);
  const LanePlan wide{LanePath::kWide, a_shift, shift + 1 - a_shift};
  return WideHolds(s, wide) ? wide : LanePlan{};
}

BlockLayout StripLayout(const AccumSpec& spec, LanePath path) {
  if (IsFloatPath(path)) return {0, 0, FloatStripLayout(spec, path).bytes};
  const int64_t shorts = spec.group * kStrip * int64_t{sizeof(int16_t)};
  if (path == LanePath::kNarrow) return {shorts, 2 * shorts, 3 * shorts};
  return {shorts, 3 * shorts, 3 * shorts + kStrip * int64_t{sizeof(uint32_t)}};
}

BlockLayout RowLayout(const AccumSpec& spec, LanePath path) {
  if (IsFloatPath(path)) return {0, 0, FloatRowLayout(spec, path).bytes};
  const int64_t shorts = spec.group * int64_t{sizeof(int16_t)};
  if (path == LanePath::kNarrow) return {shorts, 2 * shorts, 3 * shorts};
  return {shorts, 3 * shorts, 3 * shorts + int64_t{sizeof(uint32_t)}};
}

void AlignedBytes::Reserve(int64_t bytes) {
  constexpr int64_t kAlign = 64;
  if (bytes <= capacity_) return;
  storage_.reset(new uint8_t[static_cast<size_t>(bytes + kAlign)]);
  const auto address = reinterpret_cast<uintptr_t>(storage_.get());
  data_ = storage_.get() + (kAlign - static_cast<int64_t>(address % kAlign)) % kAlign;
  capacity_ = bytes;
}

CodeView PackedB::Impl::Codes() const {
  return transposed ? CodeView{codes.data(), spec.b, n, k, k}
                    : CodeView{codes.data(), spec.b, k, n, n};
}

DecodePlan PlanDecode(fp8::Format format, Flow flow, int exponent_bias, int shift) {
  const int above_fp16 = fp8::MinExponent(format) - fp8::MinExponent(fp8::kFP16);
  const int lift =
      flow == Flow::kInterleavedLateC ? std::clamp<int>(above_fp16, 0, format.mantissa_bits) : 0;
  if (fp8::StorageBits(format) <= 16) return {format, 0, exponent_bias, shift, lift};
  // The upper half of a TF32 word is a BF16 code.
  return {fp8::kBF16, format.mantissa_bits - fp8::kBF16.mantissa_bits, exponent_bias, shift, lift};
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
