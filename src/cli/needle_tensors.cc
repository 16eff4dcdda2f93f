// lostbits needle --qkv: what FP8 attention does to a user's own Q, K and V.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "cli/needle.h"
#include "fp8/codec.h"
#include "sim/attention.h"
#include "tensor_file.h"

namespace lostbits::cli {
namespace {

/// One of Q, K, V as [batch, seqlen, heads, d], in the formats the kernels read.
struct Operand {
  std::array<int64_t, 4> shape{};
  std::vector<uint16_t> bf16;
  std::vector<uint8_t> e4m3;
  float descale = 1;
  int64_t saturated = 0;  ///< elements beyond E4M3's range at this scale

  sim::HeadsView View(bool wide) const {
    return sim::ContiguousHeads(wide ? static_cast<const void*>(bf16.data()) : e4m3.data(),
                                wide ? fp8::kBF16 : fp8::kE4M3FN, shape[0], shape[1], shape[2],
                                shape[3]);
  }
};

std::array<int64_t, 4> FourDimensions(const Tensor& t) {
  const std::vector<int64_t>& s = t.shape;
  if (s.size() == 4) return {s[0], s[1], s[2], s[3]};
  if (s.size() == 3) return {1, s[0], s[1], s[2]};
  if (s.size() == 2) return {1, s[0], 1, s[1]};
  throw std::invalid_argument(fmt::format(
      "{}: expected [batch, seqlen, heads, d], [seqlen, heads, d] or [seqlen, d], found {}",
      t.source, ShapeText(s)));
}

Operand ReadOperand(const Tensor& t, const std::string& scale) {
  if (!t.format)
    throw std::invalid_argument(
        fmt::format("{}: expected floating-point elements, found {}", t.source, t.dtype));
  Operand x;
  x.shape = FourDimensions(t);
  const size_t count = static_cast<size_t>(t.Count());
  if (count == 0)
    throw std::invalid_argument(fmt::format("{}: expected elements, found an empty tensor {}",
                                            t.source, ShapeText(t.shape)));
  constexpr fp8::EncodePolicy kNearest{.overflow = fp8::Overflow::kToSpecial};
  x.bf16.resize(count);
  float amax = 0;
  for (size_t i = 0; i < count; ++i) {
    const fp8::Unpacked u = fp8::Unpack(*t.format, t.Code(static_cast<int64_t>(i)));
    x.bf16[i] = static_cast<uint16_t>(fp8::Pack(fp8::kBF16, u, kNearest).code);
    const float value = fp8::Decode<fp8::kBF16>(x.bf16[i]);
    if (!std::isfinite(value))
      throw std::invalid_argument(
          fmt::format("{}: expected finite values in BF16's range, found {} at element {}",
                      t.source, value, i));
    amax = std::max(amax, std::abs(value));
  }
  if (scale == "amax" && amax > 0) x.descale = amax / fp8::Decode<fp8::kE4M3FN>(0x7E);  // 448
  x.e4m3.resize(count);
  for (size_t i = 0; i < count; ++i) {
    // As vLLM's cache kernel: float(x) / scale, then cvt.rn.satfinite (quant_utils.cuh).
    const fp8::Encoded e =
        fp8::Pack(fp8::kE4M3FN, fp8::Unpack(fp8::Decode<fp8::kBF16>(x.bf16[i]) / x.descale));
    x.e4m3[i] = static_cast<uint8_t>(e.code);
    x.saturated += e.overflow;
  }
  return x;
}

/// Part i of 3 along the first dimension.
Tensor Third(const Tensor& all, int i, const char* name) {
  Tensor t = all;
  t.source = all.source + ":" + name;
  t.shape.erase(t.shape.begin());
  const size_t bytes = all.data.size() / 3;
  t.data.assign(all.data.begin() + static_cast<ptrdiff_t>(bytes * static_cast<size_t>(i)),
                all.data.begin() + static_cast<ptrdiff_t>(bytes * static_cast<size_t>(i + 1)));
  return t;
}

/// Q cut down to its last rows.
void KeepLastQueries(Operand* q, int64_t rows) {
  const int64_t all = q->shape[1], row = q->shape[2] * q->shape[3];
  Operand kept = *q;
  kept.shape[1] = rows;
  kept.bf16.clear();
  kept.e4m3.clear();
  for (int64_t b = 0; b < q->shape[0]; ++b) {
    const ptrdiff_t from = (b * all + all - rows) * row, to = (b + 1) * all * row;
    kept.bf16.insert(kept.bf16.end(), q->bf16.begin() + from, q->bf16.begin() + to);
    kept.e4m3.insert(kept.e4m3.end(), q->e4m3.begin() + from, q->e4m3.begin() + to);
  }
  *q = std::move(kept);
}

std::string HeadsText(const std::vector<sim::HeadError>& errors, size_t variants, int width) {
  Table table;
  for (const char* title : {"batch", "KV head", "row"}) table.AddColumn(title);
  for (const char* title : {"relative error", "gain", "keys without trace"})
    table.AddColumn(title, Table::kRight);
  // Worst heads first: by the largest error of any variant.
  std::vector<size_t> heads;
  for (size_t i = 0; i < errors.size(); i += variants) heads.push_back(i);
  const auto worst = [&](size_t head) {
    double e = 0;
    for (size_t v = 0; v < variants; ++v) e = std::max(e, errors[head + v].error.relative);
    return e;
  };
  std::stable_sort(heads.begin(), heads.end(),
                   [&](size_t x, size_t y) { return worst(x) > worst(y); });
  for (size_t head : heads) {
    for (size_t v = 0; v < variants; ++v) {
      const sim::HeadError& e = errors[head + v];
      table.AddRow({v == 0 ? std::to_string(e.batch) : "", v == 0 ? std::to_string(e.kv_head) : "",
                    e.variant, ErrorText(e.error.relative), fmt::format("{:.4f}", e.error.gain),
                    ShareText(e.keys_lost)});
    }
  }
  return table.Text(width);
}

}  // namespace

Qkv ReadQkv(const std::string& path) {
  constexpr std::array<const char*, 3> kNames{"q", "k", "v"};
  Qkv qkv{.source = path, .tensors = {}};
  const bool stacked = path.ends_with(".npy");
  Tensor all;
  if (stacked) {
    all = ReadTensor(path);
    if (all.shape.empty() || all.shape[0] != 3)
      throw std::invalid_argument(fmt::format(
          "{}: expected Q, K and V stacked as [3, ...], found {}", path, ShapeText(all.shape)));
  }
  for (size_t i = 0; i < 3; ++i)
    qkv.tensors[i] =
        stacked ? Third(all, static_cast<int>(i), kNames[i]) : ReadTensor(path + ":" + kNames[i]);
  return qkv;
}

void CheckTensorRun(const TensorRun& run) {
  if (run.scale != "1" && run.scale != "amax")
    throw std::invalid_argument(fmt::format("--scale: expected 1 or amax, found '{}'", run.scale));
}

Report TensorReport(const TensorRun& run, const Qkv& given, int threads, int width) {
  CheckTensorRun(run);
  std::array<Operand, 3> qkv;
  for (size_t i = 0; i < 3; ++i) qkv[i] = ReadOperand(given.tensors[i], run.scale);
  Operand &q = qkv[0], &k = qkv[1], &v = qkv[2];
  const int64_t queries = q.shape[1], rows = run.rows;
  if (rows < 1 || rows > queries)
    throw std::invalid_argument(
        fmt::format("--rows: expected 1 to {}, Q's length, found {}", queries, rows));
  KeepLastQueries(&q, rows);
  std::vector<int64_t> numbers;
  for (int64_t i = queries - rows; i < queries; ++i) numbers.push_back(i);

  const auto inputs = [&](bool wide) {
    sim::AttentionInputs in;
    in.q = q.View(wide);
    in.k = k.View(wide);
    in.v = v.View(wide);
    if (!wide) {
      in.q_descale = {&q.descale, 0, 0};
      in.k_descale = {&k.descale, 0, 0};
      in.v_descale = {&v.descale, 0, 0};
    }
    in.query_numbers = numbers.data();
    in.query_length = queries;
    return in;
  };
  const int64_t d = q.shape[3];
  const std::vector<sim::NeedleVariant> variants =
      sim::DefaultNeedleVariants(static_cast<int>(std::min<int64_t>(d, 1 << 20)));
  std::vector<sim::HeadError> errors;
  {
    Progress progress("needle: percent", 100);
    errors = sim::CompareOnTensors(
        inputs(true), inputs(false), true,
        static_cast<float>(1 / std::sqrt(static_cast<double>(d))), variants, threads,
        [&](double share) { progress.Update(static_cast<int64_t>(100 * share)); });
  }
  Json list = Json::array();
  for (const sim::HeadError& e : errors)
    list.push_back({{"batch", e.batch},
                    {"kv_head", e.kv_head},
                    {"variant", e.variant},
                    {"relative_error", NumberJson(e.error.relative)},
                    {"gain", NumberJson(e.error.gain)},
                    {"keys_lost", NumberJson(e.keys_lost)}});
  const Json json = {{"file", given.source},
                     {"q_shape", q.shape},
                     {"k_shape", k.shape},
                     {"descale", {q.descale, k.descale, v.descale}},
                     {"saturated", {q.saturated, k.saturated, v.saturated}},
                     {"assumptions", NeedleAssumptions()},
                     {"machines", NeedleMachinesJson(variants)},
                     {"heads", list}};
  std::string text = fmt::format(
      "{}: the last {} of {} queries over {} keys, causal; errors against exact attention on "
      "the tensors in BF16\n"
      "E4M3 scales q {}, k {}, v {}; elements saturated: q {}, k {}, v {}\n\n",
      given.source, rows, queries, k.shape[1], q.descale, k.descale, v.descale, q.saturated,
      k.saturated, v.saturated);
  text += HeadsText(errors, variants.size() + 1, width) + "\nAssumed:\n";
  for (const std::string& line : NeedleAssumptions())
    text += fmt::format("- {}\n", Wrap(line, width - 2, "  "));
  return {json, text, {}};
}

}  // namespace lostbits::cli
