// The instructions that lostbits-gpu can run, one line each. Host tables and device code are both
// made from these lists, so that neither can name an instruction the other lacks.
//
// X(bytes, k, a, b, d, first, last): bytes of k products in a row of a, k, operand and result types
// as PTX spells them, first and last compute capability (10 * major + minor) that has it. PTX
// ISA 9.0, "Warp Level Matrix Multiply-Accumulate Instructions", tables of shapes and "Target ISA
// Notes"; "Asynchronous Warpgroup Level Matrix Instructions".
#ifndef LOSTBITS_CUDA_UNIT_LIST_H_
#define LOSTBITS_CUDA_UNIT_LIST_H_

/// mma.sync.aligned.m16n8kK.row.col.D.A.B.D
#define LOSTBITS_MMA_UNITS(X)         \
  X(16, 8, f16, f16, f32, 75, 129)    \
  X(32, 16, f16, f16, f32, 80, 129)   \
  X(16, 8, f16, f16, f16, 75, 129)    \
  X(32, 16, f16, f16, f16, 80, 129)   \
  X(16, 8, bf16, bf16, f32, 80, 129)  \
  X(32, 16, bf16, bf16, f32, 80, 129) \
  X(16, 4, tf32, tf32, f32, 80, 129)  \
  X(32, 8, tf32, tf32, f32, 80, 129)  \
  X(32, 32, e4m3, e4m3, f32, 89, 129) \
  X(32, 32, e5m2, e5m2, f32, 89, 129) \
  X(32, 32, e4m3, e5m2, f32, 89, 129) \
  X(32, 32, e5m2, e4m3, f32, 89, 129) \
  X(32, 32, e4m3, e4m3, f16, 89, 129) \
  X(32, 32, e5m2, e5m2, f16, 89, 129) \
  X(32, 32, e4m3, e5m2, f16, 89, 129) \
  X(32, 32, e5m2, e4m3, f16, 89, 129) \
  X(16, 16, e4m3, e4m3, f32, 89, 129) \
  X(16, 16, e5m2, e5m2, f32, 89, 129) \
  X(16, 16, e4m3, e5m2, f32, 89, 129) \
  X(16, 16, e5m2, e4m3, f32, 89, 129) \
  X(16, 16, e4m3, e4m3, f16, 89, 129) \
  X(16, 16, e5m2, e5m2, f16, 89, 129) \
  X(16, 16, e4m3, e5m2, f16, 89, 129) \
  X(16, 16, e5m2, e4m3, f16, 89, 129)

/// wgmma.mma_async.sync.aligned.m64n8kK.D.A.B: of sm_90a only.
#define LOSTBITS_WGMMA_UNITS(X)      \
  X(32, 16, f16, f16, f32, 90, 90)   \
  X(32, 16, f16, f16, f16, 90, 90)   \
  X(32, 16, bf16, bf16, f32, 90, 90) \
  X(32, 8, tf32, tf32, f32, 90, 90)  \
  X(32, 32, e4m3, e4m3, f32, 90, 90) \
  X(32, 32, e5m2, e5m2, f32, 90, 90) \
  X(32, 32, e4m3, e5m2, f32, 90, 90) \
  X(32, 32, e5m2, e4m3, f32, 90, 90) \
  X(32, 32, e4m3, e4m3, f16, 90, 90) \
  X(32, 32, e5m2, e5m2, f16, 90, 90) \
  X(32, 32, e4m3, e5m2, f16, 90, 90) \
  X(32, 32, e5m2, e4m3, f16, 90, 90)

/// wmma.mma.sync.aligned.row.col.m16n16kK.D.A.B.D
#define LOSTBITS_WMMA_UNITS(X) X(32, 8, tf32, tf32, f32, 80, 129)

#endif  // LOSTBITS_CUDA_UNIT_LIST_H_
