// lostbits-gpu attention: a kernel at a size, against the recipe it is declared equal to, or within
// its bound.
#include <cmath>
#include <memory>

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

double ValueOf(const AttentionPlan& plan, uint32_t word) {
  return cli::CodeValue(plan.recipe.output, word);
}

/// One output by the CPU.
int RunAt(const Options& options, const Choice& choice, const AttentionPlan& plan) {
  const std::vector<int64_t> at = ParseNumbers("--at", choice.at, ',', 4);
  const AttentionShape& s = plan.shape;
  const int64_t limits[] = {s.batch, s.seqlen_q, s.heads_q, s.head_dim};
  for (size_t i = 0; i < 4; ++i)
    if (at[i] >= limits[i])
      throw std::invalid_argument(
          fmt::format("--at: expected BATCH,QUERY,HEAD,CHANNEL within {}, found {}",
                      fmt::join(limits, ","), choice.at));
  const AttentionOperands operands = DrawAttention(plan, choice.pattern, options.seed);
  const AttentionRows rows = AttentionOnCpu(plan, operands, std::span(at).subspan(1, 1), 0);
  const uint32_t word =
      rows.o[static_cast<size_t>((at[0] * s.heads_q + at[2]) * s.head_dim + at[3])];
  const std::string digits = cli::CodeDigits(word, plan.recipe.output);
  if (options.json)
    cli::PrintJson("attention", {{"at", at}, {"cpu", digits}});
  else
    fmt::print("output ({}): 0x{} ({})\n", fmt::join(at, ", "), digits, ValueOf(plan, word));
  return cli::kFine;
}

struct Bounded {
  int64_t asked = 0, beyond = 0;
  double worst = 0;  ///< |O - exact| in units of the bound
  std::vector<int64_t> first;
};

/// Every output of the rows against cuda/attention_bound.h.
Bounded CompareWithBound(const AttentionPlan& plan, const AttentionOperands& operands,
                         std::span<const int64_t> queries, const AttentionRows& rows) {
  const AttentionShape& s = plan.shape;
  const auto count = static_cast<int64_t>(queries.size());
  const int64_t tasks = s.batch * count * s.heads_q;
  std::vector<Bounded> parts(static_cast<size_t>(tasks));
  sim::ParallelFor(tasks, sim::ThreadCount(0), {}, [&](int64_t row) -> std::string {
    const int64_t head = row % s.heads_q, i = row / s.heads_q % count;
    const int64_t batch = row / s.heads_q / count, query = queries[static_cast<size_t>(i)];
    const BoundedRow bound = AttentionBound(plan, operands, batch, query, static_cast<int>(head));
    Bounded& part = parts[static_cast<size_t>(row)];
    for (int64_t c = 0; c < s.head_dim; ++c) {
      const double o = ValueOf(plan, rows.o[static_cast<size_t>(row * s.head_dim + c)]);
      const double error = std::fabs(o - bound.exact[static_cast<size_t>(c)]);
      const double limit = bound.bound[static_cast<size_t>(c)];
      ++part.asked;
      if (limit > 0 && error / limit > part.worst) part.worst = error / limit;
      if (!(error <= limit) && part.beyond++ == 0) part.first = {batch, query, head, c};
    }
    return "";
  });
  Bounded all;
  for (const Bounded& part : parts) {
    all.asked += part.asked;
    if (all.beyond == 0 && part.beyond > 0) all.first = part.first;
    all.beyond += part.beyond;
    all.worst = std::max(all.worst, part.worst);
  }
  return all;
}

Difference Compare(const AttentionPlan& plan, std::span<const int64_t> queries,
                   const AttentionRows& device, const AttentionRows& expected,
                   const char* against) {
  const AttentionShape& s = plan.shape;
  Difference difference{against};
  const auto count = static_cast<int64_t>(queries.size());
  for (size_t i = 0; i < device.o.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const int64_t row = at / s.head_dim;
    difference.Count(
        {row / s.heads_q / count, queries[static_cast<size_t>(row / s.heads_q % count)],
         row % s.heads_q, at % s.head_dim},
        device.o[i], expected.o[i]);
  }
  return difference;
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
  std::vector<Difference> differences = {
      Compare(plan, queries, rows, AttentionOnCpu(plan, operands, queries, 0), "the CPU")};
  if (choice.twin && choice.kernel != AttentionKernel::kTwin)
    differences.push_back(
        Compare(plan, queries, rows,
                device->Attention(PlanFor(choice, AttentionKernel::kTwin, KernelExp2::kPolynomial),
                                  operands, queries),
                "the twin on the device"));
  const Bounded within = CompareWithBound(plan, operands, queries, rows);

  const std::string what =
      fmt::format("attention {} {} {}x{} keys, heads {}, d {}{}{}", NameOf(plan.kernel),
                  NameOf(plan.exp2), plan.shape.seqlen_q, plan.shape.seqlen_k, choice.heads,
                  plan.shape.head_dim, plan.shape.causal ? ", causal" : "",
                  plan.shape.splits > 1 ? fmt::format(", {} splits", plan.shape.splits) : "");
  if (!options.json)
    fmt::print(
        "{}\n  against exact attention: {} of {} beyond the bound; worst {:.3f} of it{}\n", what,
        within.beyond, within.asked, within.worst,
        within.beyond == 0 ? "" : fmt::format("; first ({})", fmt::join(within.first, ", ")));
  Json list = Json::array();
  bool fine = within.beyond == 0;
  for (const Difference& x : differences) {
    fine = fine && (bounded || x.mismatches == 0);
    const std::string repeat =
        x.mismatches == 0
            ? ""
            : fmt::format("{} --at {}", CommandOf(options, choice), fmt::join(x.first.at, ","));
    list.push_back(x.Report(plan.recipe.output, repeat));
    if (!options.json)
      fmt::print("{}{}\n", x.Text("  words", plan.recipe.output, repeat),
                 bounded ? "\n  (allowed: declared bounded, not equal)" : "");
  }
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["declared"] = bounded ? "bounded" : "equal";
    body["comparisons"] = list;
    body["bound"] = {{"asked", within.asked}, {"beyond", within.beyond}, {"worst", within.worst}};
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
                      "BATCH,QUERY,HEAD,CHANNEL: only this output, by the CPU; needs no GPU");
  AddCommonOptions(*command, options);
  command->footer(
      "Exit code: 0 if no output differs (approx: none is beyond its bound), 1 otherwise, 3 if "
      "there is no device.\n"
      "Example:\n  lostbits-gpu attention --queries 128 --keys 131072 --splits 4 --causal");
  command->callback([choice, &options] {
    options.run = [=, &options] { return RunAttention(options, *choice); };
  });
}

}  // namespace lostbits::gpu
