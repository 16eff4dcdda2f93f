// What the lanes read: operands taken apart once, in an order that loads as whole vectors.
//
// A PackedB made under one instruction set can be used under another, by the integers where its
// form is missing. Not part of the public interface; sim/gemm.h is.
#ifndef LOSTBITS_SIM_GEMM_PACK_H_
#define LOSTBITS_SIM_GEMM_PACK_H_

#include <algorithm>
#include <cstdint>
#include <memory>

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
inline constexpr int kZeroThreshold = -2048;

/// The same where exponents are bytes and sums saturate: real ones lie in -32 .. 32.
inline constexpr int kByteZero = -64;
inline constexpr int kByteSpecial = 127;
inline constexpr int kLargestByteZero = -33;

/// The bias of binary32. Exponents that a sum has with c carry it.
inline constexpr int kExponentBias = 127;

/// Which lanes compute a machine's groups. All forms of one group give the same bits.
enum class LanePath : uint8_t {
  kInteger,  ///< none: DotChain of sim/accum.h, one output at a time
  kCut,      ///< products in FP32, cut to integers; FP16 and less, F = 13 or 23 to 25; late c too
  kBytes,    ///< two products in the 16-bit halves of a lane; FP8, F = 13; AVX-512 only
  kWide,     ///< one product a 32-bit lane, in integers; BF16 and TF32, F = 23 to 25
  // Below: sim/gemm_pack_amd.h.
  kFloat,      ///< operations of FP32: chains of fma, trees
  kDouble,     ///< exact sums in FP64, rounded once
  kLateFloor,  ///< products in FP32, cut to integers; c after them
};

/// Exponent and shifted significand of each of an FP8 format's magnitudes.
struct ByteTables {
  uint8_t exponent[128], significand[128];
};

/// A machine as the lanes see it.
struct LanePlan {
  LanePath path = LanePath::kInteger;
  int a_shift = 0, b_shift = 0;     ///< significands are packed shifted left by these
  ByteTables a_bytes{}, b_bytes{};  ///< of kBytes
};

/// A path that every instruction set has and that is proved equal to the integers for this machine;
/// kInteger where none is.
LanePlan PlanLanes(const AccumSpec& spec);

/// The same machine by kBytes, if that holds for it; else `plan`.
LanePlan PlanBytes(const AccumSpec& spec, const LanePlan& plan);

/// Bytes of one fused group of a strip of B, and of a row of A. Every part is a multiple of 64
/// bytes in B. In order:
///   kCut    exponents: int8; significands: float, with sign and exponent.
///   kWide   exponents: int16; then for each product a pair of int16 (signed significand, sign);
///           then a word of sign bits, that of product 2p in bit p and of product 2p + 1 in 16 + p.
///   kBytes  see StripBytes and RowBytes.
/// In B, element (k, j) of an int16 array is at ((k / 2) * kStrip + j) * 2 + k % 2, the pair or the
/// float of product (k, j) at k * kStrip + j, and column j's exponents of kCut are the four bytes
/// from (k / 4 * kStrip + j) * 4, products 0, 2, 1, 3. A has k alone in the place of these.
struct BlockLayout {
  int64_t significands, signs, bytes;
};
BlockLayout StripLayout(const AccumSpec& spec, LanePath path);
BlockLayout RowLayout(const AccumSpec& spec, LanePath path);

/// A block of B in kBytes. Four products 4q .. 4q + 3 go together. Bytes: exponents, word (q, j).
/// Then pairs of products (4q, 4q + 2) and (4q + 1, 4q + 3), words (2q, j) and (2q + 1, j):
/// exponents as int16 with bias, and (signed significand, 0 or -1) twice. Then for each column a
/// word of sign bits, that of product k in bit 8 * (k % 4) + k / 4, and their number.
template <int kGroup>
struct StripBytes {
  static constexpr int kExponents = kGroup * kStrip;
  static constexpr int kSignificands = kExponents + 2 * kGroup * kStrip;
  static constexpr int kNegative = kSignificands + 2 * kGroup * kStrip;
  static constexpr int kNegativeCount = kNegative + 4 * kStrip;
  static constexpr int kBytes = kNegativeCount + 4 * kStrip;
};

/// A block of A in kBytes. Exponents as bytes; then, each as a word for every q of the pairs (4q,
/// 4q + 2) followed by all those of the pairs (4q + 1, 4q + 3): exponents as int16, (significand,
/// 1) twice, signs 1 or -1 as int16. Then the word of sign bits.
template <int kGroup>
struct RowBytes {
  static constexpr int kExponents = kGroup;
  static constexpr int kSignificands = kExponents + 2 * kGroup;
  static constexpr int kSigns = kSignificands + 2 * kGroup;
  static constexpr int kNegative = kSigns + 2 * kGroup;
  static constexpr int kBytes = kNegative + 4;
};

/// Bits of the magnitude of a group's sum, c included, in units of 2^(e_max - F): at most 24 where
/// F = 13, else 31 or 32.
int SumBits(const AccumSpec& spec);

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

/// Columns [column, column_end) and fused groups [group, group_end) of B; column begins a strip.
struct StripRange {
  int64_t column, column_end, group, group_end;
};

struct PackedB::Impl {
  AccumSpec spec{};
  LanePlan plan;
  const char* instruction_set = nullptr;  ///< that the plan was made for
  int64_t k = 0, n = 0;
  bool transposed = false;  ///< of `codes`: N x K instead of K x N
  CodeView codes{};         ///< the operand's own, the caller's memory
  Packing packing = Packing::kNow;
  AlignedBytes strips;  ///< [strip][group] blocks of StripLayout; unused by kInteger and kLater

  fp8::Unpacked At(int64_t row, int64_t column) const {
    return fp8::Unpack(spec.b, transposed ? codes(column, row) : codes(row, column));
  }
  /// From one column, and from one k, to the next, in codes.
  int64_t ColumnStep() const { return transposed ? codes.stride : 1; }
  int64_t KStep() const { return transposed ? 1 : codes.stride; }
};

/// Constants of taking apart codes of a format in 16-bit lanes. TF32 comes as the upper half of the
/// word and, in a second lane, its three bits below.
struct DecodePlan {
  fp8::Format format;  ///< of the upper half
  int extra_bits;      ///< 3 for TF32, else 0
  int shift;           ///< applied to every significand
  int lift;            ///< places a subnormal's leading bit may move up: AsFp16 of sim/accum.h
  int zero, special;   ///< exponents of operands without one
};
DecodePlan PlanDecode(fp8::Format format, Flow flow, LanePath path, int shift);

/// One output through one fused group by the integers: what lanes do with the cases they leave out.
uint32_t GroupByIntegers(const AccumSpec& spec, CodeView a, const PackedB::Impl& b, int64_t row,
                         int64_t column, int64_t group_index, uint32_t c_word);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_PACK_H_
