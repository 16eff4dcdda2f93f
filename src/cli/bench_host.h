// The machine that measures: every rate is a statement about one.
#ifndef LOSTBITS_SRC_CLI_BENCH_HOST_H_
#define LOSTBITS_SRC_CLI_BENCH_HOST_H_

#include <cstdint>
#include <string>

namespace lostbits::cli {

struct BenchHost {
  std::string cpu;                  ///< /proc/cpuinfo's model name, family and model
  int cores = 0;                    ///< this process may run on
  int64_t l1d = 0, l2 = 0, l3 = 0;  ///< bytes; 0: not known
  std::string instruction_set;      ///< of the lanes of matrix products
  std::string compiler;
};
BenchHost ThisHost();

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_HOST_H_
