// Whole arrays: numbers to codes and codes to numbers, any format to any format.
//
// One rounding, straight from the exact source value to the target. The bits of the result do not
// depend on the instruction set, on the caller's rounding mode, or on its flush-to-zero setting.
// Elements are independent: an array may be cut anywhere and its pieces run on any threads.
// All functions may be called from several threads at once; none keeps state.
//
// Aliasing: input and output must not overlap, except that they may be one and the same array where
// their elements have one size. An overlap is an error.
// Errors: std::invalid_argument, before anything is written.
#ifndef LOSTBITS_FP8_CONVERT_H_
#define LOSTBITS_FP8_CONVERT_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "fp8/format.h"
#include "fp8/rounding.h"

namespace lostbits::fp8 {

/// Bytes of the integer that holds one code: 1 for all formats of up to 8 bits, 2, 4 or 8 above.
constexpr int ContainerBytes(Format f) {
  const int bits = StorageBits(f);
  return bits <= 8 ? 1 : bits <= 16 ? 2 : bits <= 32 ? 4 : 8;
}

/// std::vector, std::span, std::array, ... of float or double; of unsigned integers.
template <class R>
concept FloatArray = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
    (std::same_as<std::ranges::range_value_t<R>, float> ||
     std::same_as<std::ranges::range_value_t<R>, double>);
template <class R>
concept WordArray = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
    std::unsigned_integral<std::ranges::range_value_t<R>>;

/// A borrowed array of codes of one format, to read. A float is a code of FP32, a double of FP64.
/// One code an integer: FP4 is not packed two to a byte here.
struct ConstCodes {
  Format format;
  const void* data;
  size_t size;
  int bytes;  ///< of one element

  ConstCodes(Format f, const void* d, size_t n, int b) : format(f), data(d), size(n), bytes(b) {}
  template <FloatArray R>
  ConstCodes(const R& x)
      : ConstCodes(sizeof(std::ranges::range_value_t<R>) == 4 ? kFP32 : kFP64, std::ranges::data(x),
                   std::ranges::size(x), sizeof(std::ranges::range_value_t<R>)) {}
  template <WordArray R>
  ConstCodes(Format f, const R& codes)
      : ConstCodes(f, std::ranges::data(codes), std::ranges::size(codes),
                   sizeof(std::ranges::range_value_t<R>)) {}
};

/// A borrowed array of codes of one format, to write.
struct Codes {
  Format format;
  void* data;
  size_t size;
  int bytes;  ///< of one element

  Codes(Format f, void* d, size_t n, int b) : format(f), data(d), size(n), bytes(b) {}
  template <WordArray R>
  Codes(Format f, R&& codes)
      : Codes(f, std::ranges::data(codes), std::ranges::size(codes),
              sizeof(std::ranges::range_value_t<R>)) {}
};

/// What became of the elements of an array; fp8::Encoded defines the words. One element may count
/// in several: an overflow to NaN is `overflow`, `inexact` and `nan`.
struct EncodeCounts {
  uint64_t total = 0;
  uint64_t inexact = 0;
  uint64_t overflow = 0;
  uint64_t flushed = 0;
  uint64_t subnormal = 0;
  uint64_t nan = 0;

  bool operator==(const EncodeCounts&) const = default;
  EncodeCounts& operator+=(const EncodeCounts& other);
};

/// Which spelling of the arithmetic runs. All give the same bits: the choice is for tests and
/// measurements.
struct Path {
  enum Kind : uint8_t {
    kBest,      ///< lanes where they can do the work, else integers
    kIntegers,  ///< fp8/codec.h, an element at a time
    kLanes,     ///< fp8/encode-inl.h and decode-inl.h on instruction set `target`; an error where
                ///< lanes cannot
  } kind = kBest;
  int64_t target = 0;  ///< a LaneTarget's id; 0 for the best this CPU has. kLanes only.
};

/// An instruction set that lanes were compiled for and this CPU has.
struct LaneTarget {
  int64_t id;        ///< Highway's HWY_AVX2, ...
  std::string name;  ///< "AVX2", ...
};
std::vector<LaneTarget> LaneTargets();

struct EncodeOptions {
  /// Rounding::kStochastic: one word for each element, of which the policy's random_bit_count low
  /// bits are used. Empty otherwise. No random number is ever drawn here.
  std::span<const uint32_t> random = {};
  /// Added to, where given. Counting runs on the integers.
  EncodeCounts* counts = nullptr;
  Path path = {};
};

/// out[i] = in[i] in out's format. in.size == out.size.
/// Counts, FP64 and kept NaN payloads take the integers, 10 ns an element; all else takes lanes,
/// AVX-512 some 0.05 ns in L1 (tests/bench/codec_bench.cc). A call costs 36 ns beside, Decode's 27.
/// Arrays of 48 MiB and more, in and out together, are written past the caches, if floats go in or
/// come out.
void Encode(ConstCodes in, Codes out, const EncodePolicy& policy = {},
            const EncodeOptions& options = {});

/// out[i] = the value of in[i]; see fp8::Decode for NaN, FP64 and E8M0. in.size == out.size.
void Decode(ConstCodes in, std::span<float> out, const DecodePolicy& policy = {}, Path path = {});

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_CONVERT_H_
