// Operands of gemm and attention: from a file to codes of the format a machine takes.
#ifndef LOSTBITS_SRC_CLI_OPERAND_H_
#define LOSTBITS_SRC_CLI_OPERAND_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/encode_tensor.h"
#include "cli/output.h"
#include "sim/error.h"
#include "sim/gemm.h"
#include "tensor_file.h"

namespace lostbits::cli {

struct Operand {
  Tensor codes;         ///< in the machine's format
  EncodeCounts counts;  ///< all zero if nothing was encoded
  std::string from;     ///< dtype in the file
  bool encoded = false;
};

/// What a file holds: values, or codes already.
struct LoadedOperand {
  Tensor tensor;          ///< of the machine's format if it holds codes
  bool is_codes = false;  ///< codes of the machine's format, or raw bytes of its size
};

/// Reads an operand. Codes: elements of `format`, and untyped elements of its size. For TF32,
/// float32 elements are codes: registers of which the unit ignores 13 bits.
LoadedOperand LoadOperand(const std::string& path, const fp8::Format& format);

/// The codes; values are encoded to nearest even, saturating, after division by `divisors` (FP32,
/// one for each element of the tensor by index_of; empty: none).
Operand EncodeOperand(LoadedOperand loaded, const fp8::Format& format,
                      const std::vector<float>& divisors = {},
                      const std::function<size_t(int64_t)>& index_of = {});

/// A matrix of codes as sim/gemm.h reads it; valid as long as the tensor.
sim::CodeView View(const Tensor& matrix);

/// Throws std::invalid_argument unless the machine's matrix products are modelled.
void CheckMatrixProduct(const Machine& machine);

/// "a.npy [2, 3]: float32 encoded as float8_e4m3fn: 4 inexact, 0 overflow, ..."
std::string OperandText(const Operand& operand);
Json OperandJson(const Operand& operand);

/// A number, or a float tensor file: elements in C order, each finite and > 0.
struct Scales {
  std::vector<int64_t> shape;  ///< empty for a number
  std::vector<float> values;
  bool given = false;
};
/// Throws if `text` is neither, or a scale is NaN, infinite, zero or negative. "" gives none.
Scales LoadScales(const std::string& text, const char* option);
/// The scales a tensor holds, under the same conditions.
Scales AsScales(const Tensor& tensor, const char* option);

/// Writes values: .npy files get float32 where numpy knows no such format. Returns a line about it.
std::string WriteValues(const std::string& path, const Tensor& tensor, const std::string& name);

/// Measures of an error, for people and for programs.
std::string ErrorText(const sim::ErrorReport& e, const fp8::Format& format,
                      const std::function<std::string(const sim::ErrorPoint&)>& place);
Json ErrorJson(const sim::ErrorReport& e,
               const std::function<std::vector<int64_t>(const sim::ErrorPoint&)>& index);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_OPERAND_H_
