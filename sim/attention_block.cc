#include "sim/attention_block.h"

#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "fp8/codec.h"
#include "fp8/convert.h"
#include "sim/attention_values.h"
#include "sim/parallel_for.h"
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

/// What one key tile needs on its way from scores to products.
struct Tile {
  int64_t index, first_key;
  std::vector<size_t> active;  // rows of the block that visit it
  std::vector<int64_t> place;  // of each row of the block among them, or -1
  std::vector<float> p;        // active x block_n: scores, then P before its rounding
  std::vector<uint8_t> codes;  // P
  std::vector<float> scales;   // active
};

/// A thread's memory for scores.
struct Scorer {
  KeyTileSource keys;
  std::vector<size_t> gathered;  // rows of the block in q
  std::vector<uint8_t> q;
  std::vector<uint32_t> words;
  PackedB packed;
};

/// A range of V's columns, on one thread at a time.
struct Part {
  int64_t column, columns;
  KeyTileSource values;
  std::vector<ValueSums> sums;  // one a recipe
  std::vector<float> decoded;
  PackedB packed;
};

/// The block's memory and the steps of its main loop. A team of threads runs through a few tiles at
/// a time: scores tile by tile, then weights row by row, then products by columns of V. So nothing
/// is packed twice, and each row and each output sees its tiles in order.
class Block {
 public:
  Block(std::span<const AttentionRecipe> recipes, const AttentionInputs& in,
        const AttentionOptions& options, const BlockTask& task, const KeyTileSource& values,
        int64_t d_v)
      : recipe_(recipes[0]),
        in_(in),
        task_(task),
        team_(std::max(options.threads, 1)),
        params_(MakeSoftmaxParams(recipe_, in, task.batch, task.kv_head, options.exp2_table)),
        softcap_scale_(SoftcapScale(recipe_, in, task.batch, task.kv_head)),
        d_(in.q.dim),
        d_v_(d_v),
        n_(recipe_.block_n),
        p_format_(recipe_.p_format == PFormat::kBF16 ? fp8::kBF16 : fp8::kE4M3FN) {
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
    const int64_t columns = (d_v / team_ + kColumns - 1) / kColumns * kColumns;
    for (int64_t c = 0; c < d_v; c += std::max(columns, kColumns)) {
      Part part{c, std::min(std::max(columns, kColumns), d_v - c), values, {}, {}, {}};
      for (const AttentionRecipe& recipe : recipes)
        part.sums.emplace_back(recipe, visits, part.columns);
      parts_.push_back(std::move(part));
    }
    scorers_.resize(static_cast<size_t>(team_));
    for (Scorer& s : scorers_) s.keys = KeyTiles(in.k, task.batch, task.kv_head, n_);
  }

