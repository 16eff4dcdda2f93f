// Attention v2: FlashAttention-3's forward on E4M3 in its plainest form (sm_90a).
//
// A block has three warpgroups. One thread of the last asks TMA for tiles of 128 keys, kStages
// ahead; the first two hold 64 query rows each and do, tile after tile from the last to the first:
//
//   S = Q K^T      wgmma, both operands in shared memory, from zero
//   softmax        two rows a thread, in FP32 (cuda/attention_row.h)
//   P to E4M3      the accumulators of S become operand a, in registers as they lie (KeyAtPosition)
//   C = P V        wgmma from zero, V transposed by a kernel before
//   O = O scale + C   FP32: the second level
//
// Rows of a KV head are packed (query, head in its group), so GQA shares K and V. The pipeline is
// cuda/ring.h's, with a pair of barriers for K and one for V a stage.
#include <stdexcept>

#include "cuda/attention_launch.h"
#include "cuda/attention_row.h"
#include "cuda/check.h"
#include "cuda/ptx/cvt.h"
#include "cuda/ptx/fragment.h"
#include "cuda/ptx/tma.h"
#include "cuda/ptx/wgmma.h"
#include "cuda/ptx/wgmma_wide.h"
#include "cuda/ring.h"
#include "cuda/tensor_map_encode.h"

namespace lostbits::gpu {
namespace {

constexpr int kStages = 2, kConsumers = 2, kThreads = 128 * (kConsumers + 1);
constexpr int kRows = 64;  // of a warpgroup

struct Arguments {
  AttentionShape shape;
  float scale_log2;
  int64_t packed_rows, rows;  // of a KV head; of all
  bool bf16;
  AttentionPointers p;
};

/// Bytes of shared memory. A line has at most 128 bytes; of 256 there are two tiles side by side.
template <int kD>
struct Layout {
  static constexpr int kLine = kD < 128 ? kD : 128;
  static constexpr int kQ = kRows * kD, kTile = kKeyTile * kD;  // a warpgroup's; K's and V's
  static constexpr int kBytes = kConsumers * kQ + kStages * (2 * kTile + 4 * 8) + 1024;

  __device__ explicit Layout(uint8_t* memory)
      : q(memory + (1024 - ptx::SharedAddress(memory) % 1024) % 1024),
        k(q + kConsumers * kQ),
        v(k + kStages * kTile),
        k_full(reinterpret_cast<uint64_t*>(v + kStages * kTile)),
        k_empty(k_full + kStages),
        v_full(k_empty + kStages),
        v_empty(v_full + kStages) {}

