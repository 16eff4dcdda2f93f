// FlashAttention-3's forward as its source tells it, slowly: one row at a time, plain loops, libm
// and long double, the main loop's steps in the order the kernel issues them. Shares with
// sim/attention the recipe, the machine's DotChain, and nothing else.
#ifndef LOSTBITS_TESTS_SIM_ATTENTION_REFERENCE_H_
#define LOSTBITS_TESTS_SIM_ATTENTION_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "fp8/codec.h"
#include "sim/accum.h"
#include "tests/sim/attention_problem.h"

namespace lostbits::test {

class AttentionReference {
 public:
  AttentionReference(const sim::AttentionRecipe& recipe, const AttentionProblem& problem)
      : r_(recipe), p_(problem), s_(problem.shape), group_(s_.heads_q / s_.heads_kv) {}

  AttentionResult Forward() const {
    AttentionResult result;
    result.lse.resize(static_cast<size_t>(s_.batch * s_.seqlen_q * s_.heads_q));
    for (int64_t b = 0; b < s_.batch; ++b)
      for (int64_t i = 0; i < s_.seqlen_q; ++i)
        for (int64_t h = 0; h < s_.heads_q; ++h) {
          float lse = 0;
          for (const float x : Row(b, i, h, &lse)) result.o.push_back(Output(x));
          result.lse[static_cast<size_t>((b * s_.heads_q + h) * s_.seqlen_q + i)] = Bits(lse);
        }
    return result;
  }

 private:
  static constexpr float kInf = std::numeric_limits<float>::infinity();
  using Vector = std::vector<float>;

  static uint32_t Bits(float x) { return fp8::BitCast<uint32_t>(x); }
  uint32_t Output(float x) const {
    if (std::isnan(x)) return r_.output == fp8::kBF16 ? 0x7fff'0000 : 0x7fff'ffff;
    if (r_.output == fp8::kFP32) return Bits(x);
    return static_cast<uint32_t>(Bf16(x)) << 16;
  }
  /// Of the two enclosing BF16 numbers the nearer one, of equally near ones the even one.
  static uint16_t Bf16(float x) {
    const uint32_t low = Bits(x) & 0xffff'0000;
    const uint32_t high = low + 0x1'0000;
    const double below = fp8::BitCast<float>(low);
    double above = fp8::BitCast<float>(high);
    if (std::isinf(above)) above = std::copysign(std::ldexp(1.0, 128), below);
    const double to_below = std::abs(x - below), to_above = std::abs(above - x);
    const bool up = to_above < to_below || (to_above == to_below && (low >> 16 & 1) != 0);
    return static_cast<uint16_t>((up ? high : low) >> 16);
  }
  /// The nearest of E4M3's numbers, found by looking at all of them. x >= 0.
  static uint32_t E4m3(float x) {
    if (std::isnan(x)) return 0x7f;
    uint32_t best = 0;
    double distance = std::numeric_limits<double>::infinity();
    for (uint32_t code = 0; code < 0x7f; ++code) {
      const int field = static_cast<int>(code >> 3), m = static_cast<int>(code & 7);
      const double value = field == 0 ? std::ldexp(m, -9) : std::ldexp(8 + m, field - 10);
      const double d = std::isinf(x) ? 448 - value : std::abs(x - value);
      if (d < distance || (d == distance && code % 2 == 0)) {
        distance = d;
        best = code;
      }
    }
    return best;
  }

  // FP32 with flush-to-zero.
  float F(float x) const {
    return r_.ftz && std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
  }
  float Add(float a, float b) const { return F(F(a) + F(b)); }
  float Mul(float a, float b) const { return F(F(a) * F(b)); }
  float MulAdd(bool fused, float a, float b, float c) const {
    return fused ? F(std::fma(F(a), F(b), F(c))) : Add(Mul(a, b), c);
  }
  float Exp2(float x) const {
    return F(static_cast<float>(std::exp2(static_cast<long double>(F(x)))));
  }
  float Log2(float x) const {
    return F(static_cast<float>(std::log2(static_cast<long double>(F(x)))));
  }
  float Ln(float x) const { return Mul(Log2(x), 0.693147182464599609375f); }

