"""Values to codes and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ._arrays import giver, spelling, take
from ._core import core


def encode(
    x: Any,
    format: Any,
    *,
    like: str = "",
    rounding: str = "",
    overflow: str = "",
    random_bits: int = 32,
    seed: int = 0,
    threads: int = 0,
) -> Any:
    """Values to codes of `format`, each rounded once from its exact value.

    x         array of float64, float32, float16, bfloat16 or any FP8, FP6, FP4 type; any shape
    format    any library's spelling: "float8_e4m3fn", "e5m2", "__nv_fp8_e4m3", "F8_E4M3", ..., or
              a dtype of numpy, ml_dtypes or torch
    like      every choice as a library makes it: "cuda", "cuda_nosat", "torch" (before 2.12),
              "torch_2_12", "ml_dtypes", "ml_dtypes_saturating", "onnx", "onnx_nosat"
    rounding  without `like`: "nearest-even" (default), "nearest-away", "toward-zero", "up", "down",
              "to-odd", "stochastic"
    overflow  without `like`: "saturate" (default; infinities too), "to-special" (Inf, or NaN where
              there is no Inf), "ieee" (as to-special, but directed roundings stop at the maximum)
    random_bits, seed   of stochastic rounding; element i draws the same whatever the threads
    threads   0: all. Never changes a bit.

    Returns an array of x's shape and library whose type is the format's; where the library has no
    such type (torch has no FP6), unsigned codes. Subnormals are kept, -0 stays where the format has
    one. NaN becomes the format's NaN without its sign, or the largest number where it has none;
    `like` has its own rules.

    Raises ValueError on unknown names, on `like` beside a rounding or an overflow, and where the
    library has no such conversion.

    Source: fp8/codec.h; fp8/preset.h says against which versions `like` was measured.
    """
    out = core.encode(
        take(x, "x"), spelling(format), like, rounding, overflow, random_bits, seed, threads
    )
    return giver(x)(out)


def decode(codes: Any, format: Any = "", *, like: str = "", threads: int = 0) -> Any:
    """Codes to their values, exactly.

    codes     array of a float type, or of unsigned integers that hold codes; any shape
    format    of unsigned integers, a name or a dtype; beside a typed array it must agree
    like      the bits of a decoded NaN as a library has them ("cuda", "torch", "ml_dtypes", ...)
    threads   0: all

    Returns float32 (float64 for float64 codes) of the same shape and library. Inf, NaN and -0 stay
    what they are; without `like` every NaN becomes the quiet one, 0x7FC00000, with the code's sign.

    Raises ValueError on codes without a format, on bits above the format's, and on a format that
    contradicts the array's type. Source: fp8/codec.h.
    """
    return giver(codes)(core.decode(take(codes, "codes"), spelling(format), like, threads))


@dataclass(frozen=True)
class FormatInfo:
    """A number format. The fields are those of `lostbits formats FORMAT --json`."""

    name: str
    bits: int  #: of the container
    exponent_bits: int
    mantissa_bits: int
    bias: int
    ignored_low_bits: int  #: of the container: 13 for TF32
    max: float
    min_normal: float  #: the smallest normal number
    min_subnormal: float | None  #: the smallest above zero; None for E8M0, which has none
    has_inf: bool
    has_nan: bool
    has_negative_zero: bool
    aliases: tuple[str, ...]

    @property
    def eps(self) -> float:
        """The distance from 1 to the next number."""
        return 2.0**-self.mantissa_bits

    @property
    def min(self) -> float:
        """The most negative number; for E8M0, which has no sign, the smallest."""
        return self.min_normal if self.min_subnormal is None else -self.max


def formats() -> list[str]:
    """The names of the formats. `finfo` describes one. Source: fp8/format.h."""
    return core.formats()


def finfo(format: Any) -> FormatInfo:
    """Range and precision of a format: a name in any spelling, or a dtype of numpy, ml_dtypes or
    torch. Raises ValueError with the nearest names on an unknown one. Source: fp8/format.h."""
    fields = json.loads(core.finfo(spelling(format)))
    return FormatInfo(**{**fields, "aliases": tuple(fields["aliases"])})
