#include "golden_file.h"

#include <fmt/format.h>

#include <stdexcept>

#include "sha256.h"

namespace lostbits {

std::string Lookup(const Metadata& metadata, std::string_view key) {
  for (const auto& [name, value] : metadata) {
    if (name == key) return value;
  }
  return "";
}

std::string ChecksumOf(std::span<const NamedTensor> tensors) {
  Sha256 sum;
  for (const auto& [name, tensor] : tensors) sum.Add(tensor->data);
  return HexText(sum.Finish());
}

void CheckGolden(const std::string& path, const Metadata& metadata, const std::string& kind,
                 std::span<const NamedTensor> tensors) {
  if (Lookup(metadata, "format") != "lostbits golden 1" || Lookup(metadata, "kind") != kind)
    throw std::invalid_argument(
        fmt::format("{}: expected a 'lostbits golden 1' of kind '{}', found '{}' of kind '{}'",
                    path, kind, Lookup(metadata, "format"), Lookup(metadata, "kind")));
  const std::string found = ChecksumOf(tensors), expected = Lookup(metadata, "sha256");
  if (found != expected)
    throw std::invalid_argument(
        fmt::format("{}: expected tensors of SHA-256 {}, found {}", path, expected, found));
}

}  // namespace lostbits
