// CountLostProducts in lanes: a lane is a channel of V. Compiled once an instruction set; the best
// one present is chosen at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "sim/attention_count_lanes.cc"
#include "hwy/foreach_target.h"  // first of all that depends on HWY_TARGET
#include "hwy/highway.h"
// clang-format off
#include <algorithm>
#include <vector>

#include "fp8/codec.h"
#include "sim/attention_count.h"
// clang-format on

#ifndef LOSTBITS_SIM_ATTENTION_COUNT_LANES_
#define LOSTBITS_SIM_ATTENTION_COUNT_LANES_
namespace lostbits::sim {

inline constexpr int64_t kCountLanes = 16;
inline constexpr int kNoExponent = -4096;  // of a zero: below every real exponent

/// One fused group of the row. Operands are exponent * 2^16 + significand.
struct CountedGroup {
  const int32_t *p, *v;      // n; n x columns
  const int32_t* c;          // exponents of the accumulators: columns
  int n, shift, e_zero;      // shift: places a product moves up to have all fraction bits
  int64_t columns;           // a multiple of kCountLanes
  int64_t *products, *kept;  // n each: nonzero products, and those not cut, are added
};

}  // namespace lostbits::sim
#endif

HWY_BEFORE_NAMESPACE();
namespace lostbits::sim {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void CountGroup(const CountedGroup& g) {
  const hn::CappedTag<int32_t, kCountLanes> d;
  const auto zero = hn::Zero(d), low = hn::Set(d, 0xFFFF);
  for (int64_t c = 0; c < g.columns; c += static_cast<int64_t>(hn::Lanes(d))) {
    auto e_max = hn::Max(hn::LoadU(d, g.c + c), hn::Set(d, g.e_zero));
    for (int i = 0; i < g.n; ++i) {
      const auto v = hn::LoadU(d, g.v + i * g.columns + c);
      e_max = hn::Max(e_max, hn::Add(hn::ShiftRight<16>(v), hn::Set(d, g.p[i] >> 16)));
    }
    for (int i = 0; i < g.n; ++i) {
      const auto v = hn::LoadU(d, g.v + i * g.columns + c);
      const auto product = hn::Mul(hn::And(v, low), hn::Set(d, g.p[i] & 0xFFFF));
      const auto below =
          hn::Sub(hn::Sub(e_max, hn::ShiftRight<16>(v)), hn::Set(d, (g.p[i] >> 16) + g.shift));
      const auto bits = hn::Min(hn::Max(below, zero), hn::Set(d, 31));
      g.products[i] += static_cast<int64_t>(hn::CountTrue(d, hn::Gt(product, zero)));
      g.kept[i] += static_cast<int64_t>(hn::CountTrue(d, hn::Gt(hn::Shr(product, bits), zero)));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace lostbits::sim
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lostbits::sim {
namespace {

HWY_EXPORT(CountGroup);

int32_t Packed(const fp8::Unpacked& u) {
  if (u.significand == 0) return kNoExponent * 0x10000;
  return u.exponent * 0x10000 + static_cast<int32_t>(u.significand);
}

/// All codes of a format of at most 16 bits, taken apart.
std::vector<int32_t> AllPacked(fp8::Format f) {
  std::vector<int32_t> table(size_t{1} << fp8::StorageBits(f));
  for (size_t code = 0; code < table.size(); ++code) table[code] = Packed(fp8::Unpack(f, code));
  return table;
}

class LaneCounter : public RowCounter {
 public:
  LaneCounter(const AttentionRecipe& recipe, const AttentionInputs& in, const RowPlace& row,
              const KeyTileSource& values, int64_t parts)
      : RowCounter(recipe, in, row, {}, parts * in.v.dim),
        lost(static_cast<size_t>(parts)),
        d_(in.v.dim),
        columns_((d_ + kCountLanes - 1) / kCountLanes * kCountLanes),
        p_format_(recipe.p_format == PFormat::kBF16 ? fp8::kBF16 : fp8::kE4M3FN),
        codes_of_v_(AllPacked(in.v.format)),
        keys_(KeyTiles(in.k, row.batch, kv_head_, recipe.block_n)),
        values_(values),
        v_(static_cast<size_t>(recipe.pv.group * columns_), kNoExponent * 0x10000),
        c_(static_cast<size_t>(columns_), kNoExponent) {}

  std::vector<LostProducts> lost;

 private:
  void Score(int64_t first_key, std::vector<uint32_t>* words) override {
    const HeadsView& q = in_.q;
    const int64_t at = q.Offset(row_.batch, row_.query_row, row_.head);
    const int64_t bytes = q.format == fp8::kBF16 ? 2 : 1;
    const CodeView query{static_cast<const uint8_t*>(q.data) + at * bytes, q.format, 1, q.dim,
                         q.dim};
    packed_.PackTransposed(recipe_.qk, keys_(first_key), Packing::kLater);
    MultiplyAccumulate(recipe_.qk, query, packed_, {words->data(), 1, recipe_.block_n});
  }

  void CountTile(const RowSchedule& schedule, int64_t first_key, const std::vector<float>& p,
                 std::vector<uint32_t>* o) override {
    const int64_t n = recipe_.block_n, group = recipe_.pv.group;
    const CodeView v = values_(first_key);
    p8_.resize(static_cast<size_t>(n));
    p16_.resize(static_cast<size_t>(n));
    p_.resize(static_cast<size_t>(n));
    for (size_t j = 0; j < p.size(); ++j) {
      const uint32_t code = RoundP(recipe_.p_format, p[j]);
      p8_[j] = static_cast<uint8_t>(code);
      p16_[j] = static_cast<uint16_t>(code);
      p_[j] = Packed(fp8::Unpack(p_format_, code));
    }
    const bool wide = p_format_ == fp8::kBF16;
    const CodeView p_codes{wide ? static_cast<const void*>(p16_.data()) : p8_.data(), p_format_, 1,
                           n, n};
    for (int64_t i = 0; i < n; i += group) {
      const int64_t count = std::min(group, n - i);
      CountGroupOfKeys(schedule, first_key + i, i, v.Rows(i, count), *o);
      packed_.Pack(recipe_.pv, v.Rows(i, count), Packing::kLater);
      MultiplyAccumulate(recipe_.pv, p_codes.Cols(i, count), packed_, {o->data(), 1, d_v_});
    }
  }

  void CountGroupOfKeys(const RowSchedule& schedule, int64_t first_key, int64_t first,
                        const CodeView& v, const std::vector<uint32_t>& o) {
    const auto parts = static_cast<int64_t>(lost.size());
    const AccumSpec& spec = recipe_.pv;
    for (int64_t part = 0; part < parts; ++part) {
      for (int64_t c = 0; c < d_; ++c) {
        const fp8::Unpacked word = fp8::Unpack(spec.acc, o[static_cast<size_t>(part * d_ + c)]);
        c_[static_cast<size_t>(c)] = word.significand != 0 ? word.exponent : kNoExponent;
      }
      Take(v.Cols(part * d_, d_));
      int64_t products[kMaxGroup] = {}, kept[kMaxGroup] = {};
      const int shift = spec.fraction_bits - spec.a.mantissa_bits - spec.b.mantissa_bits;
      HWY_DYNAMIC_DISPATCH(CountGroup)
      ({p_.data() + first, v_.data(), c_.data(), static_cast<int>(v.rows), shift, spec.e_zero,
        columns_, products, kept});
      LostProducts& l = lost[static_cast<size_t>(part)];
      for (int64_t i = 0; i < v.rows; ++i) {
        const int64_t key = first_key + i;
        if (key < schedule.key_begin || key >= schedule.key_end) continue;
        ++l.keys;
        if ((p_[static_cast<size_t>(first + i)] & 0xFFFF) == 0) ++l.keys_p_zero;
        if (products[i] > 0 && kept[i] == 0) ++l.keys_cut;
        l.products += products[i];
        l.products_cut += products[i] - kept[i];
      }
    }
  }

  /// v_ <- the group's codes taken apart.
  void Take(const CodeView& v) {
    const bool wide = v.format == fp8::kBF16;
    for (int64_t i = 0; i < v.rows; ++i) {
      int32_t* to = v_.data() + i * columns_;
      const void* row = v.Rows(i, 1).data;
      for (int64_t c = 0; c < d_; ++c)
        to[c] = codes_of_v_[wide ? static_cast<const uint16_t*>(row)[c]
                                 : static_cast<const uint8_t*>(row)[c]];
    }
  }

  static constexpr int64_t kMaxGroup = 64;

  const int64_t d_, columns_;  // of one part; columns_ in whole vectors
  const fp8::Format p_format_;
  const std::vector<int32_t> codes_of_v_;
  const KeyTileSource keys_;
  const KeyTileSource& values_;
  std::vector<uint8_t> p8_;
  std::vector<uint16_t> p16_;
  std::vector<int32_t> p_, v_, c_;
  PackedB packed_;
};

}  // namespace

std::vector<LostProducts> CountLostInLanes(const AttentionRecipe& recipe, const AttentionInputs& in,
                                           const RowPlace& row, const KeyTileSource& values,
                                           int64_t parts) {
  LaneCounter counter(recipe, in, row, values, parts);
  counter.Run();
  return counter.lost;
}

}  // namespace lostbits::sim
#endif  // HWY_ONCE
