// Compiled once an instruction set; the best one present is chosen at run time.
#define HWY_WANT_AVX3_DL  // as sim/gemm_lanes.cc: one list of targets
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/gemm_lanes_amd.cc"
#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"
#include "sim/accum_amd-inl.h"
#include "sim/gemm_pack_amd-inl.h"
// clang-format off
#include <algorithm>
#include <cstring>
#include <vector>

#include "sim/accum.h"
#include "sim/float_environment.h"
#include "sim/gemm_lanes_amd.h"
#include "sim/gemm_pack_amd.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE

void MultiplyFloatLanes(const PackedB::Impl& b, CodeView a, const uint8_t*,
                        MatrixView<uint32_t> c) {
  std::vector<Unpacked> row(static_cast<size_t>(b.k)), column(static_cast<size_t>(b.k));
  for (int64_t j = 0; j < b.n; ++j) {
    for (int64_t k = 0; k < b.k; ++k) column[static_cast<size_t>(k)] = b.At(k, j);
    for (int64_t i = 0; i < a.rows; ++i) {
      for (int64_t k = 0; k < b.k; ++k) {
        row[static_cast<size_t>(k)] = fp8::Unpack(b.spec.a, a(i, k));
      }
      uint32_t& word = c(i, j);
      word = static_cast<uint32_t>(DotChain(b.spec, row.data(), column.data(), b.k, word));
    }
  }
}

#else

// One strip of B against rows of A.
struct FloatTile {
  const PackedB::Impl& b;
  CodeView a;
  MatrixView<uint32_t> c;
  const uint8_t* rows;   // packed A, from row 0
  const uint8_t* strip;  // packed B
  int64_t column;        // first of the strip
  int64_t groups;
  FloatLayout a_layout, b_layout;

  template <int kRows>
  HWY_INLINE void Begin(int64_t row, FloatOperands<kRows>& ops) const {
    for (int r = 0; r < kRows; ++r) ops.a[r] = rows + (row + r) * groups * a_layout.bytes;
    ops.b = strip;
  }
  template <int kRows>
  HWY_INLINE void Advance(FloatOperands<kRows>& ops) const {
    for (int r = 0; r < kRows; ++r) ops.a[r] += a_layout.bytes;
    ops.b += b_layout.bytes;
  }
};

// Some outputs of one row before and after a group; lanes whose mark is not zero go through that
// group again, by the integers. (In memory: GCC 12 fails on vectors handed to a function that is
// not inlined.)
struct alignas(64) RedoneGroup {
  int32_t marks[kStrip];
  uint32_t before[kStrip], words[kStrip];
};
HWY_NOINLINE void Redo(const FloatTile& tile, int64_t row, int64_t lane, int64_t g, int64_t lanes,
                       RedoneGroup& x) {
  for (int64_t l = 0; l < lanes; ++l) {
    const int64_t j = tile.column + lane + l;
    if (x.marks[l] == 0 || j >= tile.b.n) continue;
    x.words[l] = GroupByIntegers(tile.b.spec, tile.a, tile.b, row, j, g, x.before[l]);
  }
}

// The accumulators of kRows rows and one strip.
template <int kRows>
using Words = uint32_t[kRows][kStrip];

// The chains below take columns [lane, lane + kLanes) of rows [row, row + kRows) through all
// groups.

// Flow::kExact, group 1, by the CPU's own fma.
struct FmaChain {
  using D = DF32;

