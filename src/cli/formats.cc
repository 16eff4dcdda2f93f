// lostbits formats [FORMAT]: the formats; every code of one.
#include "cli/formats.h"

#include <cmath>
#include <memory>

#include "cli/command.h"
#include "fp8/codec.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

using fp8::Class;
using fp8::Format;

int SmallestExponent(const Format& f) {
  return MinExponent(f) - (IsSigned(f) ? f.mantissa_bits : 0);
}

bool HasNegativeZero(const Format& f) { return IsSigned(f) && f.specials != fp8::Specials::kFnuz; }

double Largest(const Format& f) { return CodeValue(f, MaxMagnitude(f) << f.pad); }

std::vector<std::string> Spellings(const FormatNames& names) {
  std::vector<std::string> all = {names.brief};
  for (const char* more : {names.safetensors, names.onnx}) {
    if (*more != '\0') all.emplace_back(more);
  }
  for (std::string& alias : Split(names.aliases, " ")) all.push_back(std::move(alias));
  return all;
}

const char* ClassName(const Format& f, uint64_t code) {
  const fp8::Unpacked u = fp8::Unpack(f, code);
  switch (u.cls) {
    case Class::kZero: return "zero";
    case Class::kInf: return "inf";
    case Class::kNan: return "nan";
    case Class::kFinite: break;
  }
  return IsSigned(f) && u.significand >> f.mantissa_bits == 0 ? "subnormal" : "normal";
}

/// "0 1111 110": sign, exponent field, mantissa field.
std::string Fields(const Format& f, uint64_t code) {
  const uint64_t bits = code >> f.pad;
  const uint64_t exponent = bits >> f.mantissa_bits & ((uint64_t{1} << f.exponent_bits) - 1);
  std::string text = IsSigned(f) ? (code & SignMask(f) ? "1 " : "0 ") : "";
  text += fmt::format("{:0{}b}", exponent, int{f.exponent_bits});
  if (f.mantissa_bits > 0)
    text += fmt::format(" {:0{}b}", bits & ((uint64_t{1} << f.mantissa_bits) - 1),
                        int{f.mantissa_bits});
  return text;
}

Json CodeJson(const Format& f, uint64_t code) {
  return {{"code", HexCode(code, StorageBits(f))},
          {"fields", Fields(f, code)},
          {"class", ClassName(f, code)},
          {"value", NumberJson(CodeValue(f, code))},
          {"hexfloat", HexFloat(CodeValue(f, code))}};
}

int PrintAll(const GlobalOptions& global) {
  if (global.json) {
    Json list = Json::array();
    for (const FormatNames& names : AllFormatNames()) list.push_back(FormatJson(names));
    PrintJson("formats", {{"formats", list}});
    return kFine;
  }
  Table table;
  table.AddColumn("format");
  table.AddColumn("short", Table::kOptional);
  table.AddColumn("bits", Table::kRight);
  table.AddColumn("E/M/bias");
  table.AddColumn("max", Table::kRight);
  table.AddColumn("normal", Table::kRight);
  table.AddColumn("least", Table::kRight);
  table.AddColumn("Inf");
  table.AddColumn("NaN");
  table.AddColumn("-0");
  table.AddColumn("safetensors", Table::kOptional);
  table.AddColumn("ONNX", Table::kOptional);
  for (const FormatNames& names : AllFormatNames()) {
    const Format& f = names.format;
    table.AddRow({names.name, names.brief, fmt::to_string(StorageBits(f)),
                  fmt::format("{}/{}/{}", f.exponent_bits, f.mantissa_bits, f.bias),
                  fmt::format("{:.6g}", Largest(f)), fmt::format("2^{}", MinExponent(f)),
                  fmt::format("2^{}", SmallestExponent(f)), HasInf(f) ? "yes" : "-",
                  HasNan(f) ? "yes" : "-", HasNegativeZero(f) ? "yes" : "-", names.safetensors,
                  names.onnx});
  }
  fmt::print(
      "{}\nnormal: the smallest normal number; least: the smallest above zero.\n"
      "All codes and all spellings of one: lostbits formats {}\n",
      table.Text(OutputWidth()), AllFormatNames()[0].name);
  return kFine;
}

