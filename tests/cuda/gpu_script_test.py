"""scripts/gpu with a program that plays lostbits-gpu: the order of its steps, its time limits, and
what it makes of each exit code. And scripts/gpu_peer.py, as far as no GPU is needed.

usage: python3 gpu_script_test.py SOURCE_DIR [unittest arguments]
"""
import importlib.util
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(sys.argv.pop(1)).resolve()

# Logs its arguments; ends as the first rule says whose words all occur in them.
PLAYER = """#!/bin/bash
echo "$*" >>{folder}/calls
[[ " $* " == *" --json "* ]] &&
  printf '{{\\n "compute_capability": "%s"\\n}}\\n' "$(<{folder}/capability)"
echo "first line"
while IFS='|' read -r words ending; do
  for word in $words; do [[ " $* " == *" $word "* ]] || continue 2; done
  case $ending in
    hang) exec sleep 60 ;;
    deaf) trap '' TERM; sleep 60 & wait; wait ;;
    crash) kill -SEGV $$ ;;
    *) exit "$ending" ;;
  esac
done <{folder}/rules
exit 0
"""
# As compute-sanitizer: options, then a program.
SANITIZER = """#!/bin/bash
while [[ $1 == --* ]]; do shift 2; done
exec "$@" --sanitized
"""


