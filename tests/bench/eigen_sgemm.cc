// Eigen's product of floats. Alone in a file: it is compiled for AVX-512, and inline functions of
// other headers must not be.
#define EIGEN_DONT_PARALLELIZE
#include "tests/bench/eigen_sgemm.h"

#include <Eigen/Core>

namespace lostbits::bench {

void EigenSgemm(int m, int n, int k, const float* a, const float* b, float* c) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::Map<Matrix> result(c, m, n);
  result.noalias() = Eigen::Map<const Matrix>(a, m, k) * Eigen::Map<const Matrix>(b, k, n);
}

}  // namespace lostbits::bench
