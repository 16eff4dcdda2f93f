// Compiled once an instruction set; the best one present is chosen at run time.
#define HWY_WANT_AVX3_DL  // counts bits in one instruction
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/gemm_lanes.cc"
#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"
#include "sim/accum-inl.h"
#include "sim/gemm_pack-inl.h"
// clang-format off
#include <utility>

#include "sim/accum.h"
#include "sim/gemm_lanes.h"
#include "sim/gemm_pack.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE

void MultiplyLanes(const PackedB::Impl& b, CodeView a, const uint8_t*, MatrixView<uint32_t> c) {
  const bool late = b.spec.flow == Flow::kInterleavedLateC;
  for (int64_t i = 0; i < a.rows; ++i) {
    for (int64_t j = 0; j < b.n; ++j) {
      uint32_t& word = c(i, j);
      uint32_t late_c = 0;
      for (int64_t g = 0; g < GroupCount(b.spec, b.k); ++g) {
        if (late && g % 2 == 0) late_c = std::exchange(word, 0);
        word = GroupByIntegers(b.spec, a, b, i, j, g, word);
        if (late && g % 2 != 0) {
          word = static_cast<uint32_t>(AddNearestEven(b.spec.acc, word, late_c));
        }
      }
    }
  }
}

#else

// One strip of B against kRows rows of A.
struct Tile {
  const PackedB::Impl& b;
  CodeView a;
  MatrixView<uint32_t> c;
  const uint8_t* rows;   // packed A, from row 0
  const uint8_t* strip;  // packed B
  int64_t column;        // first of the strip
};

// Does by the integers what the lanes marked: c becomes redo(row, lane, word before).
template <int kRows, class Redo>
HWY_NOINLINE void Repair(const V32 (&before)[kRows], const M32 (&bad)[kRows], V32 (&c)[kRows],
                         const Redo& redo) {
  const D32 d;
  alignas(64) int32_t old_words[kStrip], marks[kStrip], words[kStrip];
  for (int r = 0; r < kRows; ++r) {
    hn::Store(before[r], d, old_words);
    hn::Store(hn::VecFromMask(d, bad[r]), d, marks);
    hn::Store(c[r], d, words);
    for (int64_t l = 0; l < static_cast<int64_t>(hn::Lanes(d)); ++l) {
      if (marks[l] == 0) continue;
      words[l] = static_cast<int32_t>(redo(r, l, static_cast<uint32_t>(old_words[l])));
    }
    c[r] = hn::Load(d, words);
  }
}

template <int kRows>
HWY_INLINE bool Any(const M32 (&bad)[kRows]) {
  M32 any = bad[0];
  for (int r = 1; r < kRows; ++r) any = hn::Or(any, bad[r]);
  return !hn::AllFalse(D32(), any);
}

// Flow::kInterleavedLateC: c = t + c, where t came out of the instruction's groups.
template <int kRows, fp8::Format kAcc>
HWY_INLINE void AddLate(const V32 (&t)[kRows], V32 (&c)[kRows]) {
  const D32 d;
  M32 bad[kRows];
  V32 sum[kRows];
  for (int r = 0; r < kRows; ++r) sum[r] = LateAdd<kAcc>(t[r], c[r], bad[r]);
  if (HWY_UNLIKELY(Any<kRows>(bad))) {
    alignas(64) int32_t addends[kRows][kStrip];
    for (int r = 0; r < kRows; ++r) hn::Store(c[r], d, addends[r]);
    Repair<kRows>(t, bad, sum, [&](int r, int64_t l, uint32_t word) {
      return AddNearestEven(kAcc, word, static_cast<uint32_t>(addends[r][l]));
    });
  }
  for (int r = 0; r < kRows; ++r) c[r] = sum[r];
}

