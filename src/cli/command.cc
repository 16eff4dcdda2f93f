#include "cli/command.h"

namespace lostbits::cli {

void AddGlobalOptions(CLI::App& command, GlobalOptions& global) {
  command.add_flag("--json", global.json, "Print one JSON object (with schema_version)");
  command.add_option("--seed", global.seed, "Seed of everything random");
  command.add_option("--threads", global.threads, "Threads; 0 (default): all. Never changes a bit");
}

void AddAllowUnverified(CLI::App& command, GlobalOptions& global) {
  command.add_flag("--allow-unverified", global.allow_unverified,
                   "Compute with machines whose evidence is only assumed");
}

}  // namespace lostbits::cli
