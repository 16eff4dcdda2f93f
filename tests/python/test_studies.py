"""explain, compare, needle: what the program prints, as dict and as text."""

import ml_dtypes
import numpy as np
import pytest
from conftest import HOPPER, sample, words

import lostbits

LINE = "57 39 B6 01 ; 57 0C 04 30 ; 3E99999A"
WIDTH = 120  # of the program where its output is no terminal


def same(report, program, *command):
    assert report == program.json(*command)
    assert str(report) == program.text(*command)


def test_explain(program):
    same(lostbits.explain(LINE, machine=HOPPER, width=WIDTH), program,
         "explain", "-m", HOPPER, LINE)
    same(lostbits.explain(machine=HOPPER, width=WIDTH), program, "explain", HOPPER)
    codes = [np.array([int(word, 16) for word in part.split()], np.uint8)
             for part in LINE.split(";")[:2]]
    c = np.array(0x3E99999A, np.uint32)
    assert lostbits.explain(*codes, c, machine=HOPPER) == lostbits.explain(LINE, machine=HOPPER)
    a = np.full(100, 0.4375, ml_dtypes.float8_e4m3fn)
    report = lostbits.explain(a, a, machine=HOPPER, promote=2, step="worst", width=WIDTH)
    same(report, program, "explain", "-m", HOPPER, "--promote", 2, "--step", "worst",
         " ".join(["2E"] * 100) + ";" + " ".join(["2E"] * 100) + "; 0")
    assert int(report["returned"]["word"], 16) == words(
        lostbits.gemm(a[None], a[:, None], machine=HOPPER, promote=2))[0, 0]


def test_compare(program, rng):
    same(lostbits.compare(HOPPER, "ada:mma.sync:e4m3:f32", k=512, m=8, n=8, width=WIDTH), program,
         "compare", HOPPER, "ada:mma.sync:e4m3:f32", "--k", 512, "--m", 8, "--n", 8)
    x = sample("product")["a"].astype(np.float32)
    y = sample("product")["b"].astype(np.float32)
    program.save("a.npy", x), program.save("b.npy", y)
    ours = lostbits.compare(HOPPER, HOPPER, a=x, b=y, promote_b=4)
    theirs = program.json("compare", HOPPER, HOPPER, "--a", "a.npy", "--b", "b.npy",
                          "--promote-b", 4)
    assert {**ours, "operands": 0} == {**theirs, "operands": 0}  # where they came from
    pair = "fa3.sm90.e4m3@splits=2", "fa3.sm90.bf16"  # part at the first key
    same(lostbits.compare(*pair, k=20, width=WIDTH), program, "compare", *pair, "--k", 20)


def test_needle(program, rng):
    few = lostbits.needle(contexts=[1024, 2048], means=[1.0], weights=[0.2], trials=8, width=WIDTH)
    same(few, program, "needle", "--context", "1k,2k", "--mean", 1, "--weight", 0.2, "--trials", 8)
    q, k, v = (rng.standard_normal((n, 1, 64)).astype(np.float32) for n in (16, 300, 300))
    stacked = rng.standard_normal((3, 200, 2, 64)).astype(np.float32)
    program.save("qkv.npy", stacked)
    ours = lostbits.needle(*stacked, scale="amax", rows=2)
    theirs = program.json("needle", "--qkv", "qkv.npy", "--scale", "amax", "--rows", 2)
    assert {**ours, "file": 0} == {**theirs, "file": 0}
    assert len(lostbits.needle(q, k, v)["heads"]) == 7


def test_measure_error(program, rng):
    a, b = (sample("product")[name].astype(np.float32) for name in "ab")
    program.save("a.npy", a), program.save("b.npy", b)
    wanted = program.json("gemm", "a.npy", "b.npy", "--machine", HOPPER, "--promote", 4)["error"]
    codes = [lostbits.encode(x, "e4m3") for x in (a, b)]
    out, exact = lostbits.gemm(*codes, machine=HOPPER, promote=4), lostbits.exact_gemm(*codes)
    report = lostbits.measure_error(out, exact)
    assert report == {**wanted, "ulp_format": "float32"}
    assert f"SQNR      {wanted['sqnr_db']:.2f} dB" in str(report)
    four = lostbits.measure_error(out.reshape(2, 2, 2, 8), exact.reshape(2, 2, 2, 8))
    row, col = wanted["worst_ulp"]["index"]
    assert four["worst_ulp"]["index"] == [row // 4, row // 2 % 2, row % 2, col]
    x = np.array([1, np.nan, 3], ml_dtypes.float8_e4m3fn)
    error = lostbits.measure_error(x, np.array([1, np.nan, 2.75]))
    assert (error["unequal"], error["equal_specials"], error["max_ulp"]) == (1, 1, 1)
    assert error["gain"] == (1 + 3 * 2.75) / (1 + 2.75**2)


def test_a_notebook_shows_a_reports_text():
    class Printer:
        def text(self, text):
            self.shown = text

    printer, report = Printer(), lostbits.explain(machine=HOPPER)
    report._repr_pretty_(printer, False)
    assert printer.shown == str(report)


@pytest.mark.parametrize("call, says", [
    (lambda: lostbits.measure_error(np.ones(3), np.ones((3, 1))),
     "out is [3], reference is [3, 1]"),
    (lambda: lostbits.measure_error(np.ones(3, np.uint8), np.ones(3)), "codes without a format"),
    (lambda: lostbits.explain(np.ones(3), machine=HOPPER), "both a and b"),
    (lambda: lostbits.explain(LINE, np.ones(3), machine=HOPPER), "line of hex"),
    (lambda: lostbits.explain(np.ones(3), np.ones(4), machine=HOPPER), "found 3 and 4"),
    (lambda: lostbits.explain(LINE, machine=HOPPER, step=9), "step: expected 1 to 1"),
    (lambda: lostbits.explain("1 2 3", machine=HOPPER), "found 1 field"),
    (lambda: lostbits.explain(np.ones((2, 3)), np.ones((2, 3)), machine=HOPPER),
     "a: expected one axis, found shape [2, 3]"),
    (lambda: lostbits.compare(HOPPER, "fa3"), "fa3"),
    (lambda: lostbits.compare(HOPPER, HOPPER, a=np.ones((2, 3)), b=np.ones((4, 5))),
     "a is [2, 3] and b is [4, 5]"),
    (lambda: lostbits.compare("fa3.sm90.bf16", "fa3.sm90.bf16", a=np.ones((2, 3))),
     "a: expected none with attention"),
    (lambda: lostbits.needle(contexts=[10]), "1024"),
    (lambda: lostbits.needle(contexts=1024), "contexts: expected numbers in a list, found 1024"),
    (lambda: lostbits.needle(contexts=["1k"]), "contexts: expected numbers, found ['1k']"),
    (lambda: lostbits.needle(*[np.ones((4, 64))] * 3, contexts=[1024]), "contexts: expected none"),
    (lambda: lostbits.needle(*[np.ones((4, 64))] * 3, trials=8), "trials: expected none beside"),
    (lambda: lostbits.needle(rows=2), "rows: expected none without q, k and v"),
    (lambda: lostbits.needle(scale="amax"), "scale: expected none without q, k and v"),
    (lambda: lostbits.needle(np.ones((4, 64))), "q, k and v"),
    (lambda: lostbits.needle(*[np.ones((4, 64))] * 3, scale="max"), "1 or amax"),
])
def test_errors(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value) and "--" not in str(error.value)
