// The published hardware outputs, replayed: every row equal, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

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
    EXPECT_EQ(set.machine->evidence.level, sim::EvidenceLevel::kHardware) << set.Name();
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

/// A set, and one change to the spec of its machine.
struct Alternative {
  const char* what;
  const char* set;
  void (*change)(sim::AccumSpec&);
};

// What the rows say "no" to: each fact of the table that they pin, changed alone.
TEST(VectorsGolden, EveryAlternativeIsRejected) {
  if (!std::filesystem::exists(kFolder))
    GTEST_SKIP() << "no published vectors at " << kFolder << ": nothing was replayed";
  using S = sim::AccumSpec;
  const Alternative alternatives[] = {
      {"F = 22", "V100/fp16 -> fp32", [](S& s) { s.fraction_bits = 22; }},
      {"F = 24", "V100/fp16 -> fp32", [](S& s) { s.fraction_bits = 24; }},
      {"L = 2", "V100/fp16 -> fp32", [](S& s) { s.group = 2; }},
      {"F = 23", "A100/fp16 -> fp32", [](S& s) { s.fraction_bits = 23; }},
      {"F = 25", "A100/bf16 -> fp32", [](S& s) { s.fraction_bits = 25; }},
      {"L = 4", "A100/fp16 -> fp32", [](S& s) { s.group = 4; }},
      {"nearest even", "A100/tf32 -> fp32", [](S& s) { s.rounding = fp8::Rounding::kNearestEven; }},
      {"F = 24", "H100/fp16 -> fp32", [](S& s) { s.fraction_bits = 24; }},
      {"L = 8", "H100/bf16 -> fp32", [](S& s) { s.group = 8; }},
      {"F = 12", "H100/E4M3 -> fp32", [](S& s) { s.fraction_bits = 12; }},
      {"F = 14", "H100/E4M3 -> fp32", [](S& s) { s.fraction_bits = 14; }},
      {"L = 16", "H100/E4M3 -> fp32", [](S& s) { s.group = 16; }},
      {"FP32 register", "H100/E5M2 -> fp32", [](S& s) { s.out = fp8::kFP32; }},
      {"L = 32", "Ada/E4M3 -> fp32", [](S& s) { s.group = 32; }},
      {"F = 14", "Ada/E5M2 -> fp32", [](S& s) { s.fraction_bits = 14; }},
      {"c in the first group", "B200/E4M3 -> fp32", [](S& s) { s.flow = sim::Flow::kChained; }},
      {"one native group of 32", "B200/E4M3 -> fp32",
       [](S& s) {
         s.flow = sim::Flow::kChained;
         s.group = 32;
       }},
      {"c in the first group", "H100/E4M3 -> fp16", [](S& s) { s.flow = sim::Flow::kChained; }},
  };
  const std::vector<sim::VectorSet> sets = sim::ListVectorSets(kFolder);
  for (const Alternative& alternative : alternatives) {
    const auto set = std::find_if(sets.begin(), sets.end(),
                                  [&](const auto& s) { return s.Name() == alternative.set; });
    ASSERT_NE(set, sets.end()) << alternative.set;
    sim::ArchRow row = *set->machine;
    alternative.change(row.spec);
    sim::VectorSet changed = *set;
    changed.machine = &row;
    const sim::VectorReplay replay = sim::ReplayVectors(changed);
    EXPECT_LT(replay.matched, replay.rows) << alternative.set << " with " << alternative.what;
    std::printf("%-20s %-24s %lld of %lld rows\n", alternative.set, alternative.what,
                static_cast<long long>(replay.matched), static_cast<long long>(replay.rows));
  }
}

}  // namespace
}  // namespace lostbits
