// The module of baselines that `lostbits bench` opens: others' code and pure data movement, kept
// out of the program itself. The contract: src/cli/bench_peer.h.
#include <vector>

#include "cli/bench_peer.h"
#include "tests/bench/codec_baselines.h"
#if LOSTBITS_HAVE_EIGEN
#include "tests/bench/eigen_sgemm.h"
#endif

namespace lostbits::bench {
namespace {

// Functions with the types of their data, as the contract has them.
template <auto kConvert, class In, class Out>
void Convert(const void* in, void* out, size_t n) {
  kConvert(static_cast<const In*>(in), static_cast<Out*>(out), n);
}
template <auto kConvert>
constexpr auto kEncode = Convert<kConvert, float, uint8_t>;
template <auto kConvert>
constexpr auto kDecode = Convert<kConvert, uint8_t, float>;

std::vector<LostbitsBenchPeer> Peers() {
  std::vector<LostbitsBenchPeer> peers;
  if (HaveAvx512()) {
    peers.push_back({"loads and stores alone", "move 4 to 1", kEncode<MoveFourToOne>, nullptr});
    peers.push_back({"loads and stores alone", "move 1 to 4", kDecode<MoveOneToFour>, nullptr});
    peers.push_back({"PyTorch AVX-512 form", "encode f32", kEncode<PeerEncodeE4M3FN>, nullptr});
    peers.push_back({"PyTorch AVX-512 form", "decode f32", kDecode<PeerDecodeE4M3FN>, nullptr});
#if LOSTBITS_HAVE_EIGEN
    peers.push_back({"Eigen 3 (AVX-512)", "sgemm", nullptr, EigenSgemm});
#endif
  }
  if (const float one = 1; CudaEncodeE4M3FN(&one, std::vector<uint8_t>(1).data(), 1)) {
    peers.push_back({"CUDA host function", "encode f32", kEncode<CudaEncodeE4M3FN>, nullptr});
    peers.push_back({"CUDA host function", "decode f32", kDecode<CudaDecodeE4M3FN>, nullptr});
  }
  return peers;
}

}  // namespace
}  // namespace lostbits::bench

extern "C" __attribute__((visibility("default"))) const LostbitsBenchPeer* lostbits_bench_peers_v1(
    size_t* count) {
  static const std::vector<LostbitsBenchPeer> peers = lostbits::bench::Peers();
  *count = peers.size();
  return peers.data();
}
