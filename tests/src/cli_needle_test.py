"""`lostbits needle` from outside: the grid, a user's own tensors, what it refuses."""
import json
import struct
import unittest

from cli import Cli, npy

SMALL = ("--context", "1k,2k", "--mean", "0,2", "--weight", "0.05", "--trials", "8",
         "--head-dim", "64")
VARIANTS = ["exact", "BF16", "FP8 one-level", "FP8 two-level, every tile",
            "FP8 two-level, every 4", "FP8 two-level, every 64", "FP8 Blackwell"]


def safetensors(path, tensors):
    """tensors: name -> (shape, values), written as F32."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        raw = struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


class Needle(Cli):
    def test_json_holds_the_whole_grid(self):
        result = self.json("needle", *SMALL)
        for key in ("seed", "head_dim", "trials", "guessing", "assumptions", "machines", "cells"):
            self.assertIn(key, result)
        cells = result["cells"]
        self.assertEqual([(c["context"], c["mean"], c["weight"], c["variant"]) for c in cells],
                         [(n, m, 0.05, v) for n in (1024, 2048) for m in (0, 2) for v in VARIANTS])
        for cell in cells:
            self.assertEqual(cell["trials"], 8)
            self.assertTrue(0 <= cell["found"] <= 8)
            self.assertEqual(cell["keys_lost"] == "nan", cell["variant"] == "exact")
        self.assertEqual({m["machine"] for m in result["machines"]},
                         {"hopper:wgmma:bf16:f32", "hopper:wgmma:e4m3:f32",
                          "blackwell:tcgen05:e4m3:f32"})

    def test_text_names_every_row_and_what_was_assumed(self):
        text = self.good("needle", *SMALL)
        for word in (*VARIANTS, "Assumed", "relative error", "gain", "keys that left no trace"):
            self.assertIn(word, text)

    def test_seed_and_threads(self):
        first = self.json("needle", *SMALL, "--seed", "1", "--threads", "1")
        self.assertEqual(first, self.json("needle", *SMALL, "--seed", "1", "--threads", "2"))
        self.assertNotEqual(first["cells"], self.json("needle", *SMALL, "--seed", "2")["cells"])

    def test_own_tensors(self):
        # Two keys of equal logit, values 1 and 3: attention returns their mean, 2, on any machine.
        # 1, 2 and 3 are exact in E4M3 and BF16.
        q, k = [1.0] * 64, [0.5] * 128
        v = [1.0] * 64 + [3.0] * 64
        safetensors(self.path("x.safetensors"),
                    {"q": ([1, 1, 64], q), "k": ([2, 1, 64], k), "v": ([2, 1, 64], v)})
        heads = self.json("needle", "--qkv", "x.safetensors")["heads"]
        self.assertEqual([h["variant"] for h in heads], ["exact on E4M3", *VARIANTS[1:]])
        for head in heads:
            self.assertEqual(head["relative_error"], 0, head)
            self.assertEqual(head["gain"], 1, head)
        npy(self.path("x.npy"), [3, 2, 64], q * 2 + k + v)
        heads = self.json("needle", "--qkv", "x.npy", "--scale", "amax")["heads"]
        self.assertEqual(len(heads), 7)
        self.assertIn("causal", self.good("needle", "--qkv", "x.npy", "--rows", "2"))

    def test_refuses(self):
        safetensors(self.path("no_v.safetensors"),
                    {"q": ([1, 64], [1] * 64), "k": ([1, 64], [1] * 64)})
        safetensors(self.path("odd.safetensors"),
                    {"q": ([1, 64], [1] * 64), "k": ([2, 32], [1] * 64), "v": ([1, 64], [1] * 64)})
        safetensors(self.path("nan.safetensors"),
                    {"q": ([1, 64], [1] * 64), "k": ([1, 64], [1] * 63 + [float("nan")]),
                     "v": ([1, 64], [1] * 64)})
        npy(self.path("two.npy"), [2, 1, 64], [1] * 128)
        npy(self.path("empty.npy"), [3, 0, 64], [])
        for args, says in [
                (["--context", "5x"], "5x"), (["--context", "128k..1k"], "low to high"),
                (["--context", "512"], "512"), (["--context", "2M"], "1048576"),
                (["--trials", "7"], "7"), (["--weight", "2"], "2.0"), (["--mean", "nan"], "nan"),
                (["--head-dim", "300"], "300"), (["--seed", "x"], "x"),
                (["--qkv", "nowhere.npy"], "nowhere.npy"), (["--qkv", "two.npy"], "[2, 1, 64]"),
                (["--qkv", "empty.npy"], "empty"), (["--qkv", "no_v.safetensors"], "'v'"),
                (["--qkv", "nan.safetensors"], "nan at element 63"),
                (["--qkv", "odd.safetensors"], "32"),
                (["--qkv", "no_v.safetensors", "--scale", "max"], "amax")]:
            self.bad("needle", *args, says=[says])


if __name__ == "__main__":
    unittest.main()
