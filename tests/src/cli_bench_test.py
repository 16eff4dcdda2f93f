"""`lostbits bench` from outside: its JSON, what it says is missing, what it refuses. No rate and no
ratio is asserted: a clock decides those."""
import shutil
import statistics
import subprocess
import unittest

from cli import PROGRAM, Cli

GROUPS = {"gemm": ["gemm", "gemm_instruction_sets"],
          "attention": ["attention_decode", "attention_prefill"],
          "threads": ["threads"],
          "codec": ["codec_l1", "codec_l2", "codec_dram", "codec_encode_formats",
                    "codec_decode_formats"],
          "machines": ["machines"],
          "scaling": ["scaling_k", "scaling_n", "scaling_keys", "scaling_threads"]}


class Bench(Cli):
    def test_json_of_all_modes(self):
        result = self.json("bench", "--quick")
        self.assertTrue(result["quick"])
        for key in ("cpu", "cores", "l1d", "l2", "l3", "instruction_set", "compiler"):
            self.assertIn(key, result["host"])
        self.assertEqual([g["group"] for g in result["groups"]],
                         [i for ids in GROUPS.values() for i in ids])
        for group in result["groups"]:
            self.check_group(group)
        self.assertTrue(any(r["goal"] for g in result["groups"] for x in g["results"]
                            for r in x["ratios"]))

    def check_group(self, group):
        self.assertIn(group["unit"], ("MAC", "element"))
        cases = {r["name"]: r for r in group["results"]}
        self.assertEqual(len(cases), len(group["results"]), "a name twice in " + group["group"])
        for r in group["results"]:
            self.assertTrue(all(rate > 0 for rate in r["rates"]), r)
            self.assertAlmostEqual(r["rate"] / statistics.median(r["rates"]), 1)
            self.assertTrue(r["rate_low"] <= r["rate"] <= r["rate_high"], r)
            self.assertGreater(r["seconds"], 0)
            for ratio in r["ratios"]:
                base = cases.get(ratio["baseline"])
                if base is None:  # OpenBLAS or a peer that is not here
                    self.assertIsNone(ratio["ratio"])
                    self.assertIsNone(ratio["met"])
                    continue
                of_rounds = statistics.median(a / b for a, b in zip(r["rates"], base["rates"]))
                self.assertAlmostEqual(ratio["ratio"] / of_rounds, 1)
                if ratio["goal"]:
                    self.assertEqual(ratio["met"], ratio["ratio"] >= ratio["goal"])

    def test_each_mode_alone(self):
        for mode, ids in GROUPS.items():
            groups = self.json("bench", mode, "--quick")["groups"]
            self.assertEqual([g["group"] for g in groups], ids)
        for group in groups:  # of scaling, the last
            self.check_group(group)
            self.assertTrue(group["axis"])
            self.assertTrue(all(r["series"] and r["x"] > 0 for r in group["results"]))

    def test_long_attention_is_asked_for(self):
        groups = self.json("bench", "attention", "--quick", "--long")["groups"]
        self.assertEqual([g["group"] for g in groups], GROUPS["attention"] + ["attention_long"])
        self.assertEqual([len(r["rates"]) for r in groups[-1]["results"]], [1, 1])

    def test_every_family_with_matrix_products_is_there(self):
        names = {r["name"].removesuffix(", integers")
                 for r in self.json("bench", "machines", "--quick")["groups"][0]["results"]}
        first = {}
        for row in self.json("machines")["machines"]:
            if row["block"] == 0 and row["accumulator"] != "float64":
                first.setdefault(row["family"], row["machine"])
        self.assertEqual(names, set(first.values()))

    def test_every_instruction_set_is_there(self):
        result = self.json("bench", "gemm", "--quick")
        sets = {r["name"].split(", ")[1] for r in result["groups"][1]["results"]}
        self.assertIn(result["host"]["instruction_set"], sets)

    def test_text_says_what_is_missing(self):
        shutil.copy(PROGRAM, self.path("lostbits"))  # away from the build's module of baselines
        run = self.run_at(self.path("lostbits"), "bench", "gemm", "--quick", "--openblas", "none")
        self.assertIn("OpenBLAS  NOT THERE", run)
        self.assertIn("peers     NOT THERE", run)
        self.assertIn("0.3 not measured", run)
        self.assertIn("(not on this machine)", run)
        result = self.json("bench", "gemm", "--quick", "--openblas", "none")
        self.assertIsNone(result["openblas"])
        for r in result["groups"][0]["results"]:
            self.assertTrue(all(x["ratio"] is None for x in r["ratios"]), r)

    def run_at(self, program, *args):
        run = subprocess.run([program, *args], capture_output=True, text=True, timeout=120)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return run.stdout

    def test_named_kernels_run(self):
        blas = self.json("bench", "gemm", "--quick")["openblas"]
        if blas is None:
            self.skipTest("OpenBLAS is not installed")
        self.assertEqual(self.json("bench", "gemm", "--quick", "--openblas", "Nehalem")
                         ["openblas"]["kernel"], "Nehalem")
        self.assertEqual(self.json("bench", "gemm", "--quick", "--openblas", "own")
                         ["openblas"]["asked"], "")

    def test_fits_80_columns_and_says_it_is_no_measurement(self):
        for mode in ("gemm", "codec", "scaling"):
            text = self.on_terminal(80, "bench", mode, "--quick")
            self.assertIn("no measurements", text)
            for line in text.splitlines():
                if not line.strip().startswith("/"):  # the path of a module, as long as it is
                    self.assertLessEqual(len(line), 80, line)

    def test_markdown_tables_are_whole(self):
        for mode in ("gemm", "machines", "scaling"):
            columns = 0
            for line in self.good("bench", mode, "--quick", "--markdown").splitlines():
                columns = (columns or line.count("|")) if line.startswith("|") else 0
                self.assertEqual(line.count("|"), columns, line)

    def test_refuses(self):
        with open(self.path("text.so"), "w", encoding="utf-8") as file:
            file.write("no module")
        for args, says in [(["gem"], "gemm"), (["--json", "--markdown"], "--markdown"),
                           (["--quick", "--peers", "nowhere.so"], "nowhere.so"),
                           (["--quick", "--peers", "text.so"], "text.so"),
                           (["--threads", "-1"], "-1"), (["gemm", "codec"], "codec")]:
            self.bad("bench", *args, says=[says])


if __name__ == "__main__":
    unittest.main()
