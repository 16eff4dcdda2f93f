// The parts of `lostbits machines`.
#ifndef LOSTBITS_SRC_CLI_MACHINES_H_
#define LOSTBITS_SRC_CLI_MACHINES_H_

#include <string>
#include <vector>

#include "cli/output.h"
#include "registry.h"

namespace lostbits::cli {

using Rows = std::vector<const sim::ArchRow*>;

/// A line for each family of rows, under a line for each architecture.
std::string TableText(const Rows& rows, int width);
/// The whole table, instructions by operand types, as README has it.
std::string MarkdownText();

/// One machine: what it computes, what that rests on, what is open, a worked example.
std::string MachinePage(const Machine& machine, int width);

/// Questions on which sources part, with the machines among `rows` that they concern.
std::string DisputesText(const Rows& rows, int width);
Json DisputesJson(const Rows& rows);

/// A machine for programs: its evidence and its spec.
Json MachineJson(const Machine& machine);
/// The rows that a name fits, or all; of one alone also its sources and its worked example.
Json MachinesJson(const std::string& name);
/// "VEC: recorded hardware outputs, ...": what the abbreviations in a row's evidence stand for.
std::vector<std::string> SourcesOf(const sim::Evidence& evidence);

}  // namespace lostbits::cli

#endif  // LOSTBITS_SRC_CLI_MACHINES_H_
