// .safetensors: 8 bytes of header length, a JSON header, the elements.
// Format: the safetensors README, "Format".
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "fp8/convert.h"
#include "registry.h"
#include "tensor_formats.h"

namespace lostbits::detail {
namespace {

using Json = nlohmann::ordered_json;

// The reference reader's own limit (safetensors, MAX_HEADER_SIZE).
constexpr uint64_t kMaxHeader = 100'000'000;

struct Entry {
  std::string name, dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

struct Listing {
  std::vector<Entry> entries;  ///< in the order of their data
  uint64_t data_bytes = 0;
  Metadata metadata;
};

bool IsCount(const Json& j) {
  return j.is_number_unsigned() && j.get<uint64_t>() <= uint64_t{INT64_MAX};
}

Entry ParseEntry(const std::string& path, const std::string& name, const Json& j,
                 uint64_t data_bytes) {
  const std::string source = path + ":" + name;
  if (!j.is_object() || !j.contains("dtype") || !j["dtype"].is_string() || !j.contains("shape") ||
      !j["shape"].is_array() || !j.contains("data_offsets") || !j["data_offsets"].is_array() ||
      j["data_offsets"].size() != 2)
    FileError(source, "expected dtype, shape and two data_offsets, found something else");
  Entry entry;
  entry.name = name;
  entry.dtype = j["dtype"].get<std::string>();
  for (const Json& extent : j["shape"]) {
    if (!IsCount(extent))
      FileError(source, "expected extents >= 0 in shape, found {}", extent.dump());
    entry.shape.push_back(extent.get<int64_t>());
  }
  const Json& offsets = j["data_offsets"];
  if (!IsCount(offsets[0]) || !IsCount(offsets[1]) ||
      offsets[0].get<uint64_t>() > offsets[1].get<uint64_t>())
    FileError(source, "expected data_offsets [begin, end], found {}", offsets.dump());
  entry.begin = offsets[0].get<uint64_t>();
  entry.end = offsets[1].get<uint64_t>();
  if (entry.end > data_bytes)
    FileError(source, "expected data up to byte {}, found {} bytes (truncated)", entry.end,
              data_bytes);
  return entry;
}

Listing List(InputFile& file) {
  const std::string& path = file.path();
  unsigned char bytes[8];
  if (file.size() < sizeof bytes)
    FileError(path, "expected a .safetensors file, found {} bytes (truncated)", file.size());
  file.Read(bytes, sizeof bytes);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | bytes[i];
  if (length > file.left())
    FileError(path, "expected a header of {} bytes, found {} (truncated or no .safetensors file)",
              length, file.left());
  if (length > kMaxHeader)
    FileError(path, "expected a header of at most {} bytes, found {}", kMaxHeader, length);
  std::string text(length, '\0');
  file.Read(text.data(), length);
  const Json header = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) FileError(path, "expected a JSON object as header, found other text");
  Listing listing;
  listing.data_bytes = file.left();
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      listing.entries.push_back(ParseEntry(path, name, value, listing.data_bytes));
      continue;
    }
    for (const auto& [key, text_value] : value.items())
      listing.metadata.emplace_back(
          key, text_value.is_string() ? text_value.get<std::string>() : text_value.dump());
  }
  std::stable_sort(listing.entries.begin(), listing.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
  return listing;
}

const Entry& Choose(const std::string& path, const Listing& listing, const std::string& wanted) {
  std::vector<std::string> names;
  for (const Entry& entry : listing.entries) {
    if (entry.name == wanted) return entry;
    names.push_back(entry.name);
  }
  if (names.empty()) FileError(path, "expected a tensor, found none");
  if (wanted.empty() && names.size() == 1) return listing.entries[0];
  const size_t total = names.size();
  names.resize(std::min<size_t>(total, 6));
  const std::string list =
      fmt::format("{}{}", fmt::join(names, ", "), total > names.size() ? ", ..." : "");
  if (wanted.empty())
    FileError(path, "expected one tensor, found {} ({}); name one as {}:NAME", total, list, path);
  FileError(path, "expected a tensor '{}', found {}", wanted, list);
}

/// Format and element size of a safetensors dtype.
void ApplyDtype(const std::string& source, const std::string& dtype, Tensor& tensor) {
  tensor.dtype = dtype;
  for (const FormatNames& names : AllFormatNames()) {
    // F4 and F6 are packed across bytes there.
    if (dtype != names.safetensors || (StorageBits(names.format) % 8) != 0) continue;
    tensor.format = names.format;
    tensor.element_size = ContainerBytes(names.format);
    return;
  }
  constexpr std::pair<const char*, int> kRaw[] = {{"U8", 1}, {"U16", 2}, {"U32", 4}, {"U64", 8}};
  for (const auto& [name, size] : kRaw) {
    if (dtype == name) {
      tensor.element_size = size;
      return;
    }
  }
  FileError(source,
            "expected a dtype of F64, F32, F16, BF16, F8_E4M3, F8_E5M2, F8_E8M0, U8, U16, U32, "
            "U64, found {}",
            dtype);
}

}  // namespace

