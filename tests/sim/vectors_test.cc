// Reading folders of vectors: which machine answers which set, what counts as a mismatch, and what
// is refused with which line. The folders are made here, small, and broken on purpose.
#include "sim/vectors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

#include "tests/support/machine.h"

namespace lostbits {
namespace {

namespace fs = std::filesystem;
using sim::ListVectorSets;
using sim::ReplayVectors;
using sim::VectorSet;

class VectorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() /
            ("lostbits_vectors_" + std::string(info->name()) + "_" +
             std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
             std::to_string(reinterpret_cast<uintptr_t>(this)));
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << text;
  }

  /// Two rows of four products: 1*1 + 2^-14 and 1.5*1.5 - 1*1 + 1.
  void WriteFolder(const std::string& gpu, const std::string& input) const {
    const std::string in = gpu + "/" + input + "/";
    Write(in + "a_" + gpu + "_" + input + ".txt",
          "3f800000 00000000 00000000 00000000 \n"
          "3fc00000 bf800000 00000000 00000000 \n");
    Write(in + "b_" + gpu + "_" + input + ".txt",
          "3f800000 3f800000 00000000 00000000 \n"
          "3fc00000 3f800000 00000000 00000000 \n");
    Write(in + "c_" + gpu + "_fp32.txt",
          "00111000100000000000000000000000\n"
          "00111111100000000000000000000000\n");
    Write(in + "d_" + gpu + "_fp32.txt",
          "00111111100000000000001000000000\n"
          "01000000000100000000000000000000\n");
    if (input == "bf16" || input == "tf32") return;  // no instruction gives fp16 from these
    Write(in + "d_" + gpu + "_fp16.txt",
          "00111111100000000000000000000000\n"
          "01000000000100000000000000000000\n");
  }

  VectorSet Set(const std::string& output) const {
    for (const VectorSet& set : ListVectorSets(root_)) {
      if (set.output == output) return set;
    }
    throw std::out_of_range(output);
  }

  /// The message of the VectorError that replaying the fp32 set throws.
  std::string Refusal() const {
    try {
      ReplayVectors(Set("fp32"));
    } catch (const sim::VectorError& e) {
      return e.what();
    }
    return "no error";
  }

  void ExpectRefused(const std::string& part) const {
    const std::string message = Refusal();
    EXPECT_NE(message.find(part), message.npos) << message << "\n  should contain: " << part;
    EXPECT_EQ(message.find('\n'), message.npos) << message;
  }

  fs::path root_;
};

TEST_F(VectorsTest, GoodFolderMatchesBesideOtherFiles) {
  WriteFolder("A100", "fp16");
  Write("LICENCE", "text");
  Write("README.md", "text");
  Write("CUDA/wmma.cu", "code");
  Write("A100/notes.txt", "text");
  Write("A100/fp16/readme.txt", "text");
  const auto sets = ListVectorSets(root_);
  ASSERT_EQ(sets.size(), 2u);
  for (const VectorSet& set : sets) {
    const auto replay = ReplayVectors(set);
    EXPECT_EQ(replay.rows, 2) << set.Name();
    EXPECT_EQ(replay.matched, 2) << set.Name();
    EXPECT_FALSE(replay.first_mismatch);
  }
  EXPECT_EQ(sets[0].Name(), "A100/fp16 -> fp16");
  EXPECT_EQ(sets[1].Name(), "A100/fp16 -> fp32");
  // The folder of one GPU, or of one input format, does as well.
  EXPECT_EQ(ListVectorSets(root_ / "A100").size(), 2u);
  EXPECT_EQ(ListVectorSets(root_ / "A100" / "fp16" / "").size(), 2u);
}

TEST_F(VectorsTest, LineEndsOfOtherSystemsAndTrailingEmptyLines) {
  WriteFolder("A100", "fp16");
  Write("A100/fp16/d_A100_fp32.txt",
        "00111111100000000000001000000000\r\n"
        "01000000000100000000000000000000\r\n\r\n\n");
  Write("A100/fp16/c_A100_fp32.txt",
        "00111000100000000000000000000000\n"
        "00111111100000000000000000000000");
  EXPECT_EQ(ReplayVectors(Set("fp32")).matched, 2);
}

