// lostbits-gpu attention: a kernel at a size, against the recipe it is declared equal to, or within
// its bound.
#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "cuda/attention_bound.h"
#include "gpu/kernels.h"
#include "sim/parallel_for.h"

namespace lostbits::gpu {
namespace {

struct Choice {
  AttentionKernel kernel = AttentionKernel::kWgmma;
  KernelExp2 exp2 = KernelExp2::kPolynomial;
  OperandPattern pattern = OperandPattern::kNormal;
  std::string heads = "8,2", output = "f32", at;
  AttentionShape shape{.seqlen_q = 1024, .seqlen_k = 1024};
  int64_t rows = 4;
  bool twin = false;
};

std::string CommandOf(const Options& options, const Choice& c) {
  return fmt::format(
      "lostbits-gpu attention --kernel {} --exp2 {} --queries {} --keys {} --heads {} --batch {} "
      "--head-dim {}{} --splits {} --pattern {} --output {} --seed {}",
      NameOf(c.kernel), NameOf(c.exp2), c.shape.seqlen_q, c.shape.seqlen_k, c.heads, c.shape.batch,
      c.shape.head_dim, c.shape.causal ? " --causal" : "", c.shape.splits, PatternName(c.pattern),
      c.output, options.seed);
}

/// One output by the CPU, or a row's LSE.
int RunAt(const Options& options, const Choice& choice, const AttentionPlan& plan) {
  const bool lse = std::count(choice.at.begin(), choice.at.end(), ',') == 2;
  const std::vector<int64_t> at = ParseNumbers("--at", choice.at, ',', lse ? 3 : 4);
  const AttentionShape& s = plan.shape;
  const int64_t limits[] = {s.batch, s.seqlen_q, s.heads_q, s.head_dim};
  for (size_t i = 0; i < at.size(); ++i)
    if (at[i] >= limits[i])
      throw std::invalid_argument(
          fmt::format("--at: expected BATCH,QUERY,HEAD,CHANNEL within {}, found {}",
                      fmt::join(limits, ","), choice.at));
  const AttentionOperands operands = DrawAttention(plan, choice.pattern, options.seed);
  const AttentionRows rows = AttentionOnCpu(plan, operands, std::span(at).subspan(1, 1), 0);
  const auto row = static_cast<size_t>(at[0] * s.heads_q + at[2]);
  const fp8::Format format = lse ? fp8::kFP32 : plan.recipe.output;
  const uint32_t word =
      lse ? fp8::BitCast<uint32_t>(rows.lse[row])
          : rows.o[row * static_cast<size_t>(s.head_dim) + static_cast<size_t>(at[3])];
  const std::string digits = cli::CodeDigits(word, format);
  if (options.json)
    cli::PrintJson("attention", {{"at", at}, {"cpu", digits}});
  else
    fmt::print("{} ({}): 0x{} ({})\n", lse ? "lse" : "output", fmt::join(at, ", "), digits,
               cli::CodeValue(format, word));
  return cli::kFine;
}

struct Bounded {
  int64_t asked = 0, beyond = 0;
  int64_t infinite = 0;  ///< of the bounds: whatever comes is within them
  double worst = 0;      ///< |device - exact| in units of the bound
  std::vector<int64_t> first;

