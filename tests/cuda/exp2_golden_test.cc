// ex2.approx as a golden: packed, rebuilt, replaced by a fuller one, refused.
#include "gpu/exp2_golden.h"

#include <algorithm>
#include <stdexcept>

#include "sim/exp2.h"
#include "sim/random.h"
#include "tests/cuda/golden_folder.h"

namespace lostbits::gpu {
namespace {

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

TEST_F(GoldenTest, Exp2GivesWayToMoreThatSaysTheSame) {
  const auto device = Device();
  Exp2Golden golden = CaptureExp2(*device, 1);
  golden.metadata = OriginOf(device->info(), {});
  const std::string path = Path("ex2.safetensors"), aside = Path("ex2.disagrees.safetensors");
  const auto asked = [&] {
    const Exp2Golden read = ReadExp2(path);
    return std::count_if(read.blocks.begin(), read.blocks.end(),
                         [](const Exp2Block& block) { return block.asked; });
  };
  const Exp2Golden one = golden;
  StoreExp2(path, golden);
  EXPECT_EQ(asked(), 2);  // and the table's
  constexpr size_t kMore = 3, kOther = 4;
  golden.blocks[kMore] = {true, {}, Exp2Cut::kTowardZero, 0};
  StoreExp2(path, golden);
  EXPECT_EQ(asked(), 3);
  // Fewer, or others of which some are not asked again, stay out.
  StoreExp2(path, one);
  EXPECT_EQ(asked(), 3);
  Exp2Golden others = one;
  others.blocks[kOther] = golden.blocks[kMore];
  StoreExp2(path, others);
  EXPECT_TRUE(ReadExp2(path).blocks[kMore].asked);
  EXPECT_FALSE(ReadExp2(path).blocks[kOther].asked);
  EXPECT_FALSE(fs::exists(aside));
  // More, but not the same: neither is lost, and both checksums are told.
  const std::string before = Content(path);
  golden.blocks[kOther] = golden.blocks[kMore];
  golden.blocks[0].digest[0] ^= 1;
  try {
    StoreExp2(path, golden);
    ADD_FAILURE() << "a golden that says otherwise was taken";
  } catch (const cli::Failure& failure) {
    EXPECT_EQ(failure.code(), cli::kMismatch);
    const std::string what = failure.what();
    for (const std::string& part : {HexText(golden.blocks[0].digest), HexText(one.blocks[0].digest),
                                    aside, std::string("0x00000000")})
      EXPECT_NE(what.find(part), what.npos) << what;
  }
  EXPECT_EQ(Content(path), before);
  EXPECT_EQ(ReadExp2(aside).blocks[0].digest, golden.blocks[0].digest);
  EXPECT_EQ(GoldensIn(folder_.string()), std::vector<fs::path>{path});

  golden.deltas.clear();
  WriteExp2(aside, golden);
  try {
    ReadExp2(aside);
    ADD_FAILURE() << "a golden without a table was read";
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(error.what(), aside + ": expected a tensor 'delta_127', found none");
  }
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

}  // namespace
}  // namespace lostbits::gpu
