// Names a user types, and what they stand for. No arithmetic.
//
// Every Find* function is case-insensitive, throws std::invalid_argument with one line on an
// unknown name, and lists the nearest known names in it. Every *Name function returns the one
// spelling that the program prints. Thread-safe: all tables are constant.
#ifndef LOSTBITS_SRC_REGISTRY_H_
#define LOSTBITS_SRC_REGISTRY_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fp8/format.h"
#include "fp8/preset.h"
#include "fp8/rounding.h"
#include "sim/arch_table.h"

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
/// What a sum is rounded to: "E8M13", "FP32", "FP16", "FP64"; another format's name.
std::string PrecisionName(const fp8::Format& format);

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
std::string_view EvidenceName(sim::EvidenceLevel level);

/// "hopper:wgmma:e4m3:f32", "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32": unique for a row, and
/// accepted by FindMachine.
std::string MachineName(const sim::ArchRow& row);

/// A machine as a user named it: a row of the table, or a row with settings of its own.
struct Machine {
  const sim::ArchRow* row;
  sim::AccumSpec spec;  ///< row->spec, unless the name changes it
  std::string name;     ///< MachineName(*row), and "@..." if spec differs from it
  bool altered;         ///< by "@...": for study, what the row's evidence says does not cover it
};

/// A row as it stands in the table.
Machine AsMachine(const sim::ArchRow& row);

/// The text of a side's dispute; null if it is Dispute::kNone.
const sim::DisputeText* DisputeOf(const sim::DisputeSide& side);

/// One line: "hardware: 10000 recorded rows of A100, A2 (VEC); open: ...".
std::string EvidenceText(const sim::Evidence& evidence);
/// What the evidence does not pin, and the disputes, by their short names: "c zero only, D1"; ""
/// if none. Without `common`, less what every row of its level leaves open.
std::string OpenText(const sim::Evidence& evidence, bool common);

/// The instruction that a row's belongs to: "tcgen05" for tcgen05.mxf4, a block-scaled kind of it.
std::string_view PlainInstruction(const sim::ArchRow& row);

/// All rows of the machine table that a name fits: a full or a partial name ("h100",
/// "hopper:wgmma", "sm_90a:wgmma:e4m3:f32", "b200:nvfp4"), a PTX instruction
/// ("wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3"), MMA-Sim's short form of it
/// ("m64n128k32.f32.e4m3.e4m3"), SASS ("QGMMA.64x128x32.F32.E4M3.E4M3"), a CUTLASS atom
/// ("SM90_64x128x32_F32E4M3E4M3_SS_TN"), an AMD instruction ("v_mfma_f32_16x16x16_f16") or its
/// builtin. What is pasted behind an instruction ("{%0, %1}, ...") is ignored. One that several
/// architectures have needs one in front: "sm_89:mma.sync.aligned....". Throws if none fits, and
/// for what is known but not modelled: sparse and integer instructions, .ws, cta_group::2, c and d
/// of different types.
std::vector<const sim::ArchRow*> FindMachines(std::string_view name);

/// The one machine a name fits: what FindMachines accepts, and behind it "@setting=value,...", for
/// study: k, flow, group, F, e_zero, out=e8m13|acc, rounding, underflow=signed|plus, flush=on|off,
/// sum_bits, final_bits. A shape of a smaller k than the row's gives that k and groups no longer
/// than it ("@k=16" in the name, which does not count as altered if the instruction comes in that
/// shape). Throws as FindMachines does, if several rows fit, and if the settings make no machine.
Machine FindMachine(std::string_view name);

/// The known names a few letters away from `name`, nearest first.
std::vector<std::string> Nearest(std::string_view name, std::span<const std::string> known);
/// "; did you mean A, B?" with the known names nearest to `name` (at most three), or "" if none is.
std::string DidYouMean(std::string_view name, std::span<const std::string> known);

/// A whole decimal number, with nothing behind it.
std::optional<int64_t> ParseWhole(std::string_view text);
/// Lower case, ASCII only.
std::string LowerCase(std::string_view text);
/// The parts of `text` between any of the characters in `separators`; empty parts are dropped.
std::vector<std::string> Split(std::string_view text, std::string_view separators);

}  // namespace lostbits

#endif  // LOSTBITS_SRC_REGISTRY_H_
