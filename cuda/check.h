// Errors of the CUDA runtime as exceptions, and device memory that frees itself. Host code of .cu
// files only.
#ifndef LOSTBITS_CUDA_CHECK_H_
#define LOSTBITS_CUDA_CHECK_H_

#include <cuda_runtime.h>

#include <span>
#include <stdexcept>
#include <string>

namespace lostbits::gpu {

/// Throws std::runtime_error "<what>: <name of the error>: <its text>".
inline void Check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(error) + ": " +
                           cudaGetErrorString(error));
}

/// After a launch: what was wrong with it, or with anything before it.
inline void CheckLaunch(const char* what) {
  Check(cudaGetLastError(), what);
  Check(cudaDeviceSynchronize(), what);
}

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t size) : size_(size) {
    if (size > 0) Check(cudaMalloc(&data_, size * sizeof(T)), "cudaMalloc");
  }
  explicit DeviceArray(std::span<const T> from) : DeviceArray(from.size()) {
    if (from.empty()) return;
    Check(cudaMemcpy(data_, from.data(), from.size_bytes(), cudaMemcpyHostToDevice), "copy in");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  void CopyTo(std::span<T> to) const {
    Check(cudaMemcpy(to.data(), data_, to.size_bytes(), cudaMemcpyDeviceToHost), "copy out");
  }

 private:
  T* data_ = nullptr;
  size_t size_;
};

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_CHECK_H_
