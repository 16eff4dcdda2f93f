"""What the lostbits program refuses: one line on stderr, exit code 2 (1: mismatch, 3: no evidence),
and no half-written file. The list of bad inputs.
"""
import glob
import os
import shutil
import struct
import subprocess
import unittest

from cli import PROGRAM, WORKED, Cli, npy

SHARED_VECTORS = os.path.join(os.path.dirname(__file__), "../../../shared/vectors")


class BadInput(Cli):
    def test_wrong_usage(self):
        for args in (["frmats"], ["--frobnicate"], ["dot"], ["encode", "1"], ["verify"], ["gemm"],
                     ["formats", "e4m3", "e5m2"], ["attention", "q.npy"],
                     ["machines", "--threads", "x"], ["formats", "--threads", "-1"],
                     ["encode", "-f", "e4m3", "1", "--frobnicate"]):
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
                            (["decode", "-f", "e4m3", "100"], ""),
                            (["decode", "-f", "e4m3", "0xG"], ""),
                            (["decode", "-f", "e2m1", "10"], ""),
                            (["encode", "-f", "e3m4", "--like", "cuda", "1"], ""),
                            (["encode", "-f", "e4m3", "--like", "cuda", "--rounding", "up", "1"],
                             ""),
                            (["encode", "-f", "e4m3", "--random-bits", "40", "1"], "")]:
            self.bad(*args, stdin=stdin)
        for line in ("", "38 ; 38", "38 ; 38 ; 0 ; 0", "38 38 ; 38 ; 0", "; ; 0", "138 ; 38 ; 0",
                     "38 ; xy ; 0", "38 ; 38 ; 1 2", "38 ; 38 ; 100000000"):
            self.bad("dot", "-m", "hopper:wgmma:e4m3:f32", stdin=line + "\n")
        self.bad("dot", "-m", "hopper:mma.sync:e4m3:f16", stdin="38 ; 38 ; 10000\n",
                 says=["16-bit"])
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
                self.bad("attention", "x.npy", "x.npy", "x.npy", f"--{which}-descale", scale,
                         "-o", "o.npy")
        for option in ("--softmax-scale", "--softcap"):
            self.bad("attention", "x.npy", "x.npy", "x.npy", option, "nan", "-o", "o.npy")

    def test_broken_files(self):
        npy(self.path("good.npy"), [2, 64], [0.5] * 128)
        with open(self.path("good.npy"), "rb") as file:
            raw = file.read()
        for name, data in [("empty.npy", b""), ("short.npy", raw[:9]), ("header.npy", raw[:50]),
                           ("cut.npy", raw[:-1]), ("long.npy", raw + b"x"),
                           ("zip.npy", b"PK\3\4" * 9), ("empty.safetensors", b""),
                           ("cut.safetensors", b"\x50" + b"\0" * 7 + b"{"),
                           ("huge.safetensors", b"\xff" * 16),
                           ("text.safetensors", b"\2" + b"\0" * 7 + b"[]")]:
            with open(self.path(name), "wb") as file:
                file.write(data)
            self.bad("encode", "-f", "e4m3", name, "-o", "y.npy", says=[name])
            self.bad("gemm", "good.npy", name, "-m", "hopper:wgmma:e4m3:f32", "-o", "y.npy",
                     says=[name])
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
