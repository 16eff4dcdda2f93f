"""scripts/gpu with a program that plays lostbits-gpu: the order of its steps, its time limits, and
what it makes of each exit code. And scripts/gpu_peer.py, as far as no GPU is needed.

usage: python3 gpu_script_test.py SOURCE_DIR [unittest arguments]
"""
import importlib.util
import os
import pathlib
import shutil
import signal
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
echo "$$" >>{folder}/pids
echo "first line"
while IFS='|' read -r words ending; do
  for word in $words; do [[ " $* " == *" $word "* ]] || continue 2; done
  case $ending in
    hang) exec sleep 60 ;;
    verify-*)
      for n in ${{ending#verify-}} 0; do echo "unit.a    $n of 150 differ, 0.1 s"; done
      exec sleep 60 ;;
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

    def prepare(self, rules, capability="9.0"):
        """What the player does; the environment for the script."""
        (self.folder / "rules").write_text("".join(f"{words}|{end}\n" for words, end in rules),
                                           encoding="utf-8")
        (self.folder / "capability").write_text(capability, encoding="utf-8")
        (self.folder / "calls").unlink(missing_ok=True)
        return dict(os.environ, PATH=f"{self.folder}/bin:{os.environ['PATH']}",
                    CUDA_VISIBLE_DEVICES="")

    def run_script(self, *args, rules=(), capability="9.0", code=0):
        """What the script printed; self.calls: what it asked of the program, in order."""
        environment = self.prepare(rules, capability)
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
                               rules=[("capture", "hang"), ("verify 1e8", "hang")], code=2)
        self.assertLess(time.monotonic() - start, 40)
        late = self.told(text, "left out or cut short")
        self.assertEqual((late[0], late[-1]), ("capture", "verify"))
        self.assertEqual(self.told(text, "timed out"), [])
        self.assertNotIn("says what this GPU says", text)
        self.assertIn("nothing disagrees in the steps that ended", text)

    def test_a_kernel_that_the_budget_stops_is_not_taken_for_hung(self):
        text = self.run_script("--to", self.folder / "golden", "--budget", "20", code=2,
                               rules=[("gemm wgmma", "hang")])
        self.assertEqual(self.told(text, "left out, their kernel"), [])
        self.assertEqual(self.told(text, "left out or cut short")[:2],
                         ["gemm-wgmma-none", "gemm-wgmma-none-bf16"])

    def test_the_long_verify_takes_what_is_left(self):
        """Cut short, it says how far it came, and that alone is no failure; what it found is."""
        for differ, code in ((0, 0), (3, 1)):
            text = self.run_script("--to", self.folder / "golden", "--budget", "18", code=code,
                                   rules=[("verify 1e8", f"verify-{differ}")])
            self.assertIn("verify: 300 cases of 2 instructions until the budget ended", text)
            self.assertEqual(self.told(text, "left out or cut short"), [])
            self.assertEqual(self.told(text, "not as the simulator"), ["verify"] if differ else [])
            self.assertEqual("the simulator says what this GPU says" in text, not differ)

    def test_wrong_options(self):
        seconds = "expected whole seconds above 0, found"
        for args, says in (
                (["--budget", "600s"], f"--budget: {seconds} '600s'"),
                (["--budget", "1e2"], f"--budget: {seconds} '1e2'"),
                (["--budget", "0"], f"--budget: {seconds} '0'"),
                (["--budget", "-5"], f"--budget: {seconds} '-5'"),
                (["--step-limit", "ten"], f"--step-limit: {seconds} 'ten'"),
                (["--step-limit", "1.5"], f"--step-limit: {seconds} '1.5'"),
                (["--cases", "many"], "--cases: expected a number from 1, found 'many'"),
                (["--program", "/nowhere"], "--program: expected a program, found '/nowhere'"),
                (["--fast"], "found '--fast'"),
                *(([option], f"{option}: expected a value, found none") for option in (
                    "--cases", "--budget", "--step-limit", "--to", "--out", "--program",
                    "--simulate"))):
            run = subprocess.run([SOURCE / "scripts/gpu", *args], capture_output=True, text=True,
                                 cwd=self.folder, timeout=60, check=False)
            self.assertEqual((run.returncode, run.stdout), (2, ""), (args, run.stderr))
            self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
            self.assertIn(says, run.stderr)
        self.assertFalse((self.folder / "calls").exists())

    def test_paths_are_relative_to_the_caller(self):
        environment = self.prepare([])
        golden = self.folder / "golden"
        golden.mkdir()
        (golden / "old").write_text("", encoding="utf-8")
        for _ in range(2):  # a second run into the same folders
            run = subprocess.run([SOURCE / "scripts/gpu", "--program", "./lostbits-gpu", "--out",
                                  "out", "--to", "golden"], capture_output=True, text=True,
                                 cwd=self.folder, env=environment, timeout=300, check=False)
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertEqual(os.listdir(self.folder / "out/golden"), ["old"])
        self.assertIn(f"capture --to {golden}\n",
                      (self.folder / "calls").read_text(encoding="utf-8"))

    def test_interrupt_stops_the_run(self):
        environment = self.prepare([("capture", "hang")])
        # Ctrl-C goes to the group in the foreground; a test may itself be run with it ignored.
        with subprocess.Popen(
                [SOURCE / "scripts/gpu", "--program", self.folder / "lostbits-gpu", "--out",
                 self.folder / "out", "--to", self.folder / "golden"], stdout=subprocess.PIPE,
                text=True, env=environment, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as run:
            calls, start = self.folder / "calls", time.monotonic()
            while time.monotonic() < start + 60 and not (
                    calls.exists() and "capture" in calls.read_text(encoding="utf-8")):
                time.sleep(0.05)
            time.sleep(0.5)
            start = time.monotonic()
            os.killpg(run.pid, signal.SIGINT)
            text = run.communicate(timeout=50)[0]
            self.assertLess(time.monotonic() - start, 15)
        self.assertEqual(run.returncode, 130, text)
        self.assertIn("stopped", text)
        hung = int((self.folder / "pids").read_text(encoding="utf-8").split()[-1])
        with self.assertRaises(ProcessLookupError):
            os.kill(hung, 0)
        self.assertTrue(calls.read_text(encoding="utf-8").splitlines()[-1].startswith("capture "))

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
        self.assertEqual(self.calls[-1], "verify --cases 1e5 --simulate hopper")
        # Nor where it is told to.
        for to in ("tests/golden", "tests/golden/mine", "tests/../tests/golden/"):
            run = subprocess.run(
                [SOURCE / "scripts/gpu", "--program", self.folder / "lostbits-gpu", "--simulate",
                 "hopper", "--out", self.folder / "out", "--to", to], capture_output=True,
                text=True, cwd=SOURCE, timeout=60, check=False)
            self.assertEqual(run.returncode, 2, run.stdout)
            self.assertIn("outside tests/golden", run.stderr)


def load_peer():
    spec = importlib.util.spec_from_file_location("gpu_peer", SOURCE / "scripts/gpu_peer.py")
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    return peer


class GpuPeer(unittest.TestCase):
    def test_every_error_has_a_line(self):
        peer = load_peer()
        for error, line in ((ValueError("a\nb"), "a"), (ValueError(), "ValueError"),
                            (RuntimeError("\n"), "RuntimeError")):
            self.assertEqual(peer.reason(error), line)

    def test_ratios_are_to_the_fastest_peer_of_the_size(self):
        peer = load_peer()
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
