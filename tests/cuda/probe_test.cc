// The probe list: every question separates what its sides expect, and a device that is one of the
// sides is found to be that side.
#include "cuda/probe.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

#include "gpu/probe_run.h"

namespace lostbits::gpu {
namespace {

constexpr const char* kArchs[] = {"ampere", "ada", "hopper", "blackwell", "rtx_blackwell"};

std::unique_ptr<Backend> Device(const std::string& arch, const std::string& setting = "") {
  return Simulate(arch, [=](const Unit& unit) { return MachineFor(unit, arch, setting).spec; });
}

TEST(Probe, SidesExpectDifferentWords) {
  for (const char* arch : kArchs) {
    for (const Question& q : QuestionsFor(*Device(arch))) {
      SCOPED_TRACE(std::string(q.probe->id) + " on " + q.machine.name);
      ASSERT_GE(q.expected.size(), 2u);
      std::map<uint32_t, std::string> words;
      for (const Expected& e : q.expected) {
        EXPECT_TRUE(words.emplace(e.word, e.who).second)
            << e.who << " and " << words[e.word] << " expect " << WordText(*q.unit, e.word);
      }
    }
  }
}

TEST(Probe, EveryProbeIsAskedSomewhereAndItsNamesAreUnique) {
  std::set<std::string> ids, asked;
  for (const auto probes : {SumProbes(), SpecialProbes()})
    for (const Probe& probe : probes) EXPECT_TRUE(ids.insert(probe.id).second) << probe.id;
  for (const char* arch : kArchs)
    for (const Question& q : QuestionsFor(*Device(arch))) asked.insert(q.probe->id);
  EXPECT_EQ(asked, ids);
}

TEST(Probe, EveryNumberedQuestionIsAskedOrSaysWhyNot) {
  std::set<std::string> probes, numbered;
  for (const auto list : {SumProbes(), SpecialProbes()})
    for (const Probe& probe : list) probes.insert(probe.id);
  for (const NumberedQuestion& q : kNumberedQuestions) {
    EXPECT_TRUE(numbered.insert(q.id).second) << q.id;
    // A probe of the same name asks the same.
    EXPECT_EQ(*q.probe == '\0', probes.count(q.probe) == 0) << q.id;
    EXPECT_TRUE(*q.probe != '\0' || probes.count(q.id) == 0) << q.id;
    EXPECT_TRUE(std::string(q.id) == q.probe || *q.note != '\0') << q.id;
  }
  for (int i = 1; i <= 10; ++i) EXPECT_EQ(numbered.count("S" + std::to_string(i)), 1u) << i;
  for (int i = 1; i <= 7; ++i) EXPECT_EQ(numbered.count("D" + std::to_string(i)), 1u) << i;
}

TEST(Probe, TheTableAnswersAsTheTable) {
  for (const char* arch : kArchs) {
    const auto device = Device(arch);
    const std::vector<Question> questions = QuestionsFor(*device);
    const std::vector<Finding> findings = Ask(*device, questions);
    for (size_t i = 0; i < questions.size(); ++i)
      EXPECT_EQ(findings[i].agrees, 0)
          << questions[i].probe->id << " on " << questions[i].machine.name;
  }
}

// Every side whose word a machine computes, as the device: the verdict must be that side.
TEST(Probe, ADeviceIsFoundToBeTheSideItIs) {
  int sides = 0;
  for (const char* arch : kArchs) {
    for (const Question& q : QuestionsFor(*Device(arch))) {
      for (size_t i = 1; i < q.expected.size(); ++i) {
        const Answer& answer = q.probe->answers[i];
        if (*answer.setting == '\0') continue;
        const auto device = Device(arch, answer.setting);
        const Finding found = Ask(*device, {q})[0];
        EXPECT_EQ(found.agrees, static_cast<int>(i))
            << q.probe->id << " on " << q.machine.name << "@" << answer.setting;
        ++sides;
      }
    }
  }
  EXPECT_GT(sides, 80);
}

// The words of sections 5 and 9 of the published comparisons, as MMA-Sim's and KM's authors give
// them: not from this simulator.
TEST(Probe, WordsThatWerePublished) {
  struct Published {
    const char* id;
    const char* machine;
    uint32_t table, other;
  };
  constexpr Published kPublished[] = {{"S1", "hopper:mma.sync:bf16:f32", 0, 1},
                                      {"S1", "hopper:wgmma:bf16:f32", 0, 1},
                                      {"S1b", "hopper:mma.sync:bf16:f32", 0, 1},
                                      {"S1c", "hopper:mma.sync:bf16:f32", 1, 0},
                                      {"S1d", "ampere:mma.sync:bf16:f32", 0, 1},
                                      {"S2", "hopper:mma.sync:f16:f16", 0, 1},
                                      {"S2c", "hopper:mma.sync:f16:f16", 1, 0},
                                      {"S3", "hopper:mma.sync:f16:f32", 0x4010'0001, 0x4010'0000},
                                      {"S4", "ampere:mma.sync:f16:f32", 0, 0x3380'0000},
                                      {"D6", "hopper:wmma:tf32:f32", 0, 0x3380'0000},
                                      {"S5", "hopper:wgmma:e4m3:f32", 0x3F80'0000, 0x3F80'0200},
                                      {"S5b", "hopper:wgmma:e4m3:f32", 0x3F80'0000, 0x3F80'0201},
                                      {"S7", "hopper:wgmma:bf16:f32", 0x7F80'0000, 0x7F7F'FFFF},
                                      {"S8", "hopper:mma.sync:bf16:f32", 0, 0x8000'0000},
                                      {"S9", "hopper:mma.sync:e5m2:f32", 0, 0x3300'0000},
                                      {"S10", "hopper:wgmma:e4m3:f32", 0x3680'0000, 0x3680'2000}};
  size_t found = 0;
  for (const char* arch : kArchs) {
    for (const Question& q : QuestionsFor(*Device(arch))) {
      for (const Published& p : kPublished) {
        if (std::string(p.id) != q.probe->id || p.machine != q.machine.name) continue;
        EXPECT_EQ(q.expected[0].word, p.table) << p.id;
        EXPECT_EQ(q.expected[1].word, p.other) << p.id;
        ++found;
      }
    }
  }
  EXPECT_EQ(found, std::size(kPublished));
}

}  // namespace
}  // namespace lostbits::gpu
