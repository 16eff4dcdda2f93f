// What a CUtensorMap is made of (CUDA Driver API, cuTensorMapEncodeTiled), as data that a CPU test
// can check: bytes, innermost dimension first.
#ifndef LOSTBITS_CUDA_TENSOR_MAP_H_
#define LOSTBITS_CUDA_TENSOR_MAP_H_

#include <cstdint>
#include <string>

namespace lostbits::gpu {

struct TensorMapPlan {
  int rank;
  int64_t dims[4];
  int64_t strides[3];  ///< bytes from one element to the next of dimensions 1, 2, 3
  int box[4];
  int swizzle;  ///< bytes of a line in shared memory: 64 or 128

  constexpr int64_t BoxBytes() const {
    int64_t bytes = 1;
    for (int i = 0; i < rank; ++i) bytes *= box[i];
    return bytes;
  }
};

/// rows x row_bytes, contiguous, in boxes of box_rows lines of box_bytes.
constexpr TensorMapPlan MatrixMap(int64_t rows, int64_t row_bytes, int box_rows, int box_bytes) {
  return {2, {row_bytes, rows}, {row_bytes}, {box_bytes, box_rows}, box_bytes};
}
/// [batch, seqlen, heads, dim], contiguous: box_rows positions of one head, box_bytes of dim.
constexpr TensorMapPlan HeadsMap(int64_t batch, int64_t seqlen, int64_t heads, int64_t dim,
                                 int box_rows, int box_bytes) {
  return {4,
          {dim, heads, seqlen, batch},
          {dim, heads * dim, seqlen * heads * dim},
          {box_bytes, 1, box_rows, 1},
          box_bytes};
}

/// "" or why the driver would refuse, or EncodeTensorMap have no name for the swizzle.
inline std::string WhyNoTensorMap(const TensorMapPlan& p) {
  const auto text = [](const char* what, int i, int64_t value) {
    return std::string("tensor map: ") + what + " " + std::to_string(i) + " is " +
           std::to_string(value);
  };
  for (int i = 0; i < p.rank; ++i) {
    if (p.dims[i] < 1 || p.dims[i] > int64_t{1} << 32) return text("dimension", i, p.dims[i]);
    if (p.box[i] < 1 || p.box[i] > 256) return text("box", i, p.box[i]);
  }
  for (int i = 0; i + 1 < p.rank; ++i)
    if (p.strides[i] % 16 != 0 || p.strides[i] >= int64_t{1} << 40)
      return text("stride", i, p.strides[i]);
  if (p.swizzle != 64 && p.swizzle != 128) return text("swizzle of dimension", 0, p.swizzle);
  if (p.box[0] % 16 != 0 || p.box[0] > p.swizzle) return text("box", 0, p.box[0]);
  return "";
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_TENSOR_MAP_H_
