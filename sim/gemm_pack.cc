#include "sim/gemm_pack.h"

#include <algorithm>

#include "sim/accum.h"

namespace lostbits::sim {
namespace {

constexpr int64_t LargestSignificand(fp8::Format f) { return (int64_t{2} << f.mantissa_bits) - 1; }

constexpr int LargestExponent(fp8::Format f) { return (1 << f.exponent_bits) - 1 - f.bias; }

// 16-bit halves: a product's magnitude keeps to 15 bits, 32 of them and c to 24 (the conversion to
// float is then exact), and no real sum of exponents leaves the range the lanes check c against.
bool NarrowHolds(const AccumSpec& s) {
  const int shift = s.fraction_bits - s.a.mantissa_bits - s.b.mantissa_bits;
  return s.out == kE8M13 && s.fraction_bits == kE8M13.mantissa_bits && shift >= 0 &&
         ((LargestSignificand(s.a) * LargestSignificand(s.b)) << shift) < (1 << 15) &&
         fp8::StorageBits(s.a) <= 8 && fp8::StorageBits(s.b) <= 8 && s.group <= 32 &&
         fp8::MinExponent(s.a) + fp8::MinExponent(s.b) > -100 &&
         LargestExponent(s.a) + LargestExponent(s.b) < 100 && s.e_zero <= -113;
}

// 32-bit lanes: half a group of products (each up to one unit below its cut magnitude), c, and the
// count of negative products fit int32.
bool WideHolds(const AccumSpec& s, const LanePlan& plan) {
  const int shift = s.fraction_bits - s.a.mantissa_bits - s.b.mantissa_bits;
  if (s.out != fp8::kFP32 || s.fraction_bits < 23 || s.fraction_bits > 25 || shift < 0)
    return false;
  const int64_t product = (LargestSignificand(s.a) * LargestSignificand(s.b)) << shift;
  const int64_t sum = s.group / 2 * (product + 1) + (int64_t{2} << s.fraction_bits) + s.group;
  const bool packed = (LargestSignificand(s.a) << plan.a_shift) < (1 << 15) &&
                      (LargestSignificand(s.b) << plan.b_shift) < (1 << 15);
  return sum < (int64_t{1} << 31) && packed && plan.b_shift >= 0 && s.group <= 32 &&
         s.a.mantissa_bits <= 10 && s.b.mantissa_bits <= 10;
}

}  // namespace

LanePlan PlanLanes(const AccumSpec& s) {
  if (s.flow != Flow::kChained || s.block != 0 || s.signed_underflow || s.acc != fp8::kFP32 ||
      s.rounding != fp8::Rounding::kTowardZero || s.group % 2 != 0 || s.k % s.group != 0 ||
      !fp8::IsSigned(s.a) || !fp8::IsSigned(s.b)) {
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
  const int64_t shorts = spec.group * kStrip * int64_t{sizeof(int16_t)};
  if (path == LanePath::kNarrow) return {shorts, 2 * shorts, 3 * shorts};
  return {shorts, 3 * shorts, 3 * shorts + kStrip * int64_t{sizeof(uint32_t)}};
}

BlockLayout RowLayout(const AccumSpec& spec, LanePath path) {
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

DecodePlan PlanDecode(fp8::Format format, int exponent_bias, int shift) {
  if (fp8::StorageBits(format) <= 16) return {format, 0, exponent_bias, shift};
  // The upper half of a TF32 word is a BF16 code.
  return {fp8::kBF16, format.mantissa_bits - fp8::kBF16.mantissa_bits, exponent_bias, shift};
}

uint32_t GroupByIntegers(const AccumSpec& spec, CodeView a, const PackedB::Impl& b, int64_t row,
                         int64_t column, int64_t group_index, uint32_t c_word) {
  fp8::Unpacked ua[kMaxInstructionK], ub[kMaxInstructionK];
  const int64_t first = group_index * spec.group;
  const int count = static_cast<int>(std::clamp<int64_t>(b.k - first, 0, spec.group));
  for (int i = 0; i < count; ++i) {
    ua[i] = fp8::Unpack(spec.a, a(row, first + i));
    ub[i] = b.At(first + i, column);
  }
  return static_cast<uint32_t>(DotGroup(spec, ua, ub, count, c_word));
}

}  // namespace lostbits::sim
