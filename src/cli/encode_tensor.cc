#include "cli/encode_tensor.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <stdexcept>

#include "cli/output.h"
#include "registry.h"
#include "sim/random.h"

namespace lostbits::cli {

void Count(const fp8::Encoded& e, EncodeCounts& counts) {
  counts += {1, e.inexact, e.overflow, e.flushed, e.subnormal, e.nan};
}

uint32_t RandomWord(uint64_t seed, int64_t i) {
  // SplitMix64's state after i draws, so that element i draws without its predecessors.
  constexpr uint64_t kStep = 0x9e37'79b9'7f4a'7c15;  // sim/random.h
  return static_cast<uint32_t>(sim::Random(seed + static_cast<uint64_t>(i) * kStep).Next() >> 32);
}

void CheckTyped(const Tensor& in) {
  if (!in.format)
    throw std::invalid_argument(
        fmt::format("{}: expected float elements, found dtype {} (raw codes: the file does not say "
                    "which format)",
                    in.source, in.dtype));
}

void Encoder::Check(const fp8::Format& from) const {
  if (library && !fp8::EncodeLike(*library, to, from))
    throw std::invalid_argument(fmt::format("{} has no conversion from {} to {}",
                                            LibraryName(*library), NamesOf(from).name,
                                            NamesOf(to).name));
}

fp8::Encoded Encoder::operator()(const fp8::Format& from, const fp8::Unpacked& x, int64_t i) const {
  if (library) return *fp8::PackLike(*library, to, from, x);
  const bool random = policy.rounding == fp8::Rounding::kStochastic;
  return fp8::Pack(to, x, policy, random ? RandomWord(seed, i) : 0);
}

Encoder MakeEncoder(const EncoderOptions& options) {
  Encoder encoder{
      .to = FindFormat(options.format).format, .policy = {}, .library = {}, .seed = options.seed};
  if (!options.like.empty()) {
    if (!options.rounding.empty() || !options.overflow.empty())
      throw std::invalid_argument(
          "expected --like or --rounding and --overflow, found both: --like makes all choices");
    encoder.library = FindLibrary(options.like);
  }
  fp8::EncodePolicy& policy = encoder.policy;
  if (!options.rounding.empty()) policy.rounding = FindRounding(options.rounding);
  if (!options.overflow.empty()) {
    policy.overflow = FindOverflow(options.overflow);
    const bool saturate = policy.overflow == fp8::Overflow::kSaturate;
    policy.inf = saturate ? fp8::InfRule::kSaturate : fp8::InfRule::kKeep;
  }
  CheckRange("--random-bits", options.random_bits, 1, 32);
  if (policy.rounding == fp8::Rounding::kStochastic)
    policy.random_bit_count = static_cast<uint8_t>(options.random_bits);
  return encoder;
}

namespace {

/// Calls piece(begin, count) on contiguous pieces of n elements, as many as there are threads, but
/// none so short that starting a thread for it would cost more.
template <class Piece>
void InPieces(size_t n, int threads, Piece piece) {
  constexpr size_t kShortest = 4096;
  const size_t pieces = std::min(static_cast<size_t>(std::max(threads, 1)), n / kShortest + 1);
#pragma omp parallel for num_threads(static_cast <int>(pieces))
  for (size_t i = 0; i < pieces; ++i) {
    const size_t begin = n * i / pieces;
    piece(begin, n * (i + 1) / pieces - begin);
  }
}

const std::byte* At(const void* data, size_t offset) {
  return static_cast<const std::byte*>(data) + offset;
}
std::byte* At(void* data, size_t offset) { return static_cast<std::byte*>(data) + offset; }

uint64_t LoadCode(const void* data, int bytes, size_t i) {
  uint64_t code = 0;
  std::memcpy(&code, At(data, i * bytes), bytes);
  return code;
}

}  // namespace

void EncodeArray(fp8::ConstCodes in, fp8::Codes out, const Encoder& encoder, int threads,
                 EncodeCounts* counts) {
  encoder.Check(in.format);
  if (encoder.library && in.format == fp8::kFP64 &&
      fp8::RoundsDoubleToFloatFirst(*encoder.library)) {
    InPieces(in.size, threads, [&](size_t begin, size_t n) {
      EncodeCounts mine;
      for (size_t i = begin; i < begin + n; ++i) {
        const fp8::Unpacked x = fp8::Unpack(in.format, LoadCode(in.data, in.bytes, i));
        const fp8::Encoded e = encoder(in.format, x, static_cast<int64_t>(i));
        std::memcpy(At(out.data, i * out.bytes), &e.code, out.bytes);
        Count(e, mine);
      }
#pragma omp critical(lostbits_encode_counts)
      if (counts != nullptr) *counts += mine;
    });
    return;
  }
  const fp8::EncodePolicy policy =
      encoder.library ? *fp8::EncodeLike(*encoder.library, encoder.to, in.format) : encoder.policy;
  std::vector<uint32_t> random;
  if (policy.rounding == fp8::Rounding::kStochastic) {
    random.resize(in.size);
    InPieces(in.size, threads, [&](size_t begin, size_t n) {
      for (size_t i = begin; i < begin + n; ++i)
        random[i] = RandomWord(encoder.seed, static_cast<int64_t>(i));
    });
  }
  InPieces(in.size, threads, [&](size_t begin, size_t n) {
    EncodeCounts mine;
    fp8::EncodeOptions options{.random = {}, .counts = counts ? &mine : nullptr, .path = {}};
    if (!random.empty()) options.random = std::span(random).subspan(begin, n);
    fp8::Encode({in.format, At(in.data, begin * in.bytes), n, in.bytes},
                {out.format, At(out.data, begin * out.bytes), n, out.bytes}, policy, options);
#pragma omp critical(lostbits_encode_counts)
    if (counts != nullptr) *counts += mine;
  });
}

void DecodeArray(fp8::ConstCodes in, float* out, const fp8::DecodePolicy& policy, int threads) {
  InPieces(in.size, threads, [&](size_t begin, size_t n) {
    fp8::Decode({in.format, At(in.data, begin * in.bytes), n, in.bytes}, {out + begin, n}, policy);
  });
}

Tensor EncodeTensor(const Tensor& in, const Encoder& encoder, EncodeCounts& counts) {
  CheckTyped(in);
  encoder.Check(*in.format);
  Tensor out = MakeTensor(encoder.to, in.shape);
  out.source = in.source;
  const auto n = static_cast<size_t>(in.Count());
  EncodeArray({*in.format, in.data.data(), n, in.element_size},
              {encoder.to, out.data.data(), n, out.element_size}, encoder, omp_get_max_threads(),
              &counts);
  return out;
}

Tensor DecodeTensor(const Tensor& in, const fp8::DecodePolicy& decode) {
  CheckTyped(in);
  const fp8::Format from = *in.format;
  if (from == fp8::kFP64) return in;
  Tensor out = MakeTensor(fp8::kFP32, in.shape);
  out.source = in.source;
  const auto n = static_cast<size_t>(in.Count());
  DecodeArray({from, in.data.data(), n, in.element_size}, reinterpret_cast<float*>(out.data.data()),
              decode, omp_get_max_threads());
  return out;
}

}  // namespace lostbits::cli