/// The codes worth showing of a format with too many to list.
std::vector<uint64_t> Landmarks(const Format& f) {
  const uint64_t one = uint64_t{1} << f.mantissa_bits;
  std::vector<uint64_t> magnitudes = {0,
                                      1,
                                      one - 1,
                                      one,
                                      static_cast<uint64_t>(f.bias) << f.mantissa_bits,
                                      MaxMagnitude(f),
                                      MaxMagnitude(f) + 1,
                                      MaxMagnitude(f) + 2};
  for (uint64_t& m : magnitudes) m <<= f.pad;
  magnitudes.push_back(SignMask(f));
  return magnitudes;
}

int PrintOne(const std::string& name, const GlobalOptions& global) {
  const FormatNames& names = FindFormat(name);
  const Format& f = names.format;
  std::vector<uint64_t> codes;
  const bool all = StorageBits(f) <= 8;
  if (all) {
    for (uint64_t code = 0; code >> StorageBits(f) == 0; ++code) codes.push_back(code);
  } else {
    codes = Landmarks(f);
  }
  if (global.json) {
    Json list = Json::array();
    for (uint64_t code : codes) list.push_back(CodeJson(f, code));
    Json body = FormatJson(names);
    body["all_codes"] = all;
    body["codes"] = list;
    PrintJson("formats", body);
    return kFine;
  }
  const int width = OutputWidth();
  fmt::print("{}: {} bits, {} exponent, {} mantissa, bias {}{}\n", names.name, StorageBits(f),
             f.exponent_bits, f.mantissa_bits, f.bias,
             f.pad ? fmt::format(", low {} bits ignored", f.pad) : "");
  fmt::print("largest {}, smallest normal 2^{}, smallest above zero 2^{}, {}Inf, {}NaN, {}-0\n",
             Decimal(Largest(f)), MinExponent(f), SmallestExponent(f), HasInf(f) ? "" : "no ",
             HasNan(f) ? "" : "no ", HasNegativeZero(f) ? "" : "no ");
  fmt::print("also: {}\n\n",
             Wrap(fmt::format("{}", fmt::join(Spellings(names), " ")), width - 6, "      "));
  Table table;
  table.AddColumn("code");
  table.AddColumn(IsSigned(f) ? "s exp man" : "exp");
  table.AddColumn("value", Table::kRight);
  table.AddColumn("hexfloat");
  table.AddColumn("class");
  for (uint64_t code : codes)
    table.AddRow({HexCode(code, StorageBits(f)), Fields(f, code), Decimal(CodeValue(f, code)),
                  HexFloat(CodeValue(f, code)), ClassName(f, code)});
  fmt::print("{}", table.Text(width));
  if (!all)
    fmt::print("({} codes in all; these are the landmarks)\n",
               fmt::format("2^{}", StorageBits(f) - f.pad));
  return kFine;
}

}  // namespace

Json FormatJson(const FormatNames& names) {
  const Format& f = names.format;
  return {{"name", names.name},
          {"bits", StorageBits(f)},
          {"exponent_bits", int{f.exponent_bits}},
          {"mantissa_bits", int{f.mantissa_bits}},
          {"bias", int{f.bias}},
          {"ignored_low_bits", int{f.pad}},
          {"max", Largest(f)},
          {"min_normal", std::ldexp(1.0, MinExponent(f))},
          {"min_subnormal", IsSigned(f) ? Json(std::ldexp(1.0, SmallestExponent(f))) : Json()},
          {"has_inf", HasInf(f)},
          {"has_nan", HasNan(f)},
          {"has_negative_zero", HasNegativeZero(f)},
          {"aliases", Spellings(names)}};
}

void AddFormats(CLI::App& app, GlobalOptions& global) {
  const auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("formats", "The number formats; all codes of one");
  command->add_option("FORMAT", *name, "A format in any library's spelling: its codes");
  AddGlobalOptions(*command, global);
  command->footer("Example:\n  lostbits formats float8_e4m3fn");
  command->callback([name, &global] {
    global.run = [=, &global] {
      return name->empty() ? PrintAll(global) : PrintOne(*name, global);
    };
  });
}

}  // namespace lostbits::cli
