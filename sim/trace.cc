#include "sim/trace.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace lostbits::sim {
namespace {

bool IsFinite(const Unpacked& x) { return x.cls == Class::kZero || x.cls == Class::kFinite; }

ExactNumber WordNumber(fp8::Format f, uint64_t word) {
  const Unpacked x = fp8::Unpack(f, word);
  return IsFinite(x) ? ExactNumber(x) : ExactNumber();
}

ExactNumber TermNumber(const Term& t) {
  return ExactNumber(t.negative, t.significand, t.exponent - t.fraction_bits);
}

/// The Inf or NaN that a product is, if it is one.
void AddProduct(const Unpacked& a, const Unpacked& b, int64_t k,
                std::vector<SpecialInput>& sources) {
  const bool negative = a.negative != b.negative;
  if (a.cls == Class::kNan || b.cls == Class::kNan)
    sources.push_back({Cause::kNanOperand, k});
  else if (a.cls == Class::kInf || b.cls == Class::kInf)
    sources.push_back(a.cls == Class::kZero || b.cls == Class::kZero
                          ? SpecialInput{Cause::kInfTimesZero, k}
                          : SpecialInput{Cause::kInfOperand, k, negative});
}

void AddAccumulator(const Unpacked& c, std::vector<SpecialInput>& sources) {
  if (c.cls == Class::kNan) sources.push_back({Cause::kNanAccumulator});
  if (c.cls == Class::kInf) sources.push_back({Cause::kInfAccumulator, -1, c.negative});
}

/// What decides a result that is not finite: the first NaN, else Inf - Inf, else the first Inf.
Cause Decides(const std::vector<SpecialInput>& sources) {
  if (sources.empty()) return Cause::kOverflow;
  bool signs[2] = {};
  for (const SpecialInput& s : sources) {
    if (IsNan(s.cause)) return s.cause;
    signs[s.negative] = true;
  }
  return signs[0] && signs[1] ? Cause::kInfMinusInf : sources.front().cause;
}

/// Rounded steps: word, and what the rounding lost.
void Finish(fp8::Format acc, fp8::Format out, uint64_t word, StepTrace& step) {
  step.rounded = true;
  step.format = out;
  step.word = word;
  step.finite = IsFinite(fp8::Unpack(acc, word));
  if (!step.finite) return;
  step.lost_to_rounding = step.before - WordNumber(acc, word);
  const int lowest = fp8::MinExponent(out);
  const int leading = step.before.IsZero() ? lowest : std::max(step.before.Leading(), lowest);
  step.last_kept = leading - out.mantissa_bits;
}

/// Watches one instruction.
class Recorder {
 public:
  static constexpr bool kOn = true;

  /// The first of the instruction's `count` products is number `first` of the dot product.
  Recorder(const Unpacked* a, const Unpacked* b, int count, BlockScales scales, int64_t first,
           uint64_t c_word)
      : a_(a),
        b_(b),
        count_(count),
        scales_(scales),
        first_(first),
        c_word_(c_word),
        running_(c_word) {}

  void operator()(const AccumSpec& spec, const Step& step) {
    StepTrace out;
    out.kind = step.kind;
    out.aligned = step.kept != nullptr;
    out.e_max = step.e_max;
    out.lsb = step.lsb;
    out.sum = step.sum;
    bool adds_running = false;
    for (int i = 0; i < step.count; ++i) {
      out.terms.push_back(Record(spec, step, i));
      const TermTrace& t = out.terms.back();
      out.lost_to_alignment += t.lost;
      if (!out.aligned) out.before += t.exact - t.lost;
      adds_running = adds_running || t.term.origin == Origin::kAddend;
      if (out.aligned && out.setter < 0 && t.term.counts && t.term.exponent == out.e_max)
        out.setter = i;
    }
    if (out.aligned) out.before = ExactNumber(out.sum, out.lsb);
    out.group = group_;
    const bool rounds = step.kind != Step::kBlockSum && step.kind != Step::kProducts &&
                        step.kind != Step::kMergedPairs;
    if (rounds) {
      // The additions of AddNearestEven round to the register, whatever a group rounds to.
      Finish(spec.acc, step.kind == Step::kAdd ? spec.acc : spec.out, step.word, out);
      if (!out.finite) {
        out.sources = Sources(spec, step);
        out.cause = Decides(out.sources);
        nan_made_ = nan_made_ || fp8::Unpack(spec.acc, step.word).cls == Class::kNan;
      }
      if (adds_running || step.kind == Step::kSpecial) {
        running_ = step.word;
        nan_made_ = false;
        ++group_;
      }
    }
    steps.push_back(std::move(out));
  }

