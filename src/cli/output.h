// What every command shares: global options, exit codes, tables, JSON, progress.
#ifndef LOSTBITS_SRC_CLI_OUTPUT_H_
#define LOSTBITS_SRC_CLI_OUTPUT_H_

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fp8/format.h"
#include "registry.h"

namespace lostbits::cli {

using Json = nlohmann::ordered_json;

/// Version of the JSON that every command prints. Raised when a key changes its meaning or goes.
inline constexpr int kSchemaVersion = 1;

enum ExitCode : int {
  kFine = 0,
  kMismatch = 1,    ///< a comparison or a bound failed
  kBadInput = 2,    ///< wrong usage or input
  kNoEvidence = 3,  ///< an assumed machine without --allow-unverified
};

/// An error with an exit code of its own. std::invalid_argument means kBadInput.
class Failure : public std::runtime_error {
 public:
  Failure(ExitCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

struct GlobalOptions {
  bool json = false;
  uint64_t seed = 0;
  int threads = 0;  ///< 0: as many as the machine has
  bool allow_unverified = false;
  std::function<int()> run;  ///< what the chosen command does; returns an exit code
};

/// A whole number, within [least, most]; one clear error naming `option` otherwise.
void CheckRange(std::string_view option, int64_t value, int64_t least, int64_t most);

/// Throws Failure(kNoEvidence) for an assumed row the user did not allow.
void CheckEvidence(const Machine& machine, const GlobalOptions& global);
/// Says on stderr what the row rests on; not with --json, which carries EvidenceJson. Called when
/// nothing can fail any more, so that an error stays one line.
void PrintEvidence(const Machine& machine, const GlobalOptions& global);
/// {"machine", "altered", "evidence", "vectors", "gpus", "source", "gaps", "disputes", "note"}.
Json EvidenceJson(const Machine& machine);

/// What a command has to say: for programs, and for people.
struct Report {
  Json json;
  std::string text;
  std::vector<Machine> machines;  ///< that it computed with
};
/// Prints a report as the user wants it, after the evidence of its machines.
void PrintReport(std::string_view command, const Report& report, const GlobalOptions& global);

/// Prints {"schema_version", "command", ...body} and a newline.
void PrintJson(std::string_view command, const Json& body);
/// A JSON number; "nan", "inf" or "-inf" as a string, which JSON has no number for.
Json NumberJson(double x);

/// The shortest decimal that reads back as x; "inf", "nan", "-0".
std::string Decimal(double x);
std::string Decimal(float x);
/// 100 * part / whole; whole is not 0.
double Percent(int64_t part, int64_t whole);
/// "12.5 %"; "-" of nothing.
std::string Share(int64_t part, int64_t whole);
/// "0x1.8p+1"; "inf", "nan".
std::string HexFloat(double x);
/// The value of a code of any format, exact; NaN has no payload.
double CodeValue(const fp8::Format& f, uint64_t code);
/// Hex digits, with or without 0x, of at most 64 bits; nullopt for anything else.
std::optional<uint64_t> ParseHex(std::string_view word);
/// "0x38": `bits` / 4 digits, rounded up.
std::string HexCode(uint64_t code, int bits);

/// Columns to print for: the terminal's, within [80, 120]; 120 if stdout is no terminal.
int OutputWidth();

/// A table whose last column wraps, and whose optional columns go where they do not fit.
class Table {
 public:
  enum Column : uint8_t { kLeft = 0, kRight = 1, kOptional = 2 };

  void AddColumn(std::string title, int flags = kLeft);
  /// One cell a column.
  void AddRow(std::vector<std::string> cells);
  std::string Text(int width) const;

 private:
  std::vector<std::string> titles_;
  std::vector<int> flags_;
  std::vector<std::vector<std::string>> rows_;
};

/// `text` broken at spaces into lines of at most `width`, each after the first behind `indent`.
std::string Wrap(std::string_view text, int width, std::string_view indent = "");

/// A line on stderr that counts up, only where stderr is a terminal. Not thread-safe.
class Progress {
 public:
  Progress(std::string what, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void Update(int64_t done);

 private:
  std::string what_;
  int64_t total_;
  bool shown_ = false;
  bool terminal_;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_OUTPUT_H_
