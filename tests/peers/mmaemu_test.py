"""`lostbits dot` against mmaemu 0.1.0 on generated FP8 inputs, for every preset it has.

usage: mmaemu_test.py LOSTBITS [--cases N] [--seed N] [--only PATTERN]

A difference that differences.json does not list is a failure, and so is a listed one that no longer
occurs. Without mmaemu the test is skipped, with the reason.
"""
import os
import sys
import warnings

import optional

optional.need("mmaemu", "0.1.0")

import peers  # noqa: E402

OPTIONS = peers.arguments(__doc__.splitlines()[0])
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmaemu import model  # noqa: E402

from cases import FORMATS, Unit, generate  # noqa: E402

torch.set_num_threads(1)

# Our machines of each preset. mmaemu's words for its scope: "Ada FP8 mma.sync"; "cuBLAS FP8 GEMMs
# (sm_90)", which are wgmma; "B200 mma.sync". Hopper's mma.sync is emulated as B200's is.
MACHINES = {"ada": ("ada:mma.sync",), "hopper": ("hopper:wgmma",),
            "b200_mma_sync": ("blackwell:mma.sync", "hopper:mma.sync")}
DTYPES = {"e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}
K = 64  # two instructions of 32: chaining counts


def main():
    warnings.simplefilter("ignore")  # that a preset is experimental: the table says so
    comparison = peers.Comparison("mmaemu", OPTIONS)
    missing = set(model.list_presets()) ^ set(MACHINES)
    if missing:
        comparison.failures.append(f"presets without a machine of ours, or gone: {sorted(missing)}")
    for preset, machines in MACHINES.items():
        for machine in machines:
            for a in DTYPES:
                for b in DTYPES:
                    name = f"{machine}:{a if a == b else a + '.' + b}:f32"
                    if comparison.wanted(name):
                        compare(comparison, name, preset, a, b)
    return comparison.finish()


def compare(comparison, name, preset, a, b):
    unit = Unit(K, FORMATS[a], FORMATS[b], FORMATS["f32"])
    batch = generate(peers.seeded(OPTIONS.seed, name), unit, OPTIONS.cases)
    operands = [torch.from_numpy(codes.astype(np.uint8)).view(DTYPES[f])
                for codes, f in ((batch.a, a), (batch.b, b))]
    c = torch.from_numpy(batch.c.astype(np.int32)).view(torch.float32)
    theirs = model.dot(*operands, c, preset=preset).numpy().view(np.uint32).astype(np.uint64)
    comparison.add(name, name, unit.acc, batch, theirs)


if __name__ == "__main__":
    sys.exit(main())
