// .npy: "\x93NUMPY", version, header length, a Python dict literal, the elements.
// Format: numpy.lib.format, "Format Version 1.0", "2.0", "3.0".
#include <cctype>
#include <cstring>

#include "fp8/convert.h"
#include "registry.h"
#include "tensor_formats.h"

namespace lostbits::detail {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr size_t kMagicSize = 6;

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

/// Reads the header's dict literal: three keys, each once, values of fixed kinds.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, const std::string& text) : path_(path), text_(text) {}

  Header Parse() {
    Header header;
    bool descr = false, order = false, shape = false;
    Expect('{');
    while (Next() != '}') {
      const std::string key = String();
      Expect(':');
      if (key == "descr" && !descr) {
        if (Next() == '[') FileError(path_, "expected plain numbers, found a structured array");
        header.descr = String();
        descr = true;
      } else if (key == "fortran_order" && !order) {
        header.fortran_order = Bool();
        order = true;
      } else if (key == "shape" && !shape) {
        header.shape = Shape();
        shape = true;
      } else {
        FileError(path_, "expected the keys descr, fortran_order, shape once each, found '{}'",
                  Printable(key));
      }
      if (Next() == ',') ++at_;
    }
    if (!descr || !order || !shape)
      FileError(path_, "expected a header with descr, fortran_order and shape, found {}",
                Printable(text_));
    return header;
  }

 private:
  /// What is left of untrusted text in a message: short, one line, plain characters.
  static std::string Printable(const std::string& text) {
    std::string plain;
    for (char c : text.substr(0, 60))
      plain += std::isprint(static_cast<unsigned char>(c)) ? c : '?';
    return plain;
  }
  [[noreturn]] void Malformed() const {
    FileError(path_, "expected a .npy header, found '{}' at its byte {}",
              Printable(text_.substr(at_, 20)), at_);
  }
  char Next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    if (at_ >= text_.size()) Malformed();
    return text_[at_];
  }
  void Expect(char c) {
    if (Next() != c) Malformed();
    ++at_;
  }
  std::string String() {
    const char quote = Next();
    if (quote != '\'' && quote != '"') Malformed();
    const size_t end = text_.find(quote, at_ + 1);
    if (end == text_.npos) Malformed();
    const std::string value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return value;
  }
  bool Bool() {
    Next();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (std::string_view(text_).substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    Malformed();
  }
  std::vector<int64_t> Shape() {
    std::vector<int64_t> shape;
    Expect('(');
    while (Next() != ')') {
      int64_t extent = 0;
      const size_t start = at_;
      while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
        if (__builtin_mul_overflow(extent, int64_t{10}, &extent) ||
            __builtin_add_overflow(extent, int64_t{text_[at_] - '0'}, &extent))
          FileError(path_, "expected extents that fit 63 bits, found '{}'",
                    Printable(text_.substr(start)));
        ++at_;
      }
      if (at_ == start || shape.size() == 32) Malformed();  // numpy allows 64 axes, we take 32
      if (text_[at_] == 'L') ++at_;                         // Python 2 wrote "3L"
      shape.push_back(extent);
      if (Next() == ',') ++at_;
    }
    ++at_;
    return shape;
  }

  const std::string& path_;
  const std::string& text_;
  size_t at_ = 0;
};

/// Format and size of a dtype string; throws for those that hold no numbers we read.
void ApplyDescr(const std::string& path, const std::string& descr, Tensor& tensor) {
  const char order = descr.empty() ? '?' : descr[0];
  const std::string type = descr.size() > 1 ? descr.substr(1) : "";
  if (order == '>')
    FileError(path, "expected little-endian elements, found dtype '{}' (big-endian)", descr);
  tensor.dtype = descr;
  tensor.format.reset();
  if (order == '<' || order == '|' || order == '=') {
    if (type == "f8") tensor.format = fp8::kFP64;
    if (type == "f4") tensor.format = fp8::kFP32;
    if (type == "f2") tensor.format = fp8::kFP16;
    if (tensor.format) {
      tensor.element_size = ContainerBytes(*tensor.format);
      return;
    }
    // Void: what numpy writes for most ml_dtypes; "<f1": for its float8_e5m2 (ml_dtypes issue 216).
    for (const char* raw : {"u1", "u2", "u4", "u8", "V1", "V2", "f1"}) {
      if (type != raw) continue;
      tensor.element_size = type[1] - '0';
      return;
    }
  }
  if (type == "O" || descr == "O")
    FileError(path, "expected numbers, found an object array (pickle is not read)");
  FileError(path, "expected a dtype of f8, f4, f2, u1, u2, u4, u8, V1, V2, found '{}'", descr);
}