  void Count(double device, double exact, double bound, std::vector<int64_t> at) {
    const double error = device == exact ? 0 : std::fabs(device - exact);  // of Inf, too
    ++asked;
    infinite += std::isinf(bound);
    if (bound > 0 && error / bound > worst) worst = error / bound;
    if (!(error <= bound) && beyond++ == 0) first = std::move(at);
  }
  Bounded& operator+=(const Bounded& other) {
    if (beyond == 0 && other.beyond > 0) first = other.first;
    asked += other.asked;
    beyond += other.beyond;
    infinite += other.infinite;
    worst = std::max(worst, other.worst);
    return *this;
  }
  std::string Text(const char* what) const {
    return fmt::format(
        "  {} against exact attention: {} of {} beyond the bound; worst {:.3f} of "
        "it{}{}\n",
        what, beyond, asked, worst,
        infinite == 0 ? "" : fmt::format("; {} bounds are infinite", infinite),
        beyond == 0 ? "" : fmt::format("; first ({})", fmt::join(first, ", ")));
  }
  Json Report() const {
    return {{"asked", asked}, {"beyond", beyond}, {"infinite", infinite}, {"worst", worst}};
  }
};
struct BoundedRows {
  Bounded o, lse;
};

/// Where row `i` of AttentionRows::o over head_dim stands.
struct RowPlace {
  int64_t batch, query, head;
  size_t lse;  ///< its index in AttentionRows::lse
};
RowPlace PlaceOfRow(const AttentionPlan& plan, std::span<const int64_t> queries, int64_t i) {
  const auto count = static_cast<int64_t>(queries.size());
  const int64_t heads = plan.shape.heads_q, at = i / heads % count;
  const int64_t batch = i / heads / count, head = i % heads;
  return {batch, queries[static_cast<size_t>(at)], head,
          static_cast<size_t>((batch * heads + head) * count + at)};
}

/// Every output of the rows against cuda/attention_bound.h.
BoundedRows CompareWithBound(const AttentionPlan& plan, const AttentionOperands& operands,
                             std::span<const int64_t> queries, const AttentionRows& rows) {
  const auto d = static_cast<size_t>(plan.shape.head_dim);
  std::vector<BoundedRows> parts(rows.lse.size());
  sim::ParallelFor(
      static_cast<int64_t>(parts.size()), sim::ThreadCount(0), {}, [&](int64_t i) -> std::string {
        const auto row = static_cast<size_t>(i);
        const RowPlace at = PlaceOfRow(plan, queries, i);
        const BoundedRow bound =
            AttentionBound(plan, operands, at.batch, at.query, static_cast<int>(at.head));
        for (size_t c = 0; c < d; ++c)
          parts[row].o.Count(cli::CodeValue(plan.recipe.output, rows.o[row * d + c]),
                             bound.exact[c], bound.bound[c],
                             {at.batch, at.query, at.head, static_cast<int64_t>(c)});
        parts[row].lse.Count(double{rows.lse[at.lse]}, bound.lse, bound.lse_bound,
                             {at.batch, at.query, at.head});
        return "";
      });
  BoundedRows all;
  for (const BoundedRows& part : parts) {
    all.o += part.o;
    all.lse += part.lse;
  }
  return all;
}

struct Differences {
  Difference o, lse;
};
Differences Compare(const AttentionPlan& plan, std::span<const int64_t> queries,
                    const AttentionRows& device, const AttentionRows& expected,
                    const char* against) {
  Differences found{{against}, {against}};
  const int64_t d = plan.shape.head_dim;
  for (int64_t row = 0; row < static_cast<int64_t>(device.lse.size()); ++row) {
    const RowPlace at = PlaceOfRow(plan, queries, row);
    for (int64_t c = 0; c < d; ++c) {
      const auto i = static_cast<size_t>(row * d + c);
      found.o.Count({at.batch, at.query, at.head, c}, device.o[i], expected.o[i]);
    }
    found.lse.Count({at.batch, at.query, at.head}, fp8::BitCast<uint32_t>(device.lse[at.lse]),
                    fp8::BitCast<uint32_t>(expected.lse[at.lse]));
  }
  return found;
}

AttentionPlan PlanFor(const Choice& choice, AttentionKernel kernel, KernelExp2 exp2) {
  AttentionShape shape = choice.shape;
  const std::vector<int64_t> heads = ParseNumbers("--heads", choice.heads, ',', 2);
  if (heads[0] > 4096 || heads[1] > 4096)
    throw std::invalid_argument("--heads: expected at most 4096, found " + choice.heads);
  shape.heads_q = static_cast<int>(heads[0]);
  shape.heads_kv = static_cast<int>(heads[1]);
  return PlanAttention(kernel, exp2, shape, choice.output == "bf16" ? fp8::kBF16 : fp8::kFP32);
}

int RunAttention(const Options& options, const Choice& choice) {
  const AttentionPlan plan = PlanFor(choice, choice.kernel, choice.exp2);
  if (!choice.at.empty()) return RunAt(options, choice, plan);
  const std::unique_ptr<Backend> device = Open(options);
  const AttentionOperands operands = DrawAttention(plan, choice.pattern, options.seed);
  const std::vector<int64_t> queries = SampleRows(plan.shape.seqlen_q, choice.rows, options.seed);
  const AttentionRows rows = device->Attention(plan, operands, queries);

  const bool bounded = plan.exp2 == KernelExp2::kApprox;
  std::vector<Differences> found = {
      Compare(plan, queries, rows, AttentionOnCpu(plan, operands, queries, 0), "the CPU")};
  if (choice.twin && choice.kernel != AttentionKernel::kTwin)
    found.push_back(
        Compare(plan, queries, rows,
                device->Attention(PlanFor(choice, AttentionKernel::kTwin, KernelExp2::kPolynomial),
                                  operands, queries),
                "the twin on the device"));
  const BoundedRows within = CompareWithBound(plan, operands, queries, rows);

  if (!options.json)
    fmt::print("attention {} {} {}x{} keys, heads {}, d {}{}{}\n{}{}", NameOf(plan.kernel),
               NameOf(plan.exp2), plan.shape.seqlen_q, plan.shape.seqlen_k, choice.heads,
               plan.shape.head_dim, plan.shape.causal ? ", causal" : "",
               plan.shape.splits > 1 ? fmt::format(", {} splits", plan.shape.splits) : "",
               within.o.Text("O"), within.lse.Text("LSE"));
  Json list = Json::array();
  bool fine = within.o.beyond == 0 && within.lse.beyond == 0;
  const auto tell = [&](const char* of, const Difference& x, const fp8::Format& format) {
    fine = fine && (bounded || x.mismatches == 0);
    const std::string repeat =
        x.mismatches == 0
            ? ""
            : fmt::format("{} --at {}", CommandOf(options, choice), fmt::join(x.first.at, ","));
    list.push_back(x.Report(format, repeat));
    list.back()["of"] = of;
    if (!options.json)
      fmt::print("{}{}\n", x.Text(std::string("  ") + of, format, repeat),
                 bounded ? "\n  (allowed: declared bounded, not equal)" : "");
  };
  for (const Differences& x : found) {
    tell("O", x.o, plan.recipe.output);
    tell("LSE", x.lse, fp8::kFP32);
  }
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["declared"] = bounded ? "bounded" : "equal";
    body["comparisons"] = list;
    body["bound"] = within.o.Report();
    body["lse_bound"] = within.lse.Report();
    cli::PrintJson("attention", body);
  }
  return fine ? cli::kFine : cli::kMismatch;
}

}  // namespace

