// The simulator in a device's place.
#include <cstring>
#include <memory>
#include <numeric>
#include <stdexcept>

#include "cuda/codec_fast.h"
#include "cuda/generator.h"
#include "cuda/gpu.h"
#include "cuda/twin.h"
#include "fp8/preset.h"
#include "sim/exp2.h"

namespace lostbits::gpu {
namespace {

DeviceInfo SimulatedInfo(const std::string& arch) {
  DeviceInfo info;
  info.name = "simulated " + arch;
  info.capability = CapabilityOf(arch);
  info.arch = arch;
  info.driver = info.toolkit = "none";
  info.simulated = true;
  if (info.capability == 0)
    throw std::invalid_argument("no device of architecture '" + arch +
                                "' to simulate; known: turing, ampere, ada, hopper, blackwell, "
                                "rtx_blackwell");
  return info;
}

class Simulated : public Backend {
 public:
  Simulated(const std::string& arch, SpecOf spec_of)
      : Backend(SimulatedInfo(arch)), spec_of_(std::move(spec_of)) {}

  void Run(Tiles& tiles, Flags flags) override {
    const Unit& unit = *tiles.unit;
    CheckRuns(unit);
    const TileShape& s = unit.shape;
    const sim::AccumSpec spec = spec_of_(unit);
    const int bytes = s.row_bytes / s.k;
    const auto negated = [&](const uint8_t* line, fp8::Format f, bool negate) {
      std::vector<uint8_t> out(static_cast<size_t>(s.row_bytes));
      for (int i = 0; i < s.k; ++i)
        detail::StoreCode(out.data(), i, bytes,
                          LoadCode(line, i, bytes) ^ (negate ? fp8::SignMask(f) : 0));
      return out;
    };
    for (int64_t t = 0; t < tiles.count; ++t) {
      for (int i = 0; i < s.m; ++i) {
        const std::vector<uint8_t> a = negated(tiles.A(t, i), s.a, flags.negate_a);
        for (int j = 0; j < s.n; ++j) {
          const std::vector<uint8_t> b = negated(tiles.B(t, j), s.b, flags.negate_b);
          const uint32_t c = flags.drop_c ? 0 : tiles.C(t, i, j);
          tiles.d[static_cast<size_t>((t * s.m + i) * s.n + j)] =
              TwinOutput(spec, s, a.data(), b.data(), c);
        }
      }
    }
  }

  std::vector<uint32_t> Gemm(const GemmPlan& plan, const GemmOperands& operands) override {
    CheckRuns(plan);
    GemmPlan as_asked = plan;
    as_asked.recipe.unit = SpecFor(plan);
    std::vector<int64_t> rows(static_cast<size_t>(plan.shape.m));
    std::iota(rows.begin(), rows.end(), 0);
    return GemmOnCpu(as_asked, operands, rows, 0);
  }

  /// ex2.approx is taken for the correctly rounded 2^x.
  AttentionRows Attention(const AttentionPlan& plan, const AttentionOperands& operands,
                          std::span<const int64_t> queries) override {
    CheckRuns(plan);
    AttentionPlan as_asked = plan;
    if (plan.exp2 == KernelExp2::kApprox) as_asked.recipe.exp2 = sim::Exp2Model::kCorrectlyRounded;
    if (plan.kernel == AttentionKernel::kWgmma)
      as_asked.recipe.qk = as_asked.recipe.pv = SpecOfInstruction("wgmma", plan.recipe.pv);
    return AttentionOnCpu(as_asked, operands, queries, 0);
  }

  /// Ours by the functions of the kernel, cvt by fp8/codec.h.
  void Codec(const CodecPlan& plan, std::span<const uint8_t> in, std::span<uint8_t> out) override {
    CheckRuns(plan);
    plan.code == fp8::kE4M3FN ? RunCodec<fp8::kE4M3FN>(plan, in, out)
                              : RunCodec<fp8::kE5M2>(plan, in, out);
  }

