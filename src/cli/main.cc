// The lostbits program: parses, runs one command, turns errors into one line and an exit code.
#include <omp.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "cli/command.h"
#include "registry.h"

namespace lostbits::cli {
namespace {

constexpr char kOverview[] =
    R"(lostbits says, bit for bit and on a CPU, what a GPU's matrix unit does to a sum.

  lostbits formats [FORMAT]          number formats; all codes of one
  lostbits encode | decode           values to codes and back, as CUDA, torch, ... do it
  lostbits machines [MACHINE]        matrix units and the evidence for each
  lostbits dot --machine M           dot products in hex, one a line
  lostbits explain MACHINE [LINE]    where the bits of one dot product went
  lostbits gemm A B --machine M      a matrix product and its error
  lostbits compare A B               two machines on the same inputs, and why they part
  lostbits attention Q K V           FP8 attention and its error
  lostbits needle                    the main job: long-context retrieval and error
  lostbits verify DIR                replays recorded hardware outputs
  lostbits bench [MODE]              rates, side by side with what you would use instead

Start with:  lostbits machines hopper:wgmma:e4m3:f32
Details:     lostbits COMMAND --help
)";

/// A line for stderr: control characters (from file names, headers) would break it.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (std::iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  return text;
}

int Fail(int code, const std::string& what) {
  fmt::print(stderr, "lostbits: error: {}\n", OneLine(what));
  return code;
}

/// Negative numbers that CLI11 would take for options, made values: " -inf" instead of "-inf".
std::vector<std::string> Arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = argc; i-- > 1;) {  // CLI11 wants them last to first
    std::string argument = argv[i];
    if (argument.size() > 1 && argument[0] == '-' &&
        !std::isdigit(static_cast<unsigned char>(argument[1]))) {
      char* end = nullptr;
      std::strtod(argument.c_str(), &end);
      if (*end == '\0') argument.insert(0, " ");
    }
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

int Run(int argc, char** argv) {
  GlobalOptions global;
  CLI::App app("Bit-exact CPU simulation of GPU matrix units", "lostbits");
  app.set_version_flag("--version", "lostbits " LOSTBITS_VERSION);
  app.set_help_flag("-h,--help", "Print this help and exit");
  AddGlobalOptions(app, global);
  AddFormats(app, global);
  AddEncode(app, global);
  AddDecode(app, global);
  AddMachines(app, global);
  AddDot(app, global);
  AddExplain(app, global);
  AddVerify(app, global);
  AddGemm(app, global);
  AddCompare(app, global);
  AddAttention(app, global);
  AddNeedle(app, global);
  AddBench(app, global);
  app.require_subcommand(0, 1);

  if (argc < 2) {
    fmt::print("{}", kOverview);
    return kFine;
  }
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands([](CLI::App*) { return true; }))
    commands.push_back(command->get_name());
  if (argv[1][0] != '-' && std::find(commands.begin(), commands.end(), argv[1]) == commands.end()) {
    std::string hint = DidYouMean(argv[1], commands);
    if (hint.empty()) hint = "; `lostbits` alone lists them";
    return Fail(kBadInput, fmt::format("unknown command '{}'{}", argv[1], hint));
  }
  try {
    std::vector<std::string> arguments = Arguments(argc, argv);
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    fmt::print("{}", chosen.empty() ? app.help() : chosen[0]->help("lostbits"));
    return kFine;
  } catch (const CLI::CallForVersion& version) {
    fmt::print("{}\n", version.what());
    return kFine;
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    return Fail(kBadInput, fmt::format("{} (see `lostbits {}--help`)", error.what(),
                                       chosen.empty() ? "" : chosen[0]->get_name() + " "));
  }
  if (!global.run) {
    fmt::print("{}", kOverview);
    return kFine;
  }
  CheckRange("--threads", global.threads, 0, 4096);
  if (global.threads > 0) omp_set_num_threads(global.threads);
  return global.run();
}

}  // namespace

}  // namespace lostbits::cli

int main(int argc, char** argv) {
  using lostbits::cli::Fail;
  int code = lostbits::cli::kFine;
  try {
    code = lostbits::cli::Run(argc, argv);
  } catch (const lostbits::cli::Failure& failure) {
    code = Fail(failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    code = Fail(lostbits::cli::kBadInput, "not enough memory for this input");
  } catch (const std::exception& error) {
    code = Fail(lostbits::cli::kBadInput, error.what());
  }
  if (std::fflush(stdout) != 0)
    return Fail(lostbits::cli::kBadInput,
                std::string("cannot write to standard output: ") + std::strerror(errno));
  return code;
}
