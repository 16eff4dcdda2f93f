// lostbits gemm: a matrix product as a machine and a kernel's schedule compute it, and its error.
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>

#include "cli/command.h"
#include "cli/gemm_choices.h"
#include "cli/gemm_reference.h"
#include "cli/operand.h"
#include "registry.h"
#include "sim/gemm_recipe.h"

namespace lostbits::cli {
namespace {

using sim::GemmScaling;

struct Options {
  std::string a, b, c, machine, output, scale_a, scale_b, out_format, partial = "float32";
  int promote = 0, split_k = 1, split_tile = 0;
  bool b_transposed = false, no_error = false;
};

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

const char* ScalingName(GemmScaling s) {
  switch (s) {
    case GemmScaling::kNone: return "none";
    case GemmScaling::kPerTensor: return "per_tensor";
    case GemmScaling::kBlock128: return "block_128";
  }
  return "?";
}

Json RecipeJson(const sim::GemmRecipe& r) {
  return {{"promote_every", r.promote_every},  {"split_k", r.split_k},
          {"split_tile", r.split_tile},        {"partial", NamesOf(r.partial).name},
          {"scale_a", ScalingName(r.scale_a)}, {"scale_b", ScalingName(r.scale_b)},
          {"output", NamesOf(r.output).name}};
}

std::string RecipeText(const sim::GemmRecipe& r) {
  std::string text = r.promote_every == 0
                         ? std::string("no promotion")
                         : fmt::format("promoted to FP32 every {} instructions ({} k)",
                                       r.promote_every, r.promote_every * r.unit.k);
  text += fmt::format(", split-k {}", r.split_k);
  if (r.split_tile != 0) text += fmt::format(" of whole {} k", int64_t{r.split_tile} * r.unit.k);
  if (r.split_k > 1) text += fmt::format(" (partial sums in {})", NamesOf(r.partial).name);
  text += fmt::format(", scales {} and {}, output {}", ScalingName(r.scale_a),
                      ScalingName(r.scale_b), NamesOf(r.output).name);
  return text;
}

int Gemm(const Options& options, const GlobalOptions& global) {
  const Machine machine = FindMachine(options.machine);
  CheckMatrixProduct(machine);
  sim::GemmRecipe recipe = MakeGemmRecipe(machine, {.promote = options.promote,
                                                    .split_k = options.split_k,
                                                    .split_tile = options.split_tile,
                                                    .partial = options.partial,
                                                    .output = options.out_format});

  LoadedOperand a_loaded = LoadOperand(options.a, machine.spec.a);
  LoadedOperand b_loaded = LoadOperand(options.b, machine.spec.b);
  const Tensor &at = a_loaded.tensor, &bt = b_loaded.tensor;
  const ProductShape shape =
      CheckProduct(at.source, at.shape, bt.source, bt.shape, options.b_transposed);
  const int64_t m = shape.m, k = shape.k, n = shape.n;
  const Scales scale_a = LoadScales(options.scale_a, "--scale-a");
  const Scales scale_b = LoadScales(options.scale_b, "--scale-b");
  recipe.scale_a = ScalingOfA(scale_a, shape);
  recipe.scale_b = ScalingOfB(scale_b, shape);
  CheckEvidence(machine, global);

  const Operand a = EncodeScaled(std::move(a_loaded), machine.spec.a, scale_a, recipe.scale_a);
  const Operand b = EncodeScaled(std::move(b_loaded), machine.spec.b, scale_b, recipe.scale_b);
  sim::GemmInputs in{.a = View(a.codes),
                     .b = View(b.codes),
                     .b_transposed = options.b_transposed,
                     .scale_a = {},
                     .scale_b = {},
                     .c = {}};
  in.scale_a = ScaleView(scale_a);
  in.scale_b = ScaleView(scale_b);
  std::vector<uint32_t> c_words;
  if (!options.c.empty()) {
    const Operand c = EncodeOperand(LoadOperand(options.c, machine.spec.acc), machine.spec.acc);
    if (c.codes.shape != std::vector<int64_t>{m, n})
      throw std::invalid_argument(fmt::format("{}: expected C of shape [{}, {}], found {}",
                                              options.c, m, n, ShapeText(c.codes.shape)));
    for (int64_t i = 0; i < m * n; ++i) c_words.push_back(static_cast<uint32_t>(c.codes.Code(i)));
    in.c = sim::MatrixView<const uint32_t>(c_words.data(), m, n);
  }

  std::vector<uint32_t> words(static_cast<size_t>(m * n));
  const auto start = std::chrono::steady_clock::now();
  sim::Gemm(recipe, in, sim::MatrixView<uint32_t>(words.data(), m, n), omp_get_max_threads());
  const double seconds = Seconds(start);

  Tensor d = MakeTensor(recipe.output, {m, n});
  std::vector<double> values(words.size());
  for (int64_t i = 0; i < m * n; ++i) {
    d.SetCode(i, words[i]);
    values[i] = fp8::Decode(recipe.output, words[i]);
  }
  sim::ErrorReport error;
  double exact_seconds = 0;
  if (!options.no_error) {
    const auto exact_start = std::chrono::steady_clock::now();
    const std::vector<double> exact = ExactProduct(recipe, in);
    exact_seconds = Seconds(exact_start);
    error = sim::Compare(sim::MatrixView<const double>(values.data(), m, n),
                         sim::MatrixView<const double>(exact.data(), m, n), recipe.output);
  }
  const std::string wrote = options.output.empty() ? "" : WriteValues(options.output, d, "c");

  const double rate = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) /
                      std::max(seconds, 1e-9);
  PrintEvidence(machine, global);
  if (global.json) {
    Json body = EvidenceJson(machine);
    body.update({{"a", OperandJson(a)}, {"b", OperandJson(b)}, {"recipe", RecipeJson(recipe)}});
    body["shape"] = {m, n};
    body["k"] = k;
    if (!options.no_error)
      body["error"] = ErrorJson(error, [](const sim::ErrorPoint& p) {
        return std::vector<int64_t>{p.row, p.col};
      });
    body["output"] = options.output.empty() ? Json() : Json(options.output);
    body["seconds"] = seconds;
    body["macs_per_second"] = rate;
    body["path"] = sim::LanePathName(machine.spec);
    PrintJson("gemm", body);
    return kFine;
  }
  fmt::print("A        {}\nB        {}\n", OperandText(a), OperandText(b));
  fmt::print("machine  {}\nrecipe   {}\nresult   [{}, {}], k = {}\n", machine.name,
             RecipeText(recipe), m, n, k);
  if (!options.no_error) {
    fmt::print("error against exact arithmetic on the same codes\n{}",
               ErrorText(error, recipe.output, [](const sim::ErrorPoint& p) {
                 return fmt::format("[{}, {}]", p.row, p.col);
               }));
  }
  fmt::print("time     {:.3f} s, {:.3g} multiply-adds/s ({} path, {}, {} threads){}\n", seconds,
             rate, sim::LanePathName(machine.spec), sim::InstructionSetName(),
             omp_get_max_threads(),
             options.no_error ? "" : fmt::format("; exact: {:.3f} s", exact_seconds));
  if (!wrote.empty()) fmt::print("wrote    {}\n", wrote);
  return kFine;
}

}  // namespace

