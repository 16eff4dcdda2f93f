"""Does a kernel return what the hardware returns? Assertions that say why not.

    >>> lostbits.testing.assert_matches_hardware(
    ...     out, a, b, machine="hopper:wgmma:e4m3:f32", recipe={"promote": 4})

pytest finds lostbits.pytest_plugin by itself: a marker, a fixture and --lostbits-report.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._arrays import take
from ._codec import finfo
from ._core import core
from ._products import exact_gemm
from ._recipes import (
    Problem,
    Recipe,
    candidates,
    codes,
    different,
    machines_like,
    ordinals,
    row_of,
    sieve,
    ulp_text,
    ulps_apart,
    word_text,
)

__all__ = ["HardwareMismatch", "Recipe", "assert_fp8_close", "assert_matches_hardware",
           "check_against_hardware", "infer_recipe"]

_LONGEST_COMMAND = 2000  # characters that one still pastes; longer operands go into a file


class HardwareMismatch(AssertionError):
    """A kernel's output is not the hardware's. `result`: the findings, as a dict."""

    def __init__(self, message: str, result: dict[str, Any]):
        super().__init__(message)
        self.result = result


def assert_matches_hardware(
    out: Any,
    a: Any,
    b: Any,
    c: Any = None,
    *,
    machine: str,
    recipe: Recipe | Mapping[str, Any] | None = None,
    scale_a: Any = None,
    scale_b: Any = None,
    b_transposed: bool = False,
    allow_unverified: bool = False,
    threads: int = 0,
) -> None:
    """Asserts that `out` is, bit for bit, what a GEMM kernel with this recipe returns.

    out       [m, n] float32, bfloat16 or float16, of any library
    a, b, c, scale_a, scale_b, b_transposed, allow_unverified, threads   as `lostbits.gemm`; beside
              scales a and b must be codes
    machine   the matrix unit. FP8, FP6 and FP4 operands must have its formats
    recipe    a Recipe of this machine, or some of its fields: {"promote": 4, "split_k": 2}; None:
              the unit alone

    Two NaNs are equal. Raises HardwareMismatch (an AssertionError) that tells how many outputs
    differ, the first and the worst in hex and in ulp (numbers of the output's format between the
    two, plus one), what is wrong where that can be told (zeros, a tile of outputs or of k left
    out, another recipe that does match, exact arithmetic), and how to explain the first: a command
    of the program, and the same from Python (operands too long to paste go into a file of the
    temporary folder).
    Raises ValueError as `lostbits.gemm`.
    """
    result = check_against_hardware(
        out, a, b, c, machine=machine, recipe=recipe, scale_a=scale_a, scale_b=scale_b,
        b_transposed=b_transposed, allow_unverified=allow_unverified, threads=threads,
    )
    if result["different"]:
        raise HardwareMismatch(message_of(result), result)


def check_against_hardware(
    out: Any,
    a: Any,
    b: Any,
    c: Any = None,
    *,
    machine: str,
    recipe: Recipe | Mapping[str, Any] | None = None,
    scale_a: Any = None,
    scale_b: Any = None,
    b_transposed: bool = False,
    allow_unverified: bool = False,
    threads: int = 0,
) -> dict[str, Any]:
    """What assert_matches_hardware finds, as a dict that json can write: "outputs", "different",
    and where that is not 0 "first", "worst", "fault", "matching_recipe", "explain" (a command) and
    "explain_python" (the same from Python)."""
    wanted = _recipe(machine, recipe)
    problem = _problem(out, a, b, c, wanted.machine, scale_a, scale_b, b_transposed,
                       allow_unverified, threads)
    expected = problem.run(wanted)
    wrong = different(problem.out, expected, problem.output_format)
    result: dict[str, Any] = {
        "machine": wanted.machine,
        "recipe": str(wanted),
        "outputs": wrong.size,
        "different": int(wrong.sum()),
    }
    if result["different"]:
        places = np.argwhere(wrong)
        ulps = ulps_apart(problem.out, expected, problem.output_format)
        worst = places[np.argmax(ulps[wrong])]
        for name, place in ("first", places[0]), ("worst", worst):
            result[name] = _point(problem, expected, ulps, tuple(int(i) for i in place))
        match = _other_recipe(problem, wanted, wrong)
        result["matching_recipe"] = None if match is None else vars(match)
        result["fault"] = _fault(problem, wanted, expected, wrong, match)
        result["explain"], result["explain_python"] = _explain(problem, wanted, tuple(places[0]))
    return result


def infer_recipe(
    a: Any,
    b: Any,
    out: Any,
    c: Any = None,
    *,
    machine: str = "",
    scale_a: Any = None,
    scale_b: Any = None,
    b_transposed: bool = False,
    threads: int = 0,
) -> list[Recipe]:
    """Which known GEMM recipes return exactly `out` for these operands.

    a, b, c, scale_a, scale_b, b_transposed, threads   as assert_matches_hardware; without a machine
              a and b are of operand formats
    machine   the matrix unit, if it is known; "": every way of adding that the table has for these
              formats, each under one of its machines (those with assumed evidence too)

    Returns all recipes that give every output, the plainest first, and of several that are one
    function for this k only the plainest. An empty list, if the kernel is wrong or does something
    that is not modelled; several recipes, if these operands do not tell them apart. N(0, 1) and a k
    of 1024 tell promotion intervals; splits and orders of promoted sums need magnitudes that change
    along k by 2^10 and more, for FP32 adds a few alike partial sums exactly. Tried: promotion every
    1 to 128 instructions, 2 to 32 ranges of k in FP32 or BF16, each of whole intervals or of whole
    2, 4 or 8 instructions, k ascending or descending, two accumulators that take turns. Raises
    ValueError as `lostbits.gemm`. Source: sim/gemm_recipe.h.
    """
    if machine:
        names = [core.machine_name(machine)]
    else:
        formats = [take(x, name)[1] for x, name in ((a, "a"), (b, "b"))]
        names = machines_like(*formats)
        if not names:
            raise ValueError(
                f"expected a machine, or a and b of operand formats, found {formats[0] or 'codes'} "
                f"and {formats[1] or 'codes'}"
            )
    problem = _problem(out, a, b, c, names[0], scale_a, scale_b, b_transposed, True, threads)
    everywhere = np.ones(problem.out.shape, bool)
    return list(sieve(problem, candidates(names, problem.a.shape[1]), everywhere))


def assert_fp8_close(x: Any, y: Any, ulps: int = 1, *, format: str = "") -> None:
    """Asserts that two arrays of codes are at most `ulps` numbers of their format apart.

    x, y      of one shape and one type, FP8 or any other format; `format` of unsigned integers
    ulps      0: the same numbers. -0 and +0 are one number, a NaN is near a NaN only, and an Inf is
              next to the largest number

    Raises AssertionError with how many lie farther apart, the first and the farthest; ValueError,
    naming both, where shapes or types differ, and for ulps below 0.
    """
    if not isinstance(ulps, int | float | np.number) or not ulps >= 0:
        raise ValueError(f"ulps: expected 0 or more, found {ulps!r}")
    (x_words, x_format), (y_words, y_format) = take(x, "x", format), take(y, "y", format)
    if x_words.shape != y_words.shape or x_format != y_format or not x_format:
        raise ValueError(
            f"expected arrays of one shape and format, found {list(x_words.shape)} of "
            f"{x_format or 'raw codes'} and {list(y_words.shape)} of {y_format or 'raw codes'}"
        )
    apart = ulps_apart(x_words, y_words, x_format)
    far = apart > ulps
    if not far.any():
        return
    places = np.argwhere(far)
    lines = [f"{far.sum()} of {far.size} elements of {x_format} are more than {ulps} ulp apart"]
    for name, place in ("first", places[0]), ("worst", places[np.argmax(apart[far])]):
        at = tuple(int(i) for i in place)
        pair = " and ".join(word_text(words[at], x_format) for words in (x_words, y_words))
        lines.append(f"  {name}  {list(at)}: {pair}, {ulp_text(apart[at])}")
    raise AssertionError("\n".join(lines))


# ---- What assert_matches_hardware is made of -----------------------------------------------------


def _recipe(machine: str, recipe: Recipe | Mapping[str, Any] | None) -> Recipe:
    name = core.machine_name(machine)
    if isinstance(recipe, Recipe):
        recipe = vars(recipe)
    if not isinstance(recipe, Mapping | None):
        raise ValueError(f"recipe: expected a Recipe or some of its fields, found {recipe!r}")
    if recipe and (its := core.machine_name(recipe.get("machine", name))) != name:
        raise ValueError(f"recipe: expected one of {name}, the machine asked for, found {its}")
    fields = {key: value for key, value in (recipe or {}).items() if key != "machine"}
    known = [key for key in Recipe.__dataclass_fields__ if key != "machine"]
    unknown = [key for key in fields if key not in known]
    if unknown:
        raise ValueError(f"recipe: expected {', '.join(known)}, found {', '.join(unknown)}")
    return Recipe(name, **fields)


def _problem(
    out: Any, a: Any, b: Any, c: Any, machine: str, scale_a: Any, scale_b: Any,
    b_transposed: bool, allow_unverified: bool, threads: int,
) -> Problem:
    row = row_of(machine)
    for x, scale, name in (a, scale_a, "a"), (b, scale_b, "b"):
        found = take(x, name)[1]
        if scale is not None and found not in ("", row[name]):
            raise ValueError(f"{name}: expected {row[name]} codes beside a scale")
        if found not in ("", row[name]) and finfo(found).bits <= 8:  # codes, not values
            raise ValueError(f"{name}: expected {row[name]}, which {machine} reads, found {found}")
    words, output_format = take(out, "out")
    a_codes, b_codes = codes(a, row["a"], "a"), codes(b, row["b"], "b")
    if b_codes.ndim == 2 and b_transposed:
        b_codes = b_codes.T
    shapes = [list(x.shape) for x in (words, a_codes, b_codes)]
    fits = [x.ndim for x in (words, a_codes, b_codes)] == [2, 2, 2]
    if not fits or shapes != [[shapes[0][0], shapes[0][1]], [shapes[0][0], shapes[1][1]],
                              [shapes[1][1], shapes[0][1]]]:
        raise ValueError(
            f"out is {shapes[0]}, A is {shapes[1]}, B is {shapes[2]}: expected [m, n], [m, k] and "
            f"[k, n]"
        )
    if not output_format:
        raise ValueError("out: expected float32, bfloat16 or float16, found unsigned integers")
    options = {
        "c": None if c is None else codes(c, row["accumulator"], "c"),
        "scale_a": scale_a if scale_a is None or np.ndim(scale_a) == 0 else np.asarray(scale_a),
        "scale_b": scale_b if scale_b is None or np.ndim(scale_b) == 0 else np.asarray(scale_b),
        "allow_unverified": allow_unverified,
        "threads": threads,
    }
    return Problem(a_codes, b_codes, words, output_format, options)


def _other_recipe(problem: Problem, wanted: Recipe, wrong: np.ndarray) -> Recipe | None:
    """A known recipe that gives every output: on the same machine, else of another one plainly."""
    k = problem.a.shape[1]
    row = row_of(wanted.machine)
    others = [Recipe(name, wanted.promote, wanted.split_k, wanted.partial, wanted.split_tile)
              for name in machines_like(row["a"], row["b"], row["accumulator"])]
    allowed = Problem(problem.a, problem.b, problem.out, problem.output_format,
                      {**problem.options, "allow_unverified": True})
    known = [r for r in (*candidates([wanted.machine], k), *others) if r != wanted]
    return next(sieve(allowed, known, wrong), None)


def _fault(
    problem: Problem, wanted: Recipe, expected: np.ndarray, wrong: np.ndarray, match: Recipe | None
) -> str:
    """What is wrong with the output, in words."""
    zero = ordinals(problem.out, problem.output_format)[0] == 0
    rows, cols = np.flatnonzero(wrong.any(1)), np.flatnonzero(wrong.any(0))
    box = f"rows {rows[0]} to {rows[-1]}, columns {cols[0]} to {cols[-1]}"
    if zero.all():
        return "every output is zero"
    if zero[wrong].all():
        return f"outputs in {box} are zeros: a tile was not written"
    elsewhere = match is None or match.machine != wanted.machine
    few = problem.part(rows[:4], cols[:16])  # exact sums of all outputs may take a minute
    if elsewhere and _is_exact(few, wanted) and _is_exact(problem, wanted):
        return "every output is the exact sum, rounded once: no matrix unit added these" + (
            "" if match is None else f", or {match}"
        )
    if match is not None:
        return f"another recipe gives every output: {match}"
    tile = _dropped_tile(problem, wanted, wrong)
    if tile:
        return f"the products of k = {tile[0]} to {tile[1] - 1} are missing: a tile was dropped"
    if wrong.all():
        return "no known recipe gives these outputs"
    return f"no known recipe gives these outputs; all that differ lie in {box}"


def _dropped_tile(problem: Problem, wanted: Recipe, wrong: np.ndarray) -> tuple[int, int] | None:
    """The range of k without which the recipe gives every output."""
    k, step = problem.a.shape[1], row_of(wanted.machine)["k"]
    rows, cols = np.flatnonzero(wrong.any(1))[:4], np.flatnonzero(wrong.any(0))[:16]
    small = problem.part(rows, cols)

    def without(p: Problem, first: int) -> Problem:
        a = p.a.copy()
        a[:, first : first + size] = 0
        return Problem(a, p.b, p.out, p.output_format, p.options)

    size = step
    while size < k:
        for first in range(0, k, size):
            if without(small, first).matches(wanted) and _explains(
                without(problem, first), wanted, wrong
            ):
                return first, min(first + size, k)
        size *= 2
    return None


def _explains(problem: Problem, recipe: Recipe, wrong: np.ndarray) -> bool:
    """Whether the recipe gives all outputs that were wrong; others may come of a right tile."""
    return not different(problem.out, problem.run(recipe), problem.output_format)[wrong].any()


def _is_exact(problem: Problem, wanted: Recipe) -> bool:
    if any(problem.options[name] is not None for name in ("c", "scale_a", "scale_b")):
        return False
    row = row_of(wanted.machine)
    exact = exact_gemm(problem.a, problem.b, a_format=row["a"], b_format=row["b"])
    rounded = codes(exact, problem.output_format, "exact")
    return not different(problem.out, rounded, problem.output_format).any()


def _point(
    problem: Problem, expected: np.ndarray, ulps: np.ndarray, at: tuple[int, ...]
) -> dict[str, Any]:
    return {
        "index": list(at),
        "out": word_text(problem.out[at], problem.output_format),
        "expected": word_text(expected[at], problem.output_format),
        "ulps": ulp_text(ulps[at]),
    }


def _explain(problem: Problem, wanted: Recipe, at: tuple[int, ...]) -> tuple[str, str]:
    """A command and a call of Python that follow one output through the machine; without splits
    and scales."""
    def hexes(words: np.ndarray) -> str:
        return " ".join(f"{int(word):0{2 * words.itemsize}X}" for word in words)

    row, col = at
    c = problem.options["c"]
    addend = f"{0 if c is None else int(c[row, col]):X}"
    line = f"{hexes(problem.a[row])} ; {hexes(problem.b[:, col])} ; {addend}"
    argument = repr(line)
    if len(line) > _LONGEST_COMMAND:
        with tempfile.NamedTemporaryFile(
            "w", prefix="lostbits-explain-", suffix=".txt", delete=False
        ) as file:
            file.write(line + "\n")
        line, argument = file.name, f"open({file.name!r}).read()"
    command = f"lostbits explain -m {shlex.quote(wanted.machine)} {shlex.quote(line)}"
    call = f"print(lostbits.explain({argument}, machine={wanted.machine!r}"
    if wanted.promote:
        command += f" --promote {wanted.promote}"
        call += f", promote={wanted.promote}"
    if problem.a.shape[1] > row_of(wanted.machine)["k"]:
        command += " --step worst"
        call += ", step='worst'"
    if row_of(wanted.machine)["evidence"] == "assumed":
        command += " --allow-unverified"
        call += ", allow_unverified=True"
    return command, call + "))"


def message_of(result: dict[str, Any]) -> str:
    share = 100 * result["different"] / result["outputs"]
    lines = [
        f"{result['different']} of {result['outputs']} outputs ({share:.3g} %) are not those of "
        f"{result['recipe']}"
    ]
    for name in "first", "worst":
        p = result[name]
        words = f"{p['out']} instead of {p['expected']}, {p['ulps']}"
        lines.append(f"  {name}    {p['index']}: {words}")
    lines.append(f"  fault    {result['fault']}")
    if result["matching_recipe"]:
        lines.append(f"           {Recipe(**result['matching_recipe'])!r}")
    lines.append(f"  explain  {result['explain']}")
    lines.append(f"  or       {result['explain_python']}")
    return "\n".join(lines)
