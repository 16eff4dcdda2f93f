// The lostbits-gpu program: what a real matrix unit answers, and whether the simulator says so too.
#include <cctype>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

#include "gpu/session.h"

namespace lostbits::gpu {
namespace {

constexpr char kOverview[] =
    R"(lostbits-gpu asks a real GPU, and compares what it answers with the simulator.

  lostbits-gpu device               the GPU, and the instructions that will be asked
  lostbits-gpu probe                questions that published sources leave open
  lostbits-gpu verify --cases 1e9   generated cases, on every instruction or one
  lostbits-gpu capture --to DIR     records what every instruction answers
  lostbits-gpu ex2 --to DIR         ex2.approx.ftz.f32 over all 2^32 inputs
  lostbits-gpu cvt                  cvt to FP8 over all 2^32 inputs
  lostbits-gpu codec                codec kernels over all inputs
  lostbits-gpu gemm                 a GEMM kernel against the recipe it equals
  lostbits-gpu attention            an attention kernel likewise
  lostbits-gpu bench                medians: codec, GEMM, attention
  lostbits-gpu capture-kernels      records rows of GEMMs and of attention
  lostbits-gpu replay DIR           recorded answers against the simulator; needs no GPU

All of it in one go: scripts/gpu. Without a GPU: --simulate hopper.
)";

std::string OneLine(std::string text) {
  for (char& c : text) {
    if (std::iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  return text;
}

int Fail(int code, const std::string& what) {
  fmt::print(stderr, "lostbits-gpu: error: {}\n", OneLine(what));
  return code;
}

int RunDevice(const Options& options) {
  const std::unique_ptr<Backend> device = Open(options);
  const DeviceInfo& info = device->info();
  Json list = Json::array();
  for (const Unit* unit : UnitsOf(*device))
    list.push_back({{"unit", UnitName(*unit)},
                    {"instruction", PtxName(*unit)},
                    {"machine", MachineOf(*unit, info.arch)}});
  if (options.json) {
    Json body = DeviceJson(info);
    body["units"] = list;
    cli::PrintJson("device", body);
    return cli::kFine;
  }
  fmt::print("{} (compute capability {}.{}), driver {}, {}\n", info.name, info.capability / 10,
             info.capability % 10, info.driver, info.toolkit);
  for (const Json& unit : list)
    fmt::print("  {:<62} {}\n", unit["instruction"].get<std::string>(),
               unit["machine"].get<std::string>());
  return cli::kFine;
}

int Run(int argc, char** argv) {
  Options options;
  for (int i = 0; i < argc; ++i)
    options.command += (i == 0 ? "lostbits-gpu" : std::string(" ") + argv[i]);
  CLI::App app("What a real matrix unit answers", "lostbits-gpu");
  app.set_version_flag("--version", "lostbits-gpu " LOSTBITS_VERSION);
  CLI::App* device = app.add_subcommand("device", "The GPU, and the instructions to be asked");
  AddCommonOptions(*device, options);
  device->callback([&options] { options.run = [&options] { return RunDevice(options); }; });
  AddProbe(app, options);
  AddVerify(app, options);
  AddCapture(app, options);
  AddExp2(app, options);
  AddEncode(app, options);
  AddCodec(app, options);
  AddGemm(app, options);
  AddAttention(app, options);
  AddBench(app, options);
  AddCaptureKernels(app, options);
  AddReplay(app, options);
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    fmt::print("{}", chosen.empty() ? app.help() : chosen[0]->help("lostbits-gpu"));
    return cli::kFine;
  } catch (const CLI::CallForVersion& version) {
    fmt::print("{}\n", version.what());
    return cli::kFine;
  } catch (const CLI::ParseError& error) {
    return Fail(cli::kBadInput, fmt::format("{} (see `lostbits-gpu --help`)", error.what()));
  }
  if (!options.run) {
    fmt::print("{}", kOverview);
    return cli::kFine;
  }
  return options.run();
}

}  // namespace
}  // namespace lostbits::gpu

int main(int argc, char** argv) {
  using lostbits::gpu::Fail;
  // Into a file too, line by line: a run that is stopped at a time limit keeps what it found.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  int code = lostbits::cli::kFine;
  try {
    code = lostbits::gpu::Run(argc, argv);
  } catch (const lostbits::cli::Failure& failure) {
    code = Fail(failure.code(), failure.what());
  } catch (const lostbits::gpu::NotOnThisDevice& missing) {
    code = Fail(lostbits::cli::kNoEvidence, missing.what());
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
