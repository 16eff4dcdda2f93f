// The floating-point environment that the arithmetic of this library is written for.
#ifndef LOSTBITS_SIM_FLOAT_ENVIRONMENT_H_
#define LOSTBITS_SIM_FLOAT_ENVIRONMENT_H_

#include <cfenv>

namespace lostbits::sim {

/// Nearest even, subnormals kept, no traps, for the calling thread; the caller's environment
/// returns at the end of the scope.
class DefaultEnvironment {
 public:
  DefaultEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultEnvironment() { std::fesetenv(&saved_); }
  DefaultEnvironment(const DefaultEnvironment&) = delete;
  DefaultEnvironment& operator=(const DefaultEnvironment&) = delete;

 private:
  std::fenv_t saved_;
};

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_FLOAT_ENVIRONMENT_H_