  uint8_t *q, *k, *v;
  uint64_t *k_full, *k_empty, *v_full, *v_empty;
};

template <KernelExp2 kExp2>
struct Exp2Of {
  __device__ float operator()(float x) const {
    return kExp2 == KernelExp2::kApprox ? ptx::Ex2ApproxFtz(x) : sim::Exp2Polynomial(x);
  }
};

template <int kRegisters>
__device__ void Hold(float* d) {
#pragma unroll
  for (int i = 0; i < kRegisters; ++i) ptx::HoldRegister(d[i]);
}

/// A warpgroup's 64 packed rows of Q to shared memory, swizzled; zeros beyond the last.
template <int kD>
__device__ void LoadQueries(const Arguments& args, uint8_t* to, int64_t first, int64_t batch,
                            int64_t kv_head) {
  using L = Layout<kD>;
  const int64_t group = args.shape.heads_q / args.shape.heads_kv;
  for (int i = threadIdx.x % 128; i < kRows * kD / 16; i += 128) {
    const int line = i / (kD / 16), byte = i % (kD / 16) * 16;
    const int64_t row = first + line;
    uint4 piece = make_uint4(0, 0, 0, 0);
    if (row < args.packed_rows) {
      const int64_t query = row / group, head = kv_head * group + row % group;
      const int64_t at = ((batch * args.shape.seqlen_q + query) * args.shape.heads_q + head) * kD;
      piece = *reinterpret_cast<const uint4*>(args.p.q + at + byte);
    }
    *reinterpret_cast<uint4*>(to + byte / L::kLine * kRows * L::kLine +
                              SwizzledByte(line, byte % L::kLine, L::kLine)) = piece;
  }
  ptx::FenceProxyAsync();
  asm volatile("bar.sync %0, 128;" ::"r"(1 + static_cast<int>(threadIdx.x) / 128) : "memory");
}

/// S = Q K^T of one tile.
template <int kD>
__device__ void Scores(float* s, const uint8_t* q, const uint8_t* k) {
  using L = Layout<kD>;
  Hold<kKeyTile / 2>(s);
  ptx::WgmmaFence();
#pragma unroll
  for (int step = 0; step < kD / 32; ++step) {
    const int side = step * 32 / L::kLine, along = step * 32 % L::kLine >> 4;
    const uint64_t a =
        SwizzledDescriptor(ptx::SharedAddress(q + side * kRows * L::kLine), L::kLine);
    const uint64_t b =
        SwizzledDescriptor(ptx::SharedAddress(k + side * kKeyTile * L::kLine), L::kLine);
    ptx::WgmmaE4m3<kKeyTile>::RunSS(s, a + along, b + along, step > 0);
  }
  ptx::WgmmaCommit();
  ptx::WgmmaWait<0>();
  Hold<kKeyTile / 2>(s);
}

/// Scores become P before its rounding, in place; scale[h]: by what row h's sums shrink.
template <class Exp2>
__device__ void Softmax(float* s, int64_t first_key, const int64_t* key_end, float scale_log2,
                        Exp2 exp2, RowPart* rows, float* scale) {
  const int t = threadIdx.x % 128;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float max = rows[h].started ? rows[h].max : sim::NegativeInfinity();
    const int64_t seen = key_end[h] - first_key;  // keys of this tile that the row sees
    if (seen < kKeyTile) {
      const int limit = static_cast<int>(seen > 0 ? seen : 0);
#pragma unroll
      for (int j = 0; j < kKeyTile / 8; ++j)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int i = 4 * j + 2 * h + e;
          s[i] = WgmmaD(t, i).col < limit ? s[i] : sim::NegativeInfinity();
        }
    }
#pragma unroll
    for (int j = 0; j < kKeyTile / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) max = fmaxf(max, s[4 * j + 2 * h + e]);
    for (int away = 2; away > 0; away /= 2)
      max = fmaxf(max, __shfl_xor_sync(0xffff'ffff, max, away));
    const RowScales scales = MoveRowMaximum(max, scale_log2, exp2, &rows[h]);
    scale[h] = scales.scale;
#pragma unroll
    for (int j = 0; j < kKeyTile / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& x = s[4 * j + 2 * h + e];
        x = Probability(x, scale_log2, scales.max_scaled, exp2);
        rows[h].sum = rows[h].sum + x;
      }
  }
}

/// P as operand a: four registers an instruction of 32 keys.
__device__ void Pack(const float* s, uint32_t* p) {
#pragma unroll
  for (int g = 0; g < kKeyTile / 32; ++g)
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      const float* from = s + 4 * (4 * g + 2 * (r / 2)) + 2 * (r % 2);
      const uint32_t low = ptx::CvtE4m3x2(from[1], from[0]);
      const uint32_t high = ptx::CvtE4m3x2(from[5], from[4]);
      p[4 * g + r] = low | high << 16;
    }
}

template <int kD>
__device__ void StoreRow(const Arguments& args, int64_t row, int64_t split, int h, float factor,
                         const float (*o)[64]) {
  constexpr int kColumns = kD < 128 ? kD : 128;
  const int t = threadIdx.x % 128;
#pragma unroll
  for (int c = 0; c < kD / kColumns; ++c)
#pragma unroll
    for (int j = 0; j < kColumns / 8; ++j) {
      const int i = 4 * j + 2 * h;
      const float x = o[c][i] * factor, y = o[c][i + 1] * factor;
      const int64_t at = row * kD + c * kColumns + WgmmaD(t, i).col;
      if (args.shape.splits > 1) {
        *reinterpret_cast<float2*>(args.p.o_split + split * args.rows * kD + at) =
            make_float2(x, y);
      } else if (args.bf16) {
        uint32_t pair;  // to nearest even, NaN 0x7FFF
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(y), "f"(x));
        *reinterpret_cast<uint32_t*>(static_cast<uint16_t*>(args.p.o) + at) = pair;
      } else {
        *reinterpret_cast<float2*>(static_cast<float*>(args.p.o) + at) = make_float2(x, y);
      }
    }
}

