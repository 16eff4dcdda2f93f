// What real GPUs answered, in tests/golden: the simulator must say the same.
#include <gtest/gtest.h>

#include <fstream>

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
    bool simulated = false;
    if (path.filename() == "probes.json") {
      std::ifstream file(path);
      simulated = Json::parse(file).value("simulated", true);
      found = ReplayProbes(path.string());
    } else {
      const Metadata metadata = SafetensorsMetadata(path.string());
      simulated = Lookup(metadata, "device").starts_with("simulated");
      const std::string kind = Lookup(metadata, "kind");
      found = kind == "exp2"     ? ReplayExp2(path.string(), 16)
              : kind == "kernel" ? ReplayKernel(path.string(), nullptr)
                                 : ReplayTiles(ReadTiles(path.string()));
    }
    EXPECT_FALSE(simulated) << "recorded from no GPU";
    EXPECT_EQ(found.matched, found.rows) << found.first;
  }
}

}  // namespace
}  // namespace lostbits::gpu
