"""encode, decode, finfo: equal to ml_dtypes, to torch, and to the program."""

import ml_dtypes
import numpy as np
import pytest
from conftest import assert_same_bits, hard_floats, to_torch, torch, words

import lostbits

FORMATS = [lostbits.finfo(name).name for name in [
    "e4m3", "e5m2", "float8_e4m3", "e3m4", "float8_e4m3fnuz", "float8_e5m2fnuz",
    "float8_e4m3b11fnuz", "e8m0", "e2m3", "e3m2", "e2m1", "f16", "bf16", "tf32", "f32", "f64"]]
EIGHT_BITS = [f for f in FORMATS if lostbits.finfo(f).bits <= 8]


def sources(rng):
    floats = hard_floats(rng, 20_000)
    every = np.arange(2**16, dtype=np.uint16)
    yield "float32", floats
    yield "bfloat16", every.view(ml_dtypes.bfloat16)
    yield "float16", every.view(np.float16)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        doubles = floats.astype(np.float64)
    yield "float64", np.concatenate([doubles, doubles * (1 + 2.0**-40)])


def without_e8m0_defect(format, x):
    """ml_dtypes 0.6.0 and torch 2.13.0 give the wrong neighbour here: see fp8/preset.h."""
    if format != "float8_e8m0fnu":
        return x
    with np.errstate(all="ignore"):
        size = np.abs(x.astype(np.float64).astype(np.float32))
    return x[~((size > 2.0**-127) & (size < 1.5 * 2.0**-127))]


@pytest.mark.parametrize("format", EIGHT_BITS)
def test_encode_equals_ml_dtypes(format, rng):
    for source, x in sources(rng):
        x = without_e8m0_defect(format, x)
        with np.errstate(all="ignore"):
            expected = x.astype(getattr(ml_dtypes, format))
        ours = lostbits.encode(x, format, like="ml_dtypes")
        assert ours.dtype == expected.dtype
        assert_same_bits(ours, expected, f"{source} to {format}")


@pytest.mark.skipif(torch is None, reason="torch is not installed")
@pytest.mark.parametrize("format", EIGHT_BITS)
def test_encode_equals_torch(format, rng):
    if not hasattr(torch, format):
        pytest.skip(f"torch has no {format}")
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    like = "torch_2_12" if version >= (2, 12) else "torch"
    for source, x in sources(rng):
        x = to_torch(without_e8m0_defect(format, x))
        ours = lostbits.encode(x, format, like=like)
        assert ours.dtype == getattr(torch, format)
        assert_same_bits(ours, x.to(getattr(torch, format)), f"{source} to {format}")


@pytest.mark.parametrize("format", EIGHT_BITS)
def test_decode_equals_ml_dtypes(format):
    codes = np.arange(2 ** lostbits.finfo(format).bits, dtype=np.uint8)
    theirs = codes.view(getattr(ml_dtypes, format)).astype(np.float32)
    assert_same_bits(lostbits.decode(codes, format), theirs, format)
    assert_same_bits(lostbits.decode(codes.view(getattr(ml_dtypes, format))), theirs, format)


@pytest.mark.parametrize("options", [
    {}, {"rounding": "toward-zero", "overflow": "ieee"}, {"rounding": "nearest-away"},
    {"rounding": "to-odd"}, {"overflow": "to-special"}, {"rounding": "stochastic", "seed": 7},
    {"like": "cuda"}, {"like": "onnx_nosat"},
], ids=str)
def test_encode_equals_the_program(program, rng, options):
    x = hard_floats(rng, 500)
    arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
    name = program.save("x.npy", x)
    formats = ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"]
    if options.get("like") != "cuda":  # CUDA has no FNUZ
        formats.append("float8_e4m3fnuz")
    for format in formats:
        program.text("encode", name, "-f", format, "-o", "out.npy", *arguments)
        for threads in 1, 3:
            ours = lostbits.encode(x, format, threads=threads, **options)
            assert_same_bits(ours, program.load("out.npy"), f"{format} {options}")
        program.save("codes.npy", ours)
        program.text("decode", "codes.npy", "-f", format, "-o", "values.npy")
        assert_same_bits(lostbits.decode(ours), program.load("values.npy"), format)


