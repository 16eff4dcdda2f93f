// Compiles every header that host and device share, as device code. Nothing runs.
#include "fp8/codec.h"
#include "fp8/scale.h"
#include "sim/accum.h"
#include "sim/accum_amd.h"
#include "sim/arch.h"
#include "sim/evidence.h"
#include "sim/recipe.h"
#include "sim/softmax.h"
#include "sim/term.h"
#include "sim/wide.h"

namespace sim = lostbits::sim;

__global__ void Twin(sim::AccumSpec spec, const sim::Unpacked* a, const sim::Unpacked* b, int64_t n,
                     sim::BlockScales scales, uint64_t* c, float* x) {
  *c = sim::DotChain(spec, a, b, n, *c, scales);
  *c += sim::UnpackScale(spec.scale, *c).significand;
  *c += lostbits::fp8::Encode<lostbits::fp8::kE4M3FN>(*x);
}
