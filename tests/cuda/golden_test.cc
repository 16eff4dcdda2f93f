// Goldens: written, read back, replayed, and refused; with the simulator as the device, into a
// folder of the test's own.
#include "gpu/golden.h"

#include <cmath>
#include <fstream>
#include <memory>
#include <stdexcept>

#include "cuda/generator.h"
#include "gpu/kernel_golden.h"
#include "sha256.h"
#include "tests/cuda/golden_folder.h"

namespace lostbits::gpu {
namespace {

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

// What is recorded from a GPU, and what from a simulator, lie apart.
TEST_F(GoldenTest, SimulatedGoldensAreNoneOfGpus) {
  const DeviceInfo simulated = Device()->info();
  DeviceInfo gpu = simulated;
  gpu.name = "a GPU";
  gpu.simulated = false;
  const auto refused = [&](const fs::path& folder, const DeviceInfo& info) {
    try {
      CheckFolder(folder.string(), info);
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  for (const char* folder : {"tests/golden", "tests/golden/", "tests/x/../golden/mine"}) {
    EXPECT_TRUE(refused(folder_ / folder, simulated)) << folder;
    EXPECT_FALSE(refused(folder_ / folder, gpu)) << folder;
  }
  EXPECT_FALSE(refused(folder_ / "tests/golden2", simulated));
  fs::create_directories(folder_ / "tests/golden");
  fs::create_directory_symlink(folder_ / "tests/golden", folder_ / "link");
  EXPECT_TRUE(refused(folder_ / "link", simulated));

  // What lies there decides, too: tiles, then probes.
  const auto device = Device();
  for (const DeviceInfo& info : {simulated, gpu}) {
    for (const bool probes : {false, true}) {
      const fs::path folder = folder_ / fmt::format("{}{}", info.simulated, probes);
      const fs::path path =
          folder / "hopper" / (probes ? "probes.json" : "wgmma.m64n8k16.bf16.f32.safetensors");
      if (probes) {
        fs::create_directories(path.parent_path());
        std::ofstream(path) << DeviceJson(info);
      } else {
        TileGolden golden = Make("wgmma.m64n8k16.bf16.f32", *device);
        golden.metadata = OriginOf(info, {});
        WriteTiles(path.string(), golden);
      }
      EXPECT_EQ(IsSimulated(path), info.simulated);
      EXPECT_EQ(refused(folder, simulated), !info.simulated) << path;
      EXPECT_EQ(refused(folder, gpu), info.simulated) << path;
    }
  }
  std::ofstream(folder_ / "probes.json") << "[]";
  EXPECT_TRUE(IsSimulated(folder_ / "probes.json"));
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
