"""quantize: scales, codes, and what they stand for."""

import ml_dtypes
import numpy as np
import pytest
from conftest import assert_same_bits

import lostbits

E4M3, E2M1 = ml_dtypes.float8_e4m3fn, ml_dtypes.float4_e2m1fn


@pytest.fixture
def x(rng):
    """Rows and blocks of very different sizes; neither extent is a multiple of a block."""
    sizes = np.exp2(rng.integers(-20, 20, (140, 75)).repeat(4, axis=1))
    return (sizes * rng.standard_normal((140, 300))).astype(np.float32)


def block_amax(x, rows, cols):
    """The largest magnitude of each block."""
    padded = np.zeros((-(-x.shape[0] // rows) * rows, -(-x.shape[1] // cols) * cols), x.dtype)
    padded[: x.shape[0], : x.shape[1]] = np.abs(x)
    return padded.reshape(padded.shape[0] // rows, rows, -1, cols).max(axis=(1, 3))


def spread(blocks, x, rows, cols):
    """Each element's own block."""
    return blocks.repeat(rows, 0).repeat(cols, 1)[: x.shape[0], : x.shape[1]]


def encoded(x, format):
    largest = float(ml_dtypes.finfo(format).max)
    return np.clip(x, -largest, largest).astype(format)


@pytest.mark.parametrize("scale, rows, cols, shape", [
    ("tensor", 140, 300, ()), ("1x128", 1, 128, (140, 3)), ("128x128", 128, 128, (2, 3))])
@pytest.mark.parametrize("format", [E4M3, E2M1])
def test_float32_scales(x, format, scale, rows, cols, shape, library):
    q = lostbits.quantize(library(x), np.dtype(format).name, scale=scale)
    ours = lostbits.quantize(x, np.dtype(format).name, scale=scale)
    assert_same_bits(q.codes, ours.codes), assert_same_bits(q.scales, ours.scales)
    assert np.array_equal(q.values(), ours.values())
    assert ours.scales.shape == shape and ours.tensor_scale == 1
    wanted = block_amax(x, rows, cols) / np.float32(ml_dtypes.finfo(format).max)
    assert_same_bits(ours.scales.reshape(wanted.shape), wanted)
    each = spread(wanted, x, rows, cols)
    assert_same_bits(ours.codes, encoded(x / each, format))
    assert np.array_equal(ours.values(), ours.codes.astype(np.float64) * each)


def test_heads(x):
    y = x.reshape(14, 10, 3, 100)
    q = lostbits.quantize(y, scale="head")
    assert_same_bits(q.scales, np.abs(y).max(axis=(0, 1, 3)) / np.float32(448))
    assert_same_bits(q.codes, encoded(y / q.scales[:, None], E4M3))
    assert np.array_equal(q.values(), q.codes.astype(np.float64) * q.scales[:, None])
    floor = lostbits.quantize(0 * y, scale="head", rule="compressed-tensors")
    assert floor.scales.tolist() == [2**-23] * 3 and not floor.values().any()
    assert lostbits.quantize(0 * y, scale="head").scales.tolist() == [1] * 3


@pytest.mark.parametrize("rule", ["mx", "up"])
@pytest.mark.parametrize("format", [E4M3, E2M1])
def test_mx(x, format, rule):
    """OCP MX v1.0, section 6.3: 2^(floor(log2 amax) - exponent of the largest number)."""
    q = lostbits.quantize(x, np.dtype(format).name, scale="mx_1x32", rule=rule)
    assert q.scales.shape == (140, 10) and q.scales.dtype == ml_dtypes.float8_e8m0fnu
    largest, amax = float(ml_dtypes.finfo(format).max), block_amax(x, 1, 32).astype(np.float64)
    exponent = (np.floor(np.log2(amax)) - np.floor(np.log2(largest)) if rule == "mx"
                else np.ceil(np.log2(amax / largest)))
    assert np.array_equal(q.scales.astype(np.float64), np.exp2(exponent))
    each = spread(np.exp2(exponent).astype(np.float32), x, 1, 32)
    assert_same_bits(q.codes, encoded(x / each, format))
    assert np.array_equal(q.values(), q.codes.astype(np.float64) * each)


def test_nvfp4(x):
    x[:, :16] = 0
    x[0, 16:32] = -1e-30  # so far below the largest that its scale is 0
    q = lostbits.quantize(x, "e2m1", scale="nvfp4_1x16")
    assert q.scales.shape == (140, 19) and q.scales.dtype == E4M3
    tensor = np.abs(x).max() / np.float32(448 * 6)
    assert q.tensor_scale == tensor
    scales = encoded(block_amax(x, 1, 16) / np.float32(6) / tensor, E4M3)
    assert_same_bits(q.scales, scales)
    each = spread(scales.astype(np.float32) * tensor, x, 1, 16)
    quotient = np.divide(x, each, out=np.zeros_like(x), where=each != 0)
    assert_same_bits(q.codes, encoded(quotient, E2M1))
    both = spread(scales.astype(np.float64) * np.float64(tensor), x, 1, 16)
    assert np.array_equal(q.values(), q.codes.astype(np.float64) * both)
    assert scales[0, 1] == 0 and not q.values()[0, 16:32].any()


def test_scales_fit_products(x):
    a, b = x[:64, :256], x[64:128, :256]
    qa, qb = lostbits.quantize(a, scale="mx_1x32"), lostbits.quantize(b, scale="mx_1x32")
    out = lostbits.mma(qa.codes, qb.codes.T, machine="blackwell:tcgen05.mxf8f6f4:e4m3+ue8m0/32:f32",
                       scale_a=qa.scales, scale_b=qb.scales.T)
    exact = qa.values() @ qb.values().T
    size = np.abs(qa.values()) @ np.abs(qb.values()).T
    # 8 instructions: each cuts 32 products and c at 2^-25 of the largest, and its result to FP32.
    bound = 256 / 32 * (33 * 2.0**-25 + 2.0**-23) * size
    assert (np.abs(out - exact) <= bound).all() and (out != exact).any()


def test_any_type_up_to_float32(rng):
    half = rng.standard_normal((4, 300)).astype(np.float16)
    assert_same_bits(lostbits.quantize(half, scale="1x128").codes,
                     lostbits.quantize(half.astype(np.float32), scale="1x128").codes)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(x, threads):
    one = lostbits.quantize(x, scale="1x128", threads=threads)
    assert_same_bits(one.codes, lostbits.quantize(x, scale="1x128").codes)


@pytest.mark.parametrize("call, says", [
    (lambda x: lostbits.quantize(x, scale="row"), "scale: expected tensor, head, 1x128, 128x128"),
    (lambda x: lostbits.quantize(x, rule="mx"), "to-max or compressed-tensors for tensor"),
    (lambda x: lostbits.quantize(x[0], scale="128x128"), r"\[rows, cols\] .* found shape \[300\]"),
    (lambda x: lostbits.quantize(x[0], scale="head"), r"\[..., heads, dim\]"),
    (lambda x: lostbits.quantize(x.astype("f8")), "up to float32, found float64"),
    (lambda x: lostbits.quantize(x.view("u4")), "found codes without a format"),
    (lambda x: lostbits.quantize(x[:0]), r"at least one element, found shape \[0, 300\]"),
    (lambda x: lostbits.quantize(np.float32([1, np.inf])), "finite values, .* element 1"),
    (lambda x: lostbits.quantize(x, "e4m4"), "e4m4"),
])
def test_errors(x, call, says):
    with pytest.raises(ValueError, match=says):
        call(x)
