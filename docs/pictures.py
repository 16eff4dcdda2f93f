#!/usr/bin/env python3
"""Draws the pictures of README with lostbits.plot: docs/pictures.py [FOLDER].

sum-being-cut.svg   one fused sum on a Hopper Tensor Core, bit by bit
keys-cut.svg        128k keys through one accumulator: which leave no trace

The same matplotlib writes the same bytes; tests/python/test_plot.py compares.
"""

import pathlib
import sys

import numpy as np

import lostbits
from lostbits import plot

HOPPER, BLACKWELL = "hopper:wgmma:e4m3:f32", "blackwell:tcgen05:e4m3:f32"
TILE = 192 // 32  # instructions in a tile of 192 keys, FlashAttention-3's at head_dim 128


def sum_being_cut():
    return plot.bit_strip(lostbits.explain(machine=HOPPER))


def keys_cut():
    """Softmax weights of N(0, 1) logits, values N(1, 0.5): one channel of P V as one long sum."""
    rng = np.random.default_rng(6)
    p = lostbits.encode(np.exp(rng.standard_normal(2**17)).astype(np.float32), "e4m3")
    v = lostbits.encode((1 + 0.5 * rng.standard_normal(2**17)).astype(np.float32), "e4m3")
    follow = lambda machine, promote=0: lostbits.explain(p, v, machine=machine, promote=promote)
    return plot.keys_cut({
        "Hopper, one-level": follow(HOPPER),
        "two-level, every 64 tiles": follow(HOPPER, 64 * TILE),
        "two-level, every 4 tiles": follow(HOPPER, 4 * TILE),
        "two-level, every tile": follow(HOPPER, TILE),
        "Blackwell": follow(BLACKWELL),
    })


PICTURES = {"sum-being-cut.svg": sum_being_cut, "keys-cut.svg": keys_cut}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    for name, draw in PICTURES.items():
        plot.save(draw(), folder / name)
        print(folder / name)


if __name__ == "__main__":
    main()
