#include "sim/gemm_recipe.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "fp8/codec.h"
#include "sim/accum.h"
#include "sim/float_environment.h"
#include "sim/gemm_check.h"

namespace lostbits::sim {
namespace {

// Tiles of d, one thread each: large enough that taking operands apart does not count.
constexpr int64_t kTileRows = 256;
constexpr int64_t kTileCols = 128;
// k packed at a time: one strip of 16 columns stays in the second-level cache.
constexpr int64_t kPackedK = 1024;

float ToFloat(uint32_t word) { return fp8::BitCast<float>(word); }

// The one NaN.
uint32_t ToWord(float x) {
  return std::isnan(x) ? CanonicalNan(fp8::kFP32) : fp8::BitCast<uint32_t>(x);
}

uint32_t RoundTo(fp8::Format f, uint32_t word) {
  if (f == fp8::kFP32) return word;
  const fp8::EncodePolicy policy{.overflow = fp8::Overflow::kToSpecial, .inf = fp8::InfRule::kKeep};
  return static_cast<uint32_t>(fp8::Pack(f, fp8::Unpack(fp8::kFP32, word), policy).code);
}

// A tile of d and the sums that lead to it. noinline where floats are computed: no operation may
// move out of the environment that surrounds the calls.
class Tile {
 public:
  Tile(const GemmRecipe& recipe, const GemmInputs& in, MatrixView<uint32_t> d, int64_t row,
       int64_t col)
      : recipe_(recipe),
        in_(in),
        d_(d),
        row_(row),
        col_(col),
        rows_(std::min(kTileRows, d.rows - row)),
        cols_(std::min(kTileCols, d.cols - col)),
        partial_(static_cast<size_t>(rows_ * cols_)) {}

  void Compute() {
    if (recipe_.split_k == 1) {
      SumRange(0, in_.a.cols);
      total_ = sum_;
    } else {
      const int instructions =
          recipe_.split_tile != 0 ? recipe_.split_tile : std::max(recipe_.promote_every, 1);
      const int64_t tile = int64_t{instructions} * recipe_.unit.k;
      const int64_t tiles = (in_.a.cols + tile - 1) / tile;
      const int64_t range = (tiles + recipe_.split_k - 1) / recipe_.split_k * tile;
      total_.assign(partial_.size(), 0);
      for (int64_t k0 = 0; k0 < in_.a.cols; k0 += range) {
        SumRange(k0, std::min(in_.a.cols, k0 + range));
        AddRange();
      }
    }
    Finish();
  }

 private:
  // sum_ <- the range [k0, k1) of k.
  void SumRange(int64_t k0, int64_t k1) {
    sum_.assign(partial_.size(), 0);
    if (in_.c.data != nullptr) {
      for (int64_t i = 0; i < rows_; ++i) {
        std::copy_n(in_.c.Row(row_ + i) + col_, cols_, sum_.begin() + i * cols_);
      }
    }
    if (recipe_.promote_every == 0) return Chain(k0, k1, sum_);
    const int64_t interval = int64_t{recipe_.promote_every} * recipe_.unit.k;
    for (int64_t k = k0; k < k1; k += interval) {
      std::fill(partial_.begin(), partial_.end(), 0);
      Chain(k, std::min(k1, k + interval), partial_);
      if (HasBlockScales()) {
        PromoteScaled(k / kScaleBlock);
      } else {
        Add(partial_, sum_);
      }
    }
  }

  // words <- the unit's chain over [k0, k1), starting from words.
  void Chain(int64_t k0, int64_t k1, std::vector<uint32_t>& words) {
    const int64_t whole = std::max<int64_t>(kPackedK / recipe_.unit.k, 1) * recipe_.unit.k;
    for (int64_t k = k0; k < k1; k += whole) {
      const int64_t n = std::min(whole, k1 - k);
      if (in_.b_transposed) {
        packed_.PackTransposed(recipe_.unit, in_.b.Rows(col_, cols_).Cols(k, n));
      } else {
        packed_.Pack(recipe_.unit, in_.b.Rows(k, n).Cols(col_, cols_));
      }
      MultiplyAccumulate(recipe_.unit, in_.a.Rows(row_, rows_).Cols(k, n), packed_,
                         {words.data(), rows_, cols_});
    }
  }

