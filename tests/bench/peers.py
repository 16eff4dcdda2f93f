#!/usr/bin/env python3
"""Times others' Python packages at the work `lostbits bench` does, and prints the ratios.

usage: peers.py LOSTBITS [--quick]       with the Python of build/peers: tests/peers/README.md

Bit-exact Hopper FP8 products (mmasim, mmaemu), a float product and conversions to and from E4M3FN
(torch). One thread; each rate is the median of three or more runs, lostbits' own are asked for in
between. A package that is not installed is named and left out.
"""
import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time

# All of torch's and OpenMP's threads: set before they start.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")


def rate(work, call, seconds):
    """Units a second, the median of runs for so many seconds, at least three."""
    call()
    rates, end = [], time.perf_counter() + seconds
    while len(rates) < 3 or time.perf_counter() < end:
        start = time.thread_time()
        call()
        rates.append(work / max(time.thread_time() - start, 1e-9))
    return statistics.median(rates)


def package(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        print(f"SKIPPED: {name} is not installed for {sys.executable} ({error})")
        return None


def ours(program, mode, quick):
    """name -> rate of one mode's cases, by group."""
    command = [program, "bench", mode, "--json", "--threads", "1"] + ["--quick"] * quick
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {g["group"]: {r["name"]: r["rate"] for r in g["results"]} for g in result["groups"]}


def torch_cases(torch, quick):
    """(what, rate, group and case of lostbits to hold it against)."""
    seconds = 0.05 if quick else 1
    m, n, k = (32, 32, 256) if quick else (512, 512, 4096)
    a, b = torch.randn(m, k), torch.randn(k, n)
    yield ("torch.mm in float32", rate(m * n * k, lambda: torch.mm(a, b), seconds),
           "gemm", "hopper:wgmma:e4m3:f32")
    # Calls of 4,096 elements would time Python.
    size = 1 << (14 if quick else 20)
    x = torch.randn(size) * (448 / 6)
    codes, back = x.to(torch.float8_e4m3fn), torch.empty(size)
    yield ("torch copy_ float32 to float8_e4m3fn", rate(size, lambda: codes.copy_(x), seconds),
           "codec_l2", "f32 -> e4m3fn")
    yield ("torch copy_ float8_e4m3fn to float32", rate(size, lambda: back.copy_(codes), seconds),
           "codec_l2", "e4m3fn -> f32")


def mmasim_cases(torch, quick):
    from mmasim import nv_ptx
    sums, k = (256, 32) if quick else (4096, 32)
    model = nv_ptx.WGMMA("Hopper", "m64n8k32.f32.e4m3.e4m3")
    a, b = (torch.randn(sums, k).to(torch.float8_e4m3fn) for _ in range(2))
    c = torch.zeros(sums)
    yield ("mmasim dpa, Hopper FP8", rate(sums * k, lambda: model.dpa(a, b, c),
                                          0.05 if quick else 1),
           "gemm", "hopper:wgmma:e4m3:f32")


def mmaemu_cases(torch, quick):
    from mmaemu.model.chain import chain_gemm
    m, n, k = (16, 16, 64) if quick else (256, 256, 512)
    a, b = (torch.randn(rows, k).to(torch.float8_e4m3fn).view(torch.uint8) for rows in (m, n))
    yield ("mmaemu chain_gemm, Hopper FP8",
           rate(m * n * k, lambda: chain_gemm(a, b, fmt_a="e4m3", fmt_b="e4m3", preset="hopper"),
                0.05 if quick else 1),
           "gemm", "hopper:wgmma:e4m3:f32")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program", help="the lostbits program")
    parser.add_argument("--quick", action="store_true", help="small sizes: a test, no measurement")
    options = parser.parse_args()
    torch = package("torch")
    if torch is None:
        return 0
    torch.set_num_threads(1)
    measured = list(torch_cases(torch, options.quick))
    for name, cases in (("mmasim", mmasim_cases), ("mmaemu", mmaemu_cases)):
        if package(name) is not None:
            measured += cases(torch, options.quick)
    program = os.path.abspath(options.program)
    rates = ours(program, "gemm", options.quick) | ours(program, "codec", options.quick)
    print("| what | its rate | lostbits | ratio | lostbits' case |\n|---|---:|---:|---:|---|")
    for what, theirs, group, case in measured:
        own = rates[group][case]
        print(f"| {what} | {theirs:.3g}/s | {own:.3g}/s | {own / theirs:.3g} | {case} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
