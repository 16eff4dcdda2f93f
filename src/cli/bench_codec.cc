// Codecs against memory, against what others use, and against each other. Rates count elements: in
// and out together an f32 and an 8-bit code are 5 bytes, which is also what memcpy moves here.
#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <memory>

#include "cli/bench.h"
#include "cli/bench_data.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using fp8::Format;

constexpr char kEncode[] = "f32 -> e4m3fn", kDecode[] = "e4m3fn -> f32";
constexpr char kMemcpy[] = "memcpy of as many bytes";
constexpr char kTorch[] = "PyTorch AVX-512 form";  // tests/bench/peers_module.cc

/// Numbers, their codes and random words, shared by the cases of a group.
struct Arrays {
  size_t n;
  Buffer floats, bfloats, codes, decoded, words;

  /// Random words only where they stay small: the stochastic cases are.
  static constexpr size_t WordCount(size_t n) { return n <= kPeriod ? n : 1; }
  static constexpr size_t kPeriod = 1 << 18;  // drawing more would take longer than timing

  Arrays(size_t count, double deviation, uint64_t seed)
      : n(count),
        floats(4 * n),
        bfloats(2 * n),
        codes(2 * n),
        decoded(4 * n),
        words(4 * WordCount(n)) {
    sim::Random random(seed);
    for (size_t i = 0; i < n; ++i)
      floats.As<float>()[i] = i < kPeriod ? static_cast<float>(deviation * random.Normal())
                                          : floats.As<float>()[i - kPeriod];
    for (size_t i = 0; i < WordCount(n); ++i)
      words.As<uint32_t>()[i] = static_cast<uint32_t>(random.Next());
    fp8::Encode(Floats(), {fp8::kBF16, bfloats.As<void>(), n, 2});
    fp8::Encode(Floats(), CodesOf(fp8::kE4M3FN));
  }
  fp8::ConstCodes Floats() const { return {fp8::kFP32, floats.As<void>(), n, 4}; }
  fp8::ConstCodes Bfloats() const { return {fp8::kBF16, bfloats.As<void>(), n, 2}; }
  fp8::Codes CodesOf(Format f) const { return {f, codes.As<void>(), n, fp8::ContainerBytes(f)}; }
  fp8::ConstCodes Coded(Format f) const { return {f, codes.As<void>(), n, fp8::ContainerBytes(f)}; }
};
using Shared = std::shared_ptr<const Arrays>;

BenchCase Case(const Shared& data, const std::string& name, std::function<void()> run,
               std::vector<BenchGoal> goals = {}) {
  return {.name = name,
          .work = static_cast<double>(data->n),
          .run = std::move(run),
          .goals = std::move(goals)};
}

BenchCase EncodeCase(const Shared& data, const std::string& name, Format f, fp8::Rounding rounding,
                     std::vector<BenchGoal> goals) {
  fp8::EncodePolicy policy;
  policy.rounding = rounding;
  if (rounding == fp8::Rounding::kStochastic) policy.random_bit_count = 16;
  return Case(
      data, name,
      [=] {
        fp8::EncodeOptions options;
        if (rounding == fp8::Rounding::kStochastic)
          options.random = {data->words.As<uint32_t>(), data->n};
        fp8::Encode(data->Floats(), data->CodesOf(f), policy, options);
      },
      std::move(goals));
}

/// `codes`: where they lie; null for those of the group, which others write too.
BenchCase DecodeCase(const Shared& data, const std::string& name, Format f,
                     std::shared_ptr<const Buffer> codes, std::vector<BenchGoal> goals) {
  return Case(
      data, name,
      [=] {
        const void* from = (codes == nullptr ? data->codes : *codes).As<void>();
        fp8::Decode({f, from, data->n, fp8::ContainerBytes(f)},
                    {data->decoded.As<float>(), data->n});
      },
      std::move(goals));
}

