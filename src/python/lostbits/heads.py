"""What an attention head's tensors look like to an FP8 kernel, and what the kernel makes of them.

The figures say where a head sits in the grid of the needle study (`lostbits.needle`): `mu` is the
common mode of V in units of what tells keys apart, `top_weight` the softmax weight of the key a
query asks for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arrays import values
from ._attention import attention, exact_attention
from ._codec import encode

__all__ = ["describe", "error_figures", "key_figures", "range_figures", "value_figures",
           "weight_figures"]

_E4M3_MAX = 448.0  # OCP 8-bit Floating Point Specification, table 2
_P_LOST = 2.0**-18  # FlashAttention-3 scales P by 2^8; below 2^-10 E4M3 rounds to zero
_TINY = np.finfo(np.float64).tiny


def value_figures(v: Any) -> dict[str, float]:
    """The needle study's model of V, fitted to [keys, dim] of one KV head.

    v_common  root mean square over channels of the mean over keys
    v_signal  the same of the standard deviation over keys
    mu        their ratio
    mu_max    the largest |mean| / deviation of a channel
    mu_half   share of channels with |mean| of at least half the deviation
    """
    x = values(v, "v")
    if x.ndim != 2 or x.shape[0] < 2:
        raise ValueError(f"v: expected [keys, dim] with two keys at least, found {list(x.shape)}")
    mean, spread = np.abs(x.mean(0)), x.std(0)
    ratio = mean / np.maximum(spread, _TINY)
    common, signal = _rms(mean), _rms(spread)
    return {
        "v_common": common,
        "v_signal": signal,
        "mu": common / max(signal, _TINY),
        "mu_max": float(ratio.max()),
        "mu_half": float((ratio >= 0.5).mean()),
    }


def key_figures(k: Any) -> dict[str, float]:
    """Outlier channels of K, [keys, dim] of one KV head: k_outlier, the largest channel's largest
    magnitude in units of the median channel's."""
    x = values(k, "k")
    if x.ndim != 2 or not x.size:
        raise ValueError(f"k: expected [keys, dim], found {list(x.shape)}")
    peak = np.abs(x).max(0)
    return {"k_outlier": float(peak.max() / max(np.median(peak), _TINY))}


def range_figures(x: Any, name: str) -> dict[str, float]:
    """How a tensor meets E4M3 at scale 1: its largest magnitude, the shares of its elements that
    saturate (beyond 448, `<name>_over`) and that round to zero (up to 2^-10, `<name>_lost`)."""
    size = np.abs(values(x, name))
    return {
        f"{name}_max": float(size.max()),
        f"{name}_over": float((size > _E4M3_MAX).mean()),
        f"{name}_lost": float(((size > 0) & (size <= 2.0**-10)).mean()),
    }


def weight_figures(q: Any, k: Any, softmax_scale: float = 0.0) -> dict[str, float]:
    """Where one head's weights lie: q [rows, dim], the last queries over the keys k [keys, dim],
    causal; means over the rows.

    top_weight   of the heaviest key but the first; first_weight: of the first (the "sink")
    keys_used    1 / sum(weight^2): how many equal keys would weigh like these
    keys_lost    share of keys of at most 2^-18 of the largest weight, whose P rounds to zero in
                 E4M3 at the row's maximum. An upper bound: the kernel takes the largest weight of
                 the keys so far
    """
    x, y = values(q, "q"), values(k, "k")
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or len(x) > len(y):
        raise ValueError(
            "expected q [rows, dim] and k [keys, dim], rows up to keys, "
            f"found q {list(x.shape)} and k {list(y.shape)}"
        )
    rows, keys = len(x), len(y)
    seen = np.arange(keys) <= np.arange(keys - rows, keys)[:, None]
    logits = np.where(seen, x @ y.T * (softmax_scale or x.shape[1] ** -0.5), -np.inf)
    weight = np.exp(logits - logits.max(1)[:, None])
    weight /= weight.sum(1)[:, None]
    lost = seen & (weight <= _P_LOST * weight.max(1)[:, None])
    return {
        "top_weight": float(weight[:, 1:].max(1).mean()) if keys > 1 else 0.0,
        "first_weight": float(weight[:, 0].mean()),
        "keys_used": float((1 / (weight**2).sum(1)).mean()),
        "keys_lost": float((lost.sum(1) / seen.sum(1)).mean()),
    }


