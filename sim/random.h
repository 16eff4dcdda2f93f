// Deterministic random numbers: the same on every compiler and machine, no library distribution and
// no libm in the way.
#ifndef LOSTBITS_SIM_RANDOM_H_
#define LOSTBITS_SIM_RANDOM_H_

#include <bit>
#include <cstdint>

namespace lostbits::sim {

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
/// figure 16). Any seed is a good seed.
class Random {
 public:
  explicit constexpr Random(uint64_t seed) : state_(seed) {}

  constexpr uint64_t Bits() {
    uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, n), n > 0; the bias is below n / 2^64.
  constexpr uint64_t Below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Bits()) * n) >> 64);
  }
  /// Uniform in [0, 1), a multiple of 2^-53.
  constexpr double Uniform() { return static_cast<double>(Bits() >> 11) * 0x1p-53; }
  /// Close to N(0, 1): a centred Binomial(128, 1/2) made continuous by a uniform, divided by its
  /// standard deviation. Same mean and variance; excess kurtosis -1/64; no value beyond 11.4.
  constexpr double Normal() {
    const int ones = std::popcount(Bits()) + std::popcount(Bits());
    constexpr double kInverseDeviation = 0.17654696590094990;  // 1 / sqrt(128 / 4 + 1 / 12)
    return (ones - 64 + Uniform() - 0.5) * kInverseDeviation;
  }

 private:
  uint64_t state_;
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_RANDOM_H_