def test_shapes_and_counts_of_threads(library, rng):
    x = library(rng.standard_normal((3, 5, 7)).astype(np.float32))
    expected = words(lostbits.encode(x, "e5m2", threads=1))
    assert expected.shape == (3, 5, 7)
    assert_same_bits(lostbits.encode(x, "e5m2", threads=4), expected)
    for shape in (), (0,), (4, 0):
        empty = library(np.ones(shape, np.float32))
        assert tuple(lostbits.encode(empty, "e4m3").shape) == shape
        assert tuple(lostbits.decode(lostbits.encode(empty, "e4m3")).shape) == shape


def test_finfo_is_the_programs_row(program):
    rows = {row["name"]: row for row in program.json("formats")["formats"]}
    assert sorted(rows) == sorted(FORMATS)
    for name, row in rows.items():
        info = lostbits.finfo(name)
        assert {**vars(info), "aliases": list(info.aliases)} == row
    x = np.array([1.1, 300], np.float32)
    for dtype in ml_dtypes.float8_e5m2, np.dtype(ml_dtypes.float8_e5m2), np.float16:
        name = np.dtype(dtype).name
        assert_same_bits(lostbits.encode(x, dtype), lostbits.encode(x, name))
        assert_same_bits(lostbits.quantize(x, dtype).codes, lostbits.quantize(x, name).codes)
        codes = words(lostbits.encode(x, name))
        assert_same_bits(lostbits.decode(codes, dtype), lostbits.decode(codes, name))
    for dtype in ml_dtypes.float8_e5m2, np.dtype(ml_dtypes.float8_e5m2), "fp8e5":
        assert lostbits.finfo(dtype).max == 57344
    info = lostbits.finfo("e4m3")
    assert (info.eps, info.min, info.min_subnormal) == (0.125, -448, 2.0**-9)
    assert lostbits.finfo("e8m0").min == 2.0**-127


@pytest.mark.parametrize("call, says", [
    (lambda: lostbits.encode(np.ones(3), "e9m9"), "unknown format 'e9m9'"),
    (lambda: lostbits.encode(np.ones(3), "e4m3", like="numpy"), "numpy"),
    (lambda: lostbits.encode(np.ones(3), "e4m3", like="cuda", rounding="up"), "like"),
    (lambda: lostbits.encode(np.ones(3), "bf16", like="cuda"), "no conversion"),
    (lambda: lostbits.encode(np.ones(3, np.uint8), "e4m3"), "found dtype uint8"),
    (lambda: lostbits.encode(np.ones(3, np.int8), "e4m3"), "found dtype int8"),
    (lambda: lostbits.encode("text", "e4m3"), "found str"),
    (lambda: lostbits.encode(np.ones(3), 4), "unknown format '4'"),
    (lambda: lostbits.encode(np.ones(3), "e4m3", like=3), "like: expected str, found 3"),
    (lambda: lostbits.encode(np.ones(3), "e4m3", seed=-1), "seed: expected 0 to 2^64 - 1"),
    (lambda: lostbits.encode(np.ones(3), "e4m3", threads=1.0), "threads: expected int, found 1.0"),
    (lambda: lostbits.encode(np.ones(3), "e4m3", threads=2**40), "32 bits, found 1099511627776"),
    (lambda: lostbits.encode(np.ones(3), "e4m3", threads=-1), "threads: expected 0 to 4096"),
    (lambda: lostbits.decode(np.ones(3, np.uint8)), "format="),
    (lambda: lostbits.decode(np.ones(3, np.uint16), "e4m3"), "1-byte codes"),
    (lambda: lostbits.decode(np.full(3, 0x40, np.uint8), "e2m1"), "4-bit codes"),
    (lambda: lostbits.decode(np.ones(3, np.float32), "e4m3"), "found float32"),
    (lambda: lostbits.decode(np.zeros(0, np.uint16), "e4m3"), "found 2-byte"),
])
def test_errors_say_what_came(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value) and "--" not in str(error.value)
