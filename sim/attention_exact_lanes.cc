// Compiled once an instruction set; the best one present is chosen at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/attention_exact_lanes.cc"
#include "sim/attention_exact_lanes.h"

#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<double, 8>;

double Dot(const double* a, const double* b, int64_t n) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  alignas(64) double partial[8];
  for (int64_t first = 0; first < 8; first += lanes) {
    auto sum = hn::Zero(d);
    for (int64_t i = first; i + 8 <= n + first; i += 8)
      sum = hn::Add(sum, hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i)));
    hn::Store(sum, d, partial + first);
  }
  for (int64_t i = n - n % 8; i < n; ++i) partial[i % 8] += a[i] * b[i];
  double total = 0;
  for (const double x : partial) total += x;
  return total;
}

template <int kCount>
void AddRows(const double* weight, const double* const* rows, double* sum, int64_t n) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t c = 0;
  for (; c + lanes <= n; c += lanes) {
    auto x = hn::LoadU(d, sum + c);
    for (int j = 0; j < kCount; ++j)
      x = hn::Add(x, hn::Mul(hn::Set(d, weight[j]), hn::LoadU(d, rows[j] + c)));
    hn::StoreU(x, d, sum + c);
  }
  for (; c < n; ++c)
    for (int j = 0; j < kCount; ++j) sum[c] += weight[j] * rows[j][c];
}

void AddScaled(const double* weight, const double* const* rows, int64_t count, double* sum,
               int64_t n) {
  if (count == 4) return AddRows<4>(weight, rows, sum, n);
  for (int64_t j = 0; j < count; ++j) AddRows<1>(weight + j, rows + j, sum, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {

HWY_EXPORT(Dot);
HWY_EXPORT(AddScaled);

double DotLanes(const double* a, const double* b, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(Dot)(a, b, n);
}

void AddScaledLanes(const double* weight, const double* const* rows, int64_t count, double* sum,
                    int64_t n) {
  HWY_DYNAMIC_DISPATCH(AddScaled)(weight, rows, count, sum, n);
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
