#include "gpu/kernel_golden.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "gpu/kernels.h"
#include "sha256.h"

namespace lostbits::gpu {
namespace {

namespace fs = std::filesystem;

GemmPlan GemmOf(const KernelCase& c, const std::string& arch) {
  return PlanGemm(c.gemm, c.promotion, c.shape, MachineOfKernel(c.gemm, "", arch).spec, fp8::kFP32);
}

AttentionPlan AttentionOf(const KernelCase& c) {
  return PlanAttention(AttentionKernel::kWgmma, KernelExp2::kPolynomial, c.heads, fp8::kFP32);
}

std::string OperandsSum(std::initializer_list<const std::vector<uint8_t>*> operands,
                        std::initializer_list<const std::vector<float>*> scales = {}) {
  Sha256 sum;
  for (const auto* x : operands) sum.Add(std::as_bytes(std::span(*x)));
  for (const auto* x : scales) sum.Add(std::as_bytes(std::span(*x)));
  return HexText(sum.Finish());
}

struct Result {
  std::vector<uint32_t> d, lse;
  std::string operands;  ///< SHA-256
};

Result Compute(const KernelCase& c, const std::string& arch, uint64_t seed, Backend* device) {
  Result result;
  if (c.attention) {
    const AttentionPlan plan = AttentionOf(c);
    const AttentionOperands x = DrawAttention(plan, c.pattern, seed);
    const std::vector<int64_t> queries = SampleRows(c.heads.seqlen_q, c.rows, seed);
    AttentionRows rows = device != nullptr ? device->Attention(plan, x, queries)
                                           : AttentionOnCpu(plan, x, queries, 0);
    result.d = std::move(rows.o);
    for (const float lse : rows.lse) result.lse.push_back(fp8::BitCast<uint32_t>(lse));
    result.operands = OperandsSum({&x.q, &x.k, &x.v});
    return result;
  }
  const GemmPlan plan = GemmOf(c, arch);
  const GemmOperands x = DrawGemm(plan, c.pattern, seed);
  result.operands = OperandsSum({&x.a, &x.b}, {&x.scale_a, &x.scale_b});
  const std::vector<int64_t> rows = SampleRows(c.shape.m, c.rows, seed);
  if (device == nullptr) {
    result.d = GemmOnCpu(plan, x, rows, 0);
    return result;
  }
  const std::vector<uint32_t> all = device->Gemm(plan, x);
  for (const int64_t row : rows)
    result.d.insert(result.d.end(), all.begin() + row * c.shape.n,
                    all.begin() + (row + 1) * c.shape.n);
  return result;
}

void CountWords(const char* what, std::span<const uint32_t> a, std::span<const uint32_t> b,
                const char* names[2], Agreement* result) {
  result->rows += static_cast<int64_t>(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) {
      ++result->matched;
    } else if (result->first.empty()) {
      result->first =
          fmt::format("{} {}: {} {:08X}, {} {:08X}", what, i, names[0], a[i], names[1], b[i]);
    }
  }
}

Agreement AgreementOf(const Result& a, const char* a_name, const Result& b, const char* b_name) {
  if (a.d.size() != b.d.size() || a.lse.size() != b.lse.size())
    throw std::invalid_argument(fmt::format("expected {} words and {} of lse, found {} and {}",
                                            a.d.size(), a.lse.size(), b.d.size(), b.lse.size()));
  Agreement result;
  const char* names[] = {a_name, b_name};
  CountWords("word", a.d, b.d, names, &result);
  CountWords("lse", a.lse, b.lse, names, &result);
  return result;
}

Tensor AsTensor(const std::vector<uint32_t>& words) {
  Tensor tensor = MakeTensor(fp8::kFP32, {static_cast<int64_t>(words.size())});
  for (size_t i = 0; i < words.size(); ++i) tensor.SetCode(static_cast<int64_t>(i), words[i]);
  return tensor;
}

std::vector<uint32_t> WordsOf(const Tensor& tensor) {
  std::vector<uint32_t> words;
  for (int64_t i = 0; i < tensor.Count(); ++i)
    words.push_back(static_cast<uint32_t>(tensor.Code(i)));
  return words;
}

void Write(const std::string& path, const KernelCase& c, const std::string& arch, uint64_t seed,
           const Result& result, Metadata metadata) {
  const Tensor d = AsTensor(result.d), lse = AsTensor(result.lse);
  std::vector<NamedTensor> tensors = {{"d", &d}};
  if (c.attention) tensors.emplace_back("lse", &lse);
  metadata.emplace_back("kind", "kernel");
  metadata.emplace_back("arch", arch);
  metadata.emplace_back("case", c.name);
  metadata.emplace_back("seed", std::to_string(seed));
  metadata.emplace_back("operands_sha256", result.operands);
  metadata.emplace_back("sha256", ChecksumOf(tensors));
  fs::create_directories(fs::path(path).parent_path());
  WriteSafetensors(path, tensors, metadata);
}

struct Recorded {
  KernelCase c;
  std::string arch;
  uint64_t seed;
  Result result;
};

Recorded Read(const std::string& path) {
  const Metadata metadata = SafetensorsMetadata(path);
  const std::string arch = Lookup(metadata, "arch"), name = Lookup(metadata, "case");
  const std::vector<KernelCase> cases = KernelCases(arch);
  const auto c =
      std::find_if(cases.begin(), cases.end(), [&](const KernelCase& x) { return x.name == name; });
  if (c == cases.end())
    throw std::invalid_argument(
        fmt::format("{}: expected a known case, found '{}' of '{}'", path, name, arch));
  const Tensor d = ReadTensor(path + ":d", fp8::kFP32);
  const Tensor lse = c->attention ? ReadTensor(path + ":lse", fp8::kFP32) : Tensor{};
  std::vector<NamedTensor> tensors = {{"d", &d}};
  if (c->attention) tensors.emplace_back("lse", &lse);
  CheckGolden(path, metadata, "kernel", tensors);
  Recorded recorded{*c, arch, 0, {WordsOf(d), {}, Lookup(metadata, "operands_sha256")}};
  if (c->attention) recorded.result.lse = WordsOf(lse);
  recorded.seed = static_cast<uint64_t>(ParseNumbers("seed", Lookup(metadata, "seed"), ',', 1)[0]);
  return recorded;
}

/// The recorded case computed again, from the operands that were recorded.
Result Again(const std::string& path, const Recorded& recorded, Backend* device) {
  Result now = Compute(recorded.c, recorded.arch, recorded.seed, device);
  if (now.operands != recorded.result.operands)
    throw std::invalid_argument(path + ": operands are drawn otherwise than when it was written");
  return now;
}

}  // namespace

