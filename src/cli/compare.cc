// lostbits compare A B: the same inputs through two machines or two recipes.
#include "sim/compare.h"

#include <omp.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <stdexcept>

#include "cli/command.h"
#include "cli/compare_attention.h"
#include "cli/compare_kernels.h"
#include "cli/compare_report.h"
#include "cli/dot_lines.h"
#include "cli/gemm_reference.h"
#include "cli/operand.h"
#include "registry.h"
#include "sim/accum.h"
#include "sim/error.h"

namespace lostbits::cli {
namespace {

using sim::ComparedKernel;
using sim::GemmRecipe;
using sim::KernelComparison;

struct Options : CompareOptions {
  std::string file_a, file_b;
};

/// The comparison on the first 64, 256, 1024, ... products, without k itself.
std::vector<Growth> GrowWithK(const ComparedKernel& a, const ComparedKernel& b, int64_t k,
                              int64_t m, int64_t n, int threads) {
  std::vector<uint32_t> x(static_cast<size_t>(m * n)), y(x.size());
  std::vector<Growth> growth;
  for (int64_t here = 64; here < k; here *= 4) {
    growth.push_back(
        {here, sim::CompareKernels(sim::FirstProducts(a, here), sim::FirstProducts(b, here), false,
                                   {x.data(), m, n}, {y.data(), m, n}, threads)});
  }
  return growth;
}

sim::ErrorReport ErrorOf(const ComparedKernel& kernel, const std::vector<uint32_t>& words,
                         int64_t m, int64_t n) {
  std::vector<double> values;
  for (uint32_t word : words) values.push_back(fp8::Decode(kernel.recipe.output, word));
  const std::vector<double> exact = ExactProduct(kernel.recipe, kernel.in);
  return sim::Compare(sim::MatrixView<const double>(values.data(), m, n),
                      sim::MatrixView<const double>(exact.data(), m, n),
                      sim::ResultFormat(kernel.recipe));
}

/// "lostbits explain -m M 'a ; b ; c'" for the instruction after which the first difference shows,
/// where c is the same word for both. "" where a kernel keeps more than one running sum.
std::string ExplainCommand(const Machine& machine, const ComparedKernel& kernel,
                           const KernelComparison& result, int64_t first_k, int64_t step) {
  const GemmRecipe& r = kernel.recipe;
  if (first_k == 0 || r.promote_every != 0 || r.split_k != 1 || r.output != r.unit.acc) return "";
  const int64_t before = (first_k - 1) / step * step;
  std::vector<fp8::Unpacked> ua, ub;
  for (int64_t i = 0; i < before; ++i) {
    ua.push_back(fp8::Unpack(r.unit.a, kernel.in.a(result.row, i)));
    ub.push_back(fp8::Unpack(r.unit.b, kernel.in.b(i, result.col)));
  }
  DotLine line;
  line.c = sim::DotChain(r.unit, ua.data(), ub.data(), before, 0);
  for (int64_t i = before; i < first_k; ++i) {
    line.a.push_back(kernel.in.a(result.row, i));
    line.b.push_back(kernel.in.b(i, result.col));
  }
  return fmt::format(
      "lostbits explain -m {} '{}'{}", machine.name, DotLineText(r.unit, line),
      machine.row->evidence.level == sim::EvidenceLevel::kAssumed ? " --allow-unverified" : "");
}

/// Throws unless `t` is a matrix of values.
void CheckValues(const Tensor& t) {
  CheckTyped(t);
  if (t.shape.size() != 2 || t.Count() == 0)
    throw std::invalid_argument(
        fmt::format("{}: expected a matrix, found shape {}", t.source, ShapeText(t.shape)));
}

/// Throws where options are given, by their difference from the defaults, that would not be read.
void CheckAllRead(const CompareOptions& o, bool a_given, bool b_given) {
  const CompareOptions plain;
  const bool attention = NamesAttention(o.machine[0]) || NamesAttention(o.machine[1]);
  const struct {
    const char* option;
    bool given, unread;
  } rows[] = {
      {"--promote-a", o.promote[0] != plain.promote[0], attention},
      {"--promote-b", o.promote[1] != plain.promote[1], attention},
      {"--split-k-a", o.split_k[0] != plain.split_k[0], attention},
      {"--split-k-b", o.split_k[1] != plain.split_k[1], attention},
      {"--a", a_given, attention},
      {"--b", b_given, attention},
      {"--m", o.m != plain.m, attention || a_given},
      {"--n", o.n != plain.n, attention || b_given},
      {"--k", o.k != plain.k, a_given || b_given},
  };
  for (const auto& row : rows) {
    if (row.given && row.unread)
      throw std::invalid_argument(
          fmt::format("{}: expected none with {}, which do not read it", row.option,
                      attention ? "attention presets" : "operands that are given"));
  }
}

int Compare(const Options& o, const GlobalOptions& global) {
  std::optional<Tensor> a, b;
  if (!o.file_a.empty()) a = ReadTensor(o.file_a);
  if (!o.file_b.empty()) b = ReadTensor(o.file_b);
  PrintReport("compare", CompareReport(o, a, b, global, OutputWidth()), global);
  return kFine;
}

}  // namespace

Report CompareReport(const CompareOptions& o, const std::optional<Tensor>& a_given,
                     const std::optional<Tensor>& b_given, const GlobalOptions& global, int width) {
  CheckRange("--m, --n, --k", std::min({o.m, o.n, o.k}), 1, 1 << 24);
  CheckAllRead(o, a_given.has_value(), b_given.has_value());
  if (NamesAttention(o.machine[0]) || NamesAttention(o.machine[1]))
    return CompareAttentionPresets(o.machine[0], o.machine[1], FindDraw(o.data), o.k, global,
                                   width);
  Machine machine[2] = {FindMachine(o.machine[0]), FindMachine(o.machine[1])};
  for (int i = 0; i < 2; ++i) {
    CheckRange("--promote-a, --promote-b", o.promote[i], 0, 1 << 20);
    CheckRange("--split-k-a, --split-k-b", o.split_k[i], 1, 1 << 20);
    CheckMatrixProduct(machine[i]);
    CheckEvidence(machine[i], global);
  }
  if (a_given) CheckValues(*a_given);
  if (b_given) CheckValues(*b_given);
  const Draw draw = FindDraw(o.data);
  const Tensor a_values =
      a_given ? *a_given
              : DrawMatrix(draw, o.m, b_given ? b_given->shape[0] : o.k, 2 * global.seed);
  const Tensor b_values =
      b_given ? *b_given : DrawMatrix(draw, a_values.shape[1], o.n, 2 * global.seed + 1);
  if (a_values.shape[1] != b_values.shape[0])
    throw std::invalid_argument(fmt::format("a is {} and b is {}: expected {} rows in b",
                                            ShapeText(a_values.shape), ShapeText(b_values.shape),
                                            a_values.shape[1]));
  const int64_t m = a_values.shape[0], k = a_values.shape[1], n = b_values.shape[1];
  const SharedOperand a = ShareOperand(a_values, machine[0].spec.a, machine[1].spec.a);
  const SharedOperand b = ShareOperand(b_values, machine[0].spec.b, machine[1].spec.b);

  ComparedKernel kernel[2];
  for (int i = 0; i < 2; ++i) {
    GemmRecipe& r = kernel[i].recipe;
    r.unit = machine[i].spec;
    r.promote_every = o.promote[i];
    r.split_k = o.split_k[i];
    r.output = r.unit.acc;
    kernel[i].in.a = View(i == 0 ? a.a : a.b);
    kernel[i].in.b = View(i == 0 ? b.a : b.b);
  }
  const int threads = omp_get_max_threads();
  std::vector<uint32_t> words[2];
  for (auto& side : words) side.resize(static_cast<size_t>(m * n));
  const KernelComparison result = sim::CompareKernels(
      kernel[0], kernel[1], true, {words[0].data(), m, n}, {words[1].data(), m, n}, threads);
  const std::vector<Growth> growth = GrowWithK(kernel[0], kernel[1], k, m, n, threads);
  const sim::ErrorReport error[2] = {ErrorOf(kernel[0], words[0], m, n),
                                     ErrorOf(kernel[1], words[1], m, n)};
  ComparisonReport report{machine, kernel, a, b, result, growth, words, error, n, k, 0, {}};
  if (result.different > 0) {
    report.first_k = sim::FirstDifference(kernel[0], kernel[1], result.row, result.col);
    const int64_t step = std::lcm(machine[0].spec.k, machine[1].spec.k);
    for (int i = 0; i < 2; ++i)
      report.explain[i] = ExplainCommand(machine[i], kernel[i], result, report.first_k, step);
  }
  return {ReportJson(report), ReportText(report, width), {machine[0], machine[1]}};
}

void AddCompare(CLI::App& app, GlobalOptions& global) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "compare", "The same inputs through two machines or recipes, and why they part");
  command
      ->add_option("A", o->machine[0],
                   "A matrix unit (`lostbits machines`), or an attention preset")
      ->required();
  command->add_option("B", o->machine[1], "Another, or the same with another recipe")->required();
  command->add_option("--promote-a", o->promote[0],
                      "Instructions between promotions of A to an FP32 sum; 0 (default): never");
  command->add_option("--promote-b", o->promote[1], "The same of B");
  command->add_option("--split-k-a", o->split_k[0], "Ranges of k of A, summed in order");
  command->add_option("--split-k-b", o->split_k[1], "The same of B");
  command->add_option("--data", o->data, "normal (default), or wide: normal times 2^-6 .. 2^6");
  command->add_option("-m,--m", o->m, "Rows of a (default 32)");
  command->add_option("-n,--n", o->n, "Columns of b (default 32)");
  command->add_option("-k,--k", o->k, "Products of one output, or keys (default 4096)");
  command->add_option("--a", o->file_a, "a from a file, M x K, instead of drawn");
  command->add_option("--b", o->file_b, "b from a file, K x N");
  AddAllowUnverified(*command, global);
  AddGlobalOptions(*command, global);
  command->footer(
      "Each feature in which the two differ is moved alone from one to the other: the table says\n"
      "for which share of the differing outputs that makes them agree.\n"
      "Examples:\n"
      "  lostbits compare hopper:wgmma:e4m3:f32 ada:mma.sync:e4m3:f32\n"
      "  lostbits compare hopper:wgmma:e4m3:f32 hopper:wgmma:e4m3:f32 --promote-b 4\n"
      "  lostbits compare hopper:wgmma:e4m3:f32 hopper:wgmma:e4m3:f32@F=14\n"
      "  lostbits compare fa3.sm90.e4m3@decode fa3.sm90.e4m3@prefill");
  command->callback([o, &global] { global.run = [=, &global] { return Compare(*o, global); }; });
}

}  // namespace lostbits::cli
