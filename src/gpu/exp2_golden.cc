#include "gpu/exp2_golden.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "sim/exp2.h"

namespace lostbits::gpu {
namespace {

constexpr uint32_t kSmallestNormal = 0x0080'0000;

uint32_t FirstOf(int block) { return static_cast<uint32_t>(block) * kExp2BlockSize; }

/// The nearest word to 2^x, subnormal inputs and results flushed.
uint32_t Nearest(uint32_t bits) {
  if ((bits & 0x7fff'ffff) < kSmallestNormal) bits = 0;
  const uint32_t word =
      fp8::BitCast<uint32_t>(sim::Exp2CorrectlyRounded(fp8::BitCast<float>(bits)));
  return word < kSmallestNormal ? 0 : word;
}

Sha256::Digest DigestOf(std::span<const uint32_t> words) {
  Sha256 sum;
  sum.Add(std::as_bytes(words));
  return sum.Finish();
}

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
  judged.digest = DigestOf(words);
  judged.unpredicted = ~0u;
  for (const Exp2Cut cut : {Exp2Cut::kTowardZero, Exp2Cut::kDown, Exp2Cut::kNearest}) {
    uint32_t missed = 0;
    for (uint32_t i = 0; i < kExp2BlockSize; ++i)
      missed += words[i] != Exp2Model(table, cut, FirstOf(block) + i);
    if (missed < judged.unpredicted) {
      judged.unpredicted = missed;
      judged.cut = cut;
    }
  }
  return judged;
}

}  // namespace

uint32_t Exp2Model(std::span<const uint32_t> table, Exp2Cut cut, uint32_t bits) {
  const bool negative = bits >> 31;
  const int field = static_cast<int>(bits >> 23 & 0xFF);
  const uint32_t mantissa = bits & 0x7f'ffff;
  if (field == 255) return mantissa != 0 ? sim::kFp32Nan : negative ? 0 : sim::kFp32Infinity;
  if (field >= 127 + 9) return negative ? 0 : sim::kFp32Infinity;  // |x| >= 512
  // x in units of 2^-23.
  int64_t units = 0;
  if (field != 0) {
    const int64_t significand = mantissa | 0x80'0000;
    const int down = 127 - field;
    if (down <= 0) {
      units = significand << -down;
    } else {
      const int64_t kept = down < 63 ? significand >> down : 0;
      const int64_t dropped = down < 63 ? significand - (kept << down) : significand;
      const int64_t half = down < 40 ? int64_t{1} << (down - 1) : int64_t{1} << 39;
      bool away = false;
      if (cut == Exp2Cut::kDown) away = negative && dropped != 0;
      if (cut == Exp2Cut::kNearest) away = dropped > half || (dropped == half && (kept & 1));
      units = kept + away;
    }
    if (negative) units = -units;
  }
  const int64_t whole = units >> 23;
  const uint32_t word = table[static_cast<size_t>(units & 0x7f'ffff)];
  const int64_t result = static_cast<int64_t>(word >> 23) + whole - 1;
  if (result <= 0) return 0;
  if (result >= 255) return sim::kFp32Infinity;
  return static_cast<uint32_t>(result) << 23 | (word & 0x7f'ffff);
}

Exp2Deltas PackDeltas(int block, std::span<const uint32_t> words) {
  Exp2Deltas out;
  out.packed.assign(words.size() / 4, 0);
  for (uint32_t i = 0; i < words.size(); ++i) {
    const auto delta = static_cast<int32_t>(words[i] - Nearest(FirstOf(block) + i));
    const bool fits = delta >= -1 && delta <= 1;
    const auto code = static_cast<uint8_t>(fits ? delta + 1 : 3);
    out.packed[i / 4] |= static_cast<uint8_t>(code << (2 * (i % 4)));
    if (!fits) out.exceptions.insert(out.exceptions.end(), {i, words[i]});
  }
  return out;
}

std::vector<uint32_t> UnpackDeltas(int block, const Exp2Deltas& deltas) {
  std::vector<uint32_t> words(deltas.packed.size() * 4);
  for (uint32_t i = 0; i < words.size(); ++i) {
    const uint32_t code = deltas.packed[i / 4] >> (2 * (i % 4)) & 3;
    if (code != 3) words[i] = Nearest(FirstOf(block) + i) + code - 1;
  }
  for (size_t i = 0; i + 1 < deltas.exceptions.size(); i += 2) {
    if (deltas.exceptions[i] < words.size()) words[deltas.exceptions[i]] = deltas.exceptions[i + 1];
  }
  return words;
}

Exp2Golden CaptureExp2(Backend& device, int count) {
  Exp2Golden golden;
  std::vector<int> all(kExp2Blocks);
  for (int i = 0; i < kExp2Blocks; ++i) all[static_cast<size_t>(i)] = i;
  std::vector<int> blocks = Spread(all, count);
  std::erase(blocks, kExp2TableBlock);
  std::vector<uint32_t> table(kExp2BlockSize);
  device.Ex2(FirstOf(kExp2TableBlock), table);
  golden.blocks[kExp2TableBlock] = Judge(kExp2TableBlock, table, table);
  golden.deltas[kExp2TableBlock] = PackDeltas(kExp2TableBlock, table);

  const size_t batch = static_cast<size_t>(std::clamp(omp_get_max_threads(), 1, 16));
  std::vector<std::vector<uint32_t>> words(batch, std::vector<uint32_t>(kExp2BlockSize));
  cli::Progress progress("ex2: block", static_cast<int64_t>(blocks.size()));
  for (size_t done = 0; done < blocks.size(); done += batch) {
    progress.Update(static_cast<int64_t>(done));
    const int here = static_cast<int>(std::min(batch, blocks.size() - done));
    for (int i = 0; i < here; ++i)
      device.Ex2(FirstOf(blocks[done + static_cast<size_t>(i)]), words[static_cast<size_t>(i)]);
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
      const int64_t delta = static_cast<int32_t>(kept[i] - Nearest(FirstOf(block) + i));
      ++golden.distances[static_cast<size_t>(std::clamp<int64_t>(delta, -2, 2) + 2)];
    }
  }
  return golden;
}

namespace {

Tensor Bytes(std::vector<int64_t> shape, int element_size, const void* from) {
  Tensor tensor;
  tensor.element_size = element_size;
  tensor.dtype = fmt::format("U{}", 8 * element_size);
  tensor.shape = std::move(shape);
  tensor.data.resize(static_cast<size_t>(tensor.Count() * element_size));
  if (!tensor.data.empty()) std::memcpy(tensor.data.data(), from, tensor.data.size());
  return tensor;
}

}  // namespace

void WriteExp2(const std::string& path, const Exp2Golden& golden) {
  std::vector<uint8_t> digests, cuts, asked;
  std::vector<uint32_t> unpredicted;
  for (const Exp2Block& block : golden.blocks) {
    digests.insert(digests.end(), block.digest.begin(), block.digest.end());
    cuts.push_back(static_cast<uint8_t>(block.cut));
    asked.push_back(block.asked);
    unpredicted.push_back(block.unpredicted);
  }
  std::vector<std::pair<std::string, Tensor>> tensors = {
      {"sha256", Bytes({kExp2Blocks, 32}, 1, digests.data())},
      {"mode", Bytes({kExp2Blocks}, 1, cuts.data())},
      {"asked", Bytes({kExp2Blocks}, 1, asked.data())},
      {"unpredicted", Bytes({kExp2Blocks}, 4, unpredicted.data())}};
  for (const auto& [block, deltas] : golden.deltas) {
    const auto bytes = static_cast<int64_t>(deltas.packed.size());
    const auto pairs = static_cast<int64_t>(deltas.exceptions.size() / 2);
    tensors.emplace_back(fmt::format("delta_{}", block), Bytes({bytes}, 1, deltas.packed.data()));
    tensors.emplace_back(fmt::format("exceptions_{}", block),
                         Bytes({pairs, 2}, 4, deltas.exceptions.data()));
  }
  std::vector<NamedTensor> named;
  for (const auto& [name, tensor] : tensors) named.emplace_back(name, &tensor);
  Metadata metadata = golden.metadata;
  metadata.emplace_back("kind", "exp2");
  metadata.emplace_back("instruction", "ex2.approx.ftz.f32");
  metadata.emplace_back("sha256", ChecksumOf(named));
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  WriteSafetensors(path, named, metadata);
}

Exp2Golden ReadExp2(const std::string& path) {
  Exp2Golden golden;
  golden.metadata = SafetensorsMetadata(path);
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const std::string& name : SafetensorsNames(path))
    tensors.emplace_back(name, ReadTensor(path + ":" + name));
  std::vector<NamedTensor> named;
  std::map<std::string, const Tensor*> by_name;
  for (const auto& [name, tensor] : tensors) {
    named.emplace_back(name, &tensor);
    by_name[name] = &tensor;
  }
  CheckGolden(path, golden.metadata, "exp2", named);
  const auto get = [&](const std::string& name, int64_t count) -> const Tensor& {
    const auto found = by_name.find(name);
    if (found == by_name.end() || (count >= 0 && found->second->Count() != count))
      throw std::invalid_argument(fmt::format(
          "{}: expected a tensor '{}' of {} elements, found {}", path, name, count,
          found == by_name.end() ? std::string("none") : ShapeText(found->second->shape)));
    return *found->second;
  };
  const Tensor& digests = get("sha256", kExp2Blocks * 32);
  for (int i = 0; i < kExp2Blocks; ++i) {
    Exp2Block& block = golden.blocks[static_cast<size_t>(i)];
    block.asked = get("asked", kExp2Blocks).Code(i) != 0;
    block.cut = static_cast<Exp2Cut>(get("mode", kExp2Blocks).Code(i));
    block.unpredicted = static_cast<uint32_t>(get("unpredicted", kExp2Blocks).Code(i));
    for (int j = 0; j < 32; ++j)
      block.digest[static_cast<size_t>(j)] = static_cast<uint8_t>(digests.Code(32 * i + j));
  }
  for (int i = 0; i < kExp2Blocks; ++i) {
    if (!by_name.contains(fmt::format("delta_{}", i))) continue;
    const Tensor& packed = get(fmt::format("delta_{}", i), kExp2BlockSize / 4);
    const Tensor& exceptions = get(fmt::format("exceptions_{}", i), -1);
    Exp2Deltas& deltas = golden.deltas[i];
    for (int64_t j = 0; j < packed.Count(); ++j)
      deltas.packed.push_back(static_cast<uint8_t>(packed.Code(j)));
    for (int64_t j = 0; j < exceptions.Count(); ++j)
      deltas.exceptions.push_back(static_cast<uint32_t>(exceptions.Code(j)));
  }
  get(fmt::format("delta_{}", kExp2TableBlock), -1);
  return golden;
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
    if (DigestOf(words) == golden.blocks[static_cast<size_t>(block)].digest) {
      result.matched += kExp2BlockSize;
    } else if (result.first.empty()) {
      result.first = fmt::format(
          "inputs 0x{:08X} to 0x{:08X}: the rebuilt words have another "
          "SHA-256 than the recorded",
          FirstOf(block), FirstOf(block) + kExp2BlockSize - 1);
    }
  };
  for (const auto& [block, deltas] : golden.deltas) judge(block, UnpackDeltas(block, deltas));
  for (const int block : Spread(predicted, count)) {
    std::vector<uint32_t> words(kExp2BlockSize);
    const Exp2Cut cut = golden.blocks[static_cast<size_t>(block)].cut;
    for (uint32_t i = 0; i < kExp2BlockSize; ++i)
      words[i] = Exp2Model(table, cut, FirstOf(block) + i);
    judge(block, words);
  }
  return result;
}

}  // namespace lostbits::gpu
