// The seam between fp8/convert.cc, which checks and decides, and the lanes, which are compiled once
// for each instruction set.
#ifndef LOSTBITS_FP8_CONVERT_LANES_H_
#define LOSTBITS_FP8_CONVERT_LANES_H_

#include <cstddef>
#include <cstdint>

#include "fp8/lane_tables.h"

namespace lostbits::fp8 {

/// Codes of decode.from to codes of encode->to, or to floats where `encode` is null.
struct LaneJob {
  const void* in;
  void* out;  ///< the same array as `in`, or apart from it
  size_t n;
  const uint32_t* random;  ///< read by LaneRounding::kStochastic only
  const EncodePlan* encode;
  DecodePlan decode;
};

/// On instruction set `target`, or on the best one that this CPU has if that is 0.
void RunLanes(const LaneJob& job, int64_t target);

}  // namespace lostbits::fp8

#endif  // LOSTBITS_FP8_CONVERT_LANES_H_
