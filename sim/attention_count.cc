// Where did the products go: one row at a time, by the integers of sim/accum.h.
#include "sim/attention_count.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "sim/accum.h"

namespace lostbits::sim {
namespace {

std::vector<Unpacked> UnpackRow(const HeadsView& x, int64_t b, int64_t s, int64_t h) {
  std::vector<Unpacked> row(static_cast<size_t>(x.dim));
  const int64_t at = x.Offset(b, s, h);
  for (int64_t i = 0; i < x.dim; ++i)
    row[static_cast<size_t>(i)] =
        x.format == fp8::kBF16 ? fp8::Unpack(x.format, static_cast<const uint16_t*>(x.data)[at + i])
                               : fp8::Unpack(x.format, static_cast<const uint8_t*>(x.data)[at + i]);
  return row;
}

struct KeyCount {
  int64_t products = 0, cut = 0;
};

/// One fused group on one channel: counts its products that vanish, returns its result.
uint32_t CountGroup(const AccumSpec& spec, const Unpacked* p, const Unpacked* v, int n,
                    uint32_t c_word, KeyCount* keys) {
  int e_max = spec.e_zero;
  const Unpacked c = fp8::Unpack(spec.acc, c_word);
  if (c.significand != 0) e_max = std::max(e_max, c.exponent);
  for (int i = 0; i < n; ++i) {
    const Term t = Product(p[i], v[i]);
    if (t.significand != 0) e_max = std::max(e_max, t.exponent);
  }
  for (int i = 0; i < n; ++i) {
    const Term t = Product(p[i], v[i]);
    if (t.significand == 0) continue;
    ++keys[i].products;
    if (Align(t, e_max, spec.fraction_bits) == 0) ++keys[i].cut;
  }
  return static_cast<uint32_t>(DotGroup(spec, p, v, n, c_word));
}

class IntegerCounter : public RowCounter {
 public:
  IntegerCounter(const AttentionRecipe& recipe, const AttentionInputs& in, const RowPlace& row,
                 const AttentionOptions& options)
      : RowCounter(recipe, in, row, options, in.v.dim),
        q_(UnpackRow(in.q, row.batch, row.query_row, row.head)) {}

  LostProducts lost;

 private:
  void Score(int64_t first_key, std::vector<uint32_t>* words) override {
    for (int64_t j = 0; j < recipe_.block_n && first_key + j < in_.k.seqlen; ++j) {
      const std::vector<Unpacked> k = UnpackRow(in_.k, row_.batch, first_key + j, kv_head_);
      (*words)[static_cast<size_t>(j)] =
          static_cast<uint32_t>(DotChain(recipe_.qk, q_.data(), k.data(), in_.k.dim, 0));
    }
  }

  void CountTile(const RowSchedule& schedule, int64_t first_key, const std::vector<float>& p_values,
                 std::vector<uint32_t>* o) override {
    const fp8::Format p_format = recipe_.p_format == PFormat::kBF16 ? fp8::kBF16 : fp8::kE4M3FN;
    const auto n = static_cast<size_t>(recipe_.block_n);
    std::vector<Unpacked> p(n), column(n);
    std::vector<std::vector<Unpacked>> v(n);
    for (size_t j = 0; j < n; ++j) {
      p[j] = fp8::Unpack(p_format, RoundP(recipe_.p_format, p_values[j]));
      const int64_t key = first_key + static_cast<int64_t>(j);
      if (key < in_.v.seqlen) v[j] = UnpackRow(in_.v, row_.batch, key, kv_head_);
    }
    std::vector<KeyCount> count(n);
    const int group = recipe_.pv.group;
    for (size_t c = 0; c < o->size(); ++c) {
      for (size_t j = 0; j < n; ++j) column[j] = v[j].empty() ? Unpacked{} : v[j][c];
      for (int i = 0; i < recipe_.block_n; i += group)
        (*o)[c] = CountGroup(recipe_.pv, p.data() + i, column.data() + i,
                             std::min(group, recipe_.block_n - i), (*o)[c], count.data() + i);
    }
    for (size_t j = 0; j < n; ++j) {
      const int64_t key = first_key + static_cast<int64_t>(j);
      if (key < schedule.key_begin || key >= schedule.key_end) continue;
      ++lost.keys;
      if (p[j].significand == 0) ++lost.keys_p_zero;
      if (count[j].products > 0 && count[j].cut == count[j].products) ++lost.keys_cut;
      lost.products += count[j].products;
      lost.products_cut += count[j].cut;
    }
  }

