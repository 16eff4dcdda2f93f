#!/usr/bin/env python3
"""What nvcc and ptxas make of the kernels: their instructions are there, nothing is contracted, few
registers spill, and no wgmma waits for the one before it against the kernel's will.

usage: kernel_ptx_test.py NVCC SOURCE_DIR
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

NVCC, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
PIPELINE = ["mbarrier.init", "mbarrier.arrive.expect_tx", "mbarrier.try_wait.parity",
            "fence.mbarrier_init", "setmaxnreg.inc.sync.aligned.u32", "setmaxnreg.dec.sync",
            "cp.async.bulk.tensor.2d", "wgmma.fence.sync.aligned", "wgmma.commit_group"]


def wgmma(n):
    return f"wgmma.mma_async.sync.aligned.m64n{n}k32.f32.e4m3.e4m3"


# file, architecture, what its PTX must hold, SASS likewise, bytes a kernel may spill.
# A spill in the loop costs some per cent; 256 columns of O (head_dim 256) take every register.
KERNELS = [
    ("gemm_v2_mma.cu", "sm_89", ["mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32",
                                 "mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32",
                                 "cp.async.cg.shared.global"], ["QMMA.16832"], 0),
    ("gemm_v3_wgmma.cu", "sm_90a", PIPELINE + [wgmma(256), wgmma(128), "cvt.rn.bf16x2.f32"],
     ["QGMMA.64x256x32", "QGMMA.64x128x32", "UTMALDG"], 0),
    ("attention_v2_wgmma.cu", "sm_90a",
     PIPELINE + [wgmma(128), wgmma(64), "cp.async.bulk.tensor.4d", "ex2.approx.ftz.f32",
                 "cvt.rn.satfinite.e4m3x2.f32", "shfl.sync.bfly"],
     ["QGMMA.64x128x32", "QGMMA.64x64x32", "UTMALDG", "MUFU.EX2"], 64),
    ("codec.cu", "sm_90a", ["cvt.rn.satfinite.e4m3x2.f32", "cvt.rn.f16x2.e5m2x2", "ld.global.v4",
                            "st.global.v4"], ["LDG.E.128", "STG.E.128"], 0),
]
# Compiled for another GPU a kernel is empty, and says so: it traps.
ELSEWHERE = [("gemm_v3_wgmma.cu", "sm_89"), ("attention_v2_wgmma.cu", "sm_100a"),
             ("gemm_v2_mma.cu", "sm_80")]
# Of these files: what has no instruction of one GPU only.
ANYWHERE = "TransposeValues"
# Contraction by the compiler: fma where the source has none. The kernels below have their own.
OWN_FMA = {"gemm_v2_mma.cu", "gemm_v3_wgmma.cu", "attention_v2_wgmma.cu"}


def compile_to(name, arch, out, *more):
    run = subprocess.run([NVCC, "-std=c++20", f"-arch={arch}", "-O3", "-fmad=false", "-I", SOURCE,
                          SOURCE / "cuda" / name, "-o", out, *more],
                         capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{name} for {arch}: {run.stderr}")
    return run.stdout + run.stderr


def main():
    wrong = []
    cuobjdump = shutil.which("cuobjdump") or shutil.which("cuobjdump", path=str(
        pathlib.Path(NVCC).resolve().parent))
    with tempfile.TemporaryDirectory() as folder:
        for name, arch, in_ptx, in_sass, spill in KERNELS:
            text_file, object_file = f"{folder}/x.ptx", f"{folder}/x.cubin"
            compile_to(name, arch, text_file, "-ptx")
            text = pathlib.Path(text_file).read_text(encoding="utf-8")
            wrong += [f"{name}: no {w} in the PTX" for w in in_ptx if w not in text]
            if name not in OWN_FMA and "fma.rn.f32" in text:
                wrong.append(f"{name}: the compiler contracts")
            report = compile_to(name, arch, object_file, "-cubin", "-Xptxas", "-v")
            if "Performance Loss" in report:
                wrong.append(f"{name}: ptxas serialises wgmma: {report}")
            entries = re.findall(r"Compiling entry function '(\S+)'|(\d+) bytes spill stores",
                                 report)
            kernel, worst = "", 0
            for entry, stores in entries:
                kernel = entry or kernel
                if stores and int(stores) > spill:
                    wrong.append(f"{name}: {kernel} spills {stores} bytes, expected at most "
                                 f"{spill}")
                worst = max(worst, int(stores or 0))
            print(f"{name} for {arch}: at most {worst} bytes spilled")
            if cuobjdump:
                sass = subprocess.run([cuobjdump, "-sass", object_file], check=True,
                                      capture_output=True, text=True).stdout
                wrong += [f"{name}: no {w} in the SASS" for w in in_sass if w not in sass]
        for name, arch in ELSEWHERE:
            compile_to(name, arch, f"{folder}/x.ptx", "-ptx")
            text = pathlib.Path(f"{folder}/x.ptx").read_text(encoding="utf-8")
            kernels = [k for k in text.split(".entry ")[1:] if ANYWHERE not in k.split("(")[0]]
            wrong += [f"{name} for {arch}: {k.split('(')[0]} does not trap" for k in kernels
                      if "trap;" not in k]
            print(f"{name} for {arch}: {len(kernels)} kernels trap")
    if not cuobjdump:
        print("SKIPPED in part: no cuobjdump, SASS not looked at")
    print("\n".join(wrong) or "every kernel has its instructions")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
