#include "sim/attention_recipe.h"

#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>

#include "sim/arch_table.h"

namespace lostbits::sim {
namespace {

AccumSpec Unit(std::string_view arch, std::string_view instruction, std::string_view in) {
  for (const ArchRow& row : kArchTable)
    if (arch == row.arch && instruction == row.instruction && in == row.in &&
        std::string_view("f32") == row.out)
      return row.spec;
  throw std::logic_error("no such machine");
}

int RoundUpHeadDim(int head_dim) {  // flash_api.cpp:554-571
  for (const int size : {64, 96, 128, 192})
    if (head_dim <= size) return size;
  return 256;
}

/// tile_size.h:13-52, for V as wide as K.
FlashAttention3Tile Bf16Tile(int d, const FlashAttention3Options& o, bool causal, bool local) {
  const bool narrow = causal || local || o.paged_non_tma;
  switch (d) {
    case 64:
      if (o.decode) return {64, 192, true, 24};
      return {192, causal ? 128 : local || o.paged_non_tma ? 160 : 192, !local, 30};
    case 96: return {192, local || o.paged_non_tma ? 128 : 144, true, 39};
    case 128:
      if (o.decode) return {64, narrow ? 128 : 176, true, 42};
      return {128, narrow ? 128 : 160, true, 44};
    case 192: return {128, 96, true, 49};
    default: return {128, local ? 64 : 80, true, 51};
  }
}

/// tile_size.h:55-91, V row-major. Two-level accumulation costs registers, hence smaller tiles.
FlashAttention3Tile Fp8Tile(int d, const FlashAttention3Options& o, bool local) {
  const bool two_level =
      o.accumulation == PvAccumulation::kPerTile || o.accumulation == PvAccumulation::kEveryNTiles;
  if (o.decode)
    return d <= 96 ? FlashAttention3Tile{64, 128, true, 58} : FlashAttention3Tile{64, 96, true, 60};
  const bool softcap = o.softcap > 0;
  switch (d) {
    case 64:
      return two_level ? FlashAttention3Tile{192, 128, true, 68}
                       : FlashAttention3Tile{192, 160, true, 80};
    case 96:
      return two_level ? FlashAttention3Tile{128, 128, true, 70}
                       : FlashAttention3Tile{192, 128, true, 82};
    case 128:
      if (two_level) return {128, 192, true, 72};
      return {128, o.paged_non_tma ? 160 : softcap && local ? 192 : 224, true, 84};
    case 192:
      if (two_level) return {128, 96, true, 74};
      return {128, (o.paged_non_tma || softcap) && local ? 128 : 160, true, 86};
    default: return {128, local ? 64 : 128, !o.paged_non_tma, two_level ? 76 : 88};
  }
}

void CheckOptions(const FlashAttention3Options& o) {
  if (o.head_dim < 1 || o.head_dim > 256)
    throw std::invalid_argument("FlashAttention-3: head_dim is " + std::to_string(o.head_dim) +
                                ", expected 1 to 256");
  if (o.decode && o.head_dim != 64 && o.head_dim != 128)
    throw std::invalid_argument("FlashAttention-3: head_dim is " + std::to_string(o.head_dim) +
                                ", but only 64 and 128 have a decode kernel");
  if (o.decode && (o.window_left >= 0 || (!o.causal && o.window_right > 0)))
    throw std::invalid_argument("FlashAttention-3: no decode kernel with a window");
}

}  // namespace

FlashAttention3Tile TileOf(const FlashAttention3Options& o) {
  CheckOptions(o);
  const int d = RoundUpHeadDim(o.head_dim);
  const int right = o.causal ? 0 : o.window_right;  // flash_api.cpp:647-650
  const bool causal = o.window_left < 0 && right == 0;
  const bool local = !causal && (o.window_left >= 0 || right >= 0);
  return o.bf16 ? Bf16Tile(d, o, causal, local) : Fp8Tile(d, o, local);
}

AttentionRecipe FlashAttention3Recipe(const FlashAttention3Options& o) {
  const FlashAttention3Tile tile = TileOf(o);
  AttentionRecipe r;
  r.qk = r.pv = Unit("hopper", "wgmma", o.bf16 ? "bf16" : "e4m3");
  r.head_dim = o.head_dim;
  r.block_m = tile.block_m;
  r.block_n = tile.block_n;
  r.overlap = tile.overlap;
  // utils.h:239-241: only FP8 has two levels.
  r.accumulation = o.bf16 ? PvAccumulation::kOneLevel : o.accumulation;
  r.interval = r.accumulation == PvAccumulation::kEveryNTiles ? o.interval : 0;
  r.p_format = o.bf16 ? PFormat::kBF16 : PFormat::kE4M3;
  r.max_offset = o.bf16 ? 0 : 8;
  r.softmax_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(o.head_dim)));
  r.causal = o.causal;
  r.window_left = o.window_left;
  r.window_right = o.window_right;
  r.softcap = o.softcap;
  return r;
}

AttentionRecipe BlackwellFp8Recipe(int head_dim) {
  FlashAttention3Options o;
  o.head_dim = head_dim;
  AttentionRecipe r = FlashAttention3Recipe(o);
  r.qk = r.pv = Unit("blackwell", "tcgen05", "e4m3");
  r.block_m = r.block_n = 128;
  r.accumulation = PvAccumulation::kOneLevel;
  r.overlap = true;
  return r;
}

}  // namespace lostbits::sim