  std::vector<fp8::Unpacked> Codes(const std::vector<uint8_t>& x, int64_t first, int64_t n,
                                   int64_t step = 1) const {
    std::vector<fp8::Unpacked> row;
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(first + i * step) * p_.Width();
      uint32_t code = x[at];
      if (p_.Width() == 2) code |= static_cast<uint32_t>(x[at + 1]) << 8;
      row.push_back(fp8::Unpack(p_.format, code));
    }
    return row;
  }
  int64_t KvOffset(int64_t b, int64_t key, int64_t hk) const {
    return ((b * s_.seqlen_k + key) * s_.heads_kv + hk) * s_.dim;
  }
  float Descale(const Vector& x, int64_t b, int64_t hk) const {
    return x.empty() ? 1.0f : x[static_cast<size_t>(b * s_.heads_kv + hk)];
  }

  struct State {
    int64_t b, row, h, hk, query;
    int64_t first_key, left, right;  // the tile grid's origin; window limits
    bool causal, local;
    float scale_log2;
    Vector o, accum, p;
    float max, sum[4], scores_scale, accum_scale, pending;
  };

  /// Scores of tile t, softcapped and masked.
  Vector Scores(const State& x, int64_t t) const {
    const int64_t sq = QueryLength(), diagonal = s_.seqlen_k - sq;
    const auto q = Codes(p_.q, ((x.b * s_.seqlen_q + x.row) * s_.heads_q + x.h) * s_.dim, s_.dim);
    Vector s;
    for (int64_t j = 0; j < r_.block_n; ++j) {
      const int64_t key = x.first_key + t * r_.block_n + j;
      bool seen = key < s_.seqlen_k;
      if (x.causal) seen = seen && key <= x.query + diagonal;
      if (x.local)
        seen = seen && key <= x.query + diagonal + x.right && key >= x.query + diagonal - x.left;
      if (!seen) {
        s.push_back(-kInf);
        continue;
      }
      const auto k = Codes(p_.k, KvOffset(x.b, key, x.hk), s_.dim);
      float score = F(fp8::BitCast<float>(
          static_cast<uint32_t>(sim::DotChain(r_.qk, q.data(), k.data(), s_.dim, 0))));
      if (r_.softcap > 0) {
        const float scale =
            Mul(r_.softmax_scale / r_.softcap,
                Mul(Descale(p_.q_descale, x.b, x.hk), Descale(p_.k_descale, x.b, x.hk)));
        score = F(static_cast<float>(std::tanh(static_cast<long double>(Mul(score, scale)))));
      }
      s.push_back(score);
    }
    return s;
  }

  /// max_get_scale and online_softmax. Threads own columns 2q and 2q + 1 of every eight.
  void Softmax(State* x, int64_t t, bool first) const {
    const Vector s = Scores(*x, t);
    float max = first ? s[0] : x->max;
    for (const float v : s) max = std::fmax(max, v);
    // Without infinite scores a row is empty only while every key so far is masked.
    const float safe = max == -kInf ? 0 : max;
    x->scores_scale = first ? 1 : Exp2(Mul(Add(x->max, -safe), x->scale_log2));
    x->max = max;
    const float max_scaled =
        max == -kInf ? 0 : MulAdd(r_.fma.max_scaled, max, x->scale_log2, -r_.max_offset);
    x->p.clear();
    for (const float v : s)
      x->p.push_back(Exp2(MulAdd(r_.fma.p_argument, v, x->scale_log2, -max_scaled)));
    for (size_t q = 0; q < 4; ++q) {
      float sum = first ? 0 : Mul(x->sum[q], x->scores_scale);
      for (size_t j = 0; j < x->p.size(); j += 8) {
        sum = Add(sum, x->p[j + 2 * q]);
        sum = Add(sum, x->p[j + 2 * q + 1]);
      }
      x->sum[q] = sum;
    }
  }

