// lostbits-gpu bench: medians with CUDA events, each kernel beside what a user would use instead.
#include <memory>
#include <utility>

#include "gpu/kernels.h"

namespace lostbits::gpu {
namespace {

struct Choice {
  std::string only;  ///< "codec", "gemm", "attention"; "": all
  bool small = false;
};

class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  /// work: bytes or operations of one run. peer: rate to compare with; 0: none.
  double Add(const std::string& what, const Timing& t, double work, const char* unit, double peer,
             const char* peer_name) {
    const double rate = t.runs > 0 ? work / t.median * 1e-12 : 0;
    Json row = {{"what", what},   {"median_s", t.median}, {"best_s", t.best},
                {"runs", t.runs}, {"rate", rate},         {"unit", unit}};
    std::string ratio;
    if (t.runs == 0) {
      ratio = "not here";
    } else if (peer > 0) {
      row["ratio"] = rate / peer;
      row["ratio_to"] = peer_name;
      ratio = fmt::format("{:.2f} x {}", rate / peer, peer_name);
    }
    if (!json_)
      fmt::print("{:<38} {:>9.1f} us  {:>8.3f} {:<7} {}\n", what, t.median * 1e6, rate, unit,
                 ratio);
    rows_.push_back(row);
    return rate;
  }
  const Json& rows() const { return rows_; }

 private:
  bool json_;
  Json rows_ = Json::array();
};

void BenchCodec(Backend& device, const Choice& choice, Report& report) {
  const int64_t count = choice.small ? int64_t{1} << 22 : int64_t{1} << 28;
  const double copy = report.Add("copy, device to device", device.TimeCopy(5 * count),
                                 5.0 * static_cast<double>(count), "TB/s", 0, "");
  for (const CodecPlan& plan : kCodecPlans) {
    if (plan.hardware && device.info().capability < 89) continue;
    const double bytes = static_cast<double>(count) * (plan.WideBytes() + 1);
    report.Add(plan.Name(), device.TimeCodec(plan, count), bytes, "TB/s", copy, "copy");
  }
}

void BenchGemm(Backend& device, const Choice& choice, Report& report) {
  const int64_t full = choice.small ? 512 : 8192;
  for (const GemmShape& shape :
       {GemmShape{full, full, full}, GemmShape{full / 2, full / 2, 2 * full}}) {
    const double work = 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) *
                        static_cast<double>(shape.k);
    double peer = 0;  // of the promotion before, if the promotion has no peer of its own
    for (const Promotion promotion : {Promotion::kNone, Promotion::kAdd, Promotion::kScaled}) {
      // Fast accumulation is one level; otherwise cuBLASLt promotes. 1x128 scales it has not: the
      // product without them stands beside `scaled`.
      bool asked = promotion == Promotion::kScaled;
      for (const GemmKernel kernel : {GemmKernel::kWgmma, GemmKernel::kMma}) {
        if (device.info().capability < 89 ||
            (kernel == GemmKernel::kWgmma && device.info().capability != 90))
          continue;
        const Machine machine = MachineOfKernel(kernel, "", device.info().arch);
        const GemmPlan plan = PlanGemm(kernel, promotion, shape, machine.spec, fp8::kBF16);
        const GemmOperands operands = DrawGemm(plan, OperandPattern::kBits, 0);
        const std::string size = fmt::format("{}x{}x{}", shape.m, shape.n, shape.k);
        const bool fast = promotion == Promotion::kNone;
        if (!std::exchange(asked, true))
          peer = report.Add(fmt::format("cuBLASLt{} {}", fast ? ", fast" : "", size),
                            device.TimeGemmPeer(plan, operands), work, "TFLOP/s", 0, "");
        report.Add(fmt::format("{}, promote {} {}", NameOf(kernel), NameOf(promotion), size),
                   device.TimeGemm(plan, operands), work, "TFLOP/s", peer, "cuBLASLt");
      }
    }
  }
}

void BenchAttention(Backend& device, const Choice& choice, Report& report) {
  if (device.info().capability != 90) {
    report.Add("attention wgmma", {}, 0, "TFLOP/s", 0, "");
    return;
  }
  struct Size {
    int64_t queries, keys;
    int heads_q, heads_kv, head_dim, splits;
    bool causal;
  };
  const int64_t n = choice.small ? 1024 : 16384;
  for (const Size& x : {Size{n, n, 16, 16, 64, 1, true}, Size{n, n, 16, 16, 128, 1, true},
                        Size{n, n, 16, 16, 128, 1, false}, Size{n, n, 16, 16, 256, 1, true},
                        Size{1, 8 * n, 32, 8, 128, 16, false}}) {
    for (const KernelExp2 exp2 : {KernelExp2::kApprox, KernelExp2::kPolynomial}) {
      AttentionShape shape;
      shape.seqlen_q = x.queries;
      shape.seqlen_k = x.keys;
      shape.heads_q = x.heads_q;
      shape.heads_kv = x.heads_kv;
      shape.head_dim = x.head_dim;
      shape.splits = x.splits;
      shape.causal = x.causal;
      const AttentionPlan plan = PlanAttention(AttentionKernel::kWgmma, exp2, shape, fp8::kBF16);
      // Scores of a softmax that is not all one key: the polynomial is short where it is 0.
      const AttentionOperands operands = DrawAttention(plan, OperandPattern::kNormal, 0);
      // As FlashAttention counts: half under a causal mask.
      const double work = 4.0 * static_cast<double>(x.queries) * static_cast<double>(x.keys) *
                          x.heads_q * x.head_dim / (x.causal ? 2 : 1);
      report.Add(fmt::format("attention {} {}x{} d {}{}", NameOf(exp2), x.queries, x.keys,
                             x.head_dim, x.causal ? " causal" : ""),
                 device.TimeAttention(plan, operands), work, "TFLOP/s", 0, "");
    }
  }
}

int RunBench(const Options& options, const Choice& choice) {
  const std::unique_ptr<Backend> device = Open(options);
  Report report(options.json);
  const auto wanted = [&](const char* part) { return choice.only.empty() || choice.only == part; };
  if (wanted("codec")) BenchCodec(*device, choice, report);
  if (wanted("gemm")) BenchGemm(*device, choice, report);
  if (wanted("attention")) BenchAttention(*device, choice, report);
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["rows"] = report.rows();
    cli::PrintJson("bench", body);
  }
  return cli::kFine;
}

}  // namespace

void AddBench(CLI::App& app, Options& options) {
  const auto choice = std::make_shared<Choice>();
  CLI::App* command = app.add_subcommand(
      "bench", "Medians with CUDA events: codec beside a copy, GEMM beside cuBLASLt, attention");
  command->add_option("--only", choice->only, "codec, gemm or attention")
      ->check(CLI::IsMember({"codec", "gemm", "attention"}));
  command->add_flag("--small", choice->small, "Small sizes: to see it run");
  AddCommonOptions(*command, options);
  command->footer(
      "A peer's attention, and the ratio: scripts/gpu_peer.py --ours FILE, where PyTorch is "
      "installed.");
  command->callback(
      [choice, &options] { options.run = [=, &options] { return RunBench(options, *choice); }; });
}

}  // namespace lostbits::gpu
