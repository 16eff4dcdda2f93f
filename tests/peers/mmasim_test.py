"""`lostbits dot` against mmasim 2.1.1 on generated inputs, for every instruction both model.

usage: mmasim_test.py LOSTBITS [--cases N] [--seed N] [--only PATTERN]

A difference that differences.json does not list is a failure, and so is a listed one that no longer
occurs. Without mmasim the test is skipped, with the reason.
"""
import os
import re
import sys
import textwrap
import types
from dataclasses import dataclass

import optional

optional.need("mmasim", "2.1.1")

import peers  # noqa: E402

OPTIONS = peers.arguments(__doc__.splitlines()[0])

# One core, and a fixed order of work. ninja lies beside the interpreter in a virtual environment.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]

import numpy as np  # noqa: E402
import torch  # noqa: E402

from cases import FORMATS, Unit, generate  # noqa: E402

torch.set_num_threads(1)


def without_fma():
    """mmasim compiles its fma when it is imported. Where that fails, the rest is still there."""
    try:
        import mmasim.arithmetic.fma  # noqa: F401
        return ""
    except Exception as error:  # torch raises RuntimeError, OSError, ImportError, ...
        stub = types.ModuleType("mmasim.arithmetic.fma")
        stub.MMA_FMA = type("MMA_FMA", (), {})
        sys.modules["mmasim.arithmetic.fma"] = stub
        return textwrap.shorten(str(error), 100)


NO_FMA = without_fma()

from mmasim import amd, nv_ptx  # noqa: E402
from mmasim.amd import isa_mfma  # noqa: E402
from mmasim.nv_ptx import isa_mma, isa_tcgen05mma, isa_wgmma  # noqa: E402

ARCH = {"Volta": "volta", "Turing": "turing", "Ampere": "ampere", "Ada Lovelace": "ada",
        "Hopper": "hopper", "Blackwell": "blackwell", "RTX Blackwell": "rtx_blackwell",
        "CDNA1": "cdna1", "CDNA2": "cdna2", "CDNA3": "cdna3"}


@dataclass
class Instruction:
    machine: str   # our row, and "@k="
    spelling: str  # mmasim's, which lostbits is asked with
    model: object  # makes mmasim's operation
    k: int
    a: str
    b: str
    acc: str
    scale: str = ""
    block: int = 0


def joined(a, b):
    return a if a == b else f"{a}.{b}"


def from_ptx(make, arch, text, instruction):
    """`text` is mmasim's short form, 'm16n8k32.kind::mxf8f6f4.block32.f32.e4m3.e5m2.f32.ue8m0'."""
    parts = text.split(".")
    k = int(re.fullmatch(r"m\d+n\d+k(\d+)", parts[0]).group(1))
    kind = next((p.removeprefix("kind::") for p in parts if p.startswith("kind::")), "")
    block = next((int(p.removeprefix("block")) for p in parts if p.startswith("block")), 0)
    types_ = [p for p in parts[1:] if p in FORMATS]
    d, a, b = types_[:3]
    scale = types_[-1] if block else ""
    if block:
        instruction += "." + kind
    suffix = f"+{scale}/{block}" if block else ""
    machine = f"{ARCH[arch]}:{instruction}:{joined(a, b)}{suffix}:{d}@k={k}"
    return Instruction(machine, f"{ARCH[arch]}:{text}", lambda: make(arch, text), k, a, b, d, scale,
                       block)


def from_mfma(arch, suffix):
    """'f32_16x16x32_fp8_bf8', 'f32_32x32x8bf16_1k', 'f32_4x4x4_16b_f16'."""
    d, shape, types_ = re.fullmatch(r"(f\d+)_(\d+x\d+x\d+)(?:_\d+b)?_?(.+)", suffix).groups()
    k = int(shape.split("x")[2])
    named = types_.removesuffix("_1k").split("_")
    ours = [{"fp8": "e4m3fnuz", "bf8": "e5m2fnuz", "xf32": "tf32"}.get(t, t) for t in named]
    a, b = ours[0], ours[-1]
    instruction = "mfma_1k" if types_.endswith("_1k") else "mfma"
    machine = f"{ARCH[arch]}:{instruction}:{joined(a, b)}:{d}@k={k}"
    return Instruction(machine, f"{ARCH[arch]}:{suffix}", lambda: amd.MFMA(arch, suffix), k, a, b,
                       d)


