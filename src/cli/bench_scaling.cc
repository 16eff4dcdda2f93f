// Cost against size: K, N, keys and threads. tests/bench/readme.py draws them.
#include <algorithm>

#include "cli/bench.h"
#include "cli/bench_attention.h"
#include "cli/bench_gemm.h"

namespace lostbits::cli {
namespace {

constexpr const char* kMachines[] = {"hopper:wgmma:e4m3:f32", "hopper:wgmma:bf16:f32"};

/// One curve a machine, and one of OpenBLAS.
BenchGroup GemmCurves(const BenchSetup& setup, BenchGroup group, const std::vector<int64_t>& sizes,
                      Shape (*shape)(int64_t)) {
  BenchSetup blas_alone = setup;
  blas_alone.peers = nullptr;
  for (const int64_t size : sizes) {
    const size_t first = group.cases.size();
    const Shape s = shape(size);
    AddSgemmCases(blas_alone, s, group);
    for (const char* machine : kMachines)
      group.cases.push_back(GemmCase(machine, s, {.seed = setup.seed}));
    for (size_t i = first; i < group.cases.size(); ++i) {
      BenchCase& c = group.cases[i];
      c.series = c.name;
      c.x = static_cast<double>(size);
      c.name += fmt::format(", {} = {}", group.axis, size);
    }
  }
  return group;
}

std::vector<int64_t> Doubling(int64_t first, int64_t last, int64_t factor) {
  std::vector<int64_t> sizes;
  for (int64_t n = first; n <= last; n *= factor) sizes.push_back(n);
  return sizes;
}

}  // namespace

BenchPlan ScalingPlan(const BenchSetup& setup) {
  const bool quick = setup.quick;
  BenchPlan plan;
  plan.push_back([=] {
    return GemmCurves(setup,
                      {.id = "scaling_k",
                       .title = "Cost against K, one thread",
                       .state = "256 x 256 x K",
                       .unit = "MAC",
                       .cases = {},
                       .axis = "K"},
                      Doubling(64, quick ? 128 : 16384, 2), [](int64_t k) {
                        return Shape{256, 256, k};
                      });
  });
  plan.push_back([=] {
    return GemmCurves(setup,
                      {.id = "scaling_n",
                       .title = "Cost against N, one thread",
                       .state = "256 x N x 2048",
                       .unit = "MAC",
                       .cases = {},
                       .axis = "N"},
                      Doubling(16, quick ? 32 : 4096, 2), [](int64_t n) {
                        return Shape{256, n, 2048};
                      });
  });
  plan.push_back([=] {
    BenchGroup group{.id = "scaling_keys",
                     .title = "Attention decode against the number of keys, one thread",
                     .state = "FP8, head_dim 128, softmax included",
                     .unit = "MAC",
                     .cases = {},
                     .axis = "keys"};
    for (const int64_t heads : {1, 8}) {
      for (const int64_t keys : Doubling(1024, quick ? 2048 : 128 * 1024, 2)) {
        BenchCase c =
            AttentionCase({.queries = 1, .keys = keys, .heads = heads, .seed = setup.seed});
        c.series = fmt::format("decode, {} row{} of a KV head", heads, heads == 1 ? "" : "s");
        c.x = static_cast<double>(keys);
        group.cases.push_back(std::move(c));
      }
    }
    return group;
  });
  plan.push_back([=] {
    const Shape s = quick ? Shape{64, 64, 256} : Shape{512, 512, 4096};
    BenchGroup group{.id = "scaling_threads",
                     .title = "Threads, by the wall clock",
                     .state = ShapeText(s),
                     .unit = "MAC",
                     .cases = {},
                     .axis = "threads"};
    for (const char* machine : kMachines) {
      for (int threads = 1; threads <= std::max(2, setup.threads); ++threads) {
        BenchCase c = GemmCase(machine, s, {.threads = threads, .seed = setup.seed});
        c.wall_clock = true;
        c.series = c.name;
        c.x = threads;
        c.name += fmt::format(", threads = {}", threads);
        group.cases.push_back(std::move(c));
      }
    }
    return group;
  });
  return plan;
}

}  // namespace lostbits::cli
