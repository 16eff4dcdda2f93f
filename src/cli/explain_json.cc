// An explanation for programs: every number exact, every bit as a character.
#include <algorithm>

#include "cli/explain.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::Fate;
using sim::Origin;
using sim::Step;

constexpr const char* Name(Fate fate) {
  switch (fate) {
    case Fate::kZero: return "zero";
    case Fate::kWhole: return "whole";
    case Fate::kCut: return "cut";
    case Fate::kGone: return "gone";
  }
  return "?";
}
constexpr const char* Name(Origin origin) {
  switch (origin) {
    case Origin::kProduct: return "product";
    case Origin::kBlock: return "block";
    case Origin::kAddend: return "accumulator";
    case Origin::kProducts: return "products";
    case Origin::kEven: return "even";
    case Origin::kOdd: return "odd";
    case Origin::kPartial: return "partial";
  }
  return "?";
}
constexpr const char* Name(Step::Kind kind) {
  switch (kind) {
    case Step::kSpecial: return "special";
    case Step::kFused: return "fused";
    case Step::kBlockSum: return "block_sum";
    case Step::kProducts: return "products";
    case Step::kMergedPairs: return "merged_pairs";
    case Step::kLateSum: return "late_sum";
    case Step::kExact: return "exact";
    case Step::kMultiply: return "multiply";
    case Step::kAdd: return "add";
  }
  return "?";
}

/// {"value": nearest double, "exact": "0x1B3p-12"}.
Json Number(const sim::ExactNumber& x) {
  return {{"value", NumberJson(x.Value())}, {"exact", x.Hex()}};
}

Json Word(const Explanation& e, uint64_t word) {
  return {{"word", WordText(e, word)}, {"value", NumberJson(CodeValue(e.spec().acc, word))}};
}

Json Codes(const fp8::Format& f, const std::vector<uint64_t>& codes) {
  Json list = Json::array();
  for (uint64_t code : codes) list.push_back(HexCode(code, StorageBits(f)));
  return list;
}

/// The digits of the magnitude from weight 2^top to 2^bottom.
std::string Digits(const sim::ExactNumber& x, int top, int bottom) {
  std::string digits;
  for (int i = top; i >= bottom && !x.IsZero(); --i) digits += x.Bit(i) ? '1' : '0';
  return digits;
}

Json Term(const Explanation& e, const sim::StepTrace& step, const sim::TermTrace& t) {
  Json json = {{"origin", Name(t.term.origin)}};
  if (t.k >= 0) json["k"] = t.k;
  if (t.term.origin == Origin::kProduct) {
    json["a"] = HexCode(e.codes.a[static_cast<size_t>(t.k)], StorageBits(e.spec().a));
    json["b"] = HexCode(e.codes.b[static_cast<size_t>(t.k)], StorageBits(e.spec().b));
  }
  json.update({{"fate", Name(t.fate)},
               {"negative", t.term.negative},
               {"value", NumberJson(t.exact.Value())},
               {"exact", t.exact.Hex()},
               {"lost", Number(t.lost)}});
  // A zero has no exponent: nothing of it is shifted.
  if (t.fate != Fate::kZero) json["exponent"] = t.term.exponent;
  if (!step.aligned) return json;
  const BitLoss bits = CountBits(t);
  const int bottom = t.term.exponent - t.term.fraction_bits;
  if (t.fate != Fate::kZero) json.update({{"shift", t.shift}, {"lsb", t.lsb}});
  json.update({{"kept", t.kept}, {"bits", bits.bits}, {"bits_cut", bits.cut}});
  // A strip of bits, the term's own: before the cut from 2^kept_top down to 2^lsb, behind it from
  // 2^dropped_top downward. A floored one counts as one unit of 2^lsb more than those before it.
  if (!t.exact.IsZero() && t.exact.Leading() >= t.lsb) {
    json["kept_top"] = t.exact.Leading();
    json["kept_bits"] = Digits(t.exact, t.exact.Leading(), t.lsb);
  }
  if (Floored(t)) json["floored"] = true;
  if (bits.cut > 0) {
    const int top = std::min(t.exact.Leading(), t.lsb - 1);
    json["dropped_top"] = top;
    json["dropped_bits"] = Digits(t.exact, top, bottom);
  }
  return json;
}

