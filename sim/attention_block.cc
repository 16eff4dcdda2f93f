#include "sim/attention_block.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "fp8/codec.h"
#include "fp8/convert.h"
#include "sim/attention_values.h"
#include "sim/softmax_lanes.h"

namespace lostbits::sim {
namespace {

constexpr double kLog2EDouble = 0x1.71547652b82fep+0;  // M_LOG2E (mainloop:585)

size_t ElementSize(fp8::Format f) { return f == fp8::kBF16 ? 2 : 1; }

const uint8_t* At(const HeadsView& x, int64_t b, int64_t s, int64_t h) {
  return static_cast<const uint8_t*>(x.data) +
         static_cast<size_t>(x.Offset(b, s, h)) * ElementSize(x.format);
}

/// cvt.rn.satfinite.e4m3x2.f32, cvt.rn.bf16x2.f32.
fp8::EncodePolicy PolicyOfP(PFormat format) {
  if (format != PFormat::kBF16) return {};
  return {.overflow = fp8::Overflow::kToSpecial, .inf = fp8::InfRule::kKeep};
}

struct Row {
  RowSchedule schedule;
  int64_t head = 0;  // of Q
  const uint8_t* q = nullptr;
  SoftmaxRow softmax;
  bool started = false;
};

/// The block's memory and the steps of its main loop.
class Block {
 public:
  Block(std::span<const AttentionRecipe> recipes, const AttentionInputs& in,
        const AttentionOptions& options, const BlockTask& task, const KeyTileSource& values,
        int64_t d_v)
      : recipe_(recipes[0]),
        in_(in),
        task_(task),
        keys_(KeyTiles(in.k, task.batch, task.kv_head, recipe_.block_n)),
        values_(values),
        params_(MakeSoftmaxParams(recipe_, in, task.batch, task.kv_head, options.exp2_table)),
        softcap_scale_(SoftcapScale(recipe_, in, task.batch, task.kv_head)),
        d_(in.q.dim),
        d_v_(d_v),
        n_(recipe_.block_n) {
    const SequenceShape shape = ShapeOf(in);
    std::vector<int64_t> visits;
    for (int64_t r = task.row_begin; r < task.row_end; ++r) {
      const int64_t query_row = r / shape.group, in_group = r % shape.group;
      Row row;
      row.head = task.kv_head * shape.group + in_group;
      row.q = At(in.q, task.batch, query_row, row.head);
      row.schedule = ScheduleRow(recipe_, shape, QueryNumber(in, query_row), in_group, task.split);
      rows_.push_back(row);
      visits.push_back(row.schedule.Visits());
    }
    for (const AttentionRecipe& recipe : recipes) sums_.emplace_back(recipe, visits, d_v);
  }

  void Run() {
    int64_t begin = std::numeric_limits<int64_t>::max(), end = 0;
    for (const Row& row : rows_) {
      if (row.schedule.Visits() == 0) continue;
      begin = std::min(begin, row.schedule.tile_begin);
      end = std::max(end, row.schedule.tile_end);
    }
    for (int64_t i = begin; i < end; ++i)
      Tile(recipe_.order == TileOrder::kLastToFirst ? end - 1 - (i - begin) : i);
  }

  std::string Finish(float* o, float* lse) {
    for (size_t r = 0; r < rows_.size(); ++r) {
      Row& row = rows_[r];
      const bool empty = row.schedule.Visits() == 0;
      const bool has_sink = in_.sinks != nullptr && task_.split == 0;  // mainloop:1138
      SoftmaxEnd finish{0, NegativeInfinity()};
      if (!empty)
        finish = SoftmaxFinish(params_, &row.softmax, has_sink ? in_.sinks + row.head : nullptr,
                               in_.v_descale(task_.batch, task_.kv_head));
      if (row.softmax.exp2_missing) {
        char bits[16];
        std::snprintf(bits, sizeof bits, "0x%08X",
                      fp8::BitCast<uint32_t>(row.softmax.missing_input));
        return std::string("attention: the captured exp2 table has no entry for input ") + bits;
      }
      for (size_t s = 0; s < sums_.size(); ++s) {
        float* out = o + (s * rows_.size() + r) * static_cast<size_t>(d_v_);
        if (empty) {  // flash_fwd_kernel_sm90.h:465
          std::fill(out, out + d_v_, 0.0f);
        } else {
          sums_[s].Finish(r, finish.factor, out);
        }
      }
      lse[r] = finish.lse;
    }
    return "";
  }

