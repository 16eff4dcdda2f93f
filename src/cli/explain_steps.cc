// One instruction in full: what each step did to each term.
#include <algorithm>
#include <cmath>

#include "cli/explain.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::Cause;
using sim::Fate;
using sim::Flow;
using sim::Origin;
using sim::Step;

constexpr char kRed[] = "\x1b[31m", kPlain[] = "\x1b[0m";

double ValueOf(const fp8::Unpacked& x) {
  return x.cls == fp8::Class::kNan   ? std::nan("")
         : x.cls == fp8::Class::kInf ? (x.negative ? -INFINITY : INFINITY)
                                     : sim::ExactNumber(x).Value();
}

std::string Range(int64_t first, int64_t last) {
  return first == last ? fmt::format("k = {}", first) : fmt::format("k = {} to {}", first, last);
}

std::string Power(int exponent) { return fmt::format("2^{}", exponent); }

/// Writes the steps of one instruction.
class Writer {
 public:
  Writer(const Explanation& e, int64_t index, const Layout& layout)
      : e_(e), spec_(e.spec()), index_(index), layout_(layout), one_(e.Instruction(index)) {}

  std::string Text() {
    const sim::InstructionSummary& s = one_.summary;
    text_ = fmt::format("Instruction {} of {}: {}\n", index_ + 1, e_.chain.instructions.size(),
                        Range(s.first, s.first + s.count - 1));
    for (size_t i = 0; i < one_.steps.size(); ++i) {
      if (Idle(i)) {
        ++idle_;
        continue;
      }
      FlushIdle();
      const Step::Kind kind = one_.steps[i].kind;
      if (kind == Step::kSpecial) {
        Special(i);
      } else if (kind == Step::kBlockSum) {
        Block(i);
      } else if (one_.steps[i].aligned) {
        Aligned(i);
      } else {
        i = Rounded(i);
      }
    }
    FlushIdle();
    const sim::InstructionSummary& in_chain = e_.chain.instructions[static_cast<size_t>(index_)];
    if (in_chain.promoted) Promotion(in_chain);
    return text_;
  }

 private:
  /// Nothing but zeros came in, and the accumulator goes on as it was, be it Inf or NaN.
  bool Idle(size_t i) const {
    const sim::StepTrace& step = one_.steps[i];
    if (!step.lost_to_alignment.IsZero() || !step.lost_to_rounding.IsZero()) return false;
    if (!step.finite && step.cause != Cause::kInfAccumulator &&
        step.cause != Cause::kNanAccumulator)
      return false;
    if (step.kind == Step::kSpecial)
      return i > 0 && step.group * spec_.group >= one_.summary.count &&
             spec_.flow != Flow::kInterleavedLateC;
    int others = 0;
    for (const sim::TermTrace& t : step.terms)
      others += t.fate != Fate::kZero && t.term.origin != Origin::kAddend;
    // Where c joins late, the addition of c is worth a line although the products are zero.
    return others == 0 && one_.steps.size() > 1 && i > 0;
  }
  void FlushIdle() {
    if (idle_ > 0) text_ += '\n' + IdleText(idle_);
    idle_ = 0;
  }
  static std::string IdleText(int steps) {
    return fmt::format("  ({} step{} with nothing but zeros: nothing changes)\n", steps,
                       steps == 1 ? "" : "s");
  }

  int Digits() const { return layout_.width < 100 ? 8 : 12; }

  void Line(const std::string& text) { text_ += "  " + Wrap(text, layout_.width - 2, "  ") + '\n'; }

  std::string Name(size_t step, const sim::TermTrace& t) const {
    return TermName(t, AddendName(e_, index_, one_.steps, step));
  }

  /// "products k = 0 to 15": which of them a step took.
  std::string Products(const sim::StepTrace& step) const {
    int64_t first = -1, last = -1;
    for (const sim::TermTrace& t : step.terms) {
      if (t.k < 0) continue;
      if (first < 0) first = t.k;
      last = std::max(last, t.k);
    }
    if (first < 0) return "no products";
    if (spec_.flow == Flow::kBlockDot) return "the blocks' sums times their scales";
    if (spec_.flow == Flow::kLateFloorPairs)
      return fmt::format("the products of {} k", first % 2 == 0 ? "even" : "odd");
    if (spec_.flow == Flow::kInterleavedLateC)
      return fmt::format("the products of k % 4 = {} and {}", first % 4, first % 4 + 1);
    return (first == last ? "product " : "products ") + Range(first, last);
  }