class GpuScript(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lostbits_gpu_script_"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.write("lostbits-gpu", PLAYER.format(folder=self.folder))
        self.write("bin/compute-sanitizer", SANITIZER)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run_script(self, *args, rules=(), capability="9.0", code=0):
        """What the script printed; self.calls: what it asked of the program, in order."""
        (self.folder / "rules").write_text("".join(f"{words}|{end}\n" for words, end in rules),
                                           encoding="utf-8")
        (self.folder / "capability").write_text(capability, encoding="utf-8")
        (self.folder / "calls").unlink(missing_ok=True)
        environment = dict(os.environ, PATH=f"{self.folder}/bin:{os.environ['PATH']}",
                           CUDA_VISIBLE_DEVICES="")
        run = subprocess.run(
            [SOURCE / "scripts/gpu", "--program", self.folder / "lostbits-gpu", "--out",
             self.folder / "out", *args], capture_output=True, text=True, env=environment,
            timeout=300, check=False)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        self.calls = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        return run.stdout

    def steps(self):
        """Names of commands, each run of equal ones once."""
        names = [call.split()[0] for call in self.calls]
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    def told(self, text, what):
        """The names behind a line of the summary."""
        lines = [line for line in text.splitlines() if line.startswith(f"scripts/gpu: {what}")]
        return lines[0].split(": ")[2].split() if lines else []

    def test_goldens_come_before_kernels_and_the_long_verify_last(self):
        text = self.run_script("--to", self.folder / "golden")
        self.assertEqual(self.steps()[:8], ["device", "probe", "verify", "capture", "codec", "ex2",
                                            "gemm", "attention"])
        self.assertIn("verify --cases 1e6", self.calls)
        self.assertEqual(self.calls[-1], "verify --cases 1e8")
        for call in self.calls:
            if call.split()[0] in ("probe", "capture", "capture-kernels"):
                self.assertIn(f"--to {self.folder}/golden", call)
        self.assertIn("the simulator says what this GPU says", text)
        # One small shape of each kernel goes through both tools of compute-sanitizer.
        checked = [call for call in self.calls if "--sanitized" in call]
        for words in ("verify", "ex2", "cvt", "codec", "gemm --kernel twin",
                      "attention --kernel twin",
                      *(f"gemm --kernel {k} --promote {p}" for k in ("mma", "wgmma")
                        for p in ("none", "128", "scaled")),
                      *(f"attention --head-dim {d}" for d in (64, 128, 256))):
            self.assertGreaterEqual(sum(call.startswith(words) for call in checked), 2, words)

    def test_a_kernel_that_hangs_is_asked_no_more(self):
        text = self.run_script("--to", self.folder / "golden", "--step-limit", "1",
                               code=2, rules=[("gemm wgmma", "hang"),
                                              ("attention --head-dim 64", "deaf")])
        self.assertEqual(self.told(text, "timed out"), ["gemm-wgmma-none", "attention-64"])
        left = self.told(text, "left out, their kernel")
        for name in ("gemm-wgmma-none-bf16", "gemm-wgmma-scaled-128k", "capture-gemm-wgmma",
                     "attention-64-approx", "capture-attention-64"):
            self.assertIn(name, left)
        self.assertNotIn("attention-128", left)
        self.assertEqual(sum("--kernel wgmma" in call for call in self.calls), 1)
        self.assertTrue(any("mma" in call.split() and "--only" not in call and "128" in call.split()
                            for call in self.calls))
        self.assertEqual(self.calls[-1], "verify --cases 1e8")
        # What was there before the limit stands in the file.
        self.assertIn("first line",
                      (self.folder / "out/gemm-wgmma-none.txt").read_text(encoding="utf-8"))

    def test_how_a_step_ended(self):
        text = self.run_script(
            "--to", self.folder / "golden", code=1,
            rules=[("--sanitized codec", 86), ("codec", 1), ("cvt", 3), ("ex2", 2),
                   ("gemm twin", "crash")])
        self.assertEqual(self.told(text, "not as the simulator"), ["codec"])
        self.assertEqual(self.told(text, "not on this GPU")[0], "cvt")
        self.assertEqual([name for name in self.told(text, "failed to run") if "-" not in name
                          or name == "gemm-twin"], ["ex2", "gemm-twin"])
        self.assertTrue(all("codec" in name
                            for name in self.told(text, "compute-sanitizer complains")))
        self.assertEqual(len(self.told(text, "compute-sanitizer complains")), 2)
        self.assertNotIn("says what this GPU says", text)
        # Without a disagreement: 2.
        self.run_script("--to", self.folder / "golden", rules=[("ex2", 2)], code=2)

    def test_without_a_device(self):
        text = self.run_script("--to", self.folder / "golden", rules=[("device", 3)], code=3)
        self.assertEqual(self.calls, ["device"], text)

    def test_the_budget_holds(self):
        start = time.monotonic()
        text = self.run_script("--to", self.folder / "golden", "--budget", "20",
                               rules=[("capture", "hang"), ("verify 1e8", "hang")])
        self.assertLess(time.monotonic() - start, 40)
        late = self.told(text, "left out or cut short")
        self.assertEqual((late[0], late[-1]), ("capture", "verify"))
        self.assertNotIn("says what this GPU says", text)

    def test_gpus_are_asked_what_they_have(self):
        self.run_script("--to", self.folder / "golden", capability="8.0")
        self.assertFalse([call for call in self.calls if "wgmma" in call.split()])
        self.assertFalse([call for call in self.calls if "mma" in call.split()])
        self.run_script("--to", self.folder / "golden", capability="8.9")
        self.assertTrue([call for call in self.calls if "mma" in call.split()])
        self.assertFalse([call for call in self.calls if "wgmma" in call.split()])

    def test_the_simulator_writes_no_golden_of_the_tree(self):
        before = sorted((SOURCE / "tests").rglob("*"))
        self.run_script("--simulate", "hopper")
        self.assertEqual(sorted((SOURCE / "tests").rglob("*")), before)
        capture = [call for call in self.calls if call.startswith("capture ")]
        self.assertEqual(capture, [f"capture --to {self.folder}/out/golden --simulate hopper"])
        self.assertFalse([call for call in self.calls if call.startswith("bench")])


class GpuPeer(unittest.TestCase):
    def test_ratios_are_to_the_fastest_peer_of_the_size(self):
        spec = importlib.util.spec_from_file_location("gpu_peer", SOURCE / "scripts/gpu_peer.py")
        peer = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(peer)
        # The columns of Report::Add, src/gpu/bench.cc.
        text = "".join(
            f"{what:<38} {us:>9.1f} us  {rate:>8.3f} {'TFLOP/s':<7} \n" for what, us, rate in (
                ("wgmma, promote none 8192x8192x8192", 800, 1374),
                ("attention approx 16384x16384 d 128 causal", 2000, 550),
                ("attention polynomial 1x131072 d 128", 100, 21.5)))
        ours = peer.read_ours(text)
        self.assertEqual(ours, {("approx", "16384x16384 d 128 causal"): 550,
                                ("polynomial", "1x131072 d 128"): 21.5})
        sizes = [peer.name_of(size) for size in peer.SIZES]
        for _, size in ours:
            self.assertIn(size, sizes)
        self.assertEqual(
            peer.ratios(ours, {"16384x16384 d 128 causal": {"a": 500, "b": 1100}}),
            ["attention approx 16384x16384 d 128 causal: 0.50 x b"])


if __name__ == "__main__":
    unittest.main()
