// dot, mma, gemm and exact_gemm.
#include <stdexcept>

#include "cli/dot_lines.h"
#include "cli/gemm_choices.h"
#include "python/arrays.h"
#include "python/module.h"
#include "registry.h"
#include "sim/exact.h"
#include "sim/gemm_recipe.h"
#include "sim/parallel_for.h"

namespace lostbits::python {
namespace {

using namespace nb::literals;
using OptionalWords = std::optional<Words>;

Machine CheckedMachine(const std::string& name, bool allow_unverified) {
  Machine machine = FindMachine(name);
  cli::GlobalOptions global;
  global.allow_unverified = allow_unverified;
  cli::CheckEvidence(machine, global);
  return machine;
}

std::string WithoutLast(const std::vector<int64_t>& shape) {
  return ShapeText({shape.begin(), shape.end() - 1});
}

/// Codes of block scales, one for every spec.block products begun; none where there are no blocks.
Coded TakeBlockScales(const OptionalWords& words, const sim::AccumSpec& spec, const char* name,
                      const std::vector<int64_t>& expected) {
  if (spec.block == 0 && !words) return {};
  if (spec.block == 0)
    throw std::invalid_argument(fmt::format("{}: this machine has no block scales", name));
  if (!words)
    throw std::invalid_argument(
        fmt::format("{}: expected {} scales of shape {}, one every {} products", name,
                    NamesOf(spec.scale).name, ShapeText(expected), spec.block));
  Coded scales = TakeCodes(Take(*words, name), spec.scale);
  if (scales.shape != expected)
    throw std::invalid_argument(
        fmt::format("{}: expected shape {} (one scale every {} products), "
                    "found {}",
                    name, ShapeText(expected), spec.block, ShapeText(scales.shape)));
  return scales;
}

int64_t BlocksOf(const sim::AccumSpec& spec, int64_t k) {
  return spec.block == 0 ? 0 : (k + spec.block - 1) / spec.block;
}

/// count codes from `first` on, `step` apart.
std::vector<uint64_t> Slice(const Coded& codes, int64_t first, int64_t step, int64_t count) {
  std::vector<uint64_t> slice(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) slice[static_cast<size_t>(i)] = codes.Code(first + i * step);
  return slice;
}

OutputWords Dot(const Words& a_words, const Words& b_words, const OptionalWords& c_words,
                const std::string& name, const OptionalWords& scale_a, const OptionalWords& scale_b,
                bool allow_unverified, int threads) {
  const Machine machine = CheckedMachine(name, allow_unverified);
  const sim::AccumSpec& spec = machine.spec;
  const Input a_in = Take(a_words, "a"), b_in = Take(b_words, "b");
  if (a_in.shape != b_in.shape || a_in.shape.empty())
    throw std::invalid_argument(
        fmt::format("a is {} and b is {}: expected two arrays of one shape, the last axis k",
                    ShapeText(a_in.shape), ShapeText(b_in.shape)));
  CheckNotEmpty(a_in);
  const int64_t k = a_in.shape.back(), rows = a_in.Count() / k;
  std::vector<int64_t> shape(a_in.shape.begin(), a_in.shape.end() - 1);
  std::optional<Input> c_in;
  if (c_words) {
    c_in = Take(*c_words, "c");
    if (c_in->shape != shape && !c_in->shape.empty())
      throw std::invalid_argument(fmt::format("c: expected one number or shape {}, found {}",
                                              WithoutLast(a_in.shape), ShapeText(c_in->shape)));
  }
  const int64_t blocks = BlocksOf(spec, k);
  std::vector<int64_t> scale_shape = shape;
  scale_shape.push_back(blocks);
  const Coded sa = TakeBlockScales(scale_a, spec, "scale_a", scale_shape);
  const Coded sb = TakeBlockScales(scale_b, spec, "scale_b", scale_shape);
  Output out(spec.acc, std::move(shape));
  const int wanted = Threads(threads);
  {
    const nb::gil_scoped_release release;
    const Coded a = TakeCodes(a_in, spec.a), b = TakeCodes(b_in, spec.b);
    const Coded c = c_in ? TakeCodes(*c_in, spec.acc) : Coded{};
    sim::ParallelFor(rows, wanted, {}, [&](int64_t i) {
      const cli::DotLine line{.a = Slice(a, i * k, 1, k),
                              .b = Slice(b, i * k, 1, k),
                              .c = !c_in ? 0 : c.Code(c.shape.empty() ? 0 : i),
                              .scale_a = Slice(sa, i * blocks, 1, blocks),
                              .scale_b = Slice(sb, i * blocks, 1, blocks)};
      out.SetCode(i, cli::ComputeDot(spec, line));
      return std::string();
    });
  }
  return std::move(out).Give();
}

/// The addend in words of the accumulator; empty if there is none.
std::vector<uint32_t> TakeAddend(const OptionalWords& words, const sim::AccumSpec& spec,
                                 const cli::ProductShape& shape) {
  std::vector<uint32_t> c;
  if (!words) return c;
  const Coded codes = TakeCodes(Take(*words, "c"), spec.acc);
  if (codes.shape != std::vector<int64_t>{shape.m, shape.n})
    throw std::invalid_argument(fmt::format("c: expected shape [{}, {}], found {}", shape.m,
                                            shape.n, ShapeText(codes.shape)));
  for (int64_t i = 0; i < codes.Count(); ++i) c.push_back(static_cast<uint32_t>(codes.Code(i)));
  return c;
}

/// sim::Gemm into an array for Python. Called without the GIL.
Output RunGemm(const sim::GemmRecipe& recipe, const sim::GemmInputs& in,
               const cli::ProductShape& shape, int threads) {
  Output out(recipe.output, {shape.m, shape.n});
  if (out.bytes() == 4) {
    sim::Gemm(recipe, in, {static_cast<uint32_t*>(out.data()), shape.m, shape.n}, threads);
    return out;
  }
  std::vector<uint32_t> words(static_cast<size_t>(out.Count()));
  sim::Gemm(recipe, in, {words.data(), shape.m, shape.n}, threads);
  for (int64_t i = 0; i < out.Count(); ++i) out.SetCode(i, words[static_cast<size_t>(i)]);
  return out;
}

OutputWords Gemm(const Words& a_words, const Words& b_words, const OptionalWords& c_words,
                 const std::string& name, int promote, int split_k, int split_tile,
                 const std::string& partial, const OptionalWords& scale_a_words,
                 const OptionalWords& scale_b_words, const std::string& output_format,
                 bool b_transposed, bool allow_unverified, int threads) {
  const Machine machine = CheckedMachine(name, allow_unverified);
  cli::CheckMatrixProduct(machine);
  sim::GemmRecipe recipe = cli::MakeGemmRecipe(machine, {.promote = promote,
                                                         .split_k = split_k,
                                                         .split_tile = split_tile,
                                                         .partial = partial,
                                                         .output = output_format});
  const Input a_in = Take(a_words, "a"), b_in = Take(b_words, "b");
  const cli::ProductShape shape = cli::CheckProduct("a", a_in.shape, "b", b_in.shape, b_transposed);
  const cli::Scales scale_a = TakeScales(scale_a_words, "--scale-a");
  const cli::Scales scale_b = TakeScales(scale_b_words, "--scale-b");
  recipe.scale_a = cli::ScalingOfA(scale_a, shape);
  recipe.scale_b = cli::ScalingOfB(scale_b, shape);
  const auto codes = [](const Input& in, const fp8::Format& format, const cli::Scales& scales,
                        sim::GemmScaling scaling) {
    return TakeCodes(in, format, [&](cli::LoadedOperand loaded) {
      return cli::EncodeScaled(std::move(loaded), format, scales, scaling);
    });
  };
  const int wanted = Threads(threads);
  const std::vector<uint32_t> c = TakeAddend(c_words, machine.spec, shape);
  Output out = [&] {
    const nb::gil_scoped_release release;
    const ThreadScope scope(threads);
    const Coded a = codes(a_in, machine.spec.a, scale_a, recipe.scale_a);
    const Coded b = codes(b_in, machine.spec.b, scale_b, recipe.scale_b);
    sim::GemmInputs in{.a = a.Matrix(),
                       .b = b.Matrix(),
                       .b_transposed = b_transposed,
                       .scale_a = cli::ScaleView(scale_a),
                       .scale_b = cli::ScaleView(scale_b),
                       .c = {}};
    if (!c.empty()) in.c = {c.data(), shape.m, shape.n};
    return RunGemm(recipe, in, shape, wanted);
  }();
  return std::move(out).Give();
}

OutputWords Mma(const Words& a_words, const Words& b_words, const OptionalWords& c_words,
                const std::string& name, const OptionalWords& scale_a_words,
                const OptionalWords& scale_b_words, bool allow_unverified, int threads) {
  const Machine machine = CheckedMachine(name, allow_unverified);
  const sim::AccumSpec& spec = machine.spec;
  if (sim::HasMatrixProduct(spec)) {
    if (scale_a_words || scale_b_words)
      throw std::invalid_argument(
          fmt::format("{} has no block scales; a kernel's scales are gemm's", machine.name));
    return Gemm(a_words, b_words, c_words, name, 0, 1, 0, "float32", {}, {}, "", false,
                allow_unverified, threads);
  }
  const Input a_in = Take(a_words, "a"), b_in = Take(b_words, "b");
  const cli::ProductShape shape = cli::CheckProduct("a", a_in.shape, "b", b_in.shape, false);
  CheckNotEmpty(a_in);
  CheckNotEmpty(b_in);
  const int64_t m = shape.m, k = shape.k, n = shape.n;
  const int64_t blocks = BlocksOf(spec, k);
  const Coded sa = TakeBlockScales(scale_a_words, spec, "scale_a", {m, blocks});
  const Coded sb = TakeBlockScales(scale_b_words, spec, "scale_b", {blocks, n});
  std::optional<Input> c_in;
  if (c_words) c_in = Take(*c_words, "c");
  if (c_in && c_in->shape != std::vector<int64_t>{m, n})
    throw std::invalid_argument(
        fmt::format("c: expected shape [{}, {}], found {}", m, n, ShapeText(c_in->shape)));
  Output out(spec.acc, {m, n});
  const int wanted = Threads(threads);
  {
    const nb::gil_scoped_release release;
    const Coded a = TakeCodes(a_in, spec.a), b = TakeCodes(b_in, spec.b);
    const Coded c = c_in ? TakeCodes(*c_in, spec.acc) : Coded{};
    sim::ParallelFor(out.Count(), wanted, {}, [&](int64_t i) {
      const int64_t row = i / n, col = i % n;
      const cli::DotLine line{.a = Slice(a, row * k, 1, k),
                              .b = Slice(b, col, n, k),
                              .c = c_in ? c.Code(i) : 0,
                              .scale_a = Slice(sa, row * blocks, 1, blocks),
                              .scale_b = Slice(sb, col, n, blocks)};
      out.SetCode(i, cli::ComputeDot(spec, line));
      return std::string();
    });
  }
  return std::move(out).Give();
}

OutputWords ExactGemm(const Words& a_words, const Words& b_words, bool b_transposed, int threads) {
  const Input inputs[2] = {Take(a_words, "a"), Take(b_words, "b")};
  const cli::ProductShape shape =
      cli::CheckProduct("a", inputs[0].shape, "b", inputs[1].shape, b_transposed);
  sim::CodeView view[2];
  for (int i = 0; i < 2; ++i) {
    const Input& in = inputs[i];
    if (!in.format || *in.format == fp8::kFP64)
      throw std::invalid_argument(
          fmt::format("{}: expected float32 or narrower, found {}", in.name,
                      in.format ? "float64" : "raw codes: give their format"));
    view[i] = {in.data, *in.format, in.shape[0], in.shape[1], in.shape[1]};
  }
  Output out(fp8::kFP64, {shape.m, shape.n});
  {
    const nb::gil_scoped_release release;
    const ThreadScope scope(threads);
    const sim::MatrixView<double> d(static_cast<double*>(out.data()), shape.m, shape.n);
    if (b_transposed) {
      sim::ExactGemmTransposed(view[0], view[1], d);
    } else {
      sim::ExactGemm(view[0], view[1], d);
    }
  }
  return std::move(out).Give();
}

}  // namespace

void AddProducts(nb::module_& m) {
  m.def("dot", &Dot, "a"_a, "b"_a, "c"_a.none(), "machine"_a, "scale_a"_a.none(),
        "scale_b"_a.none(), "allow_unverified"_a, "threads"_a);
  m.def("mma", &Mma, "a"_a, "b"_a, "c"_a.none(), "machine"_a, "scale_a"_a.none(),
        "scale_b"_a.none(), "allow_unverified"_a, "threads"_a);
  m.def("gemm", &Gemm, "a"_a, "b"_a, "c"_a.none(), "machine"_a, "promote"_a, "split_k"_a,
        "split_tile"_a, "partial"_a, "scale_a"_a.none(), "scale_b"_a.none(), "output_format"_a,
        "b_transposed"_a, "allow_unverified"_a, "threads"_a);
  m.def("exact_gemm", &ExactGemm, "a"_a, "b"_a, "b_transposed"_a, "threads"_a);
}

}  // namespace lostbits::python
