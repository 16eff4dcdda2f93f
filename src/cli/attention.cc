// lostbits attention: an attention forward as a kernel computes it, and its error.
#include "sim/attention.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "cli/attention_choices.h"
#include "cli/attention_preset.h"
#include "cli/command.h"
#include "cli/operand.h"
#include "registry.h"
#include "sim/random.h"

namespace lostbits::cli {
namespace {

struct Options : AttentionChoices {
  std::string q, k, v, q_descale, k_descale, v_descale, sinks, output_file, lse;
  int64_t rows = 0;
  bool no_error = false;
};

/// `count` distinct numbers below `total`, ascending.
std::vector<int64_t> SampleRows(int64_t total, int64_t count, uint64_t seed) {
  sim::Random random(seed);
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < total && static_cast<int64_t>(rows.size()) < count; ++i) {
    const auto left = static_cast<uint32_t>(total - i);
    if (random.Below(left) < static_cast<uint64_t>(count) - rows.size()) rows.push_back(i);
  }
  return rows;
}

/// The given rows of every sequence of a tensor with axes [batch, seqlen, heads, dim].
Tensor GatherRows(const Tensor& t, const std::vector<int64_t>& axes,
                  const std::vector<int64_t>& rows) {
  Tensor out = t;
  const auto count = static_cast<int64_t>(rows.size());
  out.shape = {axes[0], count, axes[2], axes[3]};
  const int64_t bytes = axes[2] * axes[3] * t.element_size;
  out.data.clear();
  for (int64_t b = 0; b < axes[0]; ++b) {
    for (int64_t row : rows) {
      const auto from = t.data.begin() + (b * axes[1] + row) * bytes;
      out.data.insert(out.data.end(), from, from + bytes);
    }
  }
  return out;
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

sim::HeadsView View(const Tensor& t, const std::vector<int64_t>& axes) {
  return sim::ContiguousHeads(t.data.data(), *t.format, axes[0], axes[1], axes[2], axes[3]);
}

int Attention(const Options& o, const GlobalOptions& global) {
  const AttentionPreset& preset = FindAttentionPreset(o.preset);
  const Machine machine = FindMachine(preset.machine);
  const fp8::Format format = machine.spec.a;
  LoadedOperand q_file = LoadOperand(o.q, format), k_file = LoadOperand(o.k, format),
                v_file = LoadOperand(o.v, format);
  std::vector<int64_t> q_axes = FourAxes(q_file.tensor.source, q_file.tensor.shape, "Q");
  const std::vector<int64_t> k_axes = FourAxes(k_file.tensor.source, k_file.tensor.shape, "K"),
                             v_axes = FourAxes(v_file.tensor.source, v_file.tensor.shape, "V");
  const int64_t batch = q_axes[0], heads_kv = k_axes[2], full_length = q_axes[1];
  CheckHeads(q_axes, k_axes, v_axes);
  const std::unique_ptr<Exp2File> exp2 = OpenExp2(o);
  sim::AttentionRecipe recipe = MakeAttentionRecipe(o, q_axes, heads_kv);
  const auto q_scale =
      SpreadDescales(LoadScales(o.q_descale, "--q-descale"), "--q-descale", batch, heads_kv);
  const auto k_scale =
      SpreadDescales(LoadScales(o.k_descale, "--k-descale"), "--k-descale", batch, heads_kv);
  const auto v_scale =
      SpreadDescales(LoadScales(o.v_descale, "--v-descale"), "--v-descale", batch, heads_kv);
  std::vector<float> sinks;
  if (!o.sinks.empty()) {
    const Tensor t = DecodeTensor(ReadTensor(o.sinks));
    if (t.format != fp8::kFP32 || t.Count() != q_axes[2])
      throw std::invalid_argument(fmt::format("{}: expected {} float32 sinks, found shape {} of {}",
                                              o.sinks, q_axes[2], ShapeText(t.shape), t.dtype));
    for (int64_t i = 0; i < t.Count(); ++i)
      sinks.push_back(fp8::BitCast<float>(static_cast<uint32_t>(t.Code(i))));
  }
  CheckRange("--rows", o.rows, 0, full_length);
  CheckPresetEvidence(preset, global);

  Operand q = EncodeHeads(std::move(q_file), q_axes, format, q_scale, heads_kv);
  const Operand k = EncodeHeads(std::move(k_file), k_axes, format, k_scale, heads_kv);
  const Operand v = EncodeHeads(std::move(v_file), v_axes, format, v_scale, heads_kv);
  const std::string q_text = OperandText(q);
  const Json q_json = OperandJson(q);
  sim::AttentionInputs in;
  std::vector<int64_t> rows;
  if (o.rows > 0) {
    rows = SampleRows(full_length, o.rows, global.seed);
    q.codes = GatherRows(q.codes, q_axes, rows);
    q_axes = q.codes.shape;
    in.query_numbers = rows.data();
    in.query_length = full_length;
  }
  in.q = View(q.codes, q_axes);
  in.k = View(k.codes, k_axes);
  in.v = View(v.codes, v_axes);
  in.q_descale = {q_scale.data(), heads_kv, 1};
  in.k_descale = {k_scale.data(), heads_kv, 1};
  in.v_descale = {v_scale.data(), heads_kv, 1};
  if (!sinks.empty()) in.sinks = sinks.data();

  const int64_t seqlen_q = q_axes[1], heads = q_axes[2], dim = q_axes[3];
  Tensor out = MakeTensor(recipe.output, q_axes);
  Tensor lse = MakeTensor(fp8::kFP32, {batch, heads, seqlen_q});
  const auto start = std::chrono::steady_clock::now();
  {
    Progress progress("attention: % of rows", 100);
    sim::AttentionForward(
        recipe, in, {out.data.data(), reinterpret_cast<float*>(lse.data.data())},
        {.threads = global.threads,
         .exp2_table = exp2 ? &exp2->table() : nullptr,
         .progress = [&](double share) { progress.Update(static_cast<int64_t>(100 * share)); }});
  }
  const double seconds = Seconds(start);

  const int64_t out_rows = batch * seqlen_q * heads;
  sim::ErrorReport error;
  double exact_seconds = 0;
  if (!o.no_error) {
    const auto exact_start = std::chrono::steady_clock::now();
    std::vector<double> exact(static_cast<size_t>(out_rows * dim)), values;
    sim::AttentionExact(recipe, in, exact.data(), nullptr, global.threads);
    exact_seconds = Seconds(exact_start);
    for (int64_t i = 0; i < out.Count(); ++i)
      values.push_back(double{fp8::Decode(recipe.output, out.Code(i))});
    error = sim::Compare(sim::MatrixView<const double>(values.data(), out_rows, dim),
                         sim::MatrixView<const double>(exact.data(), out_rows, dim), recipe.output);
  }
  const auto index = [&](const sim::ErrorPoint& p) {
    const int64_t token = p.row / heads;
    return std::vector<int64_t>{token / seqlen_q, token % seqlen_q, p.row % heads, p.col};
  };
  std::string wrote;
  if (!o.output_file.empty()) wrote = WriteValues(o.output_file, out, "o");
  if (!o.lse.empty()) WriteTensor(o.lse, lse, "lse");

  PrintEvidence(machine, global);
  if (global.json) {
    Json body = EvidenceJson(machine);
    body.update({{"preset", preset.name}, {"recipe", RecipeJson(recipe)}});
    body.update({{"q", q_json}, {"k", OperandJson(k)}, {"v", OperandJson(v)}});
    body["shape"] = q_axes;
    if (exp2)
      body["exp2"] = {{"file", o.exp2}, {"device", exp2->device()}, {"blocks", exp2->blocks()}};
    if (!rows.empty()) body["query_rows"] = rows;
    if (!o.no_error) body["error"] = ErrorJson(error, index);
    body["output"] = o.output_file.empty() ? Json() : Json(o.output_file);
    body["seconds"] = seconds;
    PrintJson("attention", body);
    return kFine;
  }
  const int width = OutputWidth();
  fmt::print("Q        {}\nK        {}\nV        {}\n", q_text, OperandText(k), OperandText(v));
  fmt::print("preset   {}: {}\n", preset.name, preset.what);
  fmt::print("recipe   {}\n", Wrap(RecipeText(recipe), width - 9, std::string(9, ' ')));
  fmt::print("machine  {} for Q K^T and P V; {}log2 and 1/x are not the GPU's approximations\n",
             machine.name, exp2 ? "" : "exp2, ");
  if (exp2)
    fmt::print("exp2     {}: recorded of {}, {} of 512 blocks of inputs\n", o.exp2, exp2->device(),
               exp2->blocks());
  fmt::print("result   {}{}\n", ShapeText(q_axes),
             rows.empty() ? "" : fmt::format(", {} of {} query rows", rows.size(), full_length));
  if (!o.no_error)
    fmt::print("error against exact attention on the same codes\n{}",
               ErrorText(error, recipe.output,
                         [&](const sim::ErrorPoint& p) { return ShapeText(index(p)); }));
  fmt::print("time     {:.3f} s{}\n", seconds,
             o.no_error ? "" : fmt::format("; exact: {:.3f} s", exact_seconds));
  if (!wrote.empty()) fmt::print("wrote    {}\n", wrote);
  return kFine;
}

}  // namespace

void AddAttention(CLI::App& app, GlobalOptions& global) {
  const auto o = std::make_shared<Options>();
  CLI::App* c = app.add_subcommand("attention", "An attention forward, and its error");
  c->add_option("Q", o->q, "[batch, seqlen, heads, dim] (or without batch, or heads)")->required();
  c->add_option("K", o->k, "[batch, seqlen_k, heads_kv, dim]")->required();
  c->add_option("V", o->v, "As K")->required();
  c->add_option("--preset", o->preset, fmt::format("{}", fmt::join(AttentionPresetNames(), ", ")));
  c->add_option("--accumulation", o->accumulation,
                "Of P V: one-level, per-tile, every-n, exact (default: the preset's)");
  c->add_option("--interval", o->interval, "Key tiles between flushes under every-n");
  c->add_option("--decode", o->decode, "Kernel for few query rows: auto (default), on, off");
  c->add_option("--block-m", o->block_m, "Rows of a tile (default: the kernel's)");
  c->add_option("--block-n", o->block_n, "Keys of a tile (default: the kernel's)");
  c->add_option("--splits", o->splits, "Ranges of keys merged by a second kernel");
  c->add_flag("--causal", o->causal, "Query i sees keys up to i + seqlen_k - seqlen_q");
  c->add_option("--window", o->window, "Keys seen to the left and right; -1: all")->expected(2);
  c->add_option("--softmax-scale", o->softmax_scale, "Default 1 / sqrt(dim)");
  c->add_option("--softcap", o->softcap, "0 (default): none");
  c->add_option("--q-descale", o->q_descale, "A number, or a file [heads_kv] or [batch, heads_kv]");
  c->add_option("--k-descale", o->k_descale, "The same for K");
  c->add_option("--v-descale", o->v_descale, "The same for V");
  c->add_option("--sinks", o->sinks, "File with one logit a query head");
  c->add_option("--exp2", o->exp2,
                "correctly-rounded (default), polynomial, or a GPU's own: FILE.safetensors of "
                "`lostbits-gpu ex2`");
  c->add_option("--rows", o->rows, "Compute only this many query rows, drawn with --seed");
  c->add_option("--output-format", o->output, "bfloat16 (default) or float32");
  c->add_flag("--no-error", o->no_error, "Skip the comparison with exact attention");
  c->add_option("-o,--output", o->output_file, ".npy or .safetensors file for O");
  c->add_option("--lse", o->lse,
                ".npy or .safetensors file for log-sum-exp [batch, heads, seqlen]");
  AddAllowUnverified(*c, global);
  AddGlobalOptions(*c, global);
  c->footer(
      "float32, float16 and bfloat16 inputs are divided by their descale and encoded; codes of "
      "the\n"
      "machine's format, and bytes without a type, are taken as they are.\n"
      "Example:\n"
      "  python3 -c \"import numpy as n; r = n.random.default_rng(0).standard_normal; "
      "[n.save(x, r((1, 200, 4, 64), 'f4')) for x in 'qkv']\"\n"
      "  lostbits attention q.npy k.npy v.npy --causal -o o.npy");
  c->callback([o, &global] { global.run = [=, &global] { return Attention(*o, global); }; });
}

}  // namespace lostbits::cli