Tensor ReadSafetensors(const std::string& path, const std::string& name,
                       std::optional<fp8::Format> as) {
  InputFile file(path);
  const Listing listing = List(file);
  const Entry& entry = Choose(path, listing, name);
  Tensor tensor;
  tensor.source = path + ":" + entry.name;
  ApplyDtype(tensor.source, entry.dtype, tensor);
  tensor.shape = entry.shape;
  const int64_t count = CheckedCount(tensor.source, entry.shape, tensor.element_size);
  const uint64_t bytes = static_cast<uint64_t>(count) * static_cast<uint64_t>(tensor.element_size);
  if (bytes != entry.end - entry.begin)
    FileError(tensor.source, "expected {} bytes for shape {} of {}, found data_offsets of {}",
              bytes, ShapeText(entry.shape), entry.dtype, entry.end - entry.begin);
  file.Skip(entry.begin);
  tensor.data.resize(bytes);
  file.Read(tensor.data.data(), bytes);
  ApplyFormat(tensor, as);
  return tensor;
}

std::vector<std::byte> SafetensorsBytes(const std::string& path,
                                        std::span<const NamedTensor> tensors,
                                        const Metadata& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = Json::object();
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  uint64_t data = 0;
  for (const auto& [name, tensor] : tensors) {
    std::string dtype = fmt::format("U{}", 8 * tensor->element_size);
    if (tensor->format) {
      const std::string known = NamesOf(*tensor->format).safetensors;
      if (tensor->format == fp8::kTF32) dtype = "F32";
      if (!known.empty() && StorageBits(*tensor->format) % 8 == 0) dtype = known;
    }
    const uint64_t end = data + tensor->data.size();
    header[name] = {{"dtype", dtype}, {"shape", tensor->shape}, {"data_offsets", {data, end}}};
    data = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // the elements start at a multiple of 8
  if (text.size() > kMaxHeader) FileError(path, "expected a shorter tensor name");
  std::vector<std::byte> bytes(8 + text.size());
  bytes.reserve(bytes.size() + data);
  const uint64_t length = text.size();
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(length >> (8 * i) & 0xFF);
  std::memcpy(bytes.data() + 8, text.data(), text.size());
  for (const auto& [name, tensor] : tensors)
    bytes.insert(bytes.end(), tensor->data.begin(), tensor->data.end());
  return bytes;
}

}  // namespace lostbits::detail

namespace lostbits {

std::vector<std::string> SafetensorsNames(const std::string& path) {
  detail::InputFile file(path);
  std::vector<std::string> names;
  for (const auto& entry : detail::List(file).entries) names.push_back(entry.name);
  return names;
}

Metadata SafetensorsMetadata(const std::string& path) {
  detail::InputFile file(path);
  return detail::List(file).metadata;
}

void WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors,
                      const Metadata& metadata) {
  WriteWhole(path, detail::SafetensorsBytes(path, tensors, metadata));
}

}  // namespace lostbits
