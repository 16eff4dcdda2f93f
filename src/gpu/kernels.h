// What the commands that run whole kernels share: gemm, attention, codec, bench.
#ifndef LOSTBITS_SRC_GPU_KERNELS_H_
#define LOSTBITS_SRC_GPU_KERNELS_H_

#include <map>
#include <string>
#include <vector>

#include "cli/dot_lines.h"
#include "cuda/gemm_plan.h"
#include "gpu/session.h"
#include "sim/random.h"

namespace lostbits::gpu {

/// The machine that `name` means; "": the row of the kernel's own instruction on `arch`.
Machine MachineOfKernel(GemmKernel kernel, const std::string& name, const std::string& arch);

/// `count` of `rows` rows, spread, the first and last among them; all if count is 0.
std::vector<int64_t> SampleRows(int64_t rows, int64_t count, uint64_t seed);

/// "512x512x4096" as its numbers, each at least 0. Throws std::invalid_argument.
std::vector<int64_t> ParseNumbers(const char* option, const std::string& text, char separator,
                                  size_t count);

const char* PatternName(OperandPattern pattern);
void AddPattern(CLI::App& command, OperandPattern& pattern);

/// An option whose value is one of these names.
template <class T>
void AddName(CLI::App& command, const char* option, T& value, const std::map<std::string, T>& names,
             const std::string& help) {
  command.add_option(option, value, help)->transform(CLI::CheckedTransformer(names));
}

Json PlanJson(const GemmPlan& plan);

/// Words of a kernel against those that it is declared equal to.
struct Difference {
  struct First {
    std::vector<int64_t> at;
    uint32_t device, expected;
  };
  const char* against;
  int64_t asked = 0, mismatches = 0;
  First first{};

  void Count(std::initializer_list<int64_t> at, uint32_t device, uint32_t expected);
  /// "what: 0 of 2048 outputs differ from the CPU", the first that does, and its repeat command.
  std::string Text(const std::string& what, const fp8::Format& format,
                   const std::string& repeat) const;
  Json Report(const fp8::Format& format, const std::string& repeat) const;
};

}  // namespace lostbits::gpu

#endif  // LOSTBITS_SRC_GPU_KERNELS_H_
