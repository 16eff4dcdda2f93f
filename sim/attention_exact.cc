// Attention in binary64: the truth that simulated kernels are measured against.
#include "sim/attention_exact.h"

#include <omp.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "fp8/codec.h"
#include "sim/attention_block.h"
#include "sim/attention_exact_lanes.h"
#include "sim/parallel_for.h"

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

constexpr int64_t kPlainKeys = 256;   // summed plainly, then added with compensation
constexpr int64_t kKeysTogether = 4;  // read in one pass over the sums; divides kPlainKeys
constexpr int kHeadsTogether = 4;     // query heads that share one decoding of K and V

struct Scratch {
  Scratch(int64_t d, int64_t d_v, int64_t keys)
      : q(Cells(kHeadsTogether, d)),
        row(Cells(1, d)),
        score(Cells(kHeadsTogether, keys)),
        values(Cells(kKeysTogether, d_v)) {
    partial.reserve(Cells(kHeadsTogether, d_v));
    o.reserve(Cells(kHeadsTogether, d_v));
  }
  static size_t Cells(int64_t rows, int64_t columns) { return static_cast<size_t>(rows * columns); }

  std::vector<double> q, row, score, values, partial;
  std::vector<CompensatedSum> o;
};

struct Job {
  const AttentionRecipe& recipe;
  const AttentionInputs& in;
  const Decoder q, k;
  const SequenceShape shape;
  const int64_t d_v;
};

/// Query heads [head, head + heads) of one query, all of one KV head.
struct Rows {
  int64_t batch, query_row, head, heads;
};

/// o: heads x d_v, lse: heads.
void ExactRows(const Job& job, const Rows& rows, const ExactValues& values, double* o, double* lse,
               Scratch* scratch) {
  const AttentionInputs& in = job.in;
  const AttentionRecipe& recipe = job.recipe;
  const int64_t kv_head = rows.head / job.shape.group, d = in.q.dim, d_v = job.d_v;
  // What a row sees depends on its query alone.
  const RowSchedule limits = ScheduleRow(recipe, job.shape, QueryNumber(in, rows.query_row), 0, 0);
  const int64_t keys = limits.key_end > limits.key_begin ? limits.key_end - limits.key_begin : 0;
  const double scale = static_cast<double>(recipe.softmax_scale) *
                       in.q_descale(rows.batch, kv_head) * in.k_descale(rows.batch, kv_head);

  Scratch& s = *scratch;
  double max[kHeadsTogether];
  for (int64_t h = 0; h < rows.heads; ++h) {
    job.q.Row(in.q, rows.batch, rows.query_row, rows.head + h, s.q.data() + h * d);
    max[h] = in.sinks == nullptr ? -std::numeric_limits<double>::infinity()
                                 : static_cast<double>(in.sinks[rows.head + h]);
  }
  for (int64_t i = 0; i < keys; ++i) {
    job.k.Row(in.k, rows.batch, limits.key_begin + i, kv_head, s.row.data());
    for (int64_t h = 0; h < rows.heads; ++h) {
      // For FP8 exact in any order: products of 8 bits, at most 256 of them, over 44 binades.
      double x = DotLanes(s.q.data() + h * d, s.row.data(), d) * scale;
      if (recipe.softcap > 0) x = recipe.softcap * TanhDouble(x / recipe.softcap);
      s.score[static_cast<size_t>(h * keys + i)] = x;
      if (x > max[h]) max[h] = x;
    }
  }

  CompensatedSum total[kHeadsTogether];
  for (int64_t h = 0; h < rows.heads; ++h)
    if (in.sinks != nullptr)
      total[h].Add(Exp2Double((in.sinks[rows.head + h] - max[h]) * kLog2E64));
  s.o.assign(static_cast<size_t>(rows.heads * d_v), {});
  s.partial.assign(static_cast<size_t>(rows.heads * d_v), 0);
  int64_t count = 0;
  for (int64_t i = 0; i < keys; i += count) {
    count = std::min(kKeysTogether, keys - i);
    const double* v[kKeysTogether];
    for (int64_t j = 0; j < count; ++j)
      v[j] = values(limits.key_begin + i + j, s.values.data() + j * d_v);
    for (int64_t h = 0; h < rows.heads; ++h) {
      double p[kKeysTogether];
      for (int64_t j = 0; j < count; ++j) {
        const double score = s.score[static_cast<size_t>(h * keys + i + j)];
        p[j] = Exp2Double((score - max[h]) * kLog2E64);
        total[h].Add(p[j]);
      }
      AddScaledLanes(p, v, count, s.partial.data() + h * d_v, d_v);
    }
    if ((i + count) % kPlainKeys != 0 && i + count != keys) continue;
    for (size_t c = 0; c < s.partial.size(); ++c) {
      s.o[c].Add(s.partial[c]);
      s.partial[c] = 0;
    }
  }
  for (int64_t h = 0; h < rows.heads; ++h) {
    const double sum = total[h].Total();
    for (int64_t c = 0; c < d_v; ++c)
      o[h * d_v + c] = keys == 0 ? 0
                                 : s.o[static_cast<size_t>(h * d_v + c)].Total() / sum *
                                       in.v_descale(rows.batch, kv_head);
    lse[h] = keys == 0 ? max[h] : max[h] + Log2Double(sum) * kLn2_64;
  }
}

