#include "cli/compare_attention.h"

#include <omp.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "cli/attention_choices.h"
#include "cli/attention_preset.h"
#include "cli/encode_tensor.h"
#include "registry.h"
#include "sim/compare_attention.h"

namespace lostbits::cli {
namespace {

using sim::AttentionComparison;
using sim::AttentionFeature;
using sim::AttentionRecipe;
using sim::ComparedAttention;

constexpr int64_t kHeads = 8, kHeadDim = 128;
/// Every length up to here is tried, to find the first at which the two part.
constexpr int64_t kEveryLength = 512;

/// One side: "preset" or "preset@decode,splits=4".
struct Side {
  std::string name;
  const AttentionPreset* preset;
  Machine machine;
  AttentionRecipe recipe;
};

int Count(const std::string& setting, std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > 256)
    throw std::invalid_argument(fmt::format("{}: expected a whole number from 1 to 256", setting));
  return value;
}

Side ParseSide(const std::string& text) {
  const size_t at = text.find('@');
  const AttentionPreset& preset = FindAttentionPreset(text.substr(0, at));
  sim::FlashAttention3Options o;
  o.head_dim = kHeadDim;
  o.bf16 = preset.bf16;
  o.accumulation = preset.accumulation;
  o.interval = preset.interval;
  int splits = 1, block_n = 0;
  for (const std::string& setting : Split(at == text.npos ? "" : text.substr(at + 1), ",")) {
    if (setting == "decode") {
      o.decode = true;
    } else if (setting.starts_with("splits=")) {
      splits = Count(setting, std::string_view(setting).substr(7));
    } else if (setting.starts_with("block_n=")) {
      block_n = Count(setting, std::string_view(setting).substr(8));
    } else if (setting != "prefill") {
      throw std::invalid_argument(fmt::format(
          "{}: unknown setting '{}'; known: decode, prefill, splits=N, block_n=N", text, setting));
    }
  }
  if (preset.blackwell && o.decode)
    throw std::invalid_argument(
        fmt::format("{}: {} has no decode kernel of its own", text, preset.name));
  AttentionRecipe r =
      preset.blackwell ? sim::BlackwellFp8Recipe(kHeadDim) : sim::FlashAttention3Recipe(o);
  r.num_splits = splits;
  if (block_n != 0) r.block_n = block_n;
  return {text, &preset, FindMachine(preset.machine), r};
}

/// What a feature is called: in JSON, where the names are stable, and in text.
struct FeatureNames {
  AttentionFeature feature;
  const char* id;
  const char* text;
};
constexpr FeatureNames kFeatures[] = {
    {AttentionFeature::kUnits, "units", "matrix units"},
    {AttentionFeature::kTile, "tile", "tile"},
    {AttentionFeature::kAccumulation, "accumulation", "accumulation"},
    {AttentionFeature::kSplits, "splits", "splits"},
    {AttentionFeature::kOrder, "tile_order", "tile order"},
};
const FeatureNames& Find(AttentionFeature feature) {
  for (const FeatureNames& names : kFeatures) {
    if (names.feature == feature) return names;
  }
  throw std::logic_error("a feature without a name");
}
const char* FeatureName(AttentionFeature feature) { return Find(feature).text; }

std::string FeatureValue(const Side& side, AttentionFeature feature) {
  const AttentionRecipe& r = side.recipe;
  switch (feature) {
    case AttentionFeature::kUnits:
      return fmt::format("{}:{}", side.machine.row->instruction, side.machine.row->in);
    case AttentionFeature::kTile: return fmt::format("{} x {}", r.block_m, r.block_n);
    case AttentionFeature::kAccumulation:
      return r.interval ? fmt::format("{} (n = {})", AccumulationName(r.accumulation), r.interval)
                        : std::string(AccumulationName(r.accumulation));
    case AttentionFeature::kSplits: return fmt::to_string(r.num_splits);
    case AttentionFeature::kOrder:
      return r.order == sim::TileOrder::kLastToFirst ? "last to first" : "first to last";
  }
  return "?";
}

std::string Verdict(const AttentionComparison& last, int64_t first) {
  if (first == 0) return "The two agree on every length tried.";
  std::vector<std::string> alone;
  for (const sim::AttentionAttribution& f : last.features) {
    if (f.a_becomes_b == last.different || f.b_becomes_a == last.different)
      alone.emplace_back(FeatureName(f.feature));
  }
  const std::string why = last.different == 0 ? "no difference at the longest length"
                          : alone.empty()     ? "no feature explains it alone"
                                          : fmt::format("explained by: {}", fmt::join(alone, "; "));
  return fmt::format("They first part at {} keys; {}.", first, why);
}

std::string ComparisonText(const Side (&side)[2], Draw draw,
                           const std::vector<AttentionComparison>& rows, int64_t first,
                           int64_t every, int width) {
  std::string text;
  for (int i = 0; i < 2; ++i)
    text += fmt::format("{}        {}\n", "AB"[i],
                        Wrap(fmt::format("{}: {}", side[i].name, RecipeText(side[i].recipe)),
                             width - 9, std::string(9, ' ')));
  text += fmt::format("inputs   {} heads of {}, one query that sees every key; Q, K, V {}\n\n",
                      kHeads, kHeadDim, draw == Draw::kNormal ? "normal" : "wide");
  Table table;
  table.AddColumn("keys", Table::kRight);
  table.AddColumn("outputs that differ", Table::kRight);
  table.AddColumn("largest difference", Table::kRight);
  table.AddColumn("largest |output|", Table::kRight);
  for (const AttentionComparison& c : rows)
    table.AddRow({fmt::to_string(c.keys), Share(c.different, c.outputs),
                  fmt::format("{:.3g}", c.max_absolute), fmt::format("{:.3g}", c.max_value)});
  text += table.Text(width);
  const AttentionComparison& last = rows.back();
  if (!last.features.empty()) {
    Table features;
    features.AddColumn("\nfeature");
    features.AddColumn("A");
    features.AddColumn("B");
    features.AddColumn("A with B's", Table::kRight);
    features.AddColumn("B with A's", Table::kRight);
    for (const sim::AttentionAttribution& f : last.features)
      features.AddRow({FeatureName(f.feature), FeatureValue(side[0], f.feature),
                       FeatureValue(side[1], f.feature), Share(f.a_becomes_b, last.different),
                       Share(f.b_becomes_a, last.different)});
    text +=
        fmt::format("{}{}\n", features.Text(width),
                    Wrap("A with B's: share of the differing outputs that then equal B's", width));
  }
  text += fmt::format("{}\n",
                      Wrap(fmt::format("{} Lengths tried: each up to {}, and those of the table.",
                                       Verdict(last, first), every),
                           width));
  return text;
}

Json ComparisonJson(const Side (&side)[2], const std::vector<AttentionComparison>& rows,
                    int64_t first) {
  Json sides = Json::array(), lengths = Json::array(), features = Json::array();
  for (const Side& s : side) {
    Json json = EvidenceJson(s.machine);
    json["preset"] = s.name;
    json["recipe"] = RecipeJson(s.recipe);
    sides.push_back(json);
  }
  for (const AttentionComparison& c : rows)
    lengths.push_back({{"keys", c.keys},
                       {"outputs", c.outputs},
                       {"different", c.different},
                       {"max_absolute", NumberJson(c.max_absolute)},
                       {"max_output", NumberJson(c.max_value)}});
  for (const sim::AttentionAttribution& f : rows.back().features)
    features.push_back({{"feature", Find(f.feature).id},
                        {"a", FeatureValue(side[0], f.feature)},
                        {"b", FeatureValue(side[1], f.feature)},
                        {"a_becomes_b", f.a_becomes_b},
                        {"b_becomes_a", f.b_becomes_a}});
  return {{"sides", sides},
          {"first_difference_at_keys", first == 0 ? Json() : Json(first)},
          {"by_keys", lengths},
          {"features", features},
          {"verdict", Verdict(rows.back(), first)}};
}

}  // namespace

