// Compiled once an instruction set; the best one present is chosen at run time.
#define HWY_WANT_AVX3_DL  // for LanePath::kBytes
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/gemm_lanes.cc"
#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"
#include "sim/accum_bytes-inl.h"
#include "sim/accum_forms-inl.h"
#include "sim/gemm_pack-inl.h"
#include "sim/gemm_pack_bytes-inl.h"
// clang-format off
#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/accum.h"
#include "sim/gemm_lanes.h"
#include "sim/gemm_pack.h"
#include "sim/gemm_pack_amd.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

const char* TargetName() { return hwy::TargetName(HWY_TARGET); }

// Outputs one by one, for a b that was packed for other lanes than these.
void MultiplyByIntegers(const PackedB::Impl& b, CodeView a, MatrixView<uint32_t> c) {
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

#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE

LanePlan BestPlanHere(const AccumSpec& spec) {
  const LanePlan plan = PlanLanes(spec);
  return IsFloatPath(plan.path) ? plan : LanePlan{};
}

void MultiplyLanes(const PackedB::Impl& b, CodeView a, const uint8_t*, MatrixView<uint32_t> c) {
  MultiplyByIntegers(b, a, c);
}
void PackStripLanes(const PackedB::Impl&, const StripRange&, uint8_t*) {}
void PackRowLanes(const PackedB::Impl&, CodeView, uint8_t*) {}

#else

// Some strips of B against rows of A, over groups [first, last).
struct Tile {
  const PackedB::Impl& b;
  CodeView a;
  MatrixView<uint32_t> c;
  const uint8_t* rows;  // packed A, from row 0
  int64_t groups;       // of all of k
  int64_t first, last;
  int64_t column;         // first of the strips
  const uint8_t* strips;  // packed B, from group `first`
  int64_t strip_bytes;    // from one strip to the next
};

template <int kRows, int kColumns>
HWY_INLINE bool Any(const M32 (&bad)[kRows][kColumns]) {
  M32 any = bad[0][0];
  for (int i = 1; i < kRows * kColumns; ++i) any = hn::Or(any, bad[i / kColumns][i % kColumns]);
  return !hn::AllFalse(D32(), any);
}

// A vector of outputs through one group again; those marked by the integers. words: before, then
// after.
template <class Group>
HWY_NOINLINE void Repair(const Tile& tile, const GroupShape& shape, const GroupOperands<1, 1>& ops,
                         int64_t row, int64_t column, int64_t g, int32_t* words) {
  const D32 d;
  alignas(64) int32_t marks[kStrip], after[kStrip];
  V32 c[1][1] = {{hn::Load(d, words)}};
  M32 bad[1][1];
  Group::Run(ops, shape, c, bad);
  hn::Store(c[0][0], d, after);
  hn::Store(hn::VecFromMask(d, bad[0][0]), d, marks);
  for (int64_t l = 0; l < static_cast<int64_t>(hn::Lanes(d)); ++l) {
    const int64_t j = column + l;
    if (marks[l] != 0 && j < tile.b.n) {
      const auto before = static_cast<uint32_t>(words[l]);
      after[l] =
          static_cast<int32_t>(GroupByIntegers(shape.spec, tile.a, tile.b, row, j, g, before));
    }
    words[l] = after[l];
  }
}

// Flow::kInterleavedLateC: c = t + c, where t came out of the instruction's groups.
template <fp8::Format kAcc>
HWY_INLINE V32 AddLate(V32 t, V32 c) {
  const D32 d;
  M32 bad;
  V32 sum = LateAdd<kAcc>(t, c, bad);
  if (HWY_LIKELY(hn::AllFalse(d, bad))) return sum;
  alignas(64) int32_t terms[2][kStrip], marks[kStrip], sums[kStrip];
  hn::Store(t, d, terms[0]);
  hn::Store(c, d, terms[1]);
  hn::Store(hn::VecFromMask(d, bad), d, marks);
  hn::Store(sum, d, sums);
  for (size_t l = 0; l < hn::Lanes(d); ++l) {
    if (marks[l] == 0) continue;
    sums[l] = static_cast<int32_t>(AddNearestEven(kAcc, static_cast<uint32_t>(terms[0][l]),
                                                  static_cast<uint32_t>(terms[1][l])));
  }
  return hn::Load(d, sums);
}

template <class Group, fp8::Format kAcc, int kRows, int kColumns>
HWY_NOINLINE void MultiplyTile(const Tile& tile, GroupShape shape, int64_t row) {
  const D32 d;
  const bool late = Group::kLateC && shape.spec.flow == Flow::kInterleavedLateC;
  static_assert(!Group::kLateC || kColumns == 1);
  const auto columns =
      static_cast<size_t>(std::min<int64_t>(kColumns * kStrip, tile.b.n - tile.column));
  const bool whole = columns == kColumns * kStrip;
  alignas(64) int32_t words[kRows][kColumns * kStrip];
  int32_t* accumulators[kRows];  // where they are, or padded to whole strips
  for (int r = 0; r < kRows; ++r) {
    accumulators[r] = reinterpret_cast<int32_t*>(tile.c.Row(row + r) + tile.column);
    if (whole) continue;
    std::memset(words[r], 0, sizeof(words[r]));
    std::memcpy(words[r], accumulators[r], columns * sizeof(uint32_t));
    accumulators[r] = words[r];
  }
  for (shape.lane = 0; shape.lane < kStrip; shape.lane += static_cast<int64_t>(hn::Lanes(d))) {
    V32 c[kRows][kColumns], late_c[kRows][kColumns];
    if constexpr (Group::kLateC) std::memset(&late_c, 0, sizeof(late_c));
    GroupOperands<kRows, kColumns> ops;
    for (int r = 0; r < kRows; ++r) {
      ops.a[r] = tile.rows + ((row + r) * tile.groups + tile.first) * shape.a.bytes;
      for (int s = 0; s < kColumns; ++s) {
        c[r][s] = hn::LoadU(d, accumulators[r] + s * kStrip + shape.lane);
      }
    }
    for (int s = 0; s < kColumns; ++s) {
      ops.b[s] = tile.strips + s * tile.strip_bytes;
    }
    for (int64_t g = tile.first; g < tile.last; ++g) {
      if (late && g % 2 == 0) {
        std::memcpy(&late_c, &c, sizeof(c));
        for (int r = 0; r < kRows; ++r) c[r][0] = hn::Zero(d);
      }
      V32 before[kRows][kColumns];
      M32 bad[kRows][kColumns];
      std::memcpy(&before, &c, sizeof(c));
      Group::Run(ops, shape, c, bad);
      if (HWY_UNLIKELY(Any(bad))) {
        alignas(64) int32_t again[kStrip];
        for (int r = 0; r < kRows; ++r) {
          for (int s = 0; s < kColumns; ++s) {
            hn::Store(before[r][s], d, again);
            Repair<Group>(tile, shape, {{ops.a[r]}, {ops.b[s]}}, row + r,
                          tile.column + s * kStrip + shape.lane, g, again);
            c[r][s] = hn::Load(d, again);
          }
        }
      }
      if (late && g % 2 != 0) {
        for (int r = 0; r < kRows; ++r) c[r][0] = AddLate<kAcc>(c[r][0], late_c[r][0]);
      }
      for (int r = 0; r < kRows; ++r) ops.a[r] += shape.a.bytes;
      for (int s = 0; s < kColumns; ++s) ops.b[s] += shape.b.bytes;
    }
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kColumns; ++s) {
        hn::StoreU(c[r][s], d, accumulators[r] + s * kStrip + shape.lane);
      }
    }
  }
  for (int r = 0; r < kRows && !whole; ++r) {
    std::memcpy(tile.c.Row(row + r) + tile.column, words[r], columns * sizeof(uint32_t));
  }
}

