#include "cli/attention_choices.h"

#include <algorithm>
#include <stdexcept>

#include "registry.h"

namespace lostbits::cli {

std::vector<int64_t> FourAxes(const std::string& source, const std::vector<int64_t>& s,
                              const char* what) {
  if (s.size() == 4) return s;
  if (s.size() == 3) return {1, s[0], s[1], s[2]};
  if (s.size() == 2) return {1, s[0], 1, s[1]};
  throw std::invalid_argument(fmt::format(
      "{}: expected {} as [batch, seqlen, heads, dim], [seqlen, heads, dim] or [seqlen, dim], "
      "found shape {}",
      source, what, ShapeText(s)));
}

void CheckHeads(const std::vector<int64_t>& q, const std::vector<int64_t>& k,
                const std::vector<int64_t>& v) {
  if (k != v || k[0] != q[0] || k[3] != q[3] || k[2] == 0 || q[2] % k[2] != 0)
    throw std::invalid_argument(fmt::format(
        "Q is {}, K is {}, V is {}: expected [batch, seqlen, heads, dim] with K and V alike, the "
        "same batch and dim, and heads of Q a multiple of K's",
        ShapeText(q), ShapeText(k), ShapeText(v)));
}

std::vector<float> SpreadDescales(const Scales& s, const char* option, int64_t batch,
                                  int64_t heads) {
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

Operand EncodeHeads(LoadedOperand loaded, const std::vector<int64_t>& axes,
                    const fp8::Format& format, const std::vector<float>& descales,
                    int64_t heads_kv) {
  const bool ones = std::all_of(descales.begin(), descales.end(), [](float x) { return x == 1; });
  if (ones || loaded.is_codes) return EncodeOperand(std::move(loaded), format);
  const int64_t dim = axes[3], heads = axes[2], per_batch = axes[1] * heads * dim;
  const int64_t group = heads / heads_kv;
  return EncodeOperand(std::move(loaded), format, descales, [=](int64_t i) {
    return static_cast<size_t>(i / per_batch * heads_kv + i / dim % heads / group);
  });
}

namespace {
bool NamesExp2File(const AttentionChoices& o) { return o.exp2.ends_with(".safetensors"); }
}  // namespace

sim::AttentionRecipe MakeAttentionRecipe(const AttentionChoices& o, const std::vector<int64_t>& q,
                                         int64_t heads_kv) {
  const AttentionPreset& preset = FindAttentionPreset(o.preset);
  CheckRange("--interval", o.interval, 0, 1 << 20);
  CheckRange("--block-m", o.block_m, 0, 1 << 16);
  CheckRange("--block-n", o.block_n, 0, 1 << 16);
  const int head_dim = static_cast<int>(std::min<int64_t>(q[3], 1 << 20));
  sim::FlashAttention3Options fa;
  fa.head_dim = head_dim;
  fa.bf16 = preset.bf16;
  fa.accumulation = o.accumulation.empty() ? preset.accumulation : FindAccumulation(o.accumulation);
  const bool every_n = fa.accumulation == sim::PvAccumulation::kEveryNTiles;
  if (o.interval > 0 && !every_n)
    throw std::invalid_argument(
        fmt::format("--interval: expected 0 without --accumulation every-n, found {}", o.interval));
  fa.interval = o.interval > 0 ? o.interval : preset.interval;
  if (every_n && fa.interval == 0) fa.interval = 4;
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
  if (!o.exp2.empty()) recipe.exp2 = NamesExp2File(o) ? sim::Exp2Model::kTable : FindExp2(o.exp2);
  if (!o.output.empty()) recipe.output = FindFormat(o.output).format;
  if (o.softmax_scale != 0) recipe.softmax_scale = o.softmax_scale;
  recipe.num_splits = o.splits;
  if (recipe.output != fp8::kBF16 && recipe.output != fp8::kFP32)
    throw std::invalid_argument(fmt::format(
        "--output-format: expected bfloat16 or float32, found {}", NamesOf(recipe.output).name));
  return recipe;
}

std::unique_ptr<Exp2File> OpenExp2(const AttentionChoices& o) {
  return NamesExp2File(o) ? std::make_unique<Exp2File>(o.exp2) : nullptr;
}

void CheckPresetEvidence(const AttentionPreset& preset, const GlobalOptions& global) {
  if (preset.blackwell && !global.allow_unverified)
    throw Failure(kNoEvidence, fmt::format("{}: {}; to compute with it, add --allow-unverified",
                                           preset.name, preset.what));
  CheckEvidence(FindMachine(preset.machine), global);
}

}  // namespace lostbits::cli