  std::string Heading(size_t i) const {
    const sim::StepTrace& step = one_.steps[i];
    const std::string products = Products(step);
    const std::string addend = AddendName(e_, index_, one_.steps, i);
    switch (step.kind) {
      case Step::kProducts:
        return fmt::format("{}, without {}: aligned, cut toward zero, added", products, addend);
      case Step::kMergedPairs:
        return "The sums of even and of odd k: aligned, cut toward minus infinity, added";
      case Step::kLateSum:
        return fmt::format(
            "The products' sum and {}: aligned, both cut toward minus infinity, added, rounded",
            addend);
      default: break;
    }
    const bool from_zero = spec_.flow == Flow::kInterleavedLateC && i == 0;
    return fmt::format("{}, {}: aligned, cut toward zero, added, rounded", products,
                       from_zero ? "starting from zero" : "and " + addend);
  }

  void Special(size_t i) {
    const sim::StepTrace& step = one_.steps[i];
    const int groups = spec_.k / spec_.group;
    text_ += '\n';
    Line(fmt::format(
        "{} decided before anything is added: {}.",
        groups == 1 ? "The sum is" : fmt::format("Group {} of {} is", step.group + 1, groups),
        CauseText(e_, step, AddendName(e_, index_, one_.steps, i))));
    WordLine(step);
  }

  void AddOperandColumns(Table& table) const {
    table.AddColumn("  k", Table::kRight);
    table.AddColumn("a", Table::kRight);
    table.AddColumn("b", Table::kRight);
  }
  std::vector<std::string> OperandCells(size_t step, const sim::TermTrace& t) const {
    const bool product = t.term.origin == Origin::kProduct;
    return {"  " + Name(step, t), product ? Short(ValueOf(t.a), Digits() - 2) : "",
            product ? Short(ValueOf(t.b), Digits() - 2) : ""};
  }

  void Block(size_t i) {
    const sim::StepTrace& step = one_.steps[i];
    const int64_t k = step.terms[0].k;
    text_ += '\n';
    Line(fmt::format("Block k = {} to {}: products added exactly: {}", k,
                     k + sim::kBlockDotLength - 1, Short(step.before.Value(), 9)));
    Table table;
    AddOperandColumns(table);
    table.AddColumn("product", Table::kRight);
    int zeros = 0;
    for (const sim::TermTrace& t : step.terms) {
      if (t.fate == Fate::kZero) {
        ++zeros;
        continue;
      }
      std::vector<std::string> cells = OperandCells(i, t);
      cells.push_back(Short(t.exact.Value(), 8));
      table.AddRow(cells);
    }
    text_ += table.Text(layout_.width);
    Zeros(zeros);
  }

  void Zeros(int zeros) {
    if (zeros > 0) text_ += fmt::format("  ({} more: zero)\n", zeros);
  }

