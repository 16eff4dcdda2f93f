// The commands. Each Add* function registers one with the parser and sets global.run when chosen.
#ifndef LOSTBITS_SRC_CLI_COMMAND_H_
#define LOSTBITS_SRC_CLI_COMMAND_H_

#include <CLI/CLI.hpp>

#include "cli/output.h"

namespace lostbits::cli {

void AddFormats(CLI::App& app, GlobalOptions& global);
void AddEncode(CLI::App& app, GlobalOptions& global);
void AddDecode(CLI::App& app, GlobalOptions& global);
void AddMachines(CLI::App& app, GlobalOptions& global);
void AddDot(CLI::App& app, GlobalOptions& global);
void AddExplain(CLI::App& app, GlobalOptions& global);
void AddVerify(CLI::App& app, GlobalOptions& global);
void AddGemm(CLI::App& app, GlobalOptions& global);
void AddAttention(CLI::App& app, GlobalOptions& global);
void AddCompare(CLI::App& app, GlobalOptions& global);
void AddNeedle(CLI::App& app, GlobalOptions& global);
void AddBench(CLI::App& app, GlobalOptions& global);

/// --json, --seed and --threads, in a command's own --help.
void AddGlobalOptions(CLI::App& command, GlobalOptions& global);
/// --allow-unverified.
void AddAllowUnverified(CLI::App& command, GlobalOptions& global);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_COMMAND_H_
