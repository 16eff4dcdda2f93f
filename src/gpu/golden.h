// Goldens: what a device answered, in files that outlive it.
//
//   DIR/<arch>/<unit>.safetensors  tiles of one instruction: a [tiles, m, k], b [tiles, n, k],
//                                  c and d [tiles, m, n]; every one of the m x n outputs of a tile
//                                  is a case, so a case costs 13 bytes instead of 72
//   DIR/<arch>/probes.json         questions, what each side expected, what was observed
//   DIR/<arch>/ex2.safetensors     cuda's ex2.approx.ftz.f32: gpu/exp2_golden.h
//
// Each says of which device, driver and toolkit it is, when and with which command it was written.
// A .safetensors golden carries the SHA-256 of its tensors' bytes in the file's order.
#ifndef LOSTBITS_SRC_GPU_GOLDEN_H_
#define LOSTBITS_SRC_GPU_GOLDEN_H_

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "golden_file.h"
#include "gpu/session.h"

namespace lostbits::gpu {

struct TileGolden {
  Metadata metadata;
  std::string arch;
  Tiles tiles;  ///< d: the device's
};
std::filesystem::path TilePath(const std::string& folder, const std::string& arch,
                               const Unit& unit);
void WriteTiles(const std::string& path, const TileGolden& golden);
TileGolden ReadTiles(const std::string& path);

/// Recorded words against others.
struct Agreement {
  int64_t rows = 0, matched = 0;
  std::string first;  ///< the first difference, and a command that repeats it; "" if none
};
/// Against the simulator: the machine that the table has for the golden's unit.
Agreement ReplayTiles(const TileGolden& golden);
/// Against a device that is asked the golden's own questions again.
Agreement RerunTiles(const TileGolden& golden, Backend& device);

/// probes.json: its observed words against the simulator's.
Agreement ReplayProbes(const std::string& path);

/// Ends the names of files that hold what was not taken for true.
inline constexpr char kDisagrees[] = ".disagrees.safetensors";
/// Where words go that are not written to `path`.
std::string DisagreesPath(const std::string& path);
/// Every golden in a folder, those of sub-folders too, by path; not those that end in kDisagrees.
std::vector<std::filesystem::path> GoldensIn(const std::string& folder);
/// Whether a golden is of a simulator; one that does not say counts as such.
bool IsSimulated(const std::filesystem::path& path);
/// Throws std::invalid_argument where this device's answers would lie among goldens of the other
/// sort: a simulator's in tests/golden or beside a GPU's, a GPU's beside a simulator's.
void CheckFolder(const std::string& folder, const DeviceInfo& info);

}  // namespace lostbits::gpu

#endif  // LOSTBITS_SRC_GPU_GOLDEN_H_
