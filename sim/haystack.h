// The synthetic haystack of the needle study: keys, values and queries with planted needles.
#ifndef LOSTBITS_SIM_HAYSTACK_H_
#define LOSTBITS_SIM_HAYSTACK_H_

#include <cstdint>
#include <span>
#include <vector>

namespace lostbits::sim {

/// Size of the codebook a readout chooses from.
inline constexpr int kCodewords = 64;

/// One haystack of N keys for one KV head, and R queries that each ask for a needle of their own.
/// All codes are E4M3FN. Keys and queries are close to N(0, 1) per entry, so that with softmax
/// scale 1/sqrt(head_dim) the logits of ordinary keys are close to N(0, 1).
struct Haystack {
  int64_t keys = 0;
  int head_dim = 0;
  std::vector<uint8_t> k;           ///< N x head_dim
  std::vector<uint8_t> q;           ///< R x head_dim
  std::vector<double> weight;       ///< R: the softmax weight each needle was planted for
  std::vector<int64_t> needle;      ///< R: distinct positions, uniform over the keys
  std::vector<uint8_t> codeword;    ///< N: which codeword each key carries
  std::vector<double> common_mode;  ///< head_dim signs s, +-1
  std::vector<double> codebook;     ///< kCodewords x head_dim, +-1
  std::vector<double> average;      ///< head_dim: the mean codeword over the keys

  int rows() const { return static_cast<int>(needle.size()); }
};

/// Plants rows_per_weight needles for every weight (rows ordered by weight). A needle's key is
/// nearly a multiple of its query, chosen so that the logit of the encoded key is
/// ln(w / (1 - w)) + ln(N - 1) + |q|^2 / (2 head_dim): the last two terms are the expected log sum
/// of the other keys' exponentials, so the realised weight scatters around w for short contexts.
/// Needs 0 < w < 1 and N > rows.
Haystack MakeHaystack(int64_t keys, int head_dim, std::span<const double> weights,
                      int rows_per_weight, uint64_t seed);

/// The values that keys of each codeword carry, kCodewords x head_dim E4M3FN codes:
/// mean * common_mode + codeword.
std::vector<uint8_t> CodewordValues(const Haystack& haystack, double mean);

/// The values of all keys, N x head_dim.
std::vector<uint8_t> HaystackValues(const Haystack& haystack, double mean);

/// The codeword that correlates best with output - mean * common_mode - average.
/// output: head_dim numbers. The mean over the keys, plus the common mode, is what attention
/// returns on average when no needle is there. Ties go to the lower index.
int ReadOut(const Haystack& haystack, double mean, std::span<const double> output);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_HAYSTACK_H_
