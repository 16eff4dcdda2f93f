"""Arrays of any library to (words, format) and back, without a copy where none is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ._core import core

Words = tuple[np.ndarray, str]

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_CPU = 1  # DLDeviceType.kDLCPU, dlpack.h


def _dtype_of(name: str) -> np.dtype | None:
    """The numpy type of a format, ml_dtypes' where numpy has none; None if neither has one."""
    if hasattr(ml_dtypes, name):
        return np.dtype(getattr(ml_dtypes, name))
    if name == "tf32":  # a float32 register of which the matrix unit ignores 13 bits
        return np.dtype(np.float32)
    return np.dtype(name) if name in ("float16", "float32", "float64") else None


_DTYPES = {name: _dtype_of(name) for name in core.formats()}


def _is_torch(x: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def _from_numpy(x: np.ndarray, name: str) -> Words:
    kind, dtype = x.dtype.kind, x.dtype.name
    format = dtype if dtype in _DTYPES else ""
    if not format and kind != "u":
        raise ValueError(
            f"{name}: expected floats, a type of ml_dtypes, or unsigned integers that hold codes, "
            f"found dtype {dtype}"
        )
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    if not x.flags.c_contiguous:
        x = x.copy(order="C")
    return x.view(_UNSIGNED[x.dtype.itemsize]), format


def _from_torch(x: Any, name: str) -> Words:
    torch = sys.modules["torch"]
    if x.device.type != "cpu" or x.layout != torch.strided:
        raise ValueError(
            f"{name}: expected a dense tensor on the CPU, found one on {x.device}, {x.layout}"
        )
    format = str(x.dtype).removeprefix("torch.")
    if format == "float4_e2m1fn_x2":
        raise ValueError(f"{name}: expected one code a byte, found {format}, which packs two")
    if format not in _DTYPES and not format.startswith("uint"):
        raise ValueError(
            f"{name}: expected floats, float8, or unsigned integers that hold codes, "
            f"found dtype {x.dtype}"
        )
    signed = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    # Bits, not a view that negates them when it is read (x.conj().imag).
    words = x.detach().resolve_conj().resolve_neg().contiguous().view(signed).numpy()
    return words.view(_UNSIGNED[words.itemsize]), format if format in _DTYPES else ""


def spelling(format: Any) -> str:
    """The name of a format, given as one or as a dtype of numpy, ml_dtypes or torch."""
    name = format if isinstance(format, str) else str(getattr(format, "__name__", format))
    return name.removeprefix("torch.")


def take(x: Any, name: str, format: Any = "") -> Words:
    """(words, format) of an array; format is "" for unsigned integers. `format` names theirs."""
    if _is_torch(x):
        words, found = _from_torch(x, name)
    elif isinstance(x, np.ndarray | np.generic):
        words, found = _from_numpy(np.asarray(x), name)
    elif hasattr(x, "__dlpack__"):
        if x.__dlpack_device__()[0] != _CPU:
            raise ValueError(f"{name}: expected an array on the CPU, found {x.__dlpack_device__()}")
        words, found = core.from_dlpack(x)
        words = words if words.flags.c_contiguous else words.copy(order="C")
    else:
        if x is None:
            raise ValueError(f"{name}: expected an array, found None")
        try:
            words, found = _from_numpy(np.asarray(x, dtype=np.float64), name)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: expected an array, found {type(x).__name__}") from error
    format = spelling(format)
    if not format:
        return words, found
    format = core.format_name(format)
    if found not in ("", format):
        raise ValueError(f"{name}: expected {format} elements, found {found}")
    return words, format


def take_optional(x: Any, name: str) -> Words | None:
    return None if x is None else take(x, name)


def take_scales(x: Any, name: str) -> Words | None:
    """As take; a Python number is a float32."""
    return take(np.float32(x) if isinstance(x, int | float) else x, name) if x is not None else None


def _give_numpy(words: np.ndarray, format: str) -> Any:
    dtype = _DTYPES[format]
    return words if dtype is None else words.view(dtype)


def _give_torch(words: np.ndarray, format: str) -> Any:
    torch = sys.modules["torch"]
    signed = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}[words.itemsize]
    tensor = torch.from_numpy(words.view(signed))
    dtype = getattr(torch, "float32" if format == "tf32" else format, None)
    return tensor if dtype is None else tensor.view(dtype)


def giver(x: Any) -> Callable[[Words], Any]:
    """What turns (words, format) into an array of the same library as x: torch's, one with an array
    API namespace, or numpy's. A format that the library lacks stays unsigned codes."""
    if _is_torch(x):
        return lambda out: _give_torch(*out)
    if not isinstance(x, np.ndarray | np.generic) and hasattr(x, "__array_namespace__"):
        space = x.__array_namespace__()
        return lambda out: space.asarray(_give_numpy(*out))
    return lambda out: _give_numpy(*out)


def values(x: Any, name: str, format: str = "") -> np.ndarray:
    """The exact values of an array, in float64."""
    words, found = take(x, name, format)
    decoded, _ = core.decode((words, found), "", "", 0)
    width = np.float64 if decoded.itemsize == 8 else np.float32
    return decoded.view(width).astype(np.float64)
