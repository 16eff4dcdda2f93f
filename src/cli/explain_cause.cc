// Why a sum came out as Inf or NaN.
#include <cmath>

#include "cli/explain.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using sim::Cause;

std::string SourceText(const Explanation& e, const sim::SpecialInput& source,
                       const std::string& addend) {
  const size_t k = static_cast<size_t>(source.k);
  const char* inf = source.negative ? "-inf" : "inf";
  switch (source.cause) {
    case Cause::kNanAccumulator: return addend + " is nan";
    case Cause::kInfAccumulator: return fmt::format("{} is {}", addend, inf);
    case Cause::kNanPartial: return "the partial sum is nan";
    case Cause::kInfPartial: return fmt::format("the partial sum is {}", inf);
    case Cause::kNanScale:
      return fmt::format("a scale of k = {} to {} is nan", k,
                         k + static_cast<size_t>(e.spec().block) - 1);
    default: break;
  }
  const std::string product =
      fmt::format("k = {} is {} * {}", k, Short(CodeValue(e.spec().a, e.codes.a[k])),
                  Short(CodeValue(e.spec().b, e.codes.b[k])));
  if (source.cause != Cause::kProductOverflow) return product;
  return fmt::format("{}, which is 2^{} or more and counts as {}", product, fp8::kFP32.bias + 1,
                     inf);
}

}  // namespace

const char* CauseName(Cause cause) {
  switch (cause) {
    case Cause::kNone: return "none";
    case Cause::kOverflow: return "overflow";
    case Cause::kProductOverflow: return "product_overflow";
    case Cause::kInfOperand: return "inf_operand";
    case Cause::kInfAccumulator: return "inf_accumulator";
    case Cause::kInfPartial: return "inf_partial";
    case Cause::kInfMinusInf: return "inf_minus_inf";
    case Cause::kInfTimesZero: return "inf_times_zero";
    case Cause::kNanOperand: return "nan_operand";
    case Cause::kNanScale: return "nan_scale";
    case Cause::kNanAccumulator: return "nan_accumulator";
    case Cause::kNanPartial: return "nan_partial";
  }
  return "?";
}

std::string CauseWords(const sim::StepTrace& step) {
  switch (step.cause) {
    case Cause::kNone: return "";
    case Cause::kOverflow: return "beyond the range of " + PrecisionName(step.format);
    case Cause::kProductOverflow:
    case Cause::kInfOperand:
    case Cause::kInfAccumulator:
    case Cause::kInfPartial: return "an Inf came in";
    case Cause::kInfMinusInf: return "Inf - Inf";
    case Cause::kInfTimesZero: return "Inf * 0";
    case Cause::kNanOperand:
    case Cause::kNanScale:
    case Cause::kNanAccumulator:
    case Cause::kNanPartial: return "a NaN came in";
  }
  return "?";
}

std::string CauseText(const Explanation& e, const sim::StepTrace& step, const std::string& addend) {
  if (step.sources.empty()) return CauseWords(step);
  constexpr size_t kShown = 4;
  const bool nan = sim::IsNan(step.cause);
  std::vector<std::string> who;
  for (const sim::SpecialInput& source : step.sources) {
    if (nan && !sim::IsNan(source.cause)) continue;  // a NaN decides, whatever Infs there are
    if (who.size() == kShown) {
      who.emplace_back("...");
      break;
    }
    who.push_back(SourceText(e, source, addend));
  }
  return fmt::format("{}{}", fmt::join(who, "; "),
                     step.cause == Cause::kInfMinusInf ? "; Inf - Inf is NaN" : "");
}

std::string FirstCause(const Explanation& e) {
  // Of the first NaN if one came back, even where an Inf came before it.
  const bool nan = std::isnan(CodeValue(e.spec().acc, e.chain.word));
  const auto fits = [nan](const fp8::Format& f, uint64_t word) {
    const double value = CodeValue(f, word);
    return nan ? std::isnan(value) : std::isinf(value);
  };
  for (size_t i = 0; i < e.chain.instructions.size(); ++i) {
    const sim::InstructionSummary& s = e.chain.instructions[i];
    const int64_t index = static_cast<int64_t>(i);
    const std::string where =
        e.chain.instructions.size() == 1 ? "" : fmt::format("instruction {}: ", i + 1);
    if (fits(e.spec().acc, s.word)) {
      const std::vector<sim::StepTrace> steps = e.Instruction(index).steps;
      for (size_t j = 0; j < steps.size(); ++j) {
        if (steps[j].rounded && fits(e.spec().acc, steps[j].word))
          return where + CauseText(e, steps[j], AddendName(e, index, steps, j));
      }
    }
    if (s.promoted && fits(fp8::kFP32, s.sum))
      return where +
             "promotion: " + CauseText(e, sim::TracePromotion(s.sum_in, s.word), "the FP32 sum");
  }
  return "";
}

}  // namespace lostbits::cli
