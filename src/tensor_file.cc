#include "tensor_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "fp8/convert.h"
#include "registry.h"
#include "tensor_formats.h"

namespace lostbits {
namespace detail {

InputFile::InputFile(const std::string& path) : path_(path) {
  file_.reset(std::fopen(path.c_str(), "rb"));
  if (!file_) FileError(path, "cannot open for reading: {}", std::strerror(errno));
  struct stat status;
  if (fstat(fileno(file_.get()), &status) != 0 || !S_ISREG(status.st_mode))
    FileError(path, "expected a regular file, found {}",
              S_ISDIR(status.st_mode) ? "a folder" : "something else");
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ == 0) FileError(path, "expected a tensor, found an empty file (0 bytes)");
}

void InputFile::Read(void* to, uint64_t n) {
  if (n == 0) return;
  if (std::fread(to, 1, n, file_.get()) != n)
    FileError(path_, "expected {} more bytes at byte {}, found fewer", n, position_);
  position_ += n;
}

void InputFile::Skip(uint64_t n) {
  if (fseeko(file_.get(), static_cast<off_t>(n), SEEK_CUR) != 0)
    FileError(path_, "cannot seek: {}", std::strerror(errno));
  position_ += n;
}

int64_t CheckedCount(const std::string& source, const std::vector<int64_t>& shape,
                     int element_size) {
  int64_t count = 1, bytes = 0;
  for (int64_t extent : shape) {
    if (extent < 0) FileError(source, "expected extents >= 0, found shape {}", ShapeText(shape));
    if (__builtin_mul_overflow(count, extent, &count))
      FileError(source, "expected a shape that fits memory, found {}", ShapeText(shape));
  }
  if (__builtin_mul_overflow(count, int64_t{element_size}, &bytes))
    FileError(source, "expected a shape that fits memory, found {}", ShapeText(shape));
  return count;
}

void ApplyFormat(Tensor& tensor, std::optional<fp8::Format> as) {
  if (!as) return;
  if (tensor.format) {
    if (*tensor.format == *as) return;
    // A TF32 operand is a binary32 register of which 13 bits are ignored.
    if (*tensor.format == fp8::kFP32 && *as == fp8::kTF32) return;
    FileError(tensor.source, "expected {} elements, found {} (dtype {})", NamesOf(*as).name,
              NamesOf(*tensor.format).name, tensor.dtype);
  }
  if (ContainerBytes(*as) != tensor.element_size)
    FileError(tensor.source, "expected {}-byte elements for {}, found {}-byte ones (dtype {})",
              ContainerBytes(*as), NamesOf(*as).name, tensor.element_size, tensor.dtype);
  const int unused = 8 * tensor.element_size - StorageBits(*as);
  if (unused > 0) {
    for (int64_t i = 0; i < tensor.Count(); ++i) {
      if (tensor.Code(i) >> StorageBits(*as) != 0)
        FileError(tensor.source, "expected {}-bit codes of {}, found 0x{:X} at element {}",
                  StorageBits(*as), NamesOf(*as).name, tensor.Code(i), i);
    }
  }
  tensor.format = as;
}

}  // namespace detail

int64_t Tensor::Count() const {
  int64_t count = 1;
  for (int64_t extent : shape) count *= extent;
  return count;
}

uint64_t Tensor::Code(int64_t i) const {
  uint64_t code = 0;
  std::memcpy(&code, data.data() + i * element_size, static_cast<size_t>(element_size));
  return code;
}

void Tensor::SetCode(int64_t i, uint64_t code) {
  std::memcpy(data.data() + i * element_size, &code, static_cast<size_t>(element_size));
}

Tensor MakeTensor(const fp8::Format& format, std::vector<int64_t> shape) {
  Tensor tensor;
  tensor.format = format;
  tensor.dtype = NamesOf(format).name;
  tensor.element_size = ContainerBytes(format);
  tensor.shape = std::move(shape);
  const int64_t count = detail::CheckedCount("tensor", tensor.shape, tensor.element_size);
  tensor.data.resize(static_cast<size_t>(count * tensor.element_size));
  return tensor;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

namespace {

/// "file.safetensors:k" -> {"file.safetensors", "k"}.
std::pair<std::string, std::string> SplitName(const std::string& path) {
  constexpr std::string_view kMark = ".safetensors:";
  const size_t at = path.rfind(kMark);
  if (at == path.npos) return {path, ""};
  return {path.substr(0, at + kMark.size() - 1), path.substr(at + kMark.size())};
}

}  // namespace

Tensor ReadTensor(const std::string& path, std::optional<fp8::Format> as) {
  const auto [file, name] = SplitName(path);
  if (file.ends_with(".safetensors")) return detail::ReadSafetensors(file, name, as);
  if (file.ends_with(".npy")) return detail::ReadNpy(file, as);
  detail::FileError(path, "expected a .npy or .safetensors file");
}

void WriteWhole(const std::string& path, const std::vector<std::byte>& bytes) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) detail::FileError(path, "expected a file to write, found a folder");
  const bool in_place = fs::exists(status) && !fs::is_regular_file(status);
  // A symbolic link stays one: what it points at is replaced.
  const fs::path target = fs::exists(status) && !in_place ? fs::canonical(path) : fs::path(path);
  const std::string beside =
      in_place ? path : fmt::format("{}.{}.partial", target.string(), getpid());
  const int flags = O_WRONLY | O_CLOEXEC | (in_place ? 0 : O_CREAT | O_EXCL);
  const int fd = open(beside.c_str(), flags, 0666);
  if (fd < 0) detail::FileError(path, "cannot write: {}", std::strerror(errno));
  size_t written = 0;
  int failure = 0;
  while (failure == 0 && written < bytes.size()) {
    const ssize_t n = write(fd, bytes.data() + written, bytes.size() - written);
    if (n >= 0) written += static_cast<size_t>(n);
    if (n < 0 && errno != EINTR) failure = errno;
  }
  if (close(fd) != 0 && failure == 0) failure = errno;
  if (failure == 0 && !in_place && std::rename(beside.c_str(), target.c_str()) != 0)
    failure = errno;
  if (failure == 0) return;
  if (!in_place) unlink(beside.c_str());
  detail::FileError(path, "cannot write: {}", std::strerror(failure));
}

void WriteTensor(const std::string& path, const Tensor& tensor, const std::string& name) {
  if (path.ends_with(".npy")) return WriteWhole(path, detail::NpyBytes(tensor));
  const NamedTensor named{name, &tensor};
  if (path.ends_with(".safetensors")) return WriteSafetensors(path, {&named, 1}, {});
  detail::FileError(path, "expected a name that ends in .npy or .safetensors");
}

}  // namespace lostbits
