"""The lostbits program from outside: every command's results, and the keys of its JSON.

Expected words come from sums worked out by hand in the comments, or from published tables, never
from the program itself.
"""
import os
import subprocess
import sys
import unittest

from cli import COMMANDS, PROGRAM, Cli, npy, read_npy


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
        for command in COMMANDS[:-1]:  # needle's own test runs smaller ones
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
        args = ["attention", "q.npy", "k.npy", "v.npy", "--causal", "--decode", "off",
                "--output-format", "f32"]
        whole = self.json(*args, "-o", "all.npy")
        self.assertGreater(whole["error"]["sqnr_db"], 20)
        part = self.json(*args, "-o", "some.npy", "--rows", "5", "--seed", "3")
        everything, some = read_npy(self.path("all.npy"))[1], read_npy(self.path("some.npy"))[1]
        self.assertEqual(len(set(part["query_rows"])), 5)
        for i, row in enumerate(part["query_rows"]):
            self.assertEqual(some[64 * i:64 * i + 64], everything[64 * row:64 * row + 64], row)


class Keys(Cli):
    """The JSON's keys: whoever changes one changes schema_version."""
    EVIDENCE = ["machine", "altered", "evidence", "vectors", "gpus", "source", "gaps", "disputes",
                "note"]
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
        self.assertEqual(list(formats["codes"][0]),
                         ["code", "fields", "class", "value", "hexfloat"])
        self.keys(self.json("formats"), "formats")
        self.keys(self.json("encode", "-f", "e4m3", "1"),
                  "format", "source", "rounding", "overflow", "codes", "counts")
        self.keys(self.json("encode", "-f", "e4m3", "x.npy", "-o", "y.npy"), "format", "source",
                  "rounding", "overflow", "input", "output", "shape", "counts")
        self.keys(self.json("decode", "-f", "e4m3", "38"), "format", "values")
        gemm = self.json("gemm", "x.npy", "x.npy", "--b-transposed", "-m", "hopper:wgmma:e4m3:f32")
        self.keys(gemm, *self.EVIDENCE, "a", "b", "recipe", "shape", "k", "error", "output",
                  "seconds", "macs_per_second", "path")
        self.assertEqual(list(gemm["error"]), self.ERROR)
        attention = self.json("attention", "x.npy", "x.npy", "x.npy")
        self.keys(attention, *self.EVIDENCE, "preset", "recipe", "q", "k", "v", "shape", "error",
                  "output", "seconds")
        self.assertEqual(list(attention["error"]), self.ERROR)


if __name__ == "__main__":
    unittest.main()
