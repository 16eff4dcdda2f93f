#include "sim/vectors.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <string_view>
#include <system_error>

#include "fp8/codec.h"
#include "sim/accum.h"
#include "sim/arch_table.h"

namespace lostbits::sim {
namespace {

namespace fs = std::filesystem;

// ---- Who made what -----------------------------------------------------------------------------

struct Gpu {
  std::string_view name, arch;
};
// Folder names of model_validation/. RTX-1000 is the "Ada" of that folder.
constexpr Gpu kGpus[] = {{"V100", "volta"},  {"A100", "ampere"},   {"A2", "ampere"},
                         {"Ada", "ada"},     {"L40S", "ada"},      {"H100", "hopper"},
                         {"H200", "hopper"}, {"B200", "blackwell"}};

struct Input {
  std::string_view folder, name;  // the folder's name, and the machine table's
};
constexpr Input kInputs[] = {
    {"fp16", "f16"}, {"bf16", "bf16"}, {"tf32", "tf32"}, {"E4M3", "e4m3"}, {"E5M2", "e5m2"}};

struct Provenance {
  std::string_view arch, input, output;  // "*" is any
  std::string_view instruction;
  bool uses_c;
};
// The first line that fits decides. From model_validation/CUDA (the kernels that made the files)
// and Validate_TC_models.m (Hopper's FP8 to fp32: WGMMA, c not used), commit b12b5a7.
// wmma::mma_sync is the table's mma.sync, but for tf32 where it has a row of its own.
constexpr Provenance kProvenance[] = {
    {"hopper", "E4M3", "fp32", "wgmma", false}, {"hopper", "E5M2", "fp32", "wgmma", false},
    {"hopper", "tf32", "fp32", "wmma", true},   {"blackwell", "tf32", "fp32", "wmma", true},
    {"*", "*", "*", "mma.sync", true},
};

template <class Table>
auto Find(const Table& table, auto fits) -> decltype(&table[0]) {
  const auto it = std::find_if(std::begin(table), std::end(table), fits);
  return it == std::end(table) ? nullptr : &*it;
}

template <class Table>
std::string List(const Table& table, auto name) {
  std::string out;
  for (const auto& entry : table) out += (out.empty() ? "" : ", ") + std::string(name(entry));
  return out;
}

const Gpu* FindGpu(std::string_view name) {
  return Find(kGpus, [&](const Gpu& g) { return g.name == name; });
}
const Input* FindInput(std::string_view folder) {
  return Find(kInputs, [&](const Input& i) { return i.folder == folder; });
}

void Assign(VectorSet& set) {
  const std::string_view arch = FindGpu(set.gpu)->arch, in = FindInput(set.input)->name;
  const std::string_view out = set.output == "fp32" ? "f32" : "f16";
  const auto is = [](std::string_view pattern, std::string_view text) {
    return pattern == "*" || pattern == text;
  };
  const Provenance* origin = Find(kProvenance, [&](const Provenance& o) {
    return is(o.arch, arch) && is(o.input, set.input) && is(o.output, set.output);
  });
  set.uses_c = origin->uses_c;
  set.machine = Find(std::span<const ArchRow>(kArchTable), [&](const ArchRow& row) {
    return row.arch == arch && row.instruction == origin->instruction && row.in == in &&
           row.out == out;
  });
  if (set.machine == nullptr) {
    throw VectorError(set.d.string() + ": the machine table has no " + std::string(arch) + ":" +
                      std::string(origin->instruction) + ":" + std::string(in) + ":" +
                      std::string(out));
  }
}

// ---- Folders -----------------------------------------------------------------------------------

std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) out.push_back(it->path());
  if (error) throw VectorError(folder.string() + ": cannot read this folder: " + error.message());
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<fs::path> Folders(const fs::path& folder) {
  std::vector<fs::path> out = Entries(folder);
  std::error_code ignored;
  std::erase_if(out, [&](const fs::path& p) { return !fs::is_directory(p, ignored); });
  return out;
}

/// Files called <letter>_*<ending>, in the order of their names.
std::vector<fs::path> Files(const fs::path& folder, char letter, std::string_view ending) {
  std::vector<fs::path> out = Entries(folder);
  std::error_code ignored;
  std::erase_if(out, [&](const fs::path& p) {
    const std::string name = p.filename().string();
    return name.size() < 2 || name[0] != letter || name[1] != '_' || !name.ends_with(ending) ||
           fs::is_directory(p, ignored);
  });
  return out;
}

bool HoldsVectors(const fs::path& folder) {
  return !Files(folder, 'a', ".txt").empty() || !Files(folder, 'b', ".txt").empty() ||
         !Files(folder, 'd', ".txt").empty();
}

fs::path OneFile(const fs::path& folder, char letter, std::string_view ending) {
  const std::vector<fs::path> found = Files(folder, letter, ending);
  if (found.size() == 1) return found[0];
  throw VectorError(folder.string() + ": expected one file " + letter + "_*" + std::string(ending) +
                    ", found " + std::to_string(found.size()));
}

void AddInputFolder(const fs::path& folder, const std::string& gpu, std::vector<VectorSet>& sets) {
  VectorSet set;
  set.gpu = gpu;
  set.input = folder.filename().string();
  if (FindGpu(gpu) == nullptr) {
    throw VectorError(folder.string() + ": unknown GPU \"" + gpu + "\", expected one of " +
                      List(kGpus, [](const Gpu& g) { return g.name; }));
  }
  if (FindInput(set.input) == nullptr) {
    throw VectorError(folder.string() + ": unknown input format \"" + set.input +
                      "\", expected one of " +
                      List(kInputs, [](const Input& i) { return i.folder; }));
  }
  const std::vector<fs::path> outputs = Files(folder, 'd', ".txt");
  if (outputs.empty())
    throw VectorError(folder.string() + ": expected d_*_fp32.txt or d_*_fp16.txt, found neither");
  set.a = OneFile(folder, 'a', ".txt");
  set.b = OneFile(folder, 'b', ".txt");
  for (const char* output : {"fp16", "fp32"}) {
    const std::string ending = "_" + std::string(output) + ".txt";
    if (Files(folder, 'd', ending).empty()) continue;
    set.output = output;
    set.d = OneFile(folder, 'd', ending);
    Assign(set);
    const bool has_c = !Files(folder, 'c', "_fp32.txt").empty();
    set.c = set.uses_c || has_c ? OneFile(folder, 'c', "_fp32.txt") : fs::path();
    sets.push_back(set);
  }
  for (const fs::path& d : outputs) {
    const std::string name = d.filename().string();
    if (!name.ends_with("_fp32.txt") && !name.ends_with("_fp16.txt"))
      throw VectorError(d.string() + ": unknown output, expected d_*_fp32.txt or d_*_fp16.txt");
  }
}

void AddGpuFolder(const fs::path& folder, std::vector<VectorSet>& sets) {
  const std::string gpu = folder.filename().string();
  const bool known_gpu = FindGpu(gpu) != nullptr;
  for (const fs::path& input : Folders(folder)) {
    const bool known = known_gpu && FindInput(input.filename().string()) != nullptr;
    if (known || HoldsVectors(input)) AddInputFolder(input, gpu, sets);
  }
}

// ---- Lines -------------------------------------------------------------------------------------

/// A text file read a line at a time, in a fixed buffer.
class Lines {
 public:
  explicit Lines(fs::path path) : path_(std::move(path)), in_(path_, std::ios::binary) {
    if (!in_) throw VectorError(path_.string() + ": cannot read this file");
  }

