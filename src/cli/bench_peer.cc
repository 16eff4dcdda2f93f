#include "cli/bench_peer.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace lostbits::cli {
namespace {

/// OpenBLAS's name for the best kernels this CPU can run: driver/others/dynamic.c of 0.3.21.
const char* CoreType() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return "SkylakeX";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "Haswell";
#endif
  return nullptr;
}

using CblasSgemm = void (*)(int order, int trans_a, int trans_b, int m, int n, int k, float alpha,
                            const float* a, int lda, const float* b, int ldb, float beta, float* c,
                            int ldc);
CblasSgemm cblas_sgemm = nullptr;

void Sgemm(int m, int n, int k, const float* a, const float* b, float* c) {
  constexpr int kRowMajor = 101, kNoTranspose = 111;  // cblas.h
  cblas_sgemm(kRowMajor, kNoTranspose, kNoTranspose, m, n, k, 1, a, k, b, n, 0, c, n);
}

template <class Function>
Function Symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(dlsym(library, name));
}

const OpenBlas* OpenOpenBlas(const std::string& kernel) {
  // Its constructor reads these.
  const char* const best = CoreType();
  unsetenv("OPENBLAS_CORETYPE");
  unsetenv("OPENBLAS_L2_SIZE");
  if (kernel.empty() && best != nullptr) setenv("OPENBLAS_CORETYPE", best, 1);
  if (!kernel.empty() && kernel != "own") setenv("OPENBLAS_CORETYPE", kernel.c_str(), 1);
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  cblas_sgemm = Symbol<CblasSgemm>(library, "cblas_sgemm");
  const auto config = Symbol<const char* (*)()>(library, "openblas_get_config");
  const auto corename = Symbol<const char* (*)()>(library, "openblas_get_corename");
  if (cblas_sgemm == nullptr || config == nullptr || corename == nullptr) return nullptr;
  const char* asked = std::getenv("OPENBLAS_CORETYPE");
  static const OpenBlas blas{config(), corename(), asked == nullptr ? "" : asked, Sgemm};
  return &blas;
}

/// Where a build tree has it, seen from <build>/src/lostbits or <build>/tests/bench/cases_bench.
std::string UsualPath() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  for (const char* folder : {"../tests/bench", "."}) {
    const auto path = program.parent_path() / folder / "lostbits_bench_peers.so";
    if (!error && std::filesystem::exists(path)) return path.lexically_normal().string();
  }
  return "";
}

}  // namespace

const OpenBlas* LoadOpenBlas(const std::string& kernel) {
  static const OpenBlas* const blas = OpenOpenBlas(kernel);
  return blas;
}

std::vector<LostbitsBenchPeer> PeerModule::For(const std::string& what) const {
  std::vector<LostbitsBenchPeer> found;
  for (const LostbitsBenchPeer& peer : peers) {
    if (what == peer.what) found.push_back(peer);
  }
  return found;
}

const PeerModule* LoadPeers(const std::string& path) {
  static PeerModule module;
  module.path = path.empty() ? UsualPath() : path;
  if (module.path.empty()) return nullptr;
  // A name without a slash would be looked for in the system's folders.
  const std::string file = std::filesystem::absolute(module.path).string();
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  using Peers = const LostbitsBenchPeer* (*)(std::size_t*);
  const auto peers = library == nullptr ? nullptr : Symbol<Peers>(library, kPeerSymbol);
  if (peers == nullptr)
    throw std::invalid_argument("--peers: expected a module of baselines (tests/bench), found " +
                                std::string(dlerror()));
  std::size_t count = 0;
  const LostbitsBenchPeer* first = peers(&count);
  module.peers.assign(first, first + count);
  return &module;
}

}  // namespace lostbits::cli
