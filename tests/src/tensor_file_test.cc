// Tensor files: what numpy and safetensors write is read, what is broken is refused in one line
// that names the file, and nothing half-written appears.
#include "tensor_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "fp8/codec.h"
#include "tests/src/error_of.h"
#include "tests/support/folder_test.h"

namespace lostbits {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

class TensorFile : public test::FolderTest {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
    return Path(name);
  }
};

/// A .npy file by hand, byte for byte as numpy.lib.format lays it out.
std::string Npy(const std::string& dict, const std::string& data, int version = 1) {
  std::string header = dict;
  const size_t prefix = version == 1 ? 10 : 12;
  while ((prefix + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string file = "\x93NUMPY"s + static_cast<char>(version) + '\0';
  for (size_t i = 0; i < prefix - 8; ++i)
    file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + data;
}

std::string Dict(const std::string& descr, const std::string& shape,
                 const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string Safetensors(const std::string& header, const std::string& data) {
  std::string file;
  for (size_t i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + data;
}

std::string ErrorOf(const std::string& path, std::optional<fp8::Format> as = std::nullopt) {
  return test::ErrorOf([&] { ReadTensor(path, as); });
}

const std::string kOneTwo = "\x00\x00\x80\x3f\x00\x00\x00\x40"s;  // 1.0f, 2.0f

TEST_F(TensorFile, ReadsEveryNpyVersion) {
  for (int version : {1, 2, 3}) {
    const Tensor t = ReadTensor(Write("v.npy", Npy(Dict("<f4", "(2,)"), kOneTwo, version)));
    ASSERT_EQ(t.shape, std::vector<int64_t>{2}) << "version " << version;
    EXPECT_TRUE(t.format == fp8::kFP32);
    EXPECT_EQ(t.Code(0), 0x3f80'0000u);
    EXPECT_EQ(t.Code(1), 0x4000'0000u);
  }
}

TEST_F(TensorFile, ReadsScalarsAndEmptyTensors) {
  const Tensor scalar = ReadTensor(Write("s.npy", Npy(Dict("<f4", "()"), kOneTwo.substr(0, 4))));
  EXPECT_TRUE(scalar.shape.empty());
  EXPECT_EQ(scalar.Count(), 1);
  const Tensor none = ReadTensor(Write("e.npy", Npy(Dict("<f4", "(0, 3)"), "")));
  EXPECT_EQ(none.Count(), 0);
}

TEST_F(TensorFile, FortranOrderBecomesCOrder) {
  // [[0, 1, 2], [3, 4, 5]] column by column.
  const std::string data = "\x00\x03\x01\x04\x02\x05"s;
  const Tensor t = ReadTensor(Write("f.npy", Npy(Dict("|u1", "(2, 3)", "True"), data)));
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(t.Code(i), static_cast<uint64_t>(i)) << "element " << i;
}

TEST_F(TensorFile, MlDtypesArraysNeedAFormat) {
  for (const char* descr : {"|V1", "<V1", "<f1", "|u1"}) {
    const std::string path = Write("m.npy", Npy(Dict(descr, "(2,)"), "\x38\xBC"s));
    EXPECT_FALSE(ReadTensor(path).format.has_value()) << descr;
    const Tensor t = ReadTensor(path, fp8::kE4M3FN);
    EXPECT_TRUE(t.format == fp8::kE4M3FN) << descr;
    EXPECT_EQ(fp8::Decode(*t.format, t.Code(1)), -1.5f) << descr;
  }
}

TEST_F(TensorFile, FormatMustNotContradictTheFile) {
  const std::string floats = Write("f.npy", Npy(Dict("<f4", "(2,)"), kOneTwo));
  EXPECT_NE(ErrorOf(floats, fp8::kE4M3FN).find("expected float8_e4m3fn elements, found float32"),
            std::string::npos);
  EXPECT_EQ(ErrorOf(floats, fp8::kTF32), "(no error)");
  const std::string bytes = Write("b.npy", Npy(Dict("|u1", "(1,)"), "\x40"s));
  EXPECT_NE(ErrorOf(bytes, fp8::kBF16).find("2-byte elements"), std::string::npos);
  EXPECT_NE(ErrorOf(bytes, fp8::kE2M3).find("6-bit codes"), std::string::npos);
}

TEST_F(TensorFile, RefusesBrokenNpyInOneLine) {
  const std::string good = Npy(Dict("<f4", "(2,)"), kOneTwo);
  std::string huge_header = good.substr(0, 64);
  huge_header[8] = huge_header[9] = '\xFF';
  std::string version = good;
  version[6] = 9;
  const std::tuple<const char*, std::string, const char*> kCases[] = {
      {"empty", "", "empty file"},
      {"short", good.substr(0, 5), "truncated"},
      {"magic", "PK\x03\x04 this is a zip archive"s, "NUMPY"},
      {"header cut", good.substr(0, 40), "truncated"},
      {"header length", huge_header, "65535"},
      {"version", version, "version 1, 2 or 3"},
      {"data cut", good.substr(0, good.size() - 1), "expected 8 bytes"},
      {"data too long", good + "x", "expected 8 bytes"},
      {"object", Npy(Dict("|O", "(2,)"), kOneTwo), "object array"},
      {"big-endian", Npy(Dict(">f4", "(2,)"), kOneTwo), "big-endian"},
      {"complex", Npy(Dict("<c8", "(1,)"), kOneTwo), "found '<c8'"},
      {"signed", Npy(Dict("<i4", "(2,)"), kOneTwo), "found '<i4'"},
      {"structured",
       Npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", kOneTwo),
       "structured"},
      {"missing key", Npy("{'descr': '<f4', 'shape': (2,), }", kOneTwo), "fortran_order"},
      {"unknown key", Npy("{'descr': '<f4', 'pickle': True}", kOneTwo), "pickle"},
      {"overflow", Npy(Dict("<f4", "(4294967296, 4294967296, 4)"), kOneTwo), "fits memory"},
      {"overflow in bytes", Npy(Dict("<f8", "(9223372036854775807,)"), kOneTwo), "fits memory"},
      {"huge extent", Npy(Dict("<f4", "(99999999999999999999,)"), kOneTwo), "63 bits"},
      {"negative", Npy(Dict("<f4", "(-1,)"), kOneTwo), "header"},
      {"many bytes claimed", Npy(Dict("<f4", "(1000000000000,)"), kOneTwo), "truncated"},
      {"unclosed", Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,", kOneTwo), "header"},
      {"control characters", Npy("{'de\x1b[2Jscr\n': 1}", kOneTwo), "found 'de?[2Jscr?'"},
  };
  for (const auto& [what, bytes, part] : kCases) {
    const std::string path = Write("bad.npy", bytes);
    const std::string error = ErrorOf(path);
    EXPECT_NE(error.find(part), error.npos) << what << ": " << error;
    EXPECT_NE(error.find(path), error.npos) << what << ": " << error;
    EXPECT_EQ(error.find('\n'), error.npos) << what << ": " << error;
  }
  EXPECT_NE(ErrorOf(Path("nowhere.npy")).find("cannot open"), std::string::npos);
  EXPECT_NE(ErrorOf(Path("x.txt")).find(".npy or .safetensors"), std::string::npos);
  fs::create_directory(Path("folder.npy"));
  EXPECT_NE(ErrorOf(Path("folder.npy")).find("a folder"), std::string::npos);
}

TEST_F(TensorFile, EveryTruncationIsRefused) {
  const std::string npy = Npy(Dict("<f4", "(2,)"), kOneTwo);
  for (size_t n = 0; n < npy.size(); ++n)
    EXPECT_NE(ErrorOf(Write("t.npy", npy.substr(0, n))), "(no error)") << n << " bytes";
  const std::string st =
      Safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", kOneTwo);
  EXPECT_EQ(ErrorOf(Write("t.safetensors", st)), "(no error)");
  for (size_t n = 0; n < st.size(); ++n)
    EXPECT_NE(ErrorOf(Write("t.safetensors", st.substr(0, n))), "(no error)") << n << " bytes";
}

TEST_F(TensorFile, ReadsSafetensorsByName) {
  const std::string file =
      Safetensors(R"({"__metadata__":{"format":"pt"},)"
                  R"("v":{"dtype":"F8_E5M2","shape":[2],"data_offsets":[2,4]},)"
                  R"("k":{"dtype":"F8_E4M3","shape":[1,2],"data_offsets":[0,2]}})",
                  "\x38\xBC\x3C\xBC"s);
  const std::string path = Write("kv.safetensors", file);
  EXPECT_EQ(SafetensorsNames(path), (std::vector<std::string>{"k", "v"}));
  const Tensor k = ReadTensor(path + ":k");
  EXPECT_TRUE(k.format == fp8::kE4M3FN);
  EXPECT_EQ(k.shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(k.Code(1), 0xBCu);
  const Tensor v = ReadTensor(path + ":v");
  EXPECT_TRUE(v.format == fp8::kE5M2);
  EXPECT_EQ(v.Code(0), 0x3Cu);
  EXPECT_NE(ErrorOf(path).find("found 2 (k, v)"), std::string::npos) << ErrorOf(path);
  EXPECT_NE(ErrorOf(path + ":q").find("expected a tensor 'q', found k, v"), std::string::npos);
}

TEST_F(TensorFile, RefusesBrokenSafetensorsInOneLine) {
  const auto entry = [](const std::string& fields) {
    return Safetensors("{\"x\":{" + fields + "}}", kOneTwo);
  };
  const std::tuple<const char*, std::string, const char*> kCases[] = {
      {"empty", "", "empty file"},
      {"no JSON", Safetensors("nonsense", ""), "JSON object"},
      {"array", Safetensors("[1,2]", ""), "JSON object"},
      {"header length", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}"s, "truncated or no"},
      {"no tensor", Safetensors("{}", ""), "found none"},
      {"no dtype", entry(R"("shape":[2],"data_offsets":[0,8])"), "expected dtype"},
      {"dtype kind", entry(R"("dtype":4,"shape":[2],"data_offsets":[0,8])"), "expected dtype"},
      {"dtype", entry(R"("dtype":"I64","shape":[1],"data_offsets":[0,8])"), "found I64"},
      {"packed FP4", entry(R"("dtype":"F4","shape":[16],"data_offsets":[0,8])"), "found F4"},
      {"negative", entry(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "extents >= 0"},
      {"fraction", entry(R"("dtype":"F32","shape":[2.5],"data_offsets":[0,8])"), "extents >= 0"},
      {"offsets", entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "data_offsets"},
      {"past the end", entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,16])"), "truncated"},
      {"size", entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])"), "expected 4 bytes"},
      {"overflow", entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"),
       "fits memory"},
  };
  for (const auto& [what, bytes, part] : kCases) {
    const std::string error = ErrorOf(Write("bad.safetensors", bytes));
    EXPECT_NE(error.find(part), error.npos) << what << ": " << error;
    EXPECT_EQ(error.find('\n'), error.npos) << what << ": " << error;
  }
}

TEST_F(TensorFile, WritesWhatItReads) {
  for (const fp8::Format& format : {fp8::kE4M3FN, fp8::kE5M2, fp8::kFP16, fp8::kBF16, fp8::kFP32,
                                    fp8::kFP64, fp8::kE8M0, fp8::kE2M1}) {
    Tensor t = MakeTensor(format, {3, 2});
    for (int64_t i = 0; i < 6; ++i) t.SetCode(i, static_cast<uint64_t>(2 * i + 1));
    for (const char* name : {"t.npy", "t.safetensors"}) {
      WriteTensor(Path(name), t);
      const Tensor back = ReadTensor(Path(name), format);
      EXPECT_EQ(back.shape, t.shape) << name;
      EXPECT_EQ(back.data, t.data) << name;
    }
  }
}

TEST_F(TensorFile, ElementsStartAligned) {
  WriteTensor(Path("a.npy"), MakeTensor(fp8::kFP32, {5}));
  EXPECT_EQ((fs::file_size(Path("a.npy")) - 20) % 64, 0u);
}

TEST_F(TensorFile, NothingHalfWrittenAppears) {
  const Tensor t = MakeTensor(fp8::kFP32, {4});
  EXPECT_THROW(WriteTensor(Path("no/such/folder/t.npy"), t), std::invalid_argument);
  EXPECT_THROW(WriteTensor(Path("t.bin"), t), std::invalid_argument);
  fs::create_directory(Path("d.npy"));
  EXPECT_THROW(WriteTensor(Path("d.npy"), t), std::invalid_argument);
  WriteTensor(Path("t.npy"), t);
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_)) left.push_back(entry.path().filename());
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"d.npy", "t.npy"}));
}

TEST_F(TensorFile, ASymbolicLinkStaysOne) {
  WriteTensor(Path("real.npy"), MakeTensor(fp8::kFP32, {1}));
  fs::create_symlink(Path("real.npy"), Path("link.npy"));
  WriteTensor(Path("link.npy"), MakeTensor(fp8::kFP32, {9}));
  EXPECT_TRUE(fs::is_symlink(Path("link.npy")));
  EXPECT_EQ(ReadTensor(Path("real.npy")).shape, std::vector<int64_t>{9});
}

}  // namespace
}  // namespace lostbits
