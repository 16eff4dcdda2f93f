#include "sim/attention_values.h"

#include <cstring>
#include <utility>

#include "fp8/codec.h"
#include "sim/attention_block.h"
#include "sim/softmax_lanes.h"

namespace lostbits::sim {

ValueSums::ValueSums(const AttentionRecipe& recipe, std::vector<int64_t> visits, int64_t d)
    : recipe_(recipe), math_{recipe.ftz}, d_(d) {
  for (const int64_t n : visits) rows_.push_back({n});
  const size_t cells = rows_.size() * static_cast<size_t>(d);
  if (recipe.accumulation == PvAccumulation::kExact) {
    exact_.assign(cells, 0);
  } else {
    o_.assign(cells, 0);
  }
  if (FlushDue()) accum_.assign(cells, 0);
}

void ValueSums::Add(const TileWeights& tile, const PackedB& v) {
  for (size_t i = 0; i < tile.rows.size(); ++i)
    if (rows_[tile.rows[i]].done > 0) Rescale(tile.rows[i], tile.scale[i]);
  Multiply(tile, v);
  for (const size_t r : tile.rows) {
    Row& row = rows_[r];
    // Without overlap the flush follows the product; with it, the next rescale (commit 6bf4ce25,
    // mainloop:1312-1318 and 1469-1475).
    if (FlushDue() && !recipe_.overlap && row.done > 0 && row.done % recipe_.interval == 0)
      Merge(r, /*last=*/false);
    ++row.done;
  }
}

void ValueSums::Rescale(size_t r, float scale) {
  Row& row = rows_[r];
  if (recipe_.accumulation == PvAccumulation::kPerTile) {
    row.scale = scale;  // applied together with the sum, in Multiply
    return;
  }
  ScaleLanes(math_, scale, o_.data() + r * static_cast<size_t>(d_), d_);
  if (!FlushDue()) return;
  row.scale = math_.Mul(row.scale, scale);
  if (!recipe_.overlap) return;
  // Once more before the last product, which one rescale can share with the regular flush: then
  // the second adds zero.
  const bool regular = row.done % recipe_.interval == 0;
  const bool before_last = row.done + 1 == row.visits && row.visits % recipe_.interval == 0;
  if (regular || before_last) Merge(r, /*last=*/false);
}

/// accum = scale * accum + O; O restarts. At the end the sum goes to O instead.
void ValueSums::Merge(size_t r, bool last) {
  Row& row = rows_[r];
  for (int64_t c = 0; c < d_; ++c) {
    const size_t i = r * static_cast<size_t>(d_) + static_cast<size_t>(c);
    const float sum = math_.MulAdd(recipe_.fma.interval_merge, row.scale, accum_[i], o_[i]);
    accum_[i] = last ? accum_[i] : sum;
    o_[i] = last ? sum : 0;
  }
  if (!last) row.scale = 1;
}

void ValueSums::Multiply(const TileWeights& tile, const PackedB& v) {
  const auto d = static_cast<size_t>(d_);
  const bool from_zero = recipe_.accumulation == PvAccumulation::kPerTile;
  words_.assign(tile.rows.size() * d, 0);
  for (size_t i = 0; i < tile.rows.size() && !from_zero; ++i)
    std::memcpy(words_.data() + i * d, o_.data() + tile.rows[i] * d, d * sizeof(float));
  MultiplyAccumulate(recipe_.pv, tile.codes, v, {words_.data(), tile.codes.rows, d_});
  tile_o_.resize(d);
  for (size_t i = 0; i < tile.rows.size(); ++i) {
    float* o = o_.data() + tile.rows[i] * d;
    std::memcpy(from_zero ? tile_o_.data() : o, words_.data() + i * d, d * sizeof(float));
    if (from_zero)
      ScaleAndAddLanes(math_, recipe_.fma.rescale_add, rows_[tile.rows[i]].scale, tile_o_.data(), o,
                       d_);
  }
}

/// Keys in increasing order within the tile, plain binary64.
void ValueSums::AddExactly(const TileWeights& tile, const float* values) {
  const auto d = static_cast<size_t>(d_), n = static_cast<size_t>(tile.n);
  for (size_t i = 0; i < tile.rows.size(); ++i) {
    Row& row = rows_[tile.rows[i]];
    double* o = exact_.data() + tile.rows[i] * d;
    if (row.done++ > 0)
      for (size_t c = 0; c < d; ++c) o[c] *= tile.scale[i];
    for (size_t key = 0; key < n; ++key) {
      float p = tile.p[i * n + key];
      if (recipe_.p_format != PFormat::kNone) {
        const bool bf16 = recipe_.p_format == PFormat::kBF16;
        p = fp8::Decode(bf16 ? fp8::kBF16 : fp8::kE4M3FN, RoundP(recipe_.p_format, p));
      }
      const float* value = values + key * d;
      for (size_t c = 0; c < d; ++c) o[c] += static_cast<double>(p) * value[c];
    }
  }
}

void ValueSums::Finish(size_t r, float factor, float* out) {
  if (FlushDue()) Merge(r, /*last=*/true);
  for (int64_t c = 0; c < d_; ++c) {
    const size_t i = r * static_cast<size_t>(d_) + static_cast<size_t>(c);
    out[c] = recipe_.accumulation == PvAccumulation::kExact ? static_cast<float>(exact_[i] * factor)
                                                            : math_.Mul(o_[i], factor);
  }
}

}  // namespace lostbits::sim
