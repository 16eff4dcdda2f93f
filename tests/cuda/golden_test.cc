// Goldens: written, read back, replayed, and refused; with the simulator as the device, into a
// folder of the test's own.
#include "gpu/golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "cuda/generator.h"
#include "gpu/chosen.h"
#include "gpu/exp2_golden.h"
#include "gpu/kernel_golden.h"
#include "sha256.h"
#include "sim/exp2.h"
#include "sim/random.h"

namespace lostbits::gpu {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Backend> Device(const std::string& setting = "") {
  return Simulate("hopper",
                  [=](const Unit& unit) { return MachineFor(unit, "hopper", setting).spec; });
}

class GoldenTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "lostbits_golden_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  TileGolden Make(const char* unit, Backend& device) {
    const Unit& u = *FindUnit(unit);
    TileGolden golden{OriginOf(device.info(), {}), "hopper", CaptureTiles(u, Ladders(u), 3, 4)};
    device.Run(golden.tiles);
    return golden;
  }
  std::string Path(const char* name) { return (folder_ / name).string(); }
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

  fs::path folder_;
};

/// The simulator, but one bit of one LSE.
class WrongLse : public Backend {
 public:
  WrongLse() : Backend(Device()->info()), right_(Device()) {}
  void Run(Tiles& tiles, Flags flags) override { right_->Run(tiles, flags); }
  void Ex2(uint32_t first, std::span<uint32_t> out) override { right_->Ex2(first, out); }
  void Encode(const fp8::Format& format, uint32_t first, std::span<uint8_t> out) override {
    right_->Encode(format, first, out);
  }
  std::vector<uint32_t> Gemm(const GemmPlan& plan, const GemmOperands& operands) override {
    return right_->Gemm(plan, operands);
  }
  AttentionRows Attention(const AttentionPlan& plan, const AttentionOperands& operands,
                          std::span<const int64_t> queries) override {
    AttentionRows rows = right_->Attention(plan, operands, queries);
    rows.lse[1] = std::nextafter(rows.lse[1], 1e9f);
    return rows;
  }
  void Codec(const CodecPlan& plan, std::span<const uint8_t> in, std::span<uint8_t> out) override {
    right_->Codec(plan, in, out);
  }

 private:
  std::unique_ptr<Backend> right_;
};