 private:
  /// Everything that happens on key tile t, to the rows that visit it.
  void Tile(int64_t t) {
    active_.clear();
    for (size_t r = 0; r < rows_.size(); ++r)
      if (t >= rows_[r].schedule.tile_begin && t < rows_[r].schedule.tile_end) active_.push_back(r);
    if (active_.empty()) return;
    const int64_t first_key = rows_[active_[0]].schedule.first_key + t * n_;
    Weigh(t, first_key);

    const CodeView v = values_(first_key);
    TileWeights weights{active_, p_.data(), n_, {}, scales_.data()};
    if (recipe_.accumulation == PvAccumulation::kExact) {
      DecodeValues(v);
      for (ValueSums& sums : sums_) sums.AddExactly(weights, v_values_.data());
      return;
    }
    const fp8::Format format = recipe_.p_format == PFormat::kBF16 ? fp8::kBF16 : fp8::kE4M3FN;
    const size_t size = ElementSize(format);
    p_codes_.resize(p_.size() * size);
    fp8::Encode(fp8::ConstCodes(p_),
                fp8::Codes(format, p_codes_.data(), p_.size(), static_cast<int>(size)),
                PolicyOfP(recipe_.p_format));
    weights.codes = {p_codes_.data(), format, static_cast<int64_t>(active_.size()), n_, n_};
    packed_.Pack(recipe_.pv, v);
    for (ValueSums& sums : sums_) sums.Add(weights, packed_);
  }

  /// P of the active rows, unrounded, and by how much each row's sums shrink.
  void Weigh(int64_t t, int64_t first_key) {
    const auto rows = static_cast<int64_t>(active_.size());
    if (active_ != gathered_) GatherQueries();
    packed_.PackTransposed(recipe_.qk, keys_(first_key));
    words_.assign(active_.size() * static_cast<size_t>(n_), 0);
    MultiplyAccumulate(recipe_.qk, {q_.data(), in_.q.format, rows, d_, d_}, packed_,
                       {words_.data(), rows, n_});
    p_.resize(words_.size());
    scales_.resize(active_.size());
    for (size_t i = 0; i < active_.size(); ++i) {
      Row& row = rows_[active_[i]];
      float* s = p_.data() + i * static_cast<size_t>(n_);
      ScoreTile(recipe_, params_.math, softcap_scale_, row.schedule, first_key,
                words_.data() + i * static_cast<size_t>(n_), s);
      const bool check_inf =
          !row.started || t >= row.schedule.check_from || t < row.schedule.check_below;
      const bool lanes = params_.model == Exp2Model::kCorrectlyRounded;
      scales_[i] = (lanes ? SoftmaxStepLanes : SoftmaxStep)(params_, check_inf, s,
                                                            static_cast<int>(n_), &row.softmax);
      row.started = true;
    }
  }

  /// The active rows of Q, side by side.
  void GatherQueries() {
    const size_t row_bytes = static_cast<size_t>(d_) * ElementSize(in_.q.format);
    q_.resize(active_.size() * row_bytes);
    for (size_t i = 0; i < active_.size(); ++i)
      std::memcpy(q_.data() + i * row_bytes, rows_[active_[i]].q, row_bytes);
    gathered_ = active_;
  }

  void DecodeValues(const CodeView& v) {
    v_values_.resize(static_cast<size_t>(n_ * d_v_));
    for (int64_t key = 0; key < n_; ++key)
      for (int64_t c = 0; c < d_v_; ++c)
        v_values_[static_cast<size_t>(key * d_v_ + c)] = fp8::Decode(v.format, v(key, c));
  }

