"""Arrays in and out: kinds, copies, strides, the GIL."""

import threading
import time

import ml_dtypes
import numpy as np
import pytest
from conftest import HOPPER, assert_same_bits, torch, words

import lostbits
from lostbits import _arrays


class Foreign:
    """A library that speaks DLPack and nothing else, with or without an array API namespace."""

    def __init__(self, array, device=1):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return (self.device, 0)


class WithNamespace(Foreign):
    class Space:
        asarray = staticmethod(lambda x: WithNamespace(x))

    def __array_namespace__(self):
        return self.Space


def test_contiguous_arrays_are_read_where_they_lie(library):
    x = library(np.arange(12, dtype=np.float32).reshape(3, 4))
    taken, format = _arrays.take(x, "x")
    assert format == "float32"
    pointer = x.data_ptr() if hasattr(x, "data_ptr") else x.ctypes.data
    assert taken.ctypes.data == pointer
    read_only = np.arange(4, dtype=np.float32)
    read_only.flags.writeable = False
    assert_same_bits(lostbits.decode(lostbits.encode(read_only, "bf16")), read_only)


def test_output_is_the_callers_kind(library):
    x = library(np.ones((2, 64), np.float32))
    codes = lostbits.encode(x, "e4m3")
    for y, name in [(codes, "float8_e4m3fn"), (lostbits.decode(codes), "float32"),
                    (lostbits.mma(codes, codes.T, machine=HOPPER), "float32"),
                    (lostbits.exact_gemm(codes, codes.T), "float64"),
                    (lostbits.encode(x, "tf32"), "float32"),
                    (lostbits.attention(codes, codes, codes), "bfloat16")]:
        assert type(y) is type(x) and str(y.dtype).removeprefix("torch.") == name


def test_results_outlive_their_inputs_and_are_writable():
    results = [lostbits.encode(np.full(1000, i, np.float32), "bf16") for i in range(50)]
    for i, x in enumerate(results):
        assert (x == i).all()
        x[0] = 1


def test_strides_byte_orders_and_scalars(library):
    x = np.arange(64, dtype=np.float32).reshape(8, 8)
    expected = lostbits.encode(x.T.copy(), "e5m2")
    assert_same_bits(lostbits.encode(library(x).T, "e5m2"), expected)
    assert_same_bits(lostbits.encode(x.astype(">f4").T, "e5m2"), expected)
    assert_same_bits(lostbits.encode(np.asfortranarray(x.T), "e5m2"), expected)
    assert lostbits.encode(1.5, "e4m3") == 1.5 and lostbits.encode([[1, 2]], "e4m3").shape == (1, 2)
    assert lostbits.encode(np.float32(1.5), "e4m3").shape == ()


def test_dlpack_in_and_out():
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    expected = lostbits.encode(x, "e4m3")
    assert_same_bits(lostbits.encode(Foreign(x), "e4m3"), expected)
    assert_same_bits(lostbits.encode(Foreign(x.T), "e4m3"), expected.T)
    out = lostbits.encode(WithNamespace(x), "e4m3")
    assert isinstance(out, WithNamespace)
    assert_same_bits(out.array, expected)
    with pytest.raises(ValueError, match="on the CPU"):
        lostbits.encode(Foreign(x, device=2), "e4m3")
    with pytest.raises(ValueError, match="expected floats, FP8"):
        lostbits.encode(Foreign(x.astype(np.int32)), "e4m3")


@pytest.mark.skipif(torch is None, reason="torch is not installed")
def test_dlpack_of_float8():
    codes = torch.arange(120, dtype=torch.uint8)
    for dtype in torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16:
        typed = codes.view(dtype)
        assert_same_bits(lostbits.decode(Foreign(typed)), lostbits.decode(typed))


@pytest.mark.skipif(torch is None, reason="torch is not installed")
def test_torch_tensors_that_are_not_plain():
    x = torch.ones(2, 64, requires_grad=True)
    assert lostbits.encode(x, "e4m3").dtype == torch.float8_e4m3fn
    assert lostbits.encode(x, "e3m4").dtype == torch.uint8  # torch has no such type
    lazy = torch.complex(torch.ones(2), torch.tensor([1.0, -3.0])).conj().imag  # not yet negated
    assert lazy.is_neg()
    assert lostbits.encode(lazy, "e4m3").float().tolist() == [-1, 3]
    for bad, says in [(torch.ones(2, device="meta"), "meta"), (torch.eye(2).to_sparse(), "sparse"),
                      (torch.ones(2, dtype=torch.int32), "torch.int32"),
                      (torch.ones(2, dtype=torch.complex64), "complex64")]:
        with pytest.raises(ValueError, match=says):
            lostbits.encode(bad, "e4m3")


@pytest.mark.parametrize("bad, says", [
    (np.ones(2, np.int32), "int32"), (np.ones(2, bool), "bool"), (np.ones(2, complex), "complex"),
    (np.array(["x"]), "str"), (np.ones(2, np.longdouble), "longdouble|float128"),
    (np.ones(2, ml_dtypes.int4), "int4"), (object(), "found object"), (None, "found None"),
])
def test_types_that_hold_no_values(bad, says):
    with pytest.raises(ValueError, match=says):
        lostbits.encode(bad, "e4m3")


def test_the_gil_is_released():
    """Another thread runs Python while C++ computes: it ticks all through the call."""
    a = np.zeros((512, 4096), ml_dtypes.float8_e4m3fn)
    b = np.zeros((4096, 512), ml_dtypes.float8_e4m3fn)
    calls = {
        "encode": lambda: lostbits.encode(np.ones(2**24), "e4m3", like="ml_dtypes", threads=1),
        "gemm": lambda: lostbits.gemm(a, b, machine="hopper:mma.sync:f16:f16", threads=1),
        "exact_gemm": lambda: lostbits.exact_gemm(a, b, threads=1),
        "attention": lambda: lostbits.attention(*[np.zeros((2048, 4, 64), np.float32)] * 3,
                                                threads=1),
    }
    assert longest_silence(lambda: 3**2_000_000) > 0.5  # Python's integers hold it: that is seen
    for name, call in calls.items():
        longest = min(longest_silence(call) for _ in range(3))  # a busy machine is silent too
        assert longest < 0.5, f"{name} held the GIL for {longest:.0%} of its time"


def longest_silence(call):
    """The longest time without a tick of another thread, as a share of the call's."""
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    call()
    end = time.perf_counter()
    done.set()
    thread.join()
    assert end - start > 0.03, f"too fast to tell: {end - start} s"
    return np.diff([start, *(t for t in ticks if start < t < end), end]).max() / (end - start)


def test_words_of_the_accumulator_keep_nan_payloads():
    out = lostbits.gemm(np.full((1, 32), np.nan, np.float32), np.ones((32, 1), np.float32),
                        machine=HOPPER)
    assert words(out)[0, 0] == 0x7FFFFFFF
