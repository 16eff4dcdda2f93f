// What a call that must fail says.
#ifndef LOSTBITS_TESTS_SRC_ERROR_OF_H_
#define LOSTBITS_TESTS_SRC_ERROR_OF_H_

#include <stdexcept>
#include <string>

namespace lostbits::test {

/// The text of the std::invalid_argument that `action` throws; "(no error)" if it throws none.
std::string ErrorOf(const auto& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SRC_ERROR_OF_H_
