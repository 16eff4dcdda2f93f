"""Sums and products as a matrix unit computes them."""

from __future__ import annotations

import json
from typing import Any

from ._arrays import giver, spelling, take, take_optional, take_scales
from ._core import core


def machines(name: str = "") -> list[dict[str, Any]]:
    """The matrix units, each with what decides its bits and with its evidence.

    name      all of "arch:instruction:in:out" or a part ("h100", "hopper:wgmma"), a PTX, SASS,
              CUTLASS or AMD instruction; "": the whole table. "@setting=value" alters a row.

    Returns the list under "machines" of `lostbits machines NAME --json`; a machine that is found
    alone also has its sources and a worked example. Raises ValueError with the nearest names.
    Source: sim/arch_table.h, whose rows name theirs.
    """
    rows: list[dict[str, Any]] = json.loads(core.machines(name))
    return rows


def dot(
    a: Any,
    b: Any,
    c: Any = None,
    *,
    machine: str,
    scale_a: Any = None,
    scale_b: Any = None,
    allow_unverified: bool = False,
    threads: int = 0,
) -> Any:
    """Dot products c + a[0] b[0] + a[1] b[1] + ... as a machine computes them: a chain of
    instructions over increasing k, the last one zero-padded.

    a, b      [..., k], of one shape. Codes of the machine's formats are taken as they are; values
              are encoded first, to nearest even, saturating
    c         one number or [...], in the accumulator's format; None: +0
    machine   see `machines`
    scale_a, scale_b   of machines with block scales: [..., ceil(k / block)]
    allow_unverified   computes with rows whose evidence is only assumed
    threads   0: all. Never changes a bit.

    Returns [...] in the accumulator's format and a's library. NaN, Inf, overflow and the sign of
    zero are the machine's. Raises ValueError on shapes that do not fit, naming both, and
    NoEvidenceError (a ValueError) on an assumed row. Source: sim/accum.h.
    """
    out = core.dot(
        take(a, "a"),
        take(b, "b"),
        take_optional(c, "c"),
        machine,
        take_optional(scale_a, "scale_a"),
        take_optional(scale_b, "scale_b"),
        allow_unverified,
        threads,
    )
    return giver(a)(out)


def mma(
    a: Any,
    b: Any,
    c: Any = None,
    *,
    machine: str,
    scale_a: Any = None,
    scale_b: Any = None,
    allow_unverified: bool = False,
    threads: int = 0,
) -> Any:
    """D = A B + C by the matrix unit alone: every output is one chain of instructions over
    increasing k, as `dot` has it. What a kernel does around it is `gemm`'s.

    a, b      [m, k] and [k, n]; codes, or values that are encoded first (see `dot`)
    c         [m, n] in the accumulator's format; None: +0
    scale_a, scale_b   of machines with block scales: [m, ceil(k / block)], [ceil(k / block), n]

    Returns [m, n] in the accumulator's format and a's library. Errors as `dot`. Machines with block
    scales or FP64 run the integers, some 10 ns a product; the others run lanes. Source: sim/gemm.h.
    """
    out = core.mma(
        take(a, "a"),
        take(b, "b"),
        take_optional(c, "c"),
        machine,
        take_optional(scale_a, "scale_a"),
        take_optional(scale_b, "scale_b"),
        allow_unverified,
        threads,
    )
    return giver(a)(out)


def gemm(
    a: Any,
    b: Any,
    c: Any = None,
    *,
    machine: str,
    promote: int = 0,
    split_k: int = 1,
    split_tile: int = 0,
    partial: str = "float32",
    scale_a: Any = None,
    scale_b: Any = None,
    output_format: Any = "",
    b_transposed: bool = False,
    allow_unverified: bool = False,
    threads: int = 0,
) -> Any:
    """D = A B + C as a kernel computes it: a matrix unit, and the schedule around it.

    a         [m, k]; b: [k, n], or [n, k] with b_transposed. Codes of the machine's formats are
              taken as they are; values are divided by a scale of their tensor, if there is one, and
              encoded to nearest even, saturating
    c         [m, n] in the accumulator's format, not with split_k > 1 nor scales of a tensor
    promote   instructions between flushes to an FP32 sum; 0: never. 4 with e4m3 is CUTLASS's and
              DeepGEMM's 128 k
    split_k   contiguous ranges of k, summed in ascending order, each stored in `partial` (float32
              or bfloat16), each of whole tiles of split_tile instructions; 0: of an interval of
              `promote`, or of one. 4 with e4m3 is cuBLASLt's 128 k on Hopper
    scale_a   one number, or [m, ceil(k / 128)]; scale_b: one number, or [ceil(k / 128),
              ceil(n / 128)]: what the products are multiplied by, float32, finite and > 0
    output_format   float32, bfloat16 or float16; "": the accumulator's
    allow_unverified   computes with rows whose evidence is only assumed
    threads   0: all. Never changes a bit.

    Returns [m, n] in output_format and a's library. FP32 steps round to nearest even and keep
    subnormals; a NaN output is 0x7FFFFFFF (0x7FFF in 16 bits); beyond the output's range is Inf.
    Raises ValueError on shapes that do not fit, naming both, and on recipes no kernel defines.
    Source: sim/gemm_recipe.h, step by step.
    """
    out = core.gemm(
        take(a, "a"),
        take(b, "b"),
        take_optional(c, "c"),
        machine,
        promote,
        split_k,
        split_tile,
        partial,
        take_scales(scale_a, "scale_a"),
        take_scales(scale_b, "scale_b"),
        spelling(output_format),
        b_transposed,
        allow_unverified,
        threads,
    )
    return giver(a)(out)


def exact_gemm(
    a: Any,
    b: Any,
    *,
    a_format: str = "",
    b_format: str = "",
    b_transposed: bool = False,
    threads: int = 0,
) -> Any:
    """A B in exact arithmetic: every product and every sum exact, each output rounded once.

    a         [m, k]; b: [k, n], or [n, k] with b_transposed: any type up to float32. Nothing is
              encoded: codes count as the numbers they stand for
    a_format, b_format   of unsigned integers that hold codes
    threads   0: all. Never changes a bit.

    Returns [m, n] float64 in a's library, to nearest even. NaN and Inf follow IEEE 754 whatever the
    order; an exact zero is +0. Raises ValueError on shapes that do not fit, naming both, and on
    float64. Cost: about 1 ns a product and thread where exponents span little. Source: sim/exact.h.
    """
    out = core.exact_gemm(
        take(a, "a", a_format), take(b, "b", b_format), b_transposed, threads
    )
    return giver(a)(out)