template <int kD, KernelExp2 kExp2>
__global__ void __launch_bounds__(kThreads, 1)
    AttentionWgmma(const __grid_constant__ CUtensorMap map_k,
                   const __grid_constant__ CUtensorMap map_v, const Arguments args) {
  if constexpr (ptx::kSm90a) {
    using L = Layout<kD>;
    extern __shared__ uint8_t memory[];
    const L shared(memory);
    if (threadIdx.x == 0) {
      for (int i = 0; i < kStages; ++i) {
        ptx::BarrierInit(shared.k_full + i, 1);
        ptx::BarrierInit(shared.v_full + i, 1);
        ptx::BarrierInit(shared.k_empty + i, 4 * kConsumers);
        ptx::BarrierInit(shared.v_empty + i, 4 * kConsumers);
      }
      ptx::BarrierInitFence();
    }
    __syncthreads();
    // Under a causal mask the last rows see most keys: they start first.
    const int block = static_cast<int>(gridDim.x) - 1 - static_cast<int>(blockIdx.x);
    const int kv_head = blockIdx.y % args.shape.heads_kv, batch = blockIdx.y / args.shape.heads_kv;
    const int split = blockIdx.z, warpgroup = threadIdx.x / 128;
    const TileRange range = args.p.tiles[split * static_cast<int>(gridDim.x) + block];
    Ring<kStages> ring;

    if (warpgroup == kConsumers) {
      ptx::RegistersDown<24>();
      if (threadIdx.x % 128 != 0) return;
      ptx::TmaPrefetch(&map_k);
      ptx::TmaPrefetch(&map_v);
      for (int tile = range.end - 1; tile >= range.begin; --tile, ring.Advance()) {
        uint64_t *k_full = shared.k_full + ring.stage, *v_full = shared.v_full + ring.stage;
        ptx::BarrierWait(shared.k_empty + ring.stage, ring.EmptyParity());
        ptx::BarrierExpect(k_full, L::kTile);
        for (int side = 0; side < kD / L::kLine; ++side)
          ptx::TmaLoad4d(shared.k + ring.stage * L::kTile + side * kKeyTile * L::kLine, &map_k,
                         side * L::kLine, kv_head, tile * kKeyTile, batch, k_full);
        ptx::BarrierWait(shared.v_empty + ring.stage, ring.EmptyParity());
        ptx::BarrierExpect(v_full, L::kTile);
        ptx::TmaLoad2d(shared.v + ring.stage * L::kTile, &map_v, tile * kKeyTile,
                       (batch * args.shape.heads_kv + kv_head) * kD, v_full);
      }
      return;
    }

    ptx::RegistersUp<240>();
    constexpr int kColumns = kD < 128 ? kD : 128;  // of V at a time
    const int t = threadIdx.x % 128, lane = threadIdx.x % 32;
    const int64_t first_row = int64_t{block} * kConsumers * kRows + kRows * warpgroup;
    uint8_t* q = shared.q + warpgroup * L::kQ;
    LoadQueries<kD>(args, q, first_row, batch, kv_head);

    const int64_t group = args.shape.heads_q / args.shape.heads_kv;
    int64_t row[2], key_end[2];
    RowPart parts[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      row[h] = first_row + WgmmaD(t, 2 * h).row;
      key_end[h] = args.shape.seqlen_k;
      if (args.shape.causal) {
        const int64_t seen = row[h] / group + args.shape.seqlen_k - args.shape.seqlen_q + 1;
        key_end[h] = seen < key_end[h] ? seen : key_end[h];
      }
    }
    float o[kD / kColumns][64] = {};
    for (int tile = range.end - 1; tile >= range.begin; --tile, ring.Advance()) {
      float s[kKeyTile / 2], scale[2];
      ptx::BarrierWait(shared.k_full + ring.stage, ring.FullParity());
      Scores<kD>(s, q, shared.k + ring.stage * L::kTile);
      if (lane == 0) ptx::BarrierArrive(shared.k_empty + ring.stage);
      Softmax(s, int64_t{tile} * kKeyTile, key_end, args.scale_log2, Exp2Of<kExp2>{}, parts, scale);
      uint32_t p[kKeyTile / 8];
      Pack(s, p);
      ptx::BarrierWait(shared.v_full + ring.stage, ring.FullParity());
#pragma unroll
      for (int c = 0; c < kD / kColumns; ++c) {
        const uint64_t v = SwizzledDescriptor(
            ptx::SharedAddress(shared.v + ring.stage * L::kTile + c * kColumns * kKeyTile),
            kKeyTile);
        float tile_o[kColumns / 2];
        Hold<kColumns / 2>(tile_o);
        ptx::WgmmaFence();
#pragma unroll
        for (int g = 0; g < kKeyTile / 32; ++g)
          ptx::WgmmaE4m3<kColumns>::RunRS(tile_o, p + 4 * g, v + 2 * g, g > 0);
        ptx::WgmmaCommit();
        ptx::WgmmaWait<0>();
        Hold<kColumns / 2>(tile_o);
#pragma unroll
        for (int i = 0; i < kColumns / 2; ++i)
          o[c][i] = GatherTile(o[c][i], scale[i / 2 % 2], tile_o[i]);
      }
      if (lane == 0) ptx::BarrierArrive(shared.v_empty + ring.stage);
    }

    const sim::SoftmaxParams params{
        {false}, sim::Exp2Model::kPolynomial, nullptr, {}, args.scale_log2, kMaxOffset};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      sim::SoftmaxRow whole;
      whole.max = parts[h].max;
      for (int i = 0; i < 4; ++i)
        whole.sum[i] = __shfl_sync(0xffff'ffff, parts[h].sum, (lane & ~3) + i);
      sim::SoftmaxEnd end{0, sim::NegativeInfinity()};
      if (range.begin < range.end) end = sim::SoftmaxFinish(params, &whole, nullptr, 1.0f);
      if (row[h] >= args.packed_rows) continue;
      const int64_t query = row[h] / group, head = kv_head * group + row[h] % group;
      const int64_t out = (batch * args.shape.seqlen_q + query) * args.shape.heads_q + head;
      StoreRow<kD>(args, out, split, h, end.factor, o);
      if (lane % 4 != 0) continue;
      if (args.shape.splits > 1) {
        args.p.lse_split[split * args.rows + out] = end.lse;
      } else {
        args.p.lse[(batch * args.shape.heads_q + head) * args.shape.seqlen_q + query] = end.lse;
      }
    }
  } else {
    __trap();  // rather than zeros that look like an answer
  }
}

