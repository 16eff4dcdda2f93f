// Names a user types, and what they stand for. No arithmetic.
//
// Every Find* function is case-insensitive, throws std::invalid_argument with one line on an
// unknown name, and lists the nearest known names in it. Every *Name function returns the one
// spelling that the program prints. Thread-safe: all tables are constant.
#ifndef LOSTBITS_SRC_REGISTRY_H_
#define LOSTBITS_SRC_REGISTRY_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fp8/format.h"
#include "fp8/preset.h"
#include "fp8/rounding.h"
#include "sim/arch.h"

namespace lostbits {

/// A format and every spelling it is known by.
struct FormatNames {
  fp8::Format format;
  const char* name;         ///< printed: torch's and ml_dtypes' spelling
  const char* brief;        ///< what machine names and PTX use: "e4m3"
  const char* safetensors;  ///< dtype in a .safetensors header; "" if there is none
  const char* onnx;         ///< TensorProto.DataType; "" if there is none
  const char* aliases;      ///< accepted besides, separated by spaces
};

/// All formats a user can name, in the order of fp8::kAllFormats.
std::span<const FormatNames> AllFormatNames();

/// The row of a format named in any spelling: torch, ml_dtypes, CUDA, CUTLASS, ONNX, Triton, PTX,
/// safetensors. A bare "e4m3" is E4M3FN, as in PTX and CUDA; ml_dtypes' IEEE-style E4M3 is
/// "float8_e4m3".
const FormatNames& FindFormat(std::string_view name);
/// The row of a format. `format` must be one of fp8::kAllFormats.
const FormatNames& NamesOf(const fp8::Format& format);

/// "nearest-even" (RNE, rn, half-even), "nearest-away", "toward-zero", "up", "down", "to-odd",
/// "stochastic".
fp8::Rounding FindRounding(std::string_view name);
std::string_view RoundingName(fp8::Rounding rounding);

/// "saturate", "to-special" (inf, nan), "ieee".
fp8::Overflow FindOverflow(std::string_view name);
std::string_view OverflowName(fp8::Overflow overflow);

/// A library whose conversions fp8/preset.h holds: "cuda", "torch", "torch_2_12", "ml_dtypes", ...
/// ("-" counts as "_").
fp8::Library FindLibrary(std::string_view name);
std::string_view LibraryName(fp8::Library library);
std::vector<std::string> LibraryNames();

/// "hardware", "published", "assumed".
std::string_view EvidenceName(sim::Evidence evidence);

/// "hopper:wgmma:e4m3:f32": unique for a row, and accepted by FindMachine.
std::string MachineName(const sim::ArchRow& row);

/// All rows of the machine table that a name fits: a full or a partial name ("h100",
/// "hopper:wgmma", "sm_90a:wgmma:e4m3:f32"), a PTX instruction
/// ("wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3"), its short form
/// ("m64n128k32.f32.e4m3.e4m3"), or SASS ("QGMMA.64x128x32.F32.E4M3.E4M3"). An instruction that
/// several architectures have needs one in front: "sm_89:mma.sync.aligned....". Throws if none
/// fits.
std::vector<const sim::ArchRow*> FindMachines(std::string_view name);

/// The one row a name fits. Throws as FindMachines does, and if several rows fit.
const sim::ArchRow& FindMachine(std::string_view name);

/// "; did you mean A, B?" with the known names nearest to `name` (at most three), or "" if none is.
std::string DidYouMean(std::string_view name, std::span<const std::string> known);

/// Lower case, ASCII only.
std::string LowerCase(std::string_view text);
/// The parts of `text` between any of the characters in `separators`; empty parts are dropped.
std::vector<std::string> Split(std::string_view text, std::string_view separators);

}  // namespace lostbits

#endif  // LOSTBITS_SRC_REGISTRY_H_
