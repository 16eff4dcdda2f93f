// The published hardware outputs, replayed: every row equal, bit for bit.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "sim/vectors.h"
#include "tests/support/machine.h"

namespace lostbits {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(LOSTBITS_SOURCE_DIR).parent_path() / "shared" / "vectors";

TEST(VectorsGolden, EveryPublishedRowMatches) {
  if (!std::filesystem::exists(kFolder))
    GTEST_SKIP() << "no published vectors at " << kFolder << ": nothing was replayed";
  std::set<std::string> folders;
  int64_t rows = 0;
  const std::vector<sim::VectorSet> sets = sim::ListVectorSets(kFolder);
  for (const sim::VectorSet& set : sets) {
    const sim::VectorReplay replay = sim::ReplayVectors(set);
    folders.insert(set.gpu + "/" + set.input);
    rows += replay.rows;
    EXPECT_GT(replay.rows, 0) << set.Name();
    EXPECT_EQ(replay.matched, replay.rows) << set.Name() << " on " << test::Name(*set.machine);
    if (const auto& m = replay.first_mismatch) {
      ADD_FAILURE() << set.Name() << " row " << m->row << ": the GPU " << test::Hex(m->expected)
                    << ", the table " << test::Hex(m->got) << "\n  echo '"
                    << test::DotLine(set.machine->spec, m->a, m->b, m->c)
                    << "' | lostbits dot --machine " << test::Name(*set.machine);
    }
    // Every row of the table that a set rests on must be one that claims it.
    EXPECT_EQ(set.machine->evidence, sim::Evidence::kHardware) << set.Name();
  }
  std::printf("%zu folders, %zu sets, %lld rows\n", folders.size(), sets.size(),
              static_cast<long long>(rows));
  // A folder on disk with a d file is a folder replayed.
  size_t on_disk = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kFolder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("d_") && name.ends_with(".txt")) ++on_disk;
  }
  EXPECT_EQ(sets.size(), on_disk);
}

}  // namespace
}  // namespace lostbits
