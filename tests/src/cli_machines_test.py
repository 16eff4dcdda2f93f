"""`lostbits machines` and `lostbits dot` from outside. Expected words are worked out by hand in the
comments, or are those that published sources give for a probe.
"""
import fcntl
import os
import pty
import struct
import subprocess
import termios
import unittest

from cli import PROGRAM, WORKED, Cli

HOPPER = "hopper:wgmma:e4m3:f32"
EVIDENCE = ["machine", "altered", "evidence", "vectors", "gpus", "source", "gaps", "disputes",
            "note"]


def at_terminal(columns, *args):
    """What the program prints where stdout is a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    program = subprocess.Popen([PROGRAM, *args], stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    program.wait()
    return text.decode().replace("\r", "").splitlines()


class Dot(Cli):
    def test_worked_example_on_three_units(self):
        # FP8 wgmma: grid 2^-7: 28800 + 3 + 0 + 0 + 38 = 28841, cut to 14 bits: 14420 * 2^-6.
        # tcgen05: F = 25, RZ to FP32. mma.sync: two FP16 units' sums from zero, c added to nearest.
        for machine, word in [(HOPPER, "43615000"), ("QGMMA.64x128x32.F32.E4M3.E4M3", "43615000"),
                              ("blackwell:tcgen05:e4m3:f32", "4361520C"),
                              ("blackwell:mma.sync:e4m3:f32", "4361520D")]:
            self.assertEqual(self.good("dot", "-m", machine, stdin=WORKED), word + "\n", machine)

    def test_reads_files_comments_and_any_k(self):
        with open(self.path("lines.txt"), "w") as file:
            # S5: the E8M13 accumulator cuts c. 40 products of 1: two instructions.
            file.write("# comment\n\n00 ; 00 ; 0x3F800200 # 1 + 2^-14\n")
            file.write(",".join(["38"] * 40) + ";" + " ".join(["38"] * 40) + ";0\n")
        self.assertEqual(self.good("dot", "-m", HOPPER, "lines.txt"), "3F800000\n42200000\n")

    def test_evidence_goes_to_stderr(self):
        run = self.run_program("dot", "-m", HOPPER, stdin=WORKED)
        self.assertIn(f"{HOPPER}: hardware: 5000 recorded rows of H100", run.stderr)
        self.assertEqual(run.stdout, "43615000\n")

    def test_words_of_64_bits(self):
        # 1.5 * 1.5 + 0.25 = 2.5. Then 1 + 2^-53 + 2^-53 as a chain of fma: each is a tie that goes
        # to the even 1; added exactly it would be 1 + 2^-52.
        lines = ("3FF8000000000000 ; 3FF8000000000000 ; 3FD0000000000000\n"
                 "3CA0000000000000 3CA0000000000000 ; 3FF0000000000000 3FF0000000000000 ; "
                 "3FF0000000000000\n")
        for machine in ("a100:mma.sync:f64", "mi300x:mfma:f64"):
            self.assertEqual(self.good("dot", "-m", machine, stdin=lines),
                             "4004000000000000\n3FF0000000000000\n", machine)
        rows = self.json("dot", "-m", "a100:mma.sync:f64", stdin=lines)["rows"]
        self.assertEqual(rows[0], {"line": 1, "k": 1, "d": "4004000000000000", "value": 2.5})

    def test_block_scales(self):
        # 6 * 0.5 + 1 * 0.5 - 2 * 3 = -2.5, times 2 * 0.5; the sign bit of ue4m3 is ignored.
        for scales, word in [("40 ; 30", "C0200000"), ("40 ; 38", "C0A00000"),
                             ("C0 ; 38", "C0A00000")]:
            line = f"7 2 C ; 1 1 5 ; 0 ; {scales}"
            self.assertEqual(self.good("dot", "-m", "b200:nvfp4", stdin=line), word + "\n", scales)
        # 17 products of 1: a block of 16 with scale 1, a product in the next with scale 2: 18.
        line = f"{'2 ' * 17}; {'2 ' * 17}; 0 ; 38 40 ; 38 38"
        self.assertEqual(self.good("dot", "-m", "b200:nvfp4", stdin=line), "41900000\n")
        # MXFP8: 2^10 * 2^-3 * 1.5; a NaN scale.
        line = "38 ; 3C ; 0 ; 89 ; 7C\n38 ; 38 ; 0 ; FF ; 7F\n"
        self.assertEqual(self.good("dot", "-m", "b200:mxfp8:e4m3", stdin=line),
                         "43400000\n7FFFFFFF\n")

    def test_scales_missing_unwanted_or_too_few(self):
        nvfp4, two = ["dot", "-m", "b200:nvfp4"], f"{'2 ' * 17}; {'2 ' * 17}; 0 ; "
        self.bad(*nvfp4, stdin="2 ; 2 ; 0\n", says=["scales of a", "found 3 fields", "every 16"])
        self.bad(*nvfp4, stdin="2 ; 2 ; 0 ; 38\n", says=["found 4 fields"])
        self.bad(*nvfp4, stdin=two + "38 ; 38 38\n", says=["expected 2 scales", "1 and 2"])
        self.bad(*nvfp4, stdin=two + "38 38 38 ; 38 38\n", says=["found 3 and 2"])
        self.bad(*nvfp4, stdin="2 ; 2 ; 0 ; 138 ; 38\n", says=["scales of a", "8-bit"])
        self.bad(*nvfp4, stdin="", says=["scales of b"])
        self.bad("dot", "-m", HOPPER, stdin="38 ; 38 ; 0 ; 38 ; 38\n", says=["no block scales"])
        self.bad("dot", "-m", "a100:mma.sync:f64", stdin=f"{'1' * 17} ; 0 ; 0\n", says=["64-bit"])

    def test_settings_show_the_other_side_of_a_dispute(self):
        # Numerics, D1 and S8.
        for line, machine, word, other, theirs in [
                ("B280 3400 ; 0080 0080 ; 0", "h100:mma.sync:bf16", "00000000", "e_zero=-126",
                 "00000001"),
                ("8080 ; 3080 ; 0", "h100:wgmma:bf16", "00000000", "underflow=signed", "80000000"),
                ("6C00 3C00 EC00 0 ; 6C00 3C00 6C00 0 ; 0", "mi100:mfma:f16", "3F800000",
                 "flow=tree", "00000000")]:
            self.assertEqual(self.good("dot", "-m", machine, stdin=line), word + "\n", machine)
            run = self.run_program("dot", "-m", f"{machine}@{other}", stdin=line)
            self.assertEqual(run.stdout, theirs + "\n", machine)
            self.assertIn("altered for study", run.stderr)
            self.assertTrue(self.json("dot", "-m", f"{machine}@{other}", stdin=line)["altered"])
        self.bad("dot", "-m", HOPPER + "@e_zer=1", stdin=WORKED, says=["did you mean e_zero"])

    def test_a_shorter_shape_is_not_altered(self):
        result = self.json("dot", "-m", "sm_89:mma.sync.aligned.m16n8k16.row.col.f32.e4m3.e4m3.f32",
                           stdin=WORKED)
        self.assertEqual((result["machine"], result["altered"]),
                         ("ada:mma.sync:e4m3:f32@k=16", False))

    def test_keys(self):
        dot = self.json("dot", "-m", HOPPER, stdin=WORKED)
        self.assertEqual(list(dot), ["schema_version", "command", *EVIDENCE, "rows"])
        self.assertEqual(dot["rows"], [{"line": 1, "k": 4, "d": "43615000", "value": 225.3125}])


class Machines(Cli):
    def rows(self):
        return self.json("machines")["machines"]

    def test_one_line_a_family(self):
        families = {row["family"] for row in self.rows()}
        text = self.good("machines")
        lines = [l for l in text[:text.index("\n\n")].splitlines()
                 if any(f" {level}" in l for level in ("hardware", "published", "assumed"))]
        self.assertEqual(len(lines), len(families))
        self.assertIn("\nhopper\n", text)
        self.assertRegex(text, r"  tcgen05:f8f6f4:f32 +32  25  RZ FP32 +32  published")

    def test_filter(self):
        text = self.good("machines", "h100")
        self.assertIn("wgmma:e4m3|e5m2:f32", text)
        self.assertNotIn("blackwell\n", text)
        self.assertEqual({row["arch"] for row in self.json("machines", "h100")["machines"]},
                         {"hopper"})
        # One family, some of its rows.
        self.assertIn("wgmma:e4m3|e5m2, any pair:f16", self.good("machines", "QGMMA"))

    def test_reads_well_in_80_and_in_120_columns(self):
        for columns in (80, 120):
            for args in ([], ["h100"], ["--disputes"], [HOPPER], ["b200:nvfp4"],
                         ["mi300x:mfma:f16"], ["a100:mma.sync:f64"], ["mi250x:mfma:f16"]):
                lines = at_terminal(columns, "machines", *args)
                self.assertGreater(len(lines), 5)
                for line in lines:  # a command to paste stays on one line
                    if not line.startswith("  echo"):
                        self.assertLessEqual(len(line), columns, f"{args}: {line}")

    def test_every_machine_has_a_page_whose_example_repeats(self):
        inputs = set()
        for row in self.rows():
            text = self.good("machines", row["machine"])
            for part in ("flow ", "result ", "evidence ", "not pinned", "Worked example"):
                self.assertIn(part, text, row["machine"])
            self.assertEqual("  source " in text,
                             row["evidence"] != "assumed" or "CUT" in row["source"], row["machine"])
            for dispute in row["disputes"]:
                self.assertIn(f"disputed   {dispute['id']}", text, row["machine"])
                self.assertIn("@" + dispute["other_side"], " ".join(text.split()), row["machine"])
            repeat = [l.strip() for l in text.splitlines() if "| lostbits dot" in l][0]
            line, command = repeat.removeprefix("echo '").split("' | lostbits ")
            d = [l for l in text.splitlines() if l.startswith("  d = 0x")][0].split()[2][2:]
            self.assertEqual(self.good(*command.split(), stdin=line), d + "\n", row["machine"])
            inputs.add(line)
        self.assertIn(WORKED.strip(), inputs)

    def test_the_page_of_the_specs_example(self):
        text = self.good("machines", HOPPER)
        for part in ("28800", "28841 * 2^-7 = 225.3203125; rounded: 0x43615000 = 225.3125",
                     "5000 recorded rows of H100", "recorded with c = 0 only",
                     "SAGE: SageAttention2"):
            self.assertIn(part, " ".join(text.split()))
        row = self.json("machines", HOPPER)["machines"][0]
        self.assertEqual((row["group"], row["fraction_bits"], row["result_bits"], row["e_zero"]),
                         (32, 13, 13, -133))
        self.assertEqual(row["example"]["d"], "43615000")
        altered = self.good("machines", HOPPER + "@F=25,out=acc")
        self.assertIn("altered", altered)
        self.assertIn("0x4361520C", altered)  # what tcgen05 gives: F = 25, FP32

    def test_disputes(self):
        text = self.good("machines", "--disputes")
        for part in ("D1: ", "D2: ", "D4: ", "D5: ", "D6: ", "D8: ", "S8: ", "@e_zero=-126",
                     "@flow=tree", "probe"):
            self.assertIn(part, text)
        disputes = self.json("machines", "--disputes")["disputes"]
        self.assertEqual(list(disputes[0]),
                         ["id", "question", "taken", "other", "probe", "other_side"])
        for dispute in disputes:
            for side in dispute["other_side"]:
                self.good("machines", f"{side['machines'][0]}@{side['setting']}")
        mi100 = self.json("machines", "mi100", "--disputes")["disputes"]
        self.assertEqual([d["id"] for d in mi100], ["D5"])
        self.assertEqual(self.good("machines", "mi100:mfma:f32", "--disputes"),
                         "nothing is disputed here\n")

    def test_markdown(self):
        lines = self.good("machines", "--markdown").splitlines()
        self.assertEqual(len({l.count("|") for l in lines}), 1)
        self.assertIn("| ada `mma.sync` | fma P | | 4/24 H | 8/24 H | 8/24 H | 16/13 HP | | |",
                      lines)
        self.bad("machines", "--markdown", "--json")
        self.bad("machines", "--markdown", "h100")

    def test_wrong_names(self):
        for name, says in [("hoper:wgmma:e4m3:f32", HOPPER), ("b300", "Blackwell Ultra"),
                           ("mi355x", "CDNA4"), ("sm_90:imma.16832.s8.s8", "integer"),
                           ("h100:mma.sync.aligned.m16n8k16.row.col.f16.e4m3.e4m3.f16", "m16n8k32"),
                           (HOPPER + "@F=60", "F = 60"),
                           (HOPPER + "@flow=tree", "groups of 2 or 4")]:
            self.bad("machines", name, says=[says])

    def test_keys(self):
        machines = self.json("machines")
        self.assertEqual(list(machines), ["schema_version", "command", "machines"])
        keys = [*EVIDENCE, "arch", "instruction", "in", "scale", "out", "family", "a", "b",
                "accumulator", "k", "flow", "group", "fraction_bits", "e_zero", "rounding",
                "result_bits", "block", "signed_underflow", "flush", "sum_bits", "final_bits"]
        for row in machines["machines"]:
            self.assertEqual(list(row), keys)
        row = self.json("machines", "b200:nvfp4")["machines"][0]
        self.assertEqual(list(row), [*keys, "sources", "example"])
        self.assertEqual(list(row["example"]),
                         ["a", "b", "c", "scale_a", "scale_b", "d", "value", "exact"])


if __name__ == "__main__":
    unittest.main()