std::vector<KernelCase> KernelCases(const std::string& arch) {
  std::vector<KernelCase> cases;
  for (const GemmKernel kernel : {GemmKernel::kMma, GemmKernel::kWgmma}) {
    const bool wgmma = kernel == GemmKernel::kWgmma;
    if (wgmma ? arch != "hopper" : CapabilityOf(arch) < 89) continue;
    for (const Promotion promotion : {Promotion::kNone, Promotion::kAdd, Promotion::kScaled})
      for (const GemmShape& shape : {GemmShape{64, 128, 4096}, GemmShape{64, 128, 131072}}) {
        KernelCase c;
        c.gemm = kernel;
        c.promotion = promotion;
        c.shape = shape;
        c.name = fmt::format("gemm.{}.{}.{}x{}x{}", NameOf(kernel), NameOf(promotion), shape.m,
                             shape.n, shape.k);
        cases.push_back(c);
      }
  }
  if (arch != "hopper") return cases;
  struct Length {
    const char* name;
    int64_t queries, keys;
    int splits, head_dim;
  };
  for (const Length& l :
       {Length{"d64.1k", 1024, 1024, 1, 64}, Length{"d128.16k", 256, 16384, 1, 128},
        Length{"d128.128k", 128, 131072, 1, 128}, Length{"d128.128k.split4", 128, 131072, 4, 128},
        Length{"d256.16k", 128, 16384, 1, 256}}) {
    KernelCase c;
    c.attention = true;
    c.name = std::string("attention.wgmma.polynomial.") + l.name;
    c.heads = {.seqlen_q = l.queries, .seqlen_k = l.keys, .heads_q = 2, .heads_kv = 1};
    c.heads.head_dim = l.head_dim;
    c.heads.causal = true;
    c.heads.splits = l.splits;
    c.pattern = OperandPattern::kNormal;
    c.rows = 4;
    cases.push_back(c);
  }
  return cases;
}

