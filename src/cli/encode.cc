// lostbits encode: values to codes. lostbits decode: codes to values.
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "cli/command.h"
#include "cli/encode_tensor.h"
#include "fp8/codec.h"
#include "registry.h"
#include "tensor_file.h"

namespace lostbits::cli {
namespace {

struct Options {
  std::vector<std::string> inputs;
  std::string format, source, rounding, overflow, like, output;
  int random_bits = 32;
  bool counts = false;
};

bool IsTensorFile(const std::string& name) {
  return name.ends_with(".npy") || name.ends_with(".safetensors") ||
         name.find(".safetensors:") != name.npos;
}

/// The one tensor file among the inputs, or "" if they are values. Throws if they are mixed.
std::string TensorInput(const Options& options) {
  for (const std::string& input : options.inputs) {
    if (!IsTensorFile(input)) continue;
    if (options.inputs.size() > 1)
      throw std::invalid_argument(
          fmt::format("expected values or one tensor file, found '{}' among {} arguments", input,
                      options.inputs.size()));
    return input;
  }
  return "";
}

/// The words on the command line, or those on standard input if there are none or only "-".
std::vector<std::string> Words(const Options& options) {
  if (!options.inputs.empty() && options.inputs != std::vector<std::string>{"-"})
    return options.inputs;
  std::vector<std::string> words;
  for (std::string line; std::getline(std::cin, line);) {
    for (std::string& word : Split(line.substr(0, line.find('#')), " \t\r,")) words.push_back(word);
  }
  if (words.empty()) throw std::invalid_argument("expected values, found an empty input");
  return words;
}

double ParseValue(const std::string& word) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (end == word.c_str() || *end != '\0')
    throw std::invalid_argument(
        fmt::format("expected a number (decimal, hexfloat, inf, nan), found '{}'", word));
  return value;
}

uint64_t ParseCode(const std::string& word, const FormatNames& names) {
  const int bits = StorageBits(names.format);
  const std::optional<uint64_t> code = ParseHex(word);
  if (!code || (bits < 64 && *code >> bits != 0))
    throw std::invalid_argument(
        fmt::format("expected a {}-bit code of {} in hex, found '{}'", bits, names.name, word));
  return *code;
}

std::string ValueText(const fp8::Format& f, uint64_t code) {
  return f == fp8::kFP64 ? Decimal(CodeValue(f, code)) : Decimal(fp8::Decode(f, code));
}

Json CountsJson(const EncodeCounts& c) {
  return {{"elements", c.total},  {"inexact", c.inexact},     {"overflow", c.overflow},
          {"flushed", c.flushed}, {"subnormal", c.subnormal}, {"nan", c.nan}};
}

std::string CountsText(const EncodeCounts& c) {
  return fmt::format(
      "elements {}, inexact {}, overflow {}, flushed to zero {}, subnormal {}, nan {}", c.total,
      c.inexact, c.overflow, c.flushed, c.subnormal, c.nan);
}

std::string FlagText(const fp8::Encoded& e) {
  std::string text;
  for (const auto& [set, name] : {std::pair{e.inexact, "inexact"},
                                  {e.overflow, "overflow"},
                                  {e.flushed, "flushed"},
                                  {e.subnormal, "subnormal"},
                                  {e.nan, "nan"}}) {
    if (set) text += (text.empty() ? "" : ",") + std::string(name);
  }
  return text;
}

EncoderOptions ChoicesOf(const Options& o, const GlobalOptions& global) {
  return {.format = o.format,
          .like = o.like,
          .rounding = o.rounding,
          .overflow = o.overflow,
          .random_bits = o.random_bits,
          .seed = global.seed};
}

/// What the encoder did, for JSON.
Json EncoderJson(const Encoder& encoder, const fp8::Format& source) {
  Json json = {{"format", NamesOf(encoder.to).name}, {"source", NamesOf(source).name}};
  if (encoder.library) {
    json["like"] = LibraryName(*encoder.library);
  } else {
    json["rounding"] = RoundingName(encoder.policy.rounding);
    json["overflow"] = OverflowName(encoder.policy.overflow);
  }
  return json;
}

int EncodeFile(const std::string& input, const Options& options, const GlobalOptions& global) {
  if (options.output.empty() && !options.counts)
    throw std::invalid_argument("expected -o FILE, --counts or both with a tensor file");
  if (!options.source.empty())
    throw std::invalid_argument("expected values with --source, found a tensor file");
  const Encoder encoder = MakeEncoder(ChoicesOf(options, global));
  const Tensor in = ReadTensor(input);
  EncodeCounts counts;
  const Tensor out = EncodeTensor(in, encoder, counts);
  if (!options.output.empty()) WriteTensor(options.output, out);
  if (global.json) {
    Json body = EncoderJson(encoder, *in.format);
    body.update({{"input", input},
                 {"output", options.output},
                 {"shape", out.shape},
                 {"counts", CountsJson(counts)}});
    PrintJson("encode", body);
  } else if (options.counts) {
    fmt::print("{}\n", CountsText(counts));
  }
  return kFine;
}

int Encode(const Options& options, const GlobalOptions& global) {
  if (const std::string file = TensorInput(options); !file.empty())
    return EncodeFile(file, options, global);
  if (!options.output.empty())
    throw std::invalid_argument("expected a tensor file as input with -o, found values");
  const Encoder encoder = MakeEncoder(ChoicesOf(options, global));
  const std::string by_default = encoder.library ? "float32" : "float64";
  const fp8::Format source =
      FindFormat(options.source.empty() ? by_default : options.source).format;
  encoder.Check(source);
  const int bits = StorageBits(encoder.to);
  constexpr fp8::EncodePolicy kToSource{.overflow = fp8::Overflow::kIeee,
                                        .inf = fp8::InfRule::kKeep,
                                        .nan_sign = fp8::NanSign::kKeep};
  EncodeCounts counts;
  Json rows = Json::array();
  Table table;
  for (const char* title : {"value", "code", "decoded"}) table.AddColumn(title, Table::kRight);
  table.AddColumn("flags");
  for (const std::string& word : Words(options)) {
    const uint64_t value = fp8::Pack(source, fp8::Unpack(ParseValue(word)), kToSource).code;
    const fp8::Encoded e =
        encoder(source, fp8::Unpack(source, value), static_cast<int64_t>(counts.total));
    Count(e, counts);
    if (global.json) {
      rows.push_back({{"value", NumberJson(CodeValue(source, value))},
                      {"code", HexCode(e.code, bits)},
                      {"decoded", NumberJson(CodeValue(encoder.to, e.code))},
                      {"inexact", e.inexact},
                      {"overflow", e.overflow},
                      {"flushed", e.flushed},
                      {"subnormal", e.subnormal},
                      {"nan", e.nan}});
    } else {
      table.AddRow({ValueText(source, value), HexCode(e.code, bits), ValueText(encoder.to, e.code),
                    FlagText(e)});
    }
  }
  if (global.json) {
    Json body = EncoderJson(encoder, source);
    body.update({{"codes", rows}, {"counts", CountsJson(counts)}});
    PrintJson("encode", body);
  } else {
    fmt::print("{}", table.Text(OutputWidth()));
    if (options.counts) fmt::print("{}\n", CountsText(counts));
  }
  return kFine;
}

fp8::DecodePolicy NanPolicy(const Options& options, const fp8::Format& from) {
  return options.like.empty() ? fp8::DecodePolicy{}
                              : fp8::DecodeLike(FindLibrary(options.like), from);
}

int DecodeFile(const std::string& input, const Options& options, const GlobalOptions& global) {
  const FormatNames& names = FindFormat(options.format);
  if (options.output.empty())
    throw std::invalid_argument("expected -o FILE with a tensor file as input");
  const fp8::DecodePolicy policy = NanPolicy(options, names.format);
  const Tensor out = DecodeTensor(ReadTensor(input, names.format), policy);
  WriteTensor(options.output, out);
  if (global.json)
    PrintJson("decode", {{"format", names.name},
                         {"input", input},
                         {"output", options.output},
                         {"shape", out.shape}});
  return kFine;
}

int Decode(const Options& options, const GlobalOptions& global) {
  if (const std::string file = TensorInput(options); !file.empty())
    return DecodeFile(file, options, global);
  if (!options.output.empty())
    throw std::invalid_argument("expected a tensor file as input with -o, found codes");
  const FormatNames& names = FindFormat(options.format);
  const fp8::DecodePolicy policy = NanPolicy(options, names.format);
  const int bits = StorageBits(names.format);
  const bool wide = names.format == fp8::kFP64;
  Json rows = Json::array();
  Table table;
  for (const char* title : {"code", "value", "hexfloat"}) table.AddColumn(title, Table::kRight);
  table.AddColumn(wide ? "float64" : "float32");
  for (const std::string& word : Words(options)) {
    const uint64_t code = ParseCode(word, names);
    const double value = CodeValue(names.format, code);
    const std::string bit_pattern =
        wide ? HexCode(code, 64)
             : HexCode(fp8::BitCast<uint32_t>(fp8::Decode(names.format, code, policy)), 32);
    if (global.json) {
      rows.push_back({{"code", HexCode(code, bits)},
                      {"value", NumberJson(value)},
                      {"hexfloat", HexFloat(value)},
                      {"bits", bit_pattern}});
    } else {
      table.AddRow(
          {HexCode(code, bits), ValueText(names.format, code), HexFloat(value), bit_pattern});
    }
  }
  if (global.json) {
    PrintJson("decode", {{"format", names.name}, {"values", rows}});
  } else {
    fmt::print("{}", table.Text(OutputWidth()));
  }
  return kFine;
}

}  // namespace

