"""The functions of the C++ module, with a ValueError for an argument of a wrong type.

nanobind says in a TypeError which types a function takes, but not which argument was wrong.
"""

from __future__ import annotations

import functools
import numbers
import re
from collections.abc import Callable
from typing import Any

from . import _lostbits

_KINDS = {"int": numbers.Integral, "float": numbers.Real, "bool": bool, "str": str}
_ARGUMENT = re.compile(r"(\w+): (.*?)(?=, \w+: |\) ->)")


def _complaint(function: Any, arguments: tuple[Any, ...]) -> str:
    """The first argument that does not fit the function's signature, as nanobind prints it."""
    wanted = _ARGUMENT.findall(function.__nb_signature__[0][0])
    for (name, kind), value in zip(wanted, arguments, strict=True):
        is_int = kind == "int" and isinstance(value, numbers.Integral)
        if kind in _KINDS and not isinstance(value, _KINDS[kind]):
            return f"{name}: expected {kind}, found {value!r}"
        if is_int and name == "seed":  # 64 bits, unsigned
            if not 0 <= int(value) < 2**64:
                return f"seed: expected 0 to 2^64 - 1, found {value!r}"
        elif is_int and not -(2**31) <= int(value) < 2**31:
            return f"{name}: expected a number of 32 bits, found {value!r}"
        if "Sequence" in kind and isinstance(value, list):
            if not all(isinstance(x, numbers.Real) for x in value):
                return f"{name}: expected numbers, found {value!r}"
    return f"{function.__name__}: arguments of types that it does not take"


class _Core:
    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(_lostbits, name)

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except TypeError:
                raise ValueError(_complaint(function, arguments)) from None

        setattr(self, name, call)
        return call


core = _Core()
