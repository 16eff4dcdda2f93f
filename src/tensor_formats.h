// What the readers and writers of the two tensor file formats share. Internal to src/.
#ifndef LOSTBITS_SRC_TENSOR_FORMATS_H_
#define LOSTBITS_SRC_TENSOR_FORMATS_H_

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tensor_file.h"

namespace lostbits::detail {

/// Throws std::invalid_argument("<file>: <text>").
template <class... Args>
[[noreturn]] void FileError(const std::string& path, fmt::format_string<Args...> text,
                            Args&&... args) {
  throw std::invalid_argument(path + ": " + fmt::format(text, std::forward<Args>(args)...));
}

/// A regular file open for reading.
class InputFile {
 public:
  explicit InputFile(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  uint64_t left() const { return size_ - position_; }
  /// Reads exactly n bytes, which must be there (`left() >= n`).
  void Read(void* to, uint64_t n);
  /// Skips n bytes, which must be there.
  void Skip(uint64_t n);

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  uint64_t size_ = 0;
  uint64_t position_ = 0;
};

/// Elements of a shape; throws if the bytes they take do not fit 63 bits.
int64_t CheckedCount(const std::string& source, const std::vector<int64_t>& shape,
                     int element_size);

/// Gives `tensor` the caller's format if the file names none; throws if the two contradict.
/// `typed` is false for unsigned integers and void types.
void ApplyFormat(Tensor& tensor, std::optional<fp8::Format> as);

Tensor ReadNpy(const std::string& path, std::optional<fp8::Format> as);
std::vector<std::byte> NpyBytes(const Tensor& tensor);

Tensor ReadSafetensors(const std::string& path, const std::string& name,
                       std::optional<fp8::Format> as);
std::vector<std::byte> SafetensorsBytes(const std::string& path,
                                        std::span<const NamedTensor> tensors,
                                        const Metadata& metadata);

}  // namespace lostbits::detail

#endif  // LOSTBITS_SRC_TENSOR_FORMATS_H_
