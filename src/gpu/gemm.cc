// lostbits-gpu gemm: a kernel at a size, against the recipe it is declared equal to.
#include <chrono>
#include <memory>
#include <stdexcept>

#include "gpu/kernels.h"

namespace lostbits::gpu {

Machine MachineOfKernel(GemmKernel kernel, const std::string& name, const std::string& arch) {
  if (!name.empty()) return FindMachine(name);
  switch (kernel) {
    case GemmKernel::kMma: return FindMachine(arch + ":mma.sync:e4m3:f32");
    case GemmKernel::kTwin:
    case GemmKernel::kWgmma: break;
  }
  return FindMachine("hopper:wgmma:e4m3:f32");
}

std::vector<int64_t> SampleRows(int64_t rows, int64_t count, uint64_t seed) {
  std::vector<int64_t> sample;
  if (count <= 0 || count >= rows) {
    for (int64_t i = 0; i < rows; ++i) sample.push_back(i);
    return sample;
  }
  // One of each of `count` equal parts, the first and the last row among them.
  sim::Random r(seed, 0x726f7773);  // "rows"
  for (int64_t i = 0; i < count; ++i) {
    const int64_t first = i * rows / count, last = (i + 1) * rows / count - 1;
    sample.push_back(i == 0           ? 0
                     : i == count - 1 ? rows - 1
                                      : r.Between(static_cast<int>(first), static_cast<int>(last)));
  }
  return sample;
}

namespace {

struct Choice {
  GemmKernel kernel = GemmKernel::kWgmma;
  Promotion promotion = Promotion::kNone;
  OperandPattern pattern = OperandPattern::kWide;
  std::string machine, shape = "512x512x4096", output = "f32", at;
  int64_t rows = 4;
  bool twin = false;
};

std::string CommandOf(const Options& options, const Choice& c, const Machine& machine) {
  return fmt::format(
      "lostbits-gpu gemm --kernel {} -m {} --shape {} --promote {} --pattern {} "
      "--output {} --seed {}",
      NameOf(c.kernel), machine.name, c.shape, NameOf(c.promotion), PatternName(c.pattern),
      c.output, options.seed);
}

/// One output by the CPU.
int RunAt(const Options& options, const Choice& choice, const GemmPlan& plan) {
  const std::vector<int64_t> at = ParseNumbers("--at", choice.at, ',', 2);
  if (at[0] >= plan.shape.m || at[1] >= plan.shape.n)
    throw std::invalid_argument(fmt::format("--at: expected ROW,COL within {} x {}, found {}",
                                            plan.shape.m, plan.shape.n, choice.at));
  const GemmOperands operands = DrawGemm(plan, choice.pattern, options.seed);
  const uint32_t word =
      GemmOnCpu(plan, operands, std::span(at).first(1), 0)[static_cast<size_t>(at[1])];
  const std::string digits = cli::CodeDigits(word, plan.recipe.output);
  if (options.json)
    cli::PrintJson("gemm", {{"row", at[0]}, {"col", at[1]}, {"cpu", digits}});
  else
    fmt::print("output ({}, {}): 0x{} ({})\n", at[0], at[1], digits,
               cli::CodeValue(plan.recipe.output, word));
  return cli::kFine;
}

int RunGemm(const Options& options, const Choice& choice) {
  const std::vector<int64_t> shape = ParseNumbers("--shape", choice.shape, 'x', 3);
  const fp8::Format output = choice.output == "bf16" ? fp8::kBF16 : fp8::kFP32;
  const auto plan_for = [&](const Machine& machine) {
    return PlanGemm(choice.kernel, choice.promotion, {shape[0], shape[1], shape[2]}, machine.spec,
                    output);
  };
  if (!choice.at.empty())
    return RunAt(options, choice,
                 plan_for(MachineOfKernel(choice.kernel, choice.machine, "hopper")));
  // What is wrong with the shape is said before a device is looked for, and what the device lacks
  // before its machine row, which is not there either.
  const GemmPlan on_hopper = plan_for(MachineOfKernel(choice.kernel, choice.machine, "hopper"));
  const std::unique_ptr<Backend> device = Open(options);
  device->CheckRuns(on_hopper);
  const Machine machine = MachineOfKernel(choice.kernel, choice.machine, device->info().arch);
  const GemmPlan plan = plan_for(machine);
  const GemmOperands operands = DrawGemm(plan, choice.pattern, options.seed);
  const std::vector<uint32_t> d = device->Gemm(plan, operands);

  const int64_t n = plan.shape.n;
  Difference cpu{"the CPU"}, twin{"the twin on the device"};
  const std::vector<int64_t> rows = SampleRows(plan.shape.m, choice.rows, options.seed);
  const std::vector<uint32_t> expected = GemmOnCpu(plan, operands, rows, 0);
  for (size_t i = 0; i < rows.size(); ++i)
    for (int64_t j = 0; j < n; ++j)
      cpu.Count({rows[i], j}, d[static_cast<size_t>(rows[i] * n + j)],
                expected[i * static_cast<size_t>(n) + static_cast<size_t>(j)]);
  if (choice.twin && choice.kernel != GemmKernel::kTwin) {
    const std::vector<uint32_t> all = device->Gemm(
        PlanGemm(GemmKernel::kTwin, choice.promotion, plan.shape, plan.recipe.unit, output),
        operands);
    for (size_t i = 0; i < d.size(); ++i)
      twin.Count({static_cast<int64_t>(i) / n, static_cast<int64_t>(i) % n}, d[i], all[i]);
  }

  const std::string command = CommandOf(options, choice, machine);
  Json list = Json::array();
  for (const Difference* x : {&cpu, &twin}) {
    if (x->asked == 0) continue;
    const std::string repeat =
        x->mismatches == 0 ? ""
                           : fmt::format("{} --at {},{}", command, x->first.at[0], x->first.at[1]);
    list.push_back(x->Report(plan.recipe.output, repeat));
    if (!options.json)
      fmt::print("{}\n", x->Text(fmt::format("gemm {} {} promote {} {}", NameOf(plan.kernel),
                                             choice.shape, NameOf(plan.promotion), choice.output),
                                 plan.recipe.output, repeat));
  }
  if (options.json) {
    Json body = DeviceJson(device->info());
    body["machine"] = machine.name;
    body["plan"] = PlanJson(plan);
    body["comparisons"] = list;
    cli::PrintJson("gemm", body);
  }
  return cpu.mismatches + twin.mismatches == 0 ? cli::kFine : cli::kMismatch;
}

}  // namespace

void AddGemm(CLI::App& app, Options& options) {
  const auto choice = std::make_shared<Choice>();
  CLI::App* command =
      app.add_subcommand("gemm", "A GEMM kernel against the recipe it is declared equal to");
  AddName(*command, "--kernel", choice->kernel,
          {{"twin", GemmKernel::kTwin}, {"mma", GemmKernel::kMma}, {"wgmma", GemmKernel::kWgmma}},
          "twin: the simulator on the GPU; mma: mma.sync FP8; wgmma (default)");
  command->add_option("-m,--machine", choice->machine,
                      "Machine row (`lostbits machines`); default: the kernel's own, E4M3");
  command->add_option("--shape", choice->shape, "MxNxK");
  AddName(*command, "--promote", choice->promotion,
          {{"none", Promotion::kNone}, {"128", Promotion::kAdd}, {"scaled", Promotion::kScaled}},
          "What happens every 128 k: none (default), 128 (FP32 add), scaled (1x128 and 128x128)");
  AddPattern(*command, choice->pattern);
  command->add_option("--output", choice->output, "f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command->add_option("--rows", choice->rows, "Rows compared with the CPU; 0: all");
  command->add_flag("--twin", choice->twin, "All outputs against the twin on the device, too");
  command->add_option("--at", choice->at, "ROW,COL: only this output, by the CPU; needs no GPU");
  AddCommonOptions(*command, options);
  command->footer(
      "Exit code: 0 if no output differs, 1 if one does, 3 if there is no device or it\n"
      "lacks the instruction.\n"
      "Example:\n  lostbits-gpu gemm --shape 256x256x131072 --promote scaled --twin");
  command->callback(
      [choice, &options] { options.run = [=, &options] { return RunGemm(options, *choice); }; });
}

}  // namespace lostbits::gpu