  const std::vector<Unpacked> q_;
};

}  // namespace

void CheckCountable(const AttentionRecipe& recipe, const AttentionInputs& in, const RowPlace& row,
                    const AttentionOptions& options) {
  CheckAttention(recipe, in, options);
  if (recipe.accumulation == PvAccumulation::kExact || recipe.pv.flow != Flow::kChained)
    throw std::invalid_argument("attention: products are counted on chained units only");
  if (row.batch < 0 || row.batch >= in.q.batch || row.query_row < 0 ||
      row.query_row >= in.q.seqlen || row.head < 0 || row.head >= in.q.heads)
    throw std::invalid_argument("attention: no such row to count");
}

RowCounter::RowCounter(const AttentionRecipe& recipe, const AttentionInputs& in,
                       const RowPlace& row, const AttentionOptions& options, int64_t d_v)
    : recipe_(recipe),
      in_(in),
      row_(row),
      kv_head_(row.head / ShapeOf(in).group),
      d_v_(d_v),
      params_(MakeSoftmaxParams(recipe, in, row.batch, kv_head_, options.exp2_table)),
      softcap_scale_(SoftcapScale(recipe, in, row.batch, kv_head_)) {}

void RowCounter::Run() {
  const SequenceShape shape = ShapeOf(in_);
  for (int split = 0; split < recipe_.num_splits; ++split)
    Split(ScheduleRow(recipe_, shape, QueryNumber(in_, row_.query_row), row_.head % shape.group,
                      split));
}

void RowCounter::Split(const RowSchedule& schedule) {
  SoftmaxRow softmax;
  std::vector<uint32_t> o(static_cast<size_t>(d_v_), 0), words;
  std::vector<float> s(static_cast<size_t>(recipe_.block_n));
  const int64_t visits = schedule.Visits();
  for (int64_t visit = 0; visit < visits; ++visit) {
    const int64_t t = recipe_.order == TileOrder::kLastToFirst ? schedule.tile_end - 1 - visit
                                                               : schedule.tile_begin + visit;
    const int64_t first_key = schedule.first_key + t * recipe_.block_n;
    words.assign(s.size(), 0);
    Score(first_key, &words);
    ScoreTile(recipe_, params_.math, softcap_scale_, schedule, first_key, words.data(), s.data());
    const bool check_inf = visit == 0 || t >= schedule.check_from || t < schedule.check_below;
    const float scale = SoftmaxStep(params_, check_inf, s.data(), recipe_.block_n, &softmax);
    if (softmax.exp2_missing)
      throw std::runtime_error("attention: the captured exp2 table lacks the input " +
                               std::to_string(softmax.missing_input));
    for (uint32_t& word : o)
      word = StartsFromZero(visit, visits) ? 0
                                           : fp8::BitCast<uint32_t>(params_.math.Mul(
                                                 fp8::BitCast<float>(word), visit > 0 ? scale : 1));
    CountTile(schedule, first_key, s, &o);
  }
}

/// Whether the unit's accumulator was flushed before this visit.
bool RowCounter::StartsFromZero(int64_t visit, int64_t visits) const {
  if (recipe_.accumulation == PvAccumulation::kPerTile) return true;
  if (recipe_.accumulation == PvAccumulation::kOneLevel) return visit == 0;
  const int64_t n = recipe_.interval;
  if (!recipe_.overlap) return visit > 1 && (visit - 1) % n == 0;
  return visit % n == 0 || (visit + 1 == visits && visits % n == 0);
}

LostProducts CountLostProducts(const AttentionRecipe& recipe, const AttentionInputs& in,
                               int64_t batch, int64_t query_row, int64_t head,
                               const AttentionOptions& options) {
  const RowPlace row{batch, query_row, head};
  CheckCountable(recipe, in, row, options);
  IntegerCounter counter(recipe, in, row, options);
  counter.Run();
  return counter.lost;
}

}  // namespace lostbits::sim
