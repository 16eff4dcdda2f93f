// lostbits-gpu ex2, cvt: functions of one float, over all 2^32 of them.
#include <filesystem>
#include <memory>

#include "fp8/convert.h"
#include "fp8/preset.h"
#include "gpu/exp2_golden.h"

namespace lostbits::gpu {
namespace {

namespace fs = std::filesystem;

struct Choice {
  std::string folder;
  int blocks = kExp2Blocks;
};

void PrintExp2(const Exp2Golden& golden, const std::string& device) {
  int asked = 0, predicted = 0;
  int64_t cuts[3] = {};
  for (const Exp2Block& block : golden.blocks) {
    asked += block.asked;
    if (!block.asked || block.unpredicted != 0) continue;
    ++predicted;
    ++cuts[static_cast<int>(block.cut)];
  }
  fmt::print("{}: ex2.approx.ftz.f32, {} of 512 blocks of 2^23 inputs asked\n", device, asked);
  fmt::print(
      "  {} follow from the words of [1, 2) (the first cut that fits: toward zero {}, down "
      "{}, nearest {})\n",
      predicted, cuts[0], cuts[1], cuts[2]);
  for (int i = 0; i < kExp2Blocks; ++i) {
    const Exp2Block& block = golden.blocks[static_cast<size_t>(i)];
    if (block.asked && block.unpredicted != 0)
      fmt::print("  inputs from 0x{:08X}: {} of 2^23 do not{}\n",
                 static_cast<uint32_t>(i) * kExp2BlockSize, block.unpredicted,
                 golden.deltas.contains(i) ? "; kept whole" : "; only their checksum is kept");
  }
  fmt::print(
      "  of the words kept, units from the nearest: {} at -2 or less, {} at -1, {} at 0, {} "
      "at +1, {} at +2 or more\n",
      golden.distances[0], golden.distances[1], golden.distances[2], golden.distances[3],
      golden.distances[4]);
}

int RunExp2(const Options& options, const Choice& choice) {
  const std::unique_ptr<Backend> device = Open(options);
  if (!choice.folder.empty()) CheckFolder(choice.folder, device->info());
  Exp2Golden golden = CaptureExp2(*device, choice.blocks);
  golden.metadata = OriginOf(device->info(), options);
  if (options.json) {
    Json list = Json::array();
    for (int i = 0; i < kExp2Blocks; ++i) {
      const Exp2Block& block = golden.blocks[static_cast<size_t>(i)];
      if (block.asked)
        list.push_back({{"first", fmt::format("{:08X}", static_cast<uint32_t>(i) * kExp2BlockSize)},
                        {"sha256", HexText(block.digest)},
                        {"cut", static_cast<int>(block.cut)},
                        {"unpredicted", block.unpredicted}});
    }
    Json body = DeviceJson(device->info());
    body["blocks"] = list;
    cli::PrintJson("ex2", body);
  } else {
    PrintExp2(golden, device->info().name);
  }
  if (!choice.folder.empty())
    StoreExp2((fs::path(choice.folder) / device->info().arch / "ex2.safetensors").string(), golden);
  return cli::kFine;
}

int RunEncode(const Options& options, const Choice& choice) {
  const std::unique_ptr<Backend> device = Open(options);
  Json list = Json::array();
  bool fine = true;
  for (const fp8::Format& format : {fp8::kE4M3FN, fp8::kE5M2}) {
    const fp8::EncodePolicy policy =
        fp8::EncodeLike(fp8::Library::kCuda, format, fp8::kFP32).value();
    std::vector<uint32_t> words(kExp2BlockSize);
    std::vector<uint8_t> here(kExp2BlockSize), there(kExp2BlockSize);
    int64_t differ = 0, asked = 0;
    std::string first;
    cli::Progress progress("cvt: block", choice.blocks);
    for (int i = 0; i < choice.blocks; ++i) {
      progress.Update(i);
      const auto start =
          static_cast<uint32_t>(int64_t{i} * kExp2Blocks / choice.blocks) * kExp2BlockSize;
      for (uint32_t j = 0; j < kExp2BlockSize; ++j) words[j] = start + j;
      device->Encode(format, start, there);
      fp8::Encode({fp8::kFP32, words.data(), words.size(), 4},
                  {format, here.data(), here.size(), 1}, policy);
      asked += kExp2BlockSize;
      for (uint32_t j = 0; j < kExp2BlockSize; ++j) {
        if (here[j] == there[j]) continue;
        if (differ++ == 0)
          first = fmt::format("0x{:08X}: device {:02X}, simulated {:02X}", start + j, there[j],
                              here[j]);
      }
    }
    fine = fine && differ == 0;
    list.push_back(
        {{"format", NamesOf(format).name}, {"asked", asked}, {"differ", differ}, {"first", first}});
    if (!options.json)
      fmt::print("cvt.rn.satfinite.{}x2.f32: {} of {} codes differ{}{}\n", NamesOf(format).brief,
                 differ, asked, first.empty() ? "" : ": ", first);
  }
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["conversions"] = list;
    cli::PrintJson("cvt", body);
  }
  return fine ? cli::kFine : cli::kMismatch;
}

void AddBlocks(CLI::App& command, Choice& choice) {
  command
      .add_option("--blocks", choice.blocks,
                  "How many of the 512 blocks of 2^23 inputs, evenly spread")
      ->check(CLI::Range(1, kExp2Blocks));
}

}  // namespace

void AddExp2(CLI::App& app, Options& options) {
  const auto choice = std::make_shared<Choice>();
  CLI::App* command = app.add_subcommand("ex2", "ex2.approx.ftz.f32 over all inputs, as a golden");
  command->add_option("--to", choice->folder, "Folder of goldens: writes ARCH/ex2.safetensors");
  AddBlocks(*command, *choice);
  AddCommonOptions(*command, options);
  command->callback(
      [choice, &options] { options.run = [=, &options] { return RunExp2(options, *choice); }; });
}

void AddEncode(CLI::App& app, Options& options) {
  const auto choice = std::make_shared<Choice>();
  CLI::App* command = app.add_subcommand("cvt", "cvt.rn.satfinite to FP8 over all inputs");
  AddBlocks(*command, *choice);
  AddCommonOptions(*command, options);
  command->callback(
      [choice, &options] { options.run = [=, &options] { return RunEncode(options, *choice); }; });
}

}  // namespace lostbits::gpu
