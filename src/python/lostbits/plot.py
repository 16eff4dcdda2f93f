"""Pictures of what the package returns. Needs matplotlib: pip install 'lostbits[plot]'.

    >>> from lostbits import plot
    >>> ax = plot.bit_strip(lostbits.explain(machine="hopper:wgmma:e4m3:f32"))
    >>> plot.save(ax, "sum.svg")

Every function takes a result as it is, draws into the Axes it is given or into a figure as wide as
a page, and returns the Axes. Nothing is computed here but shares and positions. The colours can be
told apart with any colour vision; `save` writes the same bytes for the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._codec import decode, finfo
from ._plot_axes import (
    CUT, INK, KEPT, LINES, PALE, SOFT, Axes, count_text, headline, loss_colours, mpl, new_axes,
    plain, save,
)
from ._plot_bits import bit_strip

__all__ = ["bit_strip", "error_against_context", "heat_map", "keys_cut", "lattice", "save"]

_MARKERS = "osD^vP*X"


def lattice(
    formats: str | Sequence[str], ax: Axes | None = None, *, log: bool = True,
    limit: float | None = None,
) -> Axes:
    """The numbers of one format or several, a row each, a tick a number; subnormals in the other
    colour.

    formats   names in any spelling, of at most 16 bits
    log       positive numbers on an axis of powers of two; False: all on a plain axis
    limit     largest magnitude to draw on a plain axis; None: the formats' largest

    Returns the Axes. Raises ValueError on wider formats, whose numbers no picture shows.
    """
    infos = [finfo(f) for f in ([formats] if isinstance(formats, str) else formats)]
    for info in infos:
        if info.bits > 16:
            raise ValueError(f"formats: expected at most 16 bits, found {info.name}")
    ax = new_axes(ax, 1.1 + 0.55 * len(infos))
    for y, info in enumerate(infos):
        values = _numbers(info)
        shown = values[values > 0] if log else values[np.abs(values) <= (limit or np.inf)]
        small = np.abs(shown) < info.min_normal
        for part, colour in (shown[~small], KEPT), (shown[small], CUT):
            ax.vlines(part, y - 0.3, y + 0.3, color=colour, linewidth=0.8)
    names = [f"{info.name}\nlargest {info.max:.6g}" for info in infos]
    ax.set_yticks(range(len(infos)), names, fontsize=9, color=INK)
    ax.set_ylim(len(infos) - 0.5, -0.5)
    if log:
        ax.set_xscale("log", base=2)
        low, high = (round(np.log2(end)) for end in ax.get_xlim())
        every = next(n for n in (1, 2, 4, 8, 16, 32) if (high - low) / n <= 12)
        ticks = [e for e in range(low, high + 1) if e % every == 0]
        ax.set_xticks([2.0**e for e in ticks], [f"$2^{{{e}}}$" for e in ticks])
        ax.minorticks_off()
    ax.set_xlabel("value", fontsize=10, color=INK)
    what = "Positive numbers" if log else "Numbers"
    headline(ax, f"{what} of {infos[0].name if len(infos) == 1 else 'each format'}")
    handles = [mpl.lines.Line2D([], [], color=colour, marker="|", linestyle="", markersize=9,
                                markeredgewidth=1.5, label=text)
               for colour, text in ((KEPT, "normal"), (CUT, "subnormal"))]
    ax.legend(handles=handles, frameon=False, fontsize=9, ncols=2, loc="lower right",
              bbox_to_anchor=(1, 1), borderaxespad=0.1)
    plain(ax)
    return ax


def _numbers(info: Any) -> np.ndarray:
    codes = np.arange(2 ** min(info.bits, 8 if info.bits <= 8 else 16),
                      dtype=np.uint8 if info.bits <= 8 else np.uint16)
    values = np.asarray(decode(codes, info.name), np.float64)
    return np.unique(values[np.isfinite(values)])


Study = Mapping[str, Any]


def error_against_context(
    result: Study, ax: Axes | None = None, *, of: str = "relative_error",
    mean: float | None = None, weight: float | None = None, xlabel: str = "", ylabel: str = "",
    title: str = "",
) -> Axes:
    """Error against the number of keys, or against K: a line a setting.

    result    a Report of `lostbits.needle` (a line a variant) or `lostbits.compare` (one line: the
              largest difference), or {setting: {length: figure}} of your own
    of        "relative_error", "gain", "keys_lost" or "found" of a needle study
    mean, weight   the cells to draw; may be left out where the study has only one
    xlabel, ylabel, title   "": what the result says; of your own figures "K", "relative error"

    Returns the Axes; both axes are logarithmic, but for gain and shares. A figure of 0 has no place
    on a logarithmic axis: it is left out, and a star in the legend says so. Raises ValueError on a
    mean or a weight that is not there.
    """
    lines, *words = _lines(result, of, mean, weight)
    ax = new_axes(ax, 4)
    log = of == "relative_error"
    for i, (name, points) in enumerate(lines.items()):
        pairs = [(x, y) for x, y in sorted(points.items()) if np.isfinite(y) and (y > 0 or not log)]
        label = name if len(pairs) == len(points) else f"{name} *"
        x, y = zip(*pairs, strict=True) if pairs else ((), ())
        ax.plot(x, y, label=label, color=LINES[i % len(LINES)], marker=_MARKERS[i % len(_MARKERS)],
                markersize=4.5, linewidth=1.6, linestyle="-" if i % 2 == 0 else "--")
    ax.set_xscale("log", base=2)
    lengths = sorted({x for points in lines.values() for x in points})
    lengths = lengths[:: -(-len(lengths) // 12)]  # at most 12 labels
    ax.set_xticks(lengths, [count_text(x) for x in lengths])
    ax.minorticks_off()
    if log:
        ax.set_yscale("log")
    star = any(line.get_label().endswith(" *") for line in ax.lines)
    note = "     (* a figure of 0 has no place on this axis)" if star else ""
    ax.set_xlabel((xlabel or words[0]) + note, fontsize=10, color=INK)
    ax.set_ylabel(ylabel or words[1], fontsize=10, color=INK)
    ax.grid(color=PALE, linewidth=0.6)
    headline(ax, title or words[2])
    columns = 3 if max(map(len, lines)) < 28 else 2
    ax.legend(frameon=False, fontsize=9, ncols=columns, loc="upper left",
              bbox_to_anchor=(-0.02, -0.16))
    plain(ax)
    return ax


_FIGURES = {"relative_error": "relative error of the output", "gain": "gain (1 is right)",
            "keys_lost": "share of keys that left no trace", "found": "share of needles found"}


def _lines(
    result: Study, of: str, mean: float | None, weight: float | None
) -> tuple[dict[str, dict[float, float]], str, str, str]:
    """({setting: {length: figure}}, label of x, label of y, title)."""
    if "cells" in result:
        cells = _cells(result, of, mean=mean, weight=weight)
        lines: dict[str, dict[float, float]] = {}
        for cell in cells:
            if cell["variant"] != "exact":
                lines.setdefault(cell["variant"], {})[cell["context"]] = _figure(cell, of)
        where = f"μ = {cells[0]['mean']:g}, needle weight {cells[0]['weight']:g}"
        return lines, "keys in the context", _FIGURES[of], f"FP8 attention against exact: {where}"
    if "by_keys" in result:
        names = [side["preset"] for side in result["sides"]]
        points = {row["keys"]: row["max_absolute"] for row in result["by_keys"]}
        return ({f"{names[0]} - {names[1]}": points}, "keys in the context",
                "largest difference of an output", f"{names[0]} against {names[1]}")
    if "by_k" in result:
        names = [side["machine"] for side in result["sides"]]
        points = {row["k"]: row["max_ulp"] for row in result["by_k"]}
        return ({" - ".join(names): points}, "K", "largest difference, ulp",
                f"{names[0]} against {names[1]}")
    if not result or not all(isinstance(points, Mapping) for points in result.values()):
        raise ValueError("result: expected a Report of needle or compare, or {setting: {length: "
                         f"figure}}}}, found {', '.join(map(str, list(result)[:4])) or 'nothing'}")
    own = {str(name): dict(points) for name, points in result.items()}
    return own, "K", "relative error", "Error against K"


def _figure(cell: Mapping[str, Any], of: str) -> float:
    return cell["found"] / cell["trials"] if of == "found" else float(cell[of])


def _cells(result: Study, of: str, **wanted: Any) -> list[Mapping[str, Any]]:
    """The cells of a needle study with the wanted mean, weight, variant."""
    if of not in _FIGURES:
        raise ValueError(f"of: expected {', '.join(_FIGURES)}, found {of!r}")
    cells: list[Mapping[str, Any]] = list(result["cells"])
    for name, value in wanted.items():
        known = sorted({cell[name] for cell in cells})
        if value is None and len(known) == 1:
            value = known[0]
        if value not in known:
            raise ValueError(f"{name}: expected {' or '.join(map(str, known))}, found {value!r}")
        cells = [cell for cell in cells if cell[name] == value]
    return cells


def heat_map(
    result: Study, ax: Axes | None = None, *, of: str = "keys_lost",
    variant: str = "FP8 one-level", weight: float | None = None,
) -> Axes:
    """A figure over the whole grid of a needle study: contexts across, the common mode of V down.

    result    a Report of `lostbits.needle`
    of        "keys_lost" (the share of keys that left no trace), "found", "gain" or
              "relative_error"
    variant   which attention; weight: which needle, where the study has several

    Returns the Axes. Raises ValueError on a variant or a weight that is not in the study.
    """
    if "cells" not in result:
        raise ValueError("result: expected the Report of a needle study, found no cells")
    cells = _cells(result, of, variant=variant, weight=weight)
    contexts = sorted({cell["context"] for cell in cells})
    means = sorted({cell["mean"] for cell in cells})
    grid = np.full((len(means), len(contexts)), np.nan)
    for cell in cells:
        grid[means.index(cell["mean"]), contexts.index(cell["context"])] = _figure(cell, of)
    ax = new_axes(ax, 1.5 + 0.36 * len(means))
    norm = mpl.colors.LogNorm() if of == "relative_error" else mpl.colors.Normalize(0, 1)
    ax.imshow(grid, cmap=loss_colours(reverse=of in ("found", "gain")), norm=norm, aspect="auto")
    text = "{:.0%}" if of in ("keys_lost", "found") else "{:.2g}"
    for (y, x), value in np.ndenumerate(grid):
        words = "<1%" if of == "keys_lost" and 0 < value < 0.005 else text.format(value)
        ax.text(x, y, words, ha="center", va="center", fontsize=9, color=INK)
    ax.set_xticks(range(len(contexts)), [count_text(n) for n in contexts])
    ax.set_yticks(range(len(means)), [f"{mean:g}" for mean in means])
    ax.set_xlabel("keys in the context", fontsize=10, color=INK)
    ax.set_ylabel("common mode of V, μ", fontsize=10, color=INK)
    headline(ax, f"{variant}: {_FIGURES[of]} (needle weight {cells[0]['weight']:g})")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def keys_cut(explanations: Study, ax: Axes | None = None) -> Axes:
    """Where in a long sum the terms are cut to nothing: a row a setting, along the sum.

    explanations   {setting: Report of `lostbits.explain`} of one length, or one Report

    Returns the Axes; each row's colour is the share of an instruction's terms that is cut to
    nothing, the number at its right that of the whole sum. Raises ValueError on different lengths.
    """
    if "instructions" in explanations:
        explanations = {explanations["machine"]: explanations}
    lengths = {len(e["inputs"]["a"]) for e in explanations.values()}
    if len(lengths) != 1:
        raise ValueError(f"explanations: expected one length, found {sorted(lengths)}")
    (length,) = lengths
    ax = new_axes(ax, 1.25 + 0.42 * len(explanations))
    for y, e in enumerate(explanations.values()):
        gone = [[one["gone"] / max(one["terms"], 1) for one in e["instructions"]]]
        image = ax.imshow(gone, cmap=loss_colours(), aspect="auto", vmin=0, vmax=1,
                          extent=(0, length, y + 0.38, y - 0.38))
    ax.set_ylim(len(explanations) - 0.5, -0.5)
    ax.set_yticks(range(len(explanations)), list(explanations), color=INK)
    shares = [f"{e['gone'] / max(e['terms'], 1):.1%}" for e in explanations.values()]
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(explanations)), shares, fontsize=9, color=INK)
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    ticks = np.linspace(0, length, 9 if length % 8 == 0 else 5)
    ax.set_xticks(ticks, [count_text(x) for x in ticks])
    ax.set_xlabel("terms, in the order in which they are added", fontsize=10, color=INK)
    headline(ax, f"Share of the terms that are cut to nothing, in a sum of {count_text(length)}")
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, fraction=0.03, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["none", "half", "all"], fontsize=8)
    bar.outline.set_visible(False)
    plain(ax)
    return ax