  void Ex2(uint32_t first, std::span<uint32_t> out) override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = Word(first + static_cast<uint32_t>(i));
  }

  void Encode(const fp8::Format& format, uint32_t first, std::span<uint8_t> out) override {
    CheckEncodes();
    const fp8::EncodePolicy policy =
        fp8::EncodeLike(fp8::Library::kCuda, format, fp8::kFP32).value();
    for (size_t i = 0; i < out.size(); ++i) {
      const fp8::Unpacked x = fp8::Unpack(fp8::kFP32, first + static_cast<uint32_t>(i));
      out[i] = static_cast<uint8_t>(fp8::Pack(format, x, policy).code);
    }
  }

 private:
  template <fp8::Format F>
  static void RunCodec(const CodecPlan& plan, std::span<const uint8_t> in, std::span<uint8_t> out) {
    const auto wide = static_cast<size_t>(plan.WideBytes());
    constexpr fp8::EncodePolicy kKeepInf{.inf = fp8::InfRule::kKeep};
    const fp8::DecodePolicy nan = fp8::DecodeLike(fp8::Library::kCuda, F);
    for (size_t i = 0; i < (plan.decode ? in.size() : out.size()); ++i) {
      if (plan.decode) {
        const uint32_t value = plan.hardware ? fp8::BitCast<uint32_t>(fp8::Decode<F>(in[i], nan))
                                             : DecodeFast<F>(in[i]);
        const uint64_t word = fp8::Pack(plan.wide, fp8::Unpack(fp8::kFP32, value), kKeepInf).code;
        std::memcpy(out.data() + i * wide, &word, wide);
        continue;
      }
      uint64_t word = 0;
      std::memcpy(&word, in.data() + i * wide, wide);
      const fp8::Unpacked x = fp8::Unpack(plan.wide, word);
      const float value = fp8::Decode(plan.wide, word);
      out[i] = static_cast<uint8_t>(plan.hardware ? fp8::Pack(F, x).code : EncodeFast<F>(value));
    }
  }

  /// What the simulated device's instruction of this name does in a kernel.
  sim::AccumSpec SpecOfInstruction(std::string_view instruction,
                                   const sim::AccumSpec& asked) const {
    for (const Unit& unit : kUnits) {
      if (unit.instruction == instruction && unit.shape.a == asked.a && unit.shape.b == asked.b &&
          unit.shape.d == asked.acc && unit.shape.k == asked.k && Runs(unit))
        return spec_of_(unit);
    }
    return asked;
  }
  /// The twin does as it is told.
  sim::AccumSpec SpecFor(const GemmPlan& plan) const {
    const sim::AccumSpec& asked = plan.recipe.unit;
    if (plan.kernel == GemmKernel::kTwin) return asked;
    return SpecOfInstruction(plan.kernel == GemmKernel::kMma ? "mma.sync" : "wgmma", asked);
  }

  /// x cut toward zero to a multiple of 2^-23; 2^ of that; one unit less for one mantissa in eight.
  static uint32_t Word(uint32_t bits) {
    const float x = fp8::BitCast<float>(bits);
    const uint32_t magnitude = bits & 0x7fff'ffff;
    if (magnitude > sim::kFp32Infinity) return sim::kFp32Nan;
    float cut = x;
    if (magnitude < 0x4b00'0000)  // below 2^23
      cut = static_cast<float>(static_cast<double>(static_cast<int64_t>(x * 0x1p23)) * 0x1p-23);
    const uint32_t word = fp8::BitCast<uint32_t>(sim::Exp2CorrectlyRounded(cut));
    if (word < 0x0080'0000) return 0;
    const bool lower = word < sim::kFp32Infinity && (word & 0x7f'ffff) % 8 == 5;
    return lower ? word - 1 : word;
  }

  SpecOf spec_of_;
};

}  // namespace

std::unique_ptr<Backend> Simulate(const std::string& arch, SpecOf spec_of) {
  return std::make_unique<Simulated>(arch, std::move(spec_of));
}

}  // namespace lostbits::gpu