  /// O = O + P V for the tile that P belongs to.
  void ProductWithV(State* x, int64_t t) const {
    std::vector<fp8::Unpacked> p;
    for (const float v : x->p)
      p.push_back(r_.p_format == sim::PFormat::kBF16
                      ? fp8::Unpack(fp8::kBF16, std::isnan(v) ? 0x7fff : Bf16(v))
                      : fp8::Unpack(fp8::kE4M3FN, E4m3(v)));
    const int64_t first = x->first_key + t * r_.block_n;
    const int64_t there = std::min<int64_t>(r_.block_n, s_.seqlen_k - first);
    for (int64_t c = 0; c < s_.dim; ++c) {
      auto v = Codes(p_.v, KvOffset(x->b, first, x->hk) + c, there, s_.heads_kv * s_.dim);
      v.resize(static_cast<size_t>(r_.block_n));
      float& o = x->o[static_cast<size_t>(c)];
      const bool per_tile = r_.accumulation == sim::PvAccumulation::kPerTile;
      const auto tile = fp8::BitCast<float>(static_cast<uint32_t>(
          sim::DotChain(r_.pv, p.data(), v.data(), r_.block_n, per_tile ? 0 : Bits(o))));
      // The delayed rescale of r_.fma.rescale_add: the factor waits for the next product.
      const bool joined = per_tile && r_.fma.rescale_add;
      o = joined ? F(std::fma(F(o), x->pending, tile)) : per_tile ? Add(o, tile) : tile;
    }
  }

  void RescaleO(State* x) const {
    x->pending = x->scores_scale;
    if (r_.accumulation == sim::PvAccumulation::kPerTile && r_.fma.rescale_add) return;
    Scale(&x->o, x->scores_scale);
  }
  void Scale(Vector* o, float factor) const {
    for (float& x : *o) x = Mul(x, factor);
  }
  void Merge(State* x) const {
    for (size_t c = 0; c < x->o.size(); ++c) {
      x->accum[c] = MulAdd(r_.fma.interval_merge, x->accum_scale, x->accum[c], x->o[c]);
      x->o[c] = 0;
    }
    x->accum_scale = 1;
  }

  /// The main loop over tiles [begin, end), last to first.
  void Tiles(State* x, int64_t begin, int64_t end) const {
    const bool interval = r_.accumulation == sim::PvAccumulation::kEveryNTiles;
    x->o.assign(static_cast<size_t>(s_.dim), 0);
    x->accum = x->o;
    x->accum_scale = 1;
    x->pending = 1;
    int64_t done = 0;
    if (r_.overlap) {
      Softmax(x, end - 1, true);
      for (int64_t t = end - 2; t >= begin; --t) {
        ProductWithV(x, t + 1);
        Softmax(x, t, false);
        RescaleO(x);
        x->accum_scale = Mul(x->accum_scale, x->scores_scale);
        if (interval && (done + 1) % r_.interval == 0) Merge(x);
        ++done;
      }
      if (interval && (done + 1) % r_.interval == 0) Merge(x);
      ProductWithV(x, begin);
    } else {
      Softmax(x, end - 1, true);
      ProductWithV(x, end - 1);
      for (int64_t t = end - 2; t >= begin; --t) {
        Softmax(x, t, false);
        RescaleO(x);
        x->accum_scale = Mul(x->accum_scale, x->scores_scale);
        ProductWithV(x, t);
        if (interval && (done + 1) % r_.interval == 0) Merge(x);
        ++done;
      }
    }
    if (interval) {
      Merge(x);
      x->o = x->accum;
    }
  }

  int64_t QueryLength() const { return p_.query_numbers.empty() ? s_.seqlen_q : p_.query_length; }
  static int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

