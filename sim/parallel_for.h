// A loop over independent tasks on several threads. Internal to sim/.
#ifndef LOSTBITS_SIM_PARALLEL_FOR_H_
#define LOSTBITS_SIM_PARALLEL_FOR_H_

#include <omp.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

#include "sim/float_environment.h"

namespace lostbits::sim {

/// What a user's number of threads means: 0 is all.
inline int ThreadCount(int threads) { return threads > 0 ? threads : omp_get_max_threads(); }

/// Runs body(i) for i < count on `threads` threads, each next one on whichever is free, in the
/// default floating-point environment. body returns "" or what went wrong, or throws; the first
/// error is thrown on the caller's side. progress is called by the caller's thread.
template <class Body>
void ParallelFor(int64_t count, int threads, const std::function<void(double)>& progress,
                 const Body& body) {
  std::exception_ptr thrown;
  std::string failed;
  std::atomic<int64_t> done{0};
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t i = 0; i < count; ++i) {
    try {
      const DefaultEnvironment environment;
      const std::string error = body(i);
      if (!error.empty()) {
#pragma omp critical(lostbits_parallel_error)
        if (failed.empty()) failed = error;
      }
      ++done;
      if (progress && omp_get_thread_num() == 0)
        progress(static_cast<double>(done) / static_cast<double>(count));
    } catch (...) {
#pragma omp critical(lostbits_parallel_error)
      if (!thrown) thrown = std::current_exception();
    }
  }
  if (thrown) std::rethrow_exception(thrown);
  if (!failed.empty()) throw std::runtime_error(failed);
}

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_PARALLEL_FOR_H_
