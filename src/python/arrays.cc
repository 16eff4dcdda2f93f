#include "python/arrays.h"

#include <omp.h>

#include <cstring>
#include <stdexcept>

#include "cli/output.h"
#include "registry.h"

namespace lostbits::python {
namespace {

int64_t Product(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

}  // namespace

int64_t Input::Count() const { return Product(shape); }

fp8::ConstCodes Input::Codes() const {
  return {*format, data, static_cast<size_t>(Count()), bytes};
}

Tensor Input::Copy() const {
  Tensor t;
  t.source = name;
  t.dtype = format ? NamesOf(*format).name : fmt::format("uint{}", 8 * bytes);
  t.format = format;
  t.element_size = bytes;
  t.shape = shape;
  const auto* from = static_cast<const std::byte*>(data);
  t.data.assign(from, from + Count() * bytes);
  return t;
}

Input Take(const Words& words, const char* name) {
  const auto& [array, format] = words;
  Input in{.name = name,
           .data = array.data(),
           .shape = {},
           .bytes = static_cast<int>(array.itemsize()),
           .format = {}};
  for (size_t i = 0; i < array.ndim(); ++i)
    in.shape.push_back(static_cast<int64_t>(array.shape(i)));
  if (!format.empty()) in.format = FindFormat(format).format;
  if (in.format && ContainerBytes(*in.format) != in.bytes)
    throw std::invalid_argument(
        fmt::format("{}: expected {}-byte elements for {}, found {}-byte ones", name,
                    ContainerBytes(*in.format), format, in.bytes));
  return in;
}

void CheckNotEmpty(const Input& in) {
  if (in.Count() == 0)
    throw std::invalid_argument(fmt::format("{}: expected at least one element, found shape {}",
                                            in.name, ShapeText(in.shape)));
}

namespace detail {

bool HoldsCodes(const Input& in, const fp8::Format& format) {
  CheckNotEmpty(in);
  // A TF32 operand is a binary32 register of which 13 bits are ignored.
  if (in.format && (*in.format == format || (*in.format == fp8::kFP32 && format == fp8::kTF32)))
    return true;
  if (in.format) return false;
  if (in.bytes != ContainerBytes(format))
    throw std::invalid_argument(
        fmt::format("{}: expected float elements or {}-byte codes of {}, found dtype uint{}",
                    in.name, ContainerBytes(format), NamesOf(format).name, 8 * in.bytes));
  const int bits = StorageBits(format);
  const Coded raw{.data = in.data, .shape = in.shape, .format = format, .encoded = {}};
  for (int64_t i = 0; bits < 8 * in.bytes && i < in.Count(); ++i) {
    if (raw.Code(i) >> bits != 0)
      throw std::invalid_argument(
          fmt::format("{}: expected {}-bit codes of {}, found {} at element {}", in.name, bits,
                      NamesOf(format).name, cli::HexCode(raw.Code(i), 8 * in.bytes), i));
  }
  return true;
}

}  // namespace detail

Coded TakeCodes(const Input& in, const fp8::Format& format) {
  return TakeCodes(in, format, [&](cli::LoadedOperand loaded) {
    return cli::EncodeOperand(std::move(loaded), format);
  });
}

int64_t Coded::Count() const { return Product(shape); }

uint64_t Coded::Code(int64_t i) const {
  const int bytes = ContainerBytes(format);
  uint64_t code = 0;  // little-endian, as all of src/ has it
  std::memcpy(&code, static_cast<const std::byte*>(data) + i * bytes, static_cast<size_t>(bytes));
  return code;
}

sim::CodeView Coded::Matrix() const { return {data, format, shape[0], shape[1], shape[1]}; }

cli::Scales TakeScales(const std::optional<Words>& words, const char* option) {
  if (!words) return {};
  const Input in = Take(*words, option);
  if (!in.format)
    throw std::invalid_argument(
        fmt::format("{}: expected float32 scales, found uint{}", option, 8 * in.bytes));
  return cli::AsScales(in.Copy(), option);
}

Output::Output(const fp8::Format& format, std::vector<int64_t> shape)
    : format_(format),
      shape_(std::move(shape)),
      data_(new std::byte[static_cast<size_t>(Product(shape_) * ContainerBytes(format))]) {}

int64_t Output::Count() const { return Product(shape_); }

fp8::Codes Output::Codes() { return {format_, data_.get(), static_cast<size_t>(Count()), bytes()}; }

void Output::SetCode(int64_t i, uint64_t code) {
  std::memcpy(data_.get() + i * bytes(), &code, static_cast<size_t>(bytes()));
}

OutputWords Output::Give() && {
  std::vector<size_t> shape(shape_.begin(), shape_.end());
  std::byte* memory = data_.release();
  nb::capsule owner(memory, [](void* p) noexcept { delete[] static_cast<std::byte*>(p); });
  const nb::dlpack::dtype words{static_cast<uint8_t>(nb::dlpack::dtype_code::UInt),
                                static_cast<uint8_t>(8 * bytes()), 1};
  return {nb::ndarray<nb::numpy>(memory, shape.size(), shape.data(), owner, nullptr, words),
          NamesOf(format_).name};
}

int Threads(int threads) {
  cli::CheckRange("--threads", threads, 0, 4096);
  return threads == 0 ? omp_get_max_threads() : threads;
}

ThreadScope::ThreadScope(int threads) : before_(omp_get_max_threads()) {
  omp_set_num_threads(Threads(threads));
}
ThreadScope::~ThreadScope() { omp_set_num_threads(before_); }

}  // namespace lostbits::python
