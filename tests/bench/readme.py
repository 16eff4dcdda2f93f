#!/usr/bin/env python3
"""Measures, writes the result into README.md beside this file, and draws its curves.

usage: readme.py LOSTBITS      runs `lostbits bench all --markdown` (two minutes on a quiet machine)
       readme.py --draw        only draws docs/cost-against-size.svg from README's tables
       readme.py --check       exit code 1 if the picture is not what the tables say
"""
import html
import math
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
README, PICTURE = HERE / "README.md", HERE.parents[1] / "docs" / "cost-against-size.svg"
BEGIN, END = "<!-- lostbits bench all --markdown -->\n", "<!-- end -->\n"
AXES = ("K", "N", "keys", "threads")
WIDTH, HEIGHT, PLOT_W, PLOT_H = 860, 620, 330, 210
COLORS = ["#1f4e79", "#b3261e", "#2e7d32", "#7b5ea7"]


def curves(text):
    """(title, axis, names, [[x, a rate each, or None]]) of every table over an axis."""
    for title, table in re.findall(r"^### (.*)\n\n((?:\|.*\n)+)", text, flags=re.M):
        rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
                for line in table.splitlines()]
        if rows[0][0] in AXES:
            yield (title, rows[0][0], rows[0][1:],
                   [[float(cell) if cell else None for cell in row] for row in rows[2:]])


def round_up(value):
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below value."""
    power = 10 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= value)


def panel(curve, left, top):
    title, axis, names, rows = curve
    high = round_up(max(rate for row in rows for rate in row[1:] if rate is not None))
    first, last = rows[0][0], rows[-1][0]
    head, _, state = title.partition(": ")

    def at(x, rate):
        along = math.log2(x / first) / math.log2(last / first)
        return left + PLOT_W * along, top + PLOT_H * (1 - rate / high)

    yield (f'<text x="{left - 34}" y="{top - 14}" font-weight="bold" fill="#111">'
           f'{html.escape(head)}</text>')
    for i in range(6):
        y = top + PLOT_H * i / 5
        yield (f'<line x1="{left}" y1="{y:.1f}" x2="{left + PLOT_W}" y2="{y:.1f}" stroke="#ddd"/>'
               f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#444">'
               f'{high * (5 - i) / 5:g}</text>')
    for row in rows:
        x = row[0]
        label = f"{x / 1024:g}k" if x >= 1024 and x % 1024 == 0 else f"{x:g}"
        yield (f'<text x="{at(x, 0)[0]:.1f}" y="{top + PLOT_H + 16}" text-anchor="middle" '
               f'fill="#444">{label}</text>')
    yield (f'<text x="{left + PLOT_W}" y="{top + PLOT_H + 31}" text-anchor="end" fill="#444">'
           f'{axis} ({html.escape(state)})</text>')
    for number, (color, name) in enumerate(zip(COLORS, names)):
        dots = [at(row[0], row[number + 1]) for row in rows if row[number + 1] is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        yield "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>'
                      for x, y in dots)
        x, y = dots[-1]
        yield (f'<text x="{x - 4:.1f}" y="{y - 7:.1f}" text-anchor="end" fill="{color}">'
               f'{html.escape(name)}</text>')


def picture(text):
    known = dict(re.findall(r"^- (CPU|lanes|OpenBLAS): (.*)$", text, flags=re.M))
    caption = (f"{known['CPU']}. Lanes: {known['lanes'].split(';')[0]}. "
               f"OpenBLAS: {known['OpenBLAS'].split(';')[0]}.")
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="DejaVu Sans, Helvetica, sans-serif" font-size="11">',
             "<title>Rates of bit-exact matrix products and attention against size</title>",
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for number, curve in enumerate(curves(text)):
        lines += panel(curve, 60 + number % 2 * 420, 50 + number // 2 * 290)
    lines.append(f'<text x="26" y="{HEIGHT - 12}" fill="#444">{html.escape(caption)}</text>')
    return "\n".join(lines) + "\n</svg>\n"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    text = README.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"README.md: expected one line {BEGIN!r} and one line {END!r}")
    if sys.argv[1] == "--check":
        if not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture(text):
            sys.exit(f"{PICTURE} is not what README.md's tables say; tests/bench/readme.py --draw")
        print("the picture is what the tables say")
        return
    if sys.argv[1] != "--draw":
        printed = subprocess.run([sys.argv[1], "bench", "all", "--markdown"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        before, rest = text.split(BEGIN)
        text = before + BEGIN + "\n" + printed + END + rest.split(END)[1]
        README.write_text(text, encoding="utf-8")
    PICTURE.write_text(picture(text), encoding="utf-8")


if __name__ == "__main__":
    main()