/// Elements with the first index fastest, moved to C order.
std::vector<std::byte> FromFortran(const Tensor& t) {
  std::vector<std::byte> c_order(t.data.size());
  const size_t size = static_cast<size_t>(t.element_size);
  std::vector<int64_t> index(t.shape.size(), 0);
  for (int64_t i = 0; i < t.Count(); ++i) {
    int64_t from = 0;
    for (size_t d = t.shape.size(); d-- > 0;) from = from * t.shape[d] + index[d];
    std::memcpy(c_order.data() + static_cast<size_t>(i) * size,
                t.data.data() + static_cast<size_t>(from) * size, size);
    for (size_t d = t.shape.size(); d-- > 0;) {
      if (++index[d] < t.shape[d]) break;
      index[d] = 0;
    }
  }
  return c_order;
}

}  // namespace

Tensor ReadNpy(const std::string& path, std::optional<fp8::Format> as) {
  InputFile file(path);
  unsigned char start[8];
  if (file.size() < sizeof start)
    FileError(path, "expected a .npy file, found {} bytes (truncated)", file.size());
  file.Read(start, sizeof start);
  if (std::memcmp(start, kMagic, kMagicSize) != 0)
    FileError(path, "expected a .npy file (it starts with \\x93NUMPY), found other bytes");
  const int version = start[6];
  if (version < 1 || version > 3)
    FileError(path, "expected .npy version 1, 2 or 3, found {}.{}", version, int{start[7]});
  const uint64_t length_size = version == 1 ? 2 : 4;
  unsigned char length_bytes[4] = {};
  if (file.left() < length_size)
    FileError(path, "expected a header, found the file's end (truncated)");
  file.Read(length_bytes, length_size);
  const uint64_t length = length_bytes[0] | uint64_t{length_bytes[1]} << 8 |
                          uint64_t{length_bytes[2]} << 16 | uint64_t{length_bytes[3]} << 24;
  if (length > file.left())
    FileError(path, "expected a header of {} bytes, found {} (truncated)", length, file.left());
  std::string text(length, '\0');
  file.Read(text.data(), length);
  const Header header = HeaderParser(path, text).Parse();

  Tensor tensor;
  tensor.source = path;
  ApplyDescr(path, header.descr, tensor);
  tensor.shape = header.shape;
  const int64_t count = CheckedCount(path, tensor.shape, tensor.element_size);
  const uint64_t bytes = static_cast<uint64_t>(count) * static_cast<uint64_t>(tensor.element_size);
  if (bytes != file.left())
    FileError(path, "expected {} bytes of data for shape {} of '{}', found {}{}", bytes,
              ShapeText(tensor.shape), header.descr, file.left(),
              file.left() < bytes ? " (truncated)" : "");
  tensor.data.resize(bytes);
  file.Read(tensor.data.data(), bytes);
  if (header.fortran_order && tensor.shape.size() > 1) tensor.data = FromFortran(tensor);
  ApplyFormat(tensor, as);
  return tensor;
}

std::vector<std::byte> NpyBytes(const Tensor& tensor) {
  std::string descr =
      fmt::format("{}u{}", tensor.element_size == 1 ? '|' : '<', tensor.element_size);
  if (tensor.format == fp8::kFP16) descr = "<f2";
  if (tensor.format == fp8::kFP32 || tensor.format == fp8::kTF32) descr = "<f4";
  if (tensor.format == fp8::kFP64) descr = "<f8";
  std::string shape = fmt::format("{}", fmt::join(tensor.shape, ", "));
  if (tensor.shape.size() == 1) shape += ",";
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  // numpy.lib.format: padded with spaces so that the elements start at a multiple of 64.
  constexpr size_t kPrefix = kMagicSize + 2 + 2;
  text.append((64 - (kPrefix + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  std::string head(kMagic, kMagicSize);
  head += {'\1', '\0', static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  head += text;
  std::vector<std::byte> bytes(head.size() + tensor.data.size());
  std::memcpy(bytes.data(), head.data(), head.size());
  if (!tensor.data.empty())
    std::memcpy(bytes.data() + head.size(), tensor.data.data(), tensor.data.size());
  return bytes;
}

}  // namespace lostbits::detail
