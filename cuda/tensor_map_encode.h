// A CUtensorMap from its plan. The driver's function is asked of the runtime, so that nothing links
// with libcuda, which machines without a GPU lack.
#ifndef LOSTBITS_CUDA_TENSOR_MAP_ENCODE_H_
#define LOSTBITS_CUDA_TENSOR_MAP_ENCODE_H_

#include <cuda.h>
#include <cudaTypedefs.h>

#include <stdexcept>

#include "cuda/check.h"
#include "cuda/tensor_map.h"

namespace lostbits::gpu {

inline CUtensorMap EncodeTensorMap(const TensorMapPlan& plan, const void* data) {
  if (const std::string why = WhyNoTensorMap(plan); !why.empty()) throw std::invalid_argument(why);
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  Check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                         cudaEnableDefault, &found),
        "cuTensorMapEncodeTiled");
  if (found != cudaDriverEntryPointSuccess)
    throw std::runtime_error("the driver has no cuTensorMapEncodeTiled");
  cuuint64_t dims[4], strides[3];
  cuuint32_t box[4], steps[4];
  for (int i = 0; i < plan.rank; ++i) {
    dims[i] = static_cast<cuuint64_t>(plan.dims[i]);
    if (i + 1 < plan.rank) strides[i] = static_cast<cuuint64_t>(plan.strides[i]);
    box[i] = static_cast<cuuint32_t>(plan.box[i]);
    steps[i] = 1;
  }
  CUtensorMap map;
  const CUresult result = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function)(
      &map, CU_TENSOR_MAP_DATA_TYPE_UINT8, static_cast<cuuint32_t>(plan.rank),
      const_cast<void*>(data), dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      plan.swizzle == 128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw std::runtime_error("cuTensorMapEncodeTiled: error " + std::to_string(result));
  return map;
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_TENSOR_MAP_ENCODE_H_
