#include "cli/attention_preset.h"

#include <stdexcept>

#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::PvAccumulation;

// Pull requests are those of vllm-project/flash-attention (sim/recipe.h).
constexpr AttentionPreset kPresets[] = {
    {"fa3.sm90.e4m3", "hopper:wgmma:e4m3:f32",
     "FlashAttention-3 FP8 as vLLM builds it: two-level, flushed every key tile (#104)",
     PvAccumulation::kPerTile, 0, false, false},
    {"fa3.sm90.e4m3.one-level", "hopper:wgmma:e4m3:f32", "FlashAttention-3 FP8 upstream: one level",
     PvAccumulation::kOneLevel, 0, false, false},
    {"fa3.sm90.e4m3.every-4", "hopper:wgmma:e4m3:f32",
     "FlashAttention-3 FP8, two-level, flushed every 4 key tiles (#122, reverted)",
     PvAccumulation::kEveryNTiles, 4, false, false},
    {"fa3.sm90.bf16", "hopper:wgmma:bf16:f32", "FlashAttention-3 BF16", PvAccumulation::kOneLevel,
     0, true, false},
    {"sm100.e4m3", "blackwell:tcgen05:e4m3:f32",
     "FP8 on Blackwell's unit; tiles and order of sums are assumed", PvAccumulation::kOneLevel, 0,
     false, true},
};

constexpr std::pair<PvAccumulation, const char*> kAccumulations[] = {
    {PvAccumulation::kOneLevel, "one-level"},
    {PvAccumulation::kPerTile, "per-tile"},
    {PvAccumulation::kEveryNTiles, "every-n"},
    {PvAccumulation::kExact, "exact"},
};

constexpr std::pair<sim::Exp2Model, const char*> kExp2Models[] = {
    {sim::Exp2Model::kCorrectlyRounded, "correctly-rounded"},
    {sim::Exp2Model::kPolynomial, "polynomial"},
    {sim::Exp2Model::kTable, "table"},
};

template <class Table>
std::string Names(const Table& table) {
  std::string names;
  for (const auto& [value, name] : table) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

const char* Exp2Name(sim::Exp2Model model) {
  for (const auto& [value, name] : kExp2Models) {
    if (value == model) return name;
  }
  return "?";
}

const char* PName(sim::PFormat p) {
  switch (p) {
    case sim::PFormat::kE4M3: return "float8_e4m3fn";
    case sim::PFormat::kBF16: return "bfloat16";
    case sim::PFormat::kNone: return "float32";
  }
  return "?";
}

}  // namespace

const AttentionPreset& FindAttentionPreset(std::string_view name) {
  const std::string wanted = LowerCase(name);
  for (const AttentionPreset& preset : kPresets) {
    if (wanted == preset.name) return preset;
  }
  const std::vector<std::string> known = AttentionPresetNames();
  std::string hint = DidYouMean(name, known);
  if (hint.empty()) hint = fmt::format("; known: {}", fmt::join(known, ", "));
  throw std::invalid_argument(fmt::format("unknown preset '{}'{}", name, hint));
}

std::vector<std::string> AttentionPresetNames() {
  std::vector<std::string> names;
  for (const AttentionPreset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

sim::PvAccumulation FindAccumulation(std::string_view name) {
  for (const auto& [value, known] : kAccumulations) {
    if (LowerCase(name) == known) return value;
  }
  throw std::invalid_argument(
      fmt::format("unknown accumulation '{}'; known: {}", name, Names(kAccumulations)));
}

std::string_view AccumulationName(PvAccumulation accumulation) {
  for (const auto& [value, name] : kAccumulations) {
    if (value == accumulation) return name;
  }
  return "?";
}

sim::Exp2Model FindExp2(std::string_view name) {
  for (const auto& [value, known] : kExp2Models) {
    if (LowerCase(name) == known && value != sim::Exp2Model::kTable) return value;
  }
  throw std::invalid_argument(
      fmt::format("unknown exp2 model '{}'; known: correctly-rounded, polynomial", name));
}

std::string RecipeText(const sim::AttentionRecipe& r) {
  std::string text =
      fmt::format("tiles of {} rows x {} keys, {}; P V {}", r.block_m, r.block_n,
                  r.order == sim::TileOrder::kLastToFirst ? "last to first" : "first to last",
                  AccumulationName(r.accumulation));
  if (r.accumulation == PvAccumulation::kEveryNTiles) text += fmt::format(" (n = {})", r.interval);
  text += fmt::format("; P in {}, offset {}; exp2 {}{}; scale {}", PName(r.p_format),
                      Decimal(r.max_offset), Exp2Name(r.exp2),
                      r.ftz ? ", FP32 subnormals flushed" : "", Decimal(r.softmax_scale));
  if (r.causal) text += "; causal";
  if (r.window_left >= 0 || r.window_right >= 0)
    text += fmt::format("; window {} to {}", r.window_left, r.window_right);
  if (r.softcap > 0) text += fmt::format("; softcap {}", Decimal(r.softcap));
  text += fmt::format("; {} split{}", r.num_splits, r.num_splits == 1 ? "" : "s");
  return text + fmt::format("; output {}", NamesOf(r.output).name);
}

Json RecipeJson(const sim::AttentionRecipe& r) {
  const sim::FmaSites& f = r.fma;
  return {{"head_dim", r.head_dim},
          {"block_m", r.block_m},
          {"block_n", r.block_n},
          {"order", r.order == sim::TileOrder::kLastToFirst ? "last_to_first" : "first_to_last"},
          {"accumulation", AccumulationName(r.accumulation)},
          {"interval", r.interval},
          {"overlap", r.overlap},
          {"p_format", PName(r.p_format)},
          {"max_offset", r.max_offset},
          {"exp2", Exp2Name(r.exp2)},
          {"ftz", r.ftz},
          {"fma",
           {{"max_scaled", f.max_scaled},
            {"p_argument", f.p_argument},
            {"sink", f.sink},
            {"lse", f.lse},
            {"interval_merge", f.interval_merge},
            {"combine", f.combine},
            {"combine_lse", f.combine_lse},
            {"rescale_add", f.rescale_add}}},
          {"softmax_scale", r.softmax_scale},
          {"causal", r.causal},
          {"window_left", r.window_left},
          {"window_right", r.window_right},
          {"softcap", r.softcap},
          {"num_splits", r.num_splits},
          {"output", NamesOf(r.output).name}};
}

}  // namespace lostbits::cli
