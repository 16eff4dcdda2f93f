// Which element of a tile lies in which register of which lane.
//
// PTX ISA 9.0, "Matrix Fragments for mma.m16n8k4" to "...k32" and "Register Fragments ... for
// wgmma.mma_async.m64nNk*": every one of those tables is one rule, once registers of 32 bits and
// bytes along k are counted instead of elements. tests/cuda/fragment_test.cc holds the tables as
// PTX prints them, and checks that no element is missing or taken twice.
#ifndef LOSTBITS_CUDA_PTX_FRAGMENT_H_
#define LOSTBITS_CUDA_PTX_FRAGMENT_H_

#include "fp8/hd.h"

namespace lostbits::gpu {

/// A row of a (of b: a column), and the first of the four bytes along k that a register holds.
struct RegisterPlace {
  int line;
  int byte;
};

/// Register r of a in lane t of mma.m16n8k*: two registers for 16 bytes of k, four for 32.
FP8_HD constexpr RegisterPlace MmaA(int t, int r) {
  return {t / 4 + 8 * (r % 2), 4 * (t % 4) + 16 * (r / 2)};
}
/// Register r of b: one for 16 bytes of k, two for 32.
FP8_HD constexpr RegisterPlace MmaB(int t, int r) { return {t / 4, 4 * (t % 4) + 16 * r}; }

struct OutputPlace {
  int row, col;
};

/// Element i of c or d in lane t of mma.m16n8k*: FP32 has one in each of four registers, FP16 two
/// in each of two, the even one in the low half.
FP8_HD constexpr OutputPlace MmaD(int t, int i) {
  return {t / 4 + 8 * (i / 2), 2 * (t % 4) + i % 2};
}

/// Element i of d in thread t (of 128) of wgmma.m64nN: N / 2 elements, halves as above.
FP8_HD constexpr OutputPlace WgmmaD(int t, int i) {
  return {16 * (t / 32) + t % 32 / 4 + 8 * (i / 2 % 2), 8 * (i / 4) + 2 * (t % 4) + i % 2};
}

/// Where byte `byte` along k of line `line` (a row of a, a column of b) stands in shared memory for
/// wgmma without swizzle: "core matrices" of 8 lines x 16 bytes, contiguous, first along k. An
/// instruction has 32 bytes along k, so two of them. PTX ISA 9.0, "Shared Memory Matrix Layout".
FP8_HD constexpr int CoreMatrixByte(int line, int byte) {
  return (line / 8 * 2 + byte / 16) * 128 + line % 8 * 16 + byte % 16;
}
inline constexpr int kCoreLeadingBytes = 128;  ///< from a core matrix to the next along k
inline constexpr int kCoreStrideBytes = 256;   ///< from a core matrix to the next 8 lines

/// The matrix descriptor of wgmma (PTX ISA 9.0, "Matrix Descriptor Format") without swizzle:
/// address, leading and stride offsets, each in units of 16 bytes, 14 bits wide.
FP8_HD constexpr uint64_t WgmmaDescriptor(uint32_t shared_address, int leading_bytes,
                                          int stride_bytes) {
  const auto field = [](uint32_t bytes) { return static_cast<uint64_t>(bytes >> 4 & 0x3FFF); };
  return field(shared_address) | field(static_cast<uint32_t>(leading_bytes)) << 16 |
         field(static_cast<uint32_t>(stride_bytes)) << 32;
}

/// Where byte `byte` of line `line` stands in a tile whose lines have row_bytes (32, 64 or 128)
/// bytes, as TMA writes it and wgmma reads it under the swizzle of that width: pieces of 16 bytes
/// change places within groups of 8 lines, so that a column of them touches every bank. The tile
/// starts at a multiple of 8 * row_bytes. PTX ISA 9.0, "Swizzling Modes".
FP8_HD constexpr int SwizzledByte(int line, int byte, int row_bytes) {
  const int at = line * row_bytes + byte;
  return at ^ (at >> 3 & (row_bytes / 16 - 1) << 4);
}

/// The descriptor of such a tile (k fastest). To advance along k within a line, its bytes are added
/// to the address: the swizzle is a function of address bits.
FP8_HD constexpr uint64_t SwizzledDescriptor(uint32_t shared_address, int row_bytes) {
  const uint64_t mode = row_bytes == 128 ? 1 : row_bytes == 64 ? 2 : 3;  // bits 62 and 63
  return WgmmaDescriptor(shared_address, 16, 8 * row_bytes) | mode << 62;
}

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_PTX_FRAGMENT_H_