  const AttentionRecipe& recipe_;
  const AttentionInputs& in_;
  const BlockTask& task_;
  const KeyTileSource keys_;
  const KeyTileSource& values_;
  const SoftmaxParams params_;
  const float softcap_scale_;
  const int64_t d_, d_v_, n_;
  std::vector<Row> rows_;
  std::vector<ValueSums> sums_;  // one a recipe
  // Per tile, reused.
  std::vector<size_t> active_, gathered_;  // rows of this tile; those in q_
  std::vector<uint8_t> q_, p_codes_;
  std::vector<uint32_t> words_;
  std::vector<float> p_, scales_, v_values_;
  PackedB packed_;
};

}  // namespace

KeyTileSource KeyTiles(const HeadsView& x, int64_t batch, int64_t head, int64_t block_n) {
  return [x, batch, head, block_n, padded = std::vector<uint8_t>()](int64_t first) mutable {
    if (first + block_n <= x.seqlen)
      return CodeView{At(x, batch, first, head), x.format, block_n, x.dim, x.stride_seqlen};
    const size_t bytes = static_cast<size_t>(x.dim) * ElementSize(x.format);
    padded.assign(static_cast<size_t>(block_n) * bytes, 0);
    for (int64_t key = first; key < x.seqlen; ++key)
      std::memcpy(padded.data() + static_cast<size_t>(key - first) * bytes, At(x, batch, key, head),
                  bytes);
    return CodeView{padded.data(), x.format, block_n, x.dim, x.dim};
  };
}

bool ShareWeights(const AttentionRecipe& x, const AttentionRecipe& y) {
  AttentionRecipe like_x = y;
  like_x.accumulation = x.accumulation;
  like_x.interval = x.interval;
  like_x.overlap = x.overlap;
  like_x.fma.interval_merge = x.fma.interval_merge;
  like_x.fma.rescale_add = x.fma.rescale_add;
  like_x.output = x.output;
  const bool exact = x.accumulation == PvAccumulation::kExact;
  return x == like_x && exact == (y.accumulation == PvAccumulation::kExact);
}

SoftmaxParams MakeSoftmaxParams(const AttentionRecipe& recipe, const AttentionInputs& in,
                                int64_t batch, int64_t kv_head, const Exp2Table* table) {
  SoftmaxParams p{{recipe.ftz}, recipe.exp2, table, recipe.fma, 0, recipe.max_offset};
  const bool softcap = recipe.softcap > 0;
  // Host: float times double, rounded to float (mainloop:585). Device: flash_fwd_kernel_sm90.h:431.
  p.scale_log2 =
      static_cast<float>((softcap ? recipe.softcap : recipe.softmax_scale) * kLog2EDouble);
  if (!softcap)
    p.scale_log2 = p.math.Mul(
        p.scale_log2, p.math.Mul(in.q_descale(batch, kv_head), in.k_descale(batch, kv_head)));
  return p;
}

float SoftcapScale(const AttentionRecipe& recipe, const AttentionInputs& in, int64_t batch,
                   int64_t kv_head) {
  if (recipe.softcap <= 0) return 0;
  const Fp32 math{recipe.ftz};
  return math.Mul(recipe.softmax_scale / recipe.softcap,
                  math.Mul(in.q_descale(batch, kv_head), in.k_descale(batch, kv_head)));
}

void ScoreTile(const AttentionRecipe& recipe, const Fp32& math, float softcap_scale,
               const RowSchedule& schedule, int64_t first_key, const uint32_t* words, float* s) {
  const int64_t n = recipe.block_n;
  std::memcpy(s, words, static_cast<size_t>(n) * sizeof(float));
  if (recipe.softcap > 0) {  // utils.h:644, before the mask
    for (int64_t j = 0; j < n; ++j)
      s[j] = math.Flush(static_cast<float>(TanhDouble(math.Mul(s[j], softcap_scale))));
  }
  const int64_t begin = std::clamp<int64_t>(schedule.key_begin - first_key, 0, n);
  const int64_t end = std::clamp<int64_t>(schedule.key_end - first_key, begin, n);
  std::fill(s, s + begin, NegativeInfinity());
  std::fill(s + end, s + n, NegativeInfinity());
}

uint32_t RoundP(PFormat format, float p) {
  return format == PFormat::kBF16 ? fp8::Encode<fp8::kBF16>(p, PolicyOfP(format))
                                  : fp8::Encode<fp8::kE4M3FN>(p, PolicyOfP(format));
}

std::string ForwardBlock(std::span<const AttentionRecipe> recipes, const AttentionInputs& in,
                         const AttentionOptions& options, const BlockTask& task,
                         const KeyTileSource& values, int64_t d_v, float* o, float* lse) {
  Block block(recipes, in, options, task, values, d_v);
  block.Run();
  return block.Finish(o, lse);
}

}  // namespace lostbits::sim
