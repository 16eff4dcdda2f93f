// explain, compare, needle and measure_error: reports, as (JSON, text).
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "cli/compare_kernels.h"
#include "cli/explain.h"
#include "cli/needle.h"
#include "cli/operand.h"
#include "python/arrays.h"
#include "python/module.h"
#include "registry.h"

namespace lostbits::python {
namespace {

using namespace nb::literals;
using OptionalWords = std::optional<Words>;
using JsonAndText = std::pair<std::string, std::string>;

JsonAndText Give(const cli::Report& report) { return {report.json.dump(), report.text}; }

std::vector<uint64_t> TakeList(const OptionalWords& words, const fp8::Format& format,
                               const char* name) {
  std::vector<uint64_t> codes;
  if (!words) return codes;
  const Coded coded = TakeCodes(Take(*words, name), format);
  for (int64_t i = 0; i < coded.Count(); ++i) codes.push_back(coded.Code(i));
  return codes;
}

/// The dot product in codes, as a line of text, so that it passes the checks of one.
std::string LineOf(const sim::AccumSpec& spec, const OptionalWords& a, const OptionalWords& b,
                   const OptionalWords& c, const OptionalWords& scale_a,
                   const OptionalWords& scale_b) {
  cli::DotLine line{.a = TakeList(a, spec.a, "a"),
                    .b = TakeList(b, spec.b, "b"),
                    .c = 0,
                    .scale_a = TakeList(scale_a, spec.scale, "scale_a"),
                    .scale_b = TakeList(scale_b, spec.scale, "scale_b")};
  const std::vector<uint64_t> addend = TakeList(c, spec.acc, "c");
  if (addend.size() > 1)
    throw std::invalid_argument(fmt::format("c: expected one number, found {}", addend.size()));
  if (!addend.empty()) line.c = addend[0];
  return cli::DotLineText(spec, line);
}

JsonAndText Explain(const std::string& line, const OptionalWords& a, const OptionalWords& b,
                    const OptionalWords& c, const std::string& name, const OptionalWords& scale_a,
                    const OptionalWords& scale_b, int promote, const std::string& step, int width,
                    bool allow_unverified) {
  const Machine machine = FindMachine(name);
  const bool example = line.empty() && !a && !b;
  if (!example) {  // an example shows what the table says; operands are computed with
    cli::GlobalOptions global;
    global.allow_unverified = allow_unverified;
    cli::CheckEvidence(machine, global);
  }
  cli::CheckRange("--promote", promote, 0, 1'000'000'000);
  const std::string text =
      line.empty() && !example ? LineOf(machine.spec, a, b, c, scale_a, scale_b) : line;
  const cli::DotLine codes =
      example ? cli::ExampleLine(machine.spec) : cli::ParseDotLine(text, machine.spec, "operands");
  const nb::gil_scoped_release release;
  const cli::Explanation e = cli::Follow(machine, codes, promote, step);
  return {cli::ExplanationReport(e, example).dump(),
          cli::ExplanationText(e, example, {.width = width, .colour = false})};
}

JsonAndText Compare(const std::string& machine_a, const std::string& machine_b,
                    const OptionalWords& a, const OptionalWords& b, int promote_a, int promote_b,
                    int split_k_a, int split_k_b, const std::string& data, int64_t m, int64_t n,
                    int64_t k, uint64_t seed, int width, bool allow_unverified, int threads) {
  cli::CompareOptions options;
  options.machine[0] = machine_a;
  options.machine[1] = machine_b;
  options.data = data;
  options.promote[0] = promote_a;
  options.promote[1] = promote_b;
  options.split_k[0] = split_k_a;
  options.split_k[1] = split_k_b;
  options.m = m;
  options.n = n;
  options.k = k;
  cli::GlobalOptions global;
  global.seed = seed;
  global.allow_unverified = allow_unverified;
  std::optional<Tensor> a_values, b_values;
  if (a) a_values = Take(*a, "a").Copy();
  if (b) b_values = Take(*b, "b").Copy();
  const nb::gil_scoped_release release;
  const ThreadScope scope(threads);
  return Give(cli::CompareReport(options, a_values, b_values, global, width));
}

JsonAndText Needle(const std::vector<int64_t>& contexts, const std::vector<double>& means,
                   const std::vector<double>& weights, int trials, int head_dim, uint64_t seed,
                   int width, int threads) {
  sim::NeedleOptions options;
  if (!contexts.empty()) options.contexts = contexts;
  if (!means.empty()) options.means = means;
  if (!weights.empty()) options.weights = weights;
  options.trials = trials;
  options.head_dim = head_dim;
  options.seed = seed;
  options.threads = Threads(threads);
  const nb::gil_scoped_release release;
  return Give(cli::NeedleReport(options, width));
}

JsonAndText NeedleTensors(const Words& q, const Words& k, const Words& v, const std::string& scale,
                          int64_t rows, int width, int threads) {
  const cli::Qkv qkv{.source = "q, k, v",
                     .tensors = {Take(q, "q").Copy(), Take(k, "k").Copy(), Take(v, "v").Copy()}};
  const int wanted = Threads(threads);
  const nb::gil_scoped_release release;
  const ThreadScope scope(threads);
  return Give(cli::TensorReport({.scale = scale, .rows = rows}, qkv, wanted, width));
}

/// The values of an array, each exact.
std::vector<double> Values(const Input& in) {
  if (!in.format)
    throw std::invalid_argument(
        fmt::format("{}: expected floats, found codes without a format", in.name));
  std::vector<double> values(static_cast<size_t>(in.Count()));
  if (*in.format == fp8::kFP64) {
    std::memcpy(values.data(), in.data, values.size() * sizeof(double));
    return values;
  }
  std::vector<float> narrow(values.size());
  cli::DecodeArray(in.Codes(), narrow.data(), {}, 1);
  std::copy(narrow.begin(), narrow.end(), values.begin());
  return values;
}

JsonAndText MeasureError(const Words& out_words, const Words& reference_words,
                         const std::string& ulp_format) {
  const Input out = Take(out_words, "out"), reference = Take(reference_words, "reference");
  if (out.shape != reference.shape)
    throw std::invalid_argument(fmt::format("out is {}, reference is {}: expected one shape",
                                            ShapeText(out.shape), ShapeText(reference.shape)));
  const nb::gil_scoped_release release;
  const std::vector<double> o = Values(out), t = Values(reference);
  const fp8::Format format = ulp_format.empty() ? *out.format : FindFormat(ulp_format).format;
  const int64_t n = out.Count();
  const sim::ErrorReport error =
      sim::Compare(sim::MatrixView<const double>(o.data(), 1, n),
                   sim::MatrixView<const double>(t.data(), 1, n), format);
  const auto index = [&](const sim::ErrorPoint& p) {
    std::vector<int64_t> at(out.shape.size());
    int64_t rest = p.col;
    for (size_t i = at.size(); i-- > 0; rest /= out.shape[i]) at[i] = rest % out.shape[i];
    return at;
  };
  const auto place = [&](const sim::ErrorPoint& p) {
    return fmt::format("[{}]", fmt::join(index(p), ", "));
  };
  cli::Json json = cli::ErrorJson(error, index);
  json["ulp_format"] = NamesOf(format).name;
  return {json.dump(), cli::ErrorText(error, format, place)};
}

}  // namespace

void AddStudies(nb::module_& m) {
  m.def("explain", &Explain, "line"_a, "a"_a.none(), "b"_a.none(), "c"_a.none(), "machine"_a,
        "scale_a"_a.none(), "scale_b"_a.none(), "promote"_a, "step"_a, "width"_a,
        "allow_unverified"_a);
  m.def("compare", &Compare, "machine_a"_a, "machine_b"_a, "a"_a.none(), "b"_a.none(),
        "promote_a"_a, "promote_b"_a, "split_k_a"_a, "split_k_b"_a, "data"_a, "m"_a, "n"_a, "k"_a,
        "seed"_a, "width"_a, "allow_unverified"_a, "threads"_a);
  m.def("measure_error", &MeasureError, "out"_a, "reference"_a, "ulp_format"_a);
  m.def("needle", &Needle, "contexts"_a, "means"_a, "weights"_a, "trials"_a, "head_dim"_a, "seed"_a,
        "width"_a, "threads"_a);
  m.def("needle_tensors", &NeedleTensors, "q"_a, "k"_a, "v"_a, "scale"_a, "rows"_a, "width"_a,
        "threads"_a);
}

}  // namespace lostbits::python
