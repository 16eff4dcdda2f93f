"""`lostbits compare` from outside: two units, two recipes, two attention kernels, bad input."""
import unittest

from cli import Cli, npy

HOPPER, ADA = "hopper:wgmma:e4m3:f32", "ada:mma.sync:e4m3:f32"
SMALL = ("--m", "8", "--n", "8", "--k", "512")


class Compare(Cli):
    def test_names_the_feature_to_blame(self):
        result = self.json("compare", HOPPER, ADA, *SMALL)
        self.assertEqual([s["machine"] for s in result["sides"]], [HOPPER, ADA])
        self.assertEqual(result["outputs"], 64)
        self.assertGreater(result["different"], 0)
        self.assertEqual(result["first_difference_after_products"] % 32, 0)
        group, clamp = result["features"]
        self.assertEqual((group["feature"], clamp["feature"]), ("group", "e_zero"))
        self.assertEqual((group["a"], group["b"]), ("32 of 32", "16 of 32"))
        self.assertEqual(group["a_with_b"], {"equal": result["different"], "rms_left": 0.0})
        self.assertEqual(clamp["a_with_b"], {"equal": 0, "rms_left": 1.0})
        self.assertEqual([row["k"] for row in result["by_k"]], [64, 256])
        self.assertIn("Explained by one feature: group L of k", result["verdict"])

    def test_explain_lines_give_the_words_that_part(self):
        result = self.json("compare", HOPPER, ADA, *SMALL)
        words = set()
        for side in result["sides"]:
            start, line, _ = side["explain"].split("'")
            self.assertEqual(start, "lostbits explain -m %s " % side["machine"])
            words.add(self.good("dot", "-m", side["machine"], "-", stdin=line))
        self.assertEqual(len(words), 2)

    def test_recipes(self):
        result = self.json("compare", HOPPER, HOPPER, "--promote-b", "4", *SMALL)
        self.assertEqual([f["feature"] for f in result["features"]], ["promotion"])
        self.assertEqual(result["features"][0]["b"], "every 128 k")
        self.assertLess(result["sides"][0]["sqnr_db"], result["sides"][1]["sqnr_db"])
        same = self.json("compare", HOPPER, HOPPER, *SMALL)
        self.assertEqual((same["different"], same["first"]), (0, None))
        self.assertEqual(same["verdict"], "The two are one function.")

    def test_settings_and_formats(self):
        result = self.json("compare", HOPPER, HOPPER + "@F=14", *SMALL)
        self.assertTrue(result["sides"][1]["altered"])
        self.assertEqual([f["feature"] for f in result["features"]],
                         ["fraction_bits"])
        wider = self.json("compare", HOPPER, "hopper:wgmma:bf16:f32", *SMALL)
        self.assertEqual(wider["operands"]["changed_between_formats"], 0)
        lossy = self.json("compare", HOPPER, "hopper:wgmma:e5m2:f32", *SMALL)
        self.assertGreater(lossy["operands"]["changed_between_formats"], 0)

    def test_what_a_flow_does_not_have_is_no_feature(self):
        result = self.json("compare", "cdna1:mfma:f16:f32", "hopper:mma.sync:f16:f32", *SMALL)
        self.assertEqual([f["feature"] for f in result["features"]],
                         ["flow", "group", "result", "underflow"])
        late = self.json("compare", "cdna3:mfma:f16:f32", "ampere:mma.sync:f16:f32@F=40", *SMALL)
        features = {f["feature"]: f for f in late["features"]}
        self.assertEqual(features["flow"]["a"], "c late (32 bits, 31)")
        # A sum of 32 bits is not cut from 40; a feature of the flow's own comes with the flow.
        self.assertIsNone(features["fraction_bits"]["a_with_b"])
        self.assertIsNone(features["flow"]["b_with_a"])

    def test_splits_have_no_first_difference(self):
        result = self.json("compare", HOPPER, HOPPER, "--split-k-b", "3", *SMALL)
        self.assertGreater(result["different"], 0)
        self.assertIsNone(result["first_difference_after_products"])
        text = self.good("compare", HOPPER, HOPPER, "--split-k-b", "3", *SMALL)
        self.assertNotIn("there the two first differ", text)

    def test_two_features_together(self):
        result = self.json("compare", HOPPER, "blackwell:tcgen05:e4m3:f32", *SMALL)
        self.assertEqual(sorted(result["pair"]), ["fraction_bits", "result"])
        swapped = self.json("compare", "blackwell:tcgen05:e4m3:f32", HOPPER, *SMALL)
        self.assertEqual((result["max_ulp"], result["ulp_format"]),
                         (swapped["max_ulp"], swapped["ulp_format"]))
        self.assertEqual(result["ulp_format"], "E8M13")

    def test_files_say_their_size_and_saturation_is_told(self):
        npy(self.path("a.npy"), [1, 2], [500.0, float("inf")])
        npy(self.path("b.npy"), [2, 1], [1.0, 1.0])
        result = self.json("compare", HOPPER, ADA, "--a", "a.npy", "--b", "b.npy")
        self.assertEqual(result["operands"]["saturated"], 2)
        self.bad("compare", HOPPER, ADA, "--a", "a.npy", "--k", "4",
                 says=("--k", "operands that are given"))

    def test_own_operands(self):
        npy(self.path("a.npy"), [1, 2], [15.0, 0.5])
        npy(self.path("b.npy"), [2, 1], [15.0, 0.0625])
        result = self.json("compare", HOPPER, "blackwell:tcgen05:e4m3:f32", "--a", "a.npy", "--b",
                           "b.npy")
        # 225 + 1/32: Hopper's grid is 2^-6 at the end, Blackwell keeps all.
        self.assertEqual((result["outputs"], result["different"], result["k"]), (1, 0, 2))

    def test_attention(self):
        result = self.json("compare", "fa3.sm90.e4m3@decode", "fa3.sm90.e4m3@prefill", "--k", "300")
        self.assertEqual(result["first_difference_at_keys"], 97)
        self.assertEqual([f["feature"] for f in result["features"]], ["tile"])
        self.assertEqual([row["keys"] for row in result["by_keys"]], [64, 256, 300])
        self.assertIn("They first part at 97 keys", result["verdict"])

    def test_text_fits_the_width(self):
        for width in (80, 120):
            for sides in ((HOPPER, "blackwell:tcgen05:e4m3:f32"),
                          ("fa3.sm90.e4m3", "fa3.sm90.bf16", "--k", "200")):
                text = self.on_terminal(width, "compare", *sides,
                                        *(SMALL if len(sides) == 2 else ()))
                for line in text.splitlines():
                    if not line.startswith("  lostbits explain"):
                        self.assertLessEqual(len(line), width, line)

    def test_threads_and_seed(self):
        first = self.json("compare", HOPPER, ADA, *SMALL, "--threads", "1")
        self.assertEqual(first, self.json("compare", HOPPER, ADA, *SMALL, "--threads", "2"))
        self.assertNotEqual(first["worst"], None)
        other = self.json("compare", HOPPER, ADA, *SMALL, "--seed", "5")
        self.assertNotEqual(first["sides"][0]["explain"], other["sides"][0]["explain"])

    def test_bad_input(self):
        npy(self.path("a.npy"), [1, 2], [1.0, 1.0])
        for words, arguments in (
                (("hoper", HOPPER), ("hoper:wgmma:e4m3:f32", ADA)),
                (("--data", "gauss"), (HOPPER, ADA, "--data", "gauss")),
                (("--m",), (HOPPER, ADA, "--m", "0")),
                (("FP64",), ("hopper:mma.sync:f64:f64", HOPPER)),
                (("block scales",), ("blackwell:tcgen05.mxf4:e2m1:f32", HOPPER)),
                (("preset", HOPPER), ("fa3.sm90.e4m3", HOPPER)),
                (("--promote-b", "attention presets"),
                 ("fa3.sm90.e4m3@decode", "fa3.sm90.e4m3", "--promote-b", "4")),
                (("--m",), ("fa3.sm90.e4m3@decode", "fa3.sm90.e4m3", "-m", "4")),
                (("--a",), ("fa3.sm90.e4m3@decode", "fa3.sm90.e4m3", "--a", "a.npy")),
                (("splits=0", "1 to 256"), ("fa3.sm90.e4m3@splits=0", "fa3.sm90.e4m3")),
                (("sideways", "decode"), ("fa3.sm90.e4m3@sideways", "fa3.sm90.e4m3"))):
            with self.subTest(arguments=arguments):
                self.bad("compare", *arguments, says=words)
        self.bad("compare", "hopper:mma.sync:e4m3:f32", HOPPER, code=3,
                 says=("--allow-unverified",))


if __name__ == "__main__":
    unittest.main()
