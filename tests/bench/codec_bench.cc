// The codec and its baselines, one thread. Names: Encode/<target>/<source>/<cache>[/<choice>],
// Decode/<source>/f32/<cache>[/<choice>], Baseline/<what>/<cache>. Bytes a second count what is
// read and what is written, random words too; memcpy therefore counts each byte twice. Half of
// memcpy's bytes are written, of FP32 to an 8-bit code one in five, of decoding four in five.
//
// L1 is 8192 elements (FP32: 32 KiB, codes: 8 KiB), DRAM 512 MiB of FP32 on either side. Data:
// normally distributed, standard deviation 448 / 6 (so E4M3FN neither overflows nor is all
// subnormal); codes are drawn evenly, NaN codes left out, as data has none.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <span>
#include <string>

#include "fp8/convert.h"
#include "tests/bench/codec_baselines.h"
#include "tests/fp8/cases.h"

namespace lostbits::bench {
namespace {

using fp8::Codes;
using fp8::ConstCodes;
using fp8::Format;

constexpr size_t kL1 = 8192;
constexpr size_t kDram = size_t{128} << 20;  // FP32: 512 MiB, 16 times this machine's 32 MiB of L3
constexpr size_t kDrawn = size_t{1} << 20;   // more elements repeat these
constexpr const char* kRoundingNames[] = {"even", "away", "zero",      "up",
                                          "down", "odd",  "stochastic"};

std::string Name(Format f) {
  if (f == fp8::kFP32) return "f32";
  std::string name = fp8::FormatName(f);
  for (char& c : name) c = static_cast<char>(std::tolower(c));
  return name;
}
const char* CacheName(size_t n) { return n == kL1 ? "L1" : "DRAM"; }

/// n elements of up to 4 bytes, in huge pages where the system has them: without, page tables are
/// a part of what is measured.
class Buffer {
 public:
  explicit Buffer(size_t n) {
    const size_t bytes = (n * sizeof(float) + kPage - 1) / kPage * kPage;
    data_.reset(std::aligned_alloc(kPage, bytes));
    if (!data_) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    madvise(data_.get(), bytes, MADV_HUGEPAGE);
#endif
    std::memset(data_.get(), 0, bytes);
  }
  template <class T>
  T* As() const {
    return static_cast<T*>(data_.get());
  }

