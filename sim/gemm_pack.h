// What the lanes read: operands taken apart once, in an order that loads as whole vectors.
//
// The same layout serves every instruction set, so a PackedB made under one can be used under
// another. Not part of the public interface; sim/gemm.h is.
#ifndef LOSTBITS_SIM_GEMM_PACK_H_
#define LOSTBITS_SIM_GEMM_PACK_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "fp8/codec.h"
#include "sim/arch.h"
#include "sim/gemm.h"

namespace lostbits::sim {

/// Columns of B packed side by side: the 32-bit lanes of the widest vector.
inline constexpr int kStrip = 16;

/// Exponents that stand for operands without one. Any sum of two operands' exponents that contains
/// kZeroExponent lies below every real one; any that contains kSpecialExponent (Inf, NaN) lies
/// above every real one, also beside a zero, and sends that output to the integers.
inline constexpr int kZeroExponent = -4096;
inline constexpr int kSpecialExponent = 8192;
inline constexpr int kSpecialThreshold = 2048;

/// Exponents in B carry the bias of binary32, so that sums compare with the exponent field of c.
inline constexpr int kExponentBias = 127;

/// Which lanes compute a machine's groups.
enum class LanePath : uint8_t {
  kInteger,  ///< none: DotChain of sim/accum.h, one output at a time
  kNarrow,   ///< two products in the 16-bit halves of a lane; F = 13, output E8M13 or FP16
  kWide,     ///< one product a 32-bit lane; F = 23 to 25, output FP32 or FP16; also late c
  // Below: sim/gemm_pack_amd.h.
  kFloat,      ///< operations of FP32: chains of fma, trees
  kDouble,     ///< exact sums in FP64, rounded once
  kLateFloor,  ///< products in FP32, cut to integers; c after them
};

/// A machine as the lanes see it.
struct LanePlan {
  LanePath path = LanePath::kInteger;
  int a_shift = 0, b_shift = 0;  ///< significands are packed shifted left by these
};

/// The path proved equal to the integers for this machine; kInteger where none is.
LanePlan PlanLanes(const AccumSpec& spec);

/// Bytes of one fused group of a strip of B, and of a row of A. Every part is a multiple of 64
/// bytes in B. In order:
///   kNarrow  exponents, significands, signs (B: 1 or -1; A: 0 or -2): int16 each.
///   kWide    exponents: int16; then for each product a pair of int16 (signed significand, sign);
///            then a word of sign bits, that of product 2p in bit p and of product 2p + 1 in 16 +
///            p.
/// In B, element (k, j) of an int16 array is at ((k / 2) * kStrip + j) * 2 + k % 2, the pair of
/// product (k, j) at k * kStrip + j; A has k alone in the place of these.
struct BlockLayout {
  int64_t significands, signs, bytes;
};
BlockLayout StripLayout(const AccumSpec& spec, LanePath path);
BlockLayout RowLayout(const AccumSpec& spec, LanePath path);

/// Fused groups in k products: whole instructions, the last one padded.
constexpr int64_t GroupCount(const AccumSpec& spec, int64_t k) {
  return (k + spec.k - 1) / spec.k * (spec.k / spec.group);
}

/// Where the products of one fused group lie: the i-th at k = first + Offset(i).
struct GroupPlace {
  int64_t first;
  int pair_step;  ///< from one pair of neighbours to the next: 2, or 4 under kInterleavedLateC
  int count;      ///< at most spec.group; those missing count as +0

  constexpr int64_t Offset(int i) const { return i / 2 * pair_step + i % 2; }
};
constexpr GroupPlace PlaceOfGroup(const AccumSpec& spec, int64_t k, int64_t group_index) {
  if (spec.flow != Flow::kInterleavedLateC) {
    const int64_t first = group_index * spec.group;
    return {first, 2, static_cast<int>(std::clamp<int64_t>(k - first, 0, spec.group))};
  }
  const int64_t begin = group_index / 2 * spec.k;
  const int half = static_cast<int>(group_index % 2) * 2;
  const int n = static_cast<int>(std::clamp<int64_t>(k - begin, 0, spec.k));
  return {begin + half, 4, n / 4 * 2 + std::clamp(n % 4 - half, 0, 2)};
}

/// Memory aligned to 64 bytes that only grows, and is not cleared.
class AlignedBytes {
 public:
  /// At least `bytes` bytes; what was there is lost.
  void Reserve(int64_t bytes);
  uint8_t* data() const { return data_; }

 private:
  std::unique_ptr<uint8_t[]> storage_;
  uint8_t* data_ = nullptr;
  int64_t capacity_ = 0;
};

struct PackedB::Impl {
  AccumSpec spec{};
  LanePlan plan;
  int64_t k = 0, n = 0;
  bool transposed = false;     ///< of `codes`: N x K instead of K x N
  std::vector<uint8_t> codes;  ///< the operand's own codes, rows without gaps
  AlignedBytes strips;         ///< [strip][group] blocks of StripLayout; unused by kInteger

  CodeView Codes() const;
  fp8::Unpacked At(int64_t row, int64_t column) const {
    return fp8::Unpack(spec.b, transposed ? Codes()(column, row) : Codes()(row, column));
  }
};

/// Constants of taking apart codes of a format in 16-bit lanes. TF32 comes as the upper half of the
/// word and, in a second lane, its three bits below.
struct DecodePlan {
  fp8::Format format;  ///< of the upper half
  int extra_bits;      ///< 3 for TF32, else 0
  int exponent_bias;   ///< added to every real exponent
  int shift;           ///< applied to every significand
  int lift;            ///< places a subnormal's leading bit may move up: AsFp16 of sim/accum.h
};
DecodePlan PlanDecode(fp8::Format format, Flow flow, int exponent_bias, int shift);

/// One output through one fused group by the integers: what lanes do with the cases they leave out.
uint32_t GroupByIntegers(const AccumSpec& spec, CodeView a, const PackedB::Impl& b, int64_t row,
                         int64_t column, int64_t group_index, uint32_t c_word);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_PACK_H_
