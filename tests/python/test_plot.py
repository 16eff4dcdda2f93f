"""Pictures show what the package returned, in files that do not change from run to run."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from conftest import HOPPER, ROOT

import lostbits

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from lostbits import plot

LINE = "57 39 B6 01 ; 57 0C 04 30 ; 3E99999A"
BLACKWELL = "blackwell:tcgen05:e4m3:f32"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def study():
    return lostbits.needle(contexts=[1024, 8192], means=[0.0, 2.0], weights=[0.05, 0.2], trials=8)


def drawn_bits(ax):
    """[(label, {weight: (digit, "kept" or "cut")})], from the top."""
    labels = {round(y, 3): text.get_text()
              for y, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    rows = {y: {} for y in sorted(labels)}
    for text in ax.texts:
        if text.get_gid() in ("kept", "cut"):
            x, y = text.get_position()
            rows[round(y, 3)][x] = text.get_text(), text.get_gid()
    boxes = {(round(box.get_x() + 0.44), round(box.get_y() + 0.4, 3)): box.get_gid()
             for box in ax.patches if box.get_gid() in ("kept", "cut")}
    assert boxes == {(x, y): gid for y in rows for x, (_, gid) in rows[y].items()}
    return [(labels[y], rows[y]) for y in sorted(rows)]


def digits(row, kind):
    return "".join(digit for _, (digit, gid) in sorted(row.items(), reverse=True) if gid == kind)


@pytest.mark.parametrize("machine", [HOPPER, BLACKWELL, "ada:mma.sync:e4m3:f32"])
def test_the_strip_shows_the_bits_of_explain(machine):
    e = lostbits.explain(LINE, machine=machine)
    step = next(s for s in e["shown"][0]["steps"] if len(s["terms"]) > 1)
    *terms, total, returned = drawn_bits(plot.bit_strip(e))
    assert len(terms) == len(step["terms"])
    for (label, row), term in zip(terms, step["terms"], strict=True):
        own = term.get("kept_bits", "")[: term["bits"]]
        assert digits(row, "kept") == own, label
        assert digits(row, "cut") == term.get("dropped_bits", "")
        assert all(weight >= term["lsb"] for weight, (_, kind) in row.items() if kind == "kept")
        assert all(weight < term["lsb"] for weight, (_, kind) in row.items() if kind == "cut")
        value = sum(int(digit) * 2.0**weight for weight, (digit, _) in row.items())
        assert value == abs(term["value"]), label
    assert digits(total[1], "kept") == step["kept_bits"]
    assert digits(total[1], "cut") == step["dropped_bits"]
    back = sum(int(digit) * 2.0**weight for weight, (digit, _) in returned[1].items())
    assert back == step["result"]["value"]


def test_the_strip_names_what_it_shows():
    ax = plot.bit_strip(lostbits.explain(LINE, machine=HOPPER))
    labels = [label for label, _ in drawn_bits(ax)]
    assert labels == ["15 × 15", "1.125 × 0.02344", "−0.875 × 0.007812", "0.001953 × 0.5",
                      "c = 0.3", "sum", "returned, E8M13"]
    notes = [text.get_text() for text in ax.child_axes[0].get_yticklabels()]
    assert notes == ["whole", "5 of 7 bits cut", "cut to nothing", "cut to nothing",
                     "18 of 24 bits cut", "1 bit rounded off", "225.3125"]


@pytest.mark.parametrize("sign", ["", "-"])
def test_the_strip_of_an_overflow_and_of_nothing(sign):
    large = np.full(4, 448, np.float32)
    e = lostbits.explain(large, float(f"{sign}1") * large, machine="hopper:wgmma:e4m3:f16")
    *_, total, returned = drawn_bits(plot.bit_strip(e))
    assert total[1] and returned == ("returned, FP16", {})
    notes = [text.get_text() for text in plt.gca().child_axes[0].get_yticklabels()]
    assert notes[-1] == f"{sign}inf".replace("-", "−")
    nothing = drawn_bits(plot.bit_strip(lostbits.explain(0 * large, large, machine=HOPPER)))
    assert nothing == [("sum", {}), ("returned, E8M13", {})]


def test_the_strip_of_a_long_chain(rng):
    a, b = rng.standard_normal((2, 100)).astype(np.float32)
    with pytest.raises(ValueError, match='step="worst"'):
        plot.bit_strip(lostbits.explain(a, b, machine=HOPPER))
    e = lostbits.explain(a, b, machine=HOPPER, step=2)
    rows = drawn_bits(plot.bit_strip(e, terms=6))
    assert len(rows) == 6 + 2 and rows[5][0].startswith("c =")
    with pytest.raises(ValueError, match="instruction: expected 2, found 1"):
        plot.bit_strip(e, instruction=1)
    with pytest.raises(ValueError, match="step: expected 1 to 1, found 3"):
        plot.bit_strip(e, step=3)
    with pytest.raises(ValueError, match="finite"):
        plot.bit_strip(lostbits.explain("7F ; 38 ; 0", machine=HOPPER))


@pytest.mark.parametrize("format", ["float8_e4m3fn", "float8_e5m2fnuz", "float4_e2m1fn", "float16"])
def test_the_lattice_has_every_number(format):
    dtype = np.dtype(getattr(ml_dtypes, format, format))
    bits = {1: np.uint8, 2: np.uint16}[dtype.itemsize]
    count = 16 if format == "float4_e2m1fn" else 2 ** (8 * dtype.itemsize)
    numbers = np.arange(count, dtype=bits).view(dtype).astype(np.float64)
    numbers = np.unique(numbers[np.isfinite(numbers)])
    smallest = lostbits.finfo(format).min_normal
    for log, wanted in (True, numbers[numbers > 0]), (False, numbers):
        normal, subnormal = (
            np.sort([segment[0][0] for segment in lines.get_segments()])
            for lines in plot.lattice(format, log=log).collections)
        assert np.array_equal(normal, wanted[np.abs(wanted) >= smallest])
        assert np.array_equal(subnormal, wanted[np.abs(wanted) < smallest])


def test_lines_are_the_cells_of_a_study(study):
    ax = plot.error_against_context(study, mean=2, weight=0.05)
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert len(lines) == 6
    for variant, points in lines.items():
        assert points == [[c["context"], c["relative_error"]] for c in study["cells"]
                          if (c["variant"], c["mean"], c["weight"]) == (variant, 2, 0.05)]
    found = plot.error_against_context(study, of="found", mean=0, weight=0.2).lines[0]
    assert found.get_ydata().tolist() == [1, 1]


def test_lines_of_compare_and_of_ones_own():
    pair = lostbits.compare("fa3.sm90.e4m3@splits=2", "fa3.sm90.bf16", k=300)
    points = plot.error_against_context(pair).lines[0].get_xydata().tolist()
    assert points == [[row["keys"], row["max_absolute"]] for row in pair["by_keys"]
                      if row["max_absolute"]]
    ax = plot.error_against_context({"a": {8: 0.5, 4: 0.25}, "b": {4: 0, 8: 1}}, xlabel="length")
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[4, 0.25], [8, 0.5]], [[8, 1]]]
    assert [line.get_label() for line in ax.lines] == ["a", "b *"]
    assert ax.get_xlabel().startswith("length ") and "* a figure of 0" in ax.get_xlabel()


def test_heat_map_is_the_grid(study, tmp_path):
    ax = plot.heat_map(study, of="keys_lost", variant="FP8 one-level", weight=0.2)
    cells = [c for c in study["cells"] if (c["variant"], c["weight"]) == ("FP8 one-level", 0.2)]
    wanted = [[next(c["keys_lost"] for c in cells if (c["mean"], c["context"]) == (mean, n))
               for n in (1024, 8192)] for mean in (0, 2)]
    assert ax.images[0].get_array().tolist() == wanted
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1k", "8k"]
    plot.save(plot.heat_map(study, of="relative_error", weight=0.2), tmp_path / "error.png")


def test_keys_cut_is_the_share_of_each_instruction():
    ones = np.ones(40_000, np.float32)
    runs = {"one": lostbits.explain(ones, ones, machine=HOPPER),
            "two": lostbits.explain(ones, ones, machine=HOPPER, promote=4)}
    ax = plot.keys_cut(runs)
    for image, e in zip(ax.images, runs.values(), strict=True):
        assert image.get_array()[0].tolist() == [i["gone"] / i["terms"] for i in e["instructions"]]
    assert ax.images[0].get_array()[0, -1] == 1 and ax.images[1].get_array().max() == 0
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "two"]


@pytest.mark.parametrize("ending, magic", [(".svg", b"<?xml"), (".png", b"\x89PNG\r\n")])
def test_the_same_bytes_twice(tmp_path, ending, magic):
    paths = [tmp_path / f"{name}{ending}" for name in "ab"]
    for path in paths:
        plot.save(plot.bit_strip(lostbits.explain(LINE, machine=HOPPER)), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second and first.startswith(magic) and len(first) > 5000
    assert b"Date" not in first and b"date>" not in first and b"Software" not in first
    assert sorted(tmp_path.iterdir()) == paths


def test_readmes_pictures_are_drawn_by_the_package(tmp_path):
    pictures = sorted((ROOT / "docs").glob("*-cut.svg"))
    if f"Matplotlib v{mpl.__version__}," not in pictures[0].read_text():
        pytest.skip(f"docs/ was drawn by another matplotlib than {mpl.__version__}")
    subprocess.run([sys.executable, ROOT / "docs" / "pictures.py", tmp_path], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in pictures]
    for path in pictures:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_save_takes_figures_and_refuses_other_endings(tmp_path):
    figure, axes = plt.subplots(1, 2)
    assert plot.lattice("e4m3", axes[1]) is axes[1]
    plot.save(figure, tmp_path / "two.png")
    with pytest.raises(ValueError, match="found 'x.nothing'"):
        plot.save(axes[0], tmp_path / "x.nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["two.png"]


@pytest.mark.parametrize("call, says", [
    (lambda s: plot.lattice("float32"), "at most 16 bits, found float32"),
    (lambda s: plot.heat_map(s, weight=0.05, variant="FP9"), "variant: expected BF16 or"),
    (lambda s: plot.heat_map({}), "no cells"),
    (lambda s: plot.error_against_context(s, mean=1, weight=0.2), "mean: expected 0.0 or 2.0"),
    (lambda s: plot.error_against_context(s, mean=2), "weight: expected 0.05 or 0.2, found None"),
    (lambda s: plot.error_against_context(s, of="ulps"), "of: expected relative_error"),
    (lambda s: plot.error_against_context({"a": 1}), "found a"),
    (lambda s: plot.keys_cut({n: lostbits.explain(*[np.ones(n)] * 2, machine=HOPPER)
                              for n in (3, 4)}), r"one length, found \[3, 4\]"),
])
def test_errors(study, call, says):
    with pytest.raises(ValueError, match=says):
        call(study)


def test_without_matplotlib(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('No module named matplotlib')\n")
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import lostbits\n"
            "try: import lostbits.plot\n"
            "except ImportError as error: print(error)")
    run = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert run.stdout == ("lostbits.plot needs matplotlib (No module named matplotlib): "
                          "pip install 'lostbits[plot]'\n"), run.stderr
    alone = "import lostbits, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", alone], check=True)
