#include "exp2_file.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace lostbits {

uint32_t Exp2Nearest(uint32_t bits) {
  if ((bits & 0x7fff'ffff) < 0x0080'0000) bits = 0;
  const uint32_t word =
      fp8::BitCast<uint32_t>(sim::Exp2CorrectlyRounded(fp8::BitCast<float>(bits)));
  return word < 0x0080'0000 ? 0 : word;
}

Sha256::Digest Exp2Digest(std::span<const uint32_t> words) {
  Sha256 sum;
  sum.Add(std::as_bytes(words));
  return sum.Finish();
}

Exp2Deltas PackDeltas(int block, std::span<const uint32_t> words) {
  Exp2Deltas out;
  out.packed.assign(words.size() / 4, 0);
  for (uint32_t i = 0; i < words.size(); ++i) {
    const auto delta = static_cast<int32_t>(words[i] - Exp2Nearest(Exp2First(block) + i));
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
    if (code != 3) words[i] = Exp2Nearest(Exp2First(block) + i) + code - 1;
  }
  for (size_t i = 0; i + 1 < deltas.exceptions.size(); i += 2) {
    if (deltas.exceptions[i] < words.size()) words[deltas.exceptions[i]] = deltas.exceptions[i + 1];
  }
  return words;
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
          "{}: expected a tensor '{}'{}, found {}", path, name,
          count < 0 ? std::string() : fmt::format(" of {} elements", count),
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

Exp2File::Exp2File(const std::string& path) {
  const Exp2Golden golden = ReadExp2(path);
  device_ = Lookup(golden.metadata, "device");
  cuts_.fill(Exp2Cut::kNone);
  for (int i = 0; i < kExp2Blocks; ++i) {
    const Exp2Block& block = golden.blocks[static_cast<size_t>(i)];
    const bool kept = golden.deltas.contains(i);
    if (!block.asked || (block.unpredicted != 0 && !kept)) continue;
    ++blocks_;
    if (!kept) {
      if (block.cut > Exp2Cut::kNearest)
        throw std::invalid_argument(fmt::format("{}: expected a mode from 0 to 2, found {}", path,
                                                static_cast<int>(block.cut)));
      cuts_[static_cast<size_t>(i)] = block.cut;
      continue;
    }
    std::vector<uint32_t>& words = words_[i];
    words = UnpackDeltas(i, golden.deltas.at(i));
    if (Exp2Digest(words) != block.digest)
      throw std::invalid_argument(
          fmt::format("{}: expected words of SHA-256 {} for inputs from 0x{:08X}, found {}", path,
                      HexText(block.digest), Exp2First(i), HexText(Exp2Digest(words))));
    segments_.push_back({Exp2First(i), kExp2BlockSize, words.data()});
  }
  if (!words_.contains(kExp2TableBlock))
    throw std::invalid_argument(path + ": expected the words of [1, 2), found none");
  table_ = {segments_.data(), static_cast<int>(segments_.size()), words_.at(kExp2TableBlock).data(),
            cuts_.data()};
}

}  // namespace lostbits
