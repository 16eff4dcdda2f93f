// Tensors in files: .npy (versions 1 to 3) and .safetensors. No pickle.
//
// A header is never trusted: every size in it is checked against the file before memory is taken.
// Every error is a std::invalid_argument with one line that names the file, what was expected and
// what was found.
#ifndef LOSTBITS_SRC_TENSOR_FILE_H_
#define LOSTBITS_SRC_TENSOR_FILE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fp8/format.h"

namespace lostbits {

/// A tensor that owns its elements: little-endian, C order (last index fastest), no gaps.
struct Tensor {
  std::string source;  ///< where it came from, for messages: "q.npy", "kv.safetensors:k"
  std::string dtype;   ///< as the file spells it: "<f4", "|u1", "F8_E4M3"
  std::optional<fp8::Format>
      format;            ///< of the elements; nullopt for unsigned integers ("raw codes")
  int element_size = 0;  ///< bytes: 1, 2, 4 or 8
  std::vector<int64_t> shape;
  std::vector<std::byte> data;  ///< Count() * element_size bytes

  int64_t Count() const;
  /// The code of element i, C order.
  uint64_t Code(int64_t i) const;
  void SetCode(int64_t i, uint64_t code);
};

/// A tensor of zeros.
Tensor MakeTensor(const fp8::Format& format, std::vector<int64_t> shape);

/// "[2, 3]".
std::string ShapeText(const std::vector<int64_t>& shape);

/// Reads `path`: a .npy file, a .safetensors file with one tensor, or "file.safetensors:name".
/// `as` gives the format of elements that the file does not type: unsigned integers, and the void
/// types that numpy writes for ml_dtypes arrays ("|V1", "<f1"). It must not contradict the file.
/// Fortran-order .npy files are read into C order.
Tensor ReadTensor(const std::string& path, std::optional<fp8::Format> as = std::nullopt);

/// Names and tensors of a .safetensors file, in the order of their data.
std::vector<std::string> SafetensorsNames(const std::string& path);

/// The file's __metadata__, in its order; values that are no strings as JSON.
using Metadata = std::vector<std::pair<std::string, std::string>>;
Metadata SafetensorsMetadata(const std::string& path);

using NamedTensor = std::pair<std::string, const Tensor*>;
/// Writes a .safetensors file of several tensors, in this order, whole or not at all.
void WriteSafetensors(const std::string& path, std::span<const NamedTensor> tensors,
                      const Metadata& metadata);

/// Writes `tensor`; the extension says how (.npy or .safetensors). In .npy a format that numpy does
/// not know is written as unsigned codes. `name` is the tensor's name in a .safetensors file. The
/// file appears whole or not at all: it is written beside its place and renamed.
void WriteTensor(const std::string& path, const Tensor& tensor, const std::string& name = "output");

/// Writes bytes to `path` whole or not at all. A path that exists and is no regular file (a pipe, a
/// device) is written in place.
void WriteWhole(const std::string& path, const std::vector<std::byte>& bytes);

}  // namespace lostbits

#endif  // LOSTBITS_SRC_TENSOR_FILE_H_
