// The shapes in which each instruction comes, and what a shape of another k makes of a row.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "registry_query.h"

namespace lostbits {
namespace {

constexpr char kSinceAmpere[] = "ampere ada hopper blackwell rtx_blackwell";
constexpr char kSinceHopper[] = "hopper blackwell rtx_blackwell";
constexpr char kWmma16[] = "m16n16k16 m32n8k16 m8n32k16";

struct Shapes {
  const char* isa;
  const char* archs;         ///< "": all that have the instruction
  const char* instructions;  ///< of rows
  const char* types;         ///< of both operands
  const char* shapes;        ///< N: any n
};
// PTX ISA 9.0, "mma", "wmma.mma", "wgmma.mma_async", "tcgen05.mma"; AMD's ISA guides of MI100,
// MI200 and MI300, "MFMA"; MM2's lists, nv_ptx/isa_*.py and amd/isa_mfma.py. Left out, as no source
// says what it does: FP8 mma.sync of k = 16 on sm_90 and sm_100, wmma TF32 on sm_120.
constexpr Shapes kShapes[] = {
    {"mma", "volta", "mma.sync", "f16", "m8n8k4"},
    {"mma", "turing", "mma.sync.m8n8k4", "f16", "m8n8k4"},
    {"mma", "turing", "mma.sync", "f16", "m16n8k8"},
    {"mma", kSinceAmpere, "mma.sync", "f16 bf16", "m16n8k8 m16n8k16"},
    {"mma", kSinceAmpere, "mma.sync", "tf32", "m16n8k4 m16n8k8"},
    {"mma", "hopper blackwell", "wmma", "tf32", "m16n8k4"},  // compiles to HMMA.1684 (KM)
    {"mma", kSinceAmpere, "mma.sync", "f64", "m8n8k4"},
    {"mma", kSinceHopper, "mma.sync", "f64", "m16n8k4 m16n8k8 m16n8k16"},
    {"mma", "ada rtx_blackwell", "mma.sync", "e4m3 e5m2", "m16n8k16 m16n8k32"},
    {"mma", "hopper blackwell", "mma.sync", "e4m3 e5m2", "m16n8k32"},
    {"mma", "rtx_blackwell", "mma.sync mma.sync.mxf8f6f4", kF8f6f4Types, "m16n8k32"},
    {"mma", "rtx_blackwell", "mma.sync.mxf4 mma.sync.mxf4nvf4", "e2m1", "m16n8k64"},
    {"wmma", "", "mma.sync", "f16", kWmma16},
    {"wmma", kSinceAmpere, "mma.sync", "bf16", kWmma16},
    {"wmma", "ampere ada", "mma.sync", "tf32", "m16n16k8"},
    {"wmma", "hopper blackwell", "wmma", "tf32", "m16n16k8"},
    {"wmma", kSinceAmpere, "mma.sync", "f64", "m8n8k4"},
    {"wgmma", "", "wgmma", "f16 bf16", "m64nNk16"},
    {"wgmma", "", "wgmma", "tf32", "m64nNk8"},
    {"wgmma", "", "wgmma", "e4m3 e5m2", "m64nNk32"},
    {"tcgen05", "", "tcgen05", "f16 bf16", "m64nNk16 m128nNk16"},
    {"tcgen05", "", "tcgen05", "tf32", "m64nNk8 m128nNk8"},
    {"tcgen05", "", "tcgen05", kF8f6f4Types, "m64nNk32 m128nNk32"},
    {"tcgen05", "", "tcgen05.mxf8f6f4", kF8f6f4Types, "m128nNk32"},
    {"tcgen05", "", "tcgen05.mxf4 tcgen05.mxf4nvf4", "e2m1", "m128nNk64"},
    {"mfma", "", "mfma", "f64", "m16n16k4 m4n4k4"},
    {"mfma", "", "mfma", "f32", "m32n32k2 m32n32k1 m16n16k4 m16n16k1 m4n4k1"},
    {"mfma", "", "mfma", "f16", "m32n32k8 m32n32k4 m16n16k16 m16n16k4 m4n4k4"},
    {"mfma", "cdna1 cdna2", "mfma", "bf16", "m32n32k4 m32n32k2 m16n16k8 m16n16k2 m4n4k2"},
    {"mfma", "cdna3", "mfma", "bf16", "m32n32k8 m32n32k4 m16n16k16 m16n16k4 m4n4k4"},
    {"mfma", "cdna2", "mfma_1k", "bf16", "m32n32k8 m32n32k4 m16n16k16 m16n16k4 m4n4k4"},
    {"mfma", "cdna3", "mfma", "tf32", "m16n16k8 m32n32k4"},
    {"mfma", "cdna3", "mfma", "e4m3fnuz e5m2fnuz", "m16n16k32 m32n32k16"},
};

bool AllAmong(std::string_view in, const char* types) {
  const std::vector<std::string> parts = Split(in, ".");
  return std::all_of(parts.begin(), parts.end(),
                     [&](const std::string& part) { return Among(part, types); });
}

bool Covers(const Shapes& s, const sim::ArchRow& row) {
  return Among(row.arch, s.archs) && Among(row.instruction, s.instructions) &&
         AllAmong(row.in, s.types);
}

bool Matches(const Shape& listed, const Shape& s) {
  if (listed.m != s.m || listed.k != s.k) return false;
  // PTX ISA, "wgmma.mma_async" and "tcgen05.mma": n = 8, 16, ..., 256.
  return listed.n != 0 ? listed.n == s.n : s.n % 8 == 0 && s.n >= 8 && s.n <= 256;
}

/// Digits at the front of `text`, taken off it; nullopt if there are none.
std::optional<int> TakeNumber(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value <= 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

}  // namespace

bool Among(std::string_view word, const char* list) {
  const std::vector<std::string> words = Split(list, " ");
  return words.empty() || std::find(words.begin(), words.end(), word) != words.end();
}

std::optional<Shape> ParseShape(std::string_view token) {
  // Warp-level SASS: m, n and k run together.
  constexpr std::pair<std::string_view, Shape> kRunTogether[] = {
      {"884", {8, 8, 4}},     {"1684", {16, 8, 4}},   {"1688", {16, 8, 8}},
      {"16816", {16, 8, 16}}, {"16832", {16, 8, 32}}, {"16864", {16, 8, 64}}};
  for (const auto& [text, shape] : kRunTogether) {
    if (token == text) return shape;
  }
  const bool ptx = token.starts_with('m');
  const std::string_view before[3] = {ptx ? "m" : "", ptx ? "n" : "x", ptx ? "k" : "x"};
  int sizes[3] = {};
  for (int i = 0; i < 3; ++i) {
    if (!token.starts_with(before[i])) return std::nullopt;
    token.remove_prefix(before[i].size());
    if (i == 1 && token.starts_with('N')) {
      token.remove_prefix(1);
      continue;
    }
    const std::optional<int> size = TakeNumber(token);
    if (!size) return std::nullopt;
    sizes[i] = *size;
  }
  if (!token.empty()) return std::nullopt;
  return Shape{sizes[0], sizes[1], sizes[2]};
}

std::string ShapeText(const Shape& s) { return fmt::format("m{}n{}k{}", s.m, s.n, s.k); }

bool HasShape(const sim::ArchRow& row, const Query& query) {
  if (query.isa.empty()) return true;
  for (const Shapes& s : kShapes) {
    if (query.isa != s.isa || !Covers(s, row)) continue;
    if (query.shape.k == 0) return true;
    for (const std::string& listed : Split(s.shapes, " ")) {
      if (Matches(*ParseShape(listed), query.shape)) return true;
    }
  }
  return false;
}

std::string ShapesOf(const sim::ArchRow& row, const Query& query) {
  std::vector<std::string> shapes;
  for (const Shapes& s : kShapes) {
    if (query.isa != s.isa || !Covers(s, row)) continue;
    const std::vector<std::string> more = Split(s.shapes, " ");
    shapes.insert(shapes.end(), more.begin(), more.end());
  }
  const bool any_n = std::any_of(shapes.begin(), shapes.end(),
                                 [](const std::string& s) { return s.find('N') != s.npos; });
  return fmt::format("{}{}", fmt::join(shapes, ", "),
                     any_n ? " with N a multiple of 8 up to 256" : "");
}

bool HasK(const sim::ArchRow& row, int k) {
  for (const Shapes& s : kShapes) {
    if (!Covers(s, row)) continue;
    for (const std::string& listed : Split(s.shapes, " ")) {
      if (ParseShape(listed)->k == k) return true;
    }
  }
  return false;
}

sim::AccumSpec WithK(sim::AccumSpec spec, int k) {
  if (k >= spec.k) return spec;
  spec.k = k;
  spec.group = std::min(spec.group, k);
  return spec;
}

}  // namespace lostbits
