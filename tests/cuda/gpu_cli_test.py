"""lostbits-gpu from outside: without a device, with the simulator in its place, and in error.

usage: python3 gpu_cli_test.py LOSTBITS_GPU [unittest arguments]
"""
import array
import glob
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
ASKING = ["device", "probe", "verify", "ex2", "cvt", "codec", "gemm", "attention", "bench"]


def content(path):
    with open(path, "rb") as file:
        return file.read()


def write_npy(path, shape, values):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() +
                   values.tobytes())


def rewrite_golden(path, change):
    """Every tensor's bytes become change(name, bytes), of the same size; the checksum fits."""
    data = content(path)
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    parts, checksum = [], hashlib.sha256()
    for name, at in sorted(((n, t["data_offsets"]) for n, t in header.items()
                            if n != "__metadata__"), key=lambda item: item[1]):
        parts.append(change(name, body[at[0]:at[1]]))
        checksum.update(parts[-1])
    header["__metadata__"]["sha256"] = checksum.hexdigest()
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


class GpuCli(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lostbits_gpu_cli_")
        self.addCleanup(shutil.rmtree, self.folder)

    def run_program(self, *args):
        # No device, even where there is one.
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES="")
        return subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True,
                              cwd=self.folder, env=environment, timeout=300)

    def good(self, *args, code=0):
        run = self.run_program(*args)
        self.assertEqual(run.returncode, code, f"{args}: {run.stderr}{run.stdout}")
        return run.stdout

    def json(self, *args, code=0):
        result = json.loads(self.good(*args, "--json", code=code))
        self.assertEqual((result["schema_version"], result["command"]), (1, args[0]))
        return result

    def bad(self, *args, code=2, says=()):
        run = self.run_program(*args)
        what = f"{args}: {run.stderr!r}"
        self.assertEqual(run.returncode, code, what)
        self.assertTrue(run.stderr.startswith("lostbits-gpu: error: "), what)
        self.assertEqual(run.stderr.count("\n"), 1, what)
        for part in says:
            self.assertIn(part, run.stderr, what)
        return run

    def test_without_a_device(self):
        for command in ASKING:
            run = self.bad(command, code=3, says=["CUDA"])
            self.assertEqual(run.stdout, "")
        self.bad("capture", "--to", "golden", code=3)
        self.bad("capture-kernels", "--to", "golden", code=3)
        self.assertEqual(os.listdir(self.folder), [])

    def test_overview_names_every_command(self):
        text = self.good()
        for command in ASKING + ["capture", "capture-kernels", "replay"]:
            self.assertIn(f"lostbits-gpu {command}", text)
            self.good(command, "--help")

    def test_bad_input(self):
        self.bad("probe", "--simulate", "pascal", says=["pascal", "hopper"])
        self.bad("probe", "--simulate", "hopper@no_such=1", says=["no_such"])
        self.bad("verify", "--simulate", "hopper", "-m", "cdna3:mfma:f16:f32", says=["cdna3"])
        self.bad("verify", "--simulate", "hopper", "--cases", "0", says=["--cases"])
        self.bad("ex2", "--simulate", "hopper", "--blocks", "513")
        self.bad("replay", "nowhere", says=["nowhere"])
        self.bad("no_such_command")
        self.bad("bench", "--simulate", "hopper", "--small", says=["simulated hopper"])
        # Shapes are refused before a device is looked for.
        for shape, kernel, says in [("64x64", "wgmma", "64x64"), ("64x64x-1", "wgmma", "64x64x-1"),
                                    ("64x64x40", "wgmma", "16"), ("64x4x64", "wgmma", "64x4x64"),
                                    ("0x8x32", "twin", "0x8x32"), ("16x8x24", "mma", "16"),
                                    ("8x8x2000000", "twin", "2^20")]:
            self.bad("gemm", "--shape", shape, "--kernel", kernel, says=[says])
        self.bad("gemm", "--shape", "64x64x64", "--at", "64,0", says=["64 x 64"])
        self.bad("gemm", "--kernel", "mma", "-m", "hopper:mma.sync:f16:f32", says=["m16n8k32"])
        self.bad("attention", "--head-dim", "96", says=["96", "64, 128 or 256"])
        self.bad("attention", "--heads", "3,2", says=["multiple"])
        self.bad("attention", "--heads", "3", says=["--heads"])
        self.bad("attention", "--kernel", "twin", "--exp2", "approx", says=["twin"])
        self.bad("attention", "--splits", "0", says=["splits"])
        self.bad("capture-kernels", "--simulate", "hopper", "--to", "x", "--only", "nothing",
                 says=["nothing"])

    def test_a_gpu_without_the_instruction_is_no_error(self):
        """Code 3, which CTest and scripts/gpu count as skipped."""
        for args in (["gemm", "--kernel", "wgmma", "--simulate", "ada"],
                     ["gemm", "--kernel", "mma", "--simulate", "ampere"],
                     ["attention", "--simulate", "blackwell"], ["cvt", "--simulate", "ampere"],
                     ["capture-kernels", "--to", "golden", "--simulate", "ampere"]):
            run = self.bad(*args, code=3, says=["not on this GPU", args[-1]])
            self.assertEqual(run.stdout, "")
        self.assertEqual(os.listdir(self.folder), [])
        # Asked for by name, it is.
        self.bad("capture-kernels", "--to", "x", "--simulate", "ampere", "--only", "gemm",
                 says=["gemm"])

    def test_probe_tells_the_sides_apart(self):
        table = self.json("probe", "--simulate", "hopper")
        self.assertTrue(table["simulated"])
        self.assertGreater(table["as_the_table"], 100)
        self.assertEqual((table["otherwise"], table["none_of_these"]), (0, 0))
        for probe in table["probes"]:
            words = [a["word"] for a in probe["answers"]]
            self.assertEqual(len(set(words)), len(words), probe)
            self.assertEqual(probe["observed"], words[0])
        other = self.json("probe", "--simulate", "hopper@underflow=signed", code=1)
        verdicts = {p["id"]: p["verdict"] for p in other["probes"]}
        self.assertEqual(verdicts["S8"], "-0 (MM1)")
        self.assertGreater(other["otherwise"], 0)

    def test_verify_finds_and_repeats(self):
        found = self.json("verify", "--simulate", "hopper", "--cases", "3000")
        self.assertGreater(len(found["units"]), 30)
        for unit in found["units"]:
            self.assertEqual(unit["mismatches"], 0, unit)
            self.assertGreaterEqual(unit["cases"], 3000)
        other = self.json("verify", "--simulate", "hopper@F=12", "-m", "hopper:wgmma:e4m3:f32",
                          "--cases", "3000", code=1)
        self.assertEqual(len(other["units"]), 1)
        first = other["units"][0]["first"][0]
        self.assertIn("lostbits explain -m hopper:wgmma:e4m3:f32 '", first["repeat"])
        # The command shows the twin's word.
        lostbits = os.path.join(os.path.dirname(PROGRAM), "lostbits")
        command = first["repeat"].replace("lostbits", lostbits, 1)
        shown = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        self.assertIn("0x" + first["twin"], shown.stdout)

    def test_what_was_found_outlives_a_time_limit(self):
        """Every unit's line is in the file before the next unit begins."""
        with subprocess.Popen([PROGRAM, "verify", "--simulate", "hopper", "--cases", "1e5"],
                              stdout=subprocess.PIPE, text=True) as run:
            lines = [run.stdout.readline()]
            run.kill()
            lines += run.stdout.readlines()
        told = [line for line in lines if " differ, " in line]
        self.assertTrue(0 < len(told) < 5, lines)

    def test_goldens_are_written_once(self):
        self.good("capture", "--simulate", "hopper", "--to", "golden")
        self.good("probe", "--simulate", "hopper", "--to", "golden")
        self.good("ex2", "--simulate", "hopper", "--blocks", "2", "--to", "golden")
        files = sorted(glob.glob(os.path.join(self.folder, "golden/hopper/*")))
        self.assertGreater(len(files), 30)
        before = {f: content(f) for f in files}
        self.assertLess(sum(map(len, before.values())), 12 << 20)
        replayed = self.json("replay", "golden")
        self.assertEqual(replayed["rows"], replayed["matched"])
        self.assertEqual(len(replayed["goldens"]), len(files))
        # The same device agrees; another one is reported; neither changes a byte.
        self.good("capture", "--simulate", "hopper", "--to", "golden")
        self.good("probe", "--simulate", "hopper", "--to", "golden")
        report = self.good("capture", "--simulate", "hopper@underflow=signed", "--to", "golden",
                           code=1)
        self.assertIn("NOT OVERWRITTEN", report)
        run = self.run_program("probe", "--simulate", "hopper@underflow=signed", "--to", "golden")
        self.assertEqual(run.returncode, 1)
        self.assertIn("not overwritten", run.stderr)
        self.assertEqual(before, {f: content(f) for f in files})

    def test_simulated_goldens_lie_apart(self):
        for command in (["probe"], ["capture"], ["ex2", "--blocks", "1"],
                        ["capture-kernels", "--only", "none.64x128x4096"]):
            self.bad(*command, "--simulate", "hopper", "--to", "tests/golden",
                     says=["tests/golden", "simulated hopper"])
        self.assertEqual(os.listdir(self.folder), [])
        # Nor beside what is of a GPU.
        self.good("probe", "--simulate", "hopper", "--to", "golden")
        path = os.path.join(self.folder, "golden/hopper/probes.json")
        text = content(path).decode()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace('"simulated": true', '"simulated": false'))
        self.bad("capture", "--simulate", "hopper", "--to", "golden", says=["probes.json", "GPU"])
        self.assertEqual(os.listdir(os.path.dirname(path)), ["probes.json"])

    def test_ex2_that_disagrees_is_kept_aside(self):
        self.good("ex2", "--simulate", "hopper", "--blocks", "1", "--to", "golden")
        path = os.path.join(self.folder, "golden/hopper/ex2.safetensors")
        digests = []

        def other(name, data):
            if name != "sha256":
                return data
            digests.extend([data[:32].hex(), "5a" * 32])
            return b"\x5a" * 32 + data[32:]
        rewrite_golden(path, other)
        before = content(path)
        self.bad("ex2", "--simulate", "hopper", "--blocks", "2", "--to", "golden", code=1,
                 says=["ex2.disagrees.safetensors", *digests])
        self.assertEqual(content(path), before)
        self.assertTrue(os.path.exists(path.replace(".safe", ".disagrees.safe")))

    def test_attention_takes_the_recorded_ex2(self):
        """`lostbits attention --exp2 FILE`: a synthetic capture, and one that lacks inputs."""
        self.good("ex2", "--simulate", "hopper", "--blocks", "1", "--to", ".")
        path = os.path.join(self.folder, "hopper/ex2.safetensors")
        draw = random.Random(1)
        for name in "qkv":
            write_npy(os.path.join(self.folder, name + ".npy"), (64, 64),
                      array.array("f", (draw.gauss(0, 1) for _ in range(64 * 64))))
        lostbits = os.path.join(os.path.dirname(PROGRAM), "lostbits")

        def attention(exp2):
            return subprocess.run(
                [lostbits, "attention", "q.npy", "k.npy", "v.npy", "--exp2", exp2, "--json",
                 "--output-format", "float32", "-o", "o.npy"], capture_output=True, text=True,
                cwd=self.folder, check=False)
        run = attention(path)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("no entry for input", run.stderr)

        def fill(name, data):
            """As if all blocks followed from [1, 2)."""
            if name in ("asked", "mode", "unpredicted"):
                return bytes([name == "asked"] + [0] * (len(data) // 512 - 1)) * 512
            return data
        rewrite_golden(path, fill)
        outputs = {}
        for exp2 in (path, "correctly-rounded"):
            run = attention(exp2)
            self.assertEqual(run.returncode, 0, run.stderr)
            outputs[exp2] = content(os.path.join(self.folder, "o.npy"))
        # One word in eight of the simulated ex2 is one unit lower.
        self.assertFalse(outputs[path] == outputs["correctly-rounded"])
        report = json.loads(attention(path).stdout)
        self.assertEqual(report["exp2"], {"file": path, "device": "simulated hopper",
                                          "blocks": 512})
        self.assertEqual(report["recipe"]["exp2"], "table")
        self.assertLess(report["error"]["max_absolute"], 0.1)
        rewrite_golden(path, lambda name, data: data if name != "delta_127" else b"\0" * len(data))
        run = attention(path)
        self.assertEqual(run.returncode, 2)
        self.assertIn("SHA-256", run.stderr)

    def test_replay_finds_what_the_simulator_does_not_say(self):
        self.good("capture", "--simulate", "hopper@underflow=signed", "--to", "golden")
        replayed = self.json("replay", "golden", code=1)
        wrong = [g for g in replayed["goldens"] if g["matched"] < g["rows"]]
        self.assertTrue(wrong)
        for golden in wrong:
            self.assertIn("lostbits explain", golden["first"])

    def test_replay_of_nothing_says_so(self):
        os.mkdir(os.path.join(self.folder, "empty"))
        self.assertIn("SKIPPED", self.good("replay", "empty"))

    def test_gemm_counts_and_repeats(self):
        for kernel in ("twin", "mma", "wgmma"):
            for promote in ("none", "128", "scaled"):
                found = self.json("gemm", "--simulate", "hopper", "--kernel", kernel, "--promote",
                                  promote, "--shape", "24x40x336", "--rows", "3", "--twin")
                self.assertEqual([c["mismatches"] for c in found["comparisons"]],
                                 [0] * (1 if kernel == "twin" else 2))
                self.assertEqual(found["comparisons"][0]["asked"], 3 * 40)
        self.check_repeat("gemm", "--shape", "24x40x336", "--rows", "0")

    def check_repeat(self, *args, which=0):
        """Another machine answers; the command printed gives the word that was expected."""
        found = self.json(*args, "--simulate", "hopper@F=11", code=1)
        first = found["comparisons"][which]["first"]
        self.assertNotEqual(first["device"], first["expected"])
        command = first["repeat"].replace("lostbits-gpu", PROGRAM, 1)
        shown = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        self.assertIn("0x" + first["expected"], shown.stdout)

    def test_attention_counts_and_repeats(self):
        for args in (["--causal", "--splits", "3"], ["--head-dim", "64", "--batch", "2"],
                     ["--kernel", "twin", "--exp2", "correct", "--output", "bf16"],
                     ["--head-dim", "256", "--exp2", "approx"]):
            found = self.json("attention", "--simulate", "hopper", "--queries", "70", "--keys",
                              "260", *args)
            for bound in (found["bound"], found["lse_bound"]):
                self.assertEqual((bound["beyond"], bound["infinite"]), (0, 0))
                self.assertTrue(0 < bound["worst"] < 1, bound)
            self.assertEqual([c["of"] for c in found["comparisons"]], ["O", "LSE"])
            rows = found["comparisons"][1]["asked"]
            self.assertEqual(found["comparisons"][0]["asked"] % rows, 0)
            self.assertEqual(rows % 8, 0)  # eight heads
            if "approx" in args:
                self.assertEqual(found["declared"], "bounded")
            else:
                self.assertEqual([c["mismatches"] for c in found["comparisons"]], [0, 0])
        self.check_repeat("attention", "--queries", "20", "--keys", "300")
        self.check_repeat("attention", "--queries", "20", "--keys", "300", which=1)

    def test_goldens_of_kernels(self):
        # Those of 16k keys and of K = 131072 take seconds.
        for only in ("1k", "x4096"):
            self.good("capture-kernels", "--simulate", "hopper", "--to", "golden", "--only", only)
        files = sorted(glob.glob(os.path.join(self.folder, "golden/hopper/kernels/*")))
        self.assertEqual(len(files), 7)
        before = {f: content(f) for f in files}
        self.assertLess(max(map(len, before.values())), 8192)
        replayed = self.json("replay", "golden")
        self.assertEqual(replayed["rows"], replayed["matched"])
        self.assertGreater(replayed["rows"], 1000)
        report = self.good("capture-kernels", "--simulate", "hopper@F=12", "--to", "golden",
                           "--only", "x4096", code=1)
        self.assertIn("NOT OVERWRITTEN", report)
        self.assertEqual(before, {f: content(f) for f in files})
        # Nor do words become goldens that are not the declared ones.
        report = self.good("capture-kernels", "--simulate", "hopper@F=12", "--to", "other",
                           "--only", "none.64x128x4096", code=1)
        self.assertIn("NOT WRITTEN", report)
        written = glob.glob(os.path.join(self.folder, "other/hopper/kernels/*"))
        self.assertEqual(len(written), 2)
        for path in written:
            self.assertTrue(path.endswith(".disagrees.safetensors"), path)
            self.assertIn(path[len(self.folder) + 1:], report)
        self.assertIn("SKIPPED", self.good("replay", "other"))

    def test_codec(self):
        found = self.json("codec", "--simulate", "hopper", "--blocks", "1")
        self.assertEqual([k["differ"] for k in found["kernels"]], [0] * 24)
        self.assertEqual(len(self.json("codec", "--simulate", "ampere", "--blocks",
                                       "1")["kernels"]), 12)

    def test_conversions(self):
        found = self.json("cvt", "--simulate", "hopper", "--blocks", "3")
        self.assertEqual([c["differ"] for c in found["conversions"]], [0, 0])


if __name__ == "__main__":
    unittest.main()
