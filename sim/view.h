// A borrowed matrix: pointer, shape, stride. Never owns, never allocates.
#ifndef LOSTBITS_SIM_VIEW_H_
#define LOSTBITS_SIM_VIEW_H_

#include <cstddef>
#include <cstdint>

namespace lostbits::sim {

/// rows x cols elements of T; element (r, c) lies at data[r * stride + c]. stride >= cols.
template <class T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  constexpr MatrixView() = default;
  constexpr MatrixView(T* d, int64_t r, int64_t c) : data(d), rows(r), cols(c), stride(c) {}
  constexpr MatrixView(T* d, int64_t r, int64_t c, int64_t s)
      : data(d), rows(r), cols(c), stride(s) {}
  /// A view of mutable data is a view of constant data.
  constexpr operator MatrixView<const T>() const { return {data, rows, cols, stride}; }

  constexpr T* Row(int64_t r) const { return data + r * stride; }
  constexpr T& operator()(int64_t r, int64_t c) const { return data[r * stride + c]; }
  /// Rows [r0, r0 + n) as a view of their own.
  constexpr MatrixView Rows(int64_t r0, int64_t n) const { return {Row(r0), n, cols, stride}; }
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_VIEW_H_
