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
/// most 200, for about half a second. All are queued before the first is waited for, so that what
/// the host does for a launch (tensor maps, attributes) runs beside the kernels before it and is
/// not timed; of a kernel shorter than that, it is.
template <class Launch>
Timing TimeLaunches(const Launch& launch) {
  constexpr int kLeast = 10, kMost = 200;
  constexpr double kSeconds = 0.5;
  launch();
  Event start, end;
  start.Record();
  launch();
  end.Record();
  const double one = end.SecondsSince(start);
  const int runs = std::clamp(static_cast<int>(kSeconds / std::max(one, 1e-6)), kLeast, kMost);
  std::vector<Event> starts(static_cast<size_t>(runs)), ends(static_cast<size_t>(runs));
  for (size_t i = 0; i < starts.size(); ++i) {
    starts[i].Record();
    launch();
    ends[i].Record();
  }
  std::vector<double> seconds;
  for (size_t i = 0; i < starts.size(); ++i) seconds.push_back(ends[i].SecondsSince(starts[i]));
  Check(cudaDeviceSynchronize(), "bench");
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.front(), runs};
}

/// cuBLASLt's FP8 matrix product with BF16 output, per-tensor scales of 1 (cublaslt.cc; without the
/// library cublaslt_none.cc, which returns no runs). fast: CUBLASLT_MATMUL_DESC_FAST_ACCUM, one
/// level; otherwise it promotes. a: M x K, b: N x K, in device memory.
Timing TimeCublasLt(const GemmShape& shape, bool fast, const void* a, const void* b);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_BENCH_H_
