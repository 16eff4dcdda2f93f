// ex2.approx.ftz.f32 in a few megabytes, exactly, where it can be: what `lostbits-gpu ex2` records.
//
// All 2^32 inputs are asked, in 512 blocks of 2^23 (one sign and exponent each). Of every block the
// SHA-256 of its words is kept: 16 KiB in all, and whatever model of the instruction anyone thinks
// of later can be checked on every input against them. To build a model from:
//
//   delta_127      the words for [1, 2), each as its distance from the correctly rounded one (two
//                  bits; others in exceptions_127). All inputs there are multiples of 2^-23.
//   mode, unpredicted
//                  the hypothesis that 2^x = 2^floor(u) T(u - floor(u)), with T read off [1, 2) and
//                  u = x cut to a multiple of 2^-23 toward zero (0), down (1) or to nearest (2):
//                  which cut fits each block best, and how many of its words it misses.
//   delta_NNN      blocks that no cut predicts, up to kKeptBlocks of them: if the instruction reads
//                  more bits than 2^-23, these show it.
#ifndef LOSTBITS_SRC_EXP2_FILE_H_
#define LOSTBITS_SRC_EXP2_FILE_H_

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "golden_file.h"
#include "sha256.h"
#include "sim/exp2.h"

namespace lostbits {

using sim::Exp2Cut;

inline constexpr int kExp2Blocks = 512;  ///< sign and exponent
inline constexpr uint32_t kExp2BlockSize = 1u << 23;
inline constexpr int kExp2TableBlock = 127;  ///< [1, 2)
inline constexpr int kKeptBlocks = 3;        ///< besides

/// Bits of a block's first input.
inline uint32_t Exp2First(int block) { return static_cast<uint32_t>(block) * kExp2BlockSize; }
/// The nearest word to 2^x, subnormal inputs and results flushed.
uint32_t Exp2Nearest(uint32_t bits);
Sha256::Digest Exp2Digest(std::span<const uint32_t> words);

/// The words of one block as differences, and back. Equal to the words that went in.
struct Exp2Deltas {
  std::vector<uint8_t> packed;       ///< four to a byte, first in the low bits; 3: exception
  std::vector<uint32_t> exceptions;  ///< index, word, index, word, ...
};
Exp2Deltas PackDeltas(int block, std::span<const uint32_t> words);
std::vector<uint32_t> UnpackDeltas(int block, const Exp2Deltas& deltas);

struct Exp2Block {
  bool asked = false;
  Sha256::Digest digest{};
  Exp2Cut cut = Exp2Cut::kNone;  ///< fits best
  uint32_t unpredicted = 0;
};
struct Exp2Golden {
  Metadata metadata;
  std::array<Exp2Block, kExp2Blocks> blocks;
  std::map<int, Exp2Deltas> deltas;
  /// Over all words asked: distance from the correctly rounded one, -2 or less to 2 or more; of
  /// the blocks in `deltas` only.
  std::array<int64_t, 5> distances{};
};

void WriteExp2(const std::string& path, const Exp2Golden& golden);
Exp2Golden ReadExp2(const std::string& path);

/// A golden as the simulator takes it (sim::Exp2Model::kTable): blocks that follow from [1, 2), and
/// those kept whole. About 32 MB, and as much for each of the latter. Inputs of any other block are
/// missing. Throws std::invalid_argument if the words of [1, 2) are not those that were recorded.
class Exp2File {
 public:
  explicit Exp2File(const std::string& path);
  Exp2File(const Exp2File&) = delete;
  Exp2File& operator=(const Exp2File&) = delete;

  const sim::Exp2Table& table() const { return table_; }
  const std::string& device() const { return device_; }
  int blocks() const { return blocks_; }  ///< of the 512 that it has

 private:
  std::map<int, std::vector<uint32_t>> words_;
  std::vector<sim::Exp2Table::Segment> segments_;
  std::array<Exp2Cut, kExp2Blocks> cuts_;
  std::string device_;
  int blocks_ = 0;
  sim::Exp2Table table_;
};

}  // namespace lostbits

#endif  // LOSTBITS_SRC_EXP2_FILE_H_
