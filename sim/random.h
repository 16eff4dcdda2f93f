// Deterministic random numbers: the same seed gives the same numbers on every compiler and machine,
// host and device; no std:: distribution and no libm decides a bit.
#ifndef LOSTBITS_SIM_RANDOM_H_
#define LOSTBITS_SIM_RANDOM_H_

#include <cstdint>

#include "fp8/hd.h"

namespace lostbits::sim {

/// SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA
/// 2014, figure 17 (constants of the mix named there mix64variant13). Any seed is a good seed.
class Random {
 public:
  FP8_HD constexpr explicit Random(uint64_t seed) : state_(seed) {}
  /// A stream of its own for every (seed, index): cases can be repeated one by one.
  FP8_HD constexpr Random(uint64_t seed, uint64_t index)
      : state_(Random(seed + index * kGamma).Next()) {}

  FP8_HD constexpr uint64_t Next() {
    state_ += kGamma;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * kMix1;
    z = (z ^ (z >> 27)) * kMix2;
    return z ^ (z >> 31);
  }
  /// Passes over n numbers and returns the state before them: number i, counted from 1, is the mix
  /// of that state + i * kGamma.
  FP8_HD constexpr uint64_t Skip(uint64_t n) {
    const uint64_t before = state_;
    state_ += n * kGamma;
    return before;
  }
  /// Uniform in [0, n), n > 0. Biased by less than n / 2^32.
  FP8_HD constexpr uint32_t Below(uint32_t n) {
    return static_cast<uint32_t>((Next() >> 32) * n >> 32);
  }
  /// Uniform in [low, high].
  FP8_HD constexpr int Between(int low, int high) {
    return low + static_cast<int>(Below(static_cast<uint32_t>(high - low) + 1));
  }
  FP8_HD constexpr bool OneIn(uint32_t n) { return Below(n) == 0; }
  /// Uniform in [0, 1), a multiple of 2^-53.
  FP8_HD constexpr double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  /// Close to N(0, 1): a centred Binomial(128, 1/2) made continuous by a uniform, divided by its
  /// standard deviation. Same mean and variance; excess kurtosis -1/64; no value beyond 11.4.
  FP8_HD constexpr double Normal() {
    int ones = fp8::PopCount(Next());
    ones += fp8::PopCount(Next());
    return (ones - 64 + Uniform() - 0.5) * kInverseDeviation;
  }

  static constexpr uint64_t kGamma = 0x9e37'79b9'7f4a'7c15u;
  static constexpr uint64_t kMix1 = 0xbf58'476d'1ce4'e5b9u, kMix2 = 0x94d0'49bb'1331'11ebu;
  static constexpr double kInverseDeviation = 0.17654696590094990;  // 1 / sqrt(128 / 4 + 1 / 12)

 private:
  uint64_t state_;
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_RANDOM_H_
