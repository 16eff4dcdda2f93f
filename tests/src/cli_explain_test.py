"""`lostbits explain` from outside: the worked example, every flow, long chains, what it refuses."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import unittest
from fractions import Fraction

from cli import PROGRAM, WORKED, Cli

WGMMA = "hopper:wgmma:e4m3:f32"
LATE = "hopper:mma.sync:e4m3:f32"
# One machine of each flow and result.
FLOWS = [WGMMA, "hopper:wgmma:f16:f16", "ada:mma.sync:e5m2:f32", "hopper:mma.sync:e4m3:f16",
         "blackwell:tcgen05.mxf8f6f4:e4m3+ue8m0/32:f32",
         "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32", "hopper:mma.sync:f64:f64",
         "cdna1:mfma:f16:f32", "cdna2:mfma:bf16:f32", "cdna3:mfma:f16:f32",
         "cdna3:mfma:e4m3fnuz:f32"]
PTX = "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"


def exact(number):
    """A Fraction of "-0x1B3p-12"."""
    sign, digits, power = re.fullmatch(r"(-?)0x([0-9A-F]+)p([+-]\d+)", number["exact"]).groups()
    return (-1 if sign else 1) * int(digits, 16) * Fraction(2) ** int(power)


class Explain(Cli):
    def terminal(self, columns, *args):
        """What the program prints at a terminal of so many columns."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        program = subprocess.Popen([PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=slave,
                                   stderr=subprocess.DEVNULL, cwd=self.folder)
        out, end = b"", b""
        while not end or not out.endswith(end):
            if select.select([master], [], [], 0.05)[0]:
                out += os.read(master, 65536)
            elif not end and program.poll() is not None:
                end = b"<end>"  # behind all that the program wrote
                os.write(slave, end)
        os.close(master)
        os.close(slave)
        self.assertEqual(program.returncode, 0, args)
        out = out[:-len(end)]
        return out.decode("ascii").replace("\r\n", "\n")

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        return name

    def check_account(self, result):
        lost = sum(exact(result["lost_to_" + what]) for what in
                   ("alignment", "rounding", "promotion"))
        returned = Fraction(result["returned"]["value"])
        self.assertEqual(exact(result["exact"]) - returned, lost)

    def worked(self, machine, *args):
        result = self.json("explain", "-m", machine, WORKED, *args)
        self.check_account(result)
        return result

    def test_worked_example_on_wgmma(self):
        result = self.worked(WGMMA)
        step, = result["shown"][0]["steps"]
        self.assertEqual((step["e_max"], step["set_by"], step["lsb"], step["sum"]),
                         (6, 0, -7, 28841))
        self.assertEqual([t["kept"] for t in step["terms"]], [28800, 3, 0, 0, 38])
        self.assertEqual([t["fate"] for t in step["terms"]],
                         ["whole", "cut", "gone", "gone", "cut"])
        self.assertEqual(result["returned"]["word"], "0x43615000")
        second = step["terms"][1]
        self.assertEqual((second["a"], second["b"], second["exponent"], second["shift"]),
                         ("0x39", "0x0C", -6, -5))
        self.assertEqual((second["kept_bits"], second["dropped_bits"]), ("11", "01100"))
        self.assertEqual((second["kept_top"], second["dropped_top"], second["lsb"]), (-6, -8, -7))
        self.assertEqual((step["kept_bits"], step["dropped_bits"]), ("11100001010100", "1"))
        self.assertEqual(result["fraction_bits"], 13)
        for key in ("evidence", "machine", "inputs", "instructions", "terms", "cut", "gone"):
            self.assertIn(key, result)

    def test_worked_example_on_blackwell_and_emulated(self):
        result = self.worked("blackwell:tcgen05:e4m3:f32")
        step, = result["shown"][0]["steps"]
        self.assertEqual([t["kept"] for t in step["terms"]],
                         [117964800, 13824, -3584, 512, 157286])
        self.assertEqual((step["sum"], result["returned"]["word"]), (118132838, "0x4361520C"))
        result = self.worked(LATE, "--allow-unverified")
        steps = result["shown"][0]["steps"]
        self.assertEqual([s["kind"] for s in steps], ["fused", "fused", "add"])
        self.assertEqual([s["result"]["value"] for s in steps[:2]],
                         [225.0263671875, 225.0205078125])
        self.assertEqual(result["returned"]["word"], "0x4361520D")
        self.assertEqual([[t.get("k") for t in s["terms"]] for s in steps],
                         [[0, 1, None], [2, 3, None], [None, None]])

    def test_text_shows_the_bits(self):
        run = self.run_program("explain", "-m", WGMMA, WORKED)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue(run.stderr.startswith("lostbits: " + WGMMA + ": hardware: "), run.stderr)
        for part in ("Largest exponent 6 (set by k = 0)", "    0 + 111 0000 1000 0000|\n",
                     "    1 + ... .... .... ..11|0110 0\n", "    2 - ... .... .... ....|1110 00\n",
                     "    c + ... .... ..10 0110|0110 0110 0110 0110 10\n",
                     "  sum + 111 0000 1010 1001|\n", "Sum: 28841 x 2^-7 = 225.3203125",
                     "+ 11 1000 0101 0100|1\n", "-> 0x43615000 = 225.3125",
                     "product 1 lost 5 of its 7 bits: its exponent lies 12 below the largest",
                     "3 of 4 nonzero products lost bits; 2 were cut to nothing",
                     "-0.5125 ulp of E8M13"):
            self.assertIn(part, run.stdout)
        self.assertNotIn("\x1b", run.stdout)  # no colour where nobody sees it

    def test_losses_that_cancel_are_named(self):
        # 240 and two products of 2^-9 each, of opposite signs: both are cut to nothing.
        text = self.good("explain", "-m", WGMMA, "77 01 81 ; 38 38 38 ; 0")
        for part in ("2 were cut to nothing", "nothing in all: what was cut cancels out"):
            self.assertIn(part, text)

    def test_floor_is_shown(self):
        text = self.good("explain", "-m", "cdna3:mfma:f16:f32", "3C00 ; 3C00 ; B2800000")
        for part in ("minus infinity", "all 24 bits, down", "0x3F7FFFFF"):
            self.assertIn(part, text)
        self.assertIn("made it more negative", text)

    def test_late_step_adds_up(self):
        line = "3C00 3400 ; 3C00 3C00 ; B6CEF6A3"
        text = self.good("explain", "-m", "cdna3:mfma:f16:f32", line)
        for part in ("-104 x 2^-24", ".110 0111|0111 1011 0101 0001 1\n",
                     "c is negative: cut toward minus infinity, it counts as one unit (2^-24) more"):
            self.assertIn(part, text)
        result = self.json("explain", "-m", "cdna3:mfma:f16:f32", line)
        terms = result["shown"][0]["steps"][1]["terms"]
        for term in terms:
            self.assertEqual(exact(term) - exact(term["lost"]),
                             term["kept"] * Fraction(2) ** term["lsb"])
        products, c = terms
        self.assertEqual((c["lsb"], c["kept"], c["floored"]), (-24, -104, True))
        self.assertNotIn("floored", products)
        # The bits are the term's own: together they are its magnitude.
        bits = c["kept_bits"] + c["dropped_bits"]
        self.assertEqual(int(bits, 2) * Fraction(2) ** (c["kept_top"] - len(bits) + 1),
                         -exact(c))

    def test_points_at_the_first_dropped_bit(self):
        text = self.good("explain", "-m", "cdna3:mfma:f32:f32",
                         "3F800000 00800000 ; 3F800000 3F800000 ; 7E000000")
        for part in ("..0000|-> 2^0\n", "..0000|-> 2^-126\n"):
            self.assertIn(part, text)
        text = self.good("explain", "-m", "hopper:mma.sync:f64:f64",
                         "0010000000000000 ; 3FF0000000000000 ; 3FF0000000000000")
        self.assertIn("..0000|-> 2^-1022\n", text)

    def test_roundings_are_named_where_nothing_is_aligned(self):
        text = self.good("explain", "-m", "cdna3:mfma:f32:f32", "3F800000 ; 3F800000 ; 7E000000")
        for part in ("nothing is cut before it is added: only roundings take bits\n",
                     "Rounding sums changed the result by -1\n"):
            self.assertIn(part, text)
        self.assertNotIn("No product", text)
        ones = " ".join(["3F800000"] * 8)
        text = self.good("explain", "-m", "cdna3:mfma:f32:f32", f"{ones} ; {ones} ; 7E000000")
        self.assertIn("changed the result by -8 in all, over 2 instructions", text)

    def test_causes_of_inf_and_nan(self):
        nvfp4 = "blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32"
        for machine, line, parts, causes in [
                ("ada:mma.sync:e4m3:f16", "7F 7E ; 7E 7E ; 0",
                 ["Group 1 of 2", "k = 0 is nan * 448.", "(1 step with nothing but zeros"],
                 [("nan_operand", 0), ("nan_accumulator", None)]),
                ("ada:mma.sync:e4m3:f16", "7E 7E ; 7E 7E ; 0",
                 ["Beyond the range of FP16.", "cause     beyond the range of FP16"],
                 [("overflow", None), ("inf_accumulator", None)]),
                ("cdna3:mfma:bf16:f32", "7F00 FF00 ; 4480 4480 ; 0",
                 ["2^128 or more and counts as inf", "counts as -inf; Inf - Inf is NaN"],
                 [("inf_minus_inf", None), ("nan_accumulator", None)]),
                (nvfp4, "2 ; 2 ; 0 ; 7F ; 38", ["a scale of k = 0 to 15 is nan"],
                 [("nan_scale", 0)]),
                ("cdna2:mfma:f16:f32", "7C00 3C00 ; 3C00 3C00 ; 0", ["an Inf came in"],
                 [("inf_operand", 0)] + 3 * [("inf_partial", None)] +
                 3 * [("inf_accumulator", None)]),
                ("hopper:wgmma:f16:f32", "7C00 ; 0 ; 0", ["k = 0 is inf * 0"],
                 [("inf_times_zero", 0)]),
                ("hopper:wgmma:f16:f32", "3C00 ; 3C00 ; FF800000", ["c is -inf"],
                 [("inf_accumulator", None)]),
                ("hopper:mma.sync:f64:f64",
                 "7FE0000000000000 ; 7FE0000000000000 ; 0", ["beyond the range of FP64"],
                 [("overflow", None)] + 15 * [("inf_accumulator", None)])]:
            text = re.sub(r"\s+", " ", self.good("explain", "-m", machine, line))
            for part in parts:
                self.assertIn(re.sub(r"\s+", " ", part), text)
            self.assertLessEqual(text.count("decided before anything is added"), 1, text)
            steps = self.json("explain", "-m", machine, line)["shown"][0]["steps"]
            self.assertEqual([(s["cause"], s.get("k")) for s in steps if "cause" in s], causes)
            # No exact sum beside an Inf that came in.
            for step in steps:
                self.assertNotEqual("sources" in step, "before_rounding" in step)

        # -Inf comes back from the first instruction, NaN from the second: that one is named.
        ones = " ".join(["38"] * 40)
        text = self.good("explain", "-m", WGMMA, f"{ones} 7F ; {ones} 38 ; FF800000")
        self.assertIn("cause     instruction 2: k = 40 is nan * 1\n", text)

    def test_ignored_bits_of_a_register_are_named(self):
        line = "3F801FFF 3F800000 ; 3F800000 40000001 ; 0"
        text = re.sub(r"\s+", " ", self.good("explain", "-m", "ampere:mma.sync:tf32:f32", line))
        self.assertIn("ignores the low 13 bits of a tf32 register: k = 0: a 3F801FFF counts as "
                      "3F800000, k = 1: b 40000001 counts as 40000000", text)
        inputs = self.json("explain", "-m", "ampere:mma.sync:tf32:f32", line)["inputs"]
        self.assertEqual(inputs["ignored_bits"][0],
                         {"operand": "a", "k": 0, "code": "0x3F801FFF",
                          "counts_as": "0x3F800000"})
        whole = "3F800000 ; 3F800000 ; 0"
        self.assertNotIn("ignores", self.good("explain", "-m", "ampere:mma.sync:tf32:f32", whole))
        self.assertNotIn("ignored_bits",
                         self.json("explain", "-m", "ampere:mma.sync:tf32:f32", whole)["inputs"])

    def test_block_scales_are_told_as_they_act(self):
        for machine, part in [
                ("blackwell:tcgen05.mxf8f6f4:e4m3+ue8m0/32:f32", "add to those of the products."),
                ("blackwell:tcgen05.mxf4:e2m1+ue8m0/32:f32", "alone are the exponent of the block"),
                ("blackwell:tcgen05.mxf4nvf4:e2m1+ue4m3/16:f32",
                 "(ue4m3: e4m3 whose sign bit is ignored). Their exponents alone are the exponent "
                 "of the block's sum; their significands multiply it.")]:
            text = re.sub(r"\s+", " ", self.good("explain", machine))
            self.assertIn(part, text)
            self.assertNotIn("float8_e4m3fn", self.good("machines", machine))

    def test_small_words(self):
        text = self.good("explain", "-m", WGMMA, "77 ; 77 ; 00000001")
        self.assertIn("Product k = 0, and c", text)
        self.assertIn("its 1 bit", text)
        # Eight products of the same size, all cut to nothing: six are named.
        a = "7E " + " ".join(["01"] * 8)
        text = self.good("explain", "-m", WGMMA, f"{a} ; {a} ; 0")
        self.assertIn("2 more lost at most as much", text)

    def test_fits_the_terminal(self):
        for machine in FLOWS:
            for columns in (80, 120):
                text = self.terminal(columns, "explain", machine)
                plain = re.sub(r"\x1b\[\d*m", "", text)
                for line in plain.split("\n"):
                    self.assertLessEqual(len(line), columns, f"{machine}: {line!r}")
        long = self.write("long.txt", " ".join(["38"] * 4096) + " ; " + " ".join(["38"] * 4096) +
                          " ; 0\n")
        for args in ([], ["--promote", "4"], ["--step", "worst"]):
            plain = re.sub(r"\x1b\[\d*m", "", self.terminal(80, "explain", WGMMA, long, *args))
            self.assertLessEqual(max(map(len, plain.split("\n"))), 80, plain)
        self.assertIn("\x1b[31m", self.terminal(80, "explain", WGMMA))

    def test_every_flow_explains_itself(self):
        for machine in FLOWS:
            result = self.json("explain", machine)
            self.check_account(result)
            self.assertTrue(result["sentences"], machine)
            steps = result["shown"][0]["steps"]
            self.assertEqual([s for s in steps if "result" in s][-1]["result"],
                             result["returned"])
            self.good("explain", machine)

    def test_names_the_rounding_that_is_set(self):
        # Each line is a little more than 1, which the result cannot hold.
        for machine, line in ((WGMMA + "@F=25", "38 01 ; 38 01 ; 0"),
                              ("hopper:wgmma:f16:f16", "3C00 1000 ; 3C00 1000 ; 0"),
                              ("cdna1:mfma:f16:f32", "3C00 0001 ; 3C00 0001 ; 0")):
            for rounding in ("up", "nearest-away"):
                name = f"{machine}{',' if '@' in machine else '@'}rounding={rounding}"
                for text in (self.good("explain", name), self.good("machines", name)):
                    text = re.sub(r"\s+", " ", text)
                    self.assertIn(f"rounded once, {rounding}, to", text, name)
                    self.assertNotIn("nearest even", text)
                text = self.good("explain", name, line)
                self.assertNotIn("cut off", text)
                self.assertNotIn("nearest even", text)
        self.assertIn("rounded up:", self.good("explain", WGMMA + "@F=25,rounding=up",
                                               "38 01 ; 38 01 ; 0"))

    def test_zeros_have_no_exponent(self):
        # One product: the sum of odd k is zero, and so is all of the second group.
        machine = "cdna3:mfma:e4m3fnuz:f32"
        one, nothing = "40 ; 40 ; 3F800000", "00 ; 00 ; 3F800000"
        for line in (one, nothing):
            result = self.json("explain", "-m", machine, line)
            steps = result["shown"][0]["steps"]
            for step in steps:
                self.assertEqual("e_max" in step, "lsb" in step)
                self.assertGreater(step.get("e_max", 0), -300)
                for term in step["terms"]:
                    for key in ("exponent", "shift", "lsb"):
                        self.assertEqual(key in term, term["fate"] != "zero")
            self.assertNotIn("-100", self.good("explain", "-m", machine, line))
        self.assertNotIn("e_max", steps[0])
        self.assertIn("no exponent to align to", self.good("explain", "-m", machine, nothing))

    def test_same_word_as_dot(self):
        lines = {"cdna3:mfma:e4m3fnuz:f32": "57 39 B6 01 77 ; 57 8C 04 30 F7 ; C0490FDB",
                 "cdna2:mfma:f16:f32": "3C01 0001 7BFF ; 3C01 3C00 7BFF ; 00000001",
                 "hopper:wgmma:e5m2:f32": "7C 3C ; 00 3C ; 0",
                 "hopper:mma.sync:f64:f64": "3FF0000000000001 ; 3FF0000000000001 ; 1",
                 "blackwell:tcgen05.mxf4:e2m1+ue8m0/32:f32": "7 6 5 ; F 3 1 ; 3E99999A ; 7F ; 40"}
        for machine, line in lines.items():
            word = self.good("dot", "-m", machine, stdin=line + "\n").strip()
            result = self.json("explain", "-m", machine, line)
            self.assertEqual(result["returned"]["word"], "0x" + word, machine)
            if result["finite"]:
                self.check_account(result)
            self.good("explain", "-m", machine, line)
        nan = self.json("explain", "-m", "hopper:wgmma:e5m2:f32", lines["hopper:wgmma:e5m2:f32"])
        self.assertFalse(nan["finite"])
        self.assertEqual(nan["returned"]["value"], "nan")

    def test_names_of_ptx(self):
        text = self.good("explain", PTX, "--arch", "sm_90")
        for part in (LATE, "emulates", "FP16", "k % 4 = 0 and 1", "F = 25", WGMMA + " keeps 13",
                     "0x4361520D"):
            self.assertIn(part, re.sub(r"\s+", " ", text))
        self.assertEqual(self.json("explain", PTX, "--arch", "sm_89")["machine"],
                         "ada:mma.sync:e4m3:f32")

    def test_long_chain(self):
        ones = " ".join(["38"] * 131072)
        name = self.write("ones.txt", f"# 131072 ones\n\n{ones} ; {ones} ; 0\n")
        text = self.good("explain", "-m", WGMMA, name)
        self.assertLess(len(text.split("\n")), 45)
        for part in ("114688 were cut to nothing", "exact     131072", "step worst (here 513)"):
            self.assertIn(part, re.sub(r"\n +", " ", text))
        result = self.json("explain", "-m", WGMMA, name)
        self.assertEqual(len(result["instructions"]), 4096)
        self.assertEqual((result["terms"], result["gone"], result["shown"]), (131072, 114688, []))
        self.assertEqual(result["instructions"][511]["result"]["value"], 16384)
        self.assertEqual(result["instructions"][512]["gone"], 32)
        self.check_account(result)
        self.assertEqual([s["instruction"] for s in
                          self.json("explain", "-m", WGMMA, name, "--step", "worst")["shown"]],
                         [513])
        promoted = self.json("explain", "-m", WGMMA, name, "--promote", "4", "--step", "8")
        self.assertEqual(promoted["returned"]["value"], 131072)
        self.assertNotRegex(text, r"(?m)^ *step ")
        self.assertIn("cut to nothing is in instruction 513", re.sub(r"\s+", " ", text))
        self.assertEqual(promoted["instructions"][7]["promotion"]["result"]["value"], 256)
        self.assertNotIn("promotion", promoted["instructions"][6])
        self.assertIn("Promotion: ", self.good("explain", "-m", WGMMA, name, "--promote", "4",
                                               "--step", "8"))

    def test_lines_of_a_file(self):
        name = self.write("dots.txt", "# none\n38 ; 38 ; 0\n40 ; 40 ; 0\n")
        value = lambda *args: self.json("explain", "-m", WGMMA, *args)["returned"]["value"]
        self.assertEqual(value(name), 1)
        self.assertEqual(value(name, "--line", "3"), 4)
        run = subprocess.run([PROGRAM, "explain", WGMMA, "-"], input=WORKED, text=True,
                             capture_output=True, check=True)
        self.assertIn("0x43615000", run.stdout)

    def test_refuses(self):
        dots = self.write("dots.txt", "\n38 ; 38 ; 0\n")
        empty = self.write("empty.txt", "# nothing\n")
        for args, says in [
                ([], "machine"), (["hopper:wgma:e4m3:f32"], "hopper:wgmma"),
                ([WGMMA, "nowhere.txt"], "nowhere.txt"), ([WGMMA, "38 ; 38"], "2 fields"),
                ([WGMMA, "100 ; 38 ; 0"], "'100'"), ([WGMMA, "38 38 ; 38 ; 0"], "2 and 1"),
                ([WGMMA, empty], "empty"), ([WGMMA, dots, "--line", "1"], "line 1"),
                ([WGMMA, dots, "--line", "9"], "line 9"), ([WGMMA, dots, "--line", "-1"], "-1"),
                ([WGMMA, WORKED, "--line", "1"], "--line"), ([WGMMA, "--step", "1"], "--step"),
                ([WGMMA, WORKED, "--step", "2"], "1 to 1"),
                ([WGMMA, WORKED, "--step", "best"], "'best'"),
                ([WGMMA, WORKED, "--promote", "-1"], "-1"),
                (["hopper:wgmma:f16:f16", "3C00 ; 3C00 ; 0", "--promote", "4"], "FP32"),
                ([WGMMA, dots, dots], "also"),
                (["blackwell:tcgen05.mxf4:e2m1+ue8m0/32:f32", "1 ; 1 ; 0"], "scale")]:
            self.bad("explain", *args, says=[says])
        self.bad("explain", LATE, WORKED, code=3, says=["--allow-unverified"])


if __name__ == "__main__":
    unittest.main()