  /// The next line, without the white space around it; false at the end. Empty lines may only
  /// follow the last row.
  bool Next(std::string_view& line) {
    if (!ReadLine(line)) return false;
    if (!line.empty()) return true;
    const int64_t empty = number_;
    while (ReadLine(line)) {
      if (!line.empty()) Fail(empty, "expected a row, found an empty line");
    }
    return false;
  }

  int64_t number() const { return number_; }
  const fs::path& path() const { return path_; }

  [[noreturn]] void Fail(const std::string& what) const { Fail(number_, what); }

 private:
  [[noreturn]] void Fail(int64_t line, const std::string& what) const {
    throw VectorError(path_.string() + ":" + std::to_string(line) + ": " + what);
  }

  bool ReadLine(std::string_view& line) {
    in_.getline(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    const auto count = in_.gcount();
    if (in_.bad()) throw VectorError(path_.string() + ": cannot read this file");
    if (in_.fail()) {
      if (in_.eof()) return false;
      ++number_;
      Fail("expected a row, found a line of more than " + std::to_string(buffer_.size() - 1) +
           " characters");
    }
    ++number_;
    // gcount includes the line's end, except at the end of the file.
    const auto length = static_cast<size_t>(in_.eof() ? count : count - 1);
    line = std::string_view(buffer_.data(), length);
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!line.empty() && blank(line.front())) line.remove_prefix(1);
    while (!line.empty() && blank(line.back())) line.remove_suffix(1);
    return true;
  }