/// V [batch, seqlen_k, heads, d] to [batch, heads, d, key_stride], a tile of 128 keys a block, in
/// the order of KeyAtPosition; zeros beyond the last key.
template <int kD>
__global__ void __launch_bounds__(256)
    TransposeValues(AttentionShape shape, int64_t key_stride, const uint8_t* v, uint8_t* to) {
  __shared__ __align__(16) uint8_t tile[kKeyTile][kD + 16];
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kKeyTile;
  const int64_t head = blockIdx.y % shape.heads_kv, batch = blockIdx.y / shape.heads_kv;
  for (int i = threadIdx.x; i < kKeyTile * kD / 16; i += 256) {
    const int key = i / (kD / 16), byte = i % (kD / 16) * 16;
    uint4 piece = make_uint4(0, 0, 0, 0);
    if (first + key < shape.seqlen_k)
      piece = *reinterpret_cast<const uint4*>(
          v + ((batch * shape.seqlen_k + first + key) * shape.heads_kv + head) * kD + byte);
    *reinterpret_cast<uint4*>(&tile[key][byte]) = piece;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kD * kKeyTile / 16; i += 256) {
    const int column = i / (kKeyTile / 16), position = i % (kKeyTile / 16) * 16;
    uint32_t words[4] = {};
#pragma unroll
    for (int e = 0; e < 16; ++e)
      words[e / 4] |= static_cast<uint32_t>(tile[KeyAtPosition(position + e)][column])
                      << (8 * (e % 4));
    *reinterpret_cast<uint4*>(to + ((batch * shape.heads_kv + head) * kD + column) * key_stride +
                              first + position) =
        make_uint4(words[0], words[1], words[2], words[3]);
  }
}

