// Attention as cases: what several groups measure.
#ifndef LOSTBITS_SRC_CLI_BENCH_ATTENTION_H_
#define LOSTBITS_SRC_CLI_BENCH_ATTENTION_H_

#include "cli/bench.h"

namespace lostbits::cli {

struct AttentionCaseOptions {
  int64_t queries = 1;  ///< 1: the decode kernel; more: prefill, causal
  int64_t keys = 1024;
  int64_t heads = 1;  ///< query heads that share the one KV head
  int threads = 1;
  uint64_t seed = 0;
  bool progress = false;  ///< on stderr, for what takes minutes
};
/// FlashAttention-3 in FP8 (P in E4M3, two levels, every tile) on N(0, 1), head_dim 128.
BenchCase AttentionCase(const AttentionCaseOptions& options);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_ATTENTION_H_