  fs::path path_;
  std::ifstream in_;
  int64_t number_ = 0;
  std::array<char, 1 << 16> buffer_;  // 7281 words: no instruction takes so many
};

/// A token as an error shows it: short, on one line.
std::string Quote(std::string_view token) {
  std::string out = "\"";
  for (char c : token.substr(0, 40)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (token.size() > 40 ? "...\"" : "\"");
}

/// A word written with exactly `digits` digits of the given base (2 or 16).
uint32_t ParseWord(const Lines& lines, std::string_view token, size_t digits, unsigned base) {
  uint32_t word = 0;
  bool good = token.size() == digits;
  for (char c : token.substr(0, digits)) {
    unsigned digit = 99;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
    good = good && digit < base;
    word = word * base + digit;
  }
  if (!good) {
    lines.Fail("expected " + std::to_string(digits) + (base == 2 ? " binary" : " hex") +
               " digits, found " + Quote(token));
  }
  return word;
}

/// The words of a line of a or b.
void ParseRow(const Lines& lines, std::string_view line, std::vector<uint32_t>& words) {
  words.clear();
  while (!line.empty()) {
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(ParseWord(lines, line.substr(0, end), 8, 16));
    line.remove_prefix(std::min(line.find_first_not_of(" \t", end), line.size()));
  }
}

// ---- Replay ------------------------------------------------------------------------------------

constexpr fp8::EncodePolicy kIeee{.overflow = fp8::Overflow::kToSpecial,
                                  .inf = fp8::InfRule::kKeep};

/// Codes of binary32 words in a format that must hold each of them exactly.
void Recode(const Lines& lines, fp8::Format f, const std::string& name,
            std::vector<uint32_t>& words) {
  for (uint32_t& word : words) {
    const Unpacked x = fp8::Unpack(fp8::kFP32, word);
    const uint32_t code = static_cast<uint32_t>(fp8::Pack(f, x, kIeee).code);
    const bool exact = x.cls == Class::kNan ? fp8::HasNan(f)
                                            : fp8::BitCast<uint32_t>(fp8::Decode(f, code)) == word;
    if (!exact) {
      constexpr char kDigits[] = "0123456789abcdef";
      std::string hex;
      for (int shift = 28; shift >= 0; shift -= 4) hex += kDigits[word >> shift & 15];
      lines.Fail("expected a value that " + name + " holds exactly, found " + hex);
    }
    word = code;
  }
}

bool IsNan(uint32_t binary32) { return fp8::Unpack(fp8::kFP32, binary32).cls == Class::kNan; }

}  // namespace

std::vector<VectorSet> ListVectorSets(const fs::path& folder) {
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error || !fs::is_directory(root, error))
    throw VectorError(folder.string() + ": expected a folder of vectors, found no folder");
  std::vector<VectorSet> sets;
  if (HoldsVectors(root)) {
    AddInputFolder(root, root.parent_path().filename().string(), sets);
  } else if (FindGpu(root.filename().string()) != nullptr) {
    AddGpuFolder(root, sets);
  } else {
    for (const fs::path& gpu : Folders(root)) AddGpuFolder(gpu, sets);
  }
  if (sets.empty()) {
    throw VectorError(folder.string() +
                      ": expected <GPU>/<input format>/{a,b,c,d}_*.txt, found no vectors");
  }
  return sets;
}

VectorReplay ReplayVectors(const VectorSet& set) {
  const AccumSpec& spec = set.machine->spec;
  const bool fp16 = spec.acc == fp8::kFP16;
  std::vector<Lines> files;
  for (const fs::path* path : {&set.a, &set.b, &set.d, &set.c}) {
    if (!path->empty()) files.emplace_back(*path);
  }
  VectorReplay result;
  size_t k = 0;
  std::vector<std::string_view> rows(files.size());
  std::vector<uint32_t> a, b;
  std::vector<Unpacked> ua, ub;
  for (;;) {
    const Lines* ended = nullptr;
    const Lines* going = nullptr;
    for (size_t i = 0; i < files.size(); ++i) (files[i].Next(rows[i]) ? going : ended) = &files[i];
    if (going == nullptr) break;
    if (ended != nullptr) {
      throw VectorError(ended->path().string() + ": expected row " +
                        std::to_string(result.rows + 1) + ", which " +
                        going->path().filename().string() + " has, found the end of the file");
    }
    ++result.rows;
    ParseRow(files[0], rows[0], a);
    ParseRow(files[1], rows[1], b);
    if (k == 0) k = a.size();
    for (size_t i = 0; i < 2; ++i) {
      const size_t count = (i == 0 ? a : b).size();
      if (count == k) continue;
      files[i].Fail("expected " + std::to_string(k) + " words, as in the first row of a, found " +
                    std::to_string(count));
    }
    Recode(files[0], spec.a, set.input, a);
    Recode(files[1], spec.b, set.input, b);
    const uint32_t expected = ParseWord(files[2], rows[2], 32, 2);
    uint32_t c = files.size() > 3 ? ParseWord(files[3], rows[3], 32, 2) : 0;
    if (!set.uses_c) c = 0;
    if (fp16)
      c = static_cast<uint32_t>(fp8::Pack(fp8::kFP16, fp8::Unpack(fp8::kFP32, c), kIeee).code);

    ua.clear();
    ub.clear();
    for (uint32_t code : a) ua.push_back(fp8::Unpack(spec.a, code));
    for (uint32_t code : b) ub.push_back(fp8::Unpack(spec.b, code));
    const auto word =
        static_cast<uint32_t>(DotChain(spec, ua.data(), ub.data(), static_cast<int64_t>(k), c));
    const uint32_t got = fp16 ? fp8::BitCast<uint32_t>(fp8::Decode<fp8::kFP16>(word)) : word;
    if (got == expected || (fp16 && IsNan(got) && IsNan(expected))) {
      ++result.matched;
    } else if (!result.first_mismatch) {
      result.first_mismatch = VectorMismatch{result.rows, expected, got, a, b, c};
    }
  }
  if (result.rows == 0) throw VectorError(set.d.string() + ": expected rows, found an empty file");
  return result;
}

}  // namespace lostbits::sim
