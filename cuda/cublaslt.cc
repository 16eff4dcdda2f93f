// The peer of GEMM v3. cuBLAS 13 documentation, "Using the cuBLASLt API", FP8 data types: both
// operands with k fastest, which column-major cuBLAS calls "TN".
#include <cublasLt.h>

#include <stdexcept>

#include "cuda/bench.h"

namespace lostbits::gpu {
namespace {

void CheckLt(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string("cuBLASLt: ") + what + ": status " +
                             std::to_string(static_cast<int>(status)));
}

}  // namespace

// D (M x N, row-major) is D^T (N x M) to cuBLAS: its first operand is our b.
Timing TimeCublasLt(const GemmShape& s, bool fast, const void* a, const void* b) {
  constexpr size_t kWorkspace = size_t{64} << 20;
  const auto m = static_cast<uint64_t>(s.m), n = static_cast<uint64_t>(s.n);
  const auto k = static_cast<uint64_t>(s.k);
  DeviceArray<uint16_t> d(static_cast<size_t>(s.m * s.n));
  DeviceArray<uint8_t> workspace(kWorkspace);
  cublasLtHandle_t handle;
  CheckLt(cublasLtCreate(&handle), "create");
  cublasLtMatmulDesc_t operation;
  CheckLt(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "descriptor");
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const int8_t accumulate = fast ? 1 : 0;
  CheckLt(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                         sizeof transposed),
          "transpose");
  CheckLt(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &accumulate,
                                         sizeof accumulate),
          "fast accumulation");
  cublasLtMatrixLayout_t first, second, result;
  CheckLt(cublasLtMatrixLayoutCreate(&first, CUDA_R_8F_E4M3, k, n, s.k), "layout of b");
  CheckLt(cublasLtMatrixLayoutCreate(&second, CUDA_R_8F_E4M3, k, m, s.k), "layout of a");
  CheckLt(cublasLtMatrixLayoutCreate(&result, CUDA_R_16BF, n, m, s.n), "layout of d");
  cublasLtMatmulPreference_t preference;
  CheckLt(cublasLtMatmulPreferenceCreate(&preference), "preference");
  CheckLt(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &kWorkspace, sizeof kWorkspace),
          "workspace");
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  // A library without this product on this GPU says so here; then there is no peer.
  const cublasStatus_t there = cublasLtMatmulAlgoGetHeuristic(
      handle, operation, first, second, result, result, preference, 1, &best, &found);
  if (there == CUBLAS_STATUS_NOT_SUPPORTED) {
    found = 0;
  } else {
    CheckLt(there, "heuristic");
  }
  Timing timing{};
  if (found > 0) {
    const float one = 1, zero = 0;
    timing = TimeLaunches([&] {
      CheckLt(cublasLtMatmul(handle, operation, &one, b, first, a, second, &zero, d.data(), result,
                             d.data(), result, &best.algo, workspace.data(), kWorkspace, nullptr),
              "matmul");
    });
  }
  cublasLtMatmulPreferenceDestroy(preference);
  cublasLtMatrixLayoutDestroy(result);
  cublasLtMatrixLayoutDestroy(second);
  cublasLtMatrixLayoutDestroy(first);
  cublasLtMatmulDescDestroy(operation);
  cublasLtDestroy(handle);
  return timing;
}

}  // namespace lostbits::gpu
