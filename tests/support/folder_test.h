// Tests with a folder of their own, which is gone after each.
#ifndef LOSTBITS_TESTS_SUPPORT_FOLDER_TEST_H_
#define LOSTBITS_TESTS_SUPPORT_FOLDER_TEST_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace lostbits::test {

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    // mkdtemp replaces the Xs.
    std::string name = (std::filesystem::temp_directory_path() / "lostbits_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_;
};

}  // namespace lostbits::test

#endif  // LOSTBITS_TESTS_SUPPORT_FOLDER_TEST_H_
