// FlashAttention's forward pass as the hardware computes it, and exact attention to compare with.
//
// For every row (a query of one head): scores S = Q K^T tile by tile on the matrix unit, an online
// softmax in FP32, P rounded to the unit's input format, P V on the matrix unit gathered as the
// recipe says, one division at the end. Reproduced in the kernel's order; see sim/recipe.h for what
// is chosen, sim/softmax.h for the row arithmetic, sim/attention_schedule.h for masks and tiles.
//
// What is not the hardware's: exp2, log2, reciprocal and tanh (sim/exp2.h). All else is, as far as
// the recipe's matrix units and fma sites are. Keys beyond seqlen_k are zeros.
#ifndef LOSTBITS_SIM_ATTENTION_H_
#define LOSTBITS_SIM_ATTENTION_H_

#include <cstdint>
#include <functional>

#include "fp8/format.h"
#include "sim/exp2.h"
#include "sim/recipe.h"

namespace lostbits::sim {

/// A borrowed tensor of codes [batch, seqlen, heads, dim], dim contiguous, 1 byte an element for
/// FP8 and 2 for BF16. Strides count elements.
struct HeadsView {
  const void* data = nullptr;
  fp8::Format format = fp8::kE4M3FN;
  int64_t batch = 0, seqlen = 0, heads = 0, dim = 0;
  int64_t stride_batch = 0, stride_seqlen = 0, stride_head = 0;

  int64_t Offset(int64_t b, int64_t s, int64_t h) const {
    return b * stride_batch + s * stride_seqlen + h * stride_head;
  }
};
/// A view of a contiguous tensor.
HeadsView ContiguousHeads(const void* data, fp8::Format format, int64_t batch, int64_t seqlen,
                          int64_t heads, int64_t dim);

/// One float per (batch, KV head). Null means 1. Stride 0 repeats.
struct DescaleView {
  const float* data = nullptr;
  int64_t stride_batch = 0, stride_head = 0;

  float operator()(int64_t b, int64_t h) const {
    return data == nullptr ? 1.0f : data[b * stride_batch + h * stride_head];
  }
};

struct AttentionInputs {
  HeadsView q;     ///< [batch, seqlen_q, heads_q, d]; heads_q a multiple of heads_kv
  HeadsView k, v;  ///< [batch, seqlen_k, heads_kv, d]; head h of Q reads h / (heads_q / heads_kv)
  DescaleView q_descale, k_descale, v_descale;  ///< per KV head, Q's too; finite and > 0
  const float* sinks = nullptr;                 ///< one logit per query head, or null
  /// Row sampling: where q holds only some rows of a longer sequence, their query numbers (seqlen_q
  /// of them, each below query_length). Null: q is the whole sequence.
  const int64_t* query_numbers = nullptr;
  int64_t query_length = 0;  ///< with query_numbers: how many queries the sequence has
};

struct AttentionOutputs {
  /// [batch, seqlen_q, heads_q, d] contiguous; uint16_t words for BF16, float for FP32 (NaN is
  /// 0x7FFFFFFF). Must not alias an input.
  void* o = nullptr;
  float* lse = nullptr;  ///< [batch, heads_q, seqlen_q], natural logarithm; may be null
};

struct AttentionOptions {
  int threads = 0;                         ///< 0: all. Results do not depend on it.
  const Exp2Table* exp2_table = nullptr;   ///< for Exp2Model::kTable
  std::function<void(double)> progress{};  ///< called by the calling thread with the share done
};

/// Fills out. A row that sees no key gives zeros and LSE -Inf; NaN and Inf go the way the
/// hardware's arithmetic takes them. The caller's rounding mode and flush-to-zero setting change no
/// bit.
/// Throws std::invalid_argument: shapes or formats that do not fit together, NaN, infinite, zero or
/// negative descales, a recipe that contradicts itself, Exp2Model::kTable without a table;
/// std::runtime_error where the table lacks an input that occurs.
/// Cost per (row, key): 2 d multiply-adds and one exp2. Memory O(rows d), never rows x keys.
void AttentionForward(const AttentionRecipe& recipe, const AttentionInputs& in,
                      const AttentionOutputs& out, const AttentionOptions& options = {});

/// The same attention without a machine: softmax(softmax_scale q_descale k_descale Q K^T) V
/// v_descale in binary64 on the same codes, masks, softcap and sinks; from the recipe it takes only
/// these.
/// o: [batch, seqlen_q, heads_q, d], lse: [batch, heads_q, seqlen_q] or null.
///
/// For finite inputs, with A = the largest scaled sum_i |q_i k_i| of the row,
///   |o - true| <= 2^-44 (1 + A) * v_descale * sum_k weight_k |V_k|   per channel.
/// A row that sees no key: zeros, LSE -Inf or its sink. Same bits on any thread count.
void AttentionExact(const AttentionRecipe& recipe, const AttentionInputs& in, double* o,
                    double* lse = nullptr, int threads = 0);

/// Where one row's products P * V went.
struct LostProducts {
  int64_t keys = 0;          ///< keys the row sees
  int64_t keys_p_zero = 0;   ///< of these: P rounded to zero
  int64_t keys_cut = 0;      ///< of these: P not zero, but every nonzero product cut to nothing
  int64_t products = 0;      ///< nonzero products P * V over all keys and channels
  int64_t products_cut = 0;  ///< of these: zero once aligned to their group's largest exponent
};

/// Counts for one row, by the integers of sim/accum.h and apart from the fast path: each product's
/// aligned term in its group, with the accumulator that group really had. Groups chain over
/// increasing k (Flow::kChained). Not for kExact. Same checks as AttentionForward.
/// Cost: seqlen_k * d scalar steps, some 10 ns each.
LostProducts CountLostProducts(const AttentionRecipe& recipe, const AttentionInputs& in,
                               int64_t batch, int64_t query_row, int64_t head,
                               const AttentionOptions& options = {});

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_H_
