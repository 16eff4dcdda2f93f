#include "gpu/kernel_golden.h"

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
  std::vector<uint32_t> words;
  std::string operands;  ///< SHA-256
};

Result Compute(const KernelCase& c, const std::string& arch, uint64_t seed, Backend* device) {
  if (c.attention) {
    const AttentionPlan plan = AttentionOf(c);
    const AttentionOperands x = DrawAttention(plan, c.pattern, seed);
    const std::vector<int64_t> queries = SampleRows(c.heads.seqlen_q, c.rows, seed);
    return {(device != nullptr ? device->Attention(plan, x, queries)
                               : AttentionOnCpu(plan, x, queries, 0))
                .o,
            OperandsSum({&x.q, &x.k, &x.v})};
  }
  const GemmPlan plan = GemmOf(c, arch);
  const GemmOperands x = DrawGemm(plan, c.pattern, seed);
  const std::string sum = OperandsSum({&x.a, &x.b}, {&x.scale_a, &x.scale_b});
  const std::vector<int64_t> rows = SampleRows(c.shape.m, c.rows, seed);
  if (device == nullptr) return {GemmOnCpu(plan, x, rows, 0), sum};
  const std::vector<uint32_t> all = device->Gemm(plan, x);
  std::vector<uint32_t> words;
  for (const int64_t row : rows)
    words.insert(words.end(), all.begin() + row * c.shape.n, all.begin() + (row + 1) * c.shape.n);
  return {words, sum};
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
       {Length{"1k", 1024, 1024, 1, 64}, Length{"16k", 256, 16384, 1, 128},
        Length{"128k", 128, 131072, 1, 128}, Length{"128k.split4", 128, 131072, 4, 128},
        Length{"16k.d256", 128, 16384, 1, 256}}) {
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

void WriteKernel(const std::string& path, const KernelCase& c, Backend& device, uint64_t seed,
                 Metadata metadata) {
  const std::string& arch = device.info().arch;
  const Result result = Compute(c, arch, seed, &device);
  Tensor d = MakeTensor(fp8::kFP32, {static_cast<int64_t>(result.words.size())});
  for (size_t i = 0; i < result.words.size(); ++i)
    d.SetCode(static_cast<int64_t>(i), result.words[i]);
  const NamedTensor tensors[] = {{"d", &d}};
  metadata.emplace_back("kind", "kernel");
  metadata.emplace_back("arch", arch);
  metadata.emplace_back("case", c.name);
  metadata.emplace_back("seed", std::to_string(seed));
  metadata.emplace_back("operands_sha256", result.operands);
  metadata.emplace_back("sha256", ChecksumOf(tensors));
  fs::create_directories(fs::path(path).parent_path());
  WriteSafetensors(path, tensors, metadata);
}

Agreement ReplayKernel(const std::string& path, Backend* device) {
  const Metadata metadata = SafetensorsMetadata(path);
  const std::string arch = Lookup(metadata, "arch"), name = Lookup(metadata, "case");
  const std::vector<KernelCase> cases = KernelCases(arch);
  const auto c =
      std::find_if(cases.begin(), cases.end(), [&](const KernelCase& x) { return x.name == name; });
  if (c == cases.end())
    throw std::invalid_argument(
        fmt::format("{}: expected a known case, found '{}' of '{}'", path, name, arch));
  const Tensor d = ReadTensor(path + ":d", fp8::kFP32);
  const NamedTensor tensors[] = {{"d", &d}};
  CheckGolden(path, metadata, "kernel", tensors);
  const auto seed =
      static_cast<uint64_t>(ParseNumbers("seed", Lookup(metadata, "seed"), ',', 1)[0]);
  const Result now = Compute(*c, arch, seed, device);
  if (now.operands != Lookup(metadata, "operands_sha256"))
    throw std::invalid_argument(path + ": operands are drawn otherwise than when it was written");
  if (now.words.size() != static_cast<size_t>(d.Count()))
    throw std::invalid_argument(
        fmt::format("{}: expected {} words, found {}", path, now.words.size(), d.Count()));
  Agreement result;
  result.rows = d.Count();
  for (int64_t i = 0; i < d.Count(); ++i) {
    const auto recorded = static_cast<uint32_t>(d.Code(i));
    if (recorded == now.words[static_cast<size_t>(i)]) {
      ++result.matched;
    } else if (result.first.empty()) {
      result.first =
          fmt::format("word {}: recorded {:08X}, {} {:08X}", i, recorded,
                      device != nullptr ? "now" : "simulated", now.words[static_cast<size_t>(i)]);
    }
  }
  return result;
}

namespace {

int RunCaptureKernels(const Options& options, const std::string& folder, const std::string& only) {
  const std::unique_ptr<Backend> device = Open(options);
  Json list = Json::array();
  bool fine = true;
  for (const KernelCase& c : KernelCases(device->info().arch)) {
    if (c.name.find(only) == c.name.npos) continue;
    const std::string path =
        (fs::path(folder) / device->info().arch / "kernels" / (c.name + ".safetensors")).string();
    const bool there = fs::exists(path);
    if (!there) WriteKernel(path, c, *device, options.seed, OriginOf(device->info(), options));
    // What is recorded stays: this device is asked the same and may agree or not.
    const Agreement agreement = ReplayKernel(path, there ? device.get() : nullptr);
    const bool agrees = agreement.matched == agreement.rows;
    fine = fine && agrees;
    list.push_back({{"file", path},
                    {"there", there},
                    {"rows", agreement.rows},
                    {"matched", agreement.matched},
                    {"first", agreement.first}});
    if (!options.json)
      fmt::print("{}: {} {} of {} words{}{}\n", path,
                 there ? "there already; this device gives" : "written; the simulator gives",
                 agreement.matched, agreement.rows,
                 agrees  ? ""
                 : there ? ". NOT OVERWRITTEN: "
                         : ": ",
                 agreement.first);
  }
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
      "Exit code: 0 if the simulator and earlier goldens agree, 1 if one does not, 3 if there is "
      "no "
      "device.");
  command->callback([=, &options] {
    options.run = [=, &options] { return RunCaptureKernels(options, *folder, *only); };
  });
}

}  // namespace lostbits::gpu
