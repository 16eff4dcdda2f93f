"""Values to codes with scales: what a KV cache or an FP8 checkpoint stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._arrays import giver, spelling, take, values
from ._core import core


@dataclass(frozen=True)
class Quantized:
    """Codes and the scales that their values are multiplied by."""

    codes: Any
    scales: Any
    tensor_scale: float  #: multiplies all scales; 1 but for nvfp4_1x16
    block: tuple[int, int]  #: rows and columns that share a scale; 0: all
    format: str  #: of the codes
    scale_format: str

    def values(self) -> np.ndarray:
        """What the codes stand for, scales included: float64 numpy, exactly."""
        codes = values(self.codes, "codes", self.format)
        scales = values(self.scales, "scales", self.scale_format)
        rows, cols = self.block
        if scales.ndim == 1 and (rows, cols) == (0, 0):  # a scale a head: [..., heads, dim]
            scales = scales[:, None]
        elif scales.ndim:
            scales = np.repeat(scales, cols, axis=-1)[..., : codes.shape[-1]]
            if rows > 1:
                scales = np.repeat(scales, rows, axis=0)[: codes.shape[0]]
        return codes * scales * self.tensor_scale


def quantize(
    x: Any, format: Any = "e4m3", *, scale: str = "tensor", rule: str = "", threads: int = 0
) -> Quantized:
    """Chooses scales from the largest magnitudes of x, divides, and encodes.

    x         [..., cols], finite, any type up to float32; the last axis is that of a dot product
    format    of the codes, a name or a dtype; "e2m1" is FP4
    scale     which elements share a scale, and what it is stored in:
              "tensor"      all; float32, scales []
              "head"        x is [..., heads, dim]; float32, scales [heads]
              "1x128"       128 neighbours along the last axis; float32, [..., ceil(cols / 128)]
              "128x128"     x is [rows, cols]; float32, [ceil(rows / 128), ceil(cols / 128)]
              "mx_1x32"     32 neighbours; E8M0, a power of two, [..., ceil(cols / 32)]
              "nvfp4_1x16"  16 neighbours; E4M3, [..., ceil(cols / 16)], times one float32
    rule      from the largest magnitude to the scale. float32: "to-max" (default: it becomes the
              format's largest number), "compressed-tensors" (the same with a floor of 2^-23). E8M0:
              "mx" (default: OCP's, the largest elements may saturate), "up" (nothing saturates)
    threads   0: all. Never changes a bit.

    Returns a Quantized with arrays in x's library. Division and the product of NVFP4's two scales
    are one binary32 operation each; codes are rounded to nearest even and saturate. A block of
    zeros gets scale 1; of E8M0 2^-127; of NVFP4 0, as does a block far below the tensor's largest,
    whose codes are then +0. Raises ValueError on values that are not finite and on shapes that do
    not fit. Source: fp8/scale.h, which names that of each rule.
    """
    codes, scales, tensor, (rows, cols) = core.quantize(
        take(x, "x"), spelling(format), scale, rule, threads
    )
    give = giver(x)
    return Quantized(give(codes), give(scales), tensor, (rows, cols), codes[1], scales[1])
