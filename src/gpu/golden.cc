#include "gpu/golden.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "cli/dot_lines.h"
#include "cuda/twin.h"

namespace lostbits::gpu {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Bad(const std::string& path, const std::string& what) {
  throw std::invalid_argument(path + ": " + what);
}

/// Codes or words of one of a tile's arrays as a tensor.
template <class T>
Tensor AsTensor(const fp8::Format& format, std::vector<int64_t> shape, const std::vector<T>& from) {
  Tensor tensor = MakeTensor(format, std::move(shape));
  if constexpr (sizeof(T) == 1) {
    std::memcpy(tensor.data.data(), from.data(), from.size());
  } else {
    for (size_t i = 0; i < from.size(); ++i) tensor.SetCode(static_cast<int64_t>(i), from[i]);
  }
  return tensor;
}

Tensor ReadAs(const std::string& path, const char* name, const fp8::Format& format,
              const std::vector<int64_t>& shape) {
  Tensor tensor = ReadTensor(path + ":" + name, format);
  if (tensor.shape != shape)
    Bad(path, fmt::format("{}: expected shape {}, found {}", name, ShapeText(shape),
                          ShapeText(tensor.shape)));
  return tensor;
}

std::vector<int64_t> Extents(int64_t tiles, int x, int y) { return {tiles, x, y}; }

}  // namespace

fs::path TilePath(const std::string& folder, const std::string& arch, const Unit& unit) {
  return fs::path(folder) / arch / (UnitName(unit) + ".safetensors");
}

void WriteTiles(const std::string& path, const TileGolden& golden) {
  const Tiles& t = golden.tiles;
  const TileShape& s = t.unit->shape;
  const Tensor a = AsTensor(s.a, Extents(t.count, s.m, s.k), t.a);
  const Tensor b = AsTensor(s.b, Extents(t.count, s.n, s.k), t.b);
  const Tensor c = AsTensor(s.d, Extents(t.count, s.m, s.n), t.c);
  const Tensor d = AsTensor(s.d, Extents(t.count, s.m, s.n), t.d);
  const NamedTensor tensors[] = {{"a", &a}, {"b", &b}, {"c", &c}, {"d", &d}};
  Metadata metadata = golden.metadata;
  metadata.emplace_back("kind", "tiles");
  metadata.emplace_back("arch", golden.arch);
  metadata.emplace_back("unit", UnitName(*t.unit));
  metadata.emplace_back("instruction", PtxName(*t.unit));
  metadata.emplace_back("sha256", ChecksumOf(tensors));
  fs::create_directories(fs::path(path).parent_path());
  WriteSafetensors(path, tensors, metadata);
}

TileGolden ReadTiles(const std::string& path) {
  const Metadata metadata = SafetensorsMetadata(path);
  const std::string name = Lookup(metadata, "unit"), arch = Lookup(metadata, "arch");
  const Unit* unit = FindUnit(name);
  if (unit == nullptr || RowOf(*unit, arch) < 0)
    Bad(path, fmt::format("expected tiles of a known unit and architecture, found '{}' of '{}'",
                          name, arch));
  const TileShape& s = unit->shape;
  const int64_t count = [&] {
    const Tensor d = ReadTensor(path + ":d", s.d);
    return d.shape.size() == 3 ? d.shape[0] : 0;
  }();
  const Tensor a = ReadAs(path, "a", s.a, Extents(count, s.m, s.k));
  const Tensor b = ReadAs(path, "b", s.b, Extents(count, s.n, s.k));
  const Tensor c = ReadAs(path, "c", s.d, Extents(count, s.m, s.n));
  const Tensor d = ReadAs(path, "d", s.d, Extents(count, s.m, s.n));
  const NamedTensor tensors[] = {{"a", &a}, {"b", &b}, {"c", &c}, {"d", &d}};
  CheckGolden(path, metadata, "tiles", tensors);
  TileGolden golden{metadata, arch, Tiles(*unit, count)};
  std::memcpy(golden.tiles.a.data(), a.data.data(), a.data.size());
  std::memcpy(golden.tiles.b.data(), b.data.data(), b.data.size());
  for (size_t i = 0; i < golden.tiles.c.size(); ++i) {
    golden.tiles.c[i] = static_cast<uint32_t>(c.Code(static_cast<int64_t>(i)));
    golden.tiles.d[i] = static_cast<uint32_t>(d.Code(static_cast<int64_t>(i)));
  }
  return golden;
}

