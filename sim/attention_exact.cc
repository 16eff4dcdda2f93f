// Attention in binary64: the truth that simulated kernels are measured against.
#include <omp.h>

#include <limits>
#include <stdexcept>
#include <vector>

#include "fp8/codec.h"
#include "sim/attention.h"
#include "sim/attention_block.h"

namespace lostbits::sim {
namespace {

constexpr double kLog2E64 = 0x1.71547652b82fep+0;
constexpr double kLn2_64 = 0x1.62e42fefa39efp-1;

/// Values of all codes of an 8-bit format, or a shift for BF16.
class Decoder {
 public:
  explicit Decoder(fp8::Format format) : bf16_(format == fp8::kBF16) {
    if (bf16_) return;
    for (uint32_t code = 0; code < 256; ++code) values_[code] = fp8::Decode(format, code);
  }
  void Row(const HeadsView& x, int64_t b, int64_t s, int64_t h, double* out) const {
    const int64_t at = x.Offset(b, s, h);
    for (int64_t i = 0; i < x.dim; ++i) {
      if (bf16_) {
        const uint32_t word = static_cast<const uint16_t*>(x.data)[at + i];
        out[i] = fp8::BitCast<float>(word << 16);
      } else {
        out[i] = values_[static_cast<const uint8_t*>(x.data)[at + i]];
      }
    }
  }

 private:
  bool bf16_;
  double values_[256] = {};
};

/// A sum that carries its rounding errors along (Neumaier 1974).
struct CompensatedSum {
  double sum = 0, error = 0;

  void Add(double x) {
    const double t = sum + x;
    const bool sum_is_larger = (sum < 0 ? -sum : sum) >= (x < 0 ? -x : x);
    error += sum_is_larger ? (sum - t) + x : (x - t) + sum;
    sum = t;
  }
  double Total() const { return sum + error; }
};

constexpr int64_t kPlainKeys = 256;  // summed plainly, then added with compensation

struct Scratch {
  std::vector<double> q, row, score, partial;
  std::vector<CompensatedSum> o;
};

struct Job {
  const AttentionRecipe& recipe;
  const AttentionInputs& in;
  const Decoder k, v, q;
};

double ExactRow(const Job& job, int64_t batch, int64_t query_row, int64_t head, double* o,
                Scratch* scratch) {
  const AttentionInputs& in = job.in;
  const AttentionRecipe& recipe = job.recipe;
  const SequenceShape shape = ShapeOf(in);
  const int64_t kv_head = head / shape.group, d = in.q.dim;
  const RowSchedule limits =
      ScheduleRow(recipe, shape, QueryNumber(in, query_row), head % shape.group, 0);
  const int64_t keys = limits.key_end > limits.key_begin ? limits.key_end - limits.key_begin : 0;

  Scratch& s = *scratch;
  s.q.resize(static_cast<size_t>(d));
  s.row.resize(static_cast<size_t>(d));
  s.score.resize(static_cast<size_t>(keys));
  job.q.Row(in.q, batch, query_row, head, s.q.data());
  const double scale = static_cast<double>(recipe.softmax_scale) * in.q_descale(batch, kv_head) *
                       in.k_descale(batch, kv_head);
  const double sink = in.sinks == nullptr ? -std::numeric_limits<double>::infinity()
                                          : static_cast<double>(in.sinks[head]);
  double max = sink;
  for (int64_t i = 0; i < keys; ++i) {
    job.k.Row(in.k, batch, limits.key_begin + i, kv_head, s.row.data());
    double dot = 0;  // exact for FP8: products of 8 bits, at most 256 of them, over 44 binades
    for (size_t c = 0; c < static_cast<size_t>(d); ++c) dot += s.q[c] * s.row[c];
    double x = dot * scale;
    if (recipe.softcap > 0) x = recipe.softcap * TanhDouble(x / recipe.softcap);
    s.score[static_cast<size_t>(i)] = x;
    if (x > max) max = x;
  }

  CompensatedSum total;
  if (in.sinks != nullptr) total.Add(Exp2Double((sink - max) * kLog2E64));
  s.o.assign(static_cast<size_t>(d), {});
  s.partial.assign(static_cast<size_t>(d), 0);
  for (int64_t i = 0; i < keys; ++i) {
    const double p = Exp2Double((s.score[static_cast<size_t>(i)] - max) * kLog2E64);
    total.Add(p);
    job.v.Row(in.v, batch, limits.key_begin + i, kv_head, s.row.data());
    for (size_t c = 0; c < static_cast<size_t>(d); ++c) s.partial[c] += p * s.row[c];
    if ((i + 1) % kPlainKeys != 0 && i + 1 != keys) continue;
    for (size_t c = 0; c < static_cast<size_t>(d); ++c) {
      s.o[c].Add(s.partial[c]);
      s.partial[c] = 0;
    }
  }
  const double sum = total.Total();
  for (size_t c = 0; c < static_cast<size_t>(d); ++c)
    o[c] = keys == 0 ? 0 : s.o[c].Total() / sum * in.v_descale(batch, kv_head);
  if (keys == 0) return sink;
  return max + Log2Double(sum) * kLn2_64;
}

}  // namespace

void AttentionExact(const AttentionRecipe& recipe, const AttentionInputs& in, double* o,
                    double* lse, int threads) {
  AttentionRecipe checked = recipe;
  checked.exp2 = Exp2Model::kCorrectlyRounded;  // no table is needed here
  checked.num_splits = 1;
  CheckAttention(checked, in, {});
  if (o == nullptr) throw std::invalid_argument("attention: the output has no data");
  const Job job{checked, in, Decoder(in.k.format), Decoder(in.v.format), Decoder(in.q.format)};
  const int64_t rows = in.q.batch * in.q.seqlen * in.q.heads;
  const int team = threads > 0 ? threads : omp_get_max_threads();
  std::vector<Scratch> scratch(static_cast<size_t>(team));
  for (Scratch& s : scratch) {  // all memory before the parallel region
    s.q.reserve(static_cast<size_t>(in.q.dim));
    s.row.reserve(static_cast<size_t>(in.q.dim));
    s.partial.reserve(static_cast<size_t>(in.q.dim));
    s.o.reserve(static_cast<size_t>(in.q.dim));
    s.score.reserve(static_cast<size_t>(in.k.seqlen));
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t head = row % in.q.heads;
    const int64_t query = row / in.q.heads % in.q.seqlen;
    const int64_t batch = row / in.q.heads / in.q.seqlen;
    const double row_lse = ExactRow(job, batch, query, head, o + row * in.q.dim,
                                    &scratch[static_cast<size_t>(omp_get_thread_num())]);
    if (lse != nullptr) lse[(batch * in.q.heads + head) * in.q.seqlen + query] = row_lse;
  }
}

}  // namespace lostbits::sim
