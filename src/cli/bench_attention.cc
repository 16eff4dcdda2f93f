// FlashAttention-3 in FP8, softmax included, against the machine's own matrix products.
#include "cli/bench_attention.h"

#include <memory>

#include "cli/bench.h"
#include "cli/bench_data.h"
#include "cli/bench_gemm.h"
#include "cli/output.h"
#include "sim/attention.h"
#include "sim/attention_recipe.h"

namespace lostbits::cli {
namespace {

constexpr int64_t kHeadDim = 128;
constexpr char kHopperFp8[] = "hopper:wgmma:e4m3:f32";

std::string Keys(int64_t n) {
  return n % 1024 == 0 ? fmt::format("{}k", n / 1024) : fmt::format("{}", n);
}

BenchCase GemmBaseline(const BenchSetup& setup, int threads) {
  const Shape s = setup.quick ? Shape{32, 32, 256} : Shape{512, 512, 4096};
  BenchCase c = GemmCase(kHopperFp8, s, {.threads = threads, .seed = setup.seed});
  c.name = "GEMM, " + ShapeText(s);
  return c;
}

}  // namespace

BenchCase AttentionCase(const AttentionCaseOptions& o) {
  struct Data {
    sim::AttentionRecipe recipe;
    NormalCodes q, k, v;
    std::vector<uint16_t> o;
  };
  sim::FlashAttention3Options fa3;
  fa3.head_dim = kHeadDim;
  fa3.decode = o.queries == 1;
  fa3.causal = o.queries > 1;
  const int64_t rows = o.queries * o.heads;
  const auto data = std::make_shared<Data>(Data{sim::FlashAttention3Recipe(fa3),
                                                {fp8::kE4M3FN, rows, kHeadDim, o.seed},
                                                {fp8::kE4M3FN, o.keys, kHeadDim, o.seed + 1},
                                                {fp8::kE4M3FN, o.keys, kHeadDim, o.seed + 2},
                                                std::vector<uint16_t>(size_t(rows * kHeadDim))});
  // Pairs of a row and a key it sees; two products of head_dim each.
  const double keys = static_cast<double>(o.keys), queries = static_cast<double>(o.queries);
  const double pairs = fa3.causal ? queries * (keys - (queries - 1) / 2) : queries * keys;
  return {.name = fa3.causal ? fmt::format("prefill {} x {}, causal", Keys(o.queries), Keys(o.keys))
                             : fmt::format("decode, {} row{} of a KV head, {} keys", o.heads,
                                           o.heads == 1 ? "" : "s", Keys(o.keys)),
          .work = 2 * static_cast<double>(kHeadDim * o.heads) * pairs,
          .run =
              [data, o] {
                const auto heads = [](const NormalCodes& x, int64_t length, int64_t count) {
                  return sim::ContiguousHeads(x.data(), fp8::kE4M3FN, 1, length, count, kHeadDim);
                };
                sim::AttentionInputs in;
                in.q = heads(data->q, o.queries, o.heads);
                in.k = heads(data->k, o.keys, 1);
                in.v = heads(data->v, o.keys, 1);
                sim::AttentionOptions options;
                options.threads = o.threads;
                Progress progress("bench: attention, percent", 100);
                if (o.progress)
                  options.progress = [&](double share) {
                    progress.Update(static_cast<int64_t>(100 * share));
                  };
                sim::AttentionForward(data->recipe, in, {.o = data->o.data()}, options);
              },
          .threads = o.threads};
}

BenchPlan AttentionPlan(const BenchSetup& setup) {
  BenchPlan plan;
  plan.push_back([setup] {
    BenchGroup group{
        .id = "attention_decode",
        .title = "FlashAttention-3 decode on hopper:wgmma:e4m3:f32, head_dim 128, one thread",
        .state = setup.quick ? "softmax included" : "softmax included; K and V larger than L2",
        .unit = "MAC",
        .cases = {GemmBaseline(setup, 1)}};
    const int64_t keys = setup.quick ? 1024 : 128 * 1024;
    for (const int64_t heads : {1, 8, 64}) {
      BenchCase c = AttentionCase({.queries = 1, .keys = keys, .heads = heads, .seed = setup.seed});
      c.goals = {{group.cases[0].name, heads == 1 ? 0.7 : 0.0,
                  heads == 1 ? "Attention decode row, 128k keys" : ""}};
      group.cases.push_back(std::move(c));
    }
    return group;
  });
  plan.push_back([setup] {
    BenchGroup group{
        .id = "attention_prefill",
        .title =
            "FlashAttention-3 prefill on hopper:wgmma:e4m3:f32, one head, head_dim 128, one thread",
        .state = "softmax included; MACs of visible keys only",
        .unit = "MAC",
        .cases = {GemmBaseline(setup, 1)}};
    const int64_t n = setup.quick ? 256 : 16 * 1024;
    BenchCase c = AttentionCase({.queries = n, .keys = n, .seed = setup.seed});
    c.goals = {{group.cases[0].name, 0.7, "Attention prefill, 16k x 16k"}};
    group.cases.push_back(std::move(c));
    return group;
  });
  if (setup.long_runs) {
    plan.push_back([setup] {
      const int64_t n = setup.quick ? 512 : 128 * 1024;
      BenchGroup group{.id = "attention_long",
                       .title = "FlashAttention-3 prefill at full length, FP8, one head",
                       .state = "one run, all threads, by the wall clock",
                       .unit = "MAC",
                       .cases = {GemmBaseline(setup, setup.threads)},
                       .once = true};
      group.cases[0].wall_clock = true;
      BenchCase c = AttentionCase({.queries = n,
                                   .keys = n,
                                   .threads = setup.threads,
                                   .seed = setup.seed,
                                   .progress = true});
      c.wall_clock = true;
      c.goals = {{group.cases[0].name}};
      group.cases.push_back(std::move(c));
      return group;
    });
  }
  return plan;
}

}  // namespace lostbits::cli
