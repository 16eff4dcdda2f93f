#!/usr/bin/env python3
"""Attention that this machine offers besides ours, at the sizes of `lostbits-gpu bench`: PyTorch's
scaled_dot_product_attention in BF16, and FlashAttention-3 in BF16 and FP8 where it is installed.
Medians with CUDA events. Prints what it could not find and ends with 0: it is a peer, not a test.
"""
import sys

try:
    import torch
except ImportError:
    print("SKIPPED: no PyTorch")
    sys.exit(0)
if not torch.cuda.is_available():
    print("SKIPPED: PyTorch sees no GPU")
    sys.exit(0)
try:
    from flash_attn_interface import flash_attn_func
except ImportError:
    flash_attn_func = None
    print("no flash_attn_interface (FlashAttention-3)")

# queries, keys, query heads, KV heads, head_dim, causal: src/gpu/bench.cc.
SIZES = [(16384, 16384, 16, 16, 64, True), (16384, 16384, 16, 16, 128, True),
         (16384, 16384, 16, 16, 128, False), (16384, 16384, 16, 16, 256, True),
         (1, 131072, 32, 8, 128, False)]


def median_seconds(launch, runs=20):
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


def report(what, size, launch):
    queries, keys, heads, _, dim, causal = size
    try:
        seconds = median_seconds(launch)
    except Exception as error:  # whatever a library of another version refuses
        print(f"{what:<24} {queries}x{keys} d {dim}: {str(error).splitlines()[0]}")
        return
    work = 4 * queries * keys * heads * dim / (2 if causal else 1)
    print(f"{what:<24} {queries}x{keys} d {dim}{' causal' if causal else ''}: "
          f"{seconds * 1e6:.1f} us, {work / seconds * 1e-15:.3f} PFLOP/s")


for size in SIZES:
    queries, keys, heads, kv_heads, dim, causal = size
    q, k, v = (torch.randn(1, n, h, dim, device="cuda", dtype=torch.bfloat16)
               for n, h in ((queries, heads), (keys, kv_heads), (keys, kv_heads)))
    rows = [x.transpose(1, 2) for x in (q, k, v)]
    report("PyTorch SDPA bf16", size, lambda: torch.nn.functional.scaled_dot_product_attention(
        *rows, is_causal=causal, enable_gqa=heads != kv_heads))
    if flash_attn_func is not None:
        report("FlashAttention-3 bf16", size, lambda: flash_attn_func(q, k, v, causal=causal))
        q8, k8, v8 = (x.to(torch.float8_e4m3fn) for x in (q, k, v))
        report("FlashAttention-3 e4m3", size, lambda: flash_attn_func(q8, k8, v8, causal=causal))
