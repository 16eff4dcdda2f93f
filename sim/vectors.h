// Published hardware vectors, replayed: what a GPU answered against what its row of the machine
// table answers, bit for bit.
//
// A folder is laid out like model_validation/ of north-numerical-computing/MATLAB-tensor-core:
//
//   <GPU>/<input format>/
//     a_*.txt, b_*.txt   a row a line: K words of 8 hex digits, each the binary32 pattern of a
//                        value that the input format holds exactly
//     c_*_fp32.txt       the addend, 32 binary digits (binary32)
//     d_*_fp32.txt       the GPU's answer, 32 binary digits (binary32)
//     d_*_fp16.txt       the same for a binary16 answer, stored as the binary32 pattern of its
//                        value; its c was first rounded to binary16, to nearest even
//
// One d file is one set. Other files (LICENCE, README, sources) are left alone. Which instruction
// made which set, and whether it used c, is data in vectors.cc.
#ifndef LOSTBITS_SIM_VECTORS_H_
#define LOSTBITS_SIM_VECTORS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "sim/arch.h"

namespace lostbits::sim {

/// A folder or file that cannot be replayed: one line that names the file, the line (from 1), what
/// was expected and what came.
class VectorError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One set: a d file with the a, b and c it answers.
struct VectorSet {
  std::string gpu;                   ///< the folder's name: "H100"
  std::string input;                 ///< the inner folder's name: "E4M3"
  std::string output;                ///< "fp32" or "fp16"
  const ArchRow* machine = nullptr;  ///< the row that should reproduce it
  bool uses_c = true;                ///< false: the instruction ran with c = 0
  std::filesystem::path a, b, c, d;  ///< c may be empty if it is not used

  /// "H100/E4M3 -> fp32"
  std::string Name() const { return gpu + "/" + input + " -> " + output; }
};

/// A row on which the GPU and the table differ.
struct VectorMismatch {
  int64_t row;                 ///< from 1: the line of the files
  uint32_t expected;           ///< the GPU's answer, as the d file has it (binary32)
  uint32_t got;                ///< the table's answer, in the same form
  std::vector<uint32_t> a, b;  ///< operand codes in the machine's formats
  uint32_t c;                  ///< word of the machine's accumulator format
};

struct VectorReplay {
  int64_t rows = 0;
  int64_t matched = 0;
  std::optional<VectorMismatch> first_mismatch;
};

/// All sets below `folder`, which is the root, a GPU's folder or a single input format's; in order
/// of GPU, input and output name. A folder that holds a_*.txt or the like but whose GPU or input
/// format is unknown, a set with a file missing, and a root without any set are errors.
/// Throws VectorError. Cost: reads directories only.
std::vector<VectorSet> ListVectorSets(const std::filesystem::path& folder);

/// Replays every row of a set. Words are compared bit for bit, except that any NaN equals any NaN
/// in an fp16 set (their form in the file has lost the payload). Reads the files side by side, a
/// row at a time, so their length does not matter. Throws VectorError on an unreadable file, a
/// malformed line, a value the input format does not hold, files of different length, and empty
/// files.
VectorReplay ReplayVectors(const VectorSet& set);

}  // namespace lostbits::sim

#endif  // LOSTBITS_SIM_VECTORS_H_
