// encode, decode, and arrays that come through DLPack.
#include <cstring>
#include <stdexcept>

#include "cli/encode_tensor.h"
#include "fp8/preset.h"
#include "python/arrays.h"
#include "python/module.h"
#include "registry.h"

namespace lostbits::python {
namespace {

using namespace nb::literals;

OutputWords Encode(const Words& x, const std::string& format, const std::string& like,
                   const std::string& rounding, const std::string& overflow, int random_bits,
                   uint64_t seed, int threads) {
  const Input in = Take(x, "x");
  if (!in.format)
    throw std::invalid_argument(
        fmt::format("x: expected float elements, found dtype uint{} (raw codes: decode them first)",
                    8 * in.bytes));
  const cli::Encoder encoder = cli::MakeEncoder({.format = format,
                                                 .like = like,
                                                 .rounding = rounding,
                                                 .overflow = overflow,
                                                 .random_bits = random_bits,
                                                 .seed = seed});
  encoder.Check(*in.format);
  Output out(encoder.to, in.shape);
  const int wanted = Threads(threads);
  {
    const nb::gil_scoped_release release;
    cli::EncodeArray(in.Codes(), out.Codes(), encoder, wanted);
  }
  return std::move(out).Give();
}

OutputWords Decode(const Words& codes, const std::string& format, const std::string& like,
                   int threads) {
  Input in = Take(codes, "codes");
  if (!format.empty()) {
    const fp8::Format named = FindFormat(format).format;
    if (in.format && *in.format != named)
      throw std::invalid_argument(fmt::format("codes: expected {} elements, found {}",
                                              NamesOf(named).name, NamesOf(*in.format).name));
    if (in.Count() > 0) {
      detail::HoldsCodes(in, named);
    } else if (in.bytes != ContainerBytes(named)) {
      throw std::invalid_argument(
          fmt::format("codes: expected {}-byte codes of {}, found {}-byte ones",
                      ContainerBytes(named), NamesOf(named).name, in.bytes));
    }
    in.format = named;
  }
  if (!in.format)
    throw std::invalid_argument(fmt::format(
        "codes: expected a format, found dtype uint{} without one (format=...)", 8 * in.bytes));
  const fp8::Format from = *in.format;
  const fp8::DecodePolicy policy =
      like.empty() ? fp8::DecodePolicy{} : fp8::DecodeLike(FindLibrary(like), from);
  Output out(from == fp8::kFP64 ? fp8::kFP64 : fp8::kFP32, in.shape);
  const int wanted = Threads(threads);
  {
    const nb::gil_scoped_release release;
    if (from == fp8::kFP64) {
      std::memcpy(out.data(), in.data, static_cast<size_t>(in.Count() * in.bytes));
    } else {
      cli::DecodeArray(in.Codes(), static_cast<float*>(out.data()), policy, wanted);
    }
  }
  return std::move(out).Give();
}

/// The format that a DLPack type stands for; "" for unsigned integers, raw codes.
std::string FormatOf(nb::dlpack::dtype type) {
  using Code = nb::dlpack::dtype_code;
  if (type.lanes == 1 && type.bits % 8 == 0) {
    switch (static_cast<Code>(type.code)) {
      case Code::UInt: return "";
      case Code::Float: return fmt::format("float{}", type.bits);
      case Code::Bfloat: return "bfloat16";
      case Code::Float8_E3M4: return "float8_e3m4";
      case Code::Float8_E4M3: return "float8_e4m3";
      case Code::Float8_E4M3B11FNUZ: return "float8_e4m3b11fnuz";
      case Code::Float8_E4M3FN: return "float8_e4m3fn";
      case Code::Float8_E4M3FNUZ: return "float8_e4m3fnuz";
      case Code::Float8_E5M2: return "float8_e5m2";
      case Code::Float8_E5M2FNUZ: return "float8_e5m2fnuz";
      case Code::Float8_E8M0FNU: return "float8_e8m0fnu";
      default: break;
    }
  }
  throw std::invalid_argument(
      fmt::format("expected floats, FP8 or unsigned integers, one element each, found DLPack type "
                  "code {} of {} bits, {} lanes",
                  type.code, type.bits, type.lanes));
}

/// A view of any array that speaks DLPack, with its strides, and its format.
OutputWords FromDlpack(nb::ndarray<nb::ro, nb::device::cpu> array) {
  const std::string format = FormatOf(array.dtype());
  std::vector<size_t> shape;
  std::vector<int64_t> strides;
  for (size_t i = 0; i < array.ndim(); ++i) {
    shape.push_back(array.shape(i));
    strides.push_back(array.stride(i));
  }
  const nb::dlpack::dtype words{static_cast<uint8_t>(nb::dlpack::dtype_code::UInt),
                                array.dtype().bits, 1};
  return {nb::ndarray<nb::numpy>(const_cast<void*>(array.data()), shape.size(), shape.data(),
                                 nb::cast(array), strides.data(), words),
          format};
}

}  // namespace

void AddCodec(nb::module_& m) {
  m.def("encode", &Encode, "x"_a, "format"_a, "like"_a, "rounding"_a, "overflow"_a, "random_bits"_a,
        "seed"_a, "threads"_a);
  m.def("decode", &Decode, "codes"_a, "format"_a, "like"_a, "threads"_a);
  m.def("from_dlpack", &FromDlpack, "array"_a);
}

}  // namespace lostbits::python
