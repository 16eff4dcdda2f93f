"""Where the bits went, how far results lie apart, who differs, and whether a needle is found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ._arrays import Words, spelling, take, take_optional
from ._core import core


class Report(dict[str, Any]):
    """What a command of the program says: as a dict what its --json prints but for
    "schema_version" and "command" (numbers that are not finite as "nan", "inf", "-inf"), as a str
    what it prints for people."""

    def __init__(self, json_and_text: tuple[str, str]):
        super().__init__(json.loads(json_and_text[0]))
        self._text = json_and_text[1]

    def __str__(self) -> str:
        return self._text

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # of a notebook's last line
        printer.text(self._text)


def explain(
    a: Any = None,
    b: Any = None,
    c: Any = None,
    *,
    machine: str,
    scale_a: Any = None,
    scale_b: Any = None,
    promote: int = 0,
    step: int | str = "",
    width: int = 100,
    allow_unverified: bool = False,
) -> Report:
    """Where the bits of one dot product went, term by term: exponent, shift, bits dropped, sum,
    rounding. print() it.

    a, b      [k]: codes, or values that are encoded first (see `dot`); or a alone: a line of hex
              "a codes ; b codes ; c word". Neither: the machine's worked example
    c         one number in the accumulator's format; None: +0
    scale_a, scale_b   [ceil(k / block)], of machines with block scales
    promote   instructions between flushes to an FP32 sum; 0: never
    step      of a long chain, the instruction to show in full: 1, 2, ... or "worst"
    width     columns of the text

    Returns a Report. For finite results exact - returned = lost_to_alignment + lost_to_rounding +
    lost_to_promotion, exactly. Raises ValueError as `dot`. Source: sim/trace.h.
    """
    line = a if isinstance(a, str) else ""
    if line and b is not None:
        raise ValueError("b: expected None beside a line of hex, which holds a, b and c")
    if not line and (a is None) != (b is None):
        raise ValueError("expected both a and b, a line of hex, or neither; found one of them")
    return Report(
        core.explain(
            line.replace("\n", " "),
            None if line else _vector(a, "a"),
            _vector(b, "b"),
            take_optional(c, "c"),
            machine,
            _vector(scale_a, "scale_a"),
            _vector(scale_b, "scale_b"),
            promote,
            str(step),
            width,
            allow_unverified,
        )
    )


def _vector(x: Any, name: str) -> Words | None:
    taken = take_optional(x, name)
    if taken is not None and taken[0].ndim != 1:
        raise ValueError(f"{name}: expected one axis, found shape {list(taken[0].shape)}")
    return taken


def measure_error(out: Any, reference: Any, *, ulp_format: Any = "") -> Report:
    """How far results lie from a reference, element by element. print() it.

    out, reference   of one shape; floats of any type. With e = out - reference, over the elements
              where both are finite:
    ulp_format   whose distance between neighbours is an ulp; "": that of out

    Returns a Report: "max_absolute", "max_relative" and "max_ulp" with their places; "sqnr_db", 10
    log10 of sum reference^2 / sum e^2; "bias", (mean e) / (mean |reference|); "gain", <out,
    reference> / <reference, reference>, 1 where nothing shrinks; how many are "unequal"; how many
    NaN and Inf do not match. Raises ValueError on two shapes, naming both. Source: sim/error.h.
    """
    return Report(
        core.measure_error(take(out, "out"), take(reference, "reference"), spelling(ulp_format))
    )


def compare(
    machine_a: str,
    machine_b: str,
    *,
    a: Any = None,
    b: Any = None,
    promote_a: int = 0,
    promote_b: int = 0,
    split_k_a: int = 1,
    split_k_b: int = 1,
    data: str = "normal",
    m: int = 32,
    n: int = 32,
    k: int = 4096,
    seed: int = 0,
    width: int = 100,
    allow_unverified: bool = False,
    threads: int = 0,
) -> Report:
    """The same inputs through two machines, recipes or attention presets, and why they part.

    machine_a, machine_b   matrix units (see `machines`), or attention presets, then with settings
              behind: "fa3.sm90.e4m3@decode,splits=4"
    a, b      [m, k] and [k, n] values of a typed array, encoded for both sides; None: drawn
    promote_a, ..., split_k_b   each side's recipe (see `gemm`)
    data      "normal", or "wide": normal times 2^-6 .. 2^6; m, n, k, seed: of what is drawn

    Returns a Report: how many outputs differ, by how many ulp, and for each feature in which the
    two differ what moving it alone does. Raises ValueError as `gemm`. Source: sim/compare.h.
    """
    return Report(
        core.compare(
            machine_a,
            machine_b,
            take_optional(a, "a"),
            take_optional(b, "b"),
            promote_a,
            promote_b,
            split_k_a,
            split_k_b,
            data,
            m,
            n,
            k,
            seed,
            width,
            allow_unverified,
            threads,
        )
    )


def needle(
    q: Any = None,
    k: Any = None,
    v: Any = None,
    *,
    contexts: Sequence[int] = (),
    means: Sequence[float] = (),
    weights: Sequence[float] = (),
    trials: int = 256,
    head_dim: int = 128,
    scale: str = "1",
    rows: int = 1,
    seed: int = 0,
    width: int = 100,
    threads: int = 0,
) -> Report:
    """Does one key survive a long FP8 attention? The grid of the program's `needle`, or with q, k
    and v what FP8 attention does to your own tensors.

    contexts  numbers of keys, 1024 to 2^20; (): 1k, 2k, ..., 128k
    means     of V, in units of one codeword entry; weights: softmax weight of the needle, in (0, 1)
    trials    queries a cell, a multiple of 8
    q, k, v   [batch, seqlen, heads, dim] (see `attention`): typed values, finite
    scale     of q, k, v in E4M3: "1" (vLLM's default) or "amax"; rows: how many of the last queries

    Returns a Report with "cells" (or "heads"): retrieval, relative error, gain and the share of
    keys that left no trace, for exact attention, BF16, FP8 one-level, two-level every tile, every 4
    and every 64 tiles, and Blackwell; with "assumptions". Raises ValueError on what is out of
    range. The default grid takes about a minute on two cores. Source: sim/needle.h.
    """
    if (q is None) != (k is None) or (q is None) != (v is None):
        raise ValueError("expected q, k and v, or none of them; found some")
    grid = {"contexts": contexts, "means": means, "weights": weights}
    if wrong := [name for name, x in grid.items() if not isinstance(x, Iterable)]:
        raise ValueError(f"{wrong[0]}: expected numbers in a list, found {grid[wrong[0]]!r}")
    grid = {name: list(x) for name, x in grid.items()}
    others = {"trials": trials != 256, "head_dim": head_dim != 128, "seed": seed != 0}
    ours = {"scale": scale != "1", "rows": rows != 1}
    for name, given in ours.items() if q is None else {**grid, **others}.items():
        if given:
            beside = "without" if q is None else "beside"
            raise ValueError(f"{name}: expected none {beside} q, k and v, which would not be read")
    if q is not None:
        return Report(
            core.needle_tensors(
                take(q, "q"), take(k, "k"), take(v, "v"), scale, rows, width, threads
            )
        )
    return Report(
        core.needle(
            *grid.values(), trials, head_dim, seed, width, threads
        )
    )
