#include "sim/exact.h"

#include <omp.h>

#include <algorithm>
#include <boost/multiprecision/cpp_int.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "sim/accum.h"
#include "sim/parallel_for.h"

namespace lostbits::sim {
namespace {

namespace mp = boost::multiprecision;

__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

// Products of FP32 codes are multiples of 2^-298 below 2^256: with 2^63 of them, 617 bits.
using Wide = mp::number<mp::cpp_int_backend<1024, 1024, mp::signed_magnitude, mp::unchecked, void>>;
constexpr int kWideLsb = -298;

/// One operand vector, and as integers in units of 2^lsb where 62 bits hold all of them.
struct Line {
  std::vector<Unpacked> values;
  std::vector<int64_t> fixed;  ///< empty if too wide
  int lsb = 0;
  int width = 0;  ///< |fixed| < 2^width
  bool special = false;
};

int Lsb(const Unpacked& x) { return x.exponent - x.fraction_bits; }

Line MakeLine(std::vector<Unpacked> values) {
  Line line;
  int low = 0, high = 0;
  bool any = false;
  for (const Unpacked& x : values) {
    if (x.cls == Class::kInf || x.cls == Class::kNan) line.special = true;
    if (x.significand == 0) continue;
    const int trailing = __builtin_ctzll(x.significand);
    const int bottom = Lsb(x) + trailing, top = Lsb(x) + fp8::BitWidth(x.significand);
    low = any ? std::min(low, bottom) : bottom;
    high = any ? std::max(high, top) : top;
    any = true;
  }
  line.lsb = low;
  line.width = high - low;
  line.values = std::move(values);
  if (line.width > 62) return line;
  line.fixed.reserve(line.values.size());
  for (const Unpacked& x : line.values) {
    int64_t q = 0;
    if (x.significand != 0) {
      const int shift = Lsb(x) - low;
      q = static_cast<int64_t>(shift >= 0 ? x.significand << shift : x.significand >> -shift);
    }
    line.fixed.push_back(x.negative ? -q : q);
  }
  return line;
}

/// magnitude * 2^lsb in 64 bits; what lies below them is gathered in the last one ("to odd"), which
/// changes no later rounding to 62 bits or fewer.
template <class Magnitude>
Unpacked Squeeze(bool negative, const Magnitude& magnitude, int width, int lsb) {
  const int drop = std::max(0, width - 64);
  const Magnitude kept = magnitude >> drop;
  const bool inexact = (kept << drop) != magnitude;
  return {Class::kFinite, negative, lsb + drop, 0,
          static_cast<uint64_t>(kept) | (inexact ? uint64_t{1} : uint64_t{0})};
}

Unpacked SumNarrow(const Line& a, const Line& b) {
  Int128 sum = 0;
  for (size_t i = 0; i < a.fixed.size(); ++i) sum += static_cast<Int128>(a.fixed[i]) * b.fixed[i];
  if (sum == 0) return {};
  const Uint128 magnitude = sum < 0 ? -static_cast<Uint128>(sum) : static_cast<Uint128>(sum);
  const auto high = static_cast<uint64_t>(magnitude >> 64);
  const int width =
      high != 0 ? 64 + fp8::BitWidth(high) : fp8::BitWidth(static_cast<uint64_t>(magnitude));
  return Squeeze(sum < 0, magnitude, width, a.lsb + b.lsb);
}

Unpacked SumWide(const Line& a, const Line& b) {
  Wide sum = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    const Unpacked &x = a.values[i], &y = b.values[i];
    if (x.significand == 0 || y.significand == 0) continue;
    Wide term = x.significand * y.significand;  // 48 bits
    term <<= Lsb(x) + Lsb(y) - kWideLsb;
    if (x.negative != y.negative) {
      sum -= term;
    } else {
      sum += term;
    }
  }
  if (sum == 0) return {};
  const Wide magnitude = mp::abs(sum);
  return Squeeze(sum < 0, magnitude, static_cast<int>(mp::msb(magnitude)) + 1, kWideLsb);
}

/// The sum as a code of `out`.
uint64_t Sum(const Line& a, const Line& b, fp8::Format out) {
  if (a.special || b.special) {
    SpecialScan specials;
    for (size_t i = 0; i < a.values.size(); ++i) specials.AddProduct(a.values[i], b.values[i]);
    if (specials.nan || (specials.plus_inf && specials.minus_inf))
      return fp8::NanCode(out, false, {});
    if (specials.Any()) {
      return ((fp8::MaxMagnitude(out) + 1) << out.pad) |
             (specials.minus_inf ? fp8::SignMask(out) : 0);
    }
  }
  const int carries =
      fp8::BitWidth(a.values.size());  // n products below 2^w sum below 2^(w+carries)
  const bool narrow = a.width <= 62 && b.width <= 62 && a.width + b.width + carries <= 126;
  const Unpacked sum = narrow ? SumNarrow(a, b) : SumWide(a, b);
  return fp8::Pack(out, sum, {.overflow = fp8::Overflow::kToSpecial}).code;
}

std::vector<Unpacked> UnpackCodes(fp8::Format f, const uint32_t* codes, int64_t n) {
  std::vector<Unpacked> values;
  values.reserve(static_cast<size_t>(n) + 1);
  for (int64_t i = 0; i < n; ++i) values.push_back(fp8::Unpack(f, codes[i]));
  return values;
}

/// What `Wide` is wide enough for: the range of FP32.
void CheckOperand(fp8::Format f) {
  const int lowest = fp8::MinExponent(f) - f.mantissa_bits;
  const int highest = (1 << f.exponent_bits) - 1 - f.bias;
  if (fp8::StorageBits(f) <= 32 && lowest >= -149 && highest <= 128) return;
  throw std::invalid_argument(
      "exact sums: expected operand formats of at most 32 bits within the range of FP32, got one "
      "of " +
      std::to_string(fp8::StorageBits(f)) + " bits and exponents up to " + std::to_string(highest));
}

std::string Shape(int64_t rows, int64_t cols) {
  return std::to_string(rows) + " x " + std::to_string(cols);
}

template <class T>
void Gemm(CodeView a, CodeView b, bool transposed, MatrixView<T> out, fp8::Format format) {
  CheckOperand(a.format);
  CheckOperand(b.format);
  const int64_t k = transposed ? b.cols : b.rows, n = transposed ? b.rows : b.cols;
  if (a.cols != k || out.rows != a.rows || out.cols != n) {
    throw std::invalid_argument("exact GEMM: a is " + Shape(a.rows, a.cols) + ", b is " +
                                Shape(k, n) + ", expected out " + Shape(a.rows, n) +
                                " and equal K, got out " + Shape(out.rows, out.cols));
  }
  std::vector<Line> columns(static_cast<size_t>(n));
  const int threads = omp_get_max_threads();
  ParallelFor(n, threads, {}, [&](int64_t j) {
    std::vector<Unpacked> values(static_cast<size_t>(k));
    for (int64_t i = 0; i < k; ++i)
      values[static_cast<size_t>(i)] = fp8::Unpack(b.format, transposed ? b(j, i) : b(i, j));
    columns[static_cast<size_t>(j)] = MakeLine(std::move(values));
    return std::string();
  });
  ParallelFor(a.rows, threads, {}, [&](int64_t i) {
    std::vector<Unpacked> values(static_cast<size_t>(k));
    for (int64_t j = 0; j < k; ++j) values[static_cast<size_t>(j)] = fp8::Unpack(a.format, a(i, j));
    const Line row = MakeLine(std::move(values));
    for (int64_t j = 0; j < n; ++j) {
      const uint64_t code = Sum(row, columns[static_cast<size_t>(j)], format);
      if constexpr (sizeof(T) == 8) {
        out(i, j) = fp8::BitCast<T>(code);
      } else {
        out(i, j) = fp8::BitCast<T>(static_cast<uint32_t>(code));
      }
    }
    return std::string();
  });
}

}  // namespace

