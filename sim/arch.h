// What decides the bits of a matrix unit's sums, as data. The rows: sim/arch_table.h. What they
// rest on: sim/evidence.h. The functions that read them: sim/accum.h.
//
// A row is keyed by (architecture, instruction, input types, output type), never by architecture
// alone: FP8 on an H100 is three different functions. To add a machine, add a row.
#ifndef LOSTBITS_SIM_ARCH_H_
#define LOSTBITS_SIM_ARCH_H_

#include <cstdint>

#include "fp8/format.h"
#include "fp8/rounding.h"
#include "sim/evidence.h"

namespace lostbits::sim {

/// A binary32 register of which only 13 fraction bits are written ("FP22": the accumulator that FP8
/// units of Ada and Hopper hand on). Low 10 bits are zero.
inline constexpr fp8::Format kE8M13{8, 13, 127, fp8::Specials::kIeee, 10};

/// How the products of one instruction are gathered and added. Groups follow one another over
/// increasing k: c enters the first, each result the next.
enum class Flow : uint8_t {
  kChained,           ///< products and c aligned to the largest exponent, cut toward zero, added
  kInterleavedLateC,  ///< FP8 mma.sync where it is emulated through FP16: k%4 in {0,1}, then {2,3},
                      ///< chained from zero; c is added last, to nearest even
  kBlockDot,   ///< blocks of 16 products added exactly, then aligned by their scales' exponents
  kExact,      ///< c and the products added exactly, rounded once (group 1: a chain of fma)
  kTree,       ///< rounded products, added in pairs; then c + that (every step rounded)
  kLateFloor,  ///< products cut as in kChained, c added after them; both cut toward -inf
  kLateFloorPairs,  ///< as kLateFloor, even and odd k aligned each by themselves first
};

/// The name of a flow behind "@flow=", and in every message.
constexpr const char* FlowName(Flow flow) {
  switch (flow) {
    case Flow::kChained: return "chained";
    case Flow::kInterleavedLateC: return "interleaved_late_c";
    case Flow::kBlockDot: return "block_dot";
    case Flow::kExact: return "exact";
    case Flow::kTree: return "tree";
    case Flow::kLateFloor: return "late_floor";
    case Flow::kLateFloorPairs: return "late_floor_pairs";
  }
  return "?";
}
inline constexpr int kFlowCount = 7;

/// Aligns its terms to a common exponent: fraction_bits and e_zero mean something.
FP8_HD constexpr bool HasGrid(Flow flow) { return flow != Flow::kExact && flow != Flow::kTree; }
/// Adds c after the products: sum_bits and final_bits mean something.
FP8_HD constexpr bool AddsCLate(Flow flow) {
  return flow == Flow::kLateFloor || flow == Flow::kLateFloorPairs;
}

/// Everything that decides the bits of one instruction's sums.
struct AccumSpec {
  fp8::Format a, b;        ///< operand formats
  fp8::Format acc;         ///< register format of c and d: FP32, FP16 or FP64
  fp8::Format out;         ///< precision a group's result is rounded to: acc, or E8M13
  fp8::Rounding rounding;  ///< of a group's result (overflow always gives Inf)
  int group;               ///< L: products aligned together
  int fraction_bits;       ///< F: bits kept below the group's largest exponent
  int e_zero;              ///< the largest exponent never counts as less than this
  int k;                   ///< products of one instruction
  Flow flow = Flow::kChained;

  fp8::Format scale{};  ///< of the block scales: E8M0, or E4M3FN whose sign is ignored ("ue4m3")
  int block = 0;        ///< products that share one scale of a and one of b; 0: no scales

  bool signed_underflow = false;  ///< a negative sum that rounds to zero gives -0 (else +0)
  bool flush = false;             ///< kTree: subnormal inputs count as +0, subnormal results as +-0
  int sum_bits = 0;               ///< kLateFloor*: bits of the products' sum below the exponent of
                                  ///< the larger of it and c
  int final_bits = 0;             ///< kLateFloor*: bits of the whole sum kept before it is rounded;
                                  ///< 0: all

  constexpr bool operator==(const AccumSpec&) const = default;
};

/// One row of the table.
struct ArchRow {
  const char* arch;
  const char* instruction;
  const char* in;     ///< "e4m3"; "e4m3.e5m2" for mixed operands
  const char* scale;  ///< "ue8m0/32": format and length of the block scales; "" if there are none
  const char* out;
  AccumSpec spec;
  Evidence evidence;
  int family;  ///< rows of one line of sim/arch_table.h have one number
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_ARCH_H_
