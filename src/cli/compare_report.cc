#include "cli/compare_report.h"

#include <stdexcept>

#include "cli/machine_text.h"
#include "fp8/codec.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::Feature;
using sim::GemmRecipe;
using sim::KernelComparison;

/// How a unit adds, with what only its flow has.
/// The flow, with the numbers that only a late c has.
std::string FlowText(const sim::AccumSpec& s) {
  if (!sim::AddsCLate(s.flow)) return FlowWords(s);
  return fmt::format("{} ({} bits{})", FlowWords(s), s.sum_bits,
                     s.final_bits ? fmt::format(", {}", s.final_bits) : "");
}

/// What a feature is called: in JSON, where the names are stable, and in text.
struct FeatureNames {
  Feature feature;
  const char* id;
  const char* text;
};
constexpr FeatureNames kFeatures[] = {
    {Feature::kOperands, "operands", "operands"},
    {Feature::kFlow, "flow", "way of adding"},
    {Feature::kGroup, "group", "group L of k"},
    {Feature::kFraction, "fraction_bits", "bits F kept"},
    {Feature::kResult, "result", "group's rounding"},
    {Feature::kClamp, "e_zero", "clamp e_zero"},
    {Feature::kUnderflow, "underflow", "underflow's sign"},
    {Feature::kPromotion, "promotion", "promotion"},
    {Feature::kSplitK, "split_k", "split-K"},
    {Feature::kOutput, "output", "output format"},
};
const FeatureNames& Find(Feature feature) {
  for (const FeatureNames& names : kFeatures) {
    if (names.feature == feature) return names;
  }
  throw std::logic_error("a feature without a name");
}
const char* FeatureName(Feature feature) { return Find(feature).text; }

std::string FeatureValue(const GemmRecipe& r, Feature feature) {
  const sim::AccumSpec& s = r.unit;
  switch (feature) {
    case Feature::kOperands: return fmt::format("{}.{}", NamesOf(s.a).brief, NamesOf(s.b).brief);
    case Feature::kFlow: return FlowText(s);
    case Feature::kGroup: return fmt::format("{} of {}", s.group, s.k);
    case Feature::kFraction: return fmt::to_string(s.fraction_bits);
    case Feature::kResult: return ResultText(s);
    case Feature::kClamp: return fmt::to_string(s.e_zero);
    case Feature::kUnderflow: return s.signed_underflow ? "kept" : "+0";
    case Feature::kPromotion:
      return r.promote_every ? fmt::format("every {} k", r.promote_every * s.k) : "never";
    case Feature::kSplitK: return fmt::format("{} ({})", r.split_k, NamesOf(r.partial).brief);
    case Feature::kOutput: return NamesOf(r.output).name;
  }
  return "?";
}

/// What the moves of single features say.
std::string Verdict(const KernelComparison& c) {
  if (c.different == 0)
    return c.features.empty() ? "The two are one function."
                              : "On these inputs no feature in which the two differ shows.";
  std::vector<std::string> alone;
  const char* most = "";
  double least_left = 1;
  for (const sim::Attribution& f : c.features) {
    bool all = false;
    for (const std::optional<sim::Move>& move : {f.a_to_b, f.b_to_a}) {
      if (!move) continue;
      all = all || move->equal == c.different;
      if (move->rms_left < least_left) {
        least_left = move->rms_left;
        most = FeatureName(f.feature);
      }
    }
    if (all) alone.emplace_back(FeatureName(f.feature));
  }
  if (alone.size() == 1) return fmt::format("Explained by one feature: {}.", alone[0]);
  if (!alone.empty()) return fmt::format("Each explains it alone: {}.", fmt::join(alone, "; "));
  std::string verdict = "No feature explains every bit alone";
  if (c.pair)
    verdict += fmt::format("; two do together: {} and {}", FeatureName(c.pair->first),
                           FeatureName(c.pair->second));
  // What leaves most of the difference explains nothing.
  if (least_left > 0.9) return verdict + ".";
  return fmt::format("{}. The most: {} ({:.0f} % of the difference is left).", verdict, most,
                     100 * least_left);
}

Json ComparisonJson(const KernelComparison& c) {
  return {{"outputs", c.outputs},
          {"different", c.different},
          {"specials", c.specials},
          {"max_ulp", NumberJson(c.max_ulp)},
          {"ulp_format", PrecisionName(c.ulp_format)},
          {"first", c.row < 0 ? Json() : Json{c.row, c.col}},
          {"worst", c.worst_row < 0 ? Json() : Json{c.worst_row, c.worst_col}}};
}

Json MoveJson(const std::optional<sim::Move>& move) {
  if (!move) return nullptr;
  return {{"equal", move->equal}, {"rms_left", NumberJson(move->rms_left)}};
}

std::string WordText(const ComparisonReport& r, int side, int64_t row, int64_t col) {
  const fp8::Format f = r.kernel[side].recipe.output;
  const uint32_t word = r.words[side][static_cast<size_t>(row * r.n + col)];
  return fmt::format("{} = {}", HexCode(word, StorageBits(f)), Decimal(fp8::Decode(f, word)));
}

std::string SideName(const ComparisonReport& r, int side) {
  const GemmRecipe& recipe = r.kernel[side].recipe;
  std::string name = r.machine[side].name;
  for (Feature feature : {Feature::kPromotion, Feature::kSplitK}) {
    const bool plain =
        feature == Feature::kPromotion ? recipe.promote_every == 0 : recipe.split_k == 1;
    if (!plain) name += fmt::format(", {} {}", FeatureName(feature), FeatureValue(recipe, feature));
  }
  return name;
}

}  // namespace