void AddGemm(CLI::App& app, GlobalOptions& global) {
  const auto o = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("gemm", "A matrix product on a machine, and its error");
  command->add_option("A", o->a, "M x K, .npy or .safetensors[:name]")->required();
  command->add_option("B", o->b, "K x N (N x K with --b-transposed)")->required();
  command->add_option("-m,--machine", o->machine, "The matrix unit (`lostbits machines`)")
      ->required();
  command->add_option("--promote", o->promote,
                      "Instructions between flushes to an FP32 sum; 0 (default): never. 4 is "
                      "CUTLASS's and DeepGEMM's 128 k");
  command->add_option("--split-k", o->split_k, "Contiguous ranges of k, summed in order");
  command->add_option("--split-tile", o->split_tile,
                      "Instructions that ranges are multiples of; 0 (default): an interval of "
                      "--promote, or one. 4 is cuBLASLt's 128 k");
  command->add_option("--partial", o->partial, "Of a range's sum: float32 (default), bfloat16");
  command->add_option("--scale-a", o->scale_a,
                      "A number, or a file: one number, or one a row and 128 k");
  command->add_option("--scale-b", o->scale_b,
                      "A number, or a file: one number, or one a 128 k and 128 columns");
  command->add_option("--c", o->c, "M x N addend");
  command->add_option("--output-format", o->out_format, "float32, bfloat16 or float16");
  command->add_flag("--b-transposed", o->b_transposed, "B is given as N x K");
  command->add_flag("--no-error", o->no_error, "Skip the comparison with exact arithmetic");
  command->add_option("-o,--output", o->output, ".npy or .safetensors file");
  AddAllowUnverified(*command, global);
  AddGlobalOptions(*command, global);
  command->footer(
      "float32, float16 and bfloat16 inputs are divided by their scale and encoded (nearest even,\n"
      "saturating); codes of the machine's format, and bytes without a type, are taken as they "
      "are.\n"
      "Example:\n"
      "  python3 -c \"import numpy as n; r = n.random.default_rng(0).standard_normal; "
      "n.save('a', r((64, 4096), 'f4')); n.save('b', r((4096, 96), 'f4'))\"\n"
      "  lostbits gemm a.npy b.npy --machine hopper:wgmma:e4m3:f32 --promote 4 -o c.npy");
  command->callback([o, &global] { global.run = [=, &global] { return Gemm(*o, global); }; });
}

}  // namespace lostbits::cli