template <int kRows, LanePath kPath, fp8::Format kAcc>
HWY_NOINLINE void MultiplyRows(const Tile& tile, int64_t row) {
  const D32 d;
  const AccumSpec spec = tile.b.spec;
  const BlockLayout a_layout = RowLayout(spec, kPath), b_layout = StripLayout(spec, kPath);
  const int64_t groups = GroupCount(spec, tile.b.k);
  const bool late = kPath == LanePath::kWide && spec.flow == Flow::kInterleavedLateC;
  const auto columns = static_cast<size_t>(std::min<int64_t>(kStrip, tile.b.n - tile.column));
  alignas(64) uint32_t words[kRows][kStrip] = {};
  for (int r = 0; r < kRows; ++r) {
    std::memcpy(words[r], tile.c.Row(row + r) + tile.column, columns * sizeof(uint32_t));
  }
  for (int64_t lane = 0; lane < kStrip; lane += static_cast<int64_t>(hn::Lanes(d))) {
    V32 c[kRows], late_c[kRows];
    GroupOperands<kRows> ops;
    for (int r = 0; r < kRows; ++r) {
      c[r] = hn::Load(d, reinterpret_cast<const int32_t*>(words[r]) + lane);
      ops.a[r] = tile.rows + (row + r) * groups * a_layout.bytes;
    }
    ops.b = tile.strip;
    for (int64_t g = 0; g < groups; ++g) {
      if (late && g % 2 == 0) {
        for (int r = 0; r < kRows; ++r) late_c[r] = std::exchange(c[r], hn::Zero(d));
      }
      V32 before[kRows];
      M32 bad[kRows];
      for (int r = 0; r < kRows; ++r) before[r] = c[r];
      if constexpr (kPath == LanePath::kNarrow) {
        NarrowGroup<kAcc, kRows>(ops, a_layout, b_layout, spec, lane, c, bad);
      } else {
        WideGroup<kAcc, kRows>(ops, a_layout, b_layout, spec, lane, c, bad);
      }
      if (HWY_UNLIKELY(Any<kRows>(bad))) {
        Repair<kRows>(before, bad, c, [&](int r, int64_t l, uint32_t word) {
          const int64_t j = tile.column + lane + l;
          return j < tile.b.n ? GroupByIntegers(spec, tile.a, tile.b, row + r, j, g, word) : word;
        });
      }
      if (late && g % 2 != 0) {
        AddLate<kRows, kAcc>(c, late_c);
        for (int r = 0; r < kRows; ++r) c[r] = late_c[r];
      }
      for (int r = 0; r < kRows; ++r) ops.a[r] += a_layout.bytes;
      ops.b += b_layout.bytes;
    }
    for (int r = 0; r < kRows; ++r) {
      hn::Store(c[r], d, reinterpret_cast<int32_t*>(words[r]) + lane);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    std::memcpy(tile.c.Row(row + r) + tile.column, words[r], columns * sizeof(uint32_t));
  }
}

template <LanePath kPath, fp8::Format kAcc>
void MultiplyPath(const PackedB::Impl& b, CodeView a, const uint8_t* rows, MatrixView<uint32_t> c) {
  // Rows that share each load of B; 32 vector registers hold twice what 16 do.
  constexpr int kRows = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  const int64_t strip_bytes = StripLayout(b.spec, kPath).bytes * GroupCount(b.spec, b.k);
  for (int64_t column = 0; column < b.n; column += kStrip) {
    const uint8_t* strip = b.strips.data() + column / kStrip * strip_bytes;
    const Tile tile{b, a, c, rows, strip, column};
    int64_t row = 0;
    for (; row + kRows <= a.rows; row += kRows) MultiplyRows<kRows, kPath, kAcc>(tile, row);
    for (; row < a.rows; ++row) MultiplyRows<1, kPath, kAcc>(tile, row);
  }
}

void MultiplyLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                   MatrixView<uint32_t> c) {
  constexpr auto kHalf = fp8::kFP16, kFloat = fp8::kFP32;
  const bool half = b.spec.acc == kHalf;
  if (b.plan.path == LanePath::kNarrow) {
    return half ? MultiplyPath<LanePath::kNarrow, kHalf>(b, a, rows, c)
                : MultiplyPath<LanePath::kNarrow, kFloat>(b, a, rows, c);
  }
  return half ? MultiplyPath<LanePath::kWide, kHalf>(b, a, rows, c)
              : MultiplyPath<LanePath::kWide, kFloat>(b, a, rows, c);
}

#endif

void PackStripLanes(PackedB::Impl& b) { PackStrips(b); }
void PackRowLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks) {
  PackRows(b.spec, b.plan, a, blocks);
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {

HWY_EXPORT(TargetName);
HWY_EXPORT(MultiplyLanes);
HWY_EXPORT(PackStripLanes);
HWY_EXPORT(PackRowLanes);

const char* InstructionSetName() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

void PackStripsInLanes(PackedB::Impl& b) { HWY_DYNAMIC_DISPATCH(PackStripLanes)(b); }

void PackRowsInLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks) {
  HWY_DYNAMIC_DISPATCH(PackRowLanes)(b, a, blocks);
}

void MultiplyInLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                     MatrixView<uint32_t> c) {
  HWY_DYNAMIC_DISPATCH(MultiplyLanes)(b, a, rows, c);
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
