// What real GPUs answered, in tests/golden: the simulator must say the same.
#include <gtest/gtest.h>

#include "gpu/exp2_golden.h"
#include "gpu/golden.h"
#include "gpu/kernel_golden.h"

namespace lostbits::gpu {
namespace {

namespace fs = std::filesystem;

TEST(RecordedGoldens, TheSimulatorSaysTheSame) {
  const std::string folder = std::string(LOSTBITS_SOURCE_DIR) + "/tests/golden";
  const std::vector<fs::path> paths =
      fs::is_directory(folder) ? GoldensIn(folder) : std::vector<fs::path>{};
  if (paths.empty()) GTEST_SKIP() << "SKIPPED: no GPU has been recorded yet (scripts/gpu does)";
  for (const fs::path& path : paths) {
    SCOPED_TRACE(path.string());
    Agreement found;
    EXPECT_FALSE(IsSimulated(path)) << "recorded from no GPU";
    if (path.filename() == "probes.json") {
      found = ReplayProbes(path.string());
    } else {
      const std::string kind = Lookup(SafetensorsMetadata(path.string()), "kind");
      found = kind == "exp2"     ? ReplayExp2(path.string(), 16)
              : kind == "kernel" ? ReplayKernel(path.string(), nullptr)
                                 : ReplayTiles(ReadTiles(path.string()));
    }
    EXPECT_EQ(found.matched, found.rows) << found.first;
  }
}

}  // namespace
}  // namespace lostbits::gpu
