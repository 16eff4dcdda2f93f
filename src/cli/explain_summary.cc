// What went in, a long chain at a glance, and where the bits went.
#include <algorithm>
#include <cmath>
#include <set>

#include "cli/explain.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::Fate;

std::string Values(const fp8::Format& f, const std::vector<uint64_t>& codes) {
  constexpr size_t kShown = 8;
  std::vector<std::string> values;
  for (size_t i = 0; i < std::min(codes.size(), kShown); ++i)
    values.push_back(Short(CodeValue(f, codes[i])));
  if (codes.size() > kShown) values.push_back(fmt::format("... ({} in all)", codes.size()));
  return fmt::format("{}", fmt::join(values, ", "));
}

std::string Count(int64_t n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

double Lost(const sim::InstructionSummary& s) {
  return s.lost_to_alignment + s.lost_to_rounding + s.lost_to_promotion;
}

/// The largest term of each kind of loss in words, worst first.
std::vector<std::string> TermSentences(const Explanation& e, int64_t index) {
  struct Loss {
    double lost;
    std::string text;
  };
  const sim::InstructionTrace one = e.Instruction(index);
  std::vector<Loss> losses;
  for (size_t i = 0; i < one.steps.size(); ++i) {
    const sim::StepTrace& step = one.steps[i];
    for (const sim::TermTrace& t : step.terms) {
      if (t.lost.IsZero()) continue;
      const std::string addend = AddendName(e, index, one.steps, i);
      const std::string name = TermLabel(t, addend);
      const BitLoss bits = CountBits(t);
      std::string text;
      if (!step.aligned) {
        text = fmt::format("{} was subnormal and flushed to zero", name);
      } else {
        text = t.fate == Fate::kGone
                   ? fmt::format("{} was cut to nothing ({})", name, LossText(t))
                   : fmt::format("{} lost {} of its {} bits", name, bits.cut, bits.bits);
        const int below = step.e_max - t.term.exponent;
        if (below > 0) text += fmt::format(": its exponent lies {} below the largest", below);
        if (Floored(t)) text += "; the cut of a negative number made it more negative";
      }
      losses.push_back(
          {std::fabs(t.lost.Value()), text + fmt::format(" ({})", Short(t.lost.Value()))});
    }
  }
  std::stable_sort(losses.begin(), losses.end(),
                   [](const Loss& x, const Loss& y) { return x.lost > y.lost; });
  constexpr size_t kShown = 6;
  std::vector<std::string> sentences;
  for (size_t i = 0; i < std::min(losses.size(), kShown); ++i) sentences.push_back(losses[i].text);
  if (losses.size() > kShown)
    sentences.push_back(fmt::format("{} more lost at most as much", losses.size() - kShown));
  return sentences;
}

/// Rows of the chain's table: the first, the last, and those that lost most.
std::set<size_t> Chosen(const sim::ChainTrace& chain) {
  const size_t n = chain.instructions.size();
  std::set<size_t> chosen;
  constexpr size_t kAll = 16, kFirst = 3, kLast = 2, kWorst = 6;
  for (size_t i = 0; i < n; ++i) {
    if (n <= kAll || i < kFirst || i >= n - kLast) chosen.insert(i);
  }
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) {
    return std::fabs(Lost(chain.instructions[x])) > std::fabs(Lost(chain.instructions[y]));
  });
  for (size_t i = 0; i < std::min(n, kWorst); ++i) {
    if (Lost(chain.instructions[order[i]]) != 0) chosen.insert(order[i]);
  }
  return chosen;
}

/// "the unit ignores the low 13 bits of a tf32 register: k = 0: a 3F801FFF counts as 3F800000".
std::string IgnoredText(const Explanation& e) {
  constexpr size_t kShown = 4;
  const std::vector<IgnoredBits> found = FindIgnoredBits(e);
  if (found.empty()) return "";
  const auto format = [&](char operand) { return operand == 'a' ? e.spec().a : e.spec().b; };
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::min(found.size(), kShown); ++i) {
    const IgnoredBits& x = found[i];
    texts.push_back(fmt::format("k = {}: {} {} counts as {}", x.k, x.operand,
                                CodeDigits(x.code, format(x.operand)),
                                CodeDigits(x.counts_as, format(x.operand))));
  }
  if (found.size() > kShown) texts.push_back(fmt::format("... ({} in all)", found.size()));
  const fp8::Format f = format(found.front().operand);
  return fmt::format(
      "the unit ignores the low {} bits of a {} register: {}; values and losses below are those of "
      "what counts",
      f.pad, NamesOf(f).brief, fmt::join(texts, ", "));
}