def error_figures(
    q: Any, k: Any, v: Any, softmax_scale: float = 0.0, threads: int = 0
) -> dict[str, np.ndarray]:
    """What FlashAttention-3's FP8 kernel on Hopper returns at scales 1, against exact attention.

    q         [rows, heads_q, dim], the last queries over k and v [keys, heads_kv, dim]; causal

    The kernel is the one that FlashAttention-3 takes for so many rows (`lostbits.attention`,
    preset "fa3.sm90.e4m3", decode "auto", no splits).
    Each [heads_q]; errors are |o - exact|_2 / |exact|_2 over rows and channels:
    one_level, two_level   against exact attention on the same E4M3 codes: the arithmetic's error
    one_level_gain, two_level_gain   <o, exact> / <exact, exact>: 1 is right, less has shrunk
    codes     of exact attention on the codes, against that on the values as given, rounded to BF16
              first, which they are in a model: the encoding's
    """
    codes = [encode(x, "e4m3") for x in (q, k, v)]
    options: dict[str, Any] = {"causal": True, "softmax_scale": softmax_scale, "threads": threads}
    truth = exact_attention(*codes, **options)
    given = exact_attention(q, k, v, preset="fa3.sm90.bf16", **options)
    result = {"codes": _relative(truth, given)}
    for name, accumulation in ("one_level", "one-level"), ("two_level", "per-tile"):
        o = attention(*codes, accumulation=accumulation, output_format="float32", **options)
        result[name] = _relative(o, truth)
        result[f"{name}_gain"] = (o * truth).sum((0, 2)) / np.maximum((truth**2).sum((0, 2)), _TINY)
    return result


def describe(
    q: Any,
    k: Any,
    v: Any,
    *,
    context: int = 0,
    rows: int = 16,
    softmax_scale: float = 0.0,
    threads: int = 0,
) -> list[dict[str, float]]:
    """All figures of this module, one dict a query head, of a layer's tensors.

    q, k, v   [tokens, heads, dim] typed values of the same tokens, or q of only the last ones
    context   keys, from the first on; 0: all. rows: how many queries before the context's end

    Beside the figures each dict has head, kv_head, context. The ranges are of the values as given,
    all else of their E4M3 codes at scale 1, which is what the kernel reads. Raises ValueError on
    shapes that do not fit, naming all three.
    """
    shapes = [list(np.shape(x)) for x in (q, k, v)]
    if (
        any(len(shape) != 3 for shape in shapes)
        or shapes[1] != shapes[2]
        or shapes[0][2] != shapes[1][2]
        or shapes[0][1] % shapes[1][1]
        or shapes[0][0] > shapes[1][0]
    ):
        raise ValueError(
            "expected q [rows, heads_q, dim] and k, v [keys, heads_kv, dim], "
            f"found q {shapes[0]}, k {shapes[1]}, v {shapes[2]}"
        )
    keys, queries = shapes[1][0], shapes[0][0]
    context = context or keys
    end = context - (keys - queries)  # of q's rows
    if not 1 < context <= keys or not 1 <= rows <= end:
        raise ValueError(
            f"expected a context of 2 to {keys} keys and {rows} queries before its end, "
            f"found context {context} and the queries of keys {keys - queries} to {keys - 1}"
        )
    q, k, v = q[end - rows : end], k[:context], v[:context]
    errors = error_figures(q, k, v, softmax_scale, threads)
    q8, k8, v8 = (encode(x, "e4m3") for x in (q, k, v))
    group = shapes[0][1] // shapes[1][1]
    figures = []
    for head in range(shapes[0][1]):
        kv = head // group
        if head % group == 0:
            shared = {
                **value_figures(v8[:, kv]),
                **key_figures(k8[:, kv]),
                **range_figures(k[:, kv], "k"),
                **range_figures(v[:, kv], "v"),
            }
        figures.append(
            {
                "head": head,
                "kv_head": kv,
                "context": context,
                **shared,
                **range_figures(q[:, head], "q"),
                **weight_figures(q8[:, head], k8[:, kv], softmax_scale),
                **{name: float(each[head]) for name, each in errors.items()},
            }
        )
    return figures


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _relative(o: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of each head of [rows, heads, dim]."""
    power = np.maximum((exact**2).sum((0, 2)), _TINY)
    return np.sqrt(((o - exact) ** 2).sum((0, 2)) / power)