uint64_t ExactDot(fp8::Format a_format, const uint32_t* a, fp8::Format b_format, const uint32_t* b,
                  int64_t n, fp8::Format c_format, uint32_t c, fp8::Format out) {
  CheckOperand(a_format);
  CheckOperand(b_format);
  CheckOperand(c_format);
  if (!fp8::HasInf(out))
    throw std::invalid_argument("exact sums: expected an output format with Inf, got one without");
  std::vector<Unpacked> x = UnpackCodes(a_format, a, n), y = UnpackCodes(b_format, b, n);
  x.push_back(fp8::Unpack(c_format, c));  // c * 1
  y.push_back({Class::kFinite, false, 0, 0, 1});
  return Sum(MakeLine(std::move(x)), MakeLine(std::move(y)), out);
}

double ExactDotDouble(fp8::Format a_format, const uint32_t* a, fp8::Format b_format,
                      const uint32_t* b, int64_t n) {
  return fp8::BitCast<double>(ExactDot(a_format, a, b_format, b, n, fp8::kFP32, 0, fp8::kFP64));
}

float ExactDotFloat(fp8::Format a_format, const uint32_t* a, fp8::Format b_format,
                    const uint32_t* b, int64_t n) {
  return fp8::BitCast<float>(
      static_cast<uint32_t>(ExactDot(a_format, a, b_format, b, n, fp8::kFP32, 0, fp8::kFP32)));
}

void ExactGemm(CodeView a, CodeView b, MatrixView<double> out) {
  Gemm(a, b, false, out, fp8::kFP64);
}
void ExactGemm(CodeView a, CodeView b, MatrixView<float> out) {
  Gemm(a, b, false, out, fp8::kFP32);
}
void ExactGemmTransposed(CodeView a, CodeView bt, MatrixView<double> out) {
  Gemm(a, bt, true, out, fp8::kFP64);
}
void ExactGemmTransposed(CodeView a, CodeView bt, MatrixView<float> out) {
  Gemm(a, bt, true, out, fp8::kFP32);
}

}  // namespace lostbits::sim
