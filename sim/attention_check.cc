// The edge: everything a caller can get wrong, in one line that names what was expected and what
// came.
#include <cmath>
#include <sstream>
#include <stdexcept>

#include "sim/attention_block.h"
#include "sim/attention_combine.h"

namespace lostbits::sim {
namespace {

template <class... Parts>
void Require(bool good, const Parts&... parts) {
  if (good) return;
  std::ostringstream line;
  line << "attention: ";
  (line << ... << parts);
  throw std::invalid_argument(line.str());
}

std::string Shape(const HeadsView& x) {
  std::ostringstream s;
  s << "[" << x.batch << ", " << x.seqlen << ", " << x.heads << ", " << x.dim << "]";
  return s.str();
}

void CheckView(const char* name, const HeadsView& x) {
  Require(x.batch > 0 && x.seqlen >= 0 && x.heads > 0 && x.dim > 0, name, " has shape ", Shape(x),
          ", expected [batch, seqlen, heads, dim] with at least one of each");
  Require(x.data != nullptr || x.seqlen == 0, name, " ", Shape(x), " has no data");
  Require(x.format == fp8::kE4M3FN || x.format == fp8::kE5M2 || x.format == fp8::kBF16, name,
          " must hold E4M3, E5M2 or BF16 codes");
}

void CheckDescale(const char* name, const DescaleView& x, int64_t batch, int64_t heads) {
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      Require(std::isfinite(x(b, h)) && x(b, h) > 0, name, " of batch ", b, ", KV head ", h, " is ",
              x(b, h), ", expected a finite number > 0");
}

void CheckRecipe(const AttentionRecipe& r) {
  Require(r.head_dim > 0 && r.head_dim <= 256, "head_dim is ", r.head_dim, ", expected 1 to 256");
  Require(r.block_m > 0, "block_m is ", r.block_m, ", expected > 0");
  Require(r.block_n > 0 && r.block_n % 8 == 0, "block_n is ", r.block_n,
          ", expected a positive multiple of 8");
  Require(r.num_splits >= 1 && r.num_splits <= kMaxSplits, "num_splits is ", r.num_splits,
          ", expected 1 to 256");
  Require(r.accumulation != PvAccumulation::kEveryNTiles || r.interval >= 1, "interval is ",
          r.interval, ", expected at least 1 tile between flushes");
  Require(std::isfinite(r.softmax_scale) && r.softmax_scale > 0, "softmax_scale is ",
          r.softmax_scale, ", expected a finite number > 0");
  Require(std::isfinite(r.softcap) && r.softcap >= 0, "softcap is ", r.softcap,
          ", expected 0 (none) or a finite number > 0");
  Require(r.window_left >= -1 && r.window_right >= -1, "window is (", r.window_left, ", ",
          r.window_right, "), expected -1 (no limit) or more on each side");
  Require(r.max_offset >= 0 && r.max_offset <= 64 && r.max_offset == std::floor(r.max_offset),
          "max_offset is ", r.max_offset, ", expected a whole number from 0 to 64");
  Require(r.output == fp8::kBF16 || r.output == fp8::kFP32, "output must be BF16 or FP32");
  Require(r.qk.acc == fp8::kFP32, "the unit of Q K^T must accumulate in FP32");
  if (r.accumulation == PvAccumulation::kExact) return;
  Require(r.p_format != PFormat::kNone, "unrounded P needs PvAccumulation::kExact");
  Require(r.pv.acc == fp8::kFP32, "the unit of P V must accumulate in FP32");
  Require(r.pv.a == (r.p_format == PFormat::kBF16 ? fp8::kBF16 : fp8::kE4M3FN),
          "the unit of P V does not take P's format");
}

}  // namespace

void CheckAttention(const AttentionRecipe& recipe, const AttentionInputs& in,
                    const AttentionOptions& options) {
  CheckRecipe(recipe);
  CheckView("Q", in.q);
  CheckView("K", in.k);
  CheckView("V", in.v);
  Require(in.q.dim == recipe.head_dim && in.k.dim == recipe.head_dim && in.v.dim == recipe.head_dim,
          "head_dim of the recipe is ", recipe.head_dim, ", but Q is ", Shape(in.q), ", K ",
          Shape(in.k), ", V ", Shape(in.v));
  Require(in.k.batch == in.v.batch && in.k.seqlen == in.v.seqlen && in.k.heads == in.v.heads, "K ",
          Shape(in.k), " and V ", Shape(in.v), " differ in batch, seqlen or heads");
  Require(in.q.batch == in.k.batch, "Q ", Shape(in.q), " and K ", Shape(in.k), " differ in batch");
  Require(in.q.heads % in.k.heads == 0, "Q ", Shape(in.q), " has ", in.q.heads,
          " heads, expected a multiple of K's ", in.k.heads, " in ", Shape(in.k));
  Require(in.q.format == recipe.qk.a && in.k.format == recipe.qk.b,
          "the formats of Q and K are not those of the recipe's unit for Q K^T");
  Require(recipe.accumulation == PvAccumulation::kExact || in.v.format == recipe.pv.b,
          "the format of V is not that of the recipe's unit for P V");
  CheckDescale("q_descale", in.q_descale, in.k.batch, in.k.heads);
  CheckDescale("k_descale", in.k_descale, in.k.batch, in.k.heads);
  CheckDescale("v_descale", in.v_descale, in.k.batch, in.k.heads);
  if (in.query_numbers != nullptr)
    for (int64_t i = 0; i < in.q.seqlen; ++i)
      Require(in.query_numbers[i] >= 0 && in.query_numbers[i] < in.query_length, "query_numbers[",
              i, "] is ", in.query_numbers[i], ", expected 0 to ", in.query_length - 1,
              " (query_length - 1)");
  Require(options.threads >= 0, "threads is ", options.threads, ", expected 0 (all) or more");
  Require(recipe.exp2 != Exp2Model::kTable ||
              (options.exp2_table != nullptr && !options.exp2_table->IsEmpty()),
          "the recipe asks for a captured exp2 table and none was given");
}

}  // namespace lostbits::sim
