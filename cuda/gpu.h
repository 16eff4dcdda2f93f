// What a GPU is asked, and who answers: a device, or the simulator in its place. Builds everywhere,
// with or without nvcc.
//
// A Backend runs one matrix instruction on tiles (cuda/unit.h) and returns what it wrote, bit for
// bit. Errors of the CUDA runtime are std::runtime_error; nothing here falls back to the simulator
// by itself, and DeviceInfo::simulated says who answered.
#ifndef LOSTBITS_CUDA_GPU_H_
#define LOSTBITS_CUDA_GPU_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/attention_plan.h"
#include "cuda/codec_plan.h"
#include "cuda/gemm_plan.h"
#include "cuda/unit.h"
#include "sim/arch.h"

namespace lostbits::gpu {

/// A device that lacks an instruction: nothing wrong with the question, it goes unanswered here.
class NotOnThisDevice : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct DeviceInfo {
  std::string name;     ///< "NVIDIA H100 80GB HBM3"; "simulated hopper"
  int capability = 0;   ///< 10 * major + minor
  std::string arch;     ///< of the machine table; "" if the table has none for it
  std::string driver;   ///< as the system names it
  std::string toolkit;  ///< that the device code was compiled with
  bool simulated = false;
};

/// Of one kernel, with CUDA events.
struct Timing {
  double median = 0, best = 0;  ///< seconds
  int runs = 0;
};

/// Tiles of one unit, one after another.
struct Tiles {
  Tiles(const Unit& unit, int64_t count);

  const Unit* unit;
  int64_t count;
  std::vector<uint8_t> a, b;   ///< [count][m][row_bytes], [count][n][row_bytes]
  std::vector<uint32_t> c, d;  ///< [count][m][n]

  uint8_t* A(int64_t tile, int row);
  uint8_t* B(int64_t tile, int col);
  uint32_t& C(int64_t tile, int row, int col);
  const uint8_t* A(int64_t tile, int row) const;
  const uint8_t* B(int64_t tile, int col) const;
  uint32_t C(int64_t tile, int row, int col) const;
  uint32_t D(int64_t tile, int row, int col) const;

 private:
  size_t At(int64_t tile, int row, int col) const;
};

/// Tiles `first`, first + 1, ... of the generator (cuda/generator.h).
void Generate(uint64_t seed, int64_t first, Tiles& tiles);

/// One dot product: codes of a and b (fewer than k: zeros behind them), word of c.
struct Case {
  std::vector<uint64_t> a, b;
  uint32_t c = 0;
};

struct Mismatch {
  int64_t tile;
  int row, col;
  uint32_t device, twin;

  bool operator==(const Mismatch&) const = default;
};

/// Device and twin on generated tiles, output by output. NaN bits count.
struct Comparison {
  static constexpr int kKept = 16;
  int64_t cases = 0, mismatches = 0;
  int64_t nan = 0, inf = 0, zero = 0, subnormal = 0;  ///< among the device's words
  /// The first kKept by (tile, row, col); of a device with more than 2^16 in one round, some.
  std::vector<Mismatch> first;

  Comparison& operator+=(const Comparison& other);
};

class Backend {
 public:
  virtual ~Backend() = default;
  const DeviceInfo& info() const { return info_; }
  bool Runs(const Unit& unit) const;

  // All of these throw NotOnThisDevice if the device lacks an instruction that they need.

  /// tiles.d from tiles.a, b and c. Flags other than the default: wgmma only.
  virtual void Run(Tiles& tiles, Flags flags = {}) = 0;
  /// Tiles `first` to first + count - 1 of the generator, against `spec`.
  virtual Comparison Compare(const Unit& unit, const sim::AccumSpec& spec, uint64_t seed,
                             int64_t first, int64_t count);
  /// out[i] = ex2.approx.ftz.f32 of the float with bits first + i.
  virtual void Ex2(uint32_t first, std::span<uint32_t> out) = 0;
  /// out[i] = cvt.rn.satfinite to E4M3FN or E5M2 of the float with bits first + i. sm_89 and later.
  virtual void Encode(const fp8::Format& format, uint32_t first, std::span<uint8_t> out) = 0;

  /// The kernel of a plan: M x N words. A simulated device computes what the kernel is declared
  /// equal to.
  virtual std::vector<uint32_t> Gemm(const GemmPlan& plan, const GemmOperands& operands) = 0;
  /// Likewise; of all queries, those asked for.
  virtual AttentionRows Attention(const AttentionPlan& plan, const AttentionOperands& operands,
                                  std::span<const int64_t> queries) = 0;
  /// Elements of in.size() / their bytes, a multiple of 8. Little-endian words.
  virtual void Codec(const CodecPlan& plan, std::span<const uint8_t> in,
                     std::span<uint8_t> out) = 0;

  // Medians of several runs on the device. A simulated one throws std::invalid_argument.
  virtual Timing TimeCopy(int64_t bytes);  ///< read and written, together
  virtual Timing TimeCodec(const CodecPlan& plan, int64_t count);
  virtual Timing TimeGemm(const GemmPlan& plan, const GemmOperands& operands);
  /// cuBLASLt's FP8 product of that shape, BF16 output; runs = 0 if there is none.
  virtual Timing TimeGemmPeer(const GemmPlan& plan, const GemmOperands& operands);
  virtual Timing TimeAttention(const AttentionPlan& plan, const AttentionOperands& operands);

  /// One word a case. Every case is run in `copies` places of the tiles (see PlaceOf); if two
  /// places answer differently, std::runtime_error says so.
  std::vector<uint32_t> RunCases(const Unit& unit, const std::vector<Case>& cases, int copies = 1,
                                 Flags flags = {});

  // Throw NotOnThisDevice unless the device's compute capability has the instructions.
  void CheckRuns(const Unit& unit) const;
  void CheckRuns(const GemmPlan& plan) const;
  void CheckRuns(const AttentionPlan& plan) const;
  void CheckRuns(const CodecPlan& plan) const;
  void CheckEncodes() const;  ///< cvt to FP8

  /// Compare with the twin on the host, whoever the device is.
  Comparison CompareOnHost(const Unit& unit, const sim::AccumSpec& spec, uint64_t seed,
                           int64_t first, int64_t count);

 protected:
  explicit Backend(DeviceInfo info) : info_(std::move(info)) {}

 private:
  void Require(bool has, const std::string& what) const;

  DeviceInfo info_;
};

/// Device 0; null if this build has no CUDA or the machine no device.
std::unique_ptr<Backend> OpenDevice();
/// Why OpenDevice returns null: "built without CUDA", "no CUDA device (...)"; "" if it does not.
std::string WhyNoDevice();

/// What a simulated device computes: a spec for each of its units.
using SpecOf = std::function<sim::AccumSpec(const Unit&)>;
/// The simulator as a device of `arch`. Its ex2 stands for an interpolator on 2^-23, not for any
/// real one: the correctly rounded value, one unit less where the mantissa's low bits say so.
std::unique_ptr<Backend> Simulate(const std::string& arch, SpecOf spec_of);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_CUDA_GPU_H_
