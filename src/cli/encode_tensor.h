// A tensor from one format to another, with counts of what was lost on the way.
#ifndef LOSTBITS_SRC_CLI_ENCODE_TENSOR_H_
#define LOSTBITS_SRC_CLI_ENCODE_TENSOR_H_

#include <optional>
#include <string>

#include "fp8/codec.h"
#include "fp8/convert.h"
#include "fp8/preset.h"
#include "tensor_file.h"

namespace lostbits::cli {

using fp8::EncodeCounts;

/// Adds one element to the counts.
void Count(const fp8::Encoded& e, EncodeCounts& counts);

/// The 32 random bits of element i: the same whatever the number of threads.
uint32_t RandomWord(uint64_t seed, int64_t i);

/// How values become codes of `to`.
struct Encoder {
  fp8::Format to;
  fp8::EncodePolicy policy;             ///< without a library
  std::optional<fp8::Library> library;  ///< as this library converts the source format
  uint64_t seed = 0;                    ///< of stochastic rounding

  /// Throws std::invalid_argument if the library has no conversion from `from`.
  void Check(const fp8::Format& from) const;
  /// Element i, which came from `from`.
  fp8::Encoded operator()(const fp8::Format& from, const fp8::Unpacked& x, int64_t i) const;
};

/// What a user says about an encoding; "" leaves a choice to its default.
struct EncoderOptions {
  std::string format, like, rounding, overflow;
  int random_bits = 32;  ///< that decide a stochastic rounding
  uint64_t seed = 0;
};
/// Throws std::invalid_argument on unknown names, and on `like` beside a rounding or an overflow.
Encoder MakeEncoder(const EncoderOptions& options);

/// out[i] = in[i] as the encoder has it, by `threads` threads. The same bits with and without
/// `counts`; with them, and where a library rounds a double to float first, an element at a time.
void EncodeArray(fp8::ConstCodes in, fp8::Codes out, const Encoder& encoder, int threads,
                 EncodeCounts* counts = nullptr);
/// out[i] = the value of in[i], by `threads` threads. Not for FP64.
void DecodeArray(fp8::ConstCodes in, float* out, const fp8::DecodePolicy& policy, int threads);

/// Every element of `in`, which must have a format. Adds to `counts`.
Tensor EncodeTensor(const Tensor& in, const Encoder& encoder, EncodeCounts& counts);

/// The values of `in` in float32, or in float64 if they are float64. NaNs as `decode` has them.
Tensor DecodeTensor(const Tensor& in, const fp8::DecodePolicy& decode = {});

/// Throws unless every element of `in` is typed.
void CheckTyped(const Tensor& in);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_ENCODE_TENSOR_H_
