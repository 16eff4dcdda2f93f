#include "sim/arch_check.h"

#include "sim/accum.h"

namespace lostbits::sim {
namespace {

std::string Setting(const char* name, int value) {
  return std::string(name) + " = " + std::to_string(value);
}
std::string With(const AccumSpec& s, const char* what) {
  return std::string("flow=") + FlowName(s.flow) + " " + what;
}

int LargestExponent(fp8::Format f) {
  return static_cast<int>(fp8::MaxMagnitude(f) >> f.mantissa_bits) - f.bias;
}
bool Fp16Holds(fp8::Format f) {
  const fp8::Format fp16 = fp8::kFP16;
  return f.mantissa_bits <= fp16.mantissa_bits && LargestExponent(f) <= LargestExponent(fp16) &&
         fp8::MinExponent(f) - f.mantissa_bits >= fp8::MinExponent(fp16) - fp16.mantissa_bits;
}

/// The largest number of a format in units of its smallest.
uint64_t LargestInUnits(fp8::Format f) {
  const Unpacked x = fp8::Unpack(f, fp8::MaxMagnitude(f) << f.pad);
  return x.significand << (x.exponent - fp8::MinExponent(f));
}

/// Every term is below 2^this times 2^(its exponent).
int TermBits(const AccumSpec& s) {
  const int of_scales = s.block == 0 ? 0 : 2 * s.scale.mantissa_bits;
  if (s.flow != Flow::kBlockDot) return of_scales == 0 ? 2 : 4;  // significands are below 2
  // A block's dot product has exponent 0 whatever its size; of scales the significands alone.
  const uint64_t scale = (uint64_t{2} << s.scale.mantissa_bits) - 1;
  const uint64_t largest =
      kBlockDotLength * LargestInUnits(s.a) * LargestInUnits(s.b) * scale * scale;
  const int unit = s.a.mantissa_bits + s.b.mantissa_bits + of_scales - fp8::MinExponent(s.a) -
                   fp8::MinExponent(s.b);
  return fp8::BitWidth(largest) - unit;
}

/// Bits of a sum of all terms of a group, `below` of them under 2^(the group's exponent).
int SumBits(const AccumSpec& s, int below) {
  return TermBits(s) + below + fp8::BitWidth(static_cast<uint64_t>(s.group) + 1);
}

std::string WhyNoShape(const AccumSpec& s) {
  if (s.k < 1 || s.k > kMaxInstructionK)
    return Setting("k", s.k) + ": expected 1 to " + std::to_string(kMaxInstructionK);
  if (s.group < 1) return Setting("group", s.group) + ": expected 1 or more";
  if (s.k % s.group != 0)
    return Setting("k", s.k) + " is no multiple of " + Setting("group", s.group);
  if (s.flow == Flow::kInterleavedLateC && (s.k != 2 * s.group || s.k % 4 != 0))
    return With(s, "takes two groups an instruction and k a multiple of 4, found ") +
           Setting("group", s.group) + ", " + Setting("k", s.k);
  if (s.flow == Flow::kTree && s.group != 2 && s.group != 4)
    return With(s, "takes groups of 2 or 4, found ") + std::to_string(s.group);
  return "";
}

std::string WhyNoScales(const AccumSpec& s) {
  if (s.block == 0)
    return s.flow == Flow::kBlockDot ? With(s, "takes operands with block scales, found none") : "";
  if (s.flow != Flow::kChained && s.flow != Flow::kBlockDot)
    return With(s, "knows no block scales, found blocks of ") + std::to_string(s.block);
  if (s.group % s.block != 0)
    return Setting("group", s.group) + " is no multiple of a block of " + std::to_string(s.block);
  // Nothing looks for an Inf times a scale of zero; E8M0 has no zero.
  if (s.scale != fp8::kE8M0 && (fp8::HasInf(s.a) || fp8::HasInf(s.b)))
    return "scales that can be zero take operands without Inf, found operands with Inf";
  if (s.flow != Flow::kBlockDot) return "";
  if (s.block % kBlockDotLength != 0)
    return With(s, "takes blocks that are multiples of ") + std::to_string(kBlockDotLength) +
           ", found " + std::to_string(s.block);
  const int bits = fp8::Max(fp8::StorageBits(s.a), fp8::StorageBits(s.b));
  if (bits > 6 || fp8::HasNan(s.a) || fp8::HasNan(s.b))
    return With(s, "takes operands of at most 6 bits, without NaN; found ") + std::to_string(bits) +
           (bits > 6 ? " bits" : " bits with NaN");
  return "";
}

std::string WhyNoFormats(const AccumSpec& s) {
  if (s.acc != fp8::kFP32 && s.acc != fp8::kFP16 && s.acc != fp8::kFP64)
    return "expected an accumulator of float32, float16 or float64, found one of " +
           std::to_string(fp8::StorageBits(s.acc)) + " bits";
  const bool f64 = s.a == fp8::kFP64 || s.b == fp8::kFP64 || s.acc == fp8::kFP64;
  if (f64 && s.flow != Flow::kExact) return With(s, "does not take float64 operands");
  if (s.flow == Flow::kInterleavedLateC) {
    for (const fp8::Format& f : {s.a, s.b}) {
      if (Fp16Holds(f)) continue;
      return With(s, "takes operands that float16 holds exactly, found one of ") +
             std::to_string(f.mantissa_bits) + " mantissa bits and exponents " +
             std::to_string(fp8::MinExponent(f)) + " to " + std::to_string(LargestExponent(f));
    }
  }
  if (s.out == kE8M13 && s.acc != fp8::kFP32) return "out=e8m13 needs a float32 accumulator";
  if (s.out != kE8M13 && s.out != s.acc)
    return "expected results in the accumulator's format or in e8m13, found another";
  if (s.out != s.acc && !HasGrid(s.flow)) return With(s, "rounds to the accumulator, not to e8m13");
  if (s.rounding == fp8::Rounding::kStochastic) return "rounding=stochastic needs random bits";
  if (s.flow == Flow::kTree && s.rounding != fp8::Rounding::kNearestEven)
    return With(s, "rounds to nearest even only");
  return "";
}

std::string WhyNoGrid(const AccumSpec& s) {
  if (!HasGrid(s.flow)) return "";
  constexpr int kMost = 63;  // of int64_t, without its sign
  if (s.fraction_bits < 1)
    return With(s, "needs F of 1 or more, found ") + std::to_string(s.fraction_bits);
  const int needed = SumBits(s, s.fraction_bits);
  if (needed > kMost)
    return Setting("F", s.fraction_bits) + ": the sum of a group would need " +
           std::to_string(needed) + " bits, more than " + std::to_string(kMost);
  if (!AddsCLate(s.flow)) return "";
  if (s.sum_bits < s.fraction_bits)
    return Setting("sum_bits", s.sum_bits) + " is less than " + Setting("F", s.fraction_bits);
  if (SumBits(s, s.sum_bits) > kMost)
    return Setting("sum_bits", s.sum_bits) + ": the sum would need " +
           std::to_string(SumBits(s, s.sum_bits)) + " bits, more than " + std::to_string(kMost);
  if (s.final_bits != 0 && s.final_bits < s.out.mantissa_bits)
    return Setting("final_bits", s.final_bits) + " is less than the " +
           std::to_string(s.out.mantissa_bits) + " of the result";
  return "";
}

}  // namespace

std::string WhyNoMachine(const AccumSpec& spec) {
  for (const auto why : {WhyNoShape, WhyNoFormats, WhyNoScales, WhyNoGrid}) {
    const std::string text = why(spec);
    if (!text.empty()) return text;
  }
  return "";
}

}  // namespace lostbits::sim
