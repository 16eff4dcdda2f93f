// Attention in binary64: the truth that simulated kernels are measured against.
#include <omp.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "fp8/codec.h"
#include "sim/attention.h"
#include "sim/attention_block.h"
#include "sim/float_environment.h"

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
constexpr int kHeadsTogether = 4;    // query heads that share one decoding of K and V

struct Scratch {
  std::vector<double> q, row, score, partial;
  std::vector<CompensatedSum> o;
};

struct Job {
  const AttentionRecipe& recipe;
  const AttentionInputs& in;
  const Decoder q, k, v;
  const SequenceShape shape;
};

/// Query heads [head, head + heads) of one query, all of one KV head.
struct Rows {
  int64_t batch, query_row, head, heads;
};

/// Eight interleaved partial sums, added up in order. Exact for FP8 in any order: products of 8
/// bits, at most 256 of them, over 44 binades.
double Dot(const double* a, const double* b, int64_t n) {
  double lane[8] = {};
  for (int64_t i = 0; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) lane[j] += a[i + j] * b[i + j];
  for (int64_t i = n - n % 8; i < n; ++i) lane[i % 8] += a[i] * b[i];
  double sum = 0;
  for (const double x : lane) sum += x;
  return sum;
}

/// o: heads x d, lse: heads.
void ExactRows(const Job& job, const Rows& rows, double* o, double* lse, Scratch* scratch) {
  const AttentionInputs& in = job.in;
  const AttentionRecipe& recipe = job.recipe;
  const int64_t kv_head = rows.head / job.shape.group, d = in.q.dim;
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
      double x = Dot(s.q.data() + h * d, s.row.data(), d) * scale;
      if (recipe.softcap > 0) x = recipe.softcap * TanhDouble(x / recipe.softcap);
      s.score[static_cast<size_t>(h * keys + i)] = x;
      if (x > max[h]) max[h] = x;
    }
  }

  CompensatedSum total[kHeadsTogether];
  for (int64_t h = 0; h < rows.heads; ++h)
    if (in.sinks != nullptr)
      total[h].Add(Exp2Double((in.sinks[rows.head + h] - max[h]) * kLog2E64));
  s.o.assign(static_cast<size_t>(rows.heads * d), {});
  s.partial.assign(static_cast<size_t>(rows.heads * d), 0);
  for (int64_t i = 0; i < keys; ++i) {
    job.v.Row(in.v, rows.batch, limits.key_begin + i, kv_head, s.row.data());
    for (int64_t h = 0; h < rows.heads; ++h) {
      const double p = Exp2Double((s.score[static_cast<size_t>(h * keys + i)] - max[h]) * kLog2E64);
      total[h].Add(p);
      double* partial = s.partial.data() + h * d;
      for (int64_t c = 0; c < d; ++c) partial[c] += p * s.row[static_cast<size_t>(c)];
    }
    if ((i + 1) % kPlainKeys != 0 && i + 1 != keys) continue;
    for (size_t c = 0; c < s.partial.size(); ++c) {
      s.o[c].Add(s.partial[c]);
      s.partial[c] = 0;
    }
  }
  for (int64_t h = 0; h < rows.heads; ++h) {
    const double sum = total[h].Total();
    for (int64_t c = 0; c < d; ++c)
      o[h * d + c] = keys == 0 ? 0
                               : s.o[static_cast<size_t>(h * d + c)].Total() / sum *
                                     in.v_descale(rows.batch, kv_head);
    lse[h] = keys == 0 ? max[h] : max[h] + Log2Double(sum) * kLn2_64;
  }
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
  const Job job{checked, in, Decoder(in.q.format), Decoder(in.k.format), Decoder(in.v.format),
                shape};
  std::vector<Rows> tasks;
  for (int64_t b = 0; b < in.q.batch; ++b)
    for (int64_t row = 0; row < in.q.seqlen; ++row)
      for (int64_t head = 0; head < in.q.heads;) {
        const int64_t left_in_group = shape.group - head % shape.group;
        const int64_t heads = std::min<int64_t>(left_in_group, kHeadsTogether);
        tasks.push_back({b, row, head, heads});
        head += heads;
      }
  const int team = threads > 0 ? threads : omp_get_max_threads();
  std::vector<Scratch> scratch(static_cast<size_t>(team));
  for (Scratch& s : scratch) {  // all memory before the parallel region
    const auto d = static_cast<size_t>(in.q.dim);
    s.q.resize(kHeadsTogether * d);
    s.row.resize(d);
    s.partial.reserve(kHeadsTogether * d);
    s.o.reserve(kHeadsTogether * d);
    s.score.resize(static_cast<size_t>(kHeadsTogether * in.k.seqlen));
  }
  const auto count = static_cast<int64_t>(tasks.size());
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
  for (int64_t i = 0; i < count; ++i) {
    const DefaultEnvironment environment;
    const Rows& rows = tasks[static_cast<size_t>(i)];
    double row_lse[kHeadsTogether];
    const int64_t at = (rows.batch * in.q.seqlen + rows.query_row) * in.q.heads + rows.head;
    ExactRows(job, rows, o + at * in.q.dim, row_lse,
              &scratch[static_cast<size_t>(omp_get_thread_num())]);
    for (int64_t h = 0; h < rows.heads && lse != nullptr; ++h)
      lse[(rows.batch * in.q.heads + rows.head + h) * in.q.seqlen + rows.query_row] = row_lse[h];
  }
}

}  // namespace lostbits::sim