bool NamesAttention(const std::string& side) {
  const std::string name = LowerCase(side.substr(0, side.find('@')));
  for (const std::string& preset : AttentionPresetNames()) {
    if (name == preset) return true;
  }
  return false;
}

Report CompareAttentionPresets(const std::string& a, const std::string& b, Draw draw, int64_t keys,
                               const GlobalOptions& global, int width) {
  const Side side[2] = {ParseSide(a), ParseSide(b)};
  for (const Side& s : side) {
    CheckEvidence(s.machine, global);
    CheckPresetEvidence(*s.preset, global);
  }
  SharedOperand operand[3];
  ComparedAttention kernel[2];
  for (int i = 0; i < 3; ++i) {
    const int64_t rows = (i == 0 ? 1 : keys) * kHeads;
    operand[i] = ShareOperand(DrawMatrix(draw, rows, kHeadDim, 3 * global.seed + i),
                              side[0].recipe.qk.a, side[1].recipe.qk.a);
  }
  for (int i = 0; i < 2; ++i) {
    const auto view = [&](const SharedOperand& o, int64_t length) {
      const Tensor& t = i == 0 ? o.a : o.b;
      return sim::ContiguousHeads(t.data.data(), *t.format, 1, length, kHeads, kHeadDim);
    };
    kernel[i].recipe = side[i].recipe;
    kernel[i].in.q = view(operand[0], 1);
    kernel[i].in.k = view(operand[1], keys);
    kernel[i].in.v = view(operand[2], keys);
  }
  const int threads = omp_get_max_threads();
  int64_t first = 0;
  const int64_t every = std::min(keys, kEveryLength);
  {
    Progress progress("lengths", every);
    for (int64_t n = 1; n <= every && first == 0; ++n) {
      progress.Update(n);
      if (sim::CompareAttention(kernel[0], kernel[1], n, false, threads).different > 0) first = n;
    }
  }
  std::vector<AttentionComparison> rows;
  for (int64_t n = 64; n < keys; n *= 4) {
    rows.push_back(sim::CompareAttention(kernel[0], kernel[1], n, false, threads));
    if (first == 0 && rows.back().different > 0) first = n;
  }
  rows.push_back(sim::CompareAttention(kernel[0], kernel[1], keys, true, threads));
  if (first == 0 && rows.back().different > 0) first = keys;
  return {ComparisonJson(side, rows, first),
          ComparisonText(side, draw, rows, first, every, width),
          {side[0].machine, side[1].machine}};
}

}  // namespace lostbits::cli