/// The weight of the last place of the word that came back, in what it was rounded to.
double UlpOf(const fp8::Format& acc, const fp8::Format& out, uint64_t word) {
  const fp8::Unpacked x = fp8::Unpack(acc, word);
  const int lowest = fp8::MinExponent(out);
  const int leading = x.significand == 0 ? lowest : std::max(lowest, sim::ExactNumber(x).Leading());
  return std::ldexp(1.0, leading - out.mantissa_bits);
}

}  // namespace

std::string InputText(const Explanation& e, int width) {
  const sim::AccumSpec& s = e.spec();
  std::string text;
  const auto line = [&](const char* what, const std::string& value) {
    text += fmt::format("  {:<9}{}\n", what, Wrap(value, width - 11, std::string(11, ' ')));
  };
  const int64_t n = e.operands.View().n, count = static_cast<int64_t>(e.chain.instructions.size());
  const std::string groups =
      s.k == s.group ? "" : fmt::format(", {} groups of {}", s.k / s.group, s.group);
  const std::string promotion =
      e.promote == 0 ? "" : fmt::format(", promoted to FP32 every {}", e.promote);
  text += Wrap(fmt::format("{}: {} in {} of {}{}{}", e.machine.name, Count(n, "product"),
                           Count(count, "instruction"), s.k, groups, promotion),
               width) +
          '\n';
  line("a", fmt::format("{} ({})", Values(s.a, e.codes.a), NamesOf(s.a).brief));
  line("b", fmt::format("{} ({})", Values(s.b, e.codes.b), NamesOf(s.b).brief));
  line("c", fmt::format("{} = {}", WordText(e, e.codes.c), Short(CodeValue(s.acc, e.codes.c), 9)));
  if (s.block != 0) {
    const uint64_t sign = fp8::SignMask(s.scale);
    const auto scales = [&](std::vector<uint64_t> codes) {
      for (uint64_t& code : codes) code &= ~sign;
      return fmt::format("{} (one every {})", Values(s.scale, codes), s.block);
    };
    line("scales a", scales(e.codes.scale_a));
    line("scales b", scales(e.codes.scale_b));
  }
  const std::string ignored = IgnoredText(e);
  if (!ignored.empty()) line("", ignored);
  return text;
}

int64_t WorstInstruction(const sim::ChainTrace& chain) {
  const auto worst = std::max_element(
      chain.instructions.begin(), chain.instructions.end(),
      [](const auto& x, const auto& y) { return std::fabs(Lost(x)) < std::fabs(Lost(y)); });
  return worst - chain.instructions.begin();
}

std::string ChainText(const Explanation& e, int width) {
  const sim::ChainTrace& chain = e.chain;
  Table table;
  table.AddColumn("  instr", Table::kRight);
  table.AddColumn("from k", Table::kRight);
  table.AddColumn("accumulator", Table::kOptional);
  table.AddColumn("value", Table::kRight);
  if (e.promote > 0) table.AddColumn("FP32 sum", Table::kRight);
  table.AddColumn("terms", Table::kRight);
  table.AddColumn("cut", Table::kRight);
  table.AddColumn("gone", Table::kRight);
  table.AddColumn("lost: align", Table::kRight);
  table.AddColumn("rounding", Table::kRight);
  if (e.promote > 0) table.AddColumn("promotion", Table::kRight | Table::kOptional);
  size_t next = 0;
  for (size_t i : Chosen(chain)) {
    if (i != next) {
      std::vector<std::string> gap(e.promote > 0 ? 11 : 9);
      gap[0] = "  ...";
      table.AddRow(gap);
    }
    next = i + 1;
    const sim::InstructionSummary& s = chain.instructions[i];
    std::vector<std::string> row = {fmt::format("  {}", i + 1), fmt::to_string(s.first),
                                    WordText(e, s.word), Short(CodeValue(e.spec().acc, s.word))};
    if (e.promote > 0) row.push_back(s.promoted ? Short(CodeValue(fp8::kFP32, s.sum)) : "");
    for (int n : {s.terms, s.cut, s.gone}) row.push_back(fmt::to_string(n));
    row.push_back(Short(s.lost_to_alignment, 4));
    row.push_back(Short(s.lost_to_rounding, 4));
    if (e.promote > 0) row.push_back(s.promoted ? Short(s.lost_to_promotion, 4) : "");
    table.AddRow(row);
  }
  std::string note = fmt::format(
      "terms: nonzero {}; cut: those that lost bits; gone: those of which nothing was left. One "
      "instruction in full: --step N",
      e.spec().flow == sim::Flow::kBlockDot ? "blocks" : "products");
  const int64_t worst = WorstInstruction(chain);
  if (Lost(chain.instructions[static_cast<size_t>(worst)]) != 0)
    note += fmt::format(", --step worst (here {})", worst + 1);
  return table.Text(width) + '\n' + Wrap(note + '.', width) + '\n';
}

