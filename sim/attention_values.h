// P V of a few rows, gathered over key tiles as a recipe says. Internal to sim/attention*.cc.
#ifndef LOSTBITS_SIM_ATTENTION_VALUES_H_
#define LOSTBITS_SIM_ATTENTION_VALUES_H_

#include <cstdint>
#include <span>
#include <vector>

#include "sim/gemm.h"
#include "sim/recipe.h"
#include "sim/softmax.h"

namespace lostbits::sim {

/// P of one tile: `rows` of the block, and for each of them n unrounded numbers and the factor by
/// which what was gathered before shrinks (1 on a row's first tile).
struct TileWeights {
  std::span<const size_t> rows;
  const float* p;  ///< rows.size() x n
  int64_t n;
  CodeView codes;  ///< p as PFormat says; not for kExact
  const float* scale;
};

class ValueSums {
 public:
  /// visits: how many tiles each row is going to see. d: columns of V.
  ValueSums(const AttentionRecipe& recipe, std::vector<int64_t> visits, int64_t d);

  /// One more tile of V for these rows, packed for recipe.pv.
  void Add(const TileWeights& tile, const PackedB& v);
  /// The same under kExact. values: n x d.
  void AddExactly(const TileWeights& tile, const float* values);

  /// Row r's O, times factor. Once, after all tiles.
  void Finish(size_t r, float factor, float* out);

 private:
  struct Row {
    int64_t visits;    // tiles in all
    int64_t done = 0;  // tiles added
    // kEveryNTiles: what accum still has to be multiplied by; kPerTile: what O has.
    float scale = 1;
  };

  bool FlushDue() const { return recipe_.accumulation == PvAccumulation::kEveryNTiles; }
  void Rescale(size_t r, float scale);
  void Multiply(const TileWeights& tile, const PackedB& v);
  void Merge(size_t r, bool last);

  const AttentionRecipe recipe_;
  const Fp32 math_;
  const int64_t d_;
  std::vector<Row> rows_;
  std::vector<float> o_, accum_;  // rows x d
  std::vector<double> exact_;     // rows x d, kExact
  std::vector<uint32_t> words_;
  std::vector<float> tile_o_;
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ATTENTION_VALUES_H_
