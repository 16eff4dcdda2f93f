#include <algorithm>
#include <stdexcept>

#include "cuda/generator.h"
#include "cuda/gpu.h"
#include "cuda/twin.h"

namespace lostbits::gpu {

Tiles::Tiles(const Unit& u, int64_t n) : unit(&u), count(n) {
  const size_t tiles = static_cast<size_t>(n);
  a.resize(tiles * static_cast<size_t>(u.shape.m * u.shape.row_bytes));
  b.resize(tiles * static_cast<size_t>(u.shape.n * u.shape.row_bytes));
  c.resize(tiles * static_cast<size_t>(u.shape.Outputs()));
  d.resize(c.size());
}

size_t Tiles::At(int64_t tile, int row, int col) const {
  return static_cast<size_t>((tile * unit->shape.m + row) * unit->shape.n + col);
}
uint8_t* Tiles::A(int64_t tile, int row) {
  return a.data() + (tile * unit->shape.m + row) * unit->shape.row_bytes;
}
uint8_t* Tiles::B(int64_t tile, int col) {
  return b.data() + (tile * unit->shape.n + col) * unit->shape.row_bytes;
}
const uint8_t* Tiles::A(int64_t tile, int row) const {
  return const_cast<Tiles*>(this)->A(tile, row);
}
const uint8_t* Tiles::B(int64_t tile, int col) const {
  return const_cast<Tiles*>(this)->B(tile, col);
}
uint32_t& Tiles::C(int64_t tile, int row, int col) { return c[At(tile, row, col)]; }
uint32_t Tiles::C(int64_t tile, int row, int col) const { return c[At(tile, row, col)]; }
uint32_t Tiles::D(int64_t tile, int row, int col) const { return d[At(tile, row, col)]; }

void Generate(uint64_t seed, int64_t first, Tiles& tiles) {
  const TileShape& s = tiles.unit->shape;
  for (int64_t t = 0; t < tiles.count; ++t) {
    const Theme theme = ThemeOf(s, seed, first + t);
    for (int i = 0; i < s.m; ++i) FillLine(s, theme, seed, first + t, Side::kA, i, tiles.A(t, i));
    for (int i = 0; i < s.n; ++i) FillLine(s, theme, seed, first + t, Side::kB, i, tiles.B(t, i));
    for (int i = 0; i < s.m; ++i) {
      for (int j = 0; j < s.n; ++j) tiles.C(t, i, j) = AddendOf(s, theme, seed, first + t, i, j);
    }
  }
}

Comparison& Comparison::operator+=(const Comparison& other) {
  cases += other.cases;
  mismatches += other.mismatches;
  nan += other.nan;
  inf += other.inf;
  zero += other.zero;
  subnormal += other.subnormal;
  first.insert(first.end(), other.first.begin(), other.first.end());
  std::sort(first.begin(), first.end(), [](const Mismatch& x, const Mismatch& y) {
    return x.tile != y.tile ? x.tile < y.tile : x.row != y.row ? x.row < y.row : x.col < y.col;
  });
  if (first.size() > kKept) first.resize(kKept);
  return *this;
}

bool Backend::Runs(const Unit& unit) const {
  return info_.capability >= unit.first && info_.capability <= unit.last;
}

void Backend::Require(bool has, const std::string& what) const {
  if (!has)
    throw NotOnThisDevice("not on this GPU: " + what + " does not run on " + info_.name +
                          " (compute capability " + std::to_string(info_.capability / 10) + "." +
                          std::to_string(info_.capability % 10) + ")");
}

void Backend::CheckRuns(const Unit& unit) const { Require(Runs(unit), PtxName(unit)); }

void Backend::CheckRuns(const GemmPlan& plan) const {
  const int capability = info_.capability;
  Require(plan.kernel == GemmKernel::kTwin ||
              (plan.kernel == GemmKernel::kMma ? capability >= 89 : capability == 90),
          std::string("the GEMM kernel ") + NameOf(plan.kernel));
}

void Backend::CheckRuns(const AttentionPlan& plan) const {
  Require(plan.kernel == AttentionKernel::kTwin || info_.capability == 90,
          std::string("the attention kernel ") + NameOf(plan.kernel));
}

void Backend::CheckRuns(const CodecPlan& plan) const {
  if (plan.hardware) CheckEncodes();
}

void Backend::CheckEncodes() const { Require(info_.capability >= 89, "cvt to FP8"); }

namespace {
[[noreturn]] void NoTimings(const DeviceInfo& info) {
  throw std::invalid_argument("bench: no timings of " + info.name);
}
}  // namespace
Timing Backend::TimeCopy(int64_t) { NoTimings(info_); }
Timing Backend::TimeCodec(const CodecPlan&, int64_t) { NoTimings(info_); }
Timing Backend::TimeGemm(const GemmPlan&, const GemmOperands&) { NoTimings(info_); }
Timing Backend::TimeGemmPeer(const GemmPlan&, const GemmOperands&) { NoTimings(info_); }
Timing Backend::TimeAttention(const AttentionPlan&, const AttentionOperands&) { NoTimings(info_); }

Comparison Backend::Compare(const Unit& unit, const sim::AccumSpec& spec, uint64_t seed,
                            int64_t first, int64_t count) {
  return CompareOnHost(unit, spec, seed, first, count);
}

Comparison Backend::CompareOnHost(const Unit& unit, const sim::AccumSpec& spec, uint64_t seed,
                                  int64_t first, int64_t count) {
  Tiles tiles(unit, count);
  Generate(seed, first, tiles);
  Run(tiles);
  Comparison result;
  const TileShape& s = unit.shape;
  for (int64_t t = 0; t < count; ++t) {
    for (int i = 0; i < s.m; ++i) {
      for (int j = 0; j < s.n; ++j) {
        const uint32_t device = tiles.D(t, i, j);
        const uint32_t twin = TwinOutput(spec, s, tiles.A(t, i), tiles.B(t, j), tiles.C(t, i, j));
        const fp8::Unpacked u = fp8::Unpack(s.d, device);
        ++result.cases;
        result.nan += u.cls == fp8::Class::kNan;
        result.inf += u.cls == fp8::Class::kInf;
        result.zero += u.cls == fp8::Class::kZero;
        result.subnormal += u.cls == fp8::Class::kFinite && u.significand >> s.d.mantissa_bits == 0;
        if (device == twin) continue;
        ++result.mismatches;
        if (result.first.size() < Comparison::kKept)
          result.first.push_back({first + t, i, j, device, twin});
      }
    }
  }
  return result;
}

std::vector<uint32_t> Backend::RunCases(const Unit& unit, const std::vector<Case>& cases,
                                        int copies, Flags flags) {
  const TileShape& s = unit.shape;
  const int bytes = s.row_bytes / s.k;
  const int64_t total = static_cast<int64_t>(cases.size()) * copies;
  const int wide = CasesPerTile(s);
  Tiles tiles(unit, (total + wide - 1) / wide);
  for (int64_t i = 0; i < total; ++i) {
    const Case& x = cases[static_cast<size_t>(i) % cases.size()];
    if (x.a.size() != x.b.size() || static_cast<int>(x.a.size()) > s.k)
      throw std::invalid_argument(UnitName(unit) + ": expected at most " + std::to_string(s.k) +
                                  " products, found " + std::to_string(x.a.size()) + " and " +
                                  std::to_string(x.b.size()));
    const Place at = PlaceOf(s, i);
    for (size_t k = 0; k < x.a.size(); ++k) {
      detail::StoreCode(tiles.A(at.tile, at.row), static_cast<int>(k), bytes, x.a[k]);
      detail::StoreCode(tiles.B(at.tile, at.col), static_cast<int>(k), bytes, x.b[k]);
    }
    tiles.C(at.tile, at.row, at.col) = x.c;
  }
  Run(tiles, flags);
  std::vector<uint32_t> words(cases.size());
  for (int64_t i = 0; i < total; ++i) {
    const Place at = PlaceOf(s, i);
    const uint32_t word = tiles.D(at.tile, at.row, at.col);
    uint32_t& kept = words[static_cast<size_t>(i) % cases.size()];
    if (i < static_cast<int64_t>(cases.size())) kept = word;
    if (kept != word)
      throw std::runtime_error(UnitName(unit) + ": output (" + std::to_string(at.row) + ", " +
                               std::to_string(at.col) +
                               ") answers otherwise than the first place did");
  }
  return words;
}

}  // namespace lostbits::gpu