  template <int kRows>
  static HWY_INLINE void Run(const FloatTile& tile, int64_t row, int64_t lane,
                             Words<kRows>& words) {
    const D d;
    VF32 c[kRows];
    for (int r = 0; r < kRows; ++r) {
      c[r] = hn::Load(d, reinterpret_cast<const float*>(words[r]) + lane);
    }
    FloatOperands<kRows> ops;
    tile.Begin(row, ops);
    const auto* b = reinterpret_cast<const float*>(ops.b) + lane;
    for (int64_t k = 0; k < tile.groups; ++k, b += kStrip) {
      const VF32 x = hn::Load(d, b);
      for (int r = 0; r < kRows; ++r) {
        c[r] = hn::MulAdd(hn::Set(d, LoadScalar<float>(ops.a[r], k)), x, c[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      hn::Store(c[r], d, reinterpret_cast<float*>(words[r]) + lane);
    }
  }
};

template <int kGroup, bool kFlush>
struct TreeChain {
  using D = DF32;

  template <int kRows>
  static HWY_INLINE void Run(const FloatTile& tile, int64_t row, int64_t lane,
                             Words<kRows>& words) {
    const D d;
    VF32 c[kRows];
    for (int r = 0; r < kRows; ++r) {
      c[r] = hn::Load(d, reinterpret_cast<const float*>(words[r]) + lane);
    }
    const bool flush = tile.b.spec.flush;
    const int64_t groups = tile.b.spec.k / kGroup;
    FloatOperands<kRows> ops;
    tile.Begin(row, ops);
    for (int64_t begin = 0; begin < tile.groups; begin += groups) {
      // Once an instruction.
      for (int r = 0; flush && r < kRows; ++r) c[r] = FlushLane<false>(c[r]);
      for (int64_t g = 0; g < groups; ++g) {
        const auto* b = reinterpret_cast<const float*>(ops.b) + lane;
        for (int r = 0; r < kRows; ++r) c[r] = TreeLane<kGroup, kFlush>(ops.a[r], b, c[r]);
        tile.Advance(ops);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      hn::Store(c[r], d, reinterpret_cast<float*>(words[r]) + lane);
    }
  }
};

// Flow::kExact in doubles. kFma: group 1, A packed as FP32.
template <bool kFma>
struct ExactChain {
  using D = D64;

  template <int kRows>
  static HWY_INLINE void Run(const FloatTile& tile, int64_t row, int64_t lane,
                             Words<kRows>& words) {
    const D d;
    const DFHalf df;
    V64 c[kRows];
    for (int r = 0; r < kRows; ++r) {
      c[r] = hn::PromoteTo(d, hn::Load(df, reinterpret_cast<const float*>(words[r]) + lane));
    }
    FloatOperands<kRows> ops;
    tile.Begin(row, ops);
    for (int64_t g = 0; g < tile.groups; ++g, tile.Advance(ops)) {
      V64 before[kRows];
      for (int r = 0; r < kRows; ++r) before[r] = c[r];
      if constexpr (kFma) {
        ExactLanes<true, float, kRows>(ops, 1, lane, c);
      } else {
        ExactLanes<false, double, kRows>(ops, tile.b.spec.group, lane, c);
        for (int r = 0; r < kRows; ++r)
          Repair(tile, row + r, lane, g, ops.a[r], ops.b, before[r], c[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      hn::Store(RoundToFloats(c[r]), df, reinterpret_cast<float*>(words[r]) + lane);
    }
  }

 private:
  // Does by the integers what spreads too far.
  static HWY_INLINE void Repair(const FloatTile& tile, int64_t row, int64_t lane, int64_t g,
                                const uint8_t* a, const uint8_t* b, const V64& before, V64& c) {
    const D d;
    const DFHalf df;
    const DIHalf di;
    const auto spread =
        hn::Load(di, reinterpret_cast<const int32_t*>(b + tile.b_layout.second) + lane);
    const auto limit = SpreadLimit(tile.b.spec) - LoadScalar<int32_t>(a + tile.a_layout.second, 0);
    const auto wide = hn::Gt(spread, hn::Set(di, limit));
    if (HWY_LIKELY(hn::AllFalse(di, wide))) return;
    RedoneGroup x;
    hn::Store(hn::VecFromMask(di, wide), di, x.marks);
    hn::Store(RoundToFloats(before), df, reinterpret_cast<float*>(x.before));
    hn::Store(RoundToFloats(c), df, reinterpret_cast<float*>(x.words));
    Redo(tile, row, lane, g, static_cast<int64_t>(hn::Lanes(d)), x);
    c = hn::PromoteTo(d, hn::Load(df, reinterpret_cast<const float*>(x.words)));
  }
};

template <bool kPairs>
struct LateFloorChain {
  using D = D32;

  template <int kRows>
  static HWY_INLINE void Run(const FloatTile& tile, int64_t row, int64_t lane,
                             Words<kRows>& words) {
    const D d;
    V32 c[kRows];
    for (int r = 0; r < kRows; ++r) {
      c[r] = hn::Load(d, reinterpret_cast<const int32_t*>(words[r]) + lane);
    }
    const LateFloorPlan plan(tile.b.spec);
    const int group = tile.b.spec.group;
    FloatOperands<kRows> ops;
    tile.Begin(row, ops);
    for (int64_t g = 0; g < tile.groups; ++g, tile.Advance(ops)) {
      V32 before[kRows];
      M32 bad[kRows];
      for (int r = 0; r < kRows; ++r) before[r] = c[r];
      LateFloorLanes<kPairs, kRows>(ops, tile.a_layout, tile.b_layout, group, plan, lane, c, bad);
      M32 any = bad[0];
      for (int r = 1; r < kRows; ++r) any = hn::Or(any, bad[r]);
      if (HWY_LIKELY(hn::AllFalse(d, any))) continue;
      for (int r = 0; r < kRows; ++r) {
        if (hn::AllFalse(d, bad[r])) continue;
        RedoneGroup x;
        hn::Store(hn::VecFromMask(d, bad[r]), d, x.marks);
        hn::Store(before[r], d, reinterpret_cast<int32_t*>(x.before));
        hn::Store(c[r], d, reinterpret_cast<int32_t*>(x.words));
        Redo(tile, row + r, lane, g, static_cast<int64_t>(hn::Lanes(d)), x);
        c[r] = hn::Load(d, reinterpret_cast<const int32_t*>(x.words));
      }
    }
    for (int r = 0; r < kRows; ++r) {
      hn::Store(c[r], d, reinterpret_cast<int32_t*>(words[r]) + lane);
    }
  }
};

template <class Chain, int kRows>
HWY_NOINLINE void MultiplyFloatRows(const FloatTile& tile, int64_t row) {
  const auto columns = static_cast<size_t>(std::min<int64_t>(kStrip, tile.b.n - tile.column));
  alignas(64) Words<kRows> words = {};
  for (int r = 0; r < kRows; ++r) {
    std::memcpy(words[r], tile.c.Row(row + r) + tile.column, columns * sizeof(uint32_t));
  }
  const typename Chain::D d;
  for (int64_t lane = 0; lane < kStrip; lane += static_cast<int64_t>(hn::Lanes(d))) {
    Chain::template Run<kRows>(tile, row, lane, words);
  }
  for (int r = 0; r < kRows; ++r) {
    for (uint32_t& word : words[r]) {
      const bool nan = (word & 0x7FFF'FFFF) > 0x7F80'0000;
      word = nan ? static_cast<uint32_t>(CanonicalNan(fp8::kFP32)) : word;
    }
    std::memcpy(tile.c.Row(row + r) + tile.column, words[r], columns * sizeof(uint32_t));
  }
}

// kRows rows share each load of B.
template <class Chain, int kRows>
void MultiplyChains(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                    MatrixView<uint32_t> c) {
  const LanePath path = b.plan.path;
  const int64_t groups = GroupCount(b.spec, b.k);
  if (groups == 0) return;
  const FloatLayout a_layout = FloatRowLayout(b.spec, path);
  const FloatLayout b_layout = FloatStripLayout(b.spec, path);
  for (int64_t column = 0; column < b.n; column += kStrip) {
    const uint8_t* strip = b.strips.data() + column / kStrip * b_layout.bytes * groups;
    const FloatTile tile{b, a, c, rows, strip, column, groups, a_layout, b_layout};
    int64_t row = 0;
    for (; row + kRows <= a.rows; row += kRows) MultiplyFloatRows<Chain, kRows>(tile, row);
    for (; row < a.rows; ++row) MultiplyFloatRows<Chain, 1>(tile, row);
  }
}

// No result of a tree is subnormal: products, and so sums of them, are multiples of a number far
// above that; c alone is at least the smallest normal one.
bool NeverFlushes(const AccumSpec& s) {
  const int unit =
      fp8::MinExponent(s.a) - s.a.mantissa_bits + fp8::MinExponent(s.b) - s.b.mantissa_bits;
  return !s.flush || unit - 24 > fp8::MinExponent(fp8::kFP32);
}

void MultiplyFloatLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                        MatrixView<uint32_t> c) {
  // Chains that hide an operation's latency; 32 vector registers hold twice what 16 do.
  constexpr int kFew = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  [[maybe_unused]] constexpr int kMany = 8;  // for FmaChain, where there is one
  const AccumSpec& s = b.spec;
  switch (s.flow) {
    case Flow::kExact:
      if (s.group > 1) return MultiplyChains<ExactChain<false>, 4>(b, a, rows, c);
#if HWY_NATIVE_FMA
      return MultiplyChains<FmaChain, kMany>(b, a, rows, c);
#else
      return MultiplyChains<ExactChain<true>, 4>(b, a, rows, c);
#endif
    case Flow::kTree:
      if (NeverFlushes(s)) {
        return s.group == 2 ? MultiplyChains<TreeChain<2, false>, 4>(b, a, rows, c)
                            : MultiplyChains<TreeChain<4, false>, 4>(b, a, rows, c);
      }
      return s.group == 2 ? MultiplyChains<TreeChain<2, true>, 4>(b, a, rows, c)
                          : MultiplyChains<TreeChain<4, true>, 4>(b, a, rows, c);
    case Flow::kLateFloor: return MultiplyChains<LateFloorChain<false>, kFew>(b, a, rows, c);
    case Flow::kLateFloorPairs: return MultiplyChains<LateFloorChain<true>, kFew>(b, a, rows, c);
    case Flow::kChained:
    case Flow::kInterleavedLateC:
    case Flow::kBlockDot: break;
  }
}

#endif

void PackFloatStripLanes(PackedB::Impl& b) { PackFloatStrips(b); }
void PackFloatRowLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks) {
  PackFloatRows(b.spec, b.plan.path, a, blocks);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {

HWY_EXPORT(MultiplyFloatLanes);
HWY_EXPORT(PackFloatStripLanes);
HWY_EXPORT(PackFloatRowLanes);

void PackFloatStripsInLanes(PackedB::Impl& b) {
  const DefaultEnvironment environment;
  HWY_DYNAMIC_DISPATCH(PackFloatStripLanes)(b);
}

void PackFloatRowsInLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks) {
  const DefaultEnvironment environment;
  HWY_DYNAMIC_DISPATCH(PackFloatRowLanes)(b, a, blocks);
}

void MultiplyFloatsInLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                           MatrixView<uint32_t> c) {
  const DefaultEnvironment environment;
  HWY_DYNAMIC_DISPATCH(MultiplyFloatLanes)(b, a, rows, c);
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
