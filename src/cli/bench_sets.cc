// The lanes held to one instruction set, for comparing them.
#define HWY_WANT_AVX3_DL  // as sim/gemm_lanes.cc: the same list of instruction sets
#include <hwy/targets.h>

#include <functional>

#include "cli/bench.h"

namespace lostbits::cli {
namespace {

/// Restores the choice however the scope is left.
class Held {
 public:
  explicit Held(int64_t target) { Set(target); }
  ~Held() { Set(0); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

 private:
  static void Set(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().DeInit();
  }
};

}  // namespace

std::vector<std::string> LaneInstructionSets() {
  std::vector<std::string> names;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets())
    names.emplace_back(hwy::TargetName(target));
  return names;
}

std::function<void()> OnInstructionSet(const std::string& name, std::function<void()> work) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      return [target, work = std::move(work)] {
        const Held held(target);
        work();
      };
    }
  }
  return work;
}

}  // namespace lostbits::cli