  std::vector<StepTrace> steps;

 private:
  TermTrace Record(const AccumSpec& spec, const Step& step, int i) const {
    TermTrace t;
    t.term = step.terms[i];
    ExactNumber taken = TermNumber(t.term);
    t.exact = taken;
    if (t.term.origin == Origin::kProduct) {
      const int k = InstructionIndex(spec, t.term.index);
      t.k = first_ + k;
      t.a = a_[k];
      t.b = b_[k];
      // Where products are not aligned they may be wider than a Term, or flushed operands' ones.
      if (step.kind == Step::kExact) taken = t.exact = ExactNumber::Product(t.a, t.b);
      if (step.kind == Step::kMultiply && IsFinite(t.a) && IsFinite(t.b))
        t.exact = ExactNumber::Product(t.a, t.b);
    } else if (t.term.origin == Origin::kBlock) {
      t.k = first_ + t.term.index;
    } else if (t.term.origin == Origin::kAddend && spec.flow == Flow::kTree) {
      t.exact = WordNumber(spec.acc, running_);  // the instruction's c before it is flushed
    }
    if (step.kept != nullptr) {
      // The products' sum keeps more bits beside a late c than c does.
      const bool late_c = step.kind == Step::kLateSum && t.term.origin == Origin::kAddend;
      t.lsb = step.lsb + (late_c ? spec.sum_bits - spec.fraction_bits : 0);
      t.shift = t.term.exponent - t.term.fraction_bits - t.lsb;
      t.kept = step.kept[i] >> (t.lsb - step.lsb);
      taken = ExactNumber(t.kept, t.lsb);
    }
    t.lost = t.exact - taken;
    t.fate = t.exact.IsZero()  ? Fate::kZero
             : t.lost.IsZero() ? Fate::kWhole
             : taken.IsZero()  ? Fate::kGone
                               : Fate::kCut;
    return t;
  }

  /// Every Inf and NaN that a step took.
  std::vector<SpecialInput> Sources(const AccumSpec& spec, const Step& step) const {
    std::vector<SpecialInput> sources;
    const bool late = spec.flow == Flow::kInterleavedLateC;  // starts from zero, adds c at the end
    if (step.kind == Step::kSpecial) {
      for (int i = 0; i < spec.group; ++i) {
        const int k = InstructionIndex(spec, group_ * spec.group + i);
        if (spec.block != 0 && k % spec.block == 0) {
          const int at = k / spec.block;
          if (scales_.a[at].cls == Class::kNan || scales_.b[at].cls == Class::kNan)
            sources.push_back({Cause::kNanScale, first_ + k});
        }
        if (k >= count_) continue;
        AddProduct(a_[k], b_[k], first_ + k, sources);
        if (!AddsInfProducts(spec) || !IsFinite(a_[k]) || !IsFinite(b_[k])) continue;
        const ExactNumber product = ExactNumber::Product(a_[k], b_[k]);
        if (!product.IsZero() && product.Leading() > fp8::kFP32.bias)
          sources.push_back({Cause::kProductOverflow, first_ + k, product.IsNegative()});
      }
      if (!late || group_ > 0) AddAccumulator(fp8::Unpack(spec.acc, running_), sources);
      return sources;
    }
    for (int i = 0; i < step.count; ++i) {
      const Term& t = step.terms[i];
      if (t.origin == Origin::kProduct) {
        const int k = InstructionIndex(spec, t.index);
        const auto flushed = [&](Unpacked x) {
          if (spec.flush && Flushes(x)) x.cls = Class::kZero;
          return x;
        };
        if (step.kind == Step::kMultiply)
          AddProduct(flushed(a_[k]), flushed(b_[k]), first_ + k, sources);
      } else if (t.origin == Origin::kAddend) {
        AddAccumulator(fp8::Unpack(spec.acc, late ? c_word_ : running_), sources);
      } else if (t.origin == Origin::kPartial && t.exponent > spec.acc.bias) {
        // A term has no class. Behind the halves of Flow::kInterleavedLateC it is the running sum;
        // elsewhere the one NaN that steps return is positive.
        const bool nan =
            late ? fp8::Unpack(spec.acc, running_).cls == Class::kNan : nan_made_ && !t.negative;
        sources.push_back({nan ? Cause::kNanPartial : Cause::kInfPartial, -1, t.negative});
      }
    }
    return sources;
  }
  static bool AddsInfProducts(const AccumSpec& spec) {
    return spec.flow == Flow::kLateFloor || spec.flow == Flow::kLateFloorPairs;
  }