  void Run() {
    int64_t begin = std::numeric_limits<int64_t>::max(), end = 0;
    for (const Row& row : rows_) {
      if (row.schedule.Visits() == 0) continue;
      begin = std::min(begin, row.schedule.tile_begin);
      end = std::max(end, row.schedule.tile_end);
    }
    const int64_t cells = static_cast<int64_t>(rows_.size()) * n_;
    const int64_t at_once = team_ == 1 ? 1 : std::max<int64_t>(kTeamCells / cells, team_);
    for (int64_t i = begin; i < end; i += at_once) {
      tiles_.resize(static_cast<size_t>(std::min(at_once, end - i)));
      for (size_t j = 0; j < tiles_.size(); ++j) {
        const int64_t visit = i + static_cast<int64_t>(j);
        Prepare(recipe_.order == TileOrder::kLastToFirst ? end - 1 - (visit - begin) : visit,
                &tiles_[j]);
      }
      InTeam(tiles_.size(), [&](size_t tile) { Score(&tiles_[tile]); });
      InTeam(rows_.size(), [&](size_t row) { Weigh(row); });
      InTeam(parts_.size(), [&](size_t part) { Multiply(&parts_[part]); });
    }
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
      for (Part& part : parts_) {
        for (size_t s = 0; s < part.sums.size(); ++s) {
          float* out = o + (s * rows_.size() + r) * static_cast<size_t>(d_v_) + part.column;
          if (empty) {  // flash_fwd_kernel_sm90.h:465
            std::fill(out, out + part.columns, 0.0f);
          } else {
            part.sums[s].Finish(r, finish.factor, out);
          }
        }
      }
      lse[r] = finish.lse;
    }
    return "";
  }

 private:
  static constexpr int64_t kColumns = 16;  // of V on one thread, at least: whole vectors
  // Scores at a time: some 5 MB, and few meetings of the team, each of which may cost a time slice
  // where other programs run.
  static constexpr int64_t kTeamCells = 1 << 20;

  /// For one product with so many rows.
  static Packing PackFor(int64_t rows) { return rows <= 64 ? Packing::kLater : Packing::kNow; }

  template <class Body>
  void InTeam(size_t count, const Body& body) {
    if (team_ == 1) {
      for (size_t i = 0; i < count; ++i) body(i);
      return;
    }
    ParallelFor(static_cast<int64_t>(count), team_, {}, [&](int64_t i) -> std::string {
      body(static_cast<size_t>(i));
      return "";
    });
  }

  void Prepare(int64_t t, Tile* tile) {
    tile->index = t;
    tile->active.clear();
    tile->place.assign(rows_.size(), -1);
    for (size_t r = 0; r < rows_.size(); ++r) {
      if (t < rows_[r].schedule.tile_begin || t >= rows_[r].schedule.tile_end) continue;
      tile->place[r] = static_cast<int64_t>(tile->active.size());
      tile->active.push_back(r);
    }
    // All rows share their first key.
    tile->first_key = rows_[0].schedule.first_key + t * n_;
    const size_t cells = tile->active.size() * static_cast<size_t>(n_);
    tile->p.resize(cells);
    tile->codes.resize(cells * ElementSize(p_format_));
    tile->scales.resize(tile->active.size());
  }

  /// S = Q K^T of the active rows, from zero.
  void Score(Tile* tile) {
    if (tile->active.empty()) return;
    Scorer& scorer = scorers_[team_ == 1 ? 0 : static_cast<size_t>(omp_get_thread_num())];
    const auto rows = static_cast<int64_t>(tile->active.size());
    const size_t row_bytes = static_cast<size_t>(d_) * ElementSize(in_.q.format);
    if (scorer.gathered != tile->active) {
      scorer.gathered = tile->active;
      scorer.q.resize(tile->active.size() * row_bytes);
      for (size_t i = 0; i < tile->active.size(); ++i)
        std::memcpy(scorer.q.data() + i * row_bytes, rows_[tile->active[i]].q, row_bytes);
    }
    scorer.packed.PackTransposed(recipe_.qk, scorer.keys(tile->first_key), PackFor(rows));
    scorer.words.assign(tile->p.size(), 0);
    MultiplyAccumulate(recipe_.qk, {scorer.q.data(), in_.q.format, rows, d_, d_}, scorer.packed,
                       {scorer.words.data(), rows, n_});
    for (size_t i = 0; i < tile->active.size(); ++i) {
      const size_t at = i * static_cast<size_t>(n_);
      ScoreTile(recipe_, params_.math, softcap_scale_, rows_[tile->active[i]].schedule,
                tile->first_key, scorer.words.data() + at, tile->p.data() + at);
    }
  }

  /// P of one row through the tiles, and by how much its sums shrink at each.
  void Weigh(size_t r) {
    Row& row = rows_[r];
    const bool lanes = params_.model == Exp2Model::kCorrectlyRounded;
    for (Tile& tile : tiles_) {
      if (tile.place[r] < 0) continue;
      const auto place = static_cast<size_t>(tile.place[r]), n = static_cast<size_t>(n_);
      float* s = tile.p.data() + place * n;
      const bool check_inf = !row.started || tile.index >= row.schedule.check_from ||
                             tile.index < row.schedule.check_below;
      tile.scales[place] = (lanes ? SoftmaxStepLanes : SoftmaxStep)(
          params_, check_inf, s, static_cast<int>(n_), &row.softmax);
      row.started = true;
      if (recipe_.accumulation == PvAccumulation::kExact) continue;
      const size_t size = ElementSize(p_format_);
      fp8::Encode(
          fp8::ConstCodes(std::span<const float>(s, n)),
          fp8::Codes(p_format_, tile.codes.data() + place * n * size, n, static_cast<int>(size)),
          PolicyOfP(recipe_.p_format));
    }
  }

  /// P V on the part's columns.
  void Multiply(Part* part) {
    for (const Tile& tile : tiles_) {
      if (tile.active.empty()) continue;
      const CodeView v = part->values(tile.first_key).Cols(part->column, part->columns);
      const auto rows = static_cast<int64_t>(tile.active.size());
      const TileWeights weights{tile.active,
                                tile.p.data(),
                                n_,
                                {tile.codes.data(), p_format_, rows, n_, n_},
                                tile.scales.data()};
      if (recipe_.accumulation == PvAccumulation::kExact) {
        part->decoded.clear();
        for (int64_t key = 0; key < n_; ++key)
          for (int64_t c = 0; c < part->columns; ++c)
            part->decoded.push_back(fp8::Decode(v.format, v(key, c)));
        for (ValueSums& sums : part->sums) sums.AddExactly(weights, part->decoded.data());
      } else {
        part->packed.Pack(recipe_.pv, v, part->sums.size() == 1 ? PackFor(rows) : Packing::kNow);
        for (ValueSums& sums : part->sums) sums.Add(weights, part->packed);
      }
    }
  }

  const AttentionRecipe& recipe_;
  const AttentionInputs& in_;
  const BlockTask& task_;
  const int team_;
  const SoftmaxParams params_;
  const float softcap_scale_;
  const int64_t d_, d_v_, n_;
  const fp8::Format p_format_;
  std::vector<Row> rows_;
  std::vector<Part> parts_;
  std::vector<Scorer> scorers_;  // one a thread
  std::vector<Tile> tiles_;
};

}  // namespace

KeyTileSource KeyTiles(const HeadsView& x, int64_t batch, int64_t head, int64_t block_n) {
  return [x, batch, head, block_n, last = int64_t{0},
          padded = std::vector<uint8_t>()](int64_t first) mutable {
    // The next tile, on its way from memory while this one is multiplied.
    const int64_t next = 2 * first - std::exchange(last, first);
    for (int64_t key = std::max<int64_t>(next, 0); key < std::min(next + block_n, x.seqlen);
         ++key) {
      const uint8_t* row = At(x, batch, key, head);
      for (size_t at = 0; at < static_cast<size_t>(x.dim) * ElementSize(x.format); at += 64)
        __builtin_prefetch(row + at, 0, 2);
    }
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