TEST(Sha256, PublishedDigests) {
  // FIPS 180-4's examples (NIST, "SHA256.pdf"), and the empty message.
  const auto digest = [](const std::string& text) {
    Sha256 sum;
    // In two pieces, so that a block is put together.
    const auto bytes = std::as_bytes(std::span(text));
    sum.Add(bytes.first(bytes.size() / 3));
    sum.Add(bytes.subspan(bytes.size() / 3));
    return HexText(sum.Finish());
  };
  EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digest(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_F(GoldenTest, ReadsBackWhatWasWritten) {
  const auto device = Device();
  for (const char* unit :
       {"wgmma.m64n8k32.e4m3.e5m2.f32", "mma.sync.m16n8k16.f16.f16", "mma.sync.m16n8k8.tf32.f32"}) {
    const TileGolden golden = Make(unit, *device);
    const std::string path = Path(unit) + ".safetensors";
    WriteTiles(path, golden);
    const TileGolden back = ReadTiles(path);
    EXPECT_EQ(back.tiles.unit, golden.tiles.unit);
    EXPECT_EQ(back.tiles.a, golden.tiles.a);
    EXPECT_EQ(back.tiles.b, golden.tiles.b);
    EXPECT_EQ(back.tiles.c, golden.tiles.c);
    EXPECT_EQ(back.tiles.d, golden.tiles.d);
    EXPECT_EQ(Lookup(back.metadata, "device"), "simulated hopper");
    for (const char* key : {"driver", "toolkit", "date", "instruction", "sha256"})
      EXPECT_NE(Lookup(back.metadata, key), "") << key;
    const Agreement found = ReplayTiles(back);
    EXPECT_EQ(found.matched, found.rows);
    EXPECT_EQ(found.rows, static_cast<int64_t>(golden.tiles.d.size()));
  }
}

TEST_F(GoldenTest, AnotherDeviceDisagreesAndSaysHowToRepeatIt) {
  const auto device = Device(), other = Device("F=24");
  const TileGolden golden = Make("wgmma.m64n8k16.bf16.f32", *device);
  EXPECT_EQ(RerunTiles(golden, *device).first, "");
  const Agreement found = RerunTiles(golden, *other);
  EXPECT_LT(found.matched, found.rows);
  EXPECT_NE(found.first.find("lostbits explain -m hopper:wgmma:bf16:f32 '"), std::string::npos);
  const TileGolden wrong = Make("wgmma.m64n8k16.bf16.f32", *other);
  EXPECT_LT(ReplayTiles(wrong).matched, ReplayTiles(wrong).rows);
}

TEST_F(GoldenTest, DamageIsFound) {
  const auto device = Device();
  const std::string path = Path("x.safetensors");
  WriteTiles(path, Make("wgmma.m64n8k32.e4m3.f32", *device));
  Damage(path);
  try {
    ReadTiles(path);
    FAIL() << "expected an error";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("SHA-256"), std::string::npos) << error.what();
  }
}

// Each ladder is there to show something: without it the setting beside it would pass unseen.
TEST_F(GoldenTest, LaddersShowEverySetting) {
  struct Other {
    const char* unit;
    const char* setting;
  };
  constexpr Other kOthers[] = {
      {"wgmma.m64n8k32.e4m3.f32", "F=12"},           {"wgmma.m64n8k32.e4m3.f32", "F=14"},
      {"wgmma.m64n8k32.e4m3.f32", "group=16"},       {"wgmma.m64n8k32.e4m3.f32", "out=acc"},
      {"wgmma.m64n8k32.e5m2.f16", "F=14"},           {"wgmma.m64n8k32.e4m3.f16", "rounding=rz"},
      {"wgmma.m64n8k16.f16.f16", "rounding=rz"},     {"mma.sync.m16n8k16.f16.f32", "rounding=rne"},
      {"mma.sync.m16n8k16.f16.f32", "F=24"},         {"mma.sync.m16n8k16.f16.f32", "F=26"},
      {"mma.sync.m16n8k8.tf32.f32", "group=4"},      {"mma.sync.m16n8k32.e5m2.f32", "flow=chained"},
      {"mma.sync.m16n8k32.e4m3.f16", "flow=chained"}};
  const auto device = Device();
  for (const Other& other : kOthers) {
    const Unit& unit = *FindUnit(other.unit);
    TileGolden golden{{}, "hopper", CaptureTiles(unit, Ladders(unit), 0, 0)};
    device->Run(golden.tiles);
    const Agreement found = RerunTiles(golden, *Device(other.setting));
    EXPECT_LT(found.matched, found.rows) << other.unit << "@" << other.setting;
  }
}

TEST(Chosen, EveryCaseHasAPlace) {
  for (const Unit& unit : kUnits) {
    SCOPED_TRACE(UnitName(unit));
    const std::vector<Case> cases = Ladders(unit);
    EXPECT_GT(cases.size(), 100u);
    const Tiles tiles = PackCases(unit, cases);
    const TileShape& s = unit.shape;
    const int bytes = s.row_bytes / s.k;
    size_t found = 0;
    for (const Case& x : cases) {
      bool here = false;
      for (int64_t t = 0; t < tiles.count && !here; ++t) {
        for (int i = 0; i < s.m && !here; ++i) {
          for (int j = 0; j < s.n && !here; ++j) {
            here = tiles.C(t, i, j) == x.c;
            for (int k = 0; k < s.k && here; ++k)
              here = LoadCode(tiles.A(t, i), k, bytes) == x.a[static_cast<size_t>(k)] &&
                     LoadCode(tiles.B(t, j), k, bytes) == x.b[static_cast<size_t>(k)];
          }
        }
      }
      found += here;
    }
    EXPECT_EQ(found, cases.size());
  }
}

TEST(Exp2Deltas, ReadBackWhatWasPacked) {
  std::vector<uint32_t> words(kExp2BlockSize);
  Device()->Ex2(uint32_t{127} << 23, words);
  words[5] += 7;  // farther than two bits reach
  words[6] = 0;
  const Exp2Deltas deltas = PackDeltas(127, words);
  EXPECT_EQ(deltas.packed.size(), size_t{1} << 21);
  EXPECT_EQ(deltas.exceptions.size(), 4u);
  EXPECT_EQ(UnpackDeltas(127, deltas), words);
}

TEST(Exp2Model, CutsAsItSays) {
  // T(f) = 2 + f 2^-22 in words: the index can be read off the result.
  std::vector<uint32_t> table(kExp2BlockSize);
  for (uint32_t i = 0; i < kExp2BlockSize; ++i) table[i] = 0x4000'0000 | i;
  const auto at = [&](float x, Exp2Cut cut) {
    return sim::Exp2FromOctave(table.data(), cut, fp8::BitCast<uint32_t>(x));
  };
  EXPECT_EQ(at(0.0f, Exp2Cut::kDown), 0x3F80'0000u);
  EXPECT_EQ(at(1.0f, Exp2Cut::kDown), 0x4000'0000u);
  EXPECT_EQ(at(3.5f, Exp2Cut::kTowardZero), 0x4140'0000u);
  EXPECT_EQ(at(-0.25f, Exp2Cut::kTowardZero), 0x3F60'0000u);
  // 0.5 + 2^-24: half a unit of 2^-23 above 0.5, tie to even.
  EXPECT_EQ(at(0.5f + 0x1p-24f, Exp2Cut::kTowardZero), 0x3FC0'0000u);
  EXPECT_EQ(at(0.5f + 0x1p-24f, Exp2Cut::kNearest), 0x3FC0'0000u);
  EXPECT_EQ(at(0.5f + 0x3p-24f, Exp2Cut::kNearest), 0x3FC0'0002u);
  // -2^-30: down is one unit below 0, 1 - 2^-23 of the octave below.
  EXPECT_EQ(at(-0x1p-30f, Exp2Cut::kDown), 0x3F7F'FFFFu);
  EXPECT_EQ(at(-0x1p-30f, Exp2Cut::kTowardZero), 0x3F80'0000u);
  EXPECT_EQ(at(-0x1p-30f, Exp2Cut::kNearest), 0x3F80'0000u);
  // The ends.
  EXPECT_EQ(at(128.0f, Exp2Cut::kDown), sim::kFp32Infinity);
  EXPECT_EQ(at(-126.0f, Exp2Cut::kDown), 0x0080'0000u);
  EXPECT_EQ(at(-126.5f, Exp2Cut::kDown), 0u);
  EXPECT_EQ(at(0x1p-140f, Exp2Cut::kDown), 0x3F80'0000u);
  EXPECT_EQ(sim::Exp2FromOctave(table.data(), Exp2Cut::kDown, 0x7f80'0001), sim::kFp32Nan);
  EXPECT_EQ(sim::Exp2FromOctave(table.data(), Exp2Cut::kDown, 0xff80'0000), 0u);
}

TEST_F(GoldenTest, Exp2IsRebuiltFromTheFile) {
  const auto device = Device();
  Exp2Golden golden = CaptureExp2(*device, 3);
  EXPECT_EQ(golden.deltas.size(), 1u);  // the simulated ex2 reads multiples of 2^-23
  const std::string path = Path("ex2.safetensors");
  golden.metadata = OriginOf(device->info(), {});
  WriteExp2(path, golden);
  EXPECT_LT(fs::file_size(path), 3u << 20);
  const Agreement found = ReplayExp2(path, 1);
  EXPECT_EQ(found.matched, found.rows);
  EXPECT_EQ(found.rows, 2 * int64_t{kExp2BlockSize});
  Damage(path);
  EXPECT_THROW(ReplayExp2(path, 1), std::invalid_argument);
}

// What `lostbits attention --exp2 FILE` computes with, from a file as a whole capture would be.
TEST_F(GoldenTest, Exp2FileIsTheDevicesFunction) {
  const auto device = Device();
  Exp2Golden golden = CaptureExp2(*device, 2);
  constexpr size_t kMissing = 20, kKept = 256 + 126;  // of tiny numbers, and (-1, -0.5]
  for (size_t i = 0; i < golden.blocks.size(); ++i) {
    Exp2Block& block = golden.blocks[i];
    if (i != kMissing && !block.asked) block = {true, {}, Exp2Cut::kTowardZero, 0};
  }
  std::vector<uint32_t> words(kExp2BlockSize);
  device->Ex2(Exp2First(kKept), words);
  words[77] ^= 1;  // of no interpolator
  golden.deltas[kKept] = PackDeltas(kKept, words);
  golden.blocks[kKept] = {true, Exp2Digest(words), Exp2Cut::kTowardZero, 1};
  golden.metadata = OriginOf(device->info(), {});
  const std::string path = Path("ex2.safetensors");
  WriteExp2(path, golden);

  const Exp2File file(path);
  EXPECT_EQ(file.device(), "simulated hopper");
  EXPECT_EQ(file.blocks(), 511);
  sim::Random r(1);
  int found = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto bits = static_cast<uint32_t>(r.Next());
    uint32_t word = 0;
    device->Ex2(bits, {&word, 1});
    float result = 0;
    const bool there = file.table().Find(fp8::BitCast<float>(bits), &result);
    ASSERT_EQ(there, bits >> 23 != kMissing) << std::hex << bits;
    if (!there) continue;
    ++found;
    ASSERT_EQ(fp8::BitCast<uint32_t>(result), word) << std::hex << bits;
  }
  EXPECT_GT(found, 190'000);
  float result = 0;
  ASSERT_TRUE(file.table().Find(fp8::BitCast<float>(Exp2First(kKept) + 77), &result));
  EXPECT_EQ(fp8::BitCast<uint32_t>(result), words[77]);

  golden.blocks[kExp2TableBlock].digest[0] ^= 1;
  WriteExp2(path, golden);
  EXPECT_THROW(Exp2File{path}, std::invalid_argument);
}

TEST_F(GoldenTest, KernelsAreReplayedFromTheirSeed) {
  const std::vector<KernelCase> cases = KernelCases("hopper");
  EXPECT_TRUE(KernelCases("ampere").empty());
  EXPECT_LT(KernelCases("ada").size(), cases.size());
  for (const KernelCase& c : cases) {
    if (c.name != "gemm.wgmma.scaled.64x128x4096" && c.name != "attention.wgmma.polynomial.d64.1k")
      continue;
    const std::string folder = Path(c.name.c_str()), path = folder + "/x.safetensors";
    Metadata origin = OriginOf(Device()->info(), {});
    // Words that are not the recipe's are kept, but not as a golden.
    const Agreement wrong = CaptureKernel(path, c, *Device("F=12"), 6, origin);
    EXPECT_LT(wrong.matched, wrong.rows);
    EXPECT_FALSE(fs::exists(path));
    EXPECT_TRUE(fs::exists(DisagreesPath(path)));
    EXPECT_TRUE(GoldensIn(folder).empty());
    const Agreement written = CaptureKernel(path, c, *Device(), 6, origin);
    EXPECT_EQ(written.matched, written.rows) << written.first;
    EXPECT_EQ(GoldensIn(folder), std::vector<fs::path>{path});
    // Nor do they take its place.
    const std::string before = Content(path);
    fs::remove(DisagreesPath(path));
    EXPECT_LT(CaptureKernel(path, c, *Device("F=12"), 7, origin).matched, written.rows);
    EXPECT_EQ(Content(path), before);
    EXPECT_TRUE(fs::exists(DisagreesPath(path)));
    fs::remove(DisagreesPath(path));
    const Agreement same = ReplayKernel(path, nullptr), again = ReplayKernel(path, Device().get());
    EXPECT_GT(same.rows, 200);
    EXPECT_EQ(same.matched, same.rows) << same.first;
    EXPECT_EQ(again.matched, again.rows);
    // Another machine, and a draw that has changed.
    EXPECT_LT(ReplayKernel(path, Device("F=12").get()).matched, same.rows);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    std::string text(4096, ' ');
    file.read(text.data(), 4096);
    file.clear();
    const std::string key = "\"operands_sha256\":\"";
    const size_t at = text.find(key);
    ASSERT_NE(at, std::string::npos);
    const char digit = text[at + key.size()];
    file.seekp(static_cast<std::streamoff>(at + key.size()));
    file.put(digit == '0' ? '1' : '0');
    file.close();
    EXPECT_THROW(ReplayKernel(path, nullptr), std::invalid_argument);
  }
}

TEST_F(GoldenTest, KernelsOfAttentionRecordTheirLse) {
  WrongLse wrong;
  for (const KernelCase& c : KernelCases("hopper")) {
    if (c.name != "attention.wgmma.polynomial.d64.1k") continue;
    const std::string path = Path("x.safetensors");
    const Agreement found = CaptureKernel(path, c, wrong, 0, OriginOf(wrong.info(), {}));
    EXPECT_EQ(found.rows - found.matched, 1);
    EXPECT_TRUE(found.first.starts_with("lse 1: ")) << found.first;
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(CaptureKernel(path, c, *Device(), 0, OriginOf(wrong.info(), {})).first, "");
    const Agreement replayed = ReplayKernel(path, &wrong);
    EXPECT_EQ(replayed.rows - replayed.matched, 1);
  }
}

}  // namespace
}  // namespace lostbits::gpu
