"""GEMM recipes as values: what may decide a kernel's bits, and which ones explain an output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from ._arrays import _UNSIGNED, take
from ._codec import finfo
from ._core import core
from ._lostbits import NoEvidenceError
from ._products import gemm, machines

ORDERS = ("ascending", "descending", "even-then-odd")
_PROMOTIONS = (1, 2, 4, 8, 16, 32, 64, 128)
_SPLITS = (2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)
_TILES = (0, 4, 2, 8)  # instructions; 4 first: 128 k in FP8, what is known of a library


@lru_cache
def row_of(machine: str) -> dict[str, Any]:
    """The machine's row of the table."""
    return machines(machine)[0]


@dataclass(frozen=True)
class Recipe:
    """A GEMM kernel as far as its bits go; `lostbits.gemm` says what each field does."""

    machine: str
    promote: int = 0
    split_k: int = 1
    partial: str = "float32"
    split_tile: int = 0
    #: In which order a chain takes its instructions: "ascending", "descending", or "even-then-odd":
    #: with split_k = 2, two accumulators that take turns and are added at the end.
    order: str = "ascending"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"order: expected {', '.join(ORDERS)}, found {self.order!r}")

    def __str__(self) -> str:
        k = row_of(self.machine)["k"]
        text = (
            f"promoted every {self.promote} instructions ({self.promote * k} k)"
            if self.promote
            else "never promoted"
        )
        if self.order == "even-then-odd":
            text += ", accumulators that take turns"
        if self.split_k > 1:
            tiles = f" of whole {self.split_tile * k} k" if self.split_tile else ""
            text += f", split-K {self.split_k}{tiles} (partial sums in {self.partial})"
        if self.order == "descending":
            text += ", k descending"
        return f"{self.machine}, {text}"


@dataclass(frozen=True)
class Problem:
    """The operands of one product as codes, and what a kernel made of them as words."""

    a: np.ndarray  #: [m, k] codes
    b: np.ndarray  #: [k, n] codes
    out: np.ndarray  #: [m, n] words of output_format
    output_format: str
    options: dict[str, Any] = field(default_factory=dict)  #: c, scales and more, of `gemm`

    def run(self, recipe: Recipe) -> np.ndarray:
        """The words that a recipe gives."""
        order = _block_order(recipe, self.a.shape[1])
        a, b = (self.a, self.b) if order is None else (self.a[:, order], self.b[order])
        d: np.ndarray = gemm(
            a,
            b,
            machine=recipe.machine,
            promote=recipe.promote,
            split_k=recipe.split_k,
            split_tile=recipe.split_tile,
            partial=recipe.partial,
            output_format=self.output_format,
            **self.options,
        )
        return d.view(_UNSIGNED[d.itemsize])

    def matches(self, recipe: Recipe) -> bool:
        """Whether a recipe gives every output; False for one that no kernel defines."""
        try:
            return not different(self.out, self.run(recipe), self.output_format).any()
        except NoEvidenceError:
            raise
        except ValueError:
            return False

    def part(self, rows: np.ndarray, cols: np.ndarray) -> Problem:
        """Some rows and columns of it; all columns where the scales of b are blocks."""
        options = dict(self.options)
        scale_a, scale_b = options.get("scale_a"), options.get("scale_b")
        if scale_b is not None and np.ndim(scale_b) == 2:
            cols = np.arange(self.out.shape[1])
        if scale_a is not None and np.ndim(scale_a) == 2:
            options["scale_a"] = np.ascontiguousarray(scale_a[rows])
        if options.get("c") is not None:
            options["c"] = options["c"][np.ix_(rows, cols)]
        return replace(
            self,
            a=self.a[rows],
            b=self.b[:, cols],
            out=self.out[np.ix_(rows, cols)],
            options=options,
        )


def _block_order(recipe: Recipe, k: int) -> np.ndarray | None:
    """In which order the recipe takes the columns of a; None for ascending."""
    if recipe.order == "ascending":
        return None
    step = row_of(recipe.machine)["k"]
    blocks = [np.arange(first, min(first + step, k)) for first in range(0, k, step)]
    if recipe.order == "descending":
        blocks = blocks[::-1]
    else:
        blocks = blocks[::2] + blocks[1::2]
    return np.concatenate(blocks)


def codes(x: Any, format: str, name: str) -> np.ndarray:
    """The codes of `format` that a machine reads, as unsigned integers."""
    words, found = take(x, name)
    if found in ("", format) or (found, format) == ("float32", "tf32"):
        return words
    return core.encode((words, found), format, "", "", "", 32, 0, 0)[0]


