// Inputs of the cases: codes of N(0, 1), in memory that is touched before anything is timed.
#ifndef LOSTBITS_SRC_CLI_BENCH_DATA_H_
#define LOSTBITS_SRC_CLI_BENCH_DATA_H_

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "fp8/codec.h"
#include "fp8/convert.h"
#include "sim/gemm.h"
#include "sim/random.h"

namespace lostbits::cli {

/// Bytes in huge pages where the system has them, so that address translation is not what is timed.
/// All are written once: the pages are there.
class Buffer {
 public:
  explicit Buffer(size_t bytes) : bytes_((bytes + kPage - 1) / kPage * kPage) {
    data_.reset(std::aligned_alloc(kPage, bytes_));
    if (data_ == nullptr) throw std::bad_alloc();
    madvise(data_.get(), bytes_, MADV_HUGEPAGE);
    std::memset(data_.get(), 0, bytes_);
  }
  template <class T>
  T* As() const {
    return static_cast<T*>(data_.get());
  }

 private:
  static constexpr size_t kPage = size_t{1} << 21;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  size_t bytes_;
  std::unique_ptr<void, Free> data_;
};

/// Numbers close to N(0, 1). A short period repeated: drawing costs more than some cases.
inline std::vector<float> NormalFloats(size_t n, uint64_t seed) {
  constexpr size_t kPeriod = 1 << 18;
  std::vector<float> x(n);
  sim::Random random(seed);
  for (size_t i = 0; i < n; ++i)
    x[i] = i < kPeriod ? static_cast<float>(random.Normal()) : x[i - kPeriod];
  return x;
}

/// rows x cols codes of a format of at most 32 bits, N(0, 1) rounded into it.
class NormalCodes {
 public:
  NormalCodes(fp8::Format format, int64_t rows, int64_t cols, uint64_t seed)
      : format_(format), rows_(rows), cols_(cols) {
    const std::vector<float> x = NormalFloats(static_cast<size_t>(rows * cols), seed);
    const int bytes = fp8::ContainerBytes(format);
    codes_.resize(x.size() * static_cast<size_t>(bytes));
    const fp8::EncodePolicy policy{};
    fp8::Encode(x, fp8::Codes(format, codes_.data(), x.size(), bytes), policy);
  }
  const uint8_t* data() const { return codes_.data(); }
  sim::CodeView View() const { return {codes_.data(), format_, rows_, cols_, cols_}; }

 private:
  fp8::Format format_;
  int64_t rows_, cols_;
  std::vector<uint8_t> codes_;
};

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_DATA_H_
