// lostbits compare A B: the same inputs through two machines or two recipes.
#include "sim/compare.h"

#include <omp.h>

#include <memory>

#include "cli/command.h"
#include "cli/compare_operands.h"
#include "cli/gemm_reference.h"
#include "cli/operand.h"
#include "registry.h"
#include "sim/accum.h"
#include "sim/error.h"

namespace lostbits::cli {
namespace {

using sim::ComparedKernel;
using sim::Feature;
using sim::GemmRecipe;
using sim::KernelComparison;

struct Options {
  std::string machine[2], file_a, file_b, data = "normal";
  int promote[2] = {0, 0}, split_k[2] = {1, 1};
  int64_t m = 32, n = 32, k = 4096;
};

sim::CodeView View(const Tensor& t) {
  return {t.data.data(), *t.format, t.shape[0], t.shape[1], t.shape[1]};
}

std::string FlowName(const sim::AccumSpec& s) {
  switch (s.flow) {
    case sim::Flow::kChained: return "aligned with c";
    case sim::Flow::kInterleavedLateC: return "through FP16, c last";
    case sim::Flow::kBlockDot: return "exact blocks, aligned by scale";
    case sim::Flow::kExact: return "exact";
    case sim::Flow::kTree: return s.flush ? "rounded tree, flushed" : "rounded tree";
    case sim::Flow::kLateFloor: return "products, then c";
    case sim::Flow::kLateFloorPairs: return "even and odd, then c";
  }
  return "?";
}

std::string ResultName(const sim::AccumSpec& s) {
  const char* format = s.out == sim::kE8M13  ? "E8M13"
                       : s.acc == fp8::kFP16 ? "FP16"
                       : s.acc == fp8::kFP64 ? "FP64"
                                             : "FP32";
  return fmt::format("{} {}", s.rounding == fp8::Rounding::kTowardZero ? "cut to" : "nearest",
                     format);
}

const char* FeatureName(Feature feature) {
  switch (feature) {
    case Feature::kOperands: return "operand formats";
    case Feature::kOrder: return "how products and c are added";
    case Feature::kGroup: return "products aligned together (L of k)";
    case Feature::kFraction: return "bits kept in alignment (F)";
    case Feature::kResult: return "what a group's sum is rounded to";
    case Feature::kClamp: return "least exponent (e_zero)";
    case Feature::kUnderflow: return "sign of an underflow";
    case Feature::kPromotion: return "promotion to FP32";
    case Feature::kSplitK: return "split-K";
    case Feature::kOutput: return "output format";
  }
  return "?";
}

std::string FeatureValue(const GemmRecipe& r, Feature feature) {
  const sim::AccumSpec& s = r.unit;
  switch (feature) {
    case Feature::kOperands: return fmt::format("{}.{}", NamesOf(s.a).brief, NamesOf(s.b).brief);
    case Feature::kOrder: return FlowName(s);
    case Feature::kGroup: return fmt::format("{} of {}", s.group, s.k);
    case Feature::kFraction: return fmt::to_string(s.fraction_bits);
    case Feature::kResult: return ResultName(s);
    case Feature::kClamp: return fmt::to_string(s.e_zero);
    case Feature::kUnderflow: return s.signed_underflow ? "kept" : "+0";
    case Feature::kPromotion:
      return r.promote_every ? fmt::format("every {} k", r.promote_every * s.k) : "never";
    case Feature::kSplitK: return fmt::format("{} ({})", r.split_k, NamesOf(r.partial).brief);
    case Feature::kOutput: return NamesOf(r.output).name;
  }
  return "?";
}

/// Both sides on the first k products.
void Shorten(ComparedKernel& kernel, int64_t k) {
  kernel.in.a = kernel.in.a.Cols(0, k);
  kernel.in.b = kernel.in.b.Rows(0, k);
}

struct Growth {
  int64_t k;
  KernelComparison result;
};

/// k and its powers-of-two prefixes down to a few instructions.
std::vector<Growth> GrowWithK(const ComparedKernel& a, const ComparedKernel& b, int64_t k,
                              int64_t m, int64_t n, int threads) {
  std::vector<uint32_t> x(static_cast<size_t>(m * n)), y(x.size());
  std::vector<Growth> growth;
  for (int64_t here = 64; here < k; here *= 4) {
    ComparedKernel short_a = a, short_b = b;
    Shorten(short_a, here);
    Shorten(short_b, here);
    growth.push_back({here, sim::CompareKernels(short_a, short_b, false, {x.data(), m, n},
                                                {y.data(), m, n}, threads)});
  }
  return growth;
}

sim::ErrorReport ErrorOf(const ComparedKernel& kernel, const std::vector<uint32_t>& words,
                         int64_t m, int64_t n) {
  std::vector<double> values;
  for (uint32_t word : words) values.push_back(fp8::Decode(kernel.recipe.output, word));
  const std::vector<double> exact = ExactProduct(kernel.recipe, kernel.in);
  return sim::Compare(sim::MatrixView<const double>(values.data(), m, n),
                      sim::MatrixView<const double>(exact.data(), m, n), kernel.recipe.output);
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
  const uint64_t c = sim::DotChain(r.unit, ua.data(), ub.data(), before, 0);
  std::string a, b;
  for (int64_t i = before; i < first_k; ++i) {
    a += fmt::format("{:0{}X} ", kernel.in.a(result.row, i), (StorageBits(r.unit.a) + 3) / 4);
    b += fmt::format("{:0{}X} ", kernel.in.b(i, result.col), (StorageBits(r.unit.b) + 3) / 4);
  }
  return fmt::format(
      "lostbits explain -m {} '{}; {}; {:0{}X}'{}", machine.name, a, b, c,
      StorageBits(r.unit.acc) / 4,
      machine.row->evidence.level == sim::EvidenceLevel::kAssumed ? " --allow-unverified" : "");
}

std::string Share(int64_t part, int64_t whole) {
  return whole == 0 ? "-"
                    : fmt::format("{:.1f} %",
                                  100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

/// What the moves of single features say.
std::string Verdict(const KernelComparison& c) {
  if (c.different == 0)
    return c.features.empty() ? "The two are one function."
                              : "On these inputs no feature in which the two differ shows.";
  std::vector<std::string> alone;
  for (const sim::Attribution& f : c.features) {
    if (f.a_becomes_b == c.different || f.b_becomes_a == c.different)
      alone.emplace_back(FeatureName(f.feature));
  }
  if (alone.size() == 1) return fmt::format("Explained by one feature: {}.", alone[0]);
  if (!alone.empty()) return fmt::format("Each explains it alone: {}.", fmt::join(alone, "; "));
  return "No feature explains it alone: the differences have several causes at once.";
}

Json ComparisonJson(const KernelComparison& c) {
  return {{"outputs", c.outputs},
          {"different", c.different},
          {"specials", c.specials},
          {"max_ulp", NumberJson(c.max_ulp)},
          {"first", c.row < 0 ? Json() : Json{c.row, c.col}},
          {"worst", c.worst_row < 0 ? Json() : Json{c.worst_row, c.worst_col}}};
}

Json CountJson(const std::optional<int64_t>& count) { return count ? Json(*count) : Json(); }

struct Report {
  const Machine* machine;        ///< two
  const ComparedKernel* kernel;  ///< two
  const SharedOperand& a;
  const SharedOperand& b;
  const KernelComparison& result;
  const std::vector<Growth>& growth;
  const std::vector<uint32_t>* words;  ///< two
  const sim::ErrorReport* error;       ///< two
  int64_t n, k, first_k;
  std::string explain[2];
};

void PrintReportJson(const Report& r) {
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
    features.push_back({{"feature", FeatureName(f.feature)},
                        {"a", FeatureValue(r.kernel[0].recipe, f.feature)},
                        {"b", FeatureValue(r.kernel[1].recipe, f.feature)},
                        {"a_becomes_b", CountJson(f.a_becomes_b)},
                        {"b_becomes_a", CountJson(f.b_becomes_a)}});
  for (const Growth& g : r.growth) {
    Json row = ComparisonJson(g.result);
    row["k"] = g.k;
    growth.push_back(row);
  }
  Json body = {
      {"sides", sides},
      {"k", r.k},
      {"operands",
       {{"a", r.a.from}, {"b", r.b.from}, {"changed_between_formats", r.a.changed + r.b.changed}}}};
  body.update(ComparisonJson(r.result));
  body["first_difference_after_products"] = r.first_k == 0 ? Json() : Json(r.first_k);
  body["features"] = features;
  body["by_k"] = growth;
  body["verdict"] = Verdict(r.result);
  PrintJson("compare", body);
}

std::string WordText(const Report& r, int side, int64_t row, int64_t col) {
  const fp8::Format f = r.kernel[side].recipe.output;
  const uint32_t word = r.words[side][static_cast<size_t>(row * r.n + col)];
  return fmt::format("{} = {}", HexCode(word, StorageBits(f)), Decimal(fp8::Decode(f, word)));
}

void PrintReport(const Report& r) {
  const int width = OutputWidth();
  for (int i = 0; i < 2; ++i)
    fmt::print("{}        {}: {:.1f} dB from exact, at most {:.3g} ulp\n", "AB"[i],
               r.machine[i].name, r.error[i].sqnr_db, r.error[i].max_ulp);
  const int64_t changed = r.a.changed + r.b.changed;
  fmt::print("inputs   a: {}; b: {}; {}\n\n", r.a.from, r.b.from,
             changed == 0 ? "the same numbers on both sides"
                          : fmt::format("{} of them differ between the formats", changed));
  const KernelComparison& c = r.result;
  fmt::print("{} of {} outputs differ ({}){}\n", c.different, c.outputs,
             Share(c.different, c.outputs),
             c.specials ? fmt::format(", {} of them NaN or Inf on a side", c.specials) : "");
  if (c.different > 0) {
    fmt::print("  first  [{}, {}]: A {}, B {}\n", c.row, c.col, WordText(r, 0, c.row, c.col),
               WordText(r, 1, c.row, c.col));
    if (r.first_k > 0)
      fmt::print("         there the two first differ after {} of {} products\n", r.first_k, r.k);
    if (c.worst_row >= 0)
      fmt::print("  worst  [{}, {}]: A {}, B {}: {:.3g} ulp\n", c.worst_row, c.worst_col,
                 WordText(r, 0, c.worst_row, c.worst_col), WordText(r, 1, c.worst_row, c.worst_col),
                 c.max_ulp);
  }
  if (!r.growth.empty()) {
    Table table;
    table.AddColumn("\n  products", Table::kRight);
    table.AddColumn("differ", Table::kRight);
    table.AddColumn("max ulp", Table::kRight);
    const auto add = [&](int64_t k, const KernelComparison& g) {
      table.AddRow(
          {fmt::to_string(k), Share(g.different, g.outputs), fmt::format("{:.3g}", g.max_ulp)});
    };
    for (const Growth& g : r.growth) add(g.k, g.result);
    add(r.k, c);
    fmt::print("{}", table.Text(width));
  }
  if (!c.features.empty()) {
    Table table;
    table.AddColumn("\nfeature");
    table.AddColumn("A");
    table.AddColumn("B");
    table.AddColumn("A with B's = B", Table::kRight);
    table.AddColumn("B with A's = A", Table::kRight);
    const auto share = [&](const std::optional<int64_t>& count) {
      return count ? Share(*count, c.different) : std::string("no machine");
    };
    for (const sim::Attribution& f : c.features)
      table.AddRow({FeatureName(f.feature), FeatureValue(r.kernel[0].recipe, f.feature),
                    FeatureValue(r.kernel[1].recipe, f.feature), share(f.a_becomes_b),
                    share(f.b_becomes_a)});
    fmt::print("{}", table.Text(width));
  }
  fmt::print("{}\n", Wrap(Verdict(c), width));
  if (!r.explain[0].empty() && !r.explain[1].empty())
    fmt::print("\nThe instruction where the first one parts, explained:\n  {}\n  {}\n",
               r.explain[0], r.explain[1]);
}

/// Values of an operand: a file's, or drawn.
Tensor OperandValues(const std::string& file, const Options& o, int64_t rows, int64_t cols,
                     uint64_t seed) {
  if (file.empty()) return DrawMatrix(FindDraw(o.data), rows, cols, seed);
  Tensor t = ReadTensor(file);
  CheckTyped(t);
  if (t.shape.size() != 2 || t.Count() == 0)
    throw std::invalid_argument(
        fmt::format("{}: expected a matrix, found shape {}", t.source, ShapeText(t.shape)));
  return t;
}

int Compare(const Options& o, const GlobalOptions& global) {
  Machine machine[2] = {FindMachine(o.machine[0]), FindMachine(o.machine[1])};
  for (int64_t size : {o.m, o.n, o.k}) CheckRange("--m, --n, --k", size, 1, 1 << 24);
  for (int i = 0; i < 2; ++i) {
    CheckRange("--promote-a, --promote-b", o.promote[i], 0, 1 << 20);
    CheckRange("--split-k-a, --split-k-b", o.split_k[i], 1, 1 << 20);
    CheckEvidence(machine[i], global);
  }
  const Tensor a_values = OperandValues(o.file_a, o, o.m, o.k, 2 * global.seed);
  const Tensor b_values = OperandValues(o.file_b, o, a_values.shape[1], o.n, 2 * global.seed + 1);
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
  Report report{machine, kernel, a, b, result, growth, words, error, n, k, 0, {}};
  if (result.different > 0) {
    report.first_k = sim::FirstDifference(kernel[0], kernel[1], result.row, result.col);
    const int64_t step = std::lcm(machine[0].spec.k, machine[1].spec.k);
    for (int i = 0; i < 2; ++i)
      report.explain[i] = ExplainCommand(machine[i], kernel[i], result, report.first_k, step);
  }
  for (const Machine& side : machine) PrintEvidence(side, global);
  if (global.json) {
    PrintReportJson(report);
  } else {
    PrintReport(report);
  }
  return kFine;
}

}  // namespace

void AddCompare(CLI::App& app, GlobalOptions& global) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "compare", "The same inputs through two machines or recipes, and why they part");
  command->add_option("A", o->machine[0], "A matrix unit (`lostbits machines`)")->required();
  command->add_option("B", o->machine[1], "Another, or the same with another recipe")->required();
  command->add_option("--promote-a", o->promote[0],
                      "Instructions between flushes of A to an FP32 sum; 0 (default): never");
  command->add_option("--promote-b", o->promote[1], "The same of B");
  command->add_option("--split-k-a", o->split_k[0], "Ranges of k of A, summed in order");
  command->add_option("--split-k-b", o->split_k[1], "The same of B");
  command->add_option("--data", o->data, "normal (default), or wide: normal times 2^-6 .. 2^6");
  command->add_option("-m,--m", o->m, "Rows of a (default 32)");
  command->add_option("-n,--n", o->n, "Columns of b (default 32)");
  command->add_option("-k,--k", o->k, "Products of one output (default 4096)");
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
      "  lostbits compare hopper:wgmma:e4m3:f32 hopper:wgmma:e4m3:f32@F=14");
  command->callback([o, &global] { global.run = [=, &global] { return Compare(*o, global); }; });
}

}  // namespace lostbits::cli
