#include "registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>
#include <stdexcept>

namespace lostbits {
namespace {

// Spellings: torch.dtype and ml_dtypes (name); PTX ISA, "Alternate floating point data formats"
// (brief); safetensors `Dtype` and ONNX TensorProto.DataType; then CUDA cuda_fp8.h, cuda_fp6.h,
// cuda_fp4.h (__nv_*, __NV_*), HIP amd_hip_fp8.h, CUTLASS float8.h and exmy types (*_t), Triton
// tl.float8* and its IR's fp8*, vLLM's --kv-cache-dtype.
constexpr FormatNames kFormatNames[] = {
    {fp8::kE4M3FN, "float8_e4m3fn", "e4m3", "F8_E4M3", "FLOAT8E4M3FN",
     "e4m3fn fp8_e4m3 fp8e4m3 fp8 __nv_fp8_e4m3 __nv_e4m3 float_e4m3_t float8e4nv fp8e4nv "
     "__hip_fp8_e4m3"},
    {fp8::kE5M2, "float8_e5m2", "e5m2", "F8_E5M2", "FLOAT8E5M2",
     "fp8_e5m2 fp8e5m2 __nv_fp8_e5m2 __nv_e5m2 float_e5m2_t float8e5 fp8e5 __hip_fp8_e5m2"},
    {fp8::kE4M3, "float8_e4m3", "e4m3ieee", "", "", "e4m3_ieee float8_e4m3ieee"},
    {fp8::kE3M4, "float8_e3m4", "e3m4", "", "", ""},
    {fp8::kE4M3FNUZ, "float8_e4m3fnuz", "e4m3fnuz", "F8_E4M3FNUZ", "FLOAT8E4M3FNUZ",
     "float8e4b8 fp8e4b8 __hip_fp8_e4m3_fnuz"},
    {fp8::kE5M2FNUZ, "float8_e5m2fnuz", "e5m2fnuz", "F8_E5M2FNUZ", "FLOAT8E5M2FNUZ",
     "float8e5b16 fp8e5b16 __hip_fp8_e5m2_fnuz"},
    {fp8::kE4M3B11FNUZ, "float8_e4m3b11fnuz", "e4m3b11fnuz", "", "", "float8_e4m3b11"},
    {fp8::kE8M0, "float8_e8m0fnu", "ue8m0", "F8_E8M0", "FLOAT8E8M0",
     "e8m0 e8m0fnu __nv_fp8_e8m0 float_ue8m0_t"},
    {fp8::kE2M3, "float6_e2m3fn", "e2m3", "F6_E2M3", "", "__nv_fp6_e2m3 __nv_e2m3 float_e2m3_t"},
    {fp8::kE3M2, "float6_e3m2fn", "e3m2", "F6_E3M2", "", "__nv_fp6_e3m2 __nv_e3m2 float_e3m2_t"},
    {fp8::kE2M1, "float4_e2m1fn", "e2m1", "F4", "FLOAT4E2M1",
     "float4_e2m1fn_x2 __nv_fp4_e2m1 __nv_e2m1 float_e2m1_t"},
    {fp8::kFP16, "float16", "f16", "F16", "FLOAT16", "fp16 half __half half_t e5m10"},
    {fp8::kBF16, "bfloat16", "bf16", "BF16", "BFLOAT16", "__nv_bfloat16 bfloat16_t e8m7"},
    {fp8::kTF32, "tf32", "tf32", "", "", "tfloat32 tfloat32_t e8m10 xf32"},
    {fp8::kFP32, "float32", "f32", "F32", "FLOAT", "fp32 float single e8m23"},
    {fp8::kFP64, "float64", "f64", "F64", "DOUBLE", "fp64 double e11m52"},
};

// What people write in front of a name: torch.float8_e4m3fn, tl.float8e4nv, cutlass::float_e4m3_t.
constexpr std::string_view kPrefixes[] = {"torch.",    "np.",         "numpy.", "jnp.",
                                          "tl.",       "onnx.",       ".",      "ml_dtypes.",
                                          "cutlass::", "tensorproto."};

std::string Canonical(std::string_view name) {
  std::string lower = LowerCase(name);
  for (std::string_view prefix : kPrefixes) {
    if (lower.starts_with(prefix)) lower.erase(0, prefix.size());
  }
  return lower;
}

/// Insertions, deletions, replacements and swaps of neighbours that turn a into b.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

template <class T>
struct Choice {
  T value;
  const char* name;
  const char* aliases;
};

// PTX rounding modifiers .rn .rna .rz .rp .rm .rs; IEEE 754-2019 section 4.3; CPFloat's two
// letters.
constexpr Choice<fp8::Rounding> kRoundings[] = {
    {fp8::Rounding::kNearestEven, "nearest-even",
     "rne rn half-even ties-to-even nearest tonearest"},
    {fp8::Rounding::kNearestAway, "nearest-away", "rna rn-away rn_away half-away ties-to-away"},
    {fp8::Rounding::kTowardZero, "toward-zero", "rz rtz truncate trunc"},
    {fp8::Rounding::kUp, "up", "ru rp ceil toward-positive"},
    {fp8::Rounding::kDown, "down", "rd rm floor toward-negative"},
    {fp8::Rounding::kToOdd, "to-odd", "ro odd rto"},
    {fp8::Rounding::kStochastic, "stochastic", "sr rs"},
};

constexpr Choice<fp8::Overflow> kOverflows[] = {
    {fp8::Overflow::kSaturate, "saturate", "sat satfinite clamp"},
    {fp8::Overflow::kToSpecial, "to-special", "special inf nan nosat nonsat"},
    {fp8::Overflow::kIeee, "ieee", "ieee754"},
};

template <class T, size_t N>
T FindChoice(const Choice<T> (&choices)[N], std::string_view what, std::string_view name) {
  const std::string wanted = LowerCase(name);
  std::vector<std::string> known;
  for (const auto& c : choices) {
    known.emplace_back(c.name);
    if (wanted == c.name) return c.value;
    for (const std::string& alias : Split(c.aliases, " ")) {
      if (wanted == alias) return c.value;
    }
  }
  throw std::invalid_argument(
      fmt::format("unknown {} '{}'; known: {}", what, name, fmt::join(known, ", ")));
}

template <class T, size_t N>
std::string_view ChoiceName(const Choice<T> (&choices)[N], T value) {
  for (const auto& c : choices) {
    if (c.value == value) return c.name;
  }
  return "?";
}

}  // namespace

std::optional<int64_t> ParseWhole(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::vector<std::string> Split(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(separators), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::vector<std::string> Nearest(std::string_view name, std::span<const std::string> known) {
  const std::string wanted = LowerCase(name);
  std::vector<std::pair<size_t, const std::string*>> near;
  for (const std::string& k : known) {
    const size_t distance = EditDistance(wanted, LowerCase(k));
    if (distance > std::max<size_t>(2, wanted.size() / 3)) continue;
    if (distance + 1 < std::max<size_t>(wanted.size(), 3)) near.emplace_back(distance, &k);
  }
  std::stable_sort(near.begin(), near.end(),
                   [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<std::string> best;
  for (const auto& entry : near) best.push_back(*entry.second);
  return best;
}

std::string DidYouMean(std::string_view name, std::span<const std::string> known) {
  std::vector<std::string> best = Nearest(name, known);
  if (best.size() > 3) best.resize(3);
  return best.empty() ? "" : fmt::format("; did you mean {}?", fmt::join(best, ", "));
}

std::span<const FormatNames> AllFormatNames() { return kFormatNames; }

const FormatNames& NamesOf(const fp8::Format& format) {
  for (const FormatNames& names : kFormatNames) {
    if (names.format == format) return names;
  }
  throw std::logic_error("a format without a name");
}

std::string PrecisionName(const fp8::Format& format) {
  if (format == sim::kE8M13) return "E8M13";
  if (format == fp8::kFP16) return "FP16";
  if (format == fp8::kFP32) return "FP32";
  if (format == fp8::kFP64) return "FP64";
  return NamesOf(format).name;
}

const FormatNames& FindFormat(std::string_view name) {
  const std::string wanted = Canonical(name);
  std::vector<std::string> known;
  for (const FormatNames& names : kFormatNames) {
    if (wanted == names.name) return names;  // before aliases: float8_e4m3 is not F8_E4M3
  }
  for (const FormatNames& names : kFormatNames) {
    std::vector<std::string> spellings = Split(names.aliases, " ");
    spellings.insert(spellings.begin(), {names.name, names.brief});
    for (const char* more : {names.safetensors, names.onnx}) {
      if (*more != '\0') spellings.emplace_back(more);
    }
    for (const std::string& s : spellings) {
      if (wanted == LowerCase(s)) return names;
    }
    known.insert(known.end(), spellings.begin(), spellings.end());
  }
  std::string hint = DidYouMean(wanted, known);
  if (hint.empty()) hint = "; `lostbits formats` lists them";
  throw std::invalid_argument(fmt::format("unknown format '{}'{}", name, hint));
}

fp8::Rounding FindRounding(std::string_view name) {
  return FindChoice(kRoundings, "rounding", name);
}
std::string_view RoundingName(fp8::Rounding rounding) { return ChoiceName(kRoundings, rounding); }

fp8::Overflow FindOverflow(std::string_view name) {
  return FindChoice(kOverflows, "overflow rule", name);
}
std::string_view OverflowName(fp8::Overflow overflow) { return ChoiceName(kOverflows, overflow); }

fp8::Library FindLibrary(std::string_view name) {
  std::string wanted = LowerCase(name);
  std::replace(wanted.begin(), wanted.end(), '-', '_');
  for (const fp8::LibraryRow& row : fp8::kLibraries) {
    if (wanted == row.name) return row.library;
  }
  throw std::invalid_argument(
      fmt::format("unknown library '{}'; known: {}", name, fmt::join(LibraryNames(), ", ")));
}

std::string_view LibraryName(fp8::Library library) {
  for (const fp8::LibraryRow& row : fp8::kLibraries) {
    if (row.library == library) return row.name;
  }
  return "?";
}

std::vector<std::string> LibraryNames() {
  std::vector<std::string> names;
  for (const fp8::LibraryRow& row : fp8::kLibraries) names.emplace_back(row.name);
  return names;
}

std::string_view EvidenceName(sim::EvidenceLevel level) {
  switch (level) {
    case sim::EvidenceLevel::kHardware: return "hardware";
    case sim::EvidenceLevel::kPublished: return "published";
    case sim::EvidenceLevel::kAssumed: return "assumed";
  }
  return "?";
}

std::string MachineName(const sim::ArchRow& row) {
  return fmt::format("{}:{}:{}{}{}:{}", row.arch, row.instruction, row.in, *row.scale ? "+" : "",
                     row.scale, row.out);
}

Machine AsMachine(const sim::ArchRow& row) { return {&row, row.spec, MachineName(row), false}; }

const sim::DisputeText* DisputeOf(const sim::DisputeSide& side) {
  for (const sim::DisputeText& d : sim::kDisputeTexts) {
    if (d.dispute == side.dispute) return &d;
  }
  return nullptr;
}

std::string OpenText(const sim::Evidence& evidence, bool common) {
  std::vector<std::string> open;
  for (const sim::GapText& gap : sim::kGapTexts) {
    const bool is_common = gap.gap == sim::kNoSpecials || gap.gap == sim::kFromModels;
    if (!(evidence.gaps & gap.gap) || (is_common && !common)) continue;
    open.emplace_back(gap.name);
    std::replace(open.back().begin(), open.back().end(), '_', ' ');
  }
  for (const sim::DisputeSide& side : evidence.disputes) {
    if (const sim::DisputeText* d = DisputeOf(side)) open.emplace_back(d->id);
  }
  return fmt::format("{}", fmt::join(open, ", "));
}

std::string EvidenceText(const sim::Evidence& e) {
  const std::string rests =
      e.level == sim::EvidenceLevel::kHardware
          ? fmt::format("{} recorded rows of {} ({})", e.vectors, e.gpus, e.source)
          : std::string(e.source);
  const std::string open = OpenText(e, true);
  return fmt::format("{}: {}{}{}", EvidenceName(e.level), rests,
                     open.empty() ? "" : "; open: ", open);
}

}  // namespace lostbits
