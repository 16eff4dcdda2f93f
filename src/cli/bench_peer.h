// What others' code is loaded for measuring: OpenBLAS, and a module of further baselines. Both are
// opened at run time and never linked, so that the program builds and runs without them.
#ifndef LOSTBITS_SRC_CLI_BENCH_PEER_H_
#define LOSTBITS_SRC_CLI_BENCH_PEER_H_

#include <cstddef>
#include <string>
#include <vector>

extern "C" {
/// One foreign function. `convert` or `sgemm` is null.
struct LostbitsBenchPeer {
  const char* name;  ///< "PyTorch's AVX-512 form"
  const char* what;  ///< "encode f32", "decode f32", "encode bf16", "move 4 to 1", "sgemm", ...
  void (*convert)(const void* in, void* out, std::size_t n);
  void (*sgemm)(int m, int n, int k, const float* a, const float* b, float* c);  ///< c = a b
};
}

namespace lostbits::cli {

/// What the module exports: `const LostbitsBenchPeer* lostbits_bench_peers_v1(size_t* count)`.
inline constexpr char kPeerSymbol[] = "lostbits_bench_peers_v1";

struct PeerModule {
  std::string path;
  std::vector<LostbitsBenchPeer> peers;

  /// All peers for one job.
  std::vector<LostbitsBenchPeer> For(const std::string& what) const;
};

/// The module at `path`; or, if that is empty, where this build puts it. Throws
/// std::invalid_argument if a named one cannot be opened; null if none is in the usual place.
const PeerModule* LoadPeers(const std::string& path);

struct OpenBlas {
  std::string config;  ///< openblas_get_config
  std::string kernel;  ///< openblas_get_corename: what really runs
  std::string asked;   ///< OPENBLAS_CORETYPE when it was loaded; "" if it chose for itself

  /// c = a b, row-major, contiguous. One thread.
  void (*sgemm)(int m, int n, int k, const float* a, const float* b, float* c);
};

/// OpenBLAS with the kernels named ("SkylakeX", "Haswell", ...; "own": its own choice; "": the best
/// this CPU can run); null if it is not installed. Opened once: later names change nothing. Left
/// alone, OpenBLAS takes a CPU it does not know for an old one (0.3.21: Sapphire Rapids for an SSE3
/// machine), and the environment's OPENBLAS_* are some other run's choice: neither is a baseline.
const OpenBlas* LoadOpenBlas(const std::string& kernel);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_BENCH_PEER_H_
