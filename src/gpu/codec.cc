// lostbits-gpu codec: the codec kernels over all inputs, against fp8/codec.h.
#include <cstring>
#include <memory>

#include "fp8/convert.h"
#include "fp8/preset.h"
#include "gpu/exp2_golden.h"
#include "gpu/kernels.h"

namespace lostbits::gpu {
namespace {

/// Inputs `first`, first + 1, ... as little-endian words.
std::vector<uint8_t> Inputs(const CodecPlan& plan, uint32_t first, size_t count) {
  const auto bytes = static_cast<size_t>(plan.decode ? 1 : plan.WideBytes());
  std::vector<uint8_t> in(count * bytes);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t word = first + static_cast<uint32_t>(i);
    std::memcpy(in.data() + i * bytes, &word, bytes);
  }
  return in;
}

std::vector<uint8_t> Expected(const CodecPlan& plan, const std::vector<uint8_t>& in) {
  const auto wide = static_cast<size_t>(plan.WideBytes());
  if (!plan.decode) {
    std::vector<uint8_t> out(in.size() / wide);
    const fp8::EncodePolicy policy =
        fp8::EncodeLike(fp8::Library::kCuda, plan.code, plan.wide).value();
    fp8::Encode({plan.wide, in.data(), out.size(), static_cast<int>(wide)},
                {plan.code, out.data(), out.size(), 1}, policy);
    return out;
  }
  std::vector<uint8_t> out(in.size() * wide);
  for (size_t i = 0; i < in.size(); ++i) {
    const float value =
        fp8::Decode(plan.code, in[i], fp8::DecodeLike(fp8::Library::kCuda, plan.code));
    const uint64_t word =
        fp8::Pack(plan.wide, fp8::Unpack(value), {.inf = fp8::InfRule::kKeep}).code;
    std::memcpy(out.data() + i * wide, &word, wide);
  }
  return out;
}

int RunCodec(const Options& options, int blocks) {
  const std::unique_ptr<Backend> device = Open(options);
  Json list = Json::array();
  bool fine = true;
  for (const CodecPlan& plan : kCodecPlans) {
    if (plan.hardware && device->info().capability < 89) continue;
    const bool all_floats = !plan.decode && plan.wide == fp8::kFP32;
    const size_t count = all_floats ? kExp2BlockSize : plan.decode ? 256 : 65536;
    const auto bytes = static_cast<size_t>(plan.decode ? plan.WideBytes() : 1);
    int64_t asked = 0, differ = 0;
    std::string first;
    for (int block = 0; block < (all_floats ? blocks : 1); ++block) {
      const auto start =
          static_cast<uint32_t>(int64_t{block} * kExp2Blocks / blocks) * kExp2BlockSize;
      const std::vector<uint8_t> in = Inputs(plan, all_floats ? start : 0, count);
      const std::vector<uint8_t> expected = Expected(plan, in);
      std::vector<uint8_t> out(expected.size());
      device->Codec(plan, in, out);
      asked += static_cast<int64_t>(count);
      for (size_t i = 0; i < count; ++i) {
        if (std::memcmp(&out[i * bytes], &expected[i * bytes], bytes) == 0) continue;
        uint32_t got = 0, wanted = 0;
        std::memcpy(&got, &out[i * bytes], bytes);
        std::memcpy(&wanted, &expected[i * bytes], bytes);
        if (differ++ == 0)
          first = fmt::format("0x{:X}: device {:X}, expected {:X}",
                              (all_floats ? start : 0) + static_cast<uint32_t>(i), got, wanted);
      }
    }
    fine = fine && differ == 0;
    list.push_back(
        {{"kernel", plan.Name()}, {"asked", asked}, {"differ", differ}, {"first", first}});
    if (!options.json)
      fmt::print("{:<18} {} of {} differ{}{}\n", plan.Name(), differ, asked,
                 first.empty() ? "" : ": ", first);
  }
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["kernels"] = list;
    cli::PrintJson("codec", body);
  }
  return fine ? cli::kFine : cli::kMismatch;
}

}  // namespace

void AddCodec(CLI::App& app, Options& options) {
  const auto blocks = std::make_shared<int>(kExp2Blocks);
  CLI::App* command = app.add_subcommand(
      "codec", "Codec kernels, ours and cvt, over all inputs, against the simulator");
  command
      ->add_option("--blocks", *blocks,
                   "Of floats: how many of the 512 blocks of 2^23 inputs, evenly spread")
      ->check(CLI::Range(1, kExp2Blocks));
  AddCommonOptions(*command, options);
  command->callback(
      [blocks, &options] { options.run = [=, &options] { return RunCodec(options, *blocks); }; });
}

}  // namespace lostbits::gpu