/// What moves as many bytes, and what others do.
void AddBaselines(const BenchSetup& setup, const Shared& data, BenchGroup& group) {
  group.cases.push_back(Case(data, kMemcpy, [data] {
    // 5 n bytes in all: half of them read, half written.
    std::memcpy(data->decoded.As<char>(), data->floats.As<char>(), data->n * 5 / 2);
  }));
  if (setup.peers == nullptr) return;
  struct Job {
    const char* what;
    const void* in;
    void* out;
  };
  const Job jobs[] = {
      {"move 4 to 1", data->floats.As<void>(), data->codes.As<void>()},
      {"move 1 to 4", data->codes.As<void>(), data->decoded.As<void>()},
      {"encode f32", data->floats.As<void>(), data->codes.As<void>()},
      {"decode f32", data->codes.As<void>(), data->decoded.As<void>()},
      {"encode bf16", data->bfloats.As<void>(), data->codes.As<void>()},
  };
  for (const Job& job : jobs) {
    for (const LostbitsBenchPeer& peer : setup.peers->For(job.what)) {
      group.cases.push_back(Case(data, fmt::format("{}, {}", peer.name, job.what),
                                 [data, job, peer] { peer.convert(job.in, job.out, data->n); }));
    }
  }
}

std::string Peer(const char* what) { return fmt::format("{}, {}", kTorch, what); }

/// E4M3FN both ways where the data lie. Goals only where the table has some.
BenchGroup Level(const BenchSetup& setup, const char* id, const char* where, size_t n) {
  const auto data = std::make_shared<const Arrays>(n, 448.0 / 6, setup.seed);  // as formats' peers
  BenchGroup group{.id = id,
                   .title = "E4M3FN codec, one thread",
                   .state = n < (1 << 20) ? fmt::format("{} KiB of f32, {}", n >> 8, where)
                                          : fmt::format("{} MiB of f32, {}", n >> 18, where),
                   .unit = "element",
                   .cases = {}};
  const bool l1 = std::string_view(where) == "in L1", dram = std::string_view(where) == "in DRAM";
  AddBaselines(setup, data, group);
  group.cases.push_back(
      EncodeCase(data, kEncode, fp8::kE4M3FN, fp8::Rounding::kNearestEven,
                 {{Peer("encode f32"), l1 ? 1.3 : 0, l1 ? "f32 -> E4M3FN in L1" : ""},
                  {kMemcpy, dram ? 0.85 : 0, dram ? "f32 -> E4M3FN from DRAM" : ""}}));
  group.cases.push_back(
      DecodeCase(data, kDecode, fp8::kE4M3FN, nullptr,
                 {{Peer("decode f32"), l1 ? 2.0 : 0, l1 ? "E4M3FN -> f32 in L1" : ""},
                  {kMemcpy, dram ? 1.0 : 0, dram ? "E4M3FN -> f32 from DRAM" : ""}}));
  group.cases.push_back(Case(data, "bf16 -> e4m3fn",
                             [=] { fp8::Encode(data->Bfloats(), data->CodesOf(fp8::kE4M3FN)); },
                             {{kEncode, l1 ? 0.5 : 0, l1 ? "bf16 -> E4M3FN" : ""}}));
  group.cases.push_back(Case(
      data, "e4m3fn -> bf16",
      [=] {
        fp8::Encode(data->Coded(fp8::kE4M3FN), {fp8::kBF16, data->decoded.As<void>(), data->n, 2});
      },
      {{kDecode, l1 ? 0.5 : 0, l1 ? "E4M3FN -> bf16" : ""}}));
  if (!l1) return group;
  for (const std::string& set : LaneInstructionSets()) {
    if (set.starts_with("AVX3")) continue;
    const bool avx2 = set == "AVX2";
    const auto add = [&](BenchCase c, const char* best) {
      c.name = fmt::format("{}, {}", best, set);
      c.run = OnInstructionSet(set, std::move(c.run));
      c.goals = {{best, avx2 ? 0.4 : 0, avx2 ? fmt::format("AVX2, {}", best) : ""}};
      group.cases.push_back(std::move(c));
    };
    add(EncodeCase(data, "", fp8::kE4M3FN, fp8::Rounding::kNearestEven, {}), kEncode);
    add(DecodeCase(data, "", fp8::kE4M3FN, nullptr, {}), kDecode);
  }
  return group;
}