  void Aligned(size_t i) {
    const sim::StepTrace& step = one_.steps[i];
    text_ += '\n';
    std::string heading = Heading(i);
    heading[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(heading[0])));
    Line(heading + '.');
    if (step.e_max <= sim::kNothing) return Line("All are zero: there is no exponent to align to.");
    Maximum(i);
    const bool operands = std::any_of(step.terms.begin(), step.terms.end(), [](const auto& t) {
      return t.term.origin == Origin::kProduct;
    });
    Table table;
    table.AddColumn("  k", Table::kRight);
    if (operands) {
      table.AddColumn("a", Table::kRight);
      table.AddColumn("b", Table::kRight);
    }
    table.AddColumn(operands ? "product" : "value", Table::kRight);
    table.AddColumn("exponent", Table::kRight);
    table.AddColumn("shift", Table::kRight);
    table.AddColumn(fmt::format("kept, x {}", Power(step.lsb)), Table::kRight | Table::kOptional);
    table.AddColumn("lost");
    int zeros = 0;
    for (const sim::TermTrace& t : step.terms) {
      if (t.fate == Fate::kZero) {
        zeros += t.k >= 0;
        continue;
      }
      std::vector<std::string> cells = OperandCells(i, t);
      if (!operands) cells.resize(1);
      cells.push_back(Short(t.exact.Value(), Digits()));
      cells.push_back(fmt::to_string(t.term.exponent));
      cells.push_back(fmt::format("{:+}", t.shift));
      cells.push_back(KeptText(t, step.lsb));
      cells.push_back(LossText(t));
      table.AddRow(cells);
    }
    text_ += table.Text(layout_.width);
    Zeros(zeros);
    BitRows(i);
    Result(step);
  }

  void Maximum(size_t i) {
    const sim::StepTrace& step = one_.steps[i];
    std::string who = "it is the least this machine aligns to";
    if (step.setter >= 0) {
      const sim::TermTrace& t = step.terms[static_cast<size_t>(step.setter)];
      who = fmt::format("set by {}{}", t.k >= 0 ? "k = " : "", Name(i, t));
    }
    std::string cut =
        fmt::format("{} bits are kept below it, so everything is cut to multiples of {}",
                    step.e_max - step.lsb, Power(step.lsb));
    if (step.kind == Step::kLateSum)
      cut = fmt::format("the products' sum is cut to multiples of {}, {} to multiples of {}",
                        Power(step.lsb), AddendName(e_, index_, one_.steps, i),
                        Power(step.terms.back().lsb));
    Line(fmt::format("Largest exponent {} ({}); {}.", step.e_max, who, cut));
  }

  /// The picture: each term on the grid, '|' where the cut falls.
  void BitRows(size_t i) {
    const sim::StepTrace& step = one_.steps[i];
    int top = step.lsb;
    size_t name_width = 3;
    const auto widen = [&](const sim::ExactNumber& x) {
      if (!x.IsZero()) top = std::max(top, x.Leading());
    };
    widen(step.before);
    for (const sim::TermTrace& t : step.terms) {
      if (t.fate == Fate::kZero) continue;
      widen(sim::ExactNumber(t.kept, t.lsb));
      name_width = std::max(name_width, Name(i, t).size());
    }
    text_ += fmt::format("\n  {:>{}}   {} to {}, then | and what is dropped\n", "", name_width,
                         Power(top), Power(step.lsb));
    const auto row = [&](const std::string& name, bool negative, const sim::ExactNumber& whole,
                         int cut, int bottom) {
      // A late c may be cut above the grid's last bit: what it drops starts there.
      std::string line = fmt::format("  {:>{}} {} {}|", name, name_width, negative ? '-' : '+',
                                     KeptBits(whole, std::max(top, cut), cut));
      const int room = layout_.width - static_cast<int>(line.size());
      const std::string dropped = DroppedBits(whole, cut, bottom, room);
      if (!dropped.empty()) line += layout_.colour ? kRed + dropped + kPlain : dropped;
      text_ += line + '\n';
    };
    for (const sim::TermTrace& t : step.terms) {
      if (t.fate == Fate::kZero) continue;
      row(Name(i, t), t.term.negative, t.exact, t.lsb, t.term.exponent - t.term.fraction_bits);
    }
    row("sum", step.sum < 0, step.before, step.lsb, step.lsb);
    for (const sim::TermTrace& t : step.terms) {
      if (Floored(t))
        Line(
            fmt::format("{} is negative: cut toward minus infinity, it counts as one unit ({}) "
                        "more than its bits before |.",
                        Name(i, t), Power(t.lsb)));
    }
  }

  void Result(const sim::StepTrace& step) {
    const std::string sum = fmt::format("Sum: {} x {} = {}. ", step.sum, Power(step.lsb),
                                        Short(step.before.Value(), 12));
    if (!step.rounded) return Line(sum + "It goes on unrounded.");
    Line(sum + RoundingText(spec_, step));
    RoundingBits(step);
    WordLine(step);
  }

  void RoundingBits(const sim::StepTrace& step) {
    if (!step.finite || step.before.IsZero() || step.before.Trailing() >= step.last_kept) return;
    const int top = std::max(step.before.Leading(), step.last_kept);
    std::string line = fmt::format("  {:>3} {} {}|", "", step.before.IsNegative() ? '-' : '+',
                                   KeptBits(step.before, top, step.last_kept));
    const std::string dropped =
        DroppedBits(step.before, step.last_kept, step.before.Trailing(),
                    std::max(0, layout_.width - static_cast<int>(line.size())));
    text_ += line + (layout_.colour ? kRed + dropped + kPlain : dropped) + '\n';
  }

  void WordLine(const sim::StepTrace& step) {
    const sim::ExactNumber& lost = step.lost_to_rounding;
    const bool grew = !lost.IsZero() && lost.IsNegative() != step.before.IsNegative();
    text_ += fmt::format("  -> {} = {}{}\n", WordText(e_, step.word),
                         Short(CodeValue(spec_.acc, step.word), 12),
                         grew ? " (rounded away from zero)" : "");
  }

  /// A run of steps that add or multiply and round at once: a line each. Returns the last of them.
  size_t Rounded(size_t first) {
    size_t last = first;
    while (last + 1 < one_.steps.size() && !one_.steps[last + 1].aligned &&
           one_.steps[last + 1].kind != Step::kSpecial)
      ++last;
    text_ += '\n';
    const bool sums = spec_.flow == Flow::kExact;
    const bool late = spec_.flow == Flow::kInterleavedLateC;
    Line(late   ? "c is added last, in one ordinary addition, to nearest even:"
         : sums ? fmt::format("Nothing is aligned: {} exactly, rounded once, {}:",
                              spec_.group == 1
                                  ? "each product and the accumulator are added"
                                  : "the products of a group and the accumulator are added",
                              RoundingName(spec_.rounding))
                : "Nothing is aligned: every product and every sum is rounded to nearest even:");
    Table table;
    table.AddColumn("  step");
    table.AddColumn("exact", Table::kRight);
    table.AddColumn("rounded to", Table::kRight);
    table.AddColumn("value", Table::kRight | Table::kOptional);
    table.AddColumn("kept|dropped");
    int zeros = 0;
    for (size_t i = first; i <= last; ++i) {
      if (i > first && Idle(i)) {
        ++zeros;
        continue;
      }
      const sim::StepTrace& step = one_.steps[i];
      table.AddRow({"  " + Operation(i),
                    step.sources.empty() ? Short(step.before.Value(), Digits()) : "",
                    WordText(e_, step.word), Short(CodeValue(spec_.acc, step.word), Digits()),
                    TailText(step)});
    }
    text_ += table.Text(layout_.width);
    if (zeros > 0) text_ += IdleText(zeros);
    return last;
  }

  /// "acc + k 0", "k 3", "acc + partial".
  std::string Operation(size_t i) const {
    std::vector<std::string> products, others;
    for (const sim::TermTrace& t : one_.steps[i].terms) {
      const std::string name = Name(i, t);
      if (t.fate != Fate::kZero || one_.steps[i].terms.size() <= 2)
        (t.k >= 0 ? products : others).push_back(name);
    }
    if (!products.empty())
      others.push_back("k " + (products.size() <= 2
                                   ? fmt::format("{}", fmt::join(products, ","))
                                   : fmt::format("{}..{}", products.front(), products.back())));
    if (others == std::vector<std::string>{"partial", "partial"}) return "partial sums";
    return others.empty() ? "zeros" : fmt::format("{}", fmt::join(others, " + "));
  }

  void Promotion(const sim::InstructionSummary& s) {
    const sim::StepTrace step = sim::TracePromotion(s.sum_in, s.word);
    text_ += '\n';
    Line(fmt::format(
        "Promotion: the unit's result is added to the FP32 sum outside it, and the "
        "unit starts again from +0: {} + {} = {}. {}",
        Short(CodeValue(fp8::kFP32, s.sum_in), 9), Short(CodeValue(fp8::kFP32, s.word), 9),
        Short(step.before.Value(), 12), RoundingText(spec_, step)));
    RoundingBits(step);
    WordLine(step);
  }

  const Explanation& e_;
  const sim::AccumSpec& spec_;
  int64_t index_;
  Layout layout_;
  sim::InstructionTrace one_;
  std::string text_;
  int idle_ = 0;
};

}  // namespace

std::string InstructionText(const Explanation& e, int64_t index, const Layout& layout) {
  return Writer(e, index, layout).Text();
}

}  // namespace lostbits::cli