/// All rows, in runs of heads of one KV head.
std::vector<Rows> CutIntoTasks(const AttentionInputs& in, int64_t group) {
  std::vector<Rows> tasks;
  for (int64_t b = 0; b < in.q.batch; ++b)
    for (int64_t row = 0; row < in.q.seqlen; ++row)
      for (int64_t head = 0; head < in.q.heads;) {
        const int64_t left_in_group = group - head % group;
        const int64_t heads = std::min<int64_t>(left_in_group, kHeadsTogether);
        tasks.push_back({b, row, head, heads});
        head += heads;
      }
  return tasks;
}

void RunTask(const Job& job, const Rows& rows, const ExactValues& values, double* o, double* lse,
             Scratch* scratch) {
  const HeadsView& q = job.in.q;
  double row_lse[kHeadsTogether];
  const int64_t at = (rows.batch * q.seqlen + rows.query_row) * q.heads + rows.head;
  ExactRows(job, rows, values, o + at * job.d_v, row_lse, scratch);
  for (int64_t h = 0; h < rows.heads && lse != nullptr; ++h)
    lse[(rows.batch * q.heads + rows.head + h) * q.seqlen + rows.query_row] = row_lse[h];
}

}  // namespace

void AttentionExact(const AttentionRecipe& recipe, const AttentionInputs& in, double* o,
                    double* lse, int threads) {
  AttentionRecipe checked = recipe;
  checked.exp2 = Exp2Model::kCorrectlyRounded;  // no table is needed here
  checked.num_splits = 1;
  CheckAttention(checked, in, {});
  if (o == nullptr) throw std::invalid_argument("attention: the output has no data");
  const SequenceShape shape = ShapeOf(in);
  const Job job{checked, in, Decoder(in.q.format), Decoder(in.k.format), shape, in.v.dim};
  const Decoder decoder(in.v.format);
  const int team = ThreadCount(threads);
  // All memory before the parallel region.
  std::vector<Scratch> scratch(static_cast<size_t>(team), {in.q.dim, in.v.dim, in.k.seqlen});
  const std::vector<Rows> tasks = CutIntoTasks(in, shape.group);
  ParallelFor(static_cast<int64_t>(tasks.size()), team, {}, [&](int64_t i) -> std::string {
    const Rows& rows = tasks[static_cast<size_t>(i)];
    const auto values = [&](int64_t key, double* space) -> const double* {
      decoder.Row(in.v, rows.batch, key, rows.head / shape.group, space);
      return space;
    };
    RunTask(job, rows, values, o, lse, &scratch[static_cast<size_t>(omp_get_thread_num())]);
    return "";
  });
}

void ExactBlock(const AttentionRecipe& recipe, const AttentionInputs& in, const ExactValues& values,
                int64_t d_v, double* o, double* lse) {
  const Job job{recipe, in, Decoder(in.q.format), Decoder(in.k.format), ShapeOf(in), d_v};
  Scratch scratch(in.q.dim, d_v, in.k.seqlen);
  for (const Rows& rows : CutIntoTasks(in, job.shape.group))
    RunTask(job, rows, values, o, lse, &scratch);
}

}  // namespace lostbits::sim
