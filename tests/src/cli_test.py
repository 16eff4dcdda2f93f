"""The lostbits program from outside: every command, its JSON, its exit codes, its error lines.

usage: cli_test.py LOSTBITS [unittest arguments]

Standard library only. Expected words come from sums worked out by hand in the comments, or from
published tables, never from the program itself.
"""
import glob
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
SHARED_VECTORS = os.path.join(os.path.dirname(__file__), "../../../shared/vectors")
COMMANDS = ["formats", "encode", "decode", "machines", "dot", "verify", "gemm", "attention"]

# 15*15 + 1.125*3/128 - 7/8/128 + 2^-9/2 + 0.3, in E4M3 codes, c in FP32.
WORKED = "57 39 B6 01 ; 57 0C 04 30 ; 3E99999A\n"


def npy(path, shape, values, descr="<f4"):
    """A C-order .npy file, version 1. values: numbers for <f4, bytes otherwise."""
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, tuple(shape))
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = struct.pack("<%df" % len(values), *values) if descr == "<f4" else bytes(values)
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data)


def read_npy(path):
    with open(path, "rb") as file:
        raw = file.read()
    size = struct.unpack("<H", raw[8:10])[0]
    header = eval(raw[10:10 + size])  # written by this test's own program
    data = raw[10 + size:]
    if header["descr"] == "<f4":
        return header["shape"], list(struct.unpack("<%df" % (len(data) // 4), data))
    return header["shape"], list(data)


class Cli(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lostbits_cli_")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_program(self, *args, stdin=""):
        return subprocess.run([PROGRAM, *map(str, args)], input=stdin, capture_output=True,
                              text=True, cwd=self.folder, timeout=120)

    def good(self, *args, stdin="", code=0):
        run = self.run_program(*args, stdin=stdin)
        self.assertEqual(run.returncode, code, f"{args}: {run.stderr}{run.stdout}")
        return run.stdout

    def json(self, *args, stdin="", code=0):
        run = self.run_program(*args, "--json", stdin=stdin)
        self.assertEqual(run.returncode, code, f"{args}: {run.stderr}")
        self.assertEqual(run.stderr, "", args)
        result = json.loads(run.stdout)
        self.assertEqual(result["schema_version"], 1)
        self.assertEqual(result["command"], args[0])
        return result

    def bad(self, *args, stdin="", code=2, says=()):
        """One line on stderr, nothing on stdout, no file where output was asked for."""
        before = sorted(os.listdir(self.folder))
        run = self.run_program(*args, stdin=stdin)
        what = f"{args}: {run.stderr!r}"
        self.assertEqual(run.returncode, code, what)
        self.assertEqual(run.stdout, "", what)
        self.assertTrue(run.stderr.startswith("lostbits: error: "), what)
        self.assertEqual(run.stderr.count("\n"), 1, what)
        for part in says:
            self.assertIn(part, run.stderr, what)
        self.assertEqual(sorted(os.listdir(self.folder)), before, f"{args} left a file")


class Help(Cli):
    def test_alone_prints_an_overview(self):
        text = self.good()
        for command in COMMANDS:
            self.assertIn(command, text)

    def test_version(self):
        self.assertRegex(self.good("--version"), r"^lostbits \d+\.\d+\.\d+\n$")

    def test_every_command_has_help_with_an_example(self):
        for command in COMMANDS:
            text = self.good(command, "--help")
            self.assertIn(f"Usage: lostbits {command}", text)
            self.assertIn("Example", text)
            self.assertIn("--json", text)

    def test_examples_of_the_help_work(self):
        os.symlink(PROGRAM, self.path("lostbits"))
        numpy = subprocess.run([sys.executable, "-c", "import numpy"], capture_output=True)
        for command in COMMANDS:
            text = self.good(command, "--help")
            lines = [l[2:] for l in text[text.index("Example"):].splitlines() if l[:2] == "  "]
            self.assertTrue(lines, command)
            if "git clone" in lines[0] or ("numpy" in lines[0] and numpy.returncode != 0):
                continue  # needs what this machine lacks
            run = subprocess.run(["bash", "-ec", "\n".join(lines)], capture_output=True, text=True,
                                 cwd=self.folder,
                                 env={**os.environ, "PATH": self.folder + ":" + os.environ["PATH"]})
            self.assertEqual(run.returncode, 0, f"{lines}\n{run.stderr}")


class Results(Cli):
    def test_dot_worked_example_on_three_units(self):
        # FP8 wgmma: grid 2^-7: 28800 + 3 + 0 + 0 + 38 = 28841, cut to 14 bits: 14420 * 2^-6.
        # tcgen05: F = 25, RZ to FP32. mma.sync: two FP16 units' sums from zero, c added to nearest.
        for machine, word in [("hopper:wgmma:e4m3:f32", "43615000"),
                              ("QGMMA.64x128x32.F32.E4M3.E4M3", "43615000"),
                              ("blackwell:tcgen05:e4m3:f32", "4361520C"),
                              ("blackwell:mma.sync:e4m3:f32", "4361520D")]:
            self.assertEqual(self.good("dot", "-m", machine, stdin=WORKED), word + "\n", machine)

    def test_dot_reads_files_comments_and_any_k(self):
        with open(self.path("lines.txt"), "w") as file:
            # S5: the E8M13 accumulator cuts c. 40 products of 1: two instructions.
            file.write("# comment\n\n00 ; 00 ; 0x3F800200 # 1 + 2^-14\n")
            file.write(",".join(["38"] * 40) + ";" + " ".join(["38"] * 40) + ";0\n")
        self.assertEqual(self.good("dot", "-m", "hopper:wgmma:e4m3:f32", "lines.txt"),
                         "3F800000\n42200000\n")

    def test_evidence_goes_to_stderr(self):
        run = self.run_program("dot", "-m", "hopper:wgmma:e4m3:f32", stdin=WORKED)
        self.assertIn("evidence: hardware", run.stderr)
        self.assertEqual(run.stdout, "43615000\n")

    def test_encode_as_libraries_do(self):
        # Where they disagree: overflow, NaN sign, E8M0 of -1, double rounding.
        for like, fmt, value, code in [
                ("cuda", "e4m3fn", "465", "0x7E"), ("ml_dtypes", "e4m3fn", "465", "0x7F"),
                ("torch", "float8_e4m3fn", "465", "0x7F"), ("onnx", "e4m3", "465", "0x7E"),
                ("cuda", "e5m2", "inf", "0x7B"), ("torch", "e5m2", "inf", "0x7C"),
                ("cuda", "e4m3fn", "-nan", "0x7F"), ("ml_dtypes", "e4m3fn", "-nan", "0xFF"),
                ("ml_dtypes", "e8m0", "-1", "0xFF"), ("cuda", "e8m0", "-1", "0x7F")]:
            result = self.json("encode", "--format", fmt, "--like", like, value)
            self.assertEqual(result["codes"][0]["code"], code, (like, fmt, value))
        for source, code in [("float64", "0x39"), ("float32", "0x38")]:
            result = self.json("encode", "-f", "e4m3", "--source", source, "0x1.1000000001p0")
            self.assertEqual(result["codes"][0]["code"], code, source)

    def test_encode_takes_negative_numbers(self):
        for args in (["--", "-1.5"], ["-1.5"]):
            self.assertIn("0xBC", self.good("encode", "-f", "e4m3", *args))
        self.assertIn("0xFE", self.good("encode", "-f", "e4m3", "-inf"))
        self.assertIn("0xB0", self.good("encode", "-f", "e4m3", "-.5"))

    def test_encode_stdin_counts_and_roundings(self):
        result = self.json("encode", "-f", "e4m3", "--counts", stdin="1.0625 1e9\n1e-9, nan # x\n")
        self.assertEqual([c["code"] for c in result["codes"]], ["0x38", "0x7E", "0x00", "0x7F"])
        self.assertEqual(result["counts"], {"elements": 4, "inexact": 3, "overflow": 1,
                                            "flushed": 1, "subnormal": 0, "nan": 1})
        for rounding, code in [("up", "0x39"), ("down", "0x38"), ("toward-zero", "0x38"),
                               ("nearest-away", "0x39"), ("to-odd", "0x39")]:
            result = self.json("encode", "-f", "e4m3", "--rounding", rounding, "1.0625")
            self.assertEqual(result["codes"][0]["code"], code, rounding)

    def test_stochastic_rounding_repeats_with_its_seed(self):
        values = ["1.0625"] * 200
        runs = [self.good("encode", "-f", "e4m3", "--rounding", "sr", "--seed", s, *values)
                for s in (1, 1, 2)]
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0], runs[2])
        self.assertGreater(runs[0].count("0x39"), 60)
        self.assertGreater(runs[0].count("0x38"), 60)

    def test_encode_and_decode_files(self):
        npy(self.path("x.npy"), [2, 3], [1, -1.5, 448, 500, 0, 0.0009765625])
        for codes in ("x8.npy", "x8.safetensors"):
            self.good("encode", "-f", "e4m3", "x.npy", "-o", codes)
            self.good("decode", "-f", "e4m3", codes, "-o", "back.npy")
            self.assertEqual(read_npy(self.path("back.npy")), ((2, 3), [1, -1.5, 448, 448, 0, 0]))
        self.assertEqual(read_npy(self.path("x8.npy")), ((2, 3), [0x38, 0xBC, 0x7E, 0x7E, 0, 0]))

    def test_decode(self):
        result = self.json("decode", "-f", "e5m2", "3c", "0x7C", "ff")
        self.assertEqual([v["value"] for v in result["values"]], [1.0, "inf", "nan"])

    def test_formats(self):
        result = self.json("formats", "e4m3")
        self.assertEqual(len(result["codes"]), 256)
        self.assertEqual(result["codes"][0x7E]["value"], 448.0)
        self.assertEqual(result["codes"][0x7F]["class"], "nan")
        self.assertEqual(result["codes"][1]["value"], 2.0 ** -9)
        self.assertEqual(len(self.json("formats")["formats"]), 16)
        for line in self.good("formats").splitlines():
            self.assertLessEqual(len(line), 120)

    def test_machines(self):
        result = self.json("machines", "hopper:wgmma:e4m3:f32")["machines"][0]
        self.assertEqual((result["group"], result["fraction_bits"], result["result_bits"],
                          result["e_zero"]), (32, 13, 13, -133))
        self.assertEqual(result["example"]["d"], "43615000")
        text = self.good("machines", "hopper:wgmma:e4m3:f32")
        repeat = [l.strip() for l in text.splitlines() if "| lostbits dot" in l][0]
        os.symlink(PROGRAM, self.path("lostbits"))
        run = subprocess.run(["bash", "-c", repeat.replace("lostbits dot", "./lostbits dot")],
                             capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(run.stdout, "43615000\n")

    def test_gemm_of_small_integers_is_exact(self):
        npy(self.path("a.npy"), [2, 3], [1, 2, 3, -4, 0, 6])
        npy(self.path("b.npy"), [3, 2], [1, 0, -1, 2, 3, 4])
        npy(self.path("bt.npy"), [2, 3], [1, -1, 3, 0, 2, 4])
        for b in (["b.npy"], ["bt.npy", "--b-transposed"]):
            result = self.json("gemm", "a.npy", *b, "-m", "hopper:wgmma:e4m3:f32", "-o", "c.npy")
            self.assertEqual(read_npy(self.path("c.npy")), ((2, 2), [8, 16, 14, 24]))
            self.assertEqual(result["error"]["unequal"], 0)

    def test_gemm_promotion_saves_the_sum(self):
        # 32768 products of 1. At 2^14 the grid of a group is 2, so every further 1 is cut away.
        npy(self.path("a.npy"), [1, 32768], [1] * 32768)
        npy(self.path("b.npy"), [32768, 1], [1] * 32768)
        for promote, total in [(0, 16384), (4, 32768)]:
            self.good("gemm", "a.npy", "b.npy", "-m", "hopper:wgmma:e4m3:f32", "--promote", promote,
                      "-o", "c.npy")
            self.assertEqual(read_npy(self.path("c.npy"))[1], [total], f"--promote {promote}")

    def test_gemm_codes_scales_and_threads(self):
        npy(self.path("a.npy"), [2, 2], [0x38, 0x40, 0x30, 0xB8], "|u1")  # 1 2 / 0.5 -1
        npy(self.path("b.npy"), [2, 2], [0x38, 0x00, 0x00, 0x38], "|V1")  # identity
        npy(self.path("s.npy"), [1], [0.25])
        for threads in (1, 2):
            self.good("gemm", "a.npy", "b.npy", "-m", "hopper:wgmma:e4m3:f32", "--threads", threads,
                      "--scale-a", "s.npy", "--scale-b", "8", "-o", "c.npy")
            self.assertEqual(read_npy(self.path("c.npy"))[1], [2, 4, 1, -2])

    def test_attention_to_one_key_returns_its_value(self):
        value = [((i * 37) % 15 - 7) / 4 for i in range(64)]
        npy(self.path("q.npy"), [3, 64], [0.5] * 192)
        npy(self.path("k.npy"), [1, 64], [1.0] * 64)
        npy(self.path("v.npy"), [1, 64], value)
        self.good("attention", "q.npy", "k.npy", "v.npy", "-o", "o.npy", "--v-descale", "2")
        self.assertEqual(read_npy(self.path("o.npy")), ((1, 3, 1, 64), value * 3))

    def test_attention_row_sample_equals_the_whole(self):
        values = [((i * 7919) % 1009) / 504.5 - 1 for i in range(40 * 64)]
        for name in "qkv":
            npy(self.path(name + ".npy"), [40, 64], values[::-1] if name == "k" else values)
        args = ["attention", "q.npy", "k.npy", "v.npy", "--causal", "--decode", "off", "--output-format", "f32"]
        whole = self.json(*args, "-o", "all.npy")
        self.assertGreater(whole["error"]["sqnr_db"], 20)
        part = self.json(*args, "-o", "some.npy", "--rows", "5", "--seed", "3")
        everything, some = read_npy(self.path("all.npy"))[1], read_npy(self.path("some.npy"))[1]
        self.assertEqual(len(set(part["query_rows"])), 5)
        for i, row in enumerate(part["query_rows"]):
            self.assertEqual(some[64 * i:64 * i + 64], everything[64 * row:64 * row + 64], row)


class Keys(Cli):
    """The JSON's keys: whoever changes one changes schema_version."""
    EVIDENCE = ["machine", "evidence", "proof", "open"]
    ERROR = ["finite", "unequal", "max_absolute", "max_relative", "max_ulp", "sqnr_db", "bias",
             "gain", "worst_absolute", "worst_ulp", "nonzero_at_zero", "equal_specials",
             "nan_mismatches", "inf_mismatches"]

    def keys(self, result, *expected):
        self.assertEqual(list(result), ["schema_version", "command", *expected])

    def test_keys(self):
        npy(self.path("x.npy"), [2, 64], [0.5] * 128)
        formats = self.json("formats", "e2m1")
        self.keys(formats, "name", "bits", "exponent_bits", "mantissa_bits", "bias",
                  "ignored_low_bits", "max", "min_normal", "min_subnormal", "has_inf", "has_nan",
                  "has_negative_zero", "aliases", "all_codes", "codes")
        self.assertEqual(list(formats["codes"][0]), ["code", "fields", "class", "value", "hexfloat"])
        self.keys(self.json("formats"), "formats")
        self.keys(self.json("encode", "-f", "e4m3", "1"),
                  "format", "source", "rounding", "overflow", "codes", "counts")
        self.keys(self.json("encode", "-f", "e4m3", "x.npy", "-o", "y.npy"), "format", "source",
                  "rounding", "overflow", "input", "output", "shape", "counts")
        self.keys(self.json("decode", "-f", "e4m3", "38"), "format", "values")
        machines = self.json("machines")
        self.keys(machines, "machines")
        self.assertEqual(list(machines["machines"][0]),
                         self.EVIDENCE + ["arch", "instruction", "in", "out", "group",
                                          "fraction_bits", "rounding", "result_bits", "e_zero", "k",
                                          "flow"])
        dot = self.json("dot", "-m", "hopper:wgmma:e4m3:f32", stdin=WORKED)
        self.keys(dot, *self.EVIDENCE, "rows")
        self.assertEqual(dot["rows"], [{"line": 1, "k": 4, "d": "43615000", "value": 225.3125}])
        gemm = self.json("gemm", "x.npy", "x.npy", "--b-transposed", "-m", "hopper:wgmma:e4m3:f32")
        self.keys(gemm, *self.EVIDENCE, "a", "b", "recipe", "shape", "k", "error", "output",
                  "seconds", "macs_per_second", "path")
        self.assertEqual(list(gemm["error"]), self.ERROR)
        attention = self.json("attention", "x.npy", "x.npy", "x.npy")
        self.keys(attention, *self.EVIDENCE, "preset", "recipe", "q", "k", "v", "shape", "error",
                  "output", "seconds")
        self.assertEqual(list(attention["error"]), self.ERROR)


class BadInput(Cli):
    def test_wrong_usage(self):
        for args in (["frmats"], ["--frobnicate"], ["dot"], ["encode", "1"], ["verify"], ["gemm"],
                     ["formats", "e4m3", "e5m2"], ["attention", "q.npy"], ["machines", "--threads", "x"],
                     ["formats", "--threads", "-1"], ["encode", "-f", "e4m3", "1", "--frobnicate"]):
            self.bad(*args)

    def test_wrong_names_list_the_near_ones(self):
        npy(self.path("x.npy"), [2, 64], [0.5] * 128)
        for args, near in [
                (["formats", "float8_e4m3fm"], "float8_e4m3fn"),
                (["encode", "-f", "e4m4", "1"], "e4m3"),
                (["encode", "-f", "e4m3", "--rounding", "neares-even", "1"], "nearest-even"),
                (["encode", "-f", "e4m3", "--overflow", "saturat", "1"], "saturate"),
                (["encode", "-f", "e4m3", "--like", "pytorch", "1"], "torch"),
                (["machines", "hoper:wgmma:e4m3:f32"], "hopper:wgmma:e4m3:f32"),
                (["dot", "-m", "hopper:wgmma:e4m3:f33"], "f32"),
                (["dot", "-m", "h100"], "hopper:mma.sync"),
                (["gemm", "x.npy", "x.npy", "-m", "hopper:wgma:e4m3:f32"], "hopper:wgmma:e4m3:f32"),
                (["attention", "x.npy", "x.npy", "x.npy", "--preset", "fa3.sm90.e4m4"],
                 "fa3.sm90.e4m3"),
                (["attention", "x.npy", "x.npy", "x.npy", "--accumulation", "two"], "per-tile"),
                (["attention", "x.npy", "x.npy", "x.npy", "--exp2", "fast"], "polynomial"),
                (["macines"], "machines")]:
            self.bad(*args, says=[near])

    def test_bad_values_and_lines(self):
        for args, stdin in [(["encode", "-f", "e4m3", "one"], ""), (["encode", "-f", "e4m3"], ""),
                            (["decode", "-f", "e4m3", "100"], ""), (["decode", "-f", "e4m3", "0xG"], ""),
                            (["decode", "-f", "e2m1", "10"], ""),
                            (["encode", "-f", "e3m4", "--like", "cuda", "1"], ""),
                            (["encode", "-f", "e4m3", "--like", "cuda", "--rounding", "up", "1"], ""),
                            (["encode", "-f", "e4m3", "--random-bits", "40", "1"], "")]:
            self.bad(*args, stdin=stdin)
        for line in ("", "38 ; 38", "38 ; 38 ; 0 ; 0", "38 38 ; 38 ; 0", "; ; 0", "138 ; 38 ; 0",
                     "38 ; xy ; 0", "38 ; 38 ; 1 2", "38 ; 38 ; 100000000"):
            self.bad("dot", "-m", "hopper:wgmma:e4m3:f32", stdin=line + "\n")
        self.bad("dot", "-m", "hopper:mma.sync:e4m3:f16", stdin="38 ; 38 ; 10000\n", says=["16-bit"])
        self.bad("dot", "-m", "hopper:wgmma:e4m3:f32", "nowhere.txt", says=["nowhere.txt"])

    def test_shapes_name_both(self):
        npy(self.path("a.npy"), [2, 3], [1] * 6)
        npy(self.path("b.npy"), [2, 4], [1] * 8)
        npy(self.path("v.npy"), [3], [1] * 3)
        npy(self.path("none.npy"), [0, 3], [])
        machine = ["-m", "hopper:wgmma:e4m3:f32", "-o", "c.npy"]
        self.bad("gemm", "a.npy", "b.npy", *machine, says=["[2, 3]", "[2, 4]"])
        self.bad("gemm", "a.npy", "a.npy", *machine, says=["[2, 3]"])
        self.bad("gemm", "v.npy", "a.npy", *machine, says=["[3]"])
        self.bad("gemm", "none.npy", "a.npy", *machine, says=["[0, 3]"])
        self.bad("gemm", "a.npy", "a.npy", "--b-transposed", "--c", "b.npy", *machine,
                 says=["[2, 2]", "[2, 4]"])
        self.bad("gemm", "a.npy", "a.npy", "--b-transposed", "--scale-a", "v.npy", *machine,
                 says=["[2, 1]", "[3]"])
        self.bad("gemm", "a.npy", "a.npy", "--b-transposed", "--split-k", "0", *machine)
        self.bad("gemm", "a.npy", "a.npy", "--b-transposed", "--promote", "-1", *machine)
        self.bad("attention", "a.npy", "a.npy", "b.npy", says=["[1, 2, 1, 3]", "[1, 2, 1, 4]"])
        self.bad("attention", "v.npy", "a.npy", "a.npy", says=["[3]"])
        self.bad("attention", "a.npy", "a.npy", "a.npy", "--rows", "9", says=["9"])
        self.bad("attention", "a.npy", "a.npy", "a.npy", "--block-n", "7", says=["7"])
        self.bad("attention", "a.npy", "a.npy", "a.npy", "--k-descale", "v.npy", says=["[3]"])

    def test_dtypes(self):
        npy(self.path("i.npy"), [2], [0] * 8, "<i4")
        npy(self.path("w.npy"), [2, 1], [0] * 4, "<u2")
        npy(self.path("o.npy"), [1], [0] * 8, "|O")
        npy(self.path("f.npy"), [2], [1, 2])
        self.bad("encode", "-f", "e4m3", "i.npy", "-o", "y.npy", says=["<i4"])
        self.bad("encode", "-f", "e4m3", "w.npy", "-o", "y.npy", says=["<u2"])
        self.bad("encode", "-f", "e4m3", "o.npy", "-o", "y.npy", says=["pickle"])
        self.bad("decode", "-f", "e4m3", "f.npy", "-o", "y.npy", says=["float32"])
        self.bad("gemm", "w.npy", "w.npy", "-m", "hopper:wgmma:e4m3:f32", says=["<u2"])
        self.bad("encode", "-f", "e4m3", "f.npy", "-o", "y.txt", says=["y.txt"])
        self.bad("encode", "-f", "e4m3", "f.npy", "-o", "no/y.npy", says=["no/y.npy"])
        self.bad("encode", "-f", "e4m3", "f.npy")
        self.bad("encode", "-f", "e4m3", "f.npy", "1", "--counts")

    def test_scales(self):
        npy(self.path("x.npy"), [2, 64], [0.5] * 128)
        npy(self.path("nan.npy"), [1], [float("nan")])
        for scale in ("nan", "inf", "0", "-1", "nan.npy", "twice", ""):
            if scale == "":
                continue
            self.bad("gemm", "x.npy", "x.npy", "--b-transposed", "-m", "hopper:wgmma:e4m3:f32",
                     "--scale-a", scale, "-o", "c.npy")
            for which in "qkv":
                self.bad("attention", "x.npy", "x.npy", "x.npy", f"--{which}-descale", scale, "-o", "o.npy")
        for option in ("--softmax-scale", "--softcap"):
            self.bad("attention", "x.npy", "x.npy", "x.npy", option, "nan", "-o", "o.npy")

    def test_broken_files(self):
        npy(self.path("good.npy"), [2, 64], [0.5] * 128)
        with open(self.path("good.npy"), "rb") as file:
            raw = file.read()
        for name, data in [("empty.npy", b""), ("short.npy", raw[:9]), ("header.npy", raw[:50]),
                           ("cut.npy", raw[:-1]), ("long.npy", raw + b"x"), ("zip.npy", b"PK\3\4" * 9),
                           ("empty.safetensors", b""), ("cut.safetensors", b"\x50" + b"\0" * 7 + b"{"),
                           ("huge.safetensors", b"\xff" * 16), ("text.safetensors", b"\2" + b"\0" * 7 + b"[]")]:
            with open(self.path(name), "wb") as file:
                file.write(data)
            self.bad("encode", "-f", "e4m3", name, "-o", "y.npy", says=[name])
            self.bad("gemm", "good.npy", name, "-m", "hopper:wgmma:e4m3:f32", "-o", "y.npy", says=[name])
            self.bad("attention", "good.npy", "good.npy", name, "-o", "y.npy", says=[name])
        self.bad("encode", "-f", "e4m3", "nowhere.npy", "-o", "y.npy", says=["nowhere.npy"])

    def test_assumed_machines_need_the_users_word(self):
        args = ["dot", "-m", "hopper:mma.sync:e4m3:f32"]
        self.bad(*args, stdin=WORKED, code=3, says=["--allow-unverified"])
        self.assertEqual(self.good(*args, "--allow-unverified", stdin=WORKED), "4361520D\n")
        npy(self.path("x.npy"), [2, 64], [0.5] * 128)
        self.bad("gemm", "x.npy", "x.npy", "--b-transposed", "-m", "hopper:mma.sync:e4m3:f32",
                 "-o", "c.npy", code=3)
        self.bad("attention", "x.npy", "x.npy", "x.npy", "--preset", "sm100.e4m3", "-o", "o.npy",
                 code=3)


class Verify(Cli):
    def set_of(self, gpu, d):
        """One set of one row: the worked example; d for FP32 output."""
        folder = self.path(f"vectors/{gpu}/E4M3")
        os.makedirs(folder)
        a = [15, 1.125, -0.875, 2.0 ** -9] + [0] * 28
        b = [15, 3 / 128, 1 / 128, 0.5] + [0] * 28
        word = lambda x: struct.pack(">f", x).hex()
        bits = lambda x: format(x, "032b")
        for name, text in [("a_%s_E4M3" % gpu, " ".join(map(word, a))),
                           ("b_%s_E4M3" % gpu, " ".join(map(word, b))),
                           ("c_%s_fp32" % gpu, bits(0x3E99999A)), ("d_%s_fp32" % gpu, bits(d))]:
            with open(os.path.join(folder, name + ".txt"), "w") as file:
                file.write(text + "\n")
        return folder

    def test_matches_and_mismatches(self):
        # Ada: c enters, as in the worked example. H100 (wgmma): c = 0, so 28800 + 3 = 28803 on grid
        # 2^-7, cut to 14 bits: 14401 * 2^-6 = 225.015625.
        self.set_of("Ada", 0x43615000)
        self.set_of("H100", 0x43610400)
        text = self.good("verify", "vectors")
        self.assertIn("Ada/E4M3 -> fp32   ada:mma.sync:e4m3:f32  1/1", text.replace("     ", " "))
        self.assertIn("2/2 rows match", text)
        result = self.json("verify", "vectors")
        self.assertEqual((result["rows"], result["matched"]), (2, 2))

        d = self.path("vectors/Ada/E4M3/d_Ada_fp32.txt")
        with open(d, "w") as file:
            file.write(format(0x43615001, "032b") + "\n")
        text = self.good("verify", "vectors", code=1)
        self.assertIn("Ada/E4M3 -> fp32", text)
        self.assertIn("0/1", text)
        self.assertIn("hardware 0x43615001, simulated 0x43615000", text)
        repeat = [l.strip() for l in text.splitlines() if "| lostbits dot" in l][0]
        os.symlink(PROGRAM, self.path("lostbits"))
        run = subprocess.run(["bash", "-c", repeat.replace("lostbits dot", "./lostbits dot")],
                             capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(run.stdout, "43615000\n", run.stderr)
        result = self.json("verify", "vectors", code=1)
        self.assertEqual(result["sets"][0]["first_mismatch"]["row"], 1)

    def test_unreadable_folders(self):
        folder = self.set_of("Ada", 0x43615000)
        os.mkdir(self.path("nothing"))
        self.bad("verify", "nothing", says=["nothing"])
        self.bad("verify", "nowhere", says=["nowhere"])
        for name in ("a_Ada_E4M3.txt", "b_Ada_E4M3.txt", "c_Ada_fp32.txt", "d_Ada_fp32.txt"):
            path = os.path.join(folder, name)
            with open(path) as file:
                good = file.read()
            for broken in ("", good[:-10], good + good, "zz" + good[2:]):
                with open(path, "w") as file:
                    file.write(broken)
                run = self.run_program("verify", "vectors")
                self.assertEqual(run.returncode, 2, (name, broken, run.stdout, run.stderr))
                self.assertEqual(run.stderr.count("\n"), 1)
            os.remove(path)
            self.assertEqual(self.run_program("verify", "vectors").returncode, 2, name)
            with open(path, "w") as file:
                file.write(good)

    @unittest.skipUnless(os.path.isdir(SHARED_VECTORS), "no published vectors beside this checkout")
    def test_a_flipped_bit_in_published_vectors_is_found(self):
        copy = self.path("published")
        shutil.copytree(os.path.join(SHARED_VECTORS, "H100/E4M3"), copy + "/H100/E4M3")
        self.good("verify", "published")
        d = glob.glob(copy + "/H100/E4M3/d_*_fp32.txt")[0]
        os.chmod(d, 0o644)
        with open(d) as file:
            lines = file.read().splitlines()
        lines[41] = lines[41][:20] + ("0" if lines[41][20] == "1" else "1") + lines[41][21:]
        os.chmod(os.path.dirname(d), 0o755)
        with open(d, "w") as file:
            file.write("\n".join(lines) + "\n")
        text = self.good("verify", "published", code=1)
        self.assertIn("999/1000", text)
        self.assertIn("line 42", text)


if __name__ == "__main__":
    unittest.main()
