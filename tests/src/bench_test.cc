// `lostbits bench` without a clock: who runs when, what is divided by what, what is said.
#include <gtest/gtest.h>

#include "cli/bench_report.h"
#include "sim/gemm.h"

namespace lostbits::cli {
namespace {

BenchTiming Timing(std::vector<double> rates) {
  BenchTiming t;
  t.rate = rates[rates.size() / 2];
  t.rates = std::move(rates);
  return t;
}

BenchCase Case(const std::string& name, std::vector<BenchGoal> goals = {}) {
  return {.name = name, .work = 1, .run = [] {}, .goals = std::move(goals)};
}

TEST(BenchClock, CasesTakeTurns) {
  std::string order;
  BenchGroup group{.id = "g", .title = "", .state = "", .unit = "MAC", .cases = {}};
  for (const char* name : {"a", "b", "c"}) {
    group.cases.push_back(Case(name));
    group.cases.back().run = [&order, name] { order += name; };
  }
  double share = 0;
  const auto timings = TimeInTurns(
      group, {.turn = 0, .budget = 0, .least_rounds = 3, .most_rounds = 3}, [&](double s) {
        EXPECT_GT(s, share);
        share = s;
      });
  EXPECT_EQ(order, "abcabcabcabc");  // once to warm up, then three rounds
  EXPECT_EQ(share, 1);
  ASSERT_EQ(timings.size(), 3u);
  for (const BenchTiming& t : timings) EXPECT_EQ(t.rates.size(), 3u);
}

TEST(BenchClock, RatioIsTheMedianOfEachRoundsOwn) {
  // The second round ran at half the speed for both: their ratio did not change.
  EXPECT_EQ(MedianRatio(Timing({8, 4, 8}), Timing({2, 1, 2})), 4);
  // Medians of 6 and 2 would say 3; the rounds say 2, 3 and 6.
  EXPECT_EQ(MedianRatio(Timing({6, 6, 6}), Timing({3, 2, 1})), 3);
  EXPECT_EQ(MedianRatio(Timing({1, 6, 9}), Timing({1, 2, 2})), 3);
  EXPECT_EQ(MedianRatio(Timing({1, 8, 6}), Timing({1, 1, 1})), 6);
}

TEST(BenchReport, GoalsAreMetFromTheGoalOn) {
  BenchGroup group{.id = "g", .title = "", .state = "", .unit = "MAC", .cases = {}};
  group.cases = {Case("base"), Case("fast", {{"base", 2, "twice"}}),
                 Case("slow", {{"base", 2, "twice"}}), Case("alone", {{"absent", 2, "lonely"}}),
                 Case("told", {{"base"}})};
  const BenchMeasured m =
      Measured(group, {Timing({1}), Timing({2}), Timing({1.5}), Timing({9}), Timing({0.5})});
  EXPECT_TRUE(m.results[1].ratios[0].Met());
  EXPECT_FALSE(m.results[2].ratios[0].Met());
  EXPECT_EQ(m.results[2].ratios[0].ratio, 1.5);
  EXPECT_FALSE(m.results[3].ratios[0].ratio.has_value());
  EXPECT_FALSE(m.results[3].ratios[0].Met());

  const std::string text = GoalsText({m}, BenchStyle::kText, 120);
  EXPECT_NE(text.find("met by 1 of 2; worst slow"), std::string::npos) << text;
  EXPECT_NE(text.find("not measured"), std::string::npos) << text;
  EXPECT_EQ(text.find("told"), std::string::npos) << text;
  const Json json = BenchJson({}, {}, {m})["groups"][0]["results"];
  EXPECT_EQ(json[1]["ratios"][0]["met"], true);
  EXPECT_EQ(json[2]["ratios"][0]["met"], false);
  EXPECT_TRUE(json[3]["ratios"][0]["met"].is_null());
  EXPECT_TRUE(json[3]["ratios"][0]["ratio"].is_null());
  EXPECT_TRUE(json[4]["ratios"][0]["met"].is_null());
}

TEST(BenchReport, ALineOfASeriesIsItsWorstCase) {
  BenchGroup group{.id = "g",
                   .title = "",
                   .state = "",
                   .unit = "MAC",
                   .cases = {Case("base"), Case("row 1", {{"base", 10}}),
                             Case("row 2", {{"base", 10}}), Case("row 3", {{"base", 10}})},
                   .worst_only = true};
  for (size_t i = 1; i < 4; ++i) group.cases[i].series = "family +2";
  const BenchMeasured m = Measured(group, {Timing({1}), Timing({30}), Timing({20}), Timing({40})});
  const std::string text = GroupText(m, BenchStyle::kMarkdown, 80);
  EXPECT_NE(text.find("| family +2 |"), std::string::npos) << text;
  EXPECT_NE(text.find("| 20.0 | 10 met | row 2 |"), std::string::npos) << text;
  EXPECT_EQ(text.find("row 1"), std::string::npos) << text;
}

TEST(BenchReport, CurvesHaveAColumnEach) {
  BenchGroup group{.id = "g",
                   .title = "T",
                   .state = "s",
                   .unit = "MAC",
                   .cases = {Case("a, 1"), Case("b, 1"), Case("a, 2"), Case("b, 2")},
                   .axis = "K"};
  for (size_t i = 0; i < 4; ++i) {
    group.cases[i].series = i % 2 == 0 ? "a" : "b";
    group.cases[i].x = i < 2 ? 64 : 128;
  }
  const BenchMeasured m =
      Measured(group, {Timing({1e9}), Timing({2e9}), Timing({3e9}), Timing({4e9})});
  EXPECT_NE(
      GroupText(m, BenchStyle::kMarkdown, 80)
          .find("| K | a | b |\n|---:|---:|---:|\n| 64 | 1.00 | 2.00 |\n| 128 | 3.00 | 4.00 |"),
      std::string::npos);
}

TEST(BenchSets, TheLanesRunWhereTheyAreHeld) {
  const std::string usual = sim::InstructionSetName();
  std::string seen;
  for (const std::string& set : LaneInstructionSets()) {
    OnInstructionSet(set, [&] { seen = sim::InstructionSetName(); })();
    EXPECT_EQ(seen, set);
    EXPECT_EQ(sim::InstructionSetName(), usual);
  }
}

}  // namespace
}  // namespace lostbits::cli