template <class Group, fp8::Format kAcc, int kColumns>
void MultiplyRows(const Tile& tile, const GroupShape& shape) {
  int64_t row = 0;
  for (; row + Group::kRows <= tile.a.rows; row += Group::kRows) {
    MultiplyTile<Group, kAcc, Group::kRows, kColumns>(tile, shape, row);
  }
  for (; row < tile.a.rows; ++row) MultiplyTile<Group, kAcc, 1, kColumns>(tile, shape, row);
}

void PackStripLanes(const PackedB::Impl& b, const StripRange& range, uint8_t* strips) {
#if HWY_TARGET <= HWY_AVX3_DL
  if (b.plan.path == LanePath::kBytes) {
    return b.spec.group == 16 ? PackStripBytes<16>(b, range, strips)
                              : PackStripBytes<32>(b, range, strips);
  }
#endif
  PackStrips(b, range, strips);
}

template <class Group, fp8::Format kAcc>
void MultiplyGroups(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                    MatrixView<uint32_t> c) {
  // Strips of B that stay in the first-level cache while all rows pass: 48 KiB where measured.
  constexpr int64_t kStaying = 40 * 1024;
  constexpr int64_t kWidth = Group::kColumns * kStrip;
  const GroupShape shape{b.spec, RowLayout(b.spec, b.plan.path), StripLayout(b.spec, b.plan.path),
                         0};
  const int64_t groups = GroupCount(b.spec, b.k), bytes = shape.b.bytes;
  // An even number of groups: a late c comes after two.
  const int64_t step = kStaying / (Group::kColumns * bytes) / 2 * 2;
  const bool later = b.packing == Packing::kLater;
  alignas(64) uint8_t part[kStaying];
  Tile tile{b, a, c, rows, groups, 0, 0, 0, nullptr, 0};
  for (tile.first = 0; tile.first < groups; tile.first = tile.last) {
    tile.last = std::min(groups, tile.first + step);
    tile.strip_bytes = (later ? tile.last - tile.first : groups) * bytes;
    for (tile.column = 0; tile.column < b.n;) {
      const bool wide = b.n - tile.column > kWidth - kStrip;
      const int64_t next = tile.column + (wide ? kWidth : kStrip);
      if (later) {
        PackStripLanes(b, {tile.column, next, tile.first, tile.last}, part);
        tile.strips = part;
      } else {
        tile.strips = b.strips.data() + (tile.column / kStrip * groups + tile.first) * bytes;
      }
      wide ? MultiplyRows<Group, kAcc, Group::kColumns>(tile, shape)
           : MultiplyRows<Group, kAcc, 1>(tile, shape);
      tile.column = next;
    }
  }
}