def ordinals(words: np.ndarray, format: str) -> tuple[np.ndarray, np.ndarray]:
    """(place of each number on its format's lattice, whether it is NaN). Neighbours are 1 apart, an
    Inf is next to the largest number, -0 and +0 are one place."""
    info = finfo(format)
    nan = np.isnan(_as_floats(words, format))
    if format == "float8_e8m0fnu":
        return words.astype(np.int64), nan
    sign = 1 << (info.bits - 1)
    size = (words.astype(np.uint64) & np.uint64(sign - 1)).astype(np.int64)
    size >>= info.ignored_low_bits
    return np.where(words & np.array(sign, words.dtype), -size, size), nan


def _as_floats(words: np.ndarray, format: str) -> np.ndarray:
    decoded = core.decode((np.ascontiguousarray(words), format), "", "", 0)[0]
    return decoded.view(np.float64 if decoded.itemsize == 8 else np.float32)


def different(x: np.ndarray, y: np.ndarray, format: str) -> np.ndarray:
    """Where words differ; a NaN equals a NaN, whose bits machines do not pin."""
    nan_x, nan_y = (np.isnan(_as_floats(z, format)) for z in (x, y))
    return (x != y) & ~(nan_x & nan_y)


def ulps_apart(x: np.ndarray, y: np.ndarray, format: str) -> np.ndarray:
    """How many numbers apart; infinite where exactly one is NaN."""
    (x_place, x_nan), (y_place, y_nan) = ordinals(x, format), ordinals(y, format)
    apart = np.abs(x_place - y_place).astype(np.float64)
    return np.where(x_nan & y_nan, 0, np.where(x_nan != y_nan, np.inf, apart))


def ulp_text(ulps: float) -> str:
    return "one of them NaN" if np.isinf(ulps) else f"{ulps:.0f} ulp"


def word_text(word: np.generic, format: str) -> str:
    digits = 2 * word.itemsize
    return f"0x{int(word):0{digits}X} ({_as_floats(np.array([word]), format)[0]!s})"


def machines_like(format_a: str, format_b: str, accumulator: str = "") -> list[str]:
    """A machine for every way of adding products of these formats; those without evidence last."""
    keys = ["k", "flow", "group", "fraction_bits", "e_zero", "rounding", "result_bits",
            "accumulator", "signed_underflow", "flush", "sum_bits", "final_bits"]
    seen: dict[tuple[Any, ...], str] = {}
    rows = sorted(machines(), key=lambda row: row["evidence"] == "assumed")
    for row in rows:
        if (row["a"], row["b"]) != (format_a, format_b) or row["block"]:
            continue
        if row["accumulator"] == "float64" or accumulator not in ("", row["accumulator"]):
            continue
        seen.setdefault(tuple(row[key] for key in keys), row["machine"])
    return list(seen.values())


def candidates(names: Iterable[str], k: int) -> Iterator[Recipe]:
    """Known recipes for k products, the plain ones of all machines first. Of those that are one
    function for this k (8 ranges of 4 instructions, promotion every 4 of 32), the plainest."""
    names = list(names)
    steps = {name: math.ceil(k / row_of(name)["k"]) for name in names}
    promotions = {name: [0] + [p for p in _PROMOTIONS if p < steps[name]] for name in names}
    for name in names:
        yield from (Recipe(name, promote) for promote in promotions[name])
    for name in names:
        yield Recipe(name, split_k=2, order="even-then-odd")
        yield from (Recipe(name, promote, order="descending") for promote in promotions[name])
    for name in names:
        seen = {(promote, 0, "float32") for promote in promotions[name]}
        for split_tile, split_k, promote in product(_TILES, _SPLITS, promotions[name][:6]):
            interval = max(promote, 1)
            if split_tile % interval or split_tile == interval:  # no recipe, or that of 0
                continue
            tile = split_tile or interval
            tiles = math.ceil(steps[name] / tile)
            length = math.ceil(tiles / split_k) * tile  # instructions of a range
            for partial in ("float32", "bfloat16"):
                function = (promote, length, partial)
                if partial == "float32" and (length == interval or not promote):
                    function = (length, 0, partial)  # promotion
                if split_k <= tiles and function not in seen:
                    seen.add(function)
                    yield Recipe(name, promote, split_k, partial, split_tile)


def sieve(problem: Problem, recipes: Iterable[Recipe], wrong: np.ndarray) -> Iterator[Recipe]:
    """The recipes that give every output, tried on a few first: where `wrong`, then elsewhere."""
    def few(hits: np.ndarray, count: int) -> np.ndarray:
        order = np.argsort(~hits, kind="stable")  # hits first
        return np.sort(order[:count])

    rows = few(np.asarray(wrong.any(1)), 4)
    small = problem.part(rows, few(np.asarray(wrong[rows].any(0)), 16))
    for recipe in recipes:
        if small.matches(recipe) and problem.matches(recipe):
            yield recipe
