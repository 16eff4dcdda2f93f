// Scalar reference; replaced by the lane path in accum-inl.h where that is proved equal.
#include "sim/gemm.h"

#include <algorithm>
#include <vector>

#include "sim/accum.h"

namespace lostbits::sim {

uint32_t CodeView::operator()(int64_t r, int64_t c) const {
  const int64_t i = r * stride + c;
  const int bits = fp8::StorageBits(format);
  if (bits <= 8) return static_cast<const uint8_t*>(data)[i];
  if (bits <= 16) return static_cast<const uint16_t*>(data)[i];
  return static_cast<const uint32_t*>(data)[i];
}

struct PackedB::Impl {
  int64_t k = 0, n = 0;
  std::vector<fp8::Unpacked> columns;  // n x k
};

PackedB::PackedB() : impl_(std::make_unique<Impl>()) {}
PackedB::~PackedB() = default;
PackedB::PackedB(PackedB&&) noexcept = default;
PackedB& PackedB::operator=(PackedB&&) noexcept = default;
int64_t PackedB::k() const { return impl_->k; }
int64_t PackedB::n() const { return impl_->n; }

void PackedB::Pack(const AccumSpec&, CodeView b) {
  impl_->k = b.rows;
  impl_->n = b.cols;
  impl_->columns.resize(static_cast<size_t>(b.rows * b.cols));
  for (int64_t j = 0; j < b.cols; ++j)
    for (int64_t i = 0; i < b.rows; ++i)
      impl_->columns[static_cast<size_t>(j * b.rows + i)] = fp8::Unpack(b.format, b(i, j));
}

void PackedB::PackTransposed(const AccumSpec&, CodeView bt) {
  impl_->k = bt.cols;
  impl_->n = bt.rows;
  impl_->columns.resize(static_cast<size_t>(bt.rows * bt.cols));
  for (int64_t j = 0; j < bt.rows; ++j)
    for (int64_t i = 0; i < bt.cols; ++i)
      impl_->columns[static_cast<size_t>(j * bt.cols + i)] = fp8::Unpack(bt.format, bt(j, i));
}

void MultiplyAccumulate(const AccumSpec& spec, CodeView a, const PackedB& b,
                        MatrixView<uint32_t> c) {
  std::vector<fp8::Unpacked> row(static_cast<size_t>(a.cols));
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t k = 0; k < a.cols; ++k) row[static_cast<size_t>(k)] = fp8::Unpack(a.format, a(i, k));
    for (int64_t j = 0; j < b.n(); ++j)
      c(i, j) = DotChain(spec, row.data(), b.impl_->columns.data() + j * b.k(), b.k(), c(i, j));
  }
}

}  // namespace lostbits::sim
