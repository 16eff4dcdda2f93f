#!/usr/bin/env python3
"""Draws cost against size, from `lostbits bench scaling --json`, as SVG. Standard library only.

usage: lostbits bench scaling --json | picture.py > docs/cost-against-size.svg
"""
import html
import json
import math
import sys

WIDTH, HEIGHT, PLOT_W, PLOT_H = 860, 620, 330, 210
COLORS = ["#1f4e79", "#b3261e", "#2e7d32", "#7b5ea7"]


def nice_top(value):
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below value."""
    power = 10 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= value)


def short(x):
    return f"{x / 1024:g}k" if x >= 1024 and x % 1024 == 0 else f"{x:g}"


def panel(group, left, top):
    series = {}
    for r in group["results"]:
        series.setdefault(r["series"], []).append((r["x"], r["rate"] / 1e9))
    xs = sorted({x for points in series.values() for x, _ in points})
    high = nice_top(max(rate for points in series.values() for _, rate in points))
    span = math.log2(xs[-1] / xs[0]) or 1

    def at(x, rate):
        return (left + PLOT_W * math.log2(x / xs[0]) / span, top + PLOT_H * (1 - rate / high))

    unit = "G" + group["unit"] + "/s"
    yield (f'<text x="{left - 34}" y="{top - 14}" font-weight="bold" fill="#111">'
           f'{html.escape(group["title"])}, {unit}</text>')
    for i in range(6):
        y = top + PLOT_H * i / 5
        yield (f'<line x1="{left}" y1="{y:.1f}" x2="{left + PLOT_W}" y2="{y:.1f}" stroke="#ddd"/>'
               f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#444">'
               f'{high * (5 - i) / 5:g}</text>')
    for x in xs[::1 if len(xs) <= 6 else 2]:
        yield (f'<text x="{at(x, 0)[0]:.1f}" y="{top + PLOT_H + 16}" text-anchor="middle" '
               f'fill="#444">{short(x)}</text>')
    yield (f'<text x="{left + PLOT_W}" y="{top + PLOT_H + 30}" text-anchor="end" fill="#444">'
           f'{group["axis"]} ({html.escape(group["state"])})</text>')
    for color, (name, points) in zip(COLORS, series.items()):
        dots = [at(x, rate) for x, rate in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        yield "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>'
                      for x, y in dots)
        x, y = dots[-1]
        yield (f'<text x="{x - 4:.1f}" y="{y - 7:.1f}" text-anchor="end" fill="{color}">'
               f'{html.escape(name)}</text>')


def main():
    result = json.load(sys.stdin)
    host = result["host"]
    blas = result["openblas"]
    caption = (f'{host["cpu"]}, lanes {host["instruction_set"]}'
               + (f', OpenBLAS kernels {blas["kernel"]}' if blas else ", no OpenBLAS"))
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="DejaVu Sans, Helvetica, sans-serif" font-size="11">',
             "<title>Rates of bit-exact matrix products and attention against size</title>",
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
    for number, group in enumerate(g for g in result["groups"] if g["axis"]):
        lines += panel(group, 60 + number % 2 * 420, 50 + number // 2 * 290)
    lines.append(f'<text x="26" y="{HEIGHT - 12}" fill="#444">{html.escape(caption)}</text>')
    print("\n".join(lines) + "\n</svg>")


if __name__ == "__main__":
    main()