 private:
  static constexpr size_t kPage = size_t{2} << 20;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> data_;
};

/// n floats, n codes or random words, and room for n results. One of each a size, made when needed.
struct Arrays {
  Buffer values, codes, random, room;
};
const Arrays& MakeArrays(size_t n) {
  static std::map<size_t, std::unique_ptr<Arrays>> made;
  std::unique_ptr<Arrays>& a = made[n];
  if (a) return *a;
  a = std::make_unique<Arrays>(Arrays{Buffer(n), Buffer(n), Buffer(n), Buffer(n)});
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, 448.0f / 6);
  for (size_t i = 0; i < n; ++i) {
    const bool drawn = i < kDrawn;
    a->values.As<float>()[i] = drawn ? normal(generator) : a->values.As<float>()[i - kDrawn];
    a->random.As<uint32_t>()[i] =
        drawn ? static_cast<uint32_t>(generator()) : a->random.As<uint32_t>()[i - kDrawn];
  }
  return *a;
}

/// Codes of a format: of the values, or drawn evenly if 8 bits wide.
const void* FillCodes(Format f, size_t n) {
  const Arrays& a = MakeArrays(n);
  const int bytes = fp8::ContainerBytes(f);
  if (bytes > 1) {
    fp8::Encode({fp8::kFP32, a.values.As<void>(), n, 4}, {f, a.codes.As<void>(), n, bytes});
    return a.codes.As<void>();
  }
  auto* codes = a.codes.As<uint8_t>();
  std::mt19937 generator(2);
  for (size_t i = 0; i < n; ++i) {
    if (i >= kDrawn) {
      codes[i] = codes[i - kDrawn];
      continue;
    }
    do codes[i] = static_cast<uint8_t>(generator());
    while (fp8::Unpack(f, codes[i]).cls == fp8::Class::kNan);
  }
  return codes;
}

void Report(benchmark::State& state, size_t n, size_t bytes_each) {
  const auto elements = static_cast<int64_t>(n) * state.iterations();
  state.SetItemsProcessed(elements);
  state.SetBytesProcessed(elements * static_cast<int64_t>(bytes_each));
}

void Time(const std::string& name, size_t n, size_t bytes_each,
          const std::function<void(const Arrays&)>& once) {
  const auto run = [=](benchmark::State& state) {
    const Arrays& arrays = MakeArrays(n);
    for (auto _ : state) {
      once(arrays);
      benchmark::ClobberMemory();
    }
    Report(state, n, bytes_each);
  };
  benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
}

void AddEncode(Format to, Format from, size_t n, fp8::Rounding rounding, fp8::Path path = {},
               const std::string& choice = "") {
  const bool stochastic = rounding == fp8::Rounding::kStochastic;
  const int in_bytes = fp8::ContainerBytes(from), out_bytes = fp8::ContainerBytes(to);
  const std::string name = "Encode/" + Name(to) + "/" + Name(from) + "/" + CacheName(n) +
                           (choice.empty() ? "" : "/" + choice);
  const auto run = [=](benchmark::State& state) {
    const Arrays& arrays = MakeArrays(n);
    const void* in = from == fp8::kFP32 ? arrays.values.As<void>() : FillCodes(from, n);
    const std::span random(arrays.random.As<uint32_t>(), stochastic ? n : 0);
    const fp8::EncodePolicy policy{.rounding = rounding, .random_bit_count = 16};
    for (auto _ : state) {
      fp8::Encode({from, in, n, in_bytes}, {to, arrays.room.As<float>(), n, out_bytes}, policy,
                  {.random = random, .path = path});
      benchmark::ClobberMemory();
    }
    Report(state, n, static_cast<size_t>(in_bytes + out_bytes) + (stochastic ? 4 : 0));
  };
  benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
}

void AddDecode(Format from, size_t n, fp8::Path path = {}, const std::string& choice = "") {
  const int in_bytes = fp8::ContainerBytes(from);
  const std::string name =
      "Decode/" + Name(from) + "/f32/" + CacheName(n) + (choice.empty() ? "" : "/" + choice);
  const auto run = [=](benchmark::State& state) {
    const Arrays& arrays = MakeArrays(n);
    const void* codes = FillCodes(from, n);
    for (auto _ : state) {
      fp8::Decode({from, codes, n, in_bytes}, {arrays.room.As<float>(), n}, {}, path);
      benchmark::ClobberMemory();
    }
    Report(state, n, static_cast<size_t>(in_bytes) + 4);
  };
  benchmark::RegisterBenchmark(name.c_str(), run)->UseRealTime();
}

void AddBaselines(size_t n) {
  const std::string cache = CacheName(n);
  Time("Baseline/memcpy/" + cache, n, 8, [=](const Arrays& a) {
    std::memcpy(a.room.As<float>(), a.values.As<float>(), n * sizeof(float));
  });
  Time("Baseline/cuda_host/encode/" + cache, n, 5,
       [=](const Arrays& a) { CudaEncodeE4M3FN(a.values.As<float>(), a.room.As<uint8_t>(), n); });
  Time("Baseline/cuda_host/decode/" + cache, n, 5,
       [=](const Arrays& a) { CudaDecodeE4M3FN(a.codes.As<uint8_t>(), a.room.As<float>(), n); });
  if (!HaveAvx512()) return;
  Time("Baseline/move_4_to_1/" + cache, n, 5,
       [=](const Arrays& a) { MoveFourToOne(a.values.As<float>(), a.room.As<uint8_t>(), n); });
  Time("Baseline/move_1_to_4/" + cache, n, 5,
       [=](const Arrays& a) { MoveOneToFour(a.codes.As<uint8_t>(), a.room.As<float>(), n); });
  Time("Baseline/torch_avx512/encode/" + cache, n, 5,
       [=](const Arrays& a) { PeerEncodeE4M3FN(a.values.As<float>(), a.room.As<uint8_t>(), n); });
  const auto peer_decode = [=](benchmark::State& state) {
    const Arrays& arrays = MakeArrays(n);
    FillCodes(fp8::kE4M3FN, n);
    for (auto _ : state) {
      PeerDecodeE4M3FN(arrays.codes.As<uint8_t>(), arrays.room.As<float>(), n);
      benchmark::ClobberMemory();
    }
    Report(state, n, 5);
  };
  benchmark::RegisterBenchmark(("Baseline/torch_avx512/decode/" + cache).c_str(), peer_decode)
      ->UseRealTime();
}

void AddAll() {
  for (const size_t n : {kL1, kDram}) {
    AddBaselines(n);
    for (const Format f : fp8::kAllFormats) {
      if (f != fp8::kFP32 && f != fp8::kFP64) {
        AddEncode(f, fp8::kFP32, n, fp8::Rounding::kNearestEven);
        AddDecode(f, n);
      }
    }
    AddEncode(fp8::kE4M3FN, fp8::kBF16, n, fp8::Rounding::kNearestEven);
    AddEncode(fp8::kE4M3FN, fp8::kFP16, n, fp8::Rounding::kNearestEven);
    AddEncode(fp8::kBF16, fp8::kE4M3FN, n, fp8::Rounding::kNearestEven);
    AddEncode(fp8::kFP16, fp8::kE4M3FN, n, fp8::Rounding::kNearestEven);
    AddEncode(fp8::kE5M2, fp8::kE4M3FN, n, fp8::Rounding::kNearestEven);
  }
  for (const Format f : fp8::kAllFormats) {
    if (f == fp8::kFP32 || f == fp8::kFP64) continue;
    for (const fp8::Rounding r : fp8::kAllRoundings)
      if (r != fp8::Rounding::kNearestEven)
        AddEncode(f, fp8::kFP32, kL1, r, {}, kRoundingNames[static_cast<int>(r)]);
  }
  AddEncode(fp8::kE4M3FN, fp8::kFP32, kL1, fp8::Rounding::kNearestEven, {fp8::Path::kIntegers},
            "integers");
  AddDecode(fp8::kE4M3FN, kL1, {fp8::Path::kIntegers}, "integers");
  for (const fp8::LaneTarget& t : fp8::LaneTargets()) {
    const fp8::Path path{fp8::Path::kLanes, t.id};
    AddEncode(fp8::kE4M3FN, fp8::kFP32, kL1, fp8::Rounding::kNearestEven, path, t.name);
    AddDecode(fp8::kE4M3FN, kL1, path, t.name);
  }
}

}  // namespace
}  // namespace lostbits::bench

int main(int argc, char** argv) {
  lostbits::bench::AddAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
