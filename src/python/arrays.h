// Arrays between Python and C++: borrowed on the way in, owned by Python on the way out.
//
// A value of type Words is a pair (array, format): elements in C order, and the name of their
// format, or "" for codes that their type does not name.
#ifndef LOSTBITS_SRC_PYTHON_ARRAYS_H_
#define LOSTBITS_SRC_PYTHON_ARRAYS_H_

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/operand.h"
#include "fp8/convert.h"
#include "fp8/format.h"

namespace lostbits::python {

namespace nb = nanobind;

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Words = std::pair<Array, std::string>;
using OutputWords = std::pair<nb::ndarray<nb::numpy>, std::string>;

/// An array that Python owns, while a call reads it.
struct Input {
  const char* name;  ///< of the argument, for messages
  const void* data;
  std::vector<int64_t> shape;
  int bytes;                          ///< of one element
  std::optional<fp8::Format> format;  ///< nullopt: raw codes

  int64_t Count() const;
  fp8::ConstCodes Codes() const;  ///< needs a format
  Tensor Copy() const;
};
Input Take(const Words& words, const char* name);
void CheckNotEmpty(const Input& in);

/// Codes of a format: the caller's own array, or what its values were encoded to.
struct Coded {
  const void* data = nullptr;
  std::vector<int64_t> shape;
  fp8::Format format{};
  Tensor encoded;  ///< owns `data` if values were encoded

  int64_t Count() const;
  uint64_t Code(int64_t i) const;
  sim::CodeView Matrix() const;  ///< of two axes
};
/// As `gemm` and `attention` read a file: codes of `format` and raw codes of its size are taken as
/// they are, without a copy; values are encoded by `encode`.
template <class Encode>
Coded TakeCodes(const Input& in, const fp8::Format& format, Encode encode);
/// Values are encoded to nearest even, saturating.
Coded TakeCodes(const Input& in, const fp8::Format& format);

/// Scales of an optional argument.
cli::Scales TakeScales(const std::optional<Words>& words, const char* option);

/// An array on its way to Python.
class Output {
 public:
  Output(const fp8::Format& format, std::vector<int64_t> shape);
  void* data() { return data_.get(); }
  int bytes() const { return fp8::ContainerBytes(format_); }
  int64_t Count() const;
  fp8::Codes Codes();
  void SetCode(int64_t i, uint64_t code);
  /// Hands the memory to Python. Needs the GIL.
  OutputWords Give() &&;

 private:
  fp8::Format format_;
  std::vector<int64_t> shape_;
  std::unique_ptr<std::byte[]> data_;
};

/// How many threads `threads` asks for; 0 is all. Throws on a negative number.
int Threads(int threads);

/// What the OpenMP regions of this thread use, for code that takes no number of threads.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

// ---- Definition of the template --------------------------------------------------------------

namespace detail {
/// Whether an input holds codes of `format` already. Throws if it is raw and does not fit.
bool HoldsCodes(const Input& in, const fp8::Format& format);
}  // namespace detail

template <class Encode>
Coded TakeCodes(const Input& in, const fp8::Format& format, Encode encode) {
  Coded coded{.data = in.data, .shape = in.shape, .format = format, .encoded = {}};
  if (detail::HoldsCodes(in, format)) return coded;
  coded.encoded = encode(cli::LoadedOperand{.tensor = in.Copy(), .is_codes = false}).codes;
  coded.data = coded.encoded.data.data();
  return coded;
}

}  // namespace lostbits::python

#endif  // LOSTBITS_SRC_PYTHON_ARRAYS_H_
