#include "gpu/chosen.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "cli/output.h"
#include "cuda/generator.h"

namespace lostbits::gpu {
namespace {

/// The code of x, if x is a number of the format.
std::optional<uint64_t> Exactly(fp8::Format f, double x) {
  const uint64_t code = fp8::Pack(f, fp8::Unpack(x)).code;
  return cli::CodeValue(f, code) == x ? std::optional(code) : std::nullopt;
}

/// A product at one k.
struct Factor {
  int k;
  double a, b;
};

class Builder {
 public:
  explicit Builder(const Unit& unit) : shape_(unit.shape) {}

  /// Kept only if every number is one of its format.
  void Add(const std::vector<Factor>& factors, double c) {
    Case x;
    x.a.resize(static_cast<size_t>(shape_.k));
    x.b.resize(static_cast<size_t>(shape_.k));
    for (const Factor& f : factors) {
      const auto a = Exactly(shape_.a, f.a), b = Exactly(shape_.b, f.b);
      if (!a || !b || f.k >= shape_.k) return;
      x.a[static_cast<size_t>(f.k)] = *a;
      x.b[static_cast<size_t>(f.k)] = *b;
    }
    const auto word = Exactly(shape_.d, c);
    if (!word) return;
    x.c = static_cast<uint32_t>(*word);
    cases_.push_back(std::move(x));
  }
  /// 2^-n as a product at k; half of it on each side, so that small formats reach far.
  static Factor Power(int k, int n) {
    return {k, std::ldexp(1.0, -(n / 2)), std::ldexp(1.0, -(n - n / 2))};
  }
  std::vector<Case> Take() { return std::move(cases_); }

 private:
  TileShape shape_;
  std::vector<Case> cases_;
};

}  // namespace

std::vector<Case> Ladders(const Unit& unit) {
  Builder build(unit);
  const int k = unit.shape.k;
  for (int n = 1; n <= 40; ++n) {
    const double step = std::ldexp(1.0, -n);
    // What survives beside 1 in the sum (F), the 1 then taken away; with both signs.
    build.Add({{0, 1, 1}, Builder::Power(1, n), {2, -1, 1}}, 0);
    build.Add({{0, -1, 1}, Builder::Power(1, n), {2, 1, 1}}, 0);
    // The same of c; and what the result keeps.
    build.Add({{0, 1, 1}, {1, -1, 1}}, step);
    build.Add({{0, 1, 1}, Builder::Power(1, n)}, 0);
    build.Add({{0, 1, 1}}, step);
    build.Add({{0, -1, 1}}, -step);
    build.Add({Builder::Power(0, n)}, 1);
    // Ties, and a bit above and below one, where results are rounded to nearest.
    build.Add({{0, 1, 1}, Builder::Power(1, n), Builder::Power(2, n + 6)}, 0);
    build.Add({{0, 1.5, 1}, Builder::Power(1, n)}, step / 4);
    // Products in [2, 4): does their own leading bit raise the grid?
    build.Add({{0, 1.5, 1.5}, Builder::Power(1, n), {2, -1.5, 1.5}}, 0);
    // Is the result cut further than the grid?
    build.Add({{0, 1.5, 1.5}, Builder::Power(1, n)}, 0);
  }
  // Which k are added together: 1, a small term, and -1 at every k.
  for (int tiny : {13, 24, 25}) {
    for (int at = 2; at < k; ++at) {
      build.Add({{0, 1, 1}, Builder::Power(1, tiny), {at, -1, 1}}, 0);
      build.Add({{0, 1.5, 1.5}, Builder::Power(1, tiny), {at, -1.5, 1.5}}, 0);
      build.Add({{0, 1, 1}, {at, -1, 1}, Builder::Power(at == k - 1 ? 1 : k - 1, tiny)}, 0);
    }
  }
  // The ends of the range.
  for (int n = 100; n <= 149; n += 7) build.Add({{0, 1, 1}, {1, -1, 1}}, std::ldexp(1.0, -n));
  for (int n = 10; n <= 28; ++n) {
    const double large = std::ldexp(1.0, n / 2);
    build.Add({{0, large, large}, {1, large, large}}, 0);
    build.Add({Builder::Power(0, n)}, 0);
  }
  return build.Take();
}

Tiles PackCases(const Unit& unit, const std::vector<Case>& cases) {
  const TileShape& s = unit.shape;
  std::vector<const Case*> order;
  for (const Case& x : cases) order.push_back(&x);
  std::stable_sort(order.begin(), order.end(),
                   [](const Case* x, const Case* y) { return x->b < y->b; });
  struct Spot {
    const Case* x;
    int64_t tile;
    int row, col;
  };
  std::vector<Spot> spots;
  int64_t tile = 0;
  int row = 0, col = -1;
  for (const Case* x : order) {
    const bool same_b = col >= 0 && spots.back().x->b == x->b;
    if (row == s.m || (!same_b && col == s.n - 1)) {
      ++tile;
      row = 0;
      col = 0;
    } else if (!same_b) {
      ++col;
    }
    spots.push_back({x, tile, row++, col});
  }
  Tiles tiles(unit, cases.empty() ? 0 : tile + 1);
  const int bytes = s.row_bytes / s.k;
  for (const Spot& at : spots) {
    for (size_t k = 0; k < at.x->a.size(); ++k) {
      detail::StoreCode(tiles.A(at.tile, at.row), static_cast<int>(k), bytes, at.x->a[k]);
      detail::StoreCode(tiles.B(at.tile, at.col), static_cast<int>(k), bytes, at.x->b[k]);
    }
    tiles.C(at.tile, at.row, at.col) = at.x->c;
  }
  return tiles;
}

Tiles CaptureTiles(const Unit& unit, const std::vector<Case>& cases, uint64_t seed, int generated) {
  const Tiles chosen = PackCases(unit, cases);
  Tiles more(unit, generated);
  Generate(seed, 0, more);
  Tiles all(unit, chosen.count + more.count);
  std::copy(more.a.begin(), more.a.end(),
            std::copy(chosen.a.begin(), chosen.a.end(), all.a.begin()));
  std::copy(more.b.begin(), more.b.end(),
            std::copy(chosen.b.begin(), chosen.b.end(), all.b.begin()));
  std::copy(more.c.begin(), more.c.end(),
            std::copy(chosen.c.begin(), chosen.c.end(), all.c.begin()));
  return all;
}

}  // namespace lostbits::gpu