Json StepJson(const Explanation& e, const sim::StepTrace& step) {
  Json json = {{"kind", Name(step.kind)}};
  if (step.aligned) {
    if (step.e_max > sim::kNothing)  // something counts
      json.update({{"e_max", step.e_max},
                   {"set_by", step.setter < 0 ? Json("clamp") : Json(step.setter)},
                   {"lsb", step.lsb}});
    json["sum"] = step.sum;
  }
  if (!step.finite) {
    json["cause"] = CauseName(step.cause);
    Json sources = Json::array();
    for (const sim::SpecialInput& source : step.sources) {
      if (source.cause == step.cause && source.k >= 0 && !json.contains("k")) json["k"] = source.k;
      sources.push_back({{"cause", CauseName(source.cause)}});
      if (source.k >= 0) sources.back()["k"] = source.k;
    }
    if (!sources.empty()) json["sources"] = sources;
  }
  if (step.sources.empty()) json["before_rounding"] = Number(step.before);
  if (step.rounded) {
    json["format"] = PrecisionName(step.format);
    json["result"] = Word(e, step.word);
    if (step.finite && !step.before.IsZero()) {
      json["kept_bits"] = Digits(step.before, step.before.Leading(), step.last_kept);
      json["dropped_bits"] = Digits(
          step.before, std::min(step.before.Leading(), step.last_kept - 1), step.before.Trailing());
    }
    if (step.finite) json["lost_to_rounding"] = Number(step.lost_to_rounding);
  }
  json["lost_to_alignment"] = Number(step.lost_to_alignment);
  json["terms"] = Json::array();
  for (const sim::TermTrace& t : step.terms) json["terms"].push_back(Term(e, step, t));
  return json;
}

Json SummaryJson(const Explanation& e, const sim::InstructionSummary& s) {
  Json json = {{"first", s.first},
               {"count", s.count},
               {"before", WordText(e, s.word_in)},
               {"result", Word(e, s.word)},
               {"terms", s.terms},
               {"cut", s.cut},
               {"gone", s.gone},
               {"accumulators_cut", s.addends_cut},
               {"lost_to_alignment", NumberJson(s.lost_to_alignment)},
               {"lost_to_rounding", NumberJson(s.lost_to_rounding)}};
  if (s.promoted)
    json["promotion"] = {{"before", WordText(e, s.sum_in)},
                         {"result", Word(e, s.sum)},
                         {"lost", NumberJson(s.lost_to_promotion)}};
  return json;
}

}  // namespace

Json ExplanationJson(const Explanation& e) {
  const sim::AccumSpec& s = e.spec();
  const sim::ChainTrace& chain = e.chain;
  Json inputs = {
      {"a", Codes(s.a, e.codes.a)}, {"b", Codes(s.b, e.codes.b)}, {"c", Word(e, e.codes.c)}};
  if (s.block != 0) {
    inputs["scale_a"] = Codes(s.scale, e.codes.scale_a);
    inputs["scale_b"] = Codes(s.scale, e.codes.scale_b);
  }
  for (const IgnoredBits& x : FindIgnoredBits(e)) {
    const int bits = StorageBits(x.operand == 'a' ? s.a : s.b);
    inputs["ignored_bits"].push_back({{"operand", std::string(1, x.operand)},
                                      {"k", x.k},
                                      {"code", HexCode(x.code, bits)},
                                      {"counts_as", HexCode(x.counts_as, bits)}});
  }
  Json json = {{"k", s.k},
               {"group", s.group},
               {"fraction_bits", s.fraction_bits},
               {"promote", e.promote},
               {"inputs", inputs},
               {"returned", Word(e, chain.word)},
               {"finite", chain.finite},
               {"terms", chain.terms},
               {"cut", chain.cut},
               {"gone", chain.gone}};
  if (chain.finite) {
    json.update({{"exact", Number(chain.exact)},
                 {"lost_to_alignment", Number(chain.lost_to_alignment)},
                 {"lost_to_rounding", Number(chain.lost_to_rounding)},
                 {"lost_to_promotion", Number(chain.lost_to_promotion)}});
  }
  json["instructions"] = Json::array();
  for (const sim::InstructionSummary& one : chain.instructions)
    json["instructions"].push_back(SummaryJson(e, one));
  json["shown"] = Json::array();
  for (int64_t index : e.shown) {
    Json steps = Json::array();
    for (const sim::StepTrace& step : e.Instruction(index).steps)
      steps.push_back(StepJson(e, step));
    json["shown"].push_back({{"instruction", index + 1}, {"steps", steps}});
  }
  return json;
}

}  // namespace lostbits::cli
