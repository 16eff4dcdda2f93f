// What every golden says of itself: which kind it is, and a checksum of its tensors.
#ifndef LOSTBITS_SRC_GOLDEN_FILE_H_
#define LOSTBITS_SRC_GOLDEN_FILE_H_

#include <span>
#include <string>
#include <string_view>

#include "tensor_file.h"

namespace lostbits {

/// The value of a key; "" if there is none.
std::string Lookup(const Metadata& metadata, std::string_view key);
/// SHA-256 of the tensors' bytes, in this order.
std::string ChecksumOf(std::span<const NamedTensor> tensors);
/// Throws std::invalid_argument unless the file is a golden of this kind with a right checksum.
void CheckGolden(const std::string& path, const Metadata& metadata, const std::string& kind,
                 std::span<const NamedTensor> tensors);

}  // namespace lostbits

#endif  // LOSTBITS_SRC_GOLDEN_FILE_H_
