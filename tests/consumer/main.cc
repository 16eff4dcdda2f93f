// The worked example of the documentation: 15 * 15 + 1.125 * 0.0234375 - ... + 0.3 on three units.
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

#include "fp8/codec.h"
#include "sim/accum.h"
#include "sim/arch_table.h"
#include "sim/gemm.h"

namespace fp8 = lostbits::fp8;
namespace sim = lostbits::sim;

int main() {
  std::vector<uint8_t> a(32), b(32);
  const uint8_t a_codes[] = {0x57, 0x39, 0xB6, 0x01}, b_codes[] = {0x57, 0x0C, 0x04, 0x30};
  for (size_t i = 0; i < 4; ++i) {
    a[i] = a_codes[i];
    b[i] = b_codes[i];
  }
  for (const sim::ArchRow& row : sim::kArchTable) {
    if (row.arch != std::string_view("hopper") || row.instruction != std::string_view("wgmma") ||
        row.in != std::string_view("e4m3") || row.out != std::string_view("f32"))
      continue;
    sim::PackedB packed;
    packed.Pack(row.spec, {b.data(), fp8::kE4M3FN, 32, 1, 1});
    uint32_t c = 0x3E99999A;  // 0.3
    sim::MultiplyAccumulate(row.spec, {a.data(), fp8::kE4M3FN, 1, 32, 32}, packed, {&c, 1, 1});
    std::printf("%08X\n", c);
    return c == 0x43615000 ? 0 : 1;
  }
  return 1;
}
