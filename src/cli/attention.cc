// lostbits attention: an attention forward as a kernel computes it, and its error.
#include "sim/attention.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "cli/attention_preset.h"
#include "cli/command.h"
#include "cli/operand.h"
#include "registry.h"
#include "sim/random.h"

namespace lostbits::cli {
namespace {

struct Options {
  std::string q, k, v, preset = "fa3.sm90.e4m3", accumulation, exp2, decode = "auto";
  std::string q_descale, k_descale, v_descale, sinks, output, lse, out_format;
  std::vector<int> window;
  int interval = 0, block_m = 0, block_n = 0, splits = 1;
  int64_t rows = 0;
  float softmax_scale = 0, softcap = 0;
  bool causal = false, no_error = false;
};

/// [batch, seqlen, heads, dim] of a tensor with two to four axes: leading ones are added, and a
/// single head where there are two axes.
std::vector<int64_t> FourAxes(const Tensor& t, const char* what) {
  const std::vector<int64_t>& s = t.shape;
  if (s.size() == 4) return s;
  if (s.size() == 3) return {1, s[0], s[1], s[2]};
  if (s.size() == 2) return {1, s[0], 1, s[1]};
  throw std::invalid_argument(fmt::format(
      "{}: expected {} as [batch, seqlen, heads, dim], [seqlen, heads, dim] or [seqlen, dim], "
      "found shape {}",
      t.source, what, ShapeText(s)));
}

/// One scale for each (batch, KV head), from a number, [heads_kv] or [batch, heads_kv].
std::vector<float> Descales(const std::string& text, const char* option, int64_t batch,
                            int64_t heads) {
  const Scales s = LoadScales(text, option);
  std::vector<float> all(static_cast<size_t>(batch * heads), 1.0f);
  if (!s.given) return all;
  const bool one = s.values.size() == 1;
  const bool per_head = s.shape == std::vector<int64_t>{heads};
  if (!one && !per_head && s.shape != std::vector<int64_t>{batch, heads})
    throw std::invalid_argument(
        fmt::format("{}: expected one number, [{}] or [{}, {}] ([batch, KV heads]), found shape {}",
                    option, heads, batch, heads, ShapeText(s.shape)));
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = s.values[one ? 0 : per_head ? i % static_cast<size_t>(heads) : i];
  return all;
}

/// Codes of one input; values are divided by their KV head's descale first, as vLLM's cache does
/// (csrc/quantization/w8a8/fp8/nvidia/quant_utils.cuh: FP8 = Quantize(x / scale)).
Operand Prepare(LoadedOperand loaded, const std::vector<int64_t>& axes, const fp8::Format& format,
                const std::vector<float>& descales, int64_t heads_kv) {
  const bool ones = std::all_of(descales.begin(), descales.end(), [](float x) { return x == 1; });
  if (ones || loaded.is_codes) return EncodeOperand(std::move(loaded), format);
  const int64_t dim = axes[3], heads = axes[2], per_batch = axes[1] * heads * dim;
  const int64_t group = heads / heads_kv;
  return EncodeOperand(std::move(loaded), format, descales, [=](int64_t i) {
    return static_cast<size_t>(i / per_batch * heads_kv + i / dim % heads / group);
  });
}

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

sim::AttentionRecipe MakeRecipe(const Options& o, const AttentionPreset& preset,
                                const std::vector<int64_t>& q, int64_t heads_kv) {
  const int head_dim = static_cast<int>(std::min<int64_t>(q[3], 1 << 20));
  sim::FlashAttention3Options fa;
  fa.head_dim = head_dim;
  fa.bf16 = preset.bf16;
  fa.accumulation = o.accumulation.empty() ? preset.accumulation : FindAccumulation(o.accumulation);
  fa.interval = o.interval > 0 ? o.interval : preset.interval;
  if (fa.accumulation == sim::PvAccumulation::kEveryNTiles && fa.interval == 0) fa.interval = 4;
  fa.causal = o.causal;
  if (!o.window.empty()) {
    fa.window_left = o.window[0];
    fa.window_right = o.window[1];
  }
  fa.softcap = o.softcap;
  const bool local = fa.window_left >= 0 || fa.window_right >= 0;
  // heuristics.h:10-14 of vllm-project/flash-attention, commit 617264c1.
  const bool few_rows = q[1] * (q[2] / heads_kv) <= 64;
  if (o.decode == "auto") {
    fa.decode = few_rows && !local && (head_dim == 64 || head_dim == 128);
  } else if (o.decode == "on" || o.decode == "off") {
    fa.decode = o.decode == "on";
  } else {
    throw std::invalid_argument(
        fmt::format("--decode: expected auto, on or off, found '{}'", o.decode));
  }
  sim::AttentionRecipe recipe =
      preset.blackwell ? sim::BlackwellFp8Recipe(head_dim) : sim::FlashAttention3Recipe(fa);
  if (preset.blackwell) {
    recipe.accumulation = fa.accumulation;
    recipe.interval = fa.interval;
    recipe.causal = fa.causal;
    recipe.window_left = fa.window_left;
    recipe.window_right = fa.window_right;
    recipe.softcap = fa.softcap;
  }
  if (o.block_m > 0) recipe.block_m = o.block_m;
  if (o.block_n > 0) recipe.block_n = o.block_n;
  if (!o.exp2.empty()) recipe.exp2 = FindExp2(o.exp2);
  if (!o.out_format.empty()) recipe.output = FindFormat(o.out_format).format;
  if (o.softmax_scale != 0) recipe.softmax_scale = o.softmax_scale;
  recipe.num_splits = o.splits;
  return recipe;
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

sim::HeadsView View(const Tensor& t, const std::vector<int64_t>& axes) {
  return sim::ContiguousHeads(t.data.data(), *t.format, axes[0], axes[1], axes[2], axes[3]);
}

int Attention(const Options& o, const GlobalOptions& global) {
  const AttentionPreset& preset = FindAttentionPreset(o.preset);
  CheckRange("--interval", o.interval, 0, 1 << 20);
  CheckRange("--block-m", o.block_m, 0, 1 << 16);
  CheckRange("--block-n", o.block_n, 0, 1 << 16);
  const Machine machine = FindMachine(preset.machine);
  const fp8::Format format = machine.spec.a;
  LoadedOperand q_file = LoadOperand(o.q, format), k_file = LoadOperand(o.k, format),
                v_file = LoadOperand(o.v, format);
  std::vector<int64_t> q_axes = FourAxes(q_file.tensor, "Q");
  const std::vector<int64_t> k_axes = FourAxes(k_file.tensor, "K"),
                             v_axes = FourAxes(v_file.tensor, "V");
  const int64_t batch = q_axes[0], heads_kv = k_axes[2], full_length = q_axes[1];
  if (k_axes != v_axes || k_axes[0] != batch || k_axes[3] != q_axes[3] || q_axes[2] % heads_kv != 0)
    throw std::invalid_argument(fmt::format(
        "Q is {}, K is {}, V is {}: expected [batch, seqlen, heads, dim] with K and V alike, the "
        "same batch and dim, and heads of Q a multiple of K's",
        ShapeText(q_axes), ShapeText(k_axes), ShapeText(v_axes)));
  const sim::AttentionRecipe recipe = MakeRecipe(o, preset, q_axes, heads_kv);
  const auto q_scale = Descales(o.q_descale, "--q-descale", batch, heads_kv);
  const auto k_scale = Descales(o.k_descale, "--k-descale", batch, heads_kv);
  const auto v_scale = Descales(o.v_descale, "--v-descale", batch, heads_kv);
  std::vector<float> sinks;
  if (!o.sinks.empty()) {
    const Tensor t = DecodeTensor(ReadTensor(o.sinks));
    if (t.format != fp8::kFP32 || t.Count() != q_axes[2])
      throw std::invalid_argument(fmt::format("{}: expected {} float32 sinks, found shape {} of {}",
                                              o.sinks, q_axes[2], ShapeText(t.shape), t.dtype));
    for (int64_t i = 0; i < t.Count(); ++i)
      sinks.push_back(fp8::BitCast<float>(static_cast<uint32_t>(t.Code(i))));
  }
  if (preset.blackwell && !global.allow_unverified)
    throw Failure(kNoEvidence, fmt::format("{}: {}; to compute with it, add --allow-unverified",
                                           preset.name, preset.what));
  CheckRange("--rows", o.rows, 0, full_length);
  if (recipe.output != fp8::kBF16 && recipe.output != fp8::kFP32)
    throw std::invalid_argument(fmt::format(
        "--output-format: expected bfloat16 or float32, found {}", NamesOf(recipe.output).name));
  CheckEvidence(machine, global);

  Operand q = Prepare(std::move(q_file), q_axes, format, q_scale, heads_kv);
  const Operand k = Prepare(std::move(k_file), k_axes, format, k_scale, heads_kv);
  const Operand v = Prepare(std::move(v_file), v_axes, format, v_scale, heads_kv);
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
        {.threads = global.threads, .exp2_table = nullptr, .progress = [&](double share) {
           progress.Update(static_cast<int64_t>(100 * share));
         }});
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
  if (!o.output.empty()) wrote = WriteValues(o.output, out, "o");
  if (!o.lse.empty()) WriteTensor(o.lse, lse, "lse");

  PrintEvidence(machine, global);
  if (global.json) {
    Json body = EvidenceJson(machine);
    body.update({{"preset", preset.name}, {"recipe", RecipeJson(recipe)}});
    body.update({{"q", q_json}, {"k", OperandJson(k)}, {"v", OperandJson(v)}});
    body["shape"] = q_axes;
    if (!rows.empty()) body["query_rows"] = rows;
    if (!o.no_error) body["error"] = ErrorJson(error, index);
    body["output"] = o.output.empty() ? Json() : Json(o.output);
    body["seconds"] = seconds;
    PrintJson("attention", body);
    return kFine;
  }
  const int width = OutputWidth();
  fmt::print("Q        {}\nK        {}\nV        {}\n", q_text, OperandText(k), OperandText(v));
  fmt::print("preset   {}: {}\n", preset.name, preset.what);
  fmt::print("recipe   {}\n", Wrap(RecipeText(recipe), width - 9, std::string(9, ' ')));
  fmt::print("machine  {} for Q K^T and P V; exp2, log2 and 1/x are not the GPU's approximations\n",
             machine.name);
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
  c->add_option("--exp2", o->exp2, "correctly-rounded (default), polynomial");
  c->add_option("--rows", o->rows, "Compute only this many query rows, drawn with --seed");
  c->add_option("--output-format", o->out_format, "bfloat16 (default) or float32");
  c->add_flag("--no-error", o->no_error, "Skip the comparison with exact attention");
  c->add_option("-o,--output", o->output, ".npy or .safetensors file for O");
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
