"""FlashAttention's forward pass as the hardware computes it, and exact attention."""

from __future__ import annotations

import operator
from typing import Any

from ._arrays import giver, spelling, take, take_optional, take_scales
from ._core import core


def attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    preset: str = "fa3.sm90.e4m3",
    accumulation: str = "",
    interval: int = 0,
    decode: str = "auto",
    block_m: int = 0,
    block_n: int = 0,
    splits: int = 1,
    causal: bool = False,
    window: tuple[int, int] | None = None,
    softmax_scale: float = 0.0,
    softcap: float = 0.0,
    q_descale: Any = None,
    k_descale: Any = None,
    v_descale: Any = None,
    sinks: Any = None,
    exp2: str = "",
    output_format: Any = "",
    return_lse: bool = False,
    allow_unverified: bool = False,
    threads: int = 0,
) -> Any:
    """softmax(scale Q K^T) V as a FlashAttention kernel computes it, in the kernel's order.

    q         [batch, seqlen_q, heads_q, dim]; k, v: [batch, seqlen_k, heads_kv, dim], heads_q a
              multiple of heads_kv; three axes stand for one batch, two also for one head. Codes of
              the preset's format are taken as they are; values are divided by their descale and
              encoded to nearest even, saturating (BF16 presets: to BF16)
    preset    `lostbits.attention_presets()`: which kernel, with which accumulation
    accumulation   of P V: "one-level", "per-tile", "every-n", "exact" (study only); "": the
              preset's. interval: key tiles between flushes under every-n; 0: the preset's, or 4
    decode    the kernel for few query rows: "auto", "on", "off"
    block_m, block_n   rows and keys of a tile; 0: the kernel's. splits: ranges of keys merged by a
              second kernel
    causal    query i sees keys up to i + seqlen_k - seqlen_q; window: keys seen to its left and
              right, -1 for all
    softmax_scale   0: 1 / sqrt(dim). softcap: 0 for none
    q_descale, k_descale, v_descale   one number, [heads_kv] or [batch, heads_kv]: float32, > 0
    sinks     [heads_q] float32: a logit a query head that takes weight and gives nothing
    exp2      "correctly-rounded" (default), "polynomial", or a file of a GPU's own 2^x that
              `lostbits-gpu ex2` wrote (*.safetensors): none is recorded yet
    output_format   "bfloat16" (default) or "float32"
    allow_unverified   computes with kernels and machines that are only assumed
    threads   0: all. Never changes a bit.

    Returns O in q's shape and library; with return_lse also the natural log-sum-exp, float32
    [batch, heads_q, seqlen_q]. A row that sees no key gives zeros and -Inf. NaN and Inf go the way
    the hardware's arithmetic takes them. Raises ValueError on shapes that do not fit, naming all
    three, and NoEvidenceError for a preset that is assumed. Source: sim/attention.h, sim/recipe.h.
    """
    o, lse = core.attention(
        take(q, "q"),
        take(k, "k"),
        take(v, "v"),
        preset,
        accumulation,
        interval,
        decode,
        block_m,
        block_n,
        splits,
        causal,
        _window(window),
        softmax_scale,
        softcap,
        take_scales(q_descale, "q_descale"),
        take_scales(k_descale, "k_descale"),
        take_scales(v_descale, "v_descale"),
        take_optional(sinks, "sinks"),
        exp2,
        spelling(output_format),
        allow_unverified,
        threads,
    )
    give = giver(q)
    return (give(o), give(lse)) if return_lse else give(o)


def exact_attention(
    q: Any,
    k: Any,
    v: Any,
    *,
    preset: str = "fa3.sm90.e4m3",
    causal: bool = False,
    window: tuple[int, int] | None = None,
    softmax_scale: float = 0.0,
    softcap: float = 0.0,
    q_descale: Any = None,
    k_descale: Any = None,
    v_descale: Any = None,
    sinks: Any = None,
    return_lse: bool = False,
    threads: int = 0,
) -> Any:
    """The same attention without a machine: softmax in float64 on the same codes.

    Arguments as `attention`; `preset` only says which format values are encoded to.

    Returns O float64 in q's shape and library; with return_lse also the log-sum-exp, float64. For
    finite inputs, with A the largest scaled sum |q k| of a row, each element is within
    2^-44 (1 + A) v_descale sum(weight |V|) of the truth. A row that sees no key gives zeros and
    -Inf, or its sink. Errors as `attention`. Source: sim/attention.h.
    """
    o, lse = core.exact_attention(
        take(q, "q"),
        take(k, "k"),
        take(v, "v"),
        preset,
        causal,
        _window(window),
        softmax_scale,
        softcap,
        take_scales(q_descale, "q_descale"),
        take_scales(k_descale, "k_descale"),
        take_scales(v_descale, "v_descale"),
        take_optional(sinks, "sinks"),
        threads,
    )
    give = giver(q)
    return (give(o), give(lse)) if return_lse else give(o)


def attention_presets() -> list[str]:
    """The names of the attention kernels."""
    return core.attention_presets()


def _window(window: tuple[int, int] | None) -> list[int]:
    if window is None:
        return []
    try:
        left, right = (operator.index(side) for side in window)
    except (TypeError, ValueError):
        raise ValueError(f"window: expected (left, right), found {window!r}") from None
    return [left, right]