// Every set of the complete published folder, and the machine and c it needs: numerics of the
// source repository's CUDA kernels and of Validate_TC_models.m.
TEST_F(VectorsTest, EverySetFindsItsMachine) {
  const std::map<std::string, std::string> arch = {
      {"V100", "volta"}, {"A100", "ampere"}, {"A2", "ampere"},   {"Ada", "ada"},
      {"L40S", "ada"},   {"H100", "hopper"}, {"H200", "hopper"}, {"B200", "blackwell"}};
  for (const auto& [gpu, name] : arch) {
    WriteFolder(gpu, "fp16");
    if (gpu == "V100") continue;
    WriteFolder(gpu, "bf16");
    WriteFolder(gpu, "tf32");
    if (name == "ampere") continue;
    WriteFolder(gpu, "E4M3");
    WriteFolder(gpu, "E5M2");
    if (gpu != "L40S") continue;
    fs::remove(root_ / "L40S" / "E4M3" / "d_L40S_fp16.txt");
    fs::remove(root_ / "L40S" / "E5M2" / "d_L40S_fp16.txt");
  }
  const std::map<std::string, std::string> in = {
      {"fp16", "f16"}, {"bf16", "bf16"}, {"tf32", "tf32"}, {"E4M3", "e4m3"}, {"E5M2", "e5m2"}};
  int sets = 0;
  for (const VectorSet& set : ListVectorSets(root_)) {
    const std::string& a = arch.at(set.gpu);
    const bool fp8 = set.input == "E4M3" || set.input == "E5M2";
    const bool wgmma = a == "hopper" && fp8 && set.output == "fp32";
    const bool wmma = (a == "hopper" || a == "blackwell") && set.input == "tf32";
    const std::string expected = a +
                                 (wgmma  ? ":wgmma:"
                                  : wmma ? ":wmma:"
                                         : ":mma.sync:") +
                                 in.at(set.input) + (set.output == "fp32" ? ":f32" : ":f16");
    EXPECT_EQ(test::Name(*set.machine), expected) << set.Name();
    EXPECT_EQ(set.uses_c, !wgmma) << set.Name();
    ++sets;
  }
  EXPECT_EQ(sets, 48);
}

TEST_F(VectorsTest, HopperFp8IgnoresCButChecksIt) {
  WriteFolder("H100", "E4M3");
  Write("H100/E4M3/d_H100_fp32.txt",
        "00111111100000000000000000000000\n"
        "00111111101000000000000000000000\n");
  EXPECT_EQ(ReplayVectors(Set("fp32")).matched, 2);  // 1 and 1.25: c is not in them
  Write("H100/E4M3/c_H100_fp32.txt", "00111000100000000000000000000000\n");
  ExpectRefused("c_H100_fp32.txt: expected row 2");
  // Where nothing needs c it may be missing.
  fs::remove(root_ / "H100/E4M3/d_H100_fp16.txt");
  fs::remove(root_ / "H100/E4M3/c_H100_fp32.txt");
  EXPECT_EQ(ReplayVectors(Set("fp32")).matched, 2);
}

