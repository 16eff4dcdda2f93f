// attention and exact_attention.
#include "sim/attention.h"

#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>

#include "cli/attention_choices.h"
#include "exp2_file.h"
#include "python/arrays.h"
#include "python/module.h"
#include "registry.h"

namespace lostbits::python {
namespace {

using namespace nb::literals;
using OptionalWords = std::optional<Words>;

/// Q, K and V of a call, checked, with everything that sim::AttentionInputs borrows.
struct Problem {
  sim::AttentionRecipe recipe;
  std::vector<int64_t> q_shape;          ///< as the caller gave it
  std::vector<int64_t> q_axes, kv_axes;  ///< four each
  std::array<Input, 3> given;            ///< q, k, v
  Coded q, k, v;
  std::vector<float> q_descale, k_descale, v_descale, sinks;

  sim::AttentionInputs Inputs() const {
    const auto view = [](const Coded& x, const std::vector<int64_t>& axes) {
      return sim::ContiguousHeads(x.data, x.format, axes[0], axes[1], axes[2], axes[3]);
    };
    const int64_t heads = kv_axes[2];
    sim::AttentionInputs in;
    in.q = view(q, q_axes);
    in.k = view(k, kv_axes);
    in.v = view(v, kv_axes);
    in.q_descale = {q_descale.data(), heads, 1};
    in.k_descale = {k_descale.data(), heads, 1};
    in.v_descale = {v_descale.data(), heads, 1};
    if (!sinks.empty()) in.sinks = sinks.data();
    return in;
  }
};

std::vector<float> TakeSinks(const OptionalWords& words, int64_t heads) {
  if (!words) return {};
  const Input in = Take(*words, "sinks");
  if (in.format != fp8::kFP32 || in.Count() != heads)
    throw std::invalid_argument(
        fmt::format("sinks: expected {} float32 logits, found shape {} of {}", heads,
                    ShapeText(in.shape), in.format ? NamesOf(*in.format).name : "codes"));
  const auto* data = static_cast<const float*>(in.data);
  return {data, data + heads};
}

/// What both functions take, by name. Called with the GIL; `Encode` comes after, without it.
Problem TakeProblem(const Words& q_words, const Words& k_words, const Words& v_words,
                    const cli::AttentionChoices& choices, const OptionalWords& q_descale,
                    const OptionalWords& k_descale, const OptionalWords& v_descale,
                    const OptionalWords& sinks) {
  Problem p;
  p.given = {Take(q_words, "q"), Take(k_words, "k"), Take(v_words, "v")};
  p.q_shape = p.given[0].shape;
  p.q_axes = cli::FourAxes("q", p.q_shape, "Q");
  p.kv_axes = cli::FourAxes("k", p.given[1].shape, "K");
  cli::CheckHeads(p.q_axes, p.kv_axes, cli::FourAxes("v", p.given[2].shape, "V"));
  const int64_t batch = p.q_axes[0], heads = p.kv_axes[2];
  p.recipe = cli::MakeAttentionRecipe(choices, p.q_axes, heads);
  p.q_descale =
      cli::SpreadDescales(TakeScales(q_descale, "--q-descale"), "--q-descale", batch, heads);
  p.k_descale =
      cli::SpreadDescales(TakeScales(k_descale, "--k-descale"), "--k-descale", batch, heads);
  p.v_descale =
      cli::SpreadDescales(TakeScales(v_descale, "--v-descale"), "--v-descale", batch, heads);
  p.sinks = TakeSinks(sinks, p.q_axes[2]);
  return p;
}

/// Values become codes; what are codes already stays where it is.
void Encode(Problem* p) {
  const auto codes = [&](const Input& in, const std::vector<int64_t>& axes,
                         const std::vector<float>& descale) {
    return TakeCodes(in, p->recipe.qk.a, [&](cli::LoadedOperand loaded) {
      return cli::EncodeHeads(std::move(loaded), axes, p->recipe.qk.a, descale, p->kv_axes[2]);
    });
  };
  p->q = codes(p->given[0], p->q_axes, p->q_descale);
  p->k = codes(p->given[1], p->kv_axes, p->k_descale);
  p->v = codes(p->given[2], p->kv_axes, p->v_descale);
}

std::pair<OutputWords, OutputWords> Attention(
    const Words& q, const Words& k, const Words& v, const std::string& preset,
    const std::string& accumulation, int interval, const std::string& decode, int block_m,
    int block_n, int splits, bool causal, const std::vector<int>& window, float softmax_scale,
    float softcap, const OptionalWords& q_descale, const OptionalWords& k_descale,
    const OptionalWords& v_descale, const OptionalWords& sinks, const std::string& exp2,
    const std::string& output_format, bool allow_unverified, int threads) {
  cli::AttentionChoices choices;
  choices.preset = preset;
  choices.accumulation = accumulation;
  choices.exp2 = exp2;
  choices.decode = decode;
  choices.output = output_format;
  choices.window = window;
  choices.interval = interval;
  choices.block_m = block_m;
  choices.block_n = block_n;
  choices.splits = splits;
  choices.softmax_scale = softmax_scale;
  choices.softcap = softcap;
  choices.causal = causal;
  cli::GlobalOptions global;
  global.allow_unverified = allow_unverified;
  cli::CheckPresetEvidence(cli::FindAttentionPreset(preset), global);
  const ThreadScope scope(threads);
  Problem p = TakeProblem(q, k, v, choices, q_descale, k_descale, v_descale, sinks);
  Output o(p.recipe.output, p.q_shape);
  Output lse(fp8::kFP32, {p.q_axes[0], p.q_axes[2], p.q_axes[1]});
  {
    const nb::gil_scoped_release release;
    const std::unique_ptr<Exp2File> file = cli::OpenExp2(choices);
    Encode(&p);
    sim::AttentionForward(
        p.recipe, p.Inputs(), {o.data(), static_cast<float*>(lse.data())},
        {.threads = threads, .exp2_table = file ? &file->table() : nullptr, .progress = {}});
  }
  return {std::move(o).Give(), std::move(lse).Give()};
}

std::pair<OutputWords, OutputWords> ExactAttention(
    const Words& q, const Words& k, const Words& v, const std::string& preset, bool causal,
    const std::vector<int>& window, float softmax_scale, float softcap,
    const OptionalWords& q_descale, const OptionalWords& k_descale, const OptionalWords& v_descale,
    const OptionalWords& sinks, int threads) {
  cli::AttentionChoices choices;
  choices.preset = preset;
  choices.window = window;
  choices.softmax_scale = softmax_scale;
  choices.softcap = softcap;
  choices.causal = causal;
  const ThreadScope scope(threads);
  Problem p = TakeProblem(q, k, v, choices, q_descale, k_descale, v_descale, sinks);
  Output o(fp8::kFP64, p.q_shape);
  Output lse(fp8::kFP64, {p.q_axes[0], p.q_axes[2], p.q_axes[1]});
  {
    const nb::gil_scoped_release release;
    Encode(&p);
    sim::AttentionExact(p.recipe, p.Inputs(), static_cast<double*>(o.data()),
                        static_cast<double*>(lse.data()), threads);
  }
  return {std::move(o).Give(), std::move(lse).Give()};
}

}  // namespace

void AddAttention(nb::module_& m) {
  m.def("attention", &Attention, "q"_a, "k"_a, "v"_a, "preset"_a, "accumulation"_a, "interval"_a,
        "decode"_a, "block_m"_a, "block_n"_a, "splits"_a, "causal"_a, "window"_a, "softmax_scale"_a,
        "softcap"_a, "q_descale"_a.none(), "k_descale"_a.none(), "v_descale"_a.none(),
        "sinks"_a.none(), "exp2"_a, "output_format"_a, "allow_unverified"_a, "threads"_a);
  m.def("exact_attention", &ExactAttention, "q"_a, "k"_a, "v"_a, "preset"_a, "causal"_a, "window"_a,
        "softmax_scale"_a, "softcap"_a, "q_descale"_a.none(), "k_descale"_a.none(),
        "v_descale"_a.none(), "sinks"_a.none(), "threads"_a);
}

}  // namespace lostbits::python