namespace {

/// golden's d against `other`'s, in whose words the first difference is told.
Agreement AgreementOf(const TileGolden& golden, const std::vector<uint32_t>& other,
                      const char* others_name) {
  const Tiles& t = golden.tiles;
  const TileShape& s = t.unit->shape;
  Agreement result;
  result.rows = static_cast<int64_t>(t.d.size());
  for (size_t i = 0; i < t.d.size(); ++i) {
    if (t.d[i] == other[i]) {
      ++result.matched;
    } else if (result.first.empty()) {
      const int64_t tile = static_cast<int64_t>(i) / s.Outputs();
      const int at = static_cast<int>(static_cast<int64_t>(i) % s.Outputs());
      result.first = fmt::format(
          "tile {}, output ({}, {}): recorded {}, {} {}\n  {}", tile, at / s.n, at % s.n,
          cli::CodeDigits(t.d[i], s.d), others_name, cli::CodeDigits(other[i], s.d),
          RepeatCommand(MachineFor(*t.unit, golden.arch), t, tile, at / s.n, at % s.n));
    }
  }
  return result;
}

}  // namespace

Agreement ReplayTiles(const TileGolden& golden) {
  const Tiles& t = golden.tiles;
  const TileShape& s = t.unit->shape;
  const sim::AccumSpec spec = MachineFor(*t.unit, golden.arch).spec;
  std::vector<uint32_t> words;
  words.reserve(t.d.size());
  for (int64_t tile = 0; tile < t.count; ++tile) {
    for (int i = 0; i < s.m; ++i) {
      for (int j = 0; j < s.n; ++j)
        words.push_back(TwinOutput(spec, s, t.A(tile, i), t.B(tile, j), t.C(tile, i, j)));
    }
  }
  return AgreementOf(golden, words, "simulated");
}

Agreement RerunTiles(const TileGolden& golden, Backend& device) {
  Tiles again = golden.tiles;
  device.Run(again);
  return AgreementOf(golden, again.d, "now");
}

Agreement ReplayProbes(const std::string& path) {
  std::ifstream file(path);
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("probes") || !json["probes"].is_array())
    Bad(path, "expected a JSON object with 'probes', found other text");
  Agreement result;
  for (const Json& p : json["probes"]) {
    const Machine machine = FindMachine(p.value("machine", ""));
    const cli::DotLine line = cli::ParseDotLine(p.value("as_computed", ""), machine.spec, path);
    const std::string observed = p.value("observed", "");
    const std::string word = cli::CodeDigits(cli::ComputeDot(machine.spec, line), machine.spec.acc);
    ++result.rows;
    if (word == observed) {
      ++result.matched;
    } else if (result.first.empty()) {
      result.first = fmt::format(
          "{} ({}): recorded {}, simulated {}\n  lostbits explain -m {} '{}'", p.value("id", "?"),
          p.value("question", "?"), observed, word, machine.name, p.value("as_computed", ""));
    }
  }
  return result;
}

std::vector<fs::path> GoldensIn(const std::string& folder) {
  if (!fs::is_directory(folder)) Bad(folder, "expected a folder of goldens");
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const fs::path& p = entry.path();
    if (entry.is_regular_file() && !p.filename().string().ends_with(kDisagrees) &&
        (p.extension() == ".safetensors" || p.filename() == "probes.json"))
      paths.push_back(p);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string DisagreesPath(const std::string& path) {
  return fs::path(path).replace_extension().string() + kDisagrees;
}

bool IsSimulated(const fs::path& path) {
  if (path.filename() != "probes.json")
    return Lookup(SafetensorsMetadata(path.string()), "simulated") != "false";
  std::ifstream file(path);
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  return !json.is_object() || json.value("simulated", true);
}

void CheckFolder(const std::string& folder, const DeviceInfo& info) {
  const std::string whole = fs::weakly_canonical(fs::absolute(folder)).string() + "/";
  if (info.simulated && whole.find("/tests/golden/") != whole.npos)
    Bad(folder, fmt::format("expected a folder outside tests/golden, whose goldens are of GPUs, "
                            "for those of {}",
                            info.name));
  const fs::path own = fs::path(folder) / info.arch;
  if (!fs::is_directory(own)) return;
  for (const fs::path& path : GoldensIn(own.string())) {
    if (IsSimulated(path) != info.simulated)
      Bad(path.string(), fmt::format("expected a golden of a {}, as {} is, found one of a {}",
                                     info.simulated ? "simulator" : "GPU", info.name,
                                     info.simulated ? "GPU" : "simulator"));
  }
}

}  // namespace lostbits::gpu
