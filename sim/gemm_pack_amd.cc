#include "sim/gemm_pack_amd.h"

#include <cstdlib>

#include "sim/accum.h"

namespace lostbits::sim {
namespace {

// Every number of the format is one of FP32.
bool IsFloat(fp8::Format f) {
  const int largest = static_cast<int>(fp8::MaxMagnitude(f) >> f.mantissa_bits) - f.bias;
  return fp8::IsSigned(f) && fp8::StorageBits(f) <= 32 && f.mantissa_bits <= 23 && f.bias >= 1 &&
         f.bias <= 127 && largest <= 127 && fp8::MinExponent(f) - f.mantissa_bits >= -149;
}

// Sums of products in doubles: worth it while exponents may well lie this far apart.
bool DoubleHolds(const AccumSpec& s) {
  constexpr int kUsualSpread = 16;
  return SpreadLimit(s) >= kUsualSpread;
}

// Products are exact in FP32 and, cut, their sum is an int32; it and c are a double on the finer
// grid. A product that FP32 has no normal number for lies below the grid wherever the largest one's
// exponent is kLateLowest or more.
bool LateFloorHolds(const AccumSpec& s) {
  constexpr int kFloatBits = 24, kDoubleBits = 53;
  const int f = s.fraction_bits, terms = fp8::BitWidth(static_cast<uint64_t>(s.group) + 1);
  const bool products = s.a.mantissa_bits + 1 + s.b.mantissa_bits + 1 <= kFloatBits;
  const bool deep = fp8::MinExponent(fp8::kFP32) + 2 + f - kLateLowest <= 0;
  return products && deep && s.group % 2 == 0 && f >= fp8::kFP32.mantissa_bits &&
         (int64_t{s.group} << (f + 2)) < (int64_t{1} << 31) && s.sum_bits >= f &&
         s.sum_bits + 2 + terms < kDoubleBits && std::abs(s.e_zero) <= 1000 &&
         (s.final_bits == 0 || (s.final_bits >= kFloatBits - 1 && s.final_bits < kDoubleBits));
}

}  // namespace

LanePlan PlanFloatLanes(const AccumSpec& s) {
  const bool result = s.acc == fp8::kFP32 && s.out == s.acc && s.signed_underflow &&
                      s.rounding == fp8::Rounding::kNearestEven;
  if (!result || s.block != 0 || s.group < 1 || s.group > kMaxInstructionK || s.k % s.group != 0 ||
      !IsFloat(s.a) || !IsFloat(s.b)) {
    return {};
  }
  switch (s.flow) {
    case Flow::kExact:
      if (s.group == 1) return {LanePath::kFloat};
      return DoubleHolds(s) ? LanePlan{LanePath::kDouble} : LanePlan{};
    case Flow::kTree: return s.group == 2 || s.group == 4 ? LanePlan{LanePath::kFloat} : LanePlan{};
    case Flow::kLateFloor:
    case Flow::kLateFloorPairs:
      return LateFloorHolds(s) ? LanePlan{LanePath::kLateFloor} : LanePlan{};
    case Flow::kChained:
    case Flow::kInterleavedLateC:
    case Flow::kBlockDot: break;
  }
  return {};
}

FloatLayout FloatStripLayout(const AccumSpec& spec, LanePath path) {
  const int64_t elements = spec.group * kStrip;
  const int64_t values = elements * int64_t{sizeof(float)};
  if (path == LanePath::kDouble) return {values, values + kStrip * int64_t{sizeof(int32_t)}};
  if (path == LanePath::kLateFloor) return {values, values + elements * int64_t{sizeof(int16_t)}};
  return {values, values};
}

FloatLayout FloatRowLayout(const AccumSpec& spec, LanePath path) {
  // The spread takes 8 bytes, so that doubles stay aligned.
  const int64_t doubles = spec.group * int64_t{sizeof(double)};
  if (path == LanePath::kDouble) return {doubles, doubles + int64_t{sizeof(double)}};
  const int64_t values = spec.group * int64_t{sizeof(float)};
  if (path == LanePath::kLateFloor) return {values, values + spec.group * int64_t{sizeof(int16_t)}};
  return {values, values};
}

}  // namespace lostbits::sim
