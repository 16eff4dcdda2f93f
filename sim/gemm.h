// Matrix products as a matrix unit computes them: every output is one chain of instructions over
// increasing k, bit for bit.
//
// Several paths give the same bits: the integers of sim/accum.h (every machine); lanes that cut
// FP32 products to integers, bytes or 32-bit integers for NVIDIA's flows; lanes of floating point
// for the flows of sim/accum_amd.h. LanePathName tells which. Machines with block scales or FP64
// words have sim/accum.h only: HasMatrixProduct.
#ifndef LOSTBITS_SIM_GEMM_H_
#define LOSTBITS_SIM_GEMM_H_

#include <cstdint>
#include <memory>

#include "fp8/format.h"
#include "sim/arch.h"
#include "sim/view.h"

namespace lostbits::sim {

/// Whether a machine's matrix products are modelled: no block scales, words of at most 32 bits.
constexpr bool HasMatrixProduct(const AccumSpec& spec) {
  return spec.block == 0 && fp8::StorageBits(spec.acc) <= 32;
}

/// A borrowed matrix of codes. An element takes 1, 2 or 4 bytes: the format's storage bits rounded
/// up to a power of two (FP4 and FP6 one byte each, TF32 four). stride counts elements.
struct CodeView {
  const void* data = nullptr;
  fp8::Format format = fp8::kE4M3FN;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  uint32_t operator()(int64_t r, int64_t c) const;
  /// Rows [r0, r0 + n) as a view of their own; likewise columns.
  CodeView Rows(int64_t r0, int64_t n) const;
  CodeView Cols(int64_t c0, int64_t n) const;
};

/// When a right operand is packed: at once, or by each product on its way, a part that stays in the
/// cache at a time. The latter pays for a single product of at most 64 rows; AMD's lanes ignore it.
enum class Packing : uint8_t { kNow, kLater };

/// The right operand of a product, K x N, packed once for use with many left operands.
class PackedB {
 public:
  PackedB();
  ~PackedB();
  PackedB(PackedB&&) noexcept;
  PackedB& operator=(PackedB&&) noexcept;

  /// Packs b (K x N). Reuses this object's memory. b's codes are not copied: they must stay as they
  /// are until the last product. Costs as much as multiplying three to six rows with it
  /// (tests/bench/README.md).
  void Pack(const AccumSpec& spec, CodeView b, Packing packing = Packing::kNow);
  /// Packs the transpose of bt (N x K): the layout of torch._scaled_mm and of attention's keys.
  void PackTransposed(const AccumSpec& spec, CodeView bt, Packing packing = Packing::kNow);

  int64_t k() const;
  int64_t n() const;

  struct Impl;  ///< sim/gemm_pack.h
  const Impl& impl() const { return *impl_; }

 private:
  void PackCodes(const AccumSpec& spec, CodeView codes, bool transposed, Packing packing);
  std::unique_ptr<Impl> impl_;
};

/// c[i][j] <- DotChain(a[i][:], b[:][j], c[i][j]): K / spec.k instructions over increasing k, the
/// last one zero-padded. a is M x K, c is M x N words of spec.acc (FP32, or FP16 in the low half).
/// c must not alias the codes of a or b. b must have been packed for the same spec. Serial: callers
/// run threads over outputs. The bits depend on no instruction set, rounding mode or flush-to-zero
/// setting; floating-point status flags may be raised, so traps should be masked, as they are by
/// default. Throws std::invalid_argument if shapes, formats or specs do not match.
void MultiplyAccumulate(const AccumSpec& spec, CodeView a, const PackedB& b,
                        MatrixView<uint32_t> c);

/// The same by the integers of sim/accum.h, one output at a time.
void MultiplyAccumulateScalar(const AccumSpec& spec, CodeView a, const PackedB& b,
                              MatrixView<uint32_t> c);

/// The instruction set the lanes run on in this process: "AVX3", "AVX2", "SCALAR", ...
const char* InstructionSetName();

/// What computes products of this machine here: "bytes" (two FP8 products a lane), "cut" (FP32
/// products cut to integers), "wide" (integers), "float" (FP32 operations), "double" (exact sums in
/// FP64), "late floor" (as "cut", c after them) or "integer" (one output at a time).
const char* LanePathName(const AccumSpec& spec);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_GEMM_H_