def smallest_mn(texts):
    """One of each kind: m and n do not enter the arithmetic."""
    chosen = {}
    for text in texts:
        chosen.setdefault(re.sub(r"^m\d+n\d+", "", text), text)
    return list(chosen.values())


def all_instructions():
    for arch, texts in isa_mma.mma_shape_and_type.items():
        for text in texts:
            old = arch == "Turing" and text.startswith("m8n8k4")
            yield from_ptx(nv_ptx.MMA, arch, text, "mma.sync.m8n8k4" if old else "mma.sync")
    for arch, texts in isa_mma.mma_block_scale_shape_and_type.items():
        for text in texts:
            yield from_ptx(nv_ptx.MMABlockScale, arch, text, "mma.sync")
    for arch, texts in isa_wgmma.wgmma_shape_and_type.items():
        for text in smallest_mn(texts):
            yield from_ptx(nv_ptx.WGMMA, arch, text, "wgmma")
    for arch, texts in isa_tcgen05mma.tcgen05mma_shape_and_type.items():
        for text in smallest_mn(texts):
            yield from_ptx(nv_ptx.TCGen05MMA, arch, text, "tcgen05")
    for arch, texts in isa_tcgen05mma.tcgen05mma_block_scale_shape_and_type.items():
        for text in smallest_mn(texts):
            yield from_ptx(nv_ptx.TCGen05MMABlockScale, arch, text, "tcgen05")
    for arch, suffixes in isa_mfma.arch_mfma_suffix.items():
        for suffix in suffixes:
            yield from_mfma(arch, suffix)


# mmasim has c in FP16 and d in FP32 for these; no row of ours does.
NOT_OURS = {"volta:m8n8k4.f32.f16.f16.f16", "turing:m8n8k4.f32.f16.f16.f16"}

DTYPES = {"f64": torch.float64, "f32": torch.float32, "tf32": torch.float32, "f16": torch.float16,
          "bf16": torch.bfloat16, "e5m2": torch.float8_e5m2, "e4m3": torch.float8_e4m3fn,
          "e5m2fnuz": torch.float8_e5m2fnuz, "e4m3fnuz": torch.float8_e4m3fnuz,
          "ue8m0": torch.float8_e8m0fnu, "ue4m3": torch.float8_e4m3fn}
CONTAINERS = {8: np.uint8, 16: np.int16, 32: np.int32, 64: np.int64}


def tensor(codes, name, packed=False):
    """Codes as mmasim takes them. Without `packed`, FP4 lies in bits 5 to 2 of a byte."""
    if packed:
        codes = codes[..., ::2] << np.uint64(4) | codes[..., 1::2]  # it unpacks the high half first
    elif name == "e2m1":
        codes = codes << np.uint64(2)
    if name not in DTYPES:
        return torch.from_numpy(codes.astype(np.uint8))
    integers = codes.astype(CONTAINERS[FORMATS[name].bits])
    return torch.from_numpy(integers).view(DTYPES[name])


def their_words(instruction, batch):
    packed = instruction.block != 0 and batch.a.shape[1] == 64
    operands = [tensor(batch.a, instruction.a, packed), tensor(batch.b, instruction.b, packed),
                tensor(batch.c, instruction.acc)]
    if instruction.block:
        operands += [tensor(batch.scale_a, instruction.scale),
                     tensor(batch.scale_b, instruction.scale)]
    d = instruction.model().dpa(*operands)
    bits = FORMATS[instruction.acc].bits
    return d.numpy().view(f"uint{bits}").astype(np.uint64)


def main():
    comparison = peers.Comparison("mmasim", OPTIONS)
    skipped = []
    for instruction in all_instructions():
        if instruction.spelling in NOT_OURS or not comparison.wanted(instruction.machine):
            continue
        if NO_FMA and re.search(r":f(32|64):", instruction.machine):
            skipped.append(instruction.spelling)
            continue
        unit = Unit(instruction.k, FORMATS[instruction.a], FORMATS[instruction.b],
                    FORMATS[instruction.acc], FORMATS.get(instruction.scale), instruction.block)
        batch = generate(peers.seeded(OPTIONS.seed, instruction.spelling), unit, OPTIONS.cases)
        comparison.add(instruction.machine, instruction.spelling, unit.acc, batch,
                       their_words(instruction, batch))
    if skipped:
        print(f"mmasim could not build its fma ({NO_FMA}); not compared: {', '.join(skipped)}")
    return comparison.finish()


if __name__ == "__main__":
    sys.exit(main())
