// Eigen's product of floats, as a baseline.
#ifndef LOSTBITS_TESTS_BENCH_EIGEN_SGEMM_H_
#define LOSTBITS_TESTS_BENCH_EIGEN_SGEMM_H_

namespace lostbits::bench {

/// c = a b; row-major, contiguous; one thread. Needs a CPU with AVX-512 F and DQ.
void EigenSgemm(int m, int n, int k, const float* a, const float* b, float* c);

}  // namespace lostbits::bench

#endif  // LOSTBITS_TESTS_BENCH_EIGEN_SGEMM_H_