TEST_F(VectorsTest, CorruptedAnswerIsAMismatchWithItsRow) {
  WriteFolder("A100", "fp16");
  Write("A100/fp16/d_A100_fp32.txt",
        "00111111100000000000001000000000\n"
        "01000000000100000000000000000001\n");
  const auto replay = ReplayVectors(Set("fp32"));
  EXPECT_EQ(replay.rows, 2);
  EXPECT_EQ(replay.matched, 1);
  ASSERT_TRUE(replay.first_mismatch);
  EXPECT_EQ(replay.first_mismatch->row, 2);
  EXPECT_EQ(replay.first_mismatch->expected, 0x4010'0001u);
  EXPECT_EQ(replay.first_mismatch->got, 0x4010'0000u);
  EXPECT_EQ(replay.first_mismatch->a, (std::vector<uint32_t>{0x3E00, 0xBC00, 0, 0}));
  EXPECT_EQ(replay.first_mismatch->c, 0x3F80'0000u);
}

// An answer that no binary16 number has is wrong, not malformed.
TEST_F(VectorsTest, CorruptedLowBitOfAnFp16AnswerIsAMismatch) {
  WriteFolder("A100", "fp16");
  Write("A100/fp16/d_A100_fp16.txt",
        "00111111100000000000000000000001\n"
        "01000000000100000000000000000000\n");
  const auto replay = ReplayVectors(Set("fp16"));
  EXPECT_EQ(replay.matched, 1);
  ASSERT_TRUE(replay.first_mismatch);
  EXPECT_EQ(replay.first_mismatch->row, 1);
  EXPECT_EQ(replay.first_mismatch->expected, 0x3F80'0001u);
  EXPECT_EQ(replay.first_mismatch->got, 0x3F80'0000u);
}

// 1 + c with c = 2^-11 + 2^-24: exactly added, 1 + 2^-10 is nearest; with c first rounded to the
// tie 2^-11 in binary16, 1 is.
TEST_F(VectorsTest, AddendOfFp16SetIsRoundedFirst) {
  WriteFolder("A100", "fp16");
  Write("A100/fp16/c_A100_fp32.txt",
        "00111010000000000000010000000000\n"
        "00111111100000000000000000000000\n");
  EXPECT_EQ(ReplayVectors(Set("fp16")).matched, 2);
}

// c = 2^-11 - 2^-24 is nearest to 2^-11 in binary16, which makes 1 + 2^-10 + c a tie that goes up.
// A cut c, or one not rounded, would leave it at 1 + 2^-10.
TEST_F(VectorsTest, AddendOfFp16SetIsRoundedToNearest) {
  WriteFolder("A100", "fp16");
  Write("A100/fp16/a_A100_fp16.txt", "3f802000\n");
  Write("A100/fp16/b_A100_fp16.txt", "3f800000\n");
  Write("A100/fp16/c_A100_fp32.txt", "00111001111111111111100000000000\n");
  Write("A100/fp16/d_A100_fp16.txt", "00111111100000000100000000000000\n");
  EXPECT_EQ(ReplayVectors(Set("fp16")).matched, 1);
}

TEST_F(VectorsTest, TruncatedFilesAreRefused) {
  WriteFolder("A100", "fp16");
  for (const std::string name :
       {"a_A100_fp16.txt", "b_A100_fp16.txt", "c_A100_fp32.txt", "d_A100_fp32.txt"}) {
    SCOPED_TRACE(name);
    const fs::path path = root_ / "A100/fp16" / name;
    std::ifstream in(path, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), {});
    const size_t line = whole.find('\n') + 1;
    Write("A100/fp16/" + name, whole.substr(0, line));
    ExpectRefused(name + ": expected row 2");
    Write("A100/fp16/" + name, whole.substr(0, line + 12));  // in the middle of a line
    ExpectRefused(name + ":2: expected");
    Write("A100/fp16/" + name, whole + whole.substr(line));
    ExpectRefused("expected row 3, which " + name + " has");
    Write("A100/fp16/" + name, "");
    ExpectRefused(name + ": expected row 1");
    Write("A100/fp16/" + name, whole.substr(0, line) + "\n" + whole.substr(line));
    ExpectRefused(name + ":2: expected a row, found an empty line");
    Write("A100/fp16/" + name, whole);
  }
  for (const char* file : {"a_A100_fp16", "b_A100_fp16", "c_A100_fp32", "d_A100_fp32"})
    Write("A100/fp16/" + std::string(file) + ".txt", "");
  ExpectRefused("expected rows, found an empty file");
}

TEST_F(VectorsTest, MalformedLinesAreRefused) {
  const std::string good = "3f800000 00000000 00000000 00000000\n";
  const std::tuple<const char*, std::string, const char*> cases[] = {
      {"a_A100_fp16.txt", good + "3fc00000 bf800000 00000000\n",
       "a_A100_fp16.txt:2: expected 4 words, as in the first row of a, found 3"},
      {"b_A100_fp16.txt", "3f800000 00000000 00000000 00000000 3f800000\n" + good,
       "b_A100_fp16.txt:1: expected 4 words, as in the first row of a, found 5"},
      {"a_A100_fp16.txt", "3f80000g 00000000 00000000 00000000\n" + good,
       "a_A100_fp16.txt:1: expected 8 hex digits, found \"3f80000g\""},
      {"b_A100_fp16.txt", good + "3f800000 0000000 00000000 00000000\n",
       "b_A100_fp16.txt:2: expected 8 hex digits, found \"0000000\""},
      {"b_A100_fp16.txt", good + "3f800000 000000000 00000000 00000000\n",
       "b_A100_fp16.txt:2: expected 8 hex digits, found \"000000000\""},
      {"d_A100_fp32.txt", "3f800200\n3f800200\n",
       "d_A100_fp32.txt:1: expected 32 binary digits, found \"3f800200\""},
      {"d_A100_fp32.txt", "00111111100000000000001000000002\n",
       "d_A100_fp32.txt:1: expected 32 binary digits"},
      {"c_A100_fp32.txt", "001110001000000000000000000000000\n",
       "c_A100_fp32.txt:1: expected 32 binary digits"},
      {"c_A100_fp32.txt", std::string(100'000, '0'),
       "c_A100_fp32.txt:1: expected a row, found a line of more than 65535 characters"},
      {"a_A100_fp16.txt", "3f80" + std::string(4, '\0') + " 00000000\n",
       "a_A100_fp16.txt:1: expected 8 hex digits"},
  };
  for (const auto& [name, text, message] : cases) {
    WriteFolder("A100", "fp16");
    Write(std::string("A100/fp16/") + name, text);
    ExpectRefused(message);
  }
}

TEST_F(VectorsTest, ValuesTheInputFormatDoesNotHoldAreRefused) {
  const auto with = [&](const std::string& input, const std::string& word) {
    fs::remove_all(root_);
    WriteFolder("H100", input);
    Write("H100/" + input + "/a_H100_" + input + ".txt",
          "3f800000 " + word + " 00000000 00000000\n3fc00000 bf800000 00000000 00000000\n");
    return "a_H100_" + input + ".txt:1: expected a value that " + input + " holds exactly, found " +
           word;
  };
  for (const auto& [input, word] : std::initializer_list<std::pair<const char*, const char*>>{
           {"E4M3", "3f880000"},   // 1.0625
           {"E4M3", "43e80000"},   // 464 > 448
           {"E4M3", "7f800000"},   // Inf
           {"E4M3", "3a000000"},   // 2^-11
           {"E5M2", "3f900000"},   // 1.125
           {"E5M2", "47800000"},   // 65536
           {"fp16", "3f801000"},   // 1 + 2^-11
           {"bf16", "3f808000"},   // 1 + 2^-8
           {"tf32", "3f801000"}})  // 1 + 2^-11
    ExpectRefused(with(input, word));
  for (const auto& [input, word] :
       std::initializer_list<std::pair<const char*, const char*>>{{"E4M3", "43e00000"},
                                                                  {"E4M3", "3b000000"},
                                                                  {"E5M2", "ff800000"},
                                                                  {"tf32", "00002000"},
                                                                  {"E4M3", "7fffffff"},
                                                                  {"fp16", "7fc00000"},
                                                                  {"bf16", "80010000"}}) {
    with(input, word);
    EXPECT_EQ(Refusal(), "no error") << input << ' ' << word;
  }
}

TEST_F(VectorsTest, FoldersThatCannotBeReplayedAreRefused) {
  const auto refusal = [&](const fs::path& folder) -> std::string {
    try {
      ListVectorSets(folder);
    } catch (const sim::VectorError& e) {
      return e.what();
    }
    return "no error";
  };
  const auto expect = [&](const std::string& part) {
    const std::string message = refusal(root_);
    EXPECT_NE(message.find(part), message.npos) << message << "\n  should contain: " << part;
    fs::remove_all(root_);
    fs::create_directories(root_);
  };
  EXPECT_NE(refusal(root_ / "none").find("expected a folder"), std::string::npos);
  expect("found no vectors");
  WriteFolder("H900", "fp16");
  expect("unknown GPU \"H900\", expected one of V100, A100, A2, Ada, L40S, H100, H200, B200");
  WriteFolder("H100", "E3M4");
  expect("unknown input format \"E3M4\", expected one of fp16, bf16, tf32, E4M3, E5M2");
  WriteFolder("V100", "bf16");
  expect("the machine table has no volta:mma.sync:bf16:f32");
  WriteFolder("H100", "fp16");
  fs::remove(root_ / "H100/fp16/b_H100_fp16.txt");
  expect("expected one file b_*.txt, found 0");
  WriteFolder("H100", "fp16");
  fs::remove(root_ / "H100/fp16/c_H100_fp32.txt");
  expect("expected one file c_*_fp32.txt, found 0");
  WriteFolder("H100", "fp16");
  Write("H100/fp16/a_other.txt", "");
  expect("expected one file a_*.txt, found 2");
  WriteFolder("H100", "fp16");
  Write("H100/fp16/d_H100_fp64.txt", "");
  expect("d_H100_fp64.txt: unknown output");
  WriteFolder("H100", "fp16");
  fs::remove(root_ / "H100/fp16/d_H100_fp16.txt");
  fs::remove(root_ / "H100/fp16/d_H100_fp32.txt");
  expect("expected d_*_fp32.txt or d_*_fp16.txt, found neither");
}

// Rows are not held in memory and have no limit.
TEST_F(VectorsTest, ManyRows) {
  constexpr int kRows = 20'000;
  std::string ab, c, d;
  for (int i = 0; i < kRows; ++i) {
    ab += "3f800000 3f800000\n";
    c += "00000000000000000000000000000000\n";
    d += i == kRows - 1 ? "01000000000000000000000000000001\n"
                        : "01000000000000000000000000000000\n";
  }
  Write("B200/bf16/a_B200_bf16.txt", ab);
  Write("B200/bf16/b_B200_bf16.txt", ab);
  Write("B200/bf16/c_B200_fp32.txt", c);
  Write("B200/bf16/d_B200_fp32.txt", d);
  const auto replay = ReplayVectors(Set("fp32"));
  EXPECT_EQ(replay.rows, kRows);
  EXPECT_EQ(replay.matched, kRows - 1);
  ASSERT_TRUE(replay.first_mismatch);
  EXPECT_EQ(replay.first_mismatch->row, kRows);
}

}  // namespace
}  // namespace lostbits
