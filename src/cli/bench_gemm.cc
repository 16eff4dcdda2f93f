// Matrix products: machines against float GEMMs, instruction sets and threads against each other.
#include "cli/bench_gemm.h"

#include <algorithm>
#include <memory>

#include "cli/bench.h"
#include "cli/bench_data.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

constexpr char kBlasName[] = "OpenBLAS SGEMM";
constexpr char kHopperFp8[] = "hopper:wgmma:e4m3:f32";

/// Lines of the table of goals (tests/bench/README.md).
struct GemmGoal {
  const char* machine;
  int promote_k;  ///< k between flushes to an FP32 sum; 0: none
  double least;
  const char* text;
};
constexpr GemmGoal kGoals[] = {
    {kHopperFp8, 0, 0.30, "GEMM, Hopper FP8 wgmma"},
    {kHopperFp8, 128, 0.25, "GEMM, Hopper FP8, promoted every 128"},
    {"ada:mma.sync:e4m3:f32", 0, 0.25, "GEMM, Ada FP8"},
    {"blackwell:tcgen05:e4m3:f32", 0, 0.10, "GEMM, Blackwell FP8"},
    {"hopper:wgmma:f16:f32", 0, 0.10, "GEMM, Hopper FP16"},
    {"hopper:wgmma:bf16:f32", 0, 0.10, "GEMM, Hopper BF16"},
    {"ampere:mma.sync:f16:f32", 0, 0.10, "GEMM, Ampere FP16"},
    {"ampere:mma.sync:bf16:f32", 0, 0.10, "GEMM, Ampere BF16"},
};

Shape GoalShape(const BenchSetup& setup) {
  return setup.quick ? Shape{32, 32, 256} : Shape{512, 512, 4096};
}

}  // namespace

std::string ShapeText(const Shape& s) { return fmt::format("{} x {} x {}", s.m, s.n, s.k); }

BenchCase GemmCase(const std::string& machine, const Shape& s, const GemmCaseOptions& o) {
  struct Data {
    sim::GemmRecipe recipe;
    NormalCodes a, b;
    std::vector<uint32_t> d;
  };
  sim::GemmRecipe recipe;
  recipe.unit = FindMachine(machine).spec;
  recipe.promote_every = o.promote_k / recipe.unit.k;
  recipe.output = recipe.unit.acc;
  const auto data = std::make_shared<Data>(Data{recipe,
                                                {recipe.unit.a, s.m, s.k, o.seed},
                                                {recipe.unit.b, s.k, s.n, o.seed + 1},
                                                std::vector<uint32_t>(size_t(s.m * s.n))});
  const int threads = o.threads;
  return {.name = machine + (o.promote_k > 0 ? fmt::format(", every {}", o.promote_k) : ""),
          .work = static_cast<double>(s.m * s.n) * static_cast<double>(s.k),
          .run =
              [data, s, threads] {
                sim::GemmInputs in;
                in.a = data->a.View();
                in.b = data->b.View();
                sim::Gemm(data->recipe, in, {data->d.data(), s.m, s.n}, threads);
              },
          .threads = threads};
}

void AddSgemmCases(const BenchSetup& setup, const Shape& s, BenchGroup& group) {
  struct Data {
    std::vector<float> a, b, c;
  };
  const auto data = std::make_shared<Data>(Data{NormalFloats(size_t(s.m * s.k), setup.seed),
                                                NormalFloats(size_t(s.k * s.n), setup.seed + 1),
                                                std::vector<float>(size_t(s.m * s.n))});
  const double work = static_cast<double>(s.m * s.n) * static_cast<double>(s.k);
  const auto add = [&](const std::string& name, auto sgemm, const std::string& note) {
    group.cases.push_back({.name = name,
                           .work = work,
                           .run =
                               [data, s, sgemm] {
                                 sgemm(int(s.m), int(s.n), int(s.k), data->a.data(), data->b.data(),
                                       data->c.data());
                               },
                           .note = note});
  };
  if (setup.blas != nullptr) add(kBlasName, setup.blas->sgemm, setup.blas->kernel + " kernels");
  if (setup.peers == nullptr) return;
  for (const LostbitsBenchPeer& peer : setup.peers->For("sgemm")) add(peer.name, peer.sgemm, "");
}

BenchPlan GemmPlan(const BenchSetup& setup) {
  return {[setup] {
    const Shape s = GoalShape(setup);
    BenchGroup group{.id = "gemm",
                     .title = "Matrix products, one thread, operands packed in every call",
                     .state = ShapeText(s) + (setup.quick ? "" : ", operands larger than L2"),
                     .unit = "MAC",
                     .cases = {}};
    AddSgemmCases(setup, s, group);
    for (const GemmGoal& goal : kGoals) {
      BenchCase c = GemmCase(goal.machine, s, {.promote_k = goal.promote_k, .seed = setup.seed});
      c.goals = {{kBlasName, goal.least, goal.text}};
      group.cases.push_back(std::move(c));
    }
    return group;
  }};
}

BenchPlan InstructionSetPlan(const BenchSetup& setup) {
  return {[setup] {
    const Shape s = setup.quick ? GoalShape(setup) : Shape{256, 256, 2048};
    BenchGroup group{.id = "gemm_instruction_sets",
                     .title = "The same product on every instruction set, one thread",
                     .state = ShapeText(s),
                     .unit = "MAC",
                     .cases = {}};
    const std::vector<std::string> sets = LaneInstructionSets();
    for (const char* machine : {kHopperFp8, "hopper:wgmma:bf16:f32"}) {
      const auto name = [&](const std::string& set) { return fmt::format("{}, {}", machine, set); };
      for (const std::string& set : sets) {
        BenchCase c = GemmCase(machine, s, {.seed = setup.seed});
        c.run = OnInstructionSet(set, std::move(c.run));
        c.name = name(set);
        // AVX-512 first, in either of Highway's two forms.
        if (set != sets.front() && sets.front().starts_with("AVX3")) {
          const bool avx2 = set == "AVX2";
          c.goals = {
              {name(sets.front()), avx2 ? 0.4 : 0.0, avx2 ? fmt::format("AVX2, {}", machine) : ""}};
        }
        group.cases.push_back(std::move(c));
      }
    }
    return group;
  }};
}

BenchPlan ThreadsPlan(const BenchSetup& setup) {
  return {[setup] {
    const Shape s = GoalShape(setup);
    BenchGroup group{.id = "threads",
                     .title = "Threads, by the wall clock",
                     .state = ShapeText(s),
                     .unit = "MAC",
                     .cases = {}};
    for (const char* machine : {kHopperFp8, "hopper:wgmma:bf16:f32"}) {
      const auto name = [&](int threads) {
        return fmt::format("{}, {} thread{}", machine, threads, threads == 1 ? "" : "s");
      };
      for (int threads = 1; threads <= std::max(2, setup.threads); threads *= 2) {
        BenchCase c = GemmCase(machine, s, {.threads = threads, .seed = setup.seed});
        c.name = name(threads);
        c.wall_clock = true;
        if (threads > 1)
          c.goals = {{name(1), threads == 2 ? 1.85 : 0.0,
                      threads == 2 ? fmt::format("Two threads, {}", machine) : ""}};
        group.cases.push_back(std::move(c));
      }
    }
    return group;
  }};
}

}  // namespace lostbits::cli
