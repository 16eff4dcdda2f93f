// lostbits needle: the main job. Long-context retrieval and error, over the whole grid of the
// common mode of V and the needle's weight.
#include "cli/needle.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "cli/command.h"
#include "registry.h"
#include "sim/haystack.h"

namespace lostbits::cli {
namespace {

struct Arguments {
  std::string contexts = "1k..128k", qkv;
  std::vector<double> means = sim::NeedleOptions{}.means;
  std::vector<double> weights = sim::NeedleOptions{}.weights;
  int trials = sim::NeedleOptions{}.trials;
  int head_dim = sim::NeedleOptions{}.head_dim;
  TensorRun tensors;
};

int64_t ParseContext(const std::string& text) {
  size_t used = 0;
  int64_t value = 0;
  try {
    value = std::stoll(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  const std::string unit = LowerCase(std::string_view(text).substr(used));
  if (used == 0 || (unit != "" && unit != "k" && unit != "m") || value < 0 || value > (1 << 20))
    throw std::invalid_argument(fmt::format(
        "--context: expected a number of keys such as 4096, 128k or 1M, found '{}'", text));
  return value * (unit == "k" ? 1024 : unit == "m" ? 1024 * 1024 : 1);
}

/// "1k..128k" doubles from the first to the last; "4k,128k" lists.
std::vector<int64_t> ParseContexts(const std::string& text) {
  const size_t dots = text.find("..");
  std::vector<int64_t> contexts;
  if (dots == std::string::npos) {
    for (const std::string& part : Split(text, ", ")) contexts.push_back(ParseContext(part));
  } else {
    const int64_t last = ParseContext(text.substr(dots + 2));
    const int64_t first = ParseContext(text.substr(0, dots));
    if (first <= 0 || first > last)
      throw std::invalid_argument(
          fmt::format("--context: expected a range from low to high, found '{}'", text));
    for (int64_t n = first; n <= last; n *= 2) contexts.push_back(n);
  }
  return contexts;
}

std::string ContextText(int64_t n) {
  if (n % (1 << 20) == 0) return fmt::format("{}M", n >> 20);
  return n % 1024 == 0 ? fmt::format("{}k", n >> 10) : fmt::format("{}", n);
}

/// The cells of one study, by what a table needs.
class Grid {
 public:
  Grid(const sim::NeedleOptions& options, const std::vector<sim::NeedleCell>& cells)
      : options_(options), cells_(cells) {
    for (const sim::NeedleCell& c : cells) {
      if (std::find(variants_.begin(), variants_.end(), c.variant) == variants_.end())
        variants_.push_back(c.variant);
    }
  }
  const std::vector<std::string>& variants() const { return variants_; }

  const sim::NeedleCell& At(size_t context, size_t mean, size_t weight, size_t variant) const {
    const size_t index =
        ((context * options_.means.size() + mean) * options_.weights.size() + weight) *
            variants_.size() +
        variant;
    return cells_.at(index);
  }
  /// Whether a variant retrieves exactly as many needles as exact attention, in every cell.
  bool AsExact(size_t variant) const {
    for (size_t i = 0; i < cells_.size(); i += variants_.size()) {
      if (cells_[i].found != cells_[i + variant].found) return false;
    }
    return true;
  }
  /// Retrieval in percent: a row a mean, a column a context, one block a weight; as many blocks
  /// beside each other as fit the width.
  std::string RetrievalText(size_t variant, int width) const {
    const size_t block = options_.contexts.size() * kColumn + 3;
    const size_t fit = std::max<size_t>(1, (static_cast<size_t>(width) - kLabel + 3) / block);
    std::string text = fmt::format("{}\n", variants_[variant]);
    for (size_t from = 0; from < options_.weights.size(); from += fit) {
      const size_t to = std::min(from + fit, options_.weights.size());
      text +=
          Line("N", from, to, [&](size_t n, size_t) { return ContextText(options_.contexts[n]); });
      for (size_t m = 0; m < options_.means.size(); ++m)
        text += Line(fmt::format("mu {}", options_.means[m]), from, to, [&](size_t n, size_t w) {
          const sim::NeedleCell& c = At(n, m, w, variant);
          return fmt::format("{:.0f}", 100.0 * c.found / c.trials);
        });
    }
    return text;
  }
  /// One figure of every variant at the longest context: a column a mean.
  template <class Figure>
  std::string LongestText(size_t weight, const std::string& title, Figure figure) const {
    std::string text = fmt::format("  {:<26}", title);
    for (double mean : options_.means) text += fmt::format("{:>8}", fmt::format("mu {}", mean));
    text += "\n";
    for (size_t v = 1; v < variants_.size(); ++v) {
      text += fmt::format("  {:<26}", variants_[v]);
      for (size_t m = 0; m < options_.means.size(); ++m)
        text += fmt::format("{:>8}", figure(At(options_.contexts.size() - 1, m, weight, v)));
      text += "\n";
    }
    return text;
  }

 private:
  static constexpr size_t kColumn = 5, kLabel = 10;

  /// One line of RetrievalText: weights [from, to), a cell a context.
  template <class Cell>
  std::string Line(const std::string& label, size_t from, size_t to, Cell cell) const {
    std::string text = fmt::format("  {:<8}", label);
    for (size_t w = from; w < to; ++w) {
      text += w == from ? "" : "  |";
      for (size_t n = 0; n < options_.contexts.size(); ++n)
        text += fmt::format("{:>{}}", cell(n, w), kColumn);
    }
    return text + "\n";
  }

  const sim::NeedleOptions& options_;
  const std::vector<sim::NeedleCell>& cells_;
  std::vector<std::string> variants_;
};

std::string GridText(const sim::NeedleOptions& o, const Grid& grid, int width) {
  std::string text;
  text += fmt::format(
      "Retrieval of one key among N, percent of {} queries over {} haystacks (guessing: {:.1f}).\n"
      "Rows: mu, the common mode of V. Columns: N, for a needle of softmax weight w = {}.\n\n",
      o.trials, o.trials / sim::kNeedleGroup, 100.0 / sim::kCodewords, fmt::join(o.weights, " | "));
  std::string as_exact;
  for (size_t v = 0; v < grid.variants().size(); ++v) {
    if (v > 0 && grid.AsExact(v)) {
      as_exact += fmt::format("{}{}", as_exact.empty() ? "" : "; ", grid.variants()[v]);
    } else {
      text += fmt::format("{}\n", grid.RetrievalText(v, width));
    }
  }
  if (!as_exact.empty())
    text += fmt::format("{}\n", Wrap("As exact in every cell: " + as_exact + ".", width));

  for (size_t w = 0; w < o.weights.size(); ++w) {
    text += fmt::format("\nAt N = {}, w = {}, against exact attention on the same inputs:\n",
                        ContextText(o.contexts.back()), o.weights[w]);
    text += fmt::format("{}", grid.LongestText(w, "relative error", [](const sim::NeedleCell& c) {
      return ErrorText(c.error.relative);
    }));
    text += fmt::format("{}", grid.LongestText(w, "gain", [](const sim::NeedleCell& c) {
      return fmt::format("{:.3f}", c.error.gain);
    }));
    text += fmt::format(
        "{}", grid.LongestText(w, "keys that left no trace",
                               [](const sim::NeedleCell& c) { return ShareText(c.keys_lost); }));
  }
  return text;
}

Json CellJson(const sim::NeedleCell& c) {
  return {{"context", c.context},
          {"mean", c.mean},
          {"weight", c.weight},
          {"variant", c.variant},
          {"trials", c.trials},
          {"found", c.found},
          {"relative_error", NumberJson(c.error.relative)},
          {"gain", NumberJson(c.error.gain)},
          {"keys_lost", NumberJson(c.keys_lost)},
          {"realised_weight", c.realised_weight}};
}

std::vector<std::string> StudyAssumptions(const sim::NeedleOptions& o) {
  std::vector<std::string> text = {
      fmt::format("Synthetic tensors, seed {}: keys and queries near N(0, 1), V = mu * (a fixed "
                  "sign a channel) + one of {} random +-1 codewords. Which cell a real model sits "
                  "in is not known: try --qkv on its tensors.",
                  o.seed, sim::kCodewords),
      fmt::format("All rows see the same E4M3 values of Q, K and V (exact in BF16), scales 1, "
                  "head_dim {}, {} query heads a KV head, one query a head.",
                  o.head_dim, sim::kNeedleGroup * o.weights.size())};
  for (std::string& line : NeedleAssumptions()) text.push_back(std::move(line));
  return text;
}

int RunStudy(const Arguments& a, const GlobalOptions& global) {
  sim::NeedleOptions options;
  options.contexts = ParseContexts(a.contexts);
  options.means = a.means;
  options.weights = a.weights;
  options.trials = a.trials;
  options.head_dim = a.head_dim;
  options.seed = global.seed;
  options.threads = global.threads;
  PrintReport("needle", NeedleReport(options, OutputWidth()), global);
  return kFine;
}

int RunOnTensors(const Arguments& a, const GlobalOptions& global) {
  CheckTensorRun(a.tensors);  // before the file is read
  PrintReport("needle", TensorReport(a.tensors, ReadQkv(a.qkv), global.threads, OutputWidth()),
              global);
  return kFine;
}

}  // namespace

std::string ErrorText(double x) { return std::isnan(x) ? "-" : fmt::format("{:.1e}", x); }

std::string ShareText(double x) {
  if (std::isnan(x)) return "-";
  if (x == 0) return "0";
  return x < 0.0005 ? "<0.1%" : fmt::format("{:.1f}%", 100 * x);
}

std::vector<std::string> NeedleAssumptions() {
  return {
      "exp2 is correctly rounded; a GPU's ex2.approx may differ in the last bits (not captured).",
      "Outputs are compared in FP32, before the kernels round them to BF16.",
      "FlashAttention-3's multiply-adds are fused wherever its source lets the compiler do so.",
      "Blackwell: tcgen05 with FlashAttention-3's tiles and order, not FlashAttention-4's.",
      "Keys that left no trace: P rounded to 0 or every product cut to nothing; one row sampled."};
}

std::vector<Machine> NeedleMachines(const std::vector<sim::NeedleVariant>& variants) {
  // Rows of equal arithmetic may differ in evidence. The table lists Hopper's wgmma rows before
  // Blackwell's tcgen05 rows, so each kernel here finds its own machine's.
  std::vector<Machine> used;
  for (const sim::NeedleVariant& v : variants) {
    for (const sim::AccumSpec& spec : {v.recipe.qk, v.recipe.pv}) {
      for (const sim::ArchRow& row : sim::kArchTable) {
        const std::string_view instruction = row.instruction;
        if (row.spec != spec || (instruction != "wgmma" && instruction != "tcgen05")) continue;
        if (std::none_of(used.begin(), used.end(), [&](const Machine& m) { return m.row == &row; }))
          used.push_back(AsMachine(row));
        break;
      }
    }
  }
  return used;
}

Json NeedleMachinesJson(const std::vector<sim::NeedleVariant>& variants) {
  Json list = Json::array();
  for (const Machine& machine : NeedleMachines(variants)) list.push_back(EvidenceJson(machine));
  return list;
}

Report NeedleReport(const sim::NeedleOptions& options, int width) {
  const std::vector<sim::NeedleVariant> variants = sim::DefaultNeedleVariants(options.head_dim);
  std::vector<sim::NeedleCell> cells;
  {
    Progress progress("needle: percent", 100);
    cells = sim::RunNeedle(options, variants, [&](double share) {
      progress.Update(static_cast<int64_t>(100 * share));
    });
  }
  const std::vector<std::string> assumptions = StudyAssumptions(options);
  std::string text = GridText(options, Grid(options, cells), width) + "\nAssumed:\n";
  for (const std::string& line : assumptions)
    text += fmt::format("- {}\n", Wrap(line, width - 2, "  "));
  for (const Machine& m : NeedleMachines(variants))
    text += fmt::format("- {}\n", Wrap(fmt::format("{}: {}", m.name, EvidenceText(m.row->evidence)),
                                       width - 2, "  "));
  Json list = Json::array();
  for (const sim::NeedleCell& c : cells) list.push_back(CellJson(c));
  const Json json = {{"seed", options.seed},
                     {"head_dim", options.head_dim},
                     {"trials", options.trials},
                     {"guessing", 1.0 / sim::kCodewords},
                     {"assumptions", assumptions},
                     {"machines", NeedleMachinesJson(variants)},
                     {"cells", list}};
  return {json, text, {}};
}

void AddNeedle(CLI::App& app, GlobalOptions& global) {
  const auto a = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("needle", "The main job: does a key survive a long FP8 attention?");
  command->add_option("--context", a->contexts,
                      "Keys: a doubling range 1k..128k or a list 4k,32k; up to 1M");
  command->add_option("--mean", a->means, "Common mode mu of V, in codeword entries")
      ->delimiter(',');
  command->add_option("--weight", a->weights, "Softmax weight w of the needle")->delimiter(',');
  command->add_option("--trials", a->trials, "Queries a cell, a multiple of 8");
  command->add_option("--head-dim", a->head_dim, "64, 96, 128, 192 or 256");
  command->add_option("--qkv", a->qkv,
                      "Your own tensors instead: .safetensors with q, k, v, or .npy [3, ...]");
  command->add_option("--scale", a->tensors.scale,
                      "With --qkv: E4M3 scale a tensor, 1 (vLLM's default) or amax");
  command->add_option("--rows", a->tensors.rows, "With --qkv: how many of the last queries");
  AddGlobalOptions(*command, global);
  command->footer(
      "Compares exact attention, BF16, FP8 with one-level accumulation, two-level every tile, "
      "every "
      "4 and\nevery 64 tiles (FlashAttention-3 on Hopper), and FP8 on Blackwell.\n"
      "Examples:\n  lostbits needle\n  lostbits needle --context 4k,32k --mean 1 --weight 0.05\n"
      "  lostbits needle --qkv your.safetensors --scale amax");
  command->callback([a, &global] {
    global.run = [=, &global] {
      return a->qkv.empty() ? RunStudy(*a, global) : RunOnTensors(*a, global);
    };
  });
}

}  // namespace lostbits::cli
