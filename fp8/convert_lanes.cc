#include "fp8/convert_lanes.h"

#include <algorithm>
#include <bit>
#include <cfenv>
#include <string>
#include <vector>

#include "fp8/convert.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#define HWY_WANT_AVX3_DL  // VBMI; Highway 1.0.3 leaves this instruction set out unless asked
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "fp8/convert_lanes.cc"  // compiled once for each instruction set
#include "hwy/foreach_target.h"
// foreach_target.h comes first.
#include "fp8/decode-inl.h"
#include "fp8/encode-inl.h"
#include "fp8/recode-inl.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::fp8 {
namespace HWY_NAMESPACE {

/// Copies whole vectors past the caches; `to` is aligned to one.
HWY_INLINE void StreamOut(const uint8_t* from, uint8_t* to, size_t bytes) {
  const hn::ScalableTag<uint8_t> d8;
  const size_t step = hn::Lanes(d8);
  for (size_t i = 0; i < bytes; i += step) hn::Stream(hn::Load(d8, from + i), d8, to + i);
}

/// Whether a job's codes become floats in memory before they are encoded.
bool IsDecoded(const LaneJob& job) {
  return job.encode != nullptr && !Reads(job.decode.from, *job.encode);
}

/// One piece of a job: elements first .. first + n, to `out`.
void RunPiece(const LaneJob& job, size_t first, size_t n, uint32_t* room, void* out) {
  const auto in_bytes = static_cast<size_t>(ContainerBytes(job.decode.from));
  const char* in = static_cast<const char*>(job.in) + first * in_bytes;
  if (job.encode == nullptr) return Decode(in, static_cast<uint32_t*>(out), n, job.decode);
  const uint32_t* random = job.random == nullptr ? nullptr : job.random + first;
  if (IsDecoded(job)) {
    Decode(in, room, n, job.decode);
    return Encode(false, room, random, out, n, *job.encode);
  }
  Encode(job.decode.from == kBF16, in, random, out, n, *job.encode);
}

void Run(const LaneJob& job, bool stream) {
  constexpr size_t kPiece = 2048;  // its floats, 8 KiB, and its codes stay in L1
  // FP32 to E4M3FN from DRAM, against memcpy in the same run: pieces of 2048, one piece ahead,
  // 0.70; 1024, 0.97; 512, two pieces ahead, 1.04; 256, four ahead, 1.04.
  constexpr size_t kStreamPiece = 512;
  constexpr size_t kLine = 64;
  alignas(kLine) uint32_t room[kPiece];
  const size_t out_bytes =
      static_cast<size_t>(job.encode == nullptr ? sizeof(float) : ContainerBytes(job.encode->to));
  const auto in_bytes = static_cast<size_t>(ContainerBytes(job.decode.from));
  auto* out = static_cast<uint8_t*>(job.out);
  if (!stream) {
    const size_t piece = IsDecoded(job) ? kPiece : std::max<size_t>(job.n, 1);
    for (size_t i = Recode(job); i < job.n; i += piece)
      RunPiece(job, i, std::min(piece, job.n - i), room, out + i * out_bytes);
    return;
  }
  alignas(kLine) uint8_t staged[kStreamPiece * sizeof(float)];
  const size_t past = reinterpret_cast<uintptr_t>(out) % kLine;
  size_t i = std::min(job.n, past == 0 ? 0 : (kLine - past) / out_bytes);
  RunPiece(job, 0, i, room, out);
  const auto* in = static_cast<const uint8_t*>(job.in);
  for (; i + kStreamPiece <= job.n; i += kStreamPiece) {
    const uint8_t* ahead = in + (i + 2 * kStreamPiece) * in_bytes;
    for (size_t k = 0; k < kStreamPiece * in_bytes; k += kLine) hwy::Prefetch(ahead + k);
    RunPiece(job, i, kStreamPiece, room, staged);
    StreamOut(staged, out + i * out_bytes, kStreamPiece * out_bytes);
  }
  hwy::FlushStream();
  RunPiece(job, i, job.n - i, room, out + i * out_bytes);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::fp8
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::fp8 {
namespace {

HWY_EXPORT(Run);

/// Sets a rounding mode, no flush-to-zero and no trap; puts everything back at the end, the
/// caller's exception flags too.
class ModeGuard {
 public:
  ModeGuard(const ModeGuard&) = delete;
  ModeGuard& operator=(const ModeGuard&) = delete;

#if defined(__SSE2__)
  explicit ModeGuard(HardwareMode mode) : caller_(_mm_getcsr()) {
    // Intel SDM vol. 1, 10.2.3: bits 7 to 12 mask all exceptions, bits 13 and 14 are the mode.
    _mm_setcsr(0x1F80u | static_cast<uint32_t>(mode) << 13);
  }
  ~ModeGuard() { _mm_setcsr(caller_); }

 private:
  uint32_t caller_;
#else
  explicit ModeGuard(HardwareMode mode) {
    constexpr int kModes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    std::fegetenv(&caller_);
    std::fesetenv(FE_DFL_ENV);
    std::fesetround(kModes[static_cast<int>(mode)]);
  }
  ~ModeGuard() { std::fesetenv(&caller_); }

 private:
  std::fenv_t caller_;
#endif
};

// Bytes read and written from which on stores go past the caches and reads are prefetched.
// Measured on an AMD EPYC (family 26; 32 MiB of L3, 1 MiB of L2), medians of 7 to 15 in turns.
// Streaming against plain stores, 32 / 40 / 48 / 64 / 128 / 512 MiB:
//   FP32 to E4M3FN   1.02  1.09  1.14  1.23  1.22  1.24
//   E4M3FN to FP32   0.94  1.10  1.24  1.23  1.24  1.23
//   FP32 to BF16     0.86  0.97  1.04  1.14  1.22  1.23
//   BF16 to FP32     0.90  0.98  1.13  1.19  1.25  1.21
//   BF16 to E4M3FN   0.87  0.90  0.92  0.95  0.99  1.04
//   E4M3FN to BF16   0.86  0.87  0.88  0.88  0.86  0.89
// The last two move fewer bytes than the lanes could fill: only from or to floats it pays.
constexpr size_t kStreamBytes = size_t{48} << 20;
bool Streams(const LaneJob& job, size_t bytes) {
  return bytes >= kStreamBytes && (job.encode == nullptr || job.decode.from == kFP32);
}

/// The function of a dispatch table for `target`, or for the best instruction set if that is 0.
/// Highway's tables hold an initializer, one entry an instruction set, and the fallback; or a
/// single entry where only one instruction set was compiled (HWY_EXPORT in hwy/highway.h).
template <class Function, size_t kSize>
Function* ForTarget(Function* const (&table)[kSize], int64_t target) {
  if constexpr (kSize == 1) {
    return table[0];
  } else {
    if (target == 0) {
      hwy::ChosenTarget& chosen = hwy::GetChosenTarget();
      if (!chosen.IsInitialized()) chosen.Update(hwy::SupportedTargets());
      return table[chosen.GetIndex()];
    }
    const auto bit = static_cast<uint64_t>(HWY_CHOSEN_TARGET_SHIFT(target));
    return table[bit == 0 ? kSize - 1 : static_cast<size_t>(std::countr_zero(bit))];
  }
}

}  // namespace

std::vector<LaneTarget> LaneTargets() {
  std::vector<LaneTarget> targets;
  for (const int64_t id : hwy::SupportedAndGeneratedTargets())
    targets.push_back({id, hwy::TargetName(id)});
  return targets;
}

void RunLanes(const LaneJob& job, int64_t target) {
  const auto in_bytes = static_cast<size_t>(ContainerBytes(job.decode.from));
  const auto out_bytes =
      static_cast<size_t>(job.encode == nullptr ? sizeof(float) : ContainerBytes(job.encode->to));
  const bool whole_elements = reinterpret_cast<uintptr_t>(job.out) % out_bytes == 0;
  const bool stream = whole_elements && Streams(job, job.n * (in_bytes + out_bytes));
  const ModeGuard guard(job.encode == nullptr ? HardwareMode::kNearest : job.encode->mode);
  ForTarget(HWY_DISPATCH_TABLE(Run), target)(job, stream);
}

}  // namespace lostbits::fp8
#endif  // HWY_ONCE