Json ReportJson(const ComparisonReport& r) {
  Json sides = Json::array(), features = Json::array(), growth = Json::array();
  for (int i = 0; i < 2; ++i) {
    Json side = EvidenceJson(r.machine[i]);
    side["promote_every"] = r.kernel[i].recipe.promote_every;
    side["split_k"] = r.kernel[i].recipe.split_k;
    side["sqnr_db"] = NumberJson(r.error[i].sqnr_db);
    side["max_ulp_from_exact"] = NumberJson(r.error[i].max_ulp);
    side["explain"] = r.explain[i];
    sides.push_back(side);
  }
  for (const sim::Attribution& f : r.result.features)
    features.push_back({{"feature", Find(f.feature).id},
                        {"a", FeatureValue(r.kernel[0].recipe, f.feature)},
                        {"b", FeatureValue(r.kernel[1].recipe, f.feature)},
                        {"a_with_b", MoveJson(f.a_to_b)},
                        {"b_with_a", MoveJson(f.b_to_a)}});
  for (const Growth& g : r.growth) {
    Json row = ComparisonJson(g.result);
    row["k"] = g.k;
    growth.push_back(row);
  }
  Json body = {{"sides", sides},
               {"k", r.k},
               {"operands",
                {{"a", r.a.from},
                 {"b", r.b.from},
                 {"changed_between_formats", r.a.changed + r.b.changed},
                 {"saturated", r.a.saturated + r.b.saturated}}}};
  body.update(ComparisonJson(r.result));
  body["first_difference_after_products"] = r.first_k == 0 ? Json() : Json(r.first_k);
  body["features"] = features;
  body["by_k"] = growth;
  body["pair"] =
      !r.result.pair ? Json() : Json{Find(r.result.pair->first).id, Find(r.result.pair->second).id};
  body["verdict"] = Verdict(r.result);
  return body;
}

std::string ReportText(const ComparisonReport& r, int width) {
  std::string text;
  for (int i = 0; i < 2; ++i)
    text +=
        fmt::format("{}        {}\n         SQNR {:.1f} dB, at most {:.3g} ulp of {} from exact\n",
                    "AB"[i], SideName(r, i), r.error[i].sqnr_db, r.error[i].max_ulp,
                    PrecisionName(sim::ResultFormat(r.kernel[i].recipe)));
  const int64_t changed = r.a.changed + r.b.changed;
  const int64_t saturated = r.a.saturated + r.b.saturated;
  text += fmt::format(
      "inputs   {}\n\n",
      Wrap(fmt::format("a: {}; b: {}; {}{}", r.a.from, r.b.from,
                       changed == 0 ? "the same numbers on both sides"
                                    : fmt::format("{} of them differ between the formats", changed),
                       saturated == 0 ? "" : fmt::format("; {} saturated", saturated)),
           width - 9, std::string(9, ' ')));
  const KernelComparison& c = r.result;
  text += fmt::format(
      "{} of {} outputs differ ({}){}\n", c.different, c.outputs, Share(c.different, c.outputs),
      c.specials ? fmt::format(", {} of them NaN or Inf on a side", c.specials) : "");
  if (c.different > 0) {
    text += fmt::format("  first  [{}, {}]: A {}, B {}\n", c.row, c.col,
                        WordText(r, 0, c.row, c.col), WordText(r, 1, c.row, c.col));
    if (r.first_k > 0)
      text += fmt::format("         there the two first differ after {} of {} products\n",
                          r.first_k, r.k);
    if (c.worst_row >= 0)
      text += fmt::format("  worst  [{}, {}]: A {}, B {}\n         {:.3g} ulp of {} apart\n",
                          c.worst_row, c.worst_col, WordText(r, 0, c.worst_row, c.worst_col),
                          WordText(r, 1, c.worst_row, c.worst_col), c.max_ulp,
                          PrecisionName(c.ulp_format));
  }
  if (!r.growth.empty()) {
    Table table;
    table.AddColumn("\n  products", Table::kRight);
    table.AddColumn("differ", Table::kRight);
    table.AddColumn(fmt::format("max ulp of {}", PrecisionName(c.ulp_format)), Table::kRight);
    const auto add = [&](int64_t k, const KernelComparison& g) {
      table.AddRow(
          {fmt::to_string(k), Share(g.different, g.outputs), fmt::format("{:.3g}", g.max_ulp)});
    };
    for (const Growth& g : r.growth) add(g.k, g.result);
    add(r.k, c);
    text += table.Text(width);
  }
  if (!c.features.empty()) {
    Table table;
    table.AddColumn("\nfeature");
    table.AddColumn("A");
    table.AddColumn("B");
    table.AddColumn("A with B's", Table::kRight);
    table.AddColumn("B with A's", Table::kRight);
    const auto share = [&](const std::optional<sim::Move>& move) {
      if (c.different == 0) return std::string("-");
      return move ? fmt::format("{:.1f} / {:.0f} %", Percent(move->equal, c.different),
                                100 * move->rms_left)
                  : std::string("no machine");
    };
    for (const sim::Attribution& f : c.features)
      table.AddRow({FeatureName(f.feature), FeatureValue(r.kernel[0].recipe, f.feature),
                    FeatureValue(r.kernel[1].recipe, f.feature), share(f.a_to_b), share(f.b_to_a)});
    text += fmt::format(
        "{}{}\n", table.Text(width),
        Wrap("A with B's: share of the differing outputs that then equal B's / share of the "
             "difference (rms) that is left",
             width));
  }
  text += fmt::format("{}\n", Wrap(Verdict(c), width));
  if (!r.explain[0].empty() && !r.explain[1].empty())
    text += fmt::format("\nThe instruction where the first one parts, explained:\n  {}\n  {}\n",
                        r.explain[0], r.explain[1]);
  return text;
}

}  // namespace lostbits::cli
