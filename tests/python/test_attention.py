"""attention and exact_attention: equal to the program; shapes, masks, errors."""

import pathlib
import subprocess

import ml_dtypes
import numpy as np
import pytest
from conftest import assert_same_bits, sample, words

import lostbits

CASES = [
    {}, {"causal": True}, {"preset": "fa3.sm90.e4m3.one-level"},
    {"preset": "fa3.sm90.e4m3.every-4", "interval": 2}, {"preset": "fa3.sm90.bf16", "causal": True},
    {"accumulation": "exact"}, {"splits": 3, "decode": "off"}, {"softcap": 5.0},
    {"softmax_scale": 0.25, "block_n": 64}, {"exp2": "polynomial"},
    {"preset": "sm100.e4m3", "allow_unverified": True},
]


def options_of(case):
    for key, value in case.items():
        yield f"--{key.replace('_', '-')}"
        if value is not True:
            yield value


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_program(program, rng, case):
    shapes = {"q": (2, 40, 4, 64), "k": (2, 333, 2, 64), "v": (2, 333, 2, 64)}
    q, k, v = (rng.standard_normal(shape).astype(np.float32) for shape in shapes.values())
    for name, x in zip("qkv", (q, k, v)):
        program.save(f"{name}.npy", x)
    program.text("attention", "q.npy", "k.npy", "v.npy", "-o", "o.npy", "--lse", "lse.npy",
                 "--no-error", "--output-format", "float32", *options_of(case))
    o, lse = lostbits.attention(q, k, v, return_lse=True, output_format="float32", **case)
    assert_same_bits(o, program.load("o.npy"), f"o {case}")
    assert_same_bits(lse, program.load("lse.npy"), f"lse {case}")
    o = lostbits.attention(q, k, v, threads=1, **case)
    assert o.dtype == ml_dtypes.bfloat16 and o.shape == q.shape


def test_sample_descales_window_and_sinks(program, rng):
    q, k, v = (sample("attention")[name].astype(np.float32) for name in "qkv")
    sinks = rng.standard_normal(2).astype(np.float32)
    for name, x in {"q": q, "k": k, "v": v, "s": sinks}.items():
        program.save(f"{name}.npy", x)
    program.text("attention", "q.npy", "k.npy", "v.npy", "-o", "o.npy", "--no-error", "--window",
                 100, 0, "--k-descale", 0.5, "--v-descale", 0.125, "--sinks", "s.npy")
    o = lostbits.attention(q, k, v, window=(100, 0), k_descale=0.5, v_descale=0.125, sinks=sinks)
    assert_same_bits(lostbits.decode(o), program.load("o.npy")[0])


def test_codes_of_every_kind_are_values_encoded(library, rng):
    x = [rng.standard_normal((30, 2, 64)).astype(np.float32) for _ in "qkv"]
    expected = lostbits.attention(*x, causal=True)
    codes = [library(lostbits.encode(y, "e4m3")) for y in x]
    assert_same_bits(lostbits.attention(*codes, causal=True), expected)
    raw = [lostbits.encode(y, "e4m3").view(np.uint8) for y in x]
    assert_same_bits(lostbits.attention(*raw, causal=True), expected)


def test_the_interval_of_every_n(rng):
    x = [rng.standard_normal((2000, 64)).astype(np.float32) + 1 for _ in "qkv"]
    every = [lostbits.attention(*x, accumulation="every-n", interval=n) for n in (0, 4, 2)]
    assert_same_bits(every[0], every[1])
    assert (words(every[1]) != words(every[2])).any()
    preset = {"preset": "fa3.sm90.e4m3.every-4"}
    assert_same_bits(lostbits.attention(*x, **preset), every[1])
    assert_same_bits(lostbits.attention(*x, **preset, interval=2), every[2])


def test_exact_attention_is_softmax(rng):
    q, k, v = (lostbits.encode(rng.standard_normal((20, 64)).astype(np.float32), "e4m3")
               for _ in "qkv")
    o, lse = lostbits.exact_attention(q, k, v, return_lse=True)
    scores = q.astype(np.float64) @ k.astype(np.float64).T / 8
    weights = np.exp(scores)
    np.testing.assert_allclose(o, weights @ v.astype(np.float64) / weights.sum(1)[:, None],
                               rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(lse[0, 0], np.log(weights.sum(1)), rtol=1e-12)
    assert o.dtype == lse.dtype == np.float64 and lse.shape == (1, 1, 20)
    assert_same_bits(lostbits.exact_attention(q, k, v, threads=1), o)


X = np.ones((2, 8, 4, 64), np.float32)


@pytest.mark.parametrize("call, says", [
    (lambda: lostbits.attention(X, X[..., :32], X[..., :32]),
     "Q is [2, 8, 4, 64], K is [2, 8, 4, 32], V is [2, 8, 4, 32]"),
    (lambda: lostbits.exact_attention(X, X[:1], X[:1]), "Q is [2, 8, 4, 64], K is [1, 8, 4, 64]"),
    (lambda: lostbits.attention(X, X[:, :, :3], X[:, :, :3]), "heads of Q a multiple"),
    (lambda: lostbits.attention(X[0, 0, 0], X, X), "found shape [64]"),
    (lambda: lostbits.attention(X, X, X, preset="fa4"), "unknown preset 'fa4'"),
    (lambda: lostbits.attention(X, X, X, preset="sm100.e4m3"), "allow_unverified=True"),
    (lambda: lostbits.attention(X, X, X, k_descale=np.ones(3, np.float32)), "found shape [3]"),
    (lambda: lostbits.attention(X, X, X, window=(1,)), "window: expected (left, right)"),
    (lambda: lostbits.attention(X, X, X, window=5), "window: expected (left, right), found 5"),
    (lambda: lostbits.attention(X, X, X, causal=None), "causal: expected bool, found None"),
    (lambda: lostbits.attention(X, X, X, softmax_scale="1"), "softmax_scale: expected float"),
    (lambda: lostbits.attention(X, X, X, interval=4), "without accumulation every-n, found 4"),
    (lambda: lostbits.attention(X, X, X, preset="fa3.sm90.e4m3.every-4", interval=4,
                                accumulation="per-tile"), "without accumulation every-n"),
    (lambda: lostbits.attention(X, X, X, output_format="float16"), "bfloat16 or float32"),
    (lambda: lostbits.attention(X, X, X, sinks=np.ones(3, np.float32)), "expected 4 float32"),
])
def test_errors_name_all_shapes(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value) and "--" not in str(error.value)


def test_exp2_from_a_file(program, rng, tmp_path):
    """A capture of one block of inputs: it is read, and an input that it lacks is named."""
    gpu = pathlib.Path(program.path).with_name("lostbits-gpu")
    if not gpu.exists():
        pytest.skip(f"{gpu} is not built")
    subprocess.run([gpu, "ex2", "--simulate", "hopper", "--blocks", "1", "--to", tmp_path],
                   check=True, capture_output=True)
    q, k, v = (rng.standard_normal((8, 1, 64)).astype(np.float32) for _ in range(3))
    with pytest.raises(RuntimeError, match="no entry for input"):
        lostbits.attention(q, k, v, exp2=str(tmp_path / "hopper" / "ex2.safetensors"))
    with pytest.raises(ValueError, match="none.safetensors: cannot open"):
        lostbits.attention(q, k, v, exp2="none.safetensors")
