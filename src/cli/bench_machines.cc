// Every machine's lanes against the integers of sim/accum.h.
#include <algorithm>
#include <map>
#include <memory>

#include "cli/bench.h"
#include "cli/bench_data.h"
#include "cli/bench_gemm.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

struct Product {
  sim::AccumSpec spec;
  NormalCodes a, b;
  sim::PackedB packed;
  std::vector<uint32_t> words;
};

using Multiply = void (*)(const sim::AccumSpec&, sim::CodeView, const sim::PackedB&,
                          sim::MatrixView<uint32_t>);

BenchCase ProductCase(const std::string& name, const std::shared_ptr<Product>& p, const Shape& s,
                      Multiply multiply) {
  return {.name = name, .work = static_cast<double>(s.m * s.n * s.k), .run = [p, s, multiply] {
            std::fill(p->words.begin(), p->words.end(), 0);
            multiply(p->spec, p->a.View(), p->packed, {p->words.data(), s.m, s.n});
          }};
}

void AddRow(const sim::ArchRow& row, const std::string& series, const Shape& s, uint64_t seed,
            BenchGroup& group) {
  const std::string name = MachineName(row);
  const auto p = std::make_shared<Product>(Product{row.spec,
                                                   {row.spec.a, s.m, s.k, seed},
                                                   {row.spec.b, s.k, s.n, seed + 1},
                                                   {},
                                                   std::vector<uint32_t>(size_t(s.m * s.n))});
  p->packed.Pack(row.spec, p->b.View());
  BenchCase integers = ProductCase(name + ", integers", p, s, sim::MultiplyAccumulateScalar);
  const bool lanes = std::string_view(sim::LanePathName(row.spec)) != "integer";
  if (!lanes) {
    integers.note = "integers: no lanes for it on this processor";
    integers.series = series;
    group.cases.push_back(std::move(integers));
    return;
  }
  BenchCase c = ProductCase(name, p, s, sim::MultiplyAccumulate);
  c.goals = {{integers.name, 10, "Every machine with lanes against its integers"}};
  c.note = fmt::format("{} lanes", sim::LanePathName(row.spec));
  c.series = series;
  group.cases.push_back(std::move(integers));
  group.cases.push_back(std::move(c));
}

}  // namespace

BenchPlan MachinesPlan(const BenchSetup& setup) {
  return {[setup] {
    const Shape s = setup.quick ? Shape{4, 16, 64} : Shape{16, 64, 512};
    BenchGroup group{
        .id = "machines",
        .title = "Every machine against its integers, one thread, operands packed before",
        .state = ShapeText(s) + ", in L2",
        .unit = "MAC",
        .cases = {},
        .worst_only = true};
    std::map<int, int> rows;  // of a family
    for (const sim::ArchRow& row : sim::kArchTable) ++rows[row.family];
    std::map<int, std::string> series;
    int block_scaled = 0, wide = 0;
    for (const sim::ArchRow& row : sim::kArchTable) {
      if (!sim::HasMatrixProduct(row.spec)) {
        ++(row.spec.block != 0 ? block_scaled : wide);
        continue;
      }
      const bool first = !series.contains(row.family);
      if (first) {
        const int more = rows[row.family] - 1;
        series[row.family] = MachineName(row) + (more > 0 ? fmt::format(" +{}", more) : "");
      }
      if (first || !setup.quick) AddRow(row, series[row.family], s, setup.seed, group);
    }
    group.notes.push_back(
        fmt::format("Not timed: {} rows with block scales and {} with FP64 words, whose matrix "
                    "products are not modelled (dot and explain run them on the integers).",
                    block_scaled, wide));
    group.notes.push_back(
        "A line is a family of the table; +N: other operand pairs in it. Shown "
        "is its slowest ratio.");
    return group;
  }};
}

}  // namespace lostbits::cli