  bool HasBlockScales() const {
    return recipe_.scale_a == GemmScaling::kBlock128 || recipe_.scale_b == GemmScaling::kBlock128;
  }

  [[gnu::noinline]] void PromoteScaled(int64_t block) {
    for (int64_t i = 0; i < rows_; ++i) {
      const float a =
          recipe_.scale_a == GemmScaling::kBlock128 ? in_.scale_a(row_ + i, block) : 1.0f;
      for (int64_t j = 0; j < cols_; ++j) {
        const float b = recipe_.scale_b == GemmScaling::kBlock128
                            ? in_.scale_b(block, (col_ + j) / kScaleBlock)
                            : 1.0f;
        const auto at = static_cast<size_t>(i * cols_ + j);
        sum_[at] = ToWord(std::fma(a * b, ToFloat(partial_[at]), ToFloat(sum_[at])));
      }
    }
  }

  // to <- to + from.
  [[gnu::noinline]] static void Add(const std::vector<uint32_t>& from, std::vector<uint32_t>& to) {
    for (size_t i = 0; i < to.size(); ++i) to[i] = ToWord(ToFloat(to[i]) + ToFloat(from[i]));
  }

  void AddRange() {
    for (uint32_t& word : sum_) {
      if (recipe_.partial == fp8::kBF16) word = RoundTo(fp8::kBF16, word) << 16;
    }
    Add(sum_, total_);
  }

  [[gnu::noinline]] void Finish() {
    const bool scale_a = recipe_.scale_a == GemmScaling::kPerTensor;
    const bool scale_b = recipe_.scale_b == GemmScaling::kPerTensor;
    if (scale_a || scale_b) {
      const float scale =
          (scale_a ? in_.scale_a(0, 0) : 1.0f) * (scale_b ? in_.scale_b(0, 0) : 1.0f);
      for (uint32_t& word : total_) word = ToWord(scale * ToFloat(word));
    }
    const bool round = recipe_.output != recipe_.unit.acc;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < cols_; ++j) {
        const uint32_t word = total_[static_cast<size_t>(i * cols_ + j)];
        d_(row_ + i, col_ + j) = round ? RoundTo(recipe_.output, word) : word;
      }
    }
  }

  const GemmRecipe& recipe_;
  const GemmInputs& in_;
  MatrixView<uint32_t> d_;
  int64_t row_, col_, rows_, cols_;
  PackedB packed_;
  std::vector<uint32_t> partial_, sum_, total_;  // rows_ x cols_
};

}  // namespace

void Gemm(const GemmRecipe& recipe, const GemmInputs& in, MatrixView<uint32_t> d, int threads) {
  CheckRecipe(recipe);
  CheckInputs(recipe, in, d);
  if (threads < 1) {
    throw std::invalid_argument("Gemm: threads must be 1 or more, got " + std::to_string(threads));
  }
  const int64_t tile_rows = (d.rows + kTileRows - 1) / kTileRows;
  const int64_t tile_cols = (d.cols + kTileCols - 1) / kTileCols;
  std::exception_ptr failure;  // out of memory: the only one left
#pragma omp parallel for schedule(dynamic) num_threads(threads) shared(failure)
  for (int64_t t = 0; t < tile_rows * tile_cols; ++t) {
    try {
      const DefaultEnvironment environment;
      Tile(recipe, in, d, t / tile_cols * kTileRows, t % tile_cols * kTileCols).Compute();
    } catch (...) {
#pragma omp critical(lostbits_gemm_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lostbits::sim
