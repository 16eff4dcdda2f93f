// What the codec is measured against: memory itself, and what a user would use instead.
// All work on whole groups of 64 elements.
#ifndef LOSTBITS_TESTS_BENCH_CODEC_BASELINES_H_
#define LOSTBITS_TESTS_BENCH_CODEC_BASELINES_H_

#include <cstddef>
#include <cstdint>

namespace lostbits::bench {

/// Whether this CPU has what the functions below need: AVX-512 F, BW, VL, DQ.
bool HaveAvx512();

/// Loads and stores alone: four vectors of 64 bytes read for one written, and the other way round.
/// The bytes written mean nothing.
void MoveFourToOne(const float* in, uint8_t* out, size_t n);
void MoveOneToFour(const uint8_t* in, float* out, size_t n);

/// FP32 to E4M3FN and back by the algorithm of PyTorch's AVX-512 class for float8_e4m3fn
/// (aten/src/ATen/cpu/vec/vec512/vec512_float8.h, commit 080b74c), written anew: 16 elements at a
/// time in 32-bit lanes, cases told apart by masks, each case skipped where no lane needs it.
/// Overflow gives NaN there; no test data here overflow.
void PeerEncodeE4M3FN(const float* in, uint8_t* out, size_t n);
void PeerDecodeE4M3FN(const uint8_t* in, float* out, size_t n);

/// The host functions of CUDA's cuda_fp8.h, an element at a time; false where built without them.
bool CudaEncodeE4M3FN(const float* in, uint8_t* out, size_t n);
bool CudaDecodeE4M3FN(const uint8_t* in, float* out, size_t n);

}  // namespace lostbits::bench

#endif  // LOSTBITS_TESTS_BENCH_CODEC_BASELINES_H_