constexpr fp8::Rounding kDirected[] = {fp8::Rounding::kNearestEven, fp8::Rounding::kNearestAway,
                                       fp8::Rounding::kTowardZero,  fp8::Rounding::kUp,
                                       fp8::Rounding::kDown,        fp8::Rounding::kToOdd};

BenchGroup EncodeFormats(const BenchSetup& setup, size_t n) {
  const auto data = std::make_shared<const Arrays>(n, 1.0, setup.seed);
  BenchGroup group{
      .id = "codec_encode_formats",
      .title = "f32 to every format, every rounding, against f32 -> e4m3fn, one thread",
      .state = fmt::format("{} KiB of f32, in L1 or L2", n >> 8),
      .unit = "element",
      .cases = {},
      .worst_only = true};
  group.cases.push_back(EncodeCase(data, kEncode, fp8::kE4M3FN, fp8::Rounding::kNearestEven, {}));
  group.cases.back().series = kEncode;
  for (const Format& f : fp8::kAllFormats) {
    if (fp8::StorageBits(f) > 16) continue;
    const char* name = NamesOf(f).name;
    for (const fp8::Rounding r : kDirected) {
      if (f == fp8::kE4M3FN && r == fp8::Rounding::kNearestEven) continue;
      group.cases.push_back(EncodeCase(data, fmt::format("{}, {}", name, RoundingName(r)), f, r,
                                       {{kEncode, 0.5, "Every format and rounding, encode"}}));
      group.cases.back().series = name;
    }
    group.cases.push_back(EncodeCase(data, fmt::format("{} stochastic", name), f,
                                     fp8::Rounding::kStochastic,
                                     {{kEncode, 1.0 / 3, "Every format, stochastic"}}));
    group.cases.back().series = group.cases.back().name;
  }
  group.notes = {"A line is a format with its slowest of six roundings; stochastic apart."};
  return group;
}

BenchGroup DecodeFormats(const BenchSetup& setup, size_t n) {
  const auto data = std::make_shared<const Arrays>(n, 1.0, setup.seed);
  BenchGroup group{.id = "codec_decode_formats",
                   .title = "Every format to f32, one thread",
                   .state = fmt::format("{} KiB of f32, in L1 or L2", n >> 8),
                   .unit = "element",
                   .cases = {}};
  for (const Format& f : fp8::kAllFormats) {
    if (fp8::StorageBits(f) > 16) continue;
    const bool first = f == fp8::kE4M3FN;
    const auto codes = std::make_shared<const Buffer>(2 * n);
    fp8::Encode(data->Floats(), {f, codes->As<void>(), n, fp8::ContainerBytes(f)});
    BenchCase c =
        DecodeCase(data, first ? kDecode : fmt::format("{} -> f32", NamesOf(f).name), f, codes, {});
    if (!first) c.goals = {{kDecode, 0.5, "Every format, decode"}};
    group.cases.push_back(std::move(c));
  }
  return group;
}

}  // namespace

BenchPlan CodecPlan(const BenchSetup& setup) {
  const size_t small = setup.quick ? 1024 : 4096;
  return {
      [=] { return Level(setup, "codec_l1", "in L1", small); },
      [=] { return Level(setup, "codec_l2", "in L2", setup.quick ? 2048 : size_t{1} << 17); },
      [=] { return Level(setup, "codec_dram", "in DRAM", setup.quick ? 4096 : size_t{1} << 27); },
      [=] { return EncodeFormats(setup, small); },
      [=] { return DecodeFormats(setup, small); },
  };
}

}  // namespace lostbits::cli
