#include "sim/attention_block.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "fp8/codec.h"
#include "fp8/convert.h"
#include "sim/gemm.h"
#include "sim/softmax_lanes.h"

namespace lostbits::sim {
namespace {

constexpr double kLog2EDouble = 0x1.71547652b82fep+0;  // M_LOG2E (mainloop:585)

size_t ElementSize(const HeadsView& x) { return x.format == fp8::kBF16 ? 2 : 1; }

const uint8_t* At(const HeadsView& x, int64_t b, int64_t s, int64_t h) {
  return static_cast<const uint8_t*>(x.data) +
         static_cast<size_t>(x.Offset(b, s, h)) * ElementSize(x);
}

/// block_n keys of one head from `first` on, as a matrix of keys x d. Keys that do not exist are
/// zeros, in `padded`.
CodeView KeyTile(const HeadsView& x, int64_t batch, int64_t head, int64_t first, int64_t block_n,
                 std::vector<uint8_t>* padded) {
  if (first + block_n <= x.seqlen)
    return {At(x, batch, first, head), x.format, block_n, x.dim, x.stride_seqlen};
  const size_t bytes = static_cast<size_t>(x.dim) * ElementSize(x);
  padded->assign(static_cast<size_t>(block_n) * bytes, 0);
  for (int64_t key = first; key < x.seqlen; ++key)
    std::memcpy(padded->data() + static_cast<size_t>(key - first) * bytes, At(x, batch, key, head),
                bytes);
  return {padded->data(), x.format, block_n, x.dim, x.dim};
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
  int64_t visits = 0;  // tiles seen so far
  // kEveryNTiles: what accum still has to be multiplied by; kPerTile: what O has.
  float accum_scale = 1;
};

/// The block's memory and the steps of its main loop.
class Block {
 public:
  Block(const AttentionRecipe& recipe, const AttentionInputs& in, const AttentionOptions& options,
        const BlockTask& task)
      : recipe_(recipe),
        in_(in),
        task_(task),
        params_(MakeSoftmaxParams(recipe, in, task.batch, task.kv_head, options.exp2_table)),
        math_(params_.math),
        softcap_scale_(SoftcapScale(recipe, in, task.batch, task.kv_head)),
        d_(in.q.dim),
        n_(recipe.block_n) {
    const SequenceShape shape = ShapeOf(in);
    for (int64_t r = task.row_begin; r < task.row_end; ++r) {
      const int64_t query_row = r / shape.group, in_group = r % shape.group;
      Row row;
      row.head = task.kv_head * shape.group + in_group;
      row.q = At(in.q, task.batch, query_row, row.head);
      row.schedule = ScheduleRow(recipe, shape, QueryNumber(in, query_row), in_group, task.split);
      rows_.push_back(row);
    }
    const size_t cells = rows_.size() * static_cast<size_t>(d_);
    if (recipe.accumulation == PvAccumulation::kExact) {
      exact_.assign(cells, 0);
    } else {
      o_.assign(cells, 0);
    }
    if (recipe.accumulation == PvAccumulation::kEveryNTiles) accum_.assign(cells, 0);
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
      float* out = o + r * static_cast<size_t>(d_);
      if (row.schedule.Visits() == 0) {  // flash_fwd_kernel_sm90.h:465
        std::fill(out, out + d_, 0.0f);
        lse[r] = NegativeInfinity();
        continue;
      }
      const bool has_sink = in_.sinks != nullptr && task_.split == 0;  // mainloop:1138
      const SoftmaxEnd finish =
          SoftmaxFinish(params_, &row.softmax, has_sink ? in_.sinks + row.head : nullptr,
                        in_.v_descale(task_.batch, task_.kv_head));
      if (row.softmax.exp2_missing) {
        char bits[16];
        std::snprintf(bits, sizeof bits, "0x%08X",
                      fp8::BitCast<uint32_t>(row.softmax.missing_input));
        return std::string("the captured exp2 table has no entry for input ") + bits;
      }
      if (recipe_.accumulation == PvAccumulation::kEveryNTiles) Merge(r, /*last=*/true);
      for (int64_t c = 0; c < d_; ++c) {
        const size_t i = r * static_cast<size_t>(d_) + static_cast<size_t>(c);
        out[c] = recipe_.accumulation == PvAccumulation::kExact
                     ? static_cast<float>(exact_[i] * finish.factor)
                     : math_.Mul(o_[i], finish.factor);
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
    const auto rows = static_cast<int64_t>(active_.size());

    // S = Q K^T, from zero.
    if (active_ != gathered_) GatherQueries();
    packed_.PackTransposed(recipe_.qk,
                           KeyTile(in_.k, task_.batch, task_.kv_head, first_key, n_, &padded_));
    words_.assign(active_.size() * static_cast<size_t>(n_), 0);
    MultiplyAccumulate(recipe_.qk, {q_.data(), in_.q.format, rows, d_, d_}, packed_,
                       {words_.data(), rows, n_});

    p_.resize(words_.size());
    for (size_t i = 0; i < active_.size(); ++i) {
      Row& row = rows_[active_[i]];
      float* s = p_.data() + i * static_cast<size_t>(n_);
      ScoreTile(recipe_, math_, softcap_scale_, row.schedule, first_key,
                words_.data() + i * static_cast<size_t>(n_), s);
      const bool check_inf =
          row.visits == 0 || t >= row.schedule.check_from || t < row.schedule.check_below;
      const bool lanes = params_.model == Exp2Model::kCorrectlyRounded;
      const float scale = (lanes ? SoftmaxStepLanes : SoftmaxStep)(
          params_, check_inf, s, static_cast<int>(n_), &row.softmax);
      if (row.visits > 0) Rescale(active_[i], scale);
    }

    const CodeView v = KeyTile(in_.v, task_.batch, task_.kv_head, first_key, n_, &padded_);
    if (recipe_.accumulation == PvAccumulation::kExact) {
      AddExact(v);
    } else {
      AddOnUnit(v, rows);
    }
    for (const size_t r : active_) {
      Row& row = rows_[r];
      // Without overlap the flush follows the product; with it, the next rescale (commit 6bf4ce25,
      // mainloop:1312-1318 and 1469-1475).
      if (FlushDue() && !recipe_.overlap && row.visits > 0 && row.visits % recipe_.interval == 0)
        Merge(r, /*last=*/false);
      ++row.visits;
    }
  }

  /// The active rows of Q, side by side.
  void GatherQueries() {
    const size_t row_bytes = static_cast<size_t>(d_) * ElementSize(in_.q);
    q_.resize(active_.size() * row_bytes);
    for (size_t i = 0; i < active_.size(); ++i)
      std::memcpy(q_.data() + i * row_bytes, rows_[active_[i]].q, row_bytes);
    gathered_ = active_;
  }

  bool FlushDue() const { return recipe_.accumulation == PvAccumulation::kEveryNTiles; }

  /// What was gathered so far shrinks to the new maximum.
  void Rescale(size_t r, float scale) {
    Row& row = rows_[r];
    const size_t at = r * static_cast<size_t>(d_);
    const auto d = static_cast<size_t>(d_);
    switch (recipe_.accumulation) {
      case PvAccumulation::kExact:
        for (size_t c = 0; c < d; ++c) exact_[at + c] *= scale;
        return;
      case PvAccumulation::kPerTile: row.accum_scale = scale; return;  // with the add in AddOnUnit
      case PvAccumulation::kOneLevel: break;
      case PvAccumulation::kEveryNTiles: row.accum_scale = math_.Mul(row.accum_scale, scale); break;
    }
    ScaleLanes(math_, scale, o_.data() + at, d_);
    if (!FlushDue() || !recipe_.overlap) return;
    // Once more before the last product, which one rescale can share with the regular flush: then
    // the second adds zero.
    const bool regular = row.visits % recipe_.interval == 0;
    const bool before_last =
        row.visits + 1 == row.schedule.Visits() && row.schedule.Visits() % recipe_.interval == 0;
    if (regular || before_last) Merge(r, /*last=*/false);
  }

  /// accum = accum_scale * accum + O; O restarts. At the end the sum goes to O instead.
  void Merge(size_t r, bool last) {
    Row& row = rows_[r];
    for (int64_t c = 0; c < d_; ++c) {
      const size_t i = r * static_cast<size_t>(d_) + static_cast<size_t>(c);
      const float sum = math_.MulAdd(recipe_.fma.interval_merge, row.accum_scale, accum_[i], o_[i]);
      accum_[i] = last ? accum_[i] : sum;
      o_[i] = last ? sum : 0;
    }
    if (!last) row.accum_scale = 1;
  }

  void AddOnUnit(const CodeView& v, int64_t rows) {
    const bool bf16 = recipe_.p_format == PFormat::kBF16;
    p_codes_.resize(p_.size() * (bf16 ? 2 : 1));
    const fp8::ConstCodes unrounded(p_);
    const fp8::Format format = bf16 ? fp8::kBF16 : fp8::kE4M3FN;
    fp8::Encode(unrounded, fp8::Codes(format, p_codes_.data(), p_.size(), bf16 ? 2 : 1),
                PolicyOfP(recipe_.p_format));
    packed_.Pack(recipe_.pv, v);
    const auto d = static_cast<size_t>(d_);
    const bool from_zero = recipe_.accumulation == PvAccumulation::kPerTile;
    words_.assign(active_.size() * d, 0);
    for (size_t i = 0; i < active_.size() && !from_zero; ++i)
      std::memcpy(words_.data() + i * d, o_.data() + active_[i] * d, d * sizeof(float));
    MultiplyAccumulate(recipe_.pv, {p_codes_.data(), format, rows, n_, n_}, packed_,
                       {words_.data(), rows, d_});
    tile_o_.resize(d);
    for (size_t i = 0; i < active_.size(); ++i) {
      float* o = o_.data() + active_[i] * d;
      std::memcpy(from_zero ? tile_o_.data() : o, words_.data() + i * d, d * sizeof(float));
      if (from_zero)
        ScaleAndAddLanes(math_, recipe_.fma.rescale_add, rows_[active_[i]].accum_scale,
                         tile_o_.data(), o, d_);
    }
  }

  /// Keys in increasing order within the tile, plain binary64.
  void AddExact(const CodeView& v) {
    const auto d = static_cast<size_t>(d_);
    v_values_.resize(static_cast<size_t>(n_) * d);
    for (int64_t key = 0; key < n_; ++key)
      for (int64_t c = 0; c < d_; ++c)
        v_values_[static_cast<size_t>(key * d_ + c)] = fp8::Decode(v.format, v(key, c));
    for (size_t i = 0; i < active_.size(); ++i) {
      double* o = exact_.data() + active_[i] * d;
      for (size_t key = 0; key < static_cast<size_t>(n_); ++key) {
        float p = p_[i * static_cast<size_t>(n_) + key];
        if (recipe_.p_format != PFormat::kNone) {
          const bool bf16 = recipe_.p_format == PFormat::kBF16;
          p = fp8::Decode(bf16 ? fp8::kBF16 : fp8::kE4M3FN, RoundP(recipe_.p_format, p));
        }
        const float* value = v_values_.data() + key * d;
        for (size_t c = 0; c < d; ++c) o[c] += static_cast<double>(p) * value[c];
      }
    }
  }

  const AttentionRecipe& recipe_;
  const AttentionInputs& in_;
  const BlockTask& task_;
  const SoftmaxParams params_;
  const Fp32 math_;
  const float softcap_scale_;
  const int64_t d_, n_;
  std::vector<Row> rows_;
  std::vector<float> o_, accum_;  // rows x d
  std::vector<double> exact_;     // rows x d, kExact
  // Per tile, reused.
  std::vector<size_t> active_, gathered_;  // rows of this tile; those in q_
  std::vector<uint8_t> q_, p_codes_, padded_;
  std::vector<uint32_t> words_;
  std::vector<float> p_, tile_o_, v_values_;
  PackedB packed_;
};

}  // namespace

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

std::string ForwardBlock(const AttentionRecipe& recipe, const AttentionInputs& in,
                         const AttentionOptions& options, const BlockTask& task, float* o,
                         float* lse) {
  Block block(recipe, in, options, task);
  block.Run();
  return block.Finish(o, lse);
}

}  // namespace lostbits::sim
