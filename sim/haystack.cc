#include "sim/haystack.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "fp8/codec.h"
#include "sim/haystack_lanes.h"
#include "sim/random.h"

namespace lostbits::sim {
namespace {

uint8_t EncodeE4M3(double x) { return static_cast<uint8_t>(fp8::Encode<fp8::kE4M3FN>(x)); }
double DecodeE4M3(uint8_t code) { return fp8::Decode<fp8::kE4M3FN>(code); }

/// Sign +1 or -1 from one random bit.
double Sign(Random& random) { return random.Next() & 1 ? 1.0 : -1.0; }

/// Writes a multiple of q, encoded, with single entries moved to a neighbouring code wherever that
/// brings the dot product with q closer to the one wanted.
void PlantKey(std::span<const uint8_t> q, double wanted, std::span<uint8_t> key) {
  double norm2 = 0;
  for (uint8_t code : q) norm2 += DecodeE4M3(code) * DecodeE4M3(code);
  double missing = wanted;
  for (size_t c = 0; c < q.size(); ++c) {
    key[c] = EncodeE4M3(wanted / norm2 * DecodeE4M3(q[c]));
    missing -= DecodeE4M3(key[c]) * DecodeE4M3(q[c]);
  }
  for (size_t c = 0; c < q.size(); ++c) {
    const int magnitude = key[c] & 0x7F;
    for (int next : {magnitude - 1, magnitude + 1}) {
      if (next < 0 || next > 0x7E) continue;  // 0x7E: the largest, 448
      const uint8_t moved = static_cast<uint8_t>((key[c] & 0x80) | next);
      const double change = (DecodeE4M3(moved) - DecodeE4M3(key[c])) * DecodeE4M3(q[c]);
      if (std::abs(missing - change) >= std::abs(missing)) continue;
      missing -= change;
      key[c] = moved;
      break;
    }
  }
}

}  // namespace

Haystack MakeHaystack(int64_t keys, int head_dim, std::span<const double> weights,
                      int rows_per_weight, uint64_t seed) {
  const size_t n = static_cast<size_t>(keys), d = static_cast<size_t>(head_dim);
  Random random(seed);
  Haystack h;
  h.keys = keys;
  h.head_dim = head_dim;
  for (size_t c = 0; c < d; ++c) h.common_mode.push_back(Sign(random));
  for (size_t i = 0; i < kCodewords * d; ++i) h.codebook.push_back(Sign(random));
  h.k.resize(n * d);
  NormalCodesInLanes(&random, h.k);
  for (size_t j = 0; j < n; ++j)
    h.codeword.push_back(static_cast<uint8_t>(random.Below(kCodewords)));
  std::vector<double> count(kCodewords);
  for (uint8_t word : h.codeword) ++count[word];
  for (size_t c = 0; c < d; ++c) {
    double sum = 0;
    for (size_t w = 0; w < kCodewords; ++w) sum += count[w] * h.codebook[w * d + c];
    h.average.push_back(sum / static_cast<double>(keys));
  }

  for (double weight : weights) {
    for (int i = 0; i < rows_per_weight; ++i) {
      std::vector<uint8_t> q(d);
      double norm2 = 0;
      for (uint8_t& code : q) {
        code = EncodeE4M3(random.Normal());
        norm2 += DecodeE4M3(code) * DecodeE4M3(code);
      }
      int64_t position = 0;
      do {
        position = static_cast<int64_t>(random.Below(static_cast<uint32_t>(n)));
      } while (std::find(h.needle.begin(), h.needle.end(), position) != h.needle.end());
      const double logit = std::log(weight / (1 - weight)) +
                           std::log(static_cast<double>(keys - 1)) + norm2 / (2.0 * head_dim);
      PlantKey(q, logit * std::sqrt(static_cast<double>(head_dim)),
               std::span(h.k).subspan(static_cast<size_t>(position) * d, d));
      h.q.insert(h.q.end(), q.begin(), q.end());
      h.weight.push_back(weight);
      h.needle.push_back(position);
    }
  }
  return h;
}

std::vector<uint8_t> CodewordValues(const Haystack& h, double mean) {
  const size_t d = static_cast<size_t>(h.head_dim);
  std::vector<uint8_t> code(kCodewords * d);
  for (size_t i = 0; i < code.size(); ++i)
    code[i] = EncodeE4M3(mean * h.common_mode[i % d] + h.codebook[i]);
  return code;
}

std::vector<uint8_t> HaystackValues(const Haystack& h, double mean) {
  const size_t n = static_cast<size_t>(h.keys), d = static_cast<size_t>(h.head_dim);
  const std::vector<uint8_t> code = CodewordValues(h, mean);
  std::vector<uint8_t> v(n * d);
  for (size_t j = 0; j < n; ++j)
    std::copy_n(code.begin() + static_cast<ptrdiff_t>(h.codeword[j] * d), d,
                v.begin() + static_cast<ptrdiff_t>(j * d));
  return v;
}

int ReadOut(const Haystack& h, double mean, std::span<const double> output) {
  const size_t d = static_cast<size_t>(h.head_dim);
  std::vector<double> filtered(output.begin(), output.end());
  for (size_t c = 0; c < d; ++c) filtered[c] -= mean * h.common_mode[c] + h.average[c];
  int best = 0;
  double best_score = -std::numeric_limits<double>::infinity();
  for (size_t w = 0; w < kCodewords; ++w) {
    double score = 0;
    for (size_t c = 0; c < d; ++c) score += filtered[c] * h.codebook[w * d + c];
    if (score > best_score) {
      best_score = score;
      best = static_cast<int>(w);
    }
  }
  return best;
}

}  // namespace lostbits::sim
