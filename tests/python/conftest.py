"""What the tests of the Python package share: the program to compare with, and arrays of any kind.

Environment: LOSTBITS_CLI, the program; LOSTBITS_VECTORS, a folder of recorded hardware outputs.
"""

import json
import os
import pathlib
import subprocess

import ml_dtypes
import numpy as np
import pytest

try:
    import torch
except ImportError:
    torch = None

pytest_plugins = ["pytester"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOPPER = "hopper:wgmma:e4m3:f32"


def pytest_report_header():
    return f"torch: {torch.__version__ if torch else 'not installed, its tests are skipped'}"


class Program:
    """The program, in a folder of its own."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder

    def text(self, *args, stdin=""):
        run = subprocess.run(
            [self.path, *map(str, args)],
            input=stdin, capture_output=True, text=True, cwd=self.folder, timeout=300,
        )
        assert run.returncode == 0, f"{args}: {run.stderr}"
        return run.stdout

    def json(self, *args, stdin=""):
        body = json.loads(self.text(*args, "--json", stdin=stdin))
        del body["schema_version"], body["command"]
        return body

    def save(self, name, array):
        """A .npy file; types that numpy does not know as their codes."""
        np.save(self.folder / name, array if array.dtype.kind == "f" else words(array))
        return name

    def load(self, name):
        return np.load(self.folder / name)


@pytest.fixture
def program(tmp_path):
    path = os.environ.get("LOSTBITS_CLI")
    if not path:
        pytest.skip("LOSTBITS_CLI does not name the program")
    return Program(path, tmp_path)


@pytest.fixture
def rng():
    return np.random.default_rng(20261122)


@pytest.fixture(params=["numpy", "torch"])
def library(request):
    """Turns a numpy array into one of the library, whatever its type."""
    if request.param == "numpy":
        return lambda x: x
    if torch is None:
        pytest.skip("torch is not installed")
    return to_torch


def to_torch(x):
    if x.dtype.kind == "f":
        return torch.from_numpy(x)
    signed = {1: np.uint8, 2: np.int16, 4: np.int32}[x.itemsize]
    return torch.from_numpy(x.view(signed)).view(getattr(torch, x.dtype.name))


def words(x):
    """The bits of an array of any library, as unsigned integers of its elements' size."""
    if torch is not None and isinstance(x, torch.Tensor):
        signed = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        x = x.contiguous().view(signed[x.element_size()]).numpy()
    x = np.ascontiguousarray(x).reshape(np.shape(x))
    return x.view(f"u{x.itemsize}")


def assert_same_bits(x, y, what=""):
    x, y = words(x), words(y)
    assert x.shape == y.shape, what
    wrong = np.argwhere(x != y)
    if wrong.size:
        at = tuple(wrong[0])
        raise AssertionError(
            f"{what}: {len(wrong)} of {x.size} differ, first at {at}: {x[at]:#x}, {y[at]:#x}"
        )


def sample(name):
    """The tensors of docs/sample/<name>.safetensors."""
    raw = (ROOT / "docs" / "sample" / f"{name}.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    return {
        key: np.frombuffer(body[slice(*t["data_offsets"])], ml_dtypes.bfloat16).reshape(t["shape"])
        for key, t in header.items()
    }


def hard_floats(rng, count):
    """float32: every kind of exponent times random bits, and the special values."""
    bits = rng.integers(0, 2**32, count, dtype=np.uint32)
    near_one = rng.standard_normal(count).astype(np.float32).view(np.uint32)
    small = ((rng.integers(100, 145, count) << 23) | (bits & 0x807FFFFF)).astype(np.uint32)
    few_bits = small & np.uint32(0xFFF00000)  # ties of the 8-bit formats
    special = np.array(
        [0, 1 << 31, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 1, 0x80000001, 0x7F7FFFFF],
        np.uint32,
    )
    return np.concatenate([bits, near_one, small, few_bits, special]).view(np.float32)


@pytest.fixture(scope="module")
def one_thread():
    """For tiny tensors of torch: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
