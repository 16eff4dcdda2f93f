// A folder for goldens of a test's own, with the simulator as the device.
#ifndef LOSTBITS_TESTS_CUDA_GOLDEN_FOLDER_H_
#define LOSTBITS_TESTS_CUDA_GOLDEN_FOLDER_H_

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>

#include "gpu/chosen.h"
#include "gpu/golden.h"
#include "tests/support/folder_test.h"

namespace lostbits::gpu {

namespace fs = std::filesystem;

inline std::unique_ptr<Backend> Device(const std::string& setting = "") {
  return Simulate("hopper",
                  [=](const Unit& unit) { return MachineFor(unit, "hopper", setting).spec; });
}

class GoldenTest : public test::FolderTest {
 protected:
  TileGolden Make(const char* unit, Backend& device) {
    const Unit& u = *FindUnit(unit);
    TileGolden golden{OriginOf(device.info(), {}), "hopper", CaptureTiles(u, Ladders(u), 3, 4)};
    device.Run(golden.tiles);
    return golden;
  }
  /// One bit of the file's last byte turned.
  static void Damage(const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-1, std::ios::end);
    const char last = static_cast<char>(file.get());
    file.seekp(-1, std::ios::end);
    file.put(static_cast<char>(last ^ 1));
  }

  static std::string Content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

}  // namespace lostbits::gpu

#endif  // LOSTBITS_TESTS_CUDA_GOLDEN_FOLDER_H_
