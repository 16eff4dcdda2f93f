// SHA-256 (FIPS 180-4), for the checksums of recorded outputs.
#ifndef LOSTBITS_SRC_SHA256_H_
#define LOSTBITS_SRC_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lostbits {

class Sha256 {
 public:
  using Digest = std::array<uint8_t, 32>;

  void Add(std::span<const std::byte> bytes);
  /// Ends the message; nothing may be added after it.
  Digest Finish();

 private:
  void AddBlock(const uint8_t* block);

  // FIPS 180-4, 5.3.3.
  uint32_t state_[8] = {0x6a09'e667, 0xbb67'ae85, 0x3c6e'f372, 0xa54f'f53a,
                        0x510e'527f, 0x9b05'688c, 0x1f83'd9ab, 0x5be0'cd19};
  uint8_t pending_[64] = {};
  uint64_t size_ = 0;  ///< bytes so far
};

/// 64 hex digits, lower case.
std::string HexText(const Sha256::Digest& digest);

}  // namespace lostbits

#endif  // LOSTBITS_SRC_SHA256_H_