  /// Flow::kInterleavedLateC gathers each half before it adds: position i of half h is this k.
  static int InstructionIndex(const AccumSpec& spec, int index) {
    if (spec.flow != Flow::kInterleavedLateC) return index;
    const int half = index / spec.group, i = index % spec.group;
    return i / 2 * 4 + 2 * half + i % 2;
  }

  const Unpacked* a_;
  const Unpacked* b_;
  int count_;
  BlockScales scales_;
  int64_t first_;
  uint64_t c_word_;
  uint64_t running_;  ///< the accumulator that the next group adds
  int group_ = 0;
  bool nan_made_ = false;  ///< by a step of this group
};

void Count(const StepTrace& step, InstructionSummary& summary) {
  if (step.kind == Step::kBlockSum) return;  // its products are counted as one term, cut later
  for (const TermTrace& t : step.terms) {
    const bool cut = t.fate == Fate::kCut || t.fate == Fate::kGone;
    if (t.term.origin == Origin::kProduct || t.term.origin == Origin::kBlock) {
      summary.terms += t.fate != Fate::kZero;
      summary.cut += cut;
      summary.gone += t.fate == Fate::kGone;
    } else if (t.term.origin == Origin::kAddend) {
      summary.addends_cut += cut;
    }
  }
}

/// Whether neither a, b, c nor the scales hold an Inf or a NaN; then also the exact sum.
bool ExactSum(const AccumSpec& spec, const DotOperands& dot, ExactNumber& sum) {
  const Unpacked c = fp8::Unpack(spec.acc, dot.c_word);
  bool finite = IsFinite(c);
  if (finite) sum = ExactNumber(c);
  const int64_t padded = (dot.n + spec.k - 1) / spec.k * spec.k;
  for (int64_t i = 0; spec.block != 0 && i < padded / spec.block; ++i)
    finite = finite && IsFinite(dot.scales.a[i]) && IsFinite(dot.scales.b[i]);
  for (int64_t i = 0; finite && i < dot.n; ++i) {
    finite = IsFinite(dot.a[i]) && IsFinite(dot.b[i]);
    if (!finite) break;
    sum += spec.block == 0
               ? ExactNumber::Product(dot.a[i], dot.b[i])
               : TermNumber(Scaled(Product(dot.a[i], dot.b[i]), dot.scales.a[i / spec.block],
                                   dot.scales.b[i / spec.block]));
  }
  return finite;
}

}  // namespace

