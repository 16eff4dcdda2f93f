// The small pieces of an explanation: names, numbers, bits.
#include <algorithm>

#include "cli/explain.h"
#include "registry.h"

namespace lostbits::cli {

std::string Short(double x, int digits) {
  const std::string shortest = Decimal(x), cut = fmt::format("{:.{}g}", x, digits);
  return shortest.size() <= cut.size() ? shortest : cut;
}

std::string WordText(const Explanation& e, uint64_t word) {
  return HexCode(word, StorageBits(e.spec().acc));
}

std::string AddendName(const Explanation& e, int64_t instruction,
                       const std::vector<sim::StepTrace>& steps, size_t step) {
  if (e.promote > 0 || instruction > 0) return "acc";
  if (e.spec().flow == sim::Flow::kInterleavedLateC)
    return steps[step].kind == sim::Step::kAdd ? "c" : "acc";
  for (size_t i = 0; i < step; ++i) {
    if (steps[i].kind == sim::Step::kSpecial) return "acc";
    for (const sim::TermTrace& t : steps[i].terms) {
      if (t.term.origin == sim::Origin::kAddend) return "acc";
    }
  }
  return "c";
}

std::string TermName(const sim::TermTrace& t, const std::string& addend) {
  switch (t.term.origin) {
    case sim::Origin::kProduct: return fmt::to_string(t.k);
    case sim::Origin::kBlock: return fmt::format("{}-{}", t.k, t.k + sim::kBlockDotLength - 1);
    case sim::Origin::kAddend: return addend;
    case sim::Origin::kProducts: return "products";
    case sim::Origin::kEven: return "even k";
    case sim::Origin::kOdd: return "odd k";
    case sim::Origin::kPartial: break;
  }
  return "partial";
}

std::string TermLabel(const sim::TermTrace& t, const std::string& addend) {
  const bool product = t.term.origin == sim::Origin::kProduct;
  const bool block = t.term.origin == sim::Origin::kBlock;
  return (product ? "product " : block ? "block " : "") + TermName(t, addend);
}

BitLoss CountBits(const sim::TermTrace& t) {
  if (t.exact.IsZero()) return {};
  const int bottom = std::min(t.term.exponent - t.term.fraction_bits, t.exact.Trailing());
  const int bits = t.exact.Leading() - bottom + 1;
  if (t.lost.IsZero()) return {bits, 0};
  return {bits, t.fate == sim::Fate::kGone ? bits : std::min(bits, t.lsb - bottom)};
}

std::string KeptBits(const sim::ExactNumber& x, int top, int bottom) {
  std::string text;
  const int leading = x.IsZero() ? bottom - 1 : x.Leading();
  for (int i = top; i >= bottom; --i) {
    text += i > leading ? '.' : x.Bit(i) ? '1' : '0';
    if ((i - bottom) % 4 == 0 && i > bottom) text += ' ';
  }
  return text;
}

std::string DroppedBits(const sim::ExactNumber& x, int cut, int bottom, int room) {
  if (x.IsZero() || bottom >= cut) return "";
  const int leading = x.Leading();
  std::string text;
  for (int i = cut - 1; i >= bottom; --i) {
    if ((cut - 1 - i) % 4 == 0 && i < cut - 1) text += ' ';
    text += i > leading ? '.' : x.Bit(i) ? '1' : '0';
  }
  if (static_cast<int>(text.size()) <= room) return text;
  int first_dropped = std::min(leading, cut - 1);
  while (first_dropped > bottom && !x.Bit(first_dropped)) --first_dropped;
  const std::string place = fmt::format("-> 2^{}", first_dropped);
  const int left = room - 2;
  const size_t first_one = text.find('1');
  if (left > 0 && first_one != text.npos && static_cast<int>(first_one) + 4 < left)
    return text.substr(0, static_cast<size_t>(left)) + "..";
  return place;
}

std::string KeptText(const sim::TermTrace& t, int lsb) {
  return t.lsb == lsb ? fmt::to_string(t.kept) : fmt::format("{} x 2^{}", t.kept, t.lsb);
}

bool Floored(const sim::TermTrace& t) {
  return t.term.negative && !t.lost.IsZero() && !t.lost.IsNegative();
}

std::vector<IgnoredBits> FindIgnoredBits(const Explanation& e) {
  std::vector<IgnoredBits> found;
  const auto look = [&](char operand, const fp8::Format& f, const std::vector<uint64_t>& codes) {
    const uint64_t mask = (uint64_t{1} << f.pad) - 1;
    for (size_t k = 0; k < codes.size(); ++k) {
      if ((codes[k] & mask) != 0)
        found.push_back({operand, static_cast<int64_t>(k), codes[k], codes[k] & ~mask});
    }
  };
  look('a', e.spec().a, e.codes.a);
  look('b', e.spec().b, e.codes.b);
  return found;
}

std::string LossText(const sim::TermTrace& t) {
  const BitLoss loss = CountBits(t);
  if (loss.cut == 0) return "-";
  const std::string down = Floored(t) ? ", down" : "";
  if (loss.bits == 1) return "its 1 bit" + down;
  const std::string cut = loss.cut == loss.bits ? "all" : fmt::format("{} of", loss.cut);
  return fmt::format("{} {} bits{}", cut, loss.bits, down);
}

std::string RoundingText(const sim::AccumSpec& spec, const sim::StepTrace& step) {
  const std::string format = PrecisionName(step.format);
  if (!step.finite)
    return step.cause == sim::Cause::kOverflow ? fmt::format("Beyond the range of {}.", format)
                                               : CauseWords(step) + '.';
  if (step.before.IsZero() || step.before.Trailing() >= step.last_kept)
    return fmt::format("{} holds it whole.", format);
  // Additions of whole numbers round to nearest even, whatever a group does.
  const fp8::Rounding rounding =
      step.kind == sim::Step::kAdd ? fp8::Rounding::kNearestEven : spec.rounding;
  return fmt::format("{} keeps {} bits of it, {}:", format,
                     std::max(0, step.before.Leading() - step.last_kept + 1),
                     rounding == fp8::Rounding::kTowardZero
                         ? "the rest is cut off"
                         : fmt::format("rounded {}", RoundingName(rounding)));
}

std::string TailText(const sim::StepTrace& step) {
  if (!step.finite) return CauseWords(step);
  if (!step.lost_to_alignment.IsZero()) return "input flushed";
  if (step.lost_to_rounding.IsZero()) return "exact";
  const std::string dropped = DroppedBits(step.before, step.last_kept, step.before.Trailing(), 9);
  return fmt::format("..{}|{}", KeptBits(step.before, step.last_kept + 3, step.last_kept),
                     dropped.empty() ? "flushed to zero" : dropped);
}

}  // namespace lostbits::cli
