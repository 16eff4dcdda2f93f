#include "sim/gemm.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "sim/accum.h"
#include "sim/gemm_lanes.h"
#include "sim/gemm_lanes_amd.h"
#include "sim/gemm_pack.h"
#include "sim/gemm_pack_amd.h"

namespace lostbits::sim {
namespace {

int64_t ElementBytes(fp8::Format f) {
  const int bits = fp8::StorageBits(f);
  return bits <= 8 ? 1 : bits <= 16 ? 2 : 4;
}

std::string Shape(int64_t rows, int64_t cols) {
  return std::to_string(rows) + " x " + std::to_string(cols);
}

void CheckOperands(const AccumSpec& spec, CodeView a, const PackedB::Impl& b,
                   MatrixView<uint32_t> c) {
  if (!(b.spec == spec)) {
    throw std::invalid_argument("MultiplyAccumulate: b was packed for another machine");
  }
  if (!(a.format == spec.a)) {
    throw std::invalid_argument("MultiplyAccumulate: a is not in the machine's format");
  }
  if (a.cols != b.k || c.rows != a.rows || c.cols != b.n) {
    throw std::invalid_argument("MultiplyAccumulate: a " + Shape(a.rows, a.cols) + " times b " +
                                Shape(b.k, b.n) + " into c " + Shape(c.rows, c.cols));
  }
}

}  // namespace

uint32_t CodeView::operator()(int64_t r, int64_t c) const {
  const int64_t i = r * stride + c;
  switch (ElementBytes(format)) {
    case 1: return static_cast<const uint8_t*>(data)[i];
    case 2: return static_cast<const uint16_t*>(data)[i];
    default: return static_cast<const uint32_t*>(data)[i];
  }
}

CodeView CodeView::Rows(int64_t r0, int64_t n) const {
  return {static_cast<const uint8_t*>(data) + r0 * stride * ElementBytes(format), format, n, cols,
          stride};
}

CodeView CodeView::Cols(int64_t c0, int64_t n) const {
  return {static_cast<const uint8_t*>(data) + c0 * ElementBytes(format), format, rows, n, stride};
}

PackedB::PackedB() : impl_(std::make_unique<Impl>()) {}
PackedB::~PackedB() = default;
PackedB::PackedB(PackedB&&) noexcept = default;
PackedB& PackedB::operator=(PackedB&&) noexcept = default;
int64_t PackedB::k() const { return impl_->k; }
int64_t PackedB::n() const { return impl_->n; }

void PackedB::Pack(const AccumSpec& spec, CodeView b, Packing packing) {
  PackCodes(spec, b, false, packing);
}
void PackedB::PackTransposed(const AccumSpec& spec, CodeView bt, Packing packing) {
  PackCodes(spec, bt, true, packing);
}

void PackedB::PackCodes(const AccumSpec& spec, CodeView codes, bool transposed, Packing packing) {
  if (!(codes.format == spec.b)) {
    throw std::invalid_argument("PackedB: b is not in the machine's format");
  }
  if (!HasMatrixProduct(spec)) {
    throw std::invalid_argument("PackedB: block scales and FP64 words are not modelled");
  }
  Impl& b = *impl_;
  if (!(b.spec == spec) || b.instruction_set != InstructionSetName()) {
    b.spec = spec;
    b.instruction_set = InstructionSetName();
    b.plan = BestPlan(spec);
  }
  b.k = transposed ? codes.cols : codes.rows;
  b.n = transposed ? codes.rows : codes.cols;
  b.transposed = transposed;
  b.codes = codes;
  b.packing = IsFloatPath(b.plan.path) ? Packing::kNow : packing;
  if (b.plan.path == LanePath::kInteger || b.packing == Packing::kLater) return;
  const int64_t strips = (b.n + kStrip - 1) / kStrip;
  b.strips.Reserve(strips * GroupCount(spec, b.k) * StripLayout(spec, b.plan.path).bytes);
  IsFloatPath(b.plan.path) ? PackFloatStripsInLanes(b) : PackStripsInLanes(b);
}

void MultiplyAccumulate(const AccumSpec& spec, CodeView a, const PackedB& b,
                        MatrixView<uint32_t> c) {
  const PackedB::Impl& packed = b.impl();
  if (packed.plan.path == LanePath::kInteger) return MultiplyAccumulateScalar(spec, a, b, c);
  CheckOperands(spec, a, packed, c);
  // Rows of A are taken apart a few at a time: they stay in the cache, and need little memory.
  constexpr int64_t kRowsAtOnce = 64;
  AlignedBytes rows;
  rows.Reserve(std::min(a.rows, kRowsAtOnce) * GroupCount(spec, packed.k) *
               RowLayout(spec, packed.plan.path).bytes);
  for (int64_t i = 0; i < a.rows; i += kRowsAtOnce) {
    const int64_t n = std::min(kRowsAtOnce, a.rows - i);
    if (IsFloatPath(packed.plan.path)) {
      PackFloatRowsInLanes(packed, a.Rows(i, n), rows.data());
      MultiplyFloatsInLanes(packed, a.Rows(i, n), rows.data(), c.Rows(i, n));
    } else {
      PackRowsInLanes(packed, a.Rows(i, n), rows.data());
      MultiplyInLanes(packed, a.Rows(i, n), rows.data(), c.Rows(i, n));
    }
  }
}

void MultiplyAccumulateScalar(const AccumSpec& spec, CodeView a, const PackedB& b,
                              MatrixView<uint32_t> c) {
  const PackedB::Impl& packed = b.impl();
  CheckOperands(spec, a, packed, c);
  // A column of B is taken apart once for several rows of A.
  constexpr int64_t kRowsAtOnce = 16;
  const int64_t k = packed.k;
  std::vector<fp8::Unpacked> rows(static_cast<size_t>(std::min(a.rows, kRowsAtOnce) * k));
  std::vector<fp8::Unpacked> column(static_cast<size_t>(k));
  for (int64_t i0 = 0; i0 < a.rows; i0 += kRowsAtOnce) {
    const int64_t n = std::min(kRowsAtOnce, a.rows - i0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t x = 0; x < k; ++x) {
        rows[static_cast<size_t>(i * k + x)] = fp8::Unpack(spec.a, a(i0 + i, x));
      }
    }
    for (int64_t j = 0; j < packed.n; ++j) {
      for (int64_t x = 0; x < k; ++x) column[static_cast<size_t>(x)] = packed.At(x, j);
      for (int64_t i = 0; i < n; ++i) {
        uint32_t& word = c(i0 + i, j);
        word = static_cast<uint32_t>(DotChain(spec, rows.data() + i * k, column.data(), k, word));
      }
    }
  }
}

const char* LanePathName(const AccumSpec& spec) {
  switch (BestPlan(spec).path) {
    case LanePath::kCut: return "cut";
    case LanePath::kBytes: return "bytes";
    case LanePath::kWide: return "wide";
    case LanePath::kFloat: return "float";
    case LanePath::kDouble: return "double";
    case LanePath::kLateFloor: return "late floor";
    case LanePath::kInteger: break;
  }
  return "integer";
}

}  // namespace lostbits::sim
