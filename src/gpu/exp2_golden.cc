#include "gpu/exp2_golden.h"

#include <omp.h>

#include <algorithm>
#include <filesystem>

namespace lostbits::gpu {
namespace {

/// `count` of the blocks in `from`, evenly spread.
std::vector<int> Spread(const std::vector<int>& from, int count) {
  std::vector<int> out;
  const auto size = static_cast<int>(from.size());
  for (int i = 0; i < std::min(count, size); ++i)
    out.push_back(from[static_cast<size_t>(int64_t{i} * size / std::min(count, size))]);
  return out;
}

Exp2Block Judge(int block, std::span<const uint32_t> words, std::span<const uint32_t> table) {
  Exp2Block judged;
  judged.asked = true;
  judged.digest = Exp2Digest(words);
  judged.unpredicted = ~0u;
  for (const Exp2Cut cut : {Exp2Cut::kTowardZero, Exp2Cut::kDown, Exp2Cut::kNearest}) {
    uint32_t missed = 0;
    for (uint32_t i = 0; i < kExp2BlockSize; ++i)
      missed += words[i] != sim::Exp2FromOctave(table.data(), cut, Exp2First(block) + i);
    if (missed < judged.unpredicted) {
      judged.unpredicted = missed;
      judged.cut = cut;
    }
  }
  return judged;
}

}  // namespace

Exp2Golden CaptureExp2(Backend& device, int count) {
  Exp2Golden golden;
  std::vector<int> all(kExp2Blocks);
  for (int i = 0; i < kExp2Blocks; ++i) all[static_cast<size_t>(i)] = i;
  std::vector<int> blocks = Spread(all, count);
  std::erase(blocks, kExp2TableBlock);
  std::vector<uint32_t> table(kExp2BlockSize);
  device.Ex2(Exp2First(kExp2TableBlock), table);
  golden.blocks[kExp2TableBlock] = Judge(kExp2TableBlock, table, table);
  golden.deltas[kExp2TableBlock] = PackDeltas(kExp2TableBlock, table);

  const size_t batch = static_cast<size_t>(std::clamp(omp_get_max_threads(), 1, 16));
  std::vector<std::vector<uint32_t>> words(batch, std::vector<uint32_t>(kExp2BlockSize));
  cli::Progress progress("ex2: block", static_cast<int64_t>(blocks.size()));
  for (size_t done = 0; done < blocks.size(); done += batch) {
    progress.Update(static_cast<int64_t>(done));
    const int here = static_cast<int>(std::min(batch, blocks.size() - done));
    for (int i = 0; i < here; ++i)
      device.Ex2(Exp2First(blocks[done + static_cast<size_t>(i)]), words[static_cast<size_t>(i)]);
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < here; ++i) {
      const int block = blocks[done + static_cast<size_t>(i)];
      golden.blocks[static_cast<size_t>(block)] =
          Judge(block, words[static_cast<size_t>(i)], table);
    }
    for (int i = 0; i < here; ++i) {
      const int block = blocks[done + static_cast<size_t>(i)];
      if (golden.blocks[static_cast<size_t>(block)].unpredicted != 0 &&
          golden.deltas.size() <= kKeptBlocks)
        golden.deltas[block] = PackDeltas(block, words[static_cast<size_t>(i)]);
    }
  }
  for (const auto& [block, deltas] : golden.deltas) {
    const std::vector<uint32_t> kept = UnpackDeltas(block, deltas);
    for (uint32_t i = 0; i < kExp2BlockSize; ++i) {
      const int64_t delta = static_cast<int32_t>(kept[i] - Exp2Nearest(Exp2First(block) + i));
      ++golden.distances[static_cast<size_t>(std::clamp<int64_t>(delta, -2, 2) + 2)];
    }
  }
  return golden;
}

void StoreExp2(const std::string& path, const Exp2Golden& golden) {
  bool fuller = true;
  if (std::filesystem::exists(path)) {
    const Exp2Golden before = ReadExp2(path);
    int gained = 0, lost = 0;
    for (int i = 0; i < kExp2Blocks; ++i) {
      const Exp2Block& then = before.blocks[static_cast<size_t>(i)];
      const Exp2Block& now = golden.blocks[static_cast<size_t>(i)];
      gained += now.asked && !then.asked;
      lost += then.asked && !now.asked;
      if (!then.asked || !now.asked || then.digest == now.digest) continue;
      const std::string aside = DisagreesPath(path);
      WriteExp2(aside, golden);
      throw cli::Failure(
          cli::kMismatch,
          fmt::format("{}: not overwritten, for this device disagrees: the words of inputs from "
                      "0x{:08X} have SHA-256 {}, recorded {}; this device's: {}",
                      path, Exp2First(i), HexText(now.digest), HexText(then.digest), aside));
    }
    fuller = gained > 0 && lost == 0;
  }
  if (fuller) WriteExp2(path, golden);
}

Agreement ReplayExp2(const std::string& path, int count) {
  const Exp2Golden golden = ReadExp2(path);
  const std::vector<uint32_t> table =
      UnpackDeltas(kExp2TableBlock, golden.deltas.at(kExp2TableBlock));
  std::vector<int> predicted;
  for (int i = 0; i < kExp2Blocks; ++i) {
    const Exp2Block& block = golden.blocks[static_cast<size_t>(i)];
    if (block.asked && block.unpredicted == 0) predicted.push_back(i);
  }
  Agreement result;
  const auto judge = [&](int block, const std::vector<uint32_t>& words) {
    result.rows += kExp2BlockSize;
    if (Exp2Digest(words) == golden.blocks[static_cast<size_t>(block)].digest) {
      result.matched += kExp2BlockSize;
    } else if (result.first.empty()) {
      result.first = fmt::format(
          "inputs 0x{:08X} to 0x{:08X}: the rebuilt words have another "
          "SHA-256 than the recorded",
          Exp2First(block), Exp2First(block) + kExp2BlockSize - 1);
    }
  };
  for (const auto& [block, deltas] : golden.deltas) judge(block, UnpackDeltas(block, deltas));
  for (const int block : Spread(predicted, count)) {
    std::vector<uint32_t> words(kExp2BlockSize);
    const Exp2Cut cut = golden.blocks[static_cast<size_t>(block)].cut;
    for (uint32_t i = 0; i < kExp2BlockSize; ++i)
      words[i] = sim::Exp2FromOctave(table.data(), cut, Exp2First(block) + i);
    judge(block, words);
  }
  return result;
}

}  // namespace lostbits::gpu
