#include "cli/encode_tensor.h"

#include <fmt/format.h>

#include <stdexcept>

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

Tensor EncodeTensor(const Tensor& in, const Encoder& encoder, EncodeCounts& counts) {
  CheckTyped(in);
  const fp8::Format from = *in.format;
  encoder.Check(from);
  Tensor out = MakeTensor(encoder.to, in.shape);
  out.source = in.source;
  const int64_t n = in.Count();
#pragma omp parallel
  {
    EncodeCounts mine;
#pragma omp for
    for (int64_t i = 0; i < n; ++i) {
      const fp8::Encoded e = encoder(from, fp8::Unpack(from, in.Code(i)), i);
      out.SetCode(i, e.code);
      Count(e, mine);
    }
#pragma omp critical
    counts += mine;
  }
  return out;
}

Tensor DecodeTensor(const Tensor& in, const fp8::DecodePolicy& decode) {
  CheckTyped(in);
  const fp8::Format from = *in.format;
  if (from == fp8::kFP64) return in;
  Tensor out = MakeTensor(fp8::kFP32, in.shape);
  out.source = in.source;
  const auto n = static_cast<size_t>(in.Count());
  fp8::Decode(fp8::ConstCodes(from, in.data.data(), n, in.element_size),
              {reinterpret_cast<float*>(out.data.data()), n}, decode);
  return out;
}

}  // namespace lostbits::cli
