#!/usr/bin/env python3
"""The PTX of cuda/*.cu holds every instruction that lostbits-gpu runs, and contracts nothing.

usage: ptx_test.py NVCC SOURCE_DIR LOSTBITS_GPU
"""
import json
import pathlib
import subprocess
import sys
import tempfile

NVCC, SOURCE, PROGRAM = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]

# Of one architecture only: (file, architecture, what its PTX must hold).
OTHERS = [
    ("scalar.cu", "sm_90a", ["ex2.approx.ftz.f32", "cvt.rn.satfinite.e4m3x2.f32",
                             "cvt.rn.satfinite.e5m2x2.f32"]),
    ("ptx_check.cu", "sm_90a", ["cvt.rn.f16x2.e4m3x2", "cvt.rn.f16x2.e5m2x2",
                                "cp.async.bulk.tensor.2d", "mbarrier.try_wait.parity",
                                "mbarrier.arrive.expect_tx"]),
    ("ptx_check.cu", "sm_100a", ["tcgen05.alloc", "tcgen05.mma.cta_group::1.kind::f8f6f4",
                                 "tcgen05.commit", "tcgen05.ld", "tcgen05.dealloc"]),
    ("tiles_wgmma.cu", "sm_90a", ["wgmma.fence.sync.aligned", "wgmma.commit_group.sync.aligned",
                                  "wgmma.wait_group.sync.aligned", "fence.proxy.async"]),
    # FP8 mma.sync is there as such: what becomes of it on sm_90 is ptxas's business.
    ("tiles_mma.cu", "sm_90a", []),
    ("tiles_wmma.cu", "sm_90a", []),
]


def ptx(name, arch, folder):
    out = pathlib.Path(folder) / f"{name}.{arch}.ptx"
    subprocess.run([NVCC, "-std=c++20", f"-arch={arch}", "-fmad=false", "-ptx", "-I", SOURCE,
                    SOURCE / "cuda" / name, "-o", out], check=True)
    return out.read_text(encoding="utf-8")


def main():
    missing = []
    with tempfile.TemporaryDirectory() as folder:
        hopper = ""
        for name, arch, wanted in OTHERS:
            text = ptx(name, arch, folder)
            missing += [f"{name} for {arch}: no {w}" for w in wanted if w not in text]
            if arch == "sm_90a":
                hopper += text
        device = subprocess.run([PROGRAM, "device", "--simulate", "hopper", "--json"], check=True,
                                text=True, stdout=subprocess.PIPE).stdout
        units = [u["instruction"] for u in json.loads(device)["units"]]
        missing += [f"no {u}" for u in units if u + " " not in hopper and u + "\n" not in hopper]
        for sign_a in ("1", "-1"):
            for sign_b in ("1", "-1"):
                if f"p, {sign_a}, {sign_b}" not in hopper:
                    missing.append(f"no wgmma with imm-scale {sign_a}, {sign_b}")
        twin = ptx("twin.cu", "sm_90a", folder)
        missing += [f"the twin contracts: {x}" for x in ("fma.rn.f64", "fma.rn.f32") if x in twin]
    print("\n".join(missing) or f"{len(units)} instructions of Hopper stand in the PTX")
    return 1 if missing or len(units) < 30 else 0


if __name__ == "__main__":
    sys.exit(main())