InstructionTrace TraceInstruction(const AccumSpec& spec, const DotOperands& dot, int64_t index,
                                  uint64_t word_in) {
  InstructionTrace out;
  InstructionSummary& s = out.summary;
  s.first = index * spec.k;
  s.count = static_cast<int>(std::min<int64_t>(spec.k, dot.n - s.first));
  s.word_in = word_in;
  BlockScales scales = dot.scales;
  if (spec.block != 0) {
    scales.a += s.first / spec.block;
    scales.b += s.first / spec.block;
  }
  const Unpacked *a = dot.a + s.first, *b = dot.b + s.first;
  Recorder recorder(a, b, s.count, scales, s.first, word_in);
  s.word = WatchedInstruction(spec, a, b, s.count, word_in, scales, recorder);
  out.steps = std::move(recorder.steps);
  for (const StepTrace& step : out.steps) {
    out.lost_to_alignment += step.lost_to_alignment;
    out.lost_to_rounding += step.lost_to_rounding;
    Count(step, s);
  }
  s.lost_to_alignment = out.lost_to_alignment.Value();
  s.lost_to_rounding = out.lost_to_rounding.Value();
  return out;
}

StepTrace TracePromotion(uint64_t sum, uint64_t partial) {
  StepTrace step;
  step.kind = Step::kAdd;
  const auto add = [&](uint64_t word, Origin origin) {
    TermTrace t;
    t.term = Addend(fp8::Unpack(fp8::kFP32, word), origin);
    t.exact = TermNumber(t.term);
    t.fate = t.exact.IsZero() ? Fate::kZero : Fate::kWhole;
    step.before += t.exact;
    step.terms.push_back(std::move(t));
  };
  add(sum, Origin::kAddend);
  add(partial, Origin::kPartial);
  Finish(fp8::kFP32, fp8::kFP32, AddNearestEven(fp8::kFP32, sum, partial), step);
  if (!step.finite) {
    AddAccumulator(fp8::Unpack(fp8::kFP32, sum), step.sources);
    const Unpacked x = fp8::Unpack(fp8::kFP32, partial);
    if (!IsFinite(x))
      step.sources.push_back(
          {x.cls == Class::kNan ? Cause::kNanPartial : Cause::kInfPartial, -1, x.negative});
    step.cause = Decides(step.sources);
  }
  return step;
}

ChainTrace TraceChain(const AccumSpec& spec, const DotOperands& dot, int promote_every) {
  if (promote_every < 0)
    throw std::invalid_argument("promotion: expected 0 or more instructions between two, got " +
                                std::to_string(promote_every));
  if (promote_every > 0 && spec.acc != fp8::kFP32)
    throw std::invalid_argument("promotion: expected a unit with FP32 accumulators, got one of " +
                                std::to_string(fp8::StorageBits(spec.acc)) + " bits");
  ChainTrace out;
  const int64_t count = (dot.n + spec.k - 1) / spec.k;
  out.instructions.reserve(static_cast<size_t>(count));
  uint64_t sum = dot.c_word;
  uint64_t word = promote_every > 0 ? 0 : dot.c_word;
  for (int64_t i = 0; i < count; ++i) {
    InstructionTrace one = TraceInstruction(spec, dot, i, word);
    InstructionSummary& s = one.summary;
    word = s.word;
    out.lost_to_alignment += one.lost_to_alignment;
    out.lost_to_rounding += one.lost_to_rounding;
    out.terms += s.terms;
    out.cut += s.cut;
    out.gone += s.gone;
    if (promote_every > 0 && ((i + 1) % promote_every == 0 || i + 1 == count)) {
      const StepTrace promotion = TracePromotion(sum, word);
      s.promoted = true;
      s.sum_in = sum;
      s.sum = sum = promotion.word;
      s.lost_to_promotion = promotion.lost_to_rounding.Value();
      out.lost_to_promotion += promotion.lost_to_rounding;
      word = 0;
    }
    out.instructions.push_back(s);
  }
  out.word = promote_every > 0 ? sum : word;
  out.finite = ExactSum(spec, dot, out.exact) && IsFinite(fp8::Unpack(spec.acc, out.word));
  if (!out.finite) {
    out.exact = out.lost_to_alignment = out.lost_to_rounding = out.lost_to_promotion = {};
  }
  return out;
}

}  // namespace lostbits::sim