void AddAttention(CLI::App& app, Options& options) {
  const auto choice = std::make_shared<Choice>();
  CLI::App* command = app.add_subcommand(
      "attention", "An attention kernel against the recipe it is declared equal to");
  AddName(*command, "--kernel", choice->kernel,
          {{"twin", AttentionKernel::kTwin}, {"wgmma", AttentionKernel::kWgmma}},
          "twin: the simulator on the GPU; wgmma (default)");
  AddName(*command, "--exp2", choice->exp2,
          {{"polynomial", KernelExp2::kPolynomial},
           {"correct", KernelExp2::kCorrectlyRounded},
           {"approx", KernelExp2::kApprox}},
          "polynomial (default), correct (twin only): equal; approx (wgmma only): bounded");
  command->add_option("--queries", choice->shape.seqlen_q, "Queries");
  command->add_option("--keys", choice->shape.seqlen_k, "Keys");
  command->add_option("--heads", choice->heads, "Query heads, KV heads");
  command->add_option("--batch", choice->shape.batch, "Sequences");
  command->add_option("--head-dim", choice->shape.head_dim, "64, 128 or 256");
  command->add_flag("--causal", choice->shape.causal, "key <= query + keys - queries");
  command->add_option("--splits", choice->shape.splits, "Split-KV: ranges of key tiles");
  AddPattern(*command, choice->pattern);
  command->add_option("--output", choice->output, "f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command->add_option("--rows", choice->rows, "Queries compared, all heads of each; 0: all");
  command->add_flag("--twin", choice->twin, "Against the twin on the device, too");
  command->add_option("--at", choice->at,
                      "BATCH,QUERY,HEAD,CHANNEL: only this output, by the CPU; without CHANNEL "
                      "the row's LSE; needs no GPU");
  AddCommonOptions(*command, options);
  command->footer(
      "Exit code: 0 if no output differs (approx: none is beyond its bound), 1 otherwise, 3 if "
      "there is no device or it lacks the instruction.\n"
      "Example:\n  lostbits-gpu attention --queries 128 --keys 131072 --splits 4 --causal");
  command->callback([choice, &options] {
    options.run = [=, &options] { return RunAttention(options, *choice); };
  });
}

}  // namespace lostbits::gpu
