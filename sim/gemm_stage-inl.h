// Gathering the codes of one fused group, for sim/gemm_pack-inl.h to take apart.
// Included once an instruction set; no include guard of the usual kind.
#if defined(LOSTBITS_SIM_GEMM_STAGE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LOSTBITS_SIM_GEMM_STAGE_INL_H_
#undef LOSTBITS_SIM_GEMM_STAGE_INL_H_
#else
#define LOSTBITS_SIM_GEMM_STAGE_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "sim/gemm_pack.h"

#if HWY_TARGET != HWY_SCALAR && !HWY_HAVE_SCALABLE

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Codes of one group, gathered: TF32 in two halves, everything else in `upper` alone.
struct alignas(64) StagedCodes {
  static constexpr int kMost = 32 * kStrip;
  uint16_t upper[kMost];
  uint16_t lower[kMost];
};

// The code at p of a format's container, as the two halves DecodeCodes takes.
template <class T>
HWY_INLINE void Split(T code, uint32_t& upper, uint32_t& lower) {
  if constexpr (sizeof(T) == 4) {
    upper = code >> 16;
    lower = (code >> fp8::kTF32.pad) & 7;
  } else {
    upper = code;
    lower = 0;
  }
}

using DStage = hn::CappedTag<uint32_t, kStrip>;
using VStage = hn::Vec<DStage>;

// Stages codes of products 2 * pair and 2 * pair + 1, columns j onwards.
template <class T>
HWY_INLINE void StagePair(VStage even, VStage odd, int pair, int j, StagedCodes& out) {
  const DStage d;
  auto* upper = reinterpret_cast<uint32_t*>(out.upper) + pair * kStrip + j;
  if constexpr (sizeof(T) < 4) {
    hn::Store(hn::Or(even, hn::ShiftLeft<16>(odd)), d, upper);
  } else {
    auto* lower = reinterpret_cast<uint32_t*>(out.lower) + pair * kStrip + j;
    hn::Store(hn::Or(hn::ShiftRight<16>(even), hn::AndNot(hn::Set(d, 0xFFFF), odd)), d, upper);
    // The three bits above TF32's pad.
    hn::Store(hn::Or(hn::And(hn::ShiftRight<fp8::kTF32.pad>(even), hn::Set(d, 7)),
                     hn::And(hn::ShiftLeft<3>(odd), hn::Set(d, 0x7'0000))),
              d, lower);
  }
}

// The first products of a whole strip, several codes at a time; returns how many are done. `corner`
// is the first of the group's codes.
template <class T>
HWY_ATTR int StageWholeStrip(const T* corner, int64_t stride, bool transposed,
                             const GroupPlace& place, StagedCodes& out) {
  const DStage d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int i = 0;
  if (!transposed) {
    const auto load = [d](const T* from) HWY_ATTR {
      if constexpr (sizeof(T) == 4) {
        return hn::LoadU(d, from);
      } else {
        return hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, DStage>(), from));
      }
    };
    for (; i + 2 <= place.count; i += 2) {
      const T* even = corner + place.Offset(i) * stride;
      for (int j = 0; j < kStrip; j += lanes) {
        StagePair<T>(load(even + j), load(even + stride + j), i / 2, j, out);
      }
    }
    return i;
  }
  // Eight bytes of each column: eight, four or two codes.
  constexpr int kStep = 8 / sizeof(T);
  alignas(64) uint32_t words[2][kStrip];
  for (; i + kStep <= place.count; i += kStep) {
    for (int j = 0; j < kStrip; ++j) {
      const T* column = corner + j * stride;
      T codes[kStep];
      if (place.pair_step == 2) {
        std::memcpy(codes, column + i, sizeof(codes));
      } else {
        for (int p = 0; p < kStep; p += 2) {
          std::memcpy(codes + p, column + place.Offset(i + p), 2 * sizeof(T));
        }
      }
      std::memcpy(&words[0][j], codes, sizeof(uint32_t));
      std::memcpy(&words[1][j], codes + kStep / 2, sizeof(uint32_t));
    }
    for (int j = 0; j < kStrip; j += lanes) {
      const VStage first = hn::Load(d, words[0] + j), second = hn::Load(d, words[1] + j);
      if constexpr (sizeof(T) == 4) {
        StagePair<T>(first, second, i / 2, j, out);
      } else if constexpr (sizeof(T) == 2) {
        const VStage low = hn::Set(d, 0xFFFF);
        StagePair<T>(hn::And(first, low), hn::ShiftRight<16>(first), i / 2, j, out);
        StagePair<T>(hn::And(second, low), hn::ShiftRight<16>(second), i / 2 + 1, j, out);
      } else {
        const VStage byte = hn::Set(d, 0xFF);
        for (int half = 0; half < 2; ++half) {
          const VStage four = half ? second : first;
          StagePair<T>(hn::And(four, byte), hn::And(hn::ShiftRight<8>(four), byte),
                       i / 2 + 2 * half, j, out);
          StagePair<T>(hn::And(hn::ShiftRight<16>(four), byte), hn::ShiftRight<24>(four),
                       i / 2 + 2 * half + 1, j, out);
        }
      }
    }
  }
  return i;
}

// Gathers one group of columns [column, column + kStrip) of b, in the order of StripLayout; missing
// products are +0. b is K x N, or N x K if transposed.
template <class T>
HWY_ATTR void StageStrip(const T* b, int64_t stride, bool transposed, int64_t columns,
                         const GroupPlace& place, int64_t column, int group, StagedCodes& out) {
  const int n = static_cast<int>(std::min<int64_t>(kStrip, columns - column));
  const int k = place.count;
  if (n < kStrip || k < group) {
    std::memset(out.upper, 0, sizeof(uint16_t) * static_cast<size_t>(group * kStrip));
    std::memset(out.lower, 0, sizeof(uint16_t) * static_cast<size_t>(group * kStrip));
  }
  if (k == 0) return;
  const int64_t column_step = transposed ? stride : 1, k_step = transposed ? 1 : stride;
  const T* corner = b + column * column_step + place.first * k_step;
  int done = 0;
  if (n == kStrip) done = StageWholeStrip(corner, stride, transposed, place, out);
  for (int j = 0; j < n; ++j) {
    for (int i = done; i < k; ++i) {
      uint32_t upper = 0, lower = 0;
      Split(corner[j * column_step + place.Offset(i) * k_step], upper, lower);
      const int to = ((i / 2) * kStrip + j) * 2 + i % 2;
      out.upper[to] = static_cast<uint16_t>(upper);
      if constexpr (sizeof(T) == 4) out.lower[to] = static_cast<uint16_t>(lower);
    }
  }
}

// Gathers one group of one row of a.
template <class T>
HWY_ATTR void StageRow(const T* row, const GroupPlace& place, int group, StagedCodes& out) {
  uint32_t upper = 0, lower = 0;
  for (int i = 0; i < place.count; ++i) {
    Split(row[place.first + place.Offset(i)], upper, lower);
    out.upper[i] = static_cast<uint16_t>(upper);
    if constexpr (sizeof(T) == 4) out.lower[i] = static_cast<uint16_t>(lower);
  }
  for (int i = place.count; i < group; ++i) out.upper[i] = out.lower[i] = 0;
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#endif  // not scalar, not scalable
#endif  // include guard toggle
