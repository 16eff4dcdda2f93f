#!/usr/bin/env python3
"""Attention that this machine offers besides ours, at the sizes of `lostbits-gpu bench`: PyTorch's
scaled_dot_product_attention in BF16, and FlashAttention-3 in BF16 and FP8 where it is installed.
Medians with CUDA events. Prints what it could not find and ends with 0: it is a peer, not a test.

usage: gpu_peer.py [--ours FILE]   FILE: what `lostbits-gpu bench` printed; adds the ratios
"""
import argparse
import pathlib
import re

# queries, keys, query heads, KV heads, head_dim, causal: src/gpu/bench.cc.
SIZES = [(16384, 16384, 16, 16, 64, True), (16384, 16384, 16, 16, 128, True),
         (16384, 16384, 16, 16, 128, False), (16384, 16384, 16, 16, 256, True),
         (1, 131072, 32, 8, 128, False)]


def name_of(size):
    """As `lostbits-gpu bench` names it, behind the kernel."""
    queries, keys, _, _, dim, causal = size
    return f"{queries}x{keys} d {dim}{' causal' if causal else ''}"


def read_ours(text):
    """{("approx", "1x131072 d 128"): TFLOP/s} of the attention lines of a bench."""
    line = re.compile(r"^attention (\w+) (\d+x\d+ d \d+(?: causal)?) +[\d.]+ us +([\d.]+) TFLOP/s",
                      re.MULTILINE)
    return {(exp2, size): float(rate) for exp2, size, rate in line.findall(text)}


def ratios(ours, peers):
    """Lines: each of ours beside the fastest peer of its size. peers: {size: {what: TFLOP/s}}."""
    lines = []
    for (exp2, size), rate in ours.items():
        if rate > 0 and peers.get(size):
            what, best = max(peers[size].items(), key=lambda peer: peer[1])
            lines.append(f"attention {exp2} {size}: {rate / best:.2f} x {what}")
    return lines


def median_seconds(torch, launch, runs=20):
    for _ in range(2):
        launch()
    times = []
    for _ in range(runs):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        launch()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e-3)
    return sorted(times)[runs // 2]


def launches(torch, flash_attn_func, size):
    """(name, function) of every peer at this size."""
    queries, keys, heads, kv_heads, dim, causal = size
    q, k, v = (torch.randn(1, n, h, dim, device="cuda", dtype=torch.bfloat16)
               for n, h in ((queries, heads), (keys, kv_heads), (keys, kv_heads)))
    rows = [x.transpose(1, 2) for x in (q, k, v)]
    yield "PyTorch SDPA bf16", lambda: torch.nn.functional.scaled_dot_product_attention(
        *rows, is_causal=causal, enable_gqa=heads != kv_heads)
    if flash_attn_func is not None:
        yield "FlashAttention-3 bf16", lambda: flash_attn_func(q, k, v, causal=causal)
        q8, k8, v8 = (x.to(torch.float8_e4m3fn) for x in (q, k, v))
        yield "FlashAttention-3 e4m3", lambda: flash_attn_func(q8, k8, v8, causal=causal)


def reason(error):
    """One line; errors of libraries may have no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", type=pathlib.Path)
    args = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("SKIPPED: no PyTorch")
        return
    if not torch.cuda.is_available():
        print("SKIPPED: PyTorch sees no GPU")
        return
    try:
        from flash_attn_interface import flash_attn_func
    except ImportError:
        flash_attn_func = None
        print("no flash_attn_interface (FlashAttention-3)")
    peers = {}
    for size in SIZES:
        queries, keys, heads, _, dim, causal = size
        for what, launch in launches(torch, flash_attn_func, size):
            try:
                seconds = median_seconds(torch, launch)
            except Exception as error:  # whatever a library of another version refuses
                print(f"{what:<24} {name_of(size)}: {reason(error)}")
                continue
            rate = 4 * queries * keys * heads * dim / (2 if causal else 1) / seconds * 1e-12
            peers.setdefault(name_of(size), {})[what] = rate
            print(f"{what:<24} {name_of(size)}: {seconds * 1e6:.1f} us, {rate:.1f} TFLOP/s")
    if args.ours is not None and args.ours.exists():
        print("\n".join(ratios(read_ours(args.ours.read_text(encoding="utf-8")), peers)))


if __name__ == "__main__":
    main()
