// Timings of kernels with CUDA events. Host code of .cu files, and of cublaslt.cc.
#ifndef LOSTBITS_CUDA_BENCH_H_
#define LOSTBITS_CUDA_BENCH_H_

#include <cuda_runtime.h>

#include <algorithm>
#include <vector>

#include "cuda/check.h"
#include "cuda/gpu.h"

namespace lostbits::gpu {

class Event {
 public:
  Event() { Check(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void Record() { Check(cudaEventRecord(event_), "cudaEventRecord"); }
  double SecondsSince(const Event& start) const {
    Check(cudaEventSynchronize(event_), "cudaEventSynchronize");
    float milliseconds = 0;
    Check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
    return milliseconds * 1e-3;
  }

 private:
  cudaEvent_t event_;
};

/// `launch` several times, each between two events, after two that do not count: at least 10, at
/// most 200, until half a second has gone.
template <class Launch>
Timing TimeLaunches(const Launch& launch) {
  constexpr int kLeast = 10, kMost = 200;
  constexpr double kSeconds = 0.5;
  for (int i = 0; i < 2; ++i) launch();
  Check(cudaDeviceSynchronize(), "bench");
  std::vector<double> seconds;
  double total = 0;
  Event start, end;
  while (static_cast<int>(seconds.size()) < kMost &&
         (static_cast<int>(seconds.size()) < kLeast || total < kSeconds)) {
    start.Record();
    launch();
    end.Record();
    seconds.push_back(end.SecondsSince(start));
    total += seconds.back();
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), static_cast<int>(seconds.size())};
}

/// cuBLASLt's FP8 matrix product with BF16 output, per-tensor scales of 1 (cublaslt.cc; without the
/// library cublaslt_none.cc, which returns no runs). fast: CUBLASLT_MATMUL_DESC_FAST_ACCUM, one
/// level; otherwise it promotes. a: M x K, b: N x K, in device memory.
Timing TimeCublasLt(const GemmShape& shape, bool fast, const void* a, const void* b);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_BENCH_H_
