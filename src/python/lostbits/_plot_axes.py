"""What the pictures of lostbits.plot share: axes, colours, files. The only import of matplotlib."""

from __future__ import annotations

import math
import os
import pathlib
from typing import Any

try:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError(
        f"lostbits.plot needs matplotlib ({error}): pip install 'lostbits[plot]'"
    ) from error

__all__ = ["CUT", "INK", "KEPT", "LINES", "PALE", "SOFT", "Axes", "Figure", "count_text",
           "headline", "loss_colours", "mpl", "new_axes", "plain", "save"]

# Okabe and Ito's colours, which people with any colour vision tell apart (jfly.uni-koeln.de/color).
KEPT, CUT = "#0072b2", "#d55e00"  # blue, vermilion
LINES = ("#000000", CUT, "#009e73", KEPT, "#cc79a7", "#e69f00", "#56b4e9")
INK, SOFT, PALE = "#222222", "#666666", "#dddddd"

_WIDTH = 8.3  # inches at 100 dots: README's column


def new_axes(ax: Axes | None, height: float) -> Axes:
    """The caller's axes, or those of a new figure as wide as a page."""
    if ax is not None:
        return ax
    return plt.figure(figsize=(_WIDTH, height), dpi=100, layout="constrained").add_subplot()


def headline(ax: Axes, text: str) -> None:
    ax.set_title(text, loc="left", fontsize=11, fontweight="bold", color=INK)


def plain(ax: Axes) -> None:
    ax.tick_params(length=3, color=SOFT, labelsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(SOFT)


def loss_colours(reverse: bool = False) -> mpl.colors.Colormap:
    """From nothing lost, pale, to all lost, vermilion; reverse: of shares that are kept."""
    colours = ["#e8eef3", "#f0b98d", CUT][:: -1 if reverse else 1]
    return mpl.colors.LinearSegmentedColormap.from_list("loss", colours)


def count_text(n: float) -> str:
    """1024: "1k", 2^20: "1M", 97: "97", 2^-10 as a power."""
    if 0 < n < 1 and math.frexp(n)[0] == 0.5:
        return f"$2^{{{math.frexp(n)[1] - 1}}}$"
    for unit, size in ("M", 2**20), ("k", 2**10):
        if n >= size and n % size == 0:
            return f"{n / size:.0f}{unit}"
    return f"{n:g}"


def save(picture: Axes | Figure, path: str | os.PathLike[str], *, dpi: int = 100) -> None:
    """Writes a picture as .png or .svg (or what else matplotlib knows): the same picture, the same
    bytes; whole or not at all.

    picture   Axes or their Figure
    dpi       dots an inch of a PNG
    Raises ValueError on a type of file that matplotlib does not write.
    """
    figure: Any = picture
    while not isinstance(figure, Figure):  # axes, or a part of a figure
        figure = figure.figure
    path = pathlib.Path(path)
    kind = path.suffix.removeprefix(".").lower()
    kinds = figure.canvas.get_supported_filetypes()
    if kind not in kinds:
        raise ValueError(f"path: expected a name that ends in .png or .svg, found {path.name!r}")
    metadata: dict[str, None] = {"svg": {"Date": None}, "pdf": {"CreationDate": None},
                                 "png": {"Software": None}}.get(kind, {})
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with mpl.rc_context({"svg.hashsalt": "lostbits", "svg.fonttype": "path"}):
            figure.savefig(beside, format=kind, dpi=dpi, metadata=metadata)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
