#include "fp8/convert.h"

#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

#include "fp8/convert_lanes.h"

namespace lostbits::fp8 {
namespace {

std::string Describe(Format f) {
  return (IsSigned(f) ? "E" : "unsigned E") + std::to_string(f.exponent_bits) + "M" +
         std::to_string(f.mantissa_bits);
}

void CheckContainer(const char* which, Format f, int bytes) {
  if (bytes == ContainerBytes(f)) return;
  throw std::invalid_argument(std::string(which) + ": expected " +
                              std::to_string(ContainerBytes(f)) + "-byte elements for format " +
                              Describe(f) + ", came " + std::to_string(bytes) + "-byte ones");
}

void CheckArrays(const void* in, size_t in_size, int in_bytes, const void* out, size_t out_size,
                 int out_bytes) {
  if (in_size != out_size)
    throw std::invalid_argument("expected input and output of one size, came " +
                                std::to_string(in_size) + " and " + std::to_string(out_size));
  if (in == out && in_bytes == out_bytes) return;
  const auto* in_begin = static_cast<const char*>(in);
  const auto* out_begin = static_cast<const char*>(out);
  const std::less<const char*> before;  // orders pointers into different arrays too
  if (before(in_begin, out_begin + out_size * static_cast<size_t>(out_bytes)) &&
      before(out_begin, in_begin + in_size * static_cast<size_t>(in_bytes)))
    throw std::invalid_argument("expected input and output apart, came arrays that overlap");
}

void CheckTarget(Path path) {
  if (path.target == 0) return;
  if (path.kind != Path::kLanes)
    throw std::invalid_argument("expected Path::kLanes with a target, came another path");
  std::string known;
  static const std::vector<LaneTarget> kTargets = LaneTargets();  // asking the CPU takes 3 us
  for (const LaneTarget& t : kTargets) {
    if (t.id == path.target) return;
    known += " " + t.name;
  }
  throw std::invalid_argument("expected one of the instruction sets" + known + ", came id " +
                              std::to_string(path.target));
}

/// Calls use(uint8_t{}) .. use(uint64_t{}) for 1 .. 8 bytes.
template <class Use>
void WithContainer(int bytes, const Use& use) {
  switch (bytes) {
    case 1: return use(uint8_t{});
    case 2: return use(uint16_t{});
    case 4: return use(uint32_t{});
    default: return use(uint64_t{});
  }
}

/// The i-th integer of an array whose elements may be floats or doubles.
template <class Word>
uint64_t LoadWord(const void* data, size_t i) {
  Word word;
  std::memcpy(&word, static_cast<const char*>(data) + i * sizeof(Word), sizeof(Word));
  return word;
}
template <class Word>
void StoreWord(void* data, size_t i, uint64_t code) {
  const auto word = static_cast<Word>(code);
  std::memcpy(static_cast<char*>(data) + i * sizeof(Word), &word, sizeof(Word));
}

template <bool kCount>
void EncodeWithIntegers(const ConstCodes& in, const Codes& out, const EncodePolicy& policy,
                        const EncodeOptions& options) {
  // Copies: the compiler must see that no store of a code can change them.
  const EncodePolicy p = policy;
  const Format from = in.format, to = out.format;
  const size_t n = in.size;
  EncodeCounts counts;
  WithContainer(in.bytes, [&](auto in_word) {
    WithContainer(out.bytes, [&](auto out_word) {
      for (size_t i = 0; i < n; ++i) {
        const Unpacked x = Unpack(from, LoadWord<decltype(in_word)>(in.data, i));
        const uint32_t random = options.random.empty() ? 0 : options.random[i];
        const Encoded e = Pack(to, x, p, random);
        StoreWord<decltype(out_word)>(out.data, i, e.code);
        if constexpr (kCount) {
          counts += {.total = 1,
                     .inexact = e.inexact,
                     .overflow = e.overflow,
                     .flushed = e.flushed,
                     .subnormal = e.subnormal,
                     .nan = e.nan};
        }
      }
    });
  });
  if constexpr (kCount) *options.counts += counts;
}

void DecodeWithIntegers(const ConstCodes& in, std::span<float> out, const DecodePolicy& policy) {
  const int bits = StorageBits(in.format);
  if (bits <= 8 && in.size >= 256) {
    std::array<float, 256> values;
    for (uint32_t code = 0; code < 256; ++code) values[code] = Decode(in.format, code, policy);
    for (size_t i = 0; i < in.size; ++i) out[i] = values[LoadWord<uint8_t>(in.data, i)];
    return;
  }
  WithContainer(in.bytes, [&](auto word) {
    for (size_t i = 0; i < in.size; ++i)
      out[i] = Decode(in.format, LoadWord<decltype(word)>(in.data, i), policy);
  });
}

// What RunLanes needs to encode.
struct EncodeJob {
  Format from, to;
  EncodePolicy policy;
  EncodePlan encode;
  DecodePlan decode;
};

EncodeJob MakeEncodeJob(Format from, Format to, const EncodePolicy& policy) {
  EncodeJob job{from, to, policy, MakeEncodePlan(to, policy), MakeDecodePlan(from, {})};
  job.decode.any_nan = true;
  return job;
}

// Kept from call to call: short arrays come many in a row, of the same formats.
const EncodeJob& EncodeJobFor(Format from, Format to, const EncodePolicy& policy) {
  thread_local EncodeJob last = MakeEncodeJob(from, to, policy);
  if (!(last.from == from && last.to == to && last.policy == policy)) {
    last = MakeEncodeJob(from, to, policy);
  }
  return last;
}

}  // namespace

EncodeCounts& EncodeCounts::operator+=(const EncodeCounts& other) {
  total += other.total;
  inexact += other.inexact;
  overflow += other.overflow;
  flushed += other.flushed;
  subnormal += other.subnormal;
  nan += other.nan;
  return *this;
}

void Encode(ConstCodes in, Codes out, const EncodePolicy& policy, const EncodeOptions& options) {
  CheckContainer("input", in.format, in.bytes);
  CheckContainer("output", out.format, out.bytes);
  CheckArrays(in.data, in.size, in.bytes, out.data, out.size, out.bytes);
  CheckTarget(options.path);
  const size_t words = policy.rounding == Rounding::kStochastic ? in.size : 0;
  if (options.random.size() != words)
    throw std::invalid_argument("expected " + std::to_string(words) + " random words, came " +
                                std::to_string(options.random.size()));
  if (policy.random_bit_count > 32)
    throw std::invalid_argument("expected a random_bit_count of at most 32, came " +
                                std::to_string(policy.random_bit_count));
  const bool lanes_can = LanesEncode(in.format, out.format, policy) && options.counts == nullptr;
  if (options.path.kind == Path::kLanes && !lanes_can)
    throw std::invalid_argument("expected no FP64, no kept NaN payloads and no counts for lanes");
  if (lanes_can && options.path.kind != Path::kIntegers) {
    const EncodeJob& job = EncodeJobFor(in.format, out.format, policy);
    const uint32_t* random = words == 0 ? nullptr : options.random.data();
    RunLanes({.in = in.data,
              .out = out.data,
              .n = in.size,
              .random = random,
              .encode = &job.encode,
              .decode = job.decode},
             options.path.target);
  } else if (options.counts != nullptr) {
    EncodeWithIntegers<true>(in, out, policy, options);
  } else {
    EncodeWithIntegers<false>(in, out, policy, options);
  }
}

void Decode(ConstCodes in, std::span<float> out, const DecodePolicy& policy, Path path) {
  CheckContainer("input", in.format, in.bytes);
  CheckArrays(in.data, in.size, in.bytes, out.data(), out.size(), sizeof(float));
  CheckTarget(path);
  const bool lanes_can = LanesDecode(in.format);
  if (path.kind == Path::kLanes && !lanes_can)
    throw std::invalid_argument("expected another format than FP64 for lanes");
  if (!lanes_can || path.kind == Path::kIntegers) {
    DecodeWithIntegers(in, out, policy);
    return;
  }
  RunLanes({.in = in.data,
            .out = out.data(),
            .n = in.size,
            .random = nullptr,
            .encode = nullptr,
            .decode = MakeDecodePlan(in.format, policy)},
           path.target);
}

}  // namespace lostbits::fp8