std::string SummaryText(const Explanation& e, int width) {
  const sim::ChainTrace& chain = e.chain;
  const double value = CodeValue(e.spec().acc, chain.word);
  std::string text = "Where the bits went\n";
  const auto line = [&](const std::string& what, const std::string& s) {
    text += fmt::format("  {:<10}{}\n", what, Wrap(s, width - 12, std::string(12, ' ')));
  };
  const std::string returned = fmt::format("{} = {}", WordText(e, chain.word), Short(value, 17));
  if (!chain.finite) {
    line("returned", returned);
    const std::string cause = FirstCause(e);
    line("cause", cause.empty() ? "an Inf or a NaN was among the operands" : cause);
    line("", "nothing to account for");
    return text;
  }
  const sim::ExactNumber lost =
      chain.lost_to_alignment + chain.lost_to_rounding + chain.lost_to_promotion;
  line("exact", Short(chain.exact.Value(), 17));
  line("returned", returned);
  if (lost.IsZero()) {
    const bool nothing = chain.lost_to_alignment.IsZero() && chain.cut == 0;
    line("lost", nothing ? "nothing" : "nothing in all: what was cut cancels out");
  } else {
    const fp8::Format out = e.promote > 0 ? fp8::kFP32 : e.spec().out;
    const double error = -lost.Value();
    std::string ulps = fmt::format(
        "{} ulp of {}", Short(error / UlpOf(e.spec().acc, out, chain.word), 4), PrecisionName(out));
    if (out != e.spec().acc)
      ulps +=
          fmt::format(", {} of {}", Short(error / UlpOf(e.spec().acc, e.spec().acc, chain.word), 4),
                      PrecisionName(e.spec().acc));
    line("error", fmt::format("{} = {}", Short(error, 9), ulps));
    line("lost",
         fmt::format("{} in all: {} cut from terms, {} rounded off sums{}", Short(lost.Value(), 9),
                     Short(chain.lost_to_alignment.Value()), Short(chain.lost_to_rounding.Value()),
                     e.promote == 0 ? ""
                                    : fmt::format(", {} rounded off promotions",
                                                  Short(chain.lost_to_promotion.Value()))));
  }
  const char* what = e.spec().flow == sim::Flow::kBlockDot ? "block" : "product";
  text += '\n';
  const auto say = [&](const std::string& s) {
    text += "  - " + Wrap(s, width - 4, "    ") + '\n';
  };
  if (chain.cut > 0)
    say(fmt::format("{} of {} lost bits; {} cut to nothing", chain.cut,
                    Count(chain.terms, (std::string("nonzero ") + what).c_str()),
                    chain.gone == 0   ? "none was"
                    : chain.gone == 1 ? "1 was"
                                      : fmt::format("{} were", chain.gone)));
  else if (e.spec().flow == sim::Flow::kExact || e.spec().flow == sim::Flow::kTree)
    say("Nothing is aligned, so nothing is cut before it is added: only roundings take bits");
  else
    say(fmt::format("No {} lost a bit before it was added", what));
  const bool long_chain = chain.instructions.size() > 1;
  if (long_chain) {
    for (size_t i = 0; i < chain.instructions.size(); ++i) {
      const sim::InstructionSummary& s = chain.instructions[i];
      if (s.gone == 0) continue;
      say(fmt::format("The first {} cut to nothing is in instruction {}, which starts from {}",
                      what, i + 1, Short(CodeValue(e.spec().acc, s.word_in), 9)));
      break;
    }
    int64_t addends = 0;
    for (const auto& s : chain.instructions) addends += s.addends_cut > 0;
    if (addends > 0)
      say(fmt::format("The accumulator itself lost bits in {}", Count(addends, "instruction")));
    int64_t rounding = 0;
    for (const auto& s : chain.instructions) rounding += s.lost_to_rounding != 0;
    if (rounding > 0)
      say(fmt::format("Rounding sums changed the result by {} in all, over {}",
                      Short(-chain.lost_to_rounding.Value()), Count(rounding, "instruction")));
  }
  for (int64_t index : e.shown) {
    for (const std::string& sentence : TermSentences(e, index)) say(sentence);
    const double rounding = chain.instructions[static_cast<size_t>(index)].lost_to_rounding;
    if (rounding != 0)
      say(fmt::format("Rounding {} changed the result by {}",
                      long_chain ? fmt::format("the sums of instruction {}", index + 1) : "sums",
                      Short(-rounding)));
  }
  return text;
}

}  // namespace lostbits::cli