template <fp8::Format kAcc>
void MultiplyInto(const PackedB::Impl& b, CodeView a, const uint8_t* rows, MatrixView<uint32_t> c) {
  switch (b.plan.path) {
    case LanePath::kBytes:
#if HWY_TARGET <= HWY_AVX3_DL
      return b.spec.group == 16 ? MultiplyGroups<BytesGroup<kAcc, 16>, kAcc>(b, a, rows, c)
                                : MultiplyGroups<BytesGroup<kAcc, 32>, kAcc>(b, a, rows, c);
#else
      return MultiplyByIntegers(b, a, c);
#endif
    case LanePath::kCut:
      switch (SumBits(b.spec)) {
        case 24: return MultiplyGroups<CutGroup<kAcc, 24>, kAcc>(b, a, rows, c);
        case 31: return MultiplyGroups<CutGroup<kAcc, 31>, kAcc>(b, a, rows, c);
        default: return MultiplyGroups<CutGroup<kAcc, 32>, kAcc>(b, a, rows, c);
      }
    default:
      return SumBits(b.spec) == 31 ? MultiplyGroups<WideGroup<31>, fp8::kFP32>(b, a, rows, c)
                                   : MultiplyGroups<WideGroup<32>, fp8::kFP32>(b, a, rows, c);
  }
}

void MultiplyLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                   MatrixView<uint32_t> c) {
  b.spec.acc == fp8::kFP16 ? MultiplyInto<fp8::kFP16>(b, a, rows, c)
                           : MultiplyInto<fp8::kFP32>(b, a, rows, c);
}

LanePlan BestPlanHere(const AccumSpec& spec) {
  const LanePlan plan = PlanLanes(spec);
  return HWY_TARGET <= HWY_AVX3_DL ? PlanBytes(spec, plan) : plan;
}

void PackRowLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks) {
#if HWY_TARGET <= HWY_AVX3_DL
  if (b.plan.path == LanePath::kBytes) {
    return b.spec.group == 16 ? PackRowBytes<16>(b, a, blocks) : PackRowBytes<32>(b, a, blocks);
  }
#else
  if (b.plan.path == LanePath::kBytes) return;  // packed elsewhere: by the integers, from the codes
#endif
  PackRows(b.spec, b.plan, a, blocks);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {

HWY_EXPORT(TargetName);
HWY_EXPORT(BestPlanHere);
HWY_EXPORT(MultiplyLanes);
HWY_EXPORT(PackStripLanes);
HWY_EXPORT(PackRowLanes);

const char* InstructionSetName() { return HWY_DYNAMIC_DISPATCH(TargetName)(); }

LanePlan BestPlan(const AccumSpec& spec) { return HWY_DYNAMIC_DISPATCH(BestPlanHere)(spec); }

void PackStripsInLanes(PackedB::Impl& b) {
  const StripRange all{0, b.n, 0, GroupCount(b.spec, b.k)};
  HWY_DYNAMIC_DISPATCH(PackStripLanes)(b, all, b.strips.data());
}

void PackRowsInLanes(const PackedB::Impl& b, CodeView a, uint8_t* blocks) {
  HWY_DYNAMIC_DISPATCH(PackRowLanes)(b, a, blocks);
}

void MultiplyInLanes(const PackedB::Impl& b, CodeView a, const uint8_t* rows,
                     MatrixView<uint32_t> c) {
  HWY_DYNAMIC_DISPATCH(MultiplyLanes)(b, a, rows, c);
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
