// An instruction in sentences, for a reader who never saw a matrix unit; and its worked example.
#include <cmath>

#include "cli/explain.h"
#include "cli/machine_text.h"

namespace lostbits::cli {

std::vector<std::string> MachineSentences(const Machine& machine) {
  const MachineText text = TextOf(machine);
  std::vector<std::string> paragraphs = {text.flow, text.scales, text.alignment, text.result};
  std::erase(paragraphs, "");
  paragraphs.insert(paragraphs.end(), text.remarks.begin(), text.remarks.end());
  return paragraphs;
}

DotLine ExampleLine(const sim::AccumSpec& spec) {
  // Numerics section 3: a large product, two that lose bits on a coarse grid, one that goes whole.
  constexpr double kA[] = {15, 1.125, -0.875, 0x1p-9}, kB[] = {15, 0x3p-7, 0x1p-7, 0.5};
  DotLine line;
  // The nearest number of the format that is not zero.
  const auto code = [](const fp8::Format& f, double x) {
    const uint64_t nearest = fp8::Pack(f, fp8::Unpack(x)).code;
    if (fp8::Unpack(f, nearest).significand != 0) return nearest;
    return (uint64_t{1} << f.pad) | (x < 0 ? fp8::SignMask(f) : 0);
  };
  // Where blocks are added exactly, each product gets a block of its own, smaller by its scales.
  const bool blocks = spec.flow == sim::Flow::kBlockDot;
  const size_t stride = blocks ? static_cast<size_t>(sim::kBlockDotLength) : 1;
  line.a.resize(3 * stride + 1);
  line.b.resize(3 * stride + 1);
  for (size_t i = 0; i < 4; ++i) {
    line.a[i * stride] = code(spec.a, blocks ? 1.5 : kA[i]);
    line.b[i * stride] = code(spec.b, blocks ? (i == 2 ? -3 : 3) : kB[i]);
  }
  line.c = code(spec.acc, 0.3);
  if (spec.block == 0) return line;
  const size_t block = static_cast<size_t>(spec.block);
  for (size_t i = 0; i < (line.a.size() + block - 1) / block; ++i) {
    const double falling = std::ldexp(256, -4 * static_cast<int>(i));
    line.scale_a.push_back(code(spec.scale, blocks ? falling : 2));
    line.scale_b.push_back(code(spec.scale, blocks ? falling : 0.5));
  }
  return line;
}

}  // namespace lostbits::cli