Agreement CaptureKernel(const std::string& path, const KernelCase& c, Backend& device,
                        uint64_t seed, const Metadata& metadata) {
  const std::string& arch = device.info().arch;
  Agreement agreement;
  Result now;
  const bool there = fs::exists(path);
  if (there) {
    const Recorded recorded = Read(path);
    seed = recorded.seed;
    now = Again(path, recorded, &device);
    agreement = AgreementOf(recorded.result, "recorded", now, "now");
  } else {
    now = Compute(c, arch, seed, &device);
    agreement = AgreementOf(now, "device", Compute(c, arch, seed, nullptr), "simulated");
  }
  const bool agrees = agreement.matched == agreement.rows;
  if (!agrees) Write(DisagreesPath(path), c, arch, seed, now, metadata);
  if (agrees && !there) Write(path, c, arch, seed, now, metadata);
  return agreement;
}

Agreement ReplayKernel(const std::string& path, Backend* device) {
  const Recorded recorded = Read(path);
  return AgreementOf(recorded.result, "recorded", Again(path, recorded, device),
                     device != nullptr ? "now" : "simulated");
}

namespace {

int RunCaptureKernels(const Options& options, const std::string& folder, const std::string& only) {
  const std::unique_ptr<Backend> device = Open(options);
  CheckFolder(folder, device->info());
  Json list = Json::array();
  bool fine = true;
  for (const KernelCase& c : KernelCases(device->info().arch)) {
    if (c.name.find(only) == c.name.npos) continue;
    const std::string path =
        (fs::path(folder) / device->info().arch / "kernels" / (c.name + ".safetensors")).string();
    const bool there = fs::exists(path);
    const Agreement agreement =
        CaptureKernel(path, c, *device, options.seed, OriginOf(device->info(), options));
    const bool agrees = agreement.matched == agreement.rows;
    fine = fine && agrees;
    list.push_back({{"file", path},
                    {"there", there},
                    {"written", !there && agrees},
                    {"rows", agreement.rows},
                    {"matched", agreement.matched},
                    {"first", agreement.first}});
    if (options.json) continue;
    fmt::print("{}: {} {} of {} words\n", path,
               there    ? "there already; this device gives"
               : agrees ? "written; the simulator gives"
                        : "the simulator gives",
               agreement.matched, agreement.rows);
    if (!agrees)
      fmt::print("  NOT {}: {}\n  this device's words: {}\n", there ? "OVERWRITTEN" : "WRITTEN",
                 agreement.first, DisagreesPath(path));
  }
  if (list.empty() && only.empty())
    throw NotOnThisDevice("not on this GPU: no kernel to record runs on " + device->info().name);
  if (list.empty())
    throw std::invalid_argument(fmt::format("capture-kernels: no case of {} has '{}' in its name",
                                            device->info().arch, only));
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["goldens"] = list;
    cli::PrintJson("capture-kernels", body);
  }
  return fine ? cli::kFine : cli::kMismatch;
}

}  // namespace

void AddCaptureKernels(CLI::App& app, Options& options) {
  const auto folder = std::make_shared<std::string>(), only = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "capture-kernels", "Records rows of GEMMs to K = 131072 and attention to 128k keys");
  command->add_option("--to", *folder, "Folder of goldens: writes ARCH/kernels/CASE.safetensors")
      ->required();
  command->add_option("--only", *only, "Cases with this in their name");
  AddCommonOptions(*command, options);
  command->footer(
      "Words that are not the simulator's, or not an earlier golden's, go to\n"
      "CASE.disagrees.safetensors, which no replay reads.\n"
      "Exit code: 0 if all agree, 1 if some do not, 3 if there is no device or no kernel for it.");
  command->callback([=, &options] {
    options.run = [=, &options] { return RunCaptureKernels(options, *folder, *only); };
  });
}

}  // namespace lostbits::gpu