  Vector Row(int64_t b, int64_t row, int64_t h, float* lse) const {
    const int64_t sq = QueryLength(), sk = s_.seqlen_k;
    State x{};
    x.b = b;
    x.row = row;
    x.h = h;
    x.hk = h / group_;
    x.query = p_.query_numbers.empty() ? row : p_.query_numbers[static_cast<size_t>(row)];
    x.left = r_.window_left >= sk - 1 ? -1 : r_.window_left;
    x.right = r_.window_right >= sq - 1 ? -1 : r_.window_right;
    if (r_.causal) x.right = 0;
    x.causal = x.left < 0 && x.right == 0;
    x.local = (x.left >= 0 || x.right >= 0) && !x.causal;
    if (x.local && x.left < 0) x.left = sk - 1;
    if (x.local && x.right < 0) x.right = sq - 1;
    const double factor = r_.softcap > 0 ? r_.softcap : r_.softmax_scale;
    x.scale_log2 = static_cast<float>(factor * 1.44269504088896340736);
    if (r_.softcap == 0)
      x.scale_log2 =
          Mul(x.scale_log2, Mul(Descale(p_.q_descale, b, x.hk), Descale(p_.k_descale, b, x.hk)));

    const int64_t block = (x.query * group_ + h % group_) / r_.block_m;
    const int64_t m_min = block * r_.block_m / group_;
    const int64_t m_max = ((block + 1) * r_.block_m - 1) / group_ + 1;
    x.first_key = x.local ? std::max<int64_t>(0, m_min + sk - sq - x.left) : 0;
    const int64_t keys = sk - x.first_key;
    int64_t n_max = CeilDiv(keys, r_.block_n);
    if (x.causal) n_max = std::min(n_max, CeilDiv(m_max + keys - sq, r_.block_n));
    if (x.local) n_max = std::min(n_max, CeilDiv(m_max + keys - sq + x.right, r_.block_n));

    std::vector<Vector> o;
    Vector lses;
    for (int split = 0; split < r_.num_splits; ++split) {
      const int64_t per = n_max <= 0 ? 0 : CeilDiv(n_max, r_.num_splits);
      const int64_t begin = r_.num_splits == 1 ? 0 : split * per;
      const int64_t end = r_.num_splits == 1 ? n_max : std::min(begin + per, n_max);
      float part = -kInf;
      if (end > begin) {
        Tiles(&x, begin, end);
        part = Finish(&x, split);
      } else {
        x.o.assign(static_cast<size_t>(s_.dim), 0);
      }
      o.push_back(x.o);
      lses.push_back(part);
    }
    if (r_.num_splits == 1) {
      *lse = lses[0];
      return o[0];
    }
    return Combine(o, lses, lse);
  }

  float Finish(State* x, int split) const {
    float sum = Add(Add(x->sum[0], x->sum[2]), Add(x->sum[1], x->sum[3]));
    if (!p_.sinks.empty() && split == 0) {
      if (x->max == -kInf) x->max = 0;
      const float max_scaled = MulAdd(r_.fma.max_scaled, x->max, x->scale_log2, -r_.max_offset);
      const float sink = p_.sinks[static_cast<size_t>(x->h)];
      sum = Add(sum, Exp2(MulAdd(r_.fma.sink, 1.44269504f, sink, -max_scaled)));
    }
    const float inverse = sum == 0 || std::isnan(sum) ? 0 : F(1 / sum);
    Scale(&x->o, Mul(inverse, Descale(p_.v_descale, x->b, x->hk)));
    sum = Mul(sum, std::ldexp(1.0f, -static_cast<int>(r_.max_offset)));
    if (sum == 0 || std::isnan(sum)) return -kInf;
    return MulAdd(r_.fma.lse, x->max, Mul(x->scale_log2, 0.693147180559945f), Ln(sum));
  }

  Vector Combine(const std::vector<Vector>& o, const Vector& lses, float* lse) const {
    const float max = *std::max_element(lses.begin(), lses.end());
    const size_t threads = s_.dim <= 64 ? 16 : 32;
    Vector weight, thread_sum(threads, 0);
    for (size_t s = 0; s < lses.size(); ++s) {
      weight.push_back(Exp2(Mul(Add(lses[s], max == -kInf ? 0 : -max), 1.44269504f)));
      thread_sum[s % threads] = Add(thread_sum[s % threads], weight[s]);
    }
    for (size_t away = threads / 2; away > 0; away /= 2) {
      Vector next = thread_sum;
      for (size_t t = 0; t < threads; ++t) next[t] = Add(thread_sum[t], thread_sum[t ^ away]);
      thread_sum = next;
    }
    const float sum = thread_sum[5];  // every thread ends with the same bits
    const float inverse = sum == 0 ? 0 : F(1 / sum);
    Vector result(static_cast<size_t>(s_.dim), 0);
    for (size_t s = 0; s < o.size(); ++s) {
      const float w = Mul(weight[s], inverse);
      if (w > 0)
        for (size_t c = 0; c < result.size(); ++c)
          result[c] = MulAdd(r_.fma.combine, w, o[s][c], result[c]);
    }
    *lse = MulAdd(r_.fma.combine_lse, Log2(sum), 0.693147182464599609375f, max);
    return result;
  }

  const sim::AttentionRecipe& r_;
  const AttentionProblem& p_;
  const AttentionShape s_;
  const int64_t group_;
};

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SIM_ATTENTION_REFERENCE_H_
