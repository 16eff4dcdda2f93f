"""The bits kept and cut in one addition, drawn from what `lostbits.explain` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._codec import decode
from ._plot_axes import CUT, INK, KEPT, PALE, SOFT, Axes, headline, mpl, new_axes
from ._products import machines

_COLUMNS = 44  # that still can be read; lower bits than these are left out, and counted


Bits = tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True)
class Row:
    """One number of the picture. Bits are (weight, digit, kept): digit * 2^weight."""

    label: str
    note: str
    negative: bool
    bits: Bits


def bit_strip(
    explanation: Mapping[str, Any],
    ax: Axes | None = None,
    *,
    instruction: int = 0,
    step: int = 0,
    terms: int = 16,
) -> Axes:
    """One addition of a matrix unit, bit by bit: each term on the common grid of exponents, bits
    kept solid, bits cut hollow; below them the sum, and what comes back.

    explanation   of `lostbits.explain`
    instruction   number (from 1) of one that the explanation shows in full; 0: the first shown
    step      number (from 1) of a step of it; 0: the first that adds several terms
    terms     how many to draw; of more, the first ones and the accumulator

    Returns the Axes; a column is a power of two. Raises ValueError where nothing is shown in full
    (`lostbits.explain(..., step="worst")` shows the instruction that lost most).
    """
    one = _pick(explanation, instruction)
    steps = one["steps"]
    if not 0 <= step <= len(steps):
        raise ValueError(f"step: expected 1 to {len(steps)}, found {step}")
    several = [s for s in steps if len(s["terms"]) > 1]
    chosen = steps[step - 1] if step else (several or steps)[0]
    if "before_rounding" not in chosen:
        raise ValueError(f"step: expected a finite one, found {chosen.get('cause', 'a special')}")
    terms_of, totals, left_out = rows_of(explanation, chosen, terms)
    ax = new_axes(ax, 1.25 + 0.3 * (len(terms_of) + len(totals)))
    _draw(ax, explanation, chosen, terms_of, totals)
    which = f", instruction {one['instruction']}" if len(explanation["instructions"]) > 1 else ""
    headline(ax, f"{explanation['machine']}{which}: bits kept (solid) and cut (hollow)")
    if left_out:
        ax.annotate(f"{left_out} more terms are not drawn", (1, 0), xycoords="axes fraction",
                    xytext=(0, -22), textcoords="offset points", ha="right", va="top", fontsize=8,
                    color=SOFT)
    return ax


def _pick(explanation: Mapping[str, Any], instruction: int) -> Mapping[str, Any]:
    shown = explanation.get("shown", [])
    if not shown:
        raise ValueError('explanation: expected an instruction in full, found none (step="worst")')
    for one in shown:
        if instruction in (0, one["instruction"]):
            return dict(one)
    numbers = ", ".join(str(one["instruction"]) for one in shown)
    raise ValueError(f"instruction: expected {numbers}, found {instruction}")


def rows_of(
    explanation: Mapping[str, Any], step: Mapping[str, Any], terms: int
) -> tuple[list[Row], list[Row], int]:
    """(a step's terms, its sum and what is returned, how many terms are left out)."""
    formats = machines(explanation["machine"])[0]
    found = [t for t in step["terms"] if t["fate"] != "zero"]
    products = [t for t in found if t["origin"] == "product"]
    others = [t for t in found if t["origin"] != "product"]
    drawn = products[: max(terms - len(others), 0)] + others
    rows = [_term_row(t, formats) for t in drawn]

    negative, top, digits = _digits(step["before_rounding"]["exact"])
    kept, cut = step.get("kept_bits", digits), step.get("dropped_bits", "")
    note = f"{len(cut)} {'bit' if len(cut) == 1 else 'bits'} rounded off" if cut else "whole"
    last = top - len(kept) + 1
    totals = [Row("sum", note, negative, _bits(top, kept, True) + _bits(last - 1, cut, False))]
    if "result" in step:
        bits: Bits = ()
        value = float(step["result"]["value"])
        note = f"{value:.10g}".replace("-", "−")
        if np.isfinite(value):  # an overflow has no bits
            negative, top, digits = _digits(_hex(value))
            bits = _bits(top, digits.ljust(top - last + 1, "0"), True)
        totals.append(Row(f"returned, {step['format']}", note, negative, bits))
    return rows, totals, len(found) - len(drawn)


def _term_row(term: Mapping[str, Any], formats: Mapping[str, Any]) -> Row:
    if term["origin"] == "product":
        a, b = (_value(term[name], formats[name]) for name in "ab")
        label = f"{a:.4g} × {b:.4g}".replace("-", "−")
    else:
        label = {"accumulator": "c", "even": "even k", "odd": "odd k"}.get(
            term["origin"], term["origin"])
        label += f" = {term['value']:.4g}".replace("-", "−")
    if "kept" not in term:  # a step without a common grid keeps all
        negative, top, digits = _digits(term["exact"])
        return Row(label, "whole", negative, _bits(top, digits, True))
    kept: Bits = ()
    if "kept_bits" in term:  # behind the number's own bits come zeros down to the grid
        kept = _bits(term["kept_top"], term["kept_bits"][: term["bits"]], True)
    cut = _bits(term["dropped_top"], term["dropped_bits"], False) if term["bits_cut"] else ()
    if term["fate"] == "gone":
        note = "cut to nothing"
    elif term["bits_cut"]:
        note = f"{term['bits_cut']} of {term['bits']} bits cut"
        note += ", down" if term.get("floored") else ""
    else:
        note = "whole"
    return Row(label, note, term["negative"], kept + cut)


def _value(code: str, format: str) -> float:
    """The number that a code in hex stands for."""
    width = {2: np.uint8, 4: np.uint16, 8: np.uint32, 16: np.uint64}[len(code) - 2]
    return float(decode(np.array(int(code, 16), width), format))


def _digits(exact: str) -> tuple[bool, int, str]:
    """(negative, weight of the first digit, binary digits) of "-0x1B3p-12"."""
    integer, _, exponent = exact.lstrip("-").partition("p")
    digits = f"{int(integer, 16):b}"
    top = int(exponent) + len(digits) - 1
    return exact.startswith("-"), top, "" if digits == "0" else digits.rstrip("0")


def _hex(value: float) -> str:
    numerator, denominator = abs(value).as_integer_ratio()
    return f"{'-' if value < 0 else ''}{numerator:#x}p{1 - denominator.bit_length()}"


def _bits(top: int, digits: str, kept: bool) -> Bits:
    return tuple((top - i, digit, kept) for i, digit in enumerate(digits))


# ---- Drawing -------------------------------------------------------------------------------------


def _draw(
    ax: Axes, explanation: Mapping[str, Any], step: Mapping[str, Any], terms: list[Row],
    totals: list[Row],
) -> None:
    rows = terms + totals
    places = [y + (0.35 if y >= len(terms) else 0) for y in range(len(rows))]
    weights = [weight for row in rows for weight, _, _ in row.bits] or [0]
    top = max(weights)
    bottom = max(min(weights + [step.get("lsb", top)]), top - _COLUMNS + 1)
    for y, row in zip(places, rows, strict=True):
        _draw_row(ax, row, y, bottom)
    ax.set_xlim(top + 1.6, bottom - 0.6)  # the highest power of two stands left
    ax.set_ylim(places[-1] + 0.6, -1.15)
    ax.axhline(len(terms) - 0.33, color=PALE, linewidth=1)
    if "lsb" in step:
        _draw_window(ax, step, explanation["fraction_bits"])
    _label(ax, rows, places, range(bottom, top + 1))


def _draw_row(ax: Axes, row: Row, y: float, bottom: int) -> None:
    for weight, digit, kept in row.bits:
        if weight < bottom:
            continue
        ax.add_patch(mpl.patches.Rectangle((weight - 0.44, y - 0.4), 0.88, 0.8, linewidth=1,
                               gid="kept" if kept else "cut", edgecolor=KEPT if kept else CUT,
                               facecolor=KEPT if kept else "white"))
        ax.text(weight, y, digit, ha="center", va="center_baseline", fontsize=9, family="monospace",
                color="white" if kept else CUT, gid="kept" if kept else "cut")
    if row.negative and row.bits:
        ax.text(max(w for w, _, _ in row.bits) + 1, y, "−", ha="center", va="center", fontsize=10,
                color=INK)
    below = sum(weight < bottom for weight, _, _ in row.bits)
    if below:
        ax.text(bottom - 0.6, y, f"+{below}", ha="left", va="center", fontsize=7, color=CUT)


def _draw_window(ax: Axes, step: Mapping[str, Any], fraction_bits: int) -> None:
    """The grid of the step: nothing is kept right of its edge."""
    edge, highest = step["lsb"] - 0.5, step["e_max"] - 0.5
    ax.axvspan(ax.get_xlim()[0], edge, color=KEPT, alpha=0.07, linewidth=0, zorder=0)
    ax.axvline(edge, color=INK, linewidth=1.2, zorder=3)
    if fraction_bits > 0 and edge > ax.get_xlim()[1]:
        arrow = {"arrowstyle": "|-|", "color": INK, "linewidth": 0.8, "mutation_scale": 3,
                 "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (highest, -0.8), (edge, -0.8), arrowprops=arrow)
        ax.text((highest + edge) / 2, -0.8, f"{fraction_bits} bits below the largest exponent",
                ha="center", va="center", fontsize=8, color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})


def _label(ax: Axes, rows: list[Row], places: list[float], weights: range) -> None:
    ax.set_yticks(places, [row.label for row in rows], fontsize=9, color=INK)
    right = ax.secondary_yaxis("right")
    right.set_yticks(places, [row.note for row in rows], fontsize=9)
    for tick, row in zip(right.get_yticklabels(), rows, strict=True):
        tick.set_color(CUT if "cut" in row.note or "off" in row.note else INK)
    ticks = [weight for weight in weights if weight % 4 == 0]
    ax.set_xticks(ticks, [f"$2^{{{weight}}}$" for weight in ticks], fontsize=9, color=SOFT)
    ax.set_xlabel("weight of a bit", fontsize=9, color=SOFT)
    for axis in ax, right:
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