void AddEncode(CLI::App& app, GlobalOptions& global) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("encode", "Values to codes");
  command->add_option("INPUT", options->inputs,
                      "Values, or one .npy or .safetensors file; none: values from stdin");
  command->add_option("-f,--format", options->format, "Format of the codes")->required();
  command->add_option("--rounding", options->rounding,
                      "nearest-even, nearest-away, toward-zero, up, down, to-odd, stochastic");
  command->add_option("--overflow", options->overflow, "saturate, to-special, ieee");
  command->add_option("--like", options->like,
                      fmt::format("As a library does: {}", fmt::join(LibraryNames(), ", ")));
  command->add_option("--source", options->source,
                      "What the values are before: float64 (default), float32 (with --like), ...");
  command->add_option("--random-bits", options->random_bits,
                      "Bits that decide a stochastic rounding (default 32)");
  command->add_flag("--counts", options->counts, "Print how many were inexact, overflowed, ...");
  command->add_option("-o,--output", options->output, ".npy or .safetensors file of codes");
  AddGlobalOptions(*command, global);
  command->footer(
      "Numbers are read as --source and rounded once. Negative numbers are values, not options.\n"
      "Example:\n  lostbits encode --format e4m3fn 1.0625 -1.5 500 --like ml_dtypes");
  command->callback(
      [options, &global] { global.run = [=, &global] { return Encode(*options, global); }; });
}

void AddDecode(CLI::App& app, GlobalOptions& global) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("decode", "Codes to values");
  command->add_option("INPUT", options->inputs,
                      "Codes in hex, or one .npy or .safetensors file; none: codes from stdin");
  command->add_option("-f,--format", options->format, "Format of the codes")->required();
  command->add_option("-o,--output", options->output,
                      ".npy or .safetensors file of float32 (float64 for float64 codes)");
  command->add_option("--like", options->like, "Bits of a decoded NaN as a library has them");
  AddGlobalOptions(*command, global);
  command->footer("Example:\n  lostbits decode --format float8_e5m2 0x3C 7B fc");
  command->callback(
      [options, &global] { global.run = [=, &global] { return Decode(*options, global); }; });
}

}  // namespace lostbits::cli