template <int kD, KernelExp2 kExp2>
void Launch(const AttentionPlan& plan, const AttentionPointers& p) {
  using L = Layout<kD>;
  if (plan.shared_bytes != L::kBytes || plan.threads != kThreads || plan.stages != kStages ||
      plan.recipe.block_n != kKeyTile || plan.recipe.block_m != kConsumers * kRows)
    throw std::logic_error("attention wgmma: the plan is not this kernel's");
  const AttentionShape& s = plan.shape;
  const auto heads = static_cast<unsigned>(s.batch * s.heads_kv);
  TransposeValues<kD><<<dim3(static_cast<unsigned>(plan.key_stride / kKeyTile), heads), 256>>>(
      s, plan.key_stride, p.v, p.v_transposed);
  Check(cudaGetLastError(), "transpose of V");
  const auto kernel = AttentionWgmma<kD, kExp2>;
  Check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, L::kBytes),
        "shared memory of attention wgmma");
  const Arguments args{s,
                       plan.scale_log2,
                       PackedRows(s),
                       s.batch * s.seqlen_q * s.heads_q,
                       plan.recipe.output == fp8::kBF16,
                       p};
  kernel<<<dim3(static_cast<unsigned>(plan.blocks), heads, static_cast<unsigned>(s.splits)),
           kThreads, L::kBytes>>>(
      EncodeTensorMap(HeadsMap(s.batch, s.seqlen_k, s.heads_kv, kD, kKeyTile, L::kLine), p.k),
      EncodeTensorMap(MatrixMap(s.batch * s.heads_kv * kD, plan.key_stride, kD, kKeyTile),
                      p.v_transposed),
      args);
  Check(cudaGetLastError(), "attention wgmma");
  if (s.splits > 1) LaunchCombine(plan, p, s.seqlen_q);
}

template <KernelExp2 kExp2>
void LaunchFor(const AttentionPlan& plan, const AttentionPointers& p) {
  switch (plan.shape.head_dim) {
    case 64: return Launch<64, kExp2>(plan, p);
    case 128: return Launch<128, kExp2>(plan, p);
    default: return Launch<256, kExp2>(plan, p);
  }
}

}  // namespace

void LaunchAttentionWgmma(const AttentionPlan& plan, const AttentionPointers& p) {
  if (plan.exp2 == KernelExp2::kApprox) return LaunchFor<KernelExp2::kApprox>(plan, p);
  return LaunchFor<KernelExp2::kPolynomial>(plan, p);
}

}  // namespace lostbits::gpu
