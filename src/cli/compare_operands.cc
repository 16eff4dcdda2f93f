#include "cli/compare_operands.h"

#include <cmath>
#include <stdexcept>

#include "cli/encode_tensor.h"
#include "fp8/codec.h"
#include "registry.h"
#include "sim/random.h"

namespace lostbits::cli {

Draw FindDraw(std::string_view name) {
  if (name == "normal") return Draw::kNormal;
  if (name == "wide") return Draw::kWide;
  throw std::invalid_argument(fmt::format("--data: expected normal or wide, found '{}'", name));
}

Tensor DrawMatrix(Draw draw, int64_t rows, int64_t cols, uint64_t seed) {
  Tensor t = MakeTensor(fp8::kFP32, {rows, cols});
  t.source = draw == Draw::kNormal ? "normal" : "wide";
  t.dtype = "float32";
  for (int64_t i = 0; i < t.Count(); ++i) {
    sim::Random random(seed, static_cast<uint64_t>(i));
    const double normal = random.Normal();
    const int exponent = draw == Draw::kWide ? random.Between(-6, 6) : 0;
    t.SetCode(i, fp8::BitCast<uint32_t>(static_cast<float>(std::ldexp(normal, exponent))));
  }
  return t;
}

/// Infinities become the largest number too, and count as no overflow (fp8::Encoded).
int64_t Infinities(const Tensor& t) {
  int64_t count = 0;
  for (int64_t i = 0; i < t.Count(); ++i)
    count += fp8::Unpack(*t.format, t.Code(i)).cls == fp8::Class::kInf;
  return count;
}

SharedOperand ShareOperand(const Tensor& values, const fp8::Format& of_a, const fp8::Format& of_b) {
  SharedOperand shared;
  shared.from = fmt::format("{} {}", values.source, ShapeText(values.shape));
  const bool a_first = of_a.mantissa_bits <= of_b.mantissa_bits;
  EncodeCounts first_counts, second_counts;
  Tensor& first = a_first ? shared.a : shared.b;
  Tensor& second = a_first ? shared.b : shared.a;
  const auto encode = [](const Tensor& in, const fp8::Format& to, EncodeCounts& counts) {
    return in.format == to ? in : EncodeTensor(in, {.to = to, .policy = {}, .library = {}}, counts);
  };
  first = encode(values, a_first ? of_a : of_b, first_counts);
  second = encode(first, a_first ? of_b : of_a, second_counts);
  shared.changed = static_cast<int64_t>(second_counts.inexact);
  shared.saturated = static_cast<int64_t>(first_counts.overflow) + Infinities(values);
  return shared;
}

}  // namespace lostbits::cli
