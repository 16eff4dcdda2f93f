"""Decoder models of Hugging Face transformers with the attention and the KV cache of an FP8 kernel.

    >>> import lostbits.transformers as lbt
    >>> model = AutoModelForCausalLM.from_pretrained(name, attn_implementation="lostbits_fa3_fp8")
    >>> lbt.register("mine", lbt.AttentionSettings(accumulation="one-level", scales="per-head"))
    >>> model.set_attn_implementation("mine")

Importing this module registers the names of `IMPLEMENTATIONS`. All else of the model stays as it
is: only softmax(Q K^T) V of its layers is `lostbits.attention`'s, on the CPU, without gradients.

The KV cache is FP8 without a cache of its own: a token's codes depend only on its K and V and on
the layer's scales, and these are fixed at a layer's first call. So encoding what transformers'
cache returns gives, at every step, the bytes that a kernel wrote once.

A row padded on the left runs alone, from its first token, as in a kernel for sequences of different
lengths. Other than vLLM, which may multiply Q by the reciprocal of its scale, Q is divided by it.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

try:
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import causal_mask_function
except ImportError as error:
    raise ImportError(
        f"lostbits.transformers: {error}; to install it: pip install 'lostbits[transformers]'"
    ) from error

from ._attention import attention, attention_presets, exact_attention
from ._codec import encode

__all__ = ["IMPLEMENTATIONS", "AttentionSettings", "Scales", "SimulatedAttention", "register"]

EXACT = "exact"
_E4M3_MAX = 448.0  # OCP OFP8, table 1
# compressed-tensors, quantization/utils/helpers.py: scales are at least the eps of float32.
_MIN_SCALE = torch.finfo(torch.float32).eps


class Scales(NamedTuple):
    """What a layer's codes of Q, K and V stand for, times the code: numbers, or float32 tensors of
    [KV heads]. Q has one scale a KV head too, the largest of its group's."""

    q: Any = 1.0
    k: Any = 1.0
    v: Any = 1.0


@dataclass(frozen=True)
class AttentionSettings:
    """What a model's attention is replaced by; without arguments, what vLLM's
    `--kv-cache-dtype fp8` does on Hopper without calibrated scales and without splits."""

    #: One of `lostbits.attention_presets()`, or "exact": `lostbits.exact_attention` of BF16 Q, K
    #: and V (softmax in float64, its scale a float32 as kernels take it), rounded once, to BF16.
    preset: str = "fa3.sm90.e4m3"
    #: As in `lostbits.attention`: "one-level", "per-tile", "every-n", "exact"; "": the preset's.
    accumulation: str = ""
    interval: int = 0
    decode: str = "auto"
    splits: int = 1
    #: "per-tensor" or "per-head": the largest |x| over 448 of a layer's first call, then fixed
    #: (what vLLM's checkpoints hold, taken from one text). A number for Q, K and V (vLLM's default:
    #: 1), `Scales` for all layers, or a mapping from layer to `Scales`.
    scales: float | str | Scales | Mapping[int, Scales] = 1.0
    #: Layers that stay as they are, in the model's own type: numbers, and "sliding_window" for all
    #: that have one. As vLLM's --kv-cache-dtype-skip-layers.
    skip_layers: tuple[int | str, ...] = ()
    allow_unverified: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        if self.preset != EXACT and self.preset not in attention_presets():
            known = ", ".join([*attention_presets(), EXACT])
            raise ValueError(f"preset: expected one of {known}, found {self.preset!r}")
        kernel = {"accumulation": self.accumulation, "interval": self.interval,
                  "decode": self.decode, "splits": self.splits}
        if self.preset != EXACT:  # one key says what is wrong, before a model runs
            x = torch.zeros(1, 1, 64)
            attention(x, x, x, preset=self.preset, allow_unverified=self.allow_unverified,
                      threads=self.threads, **kernel)
        elif kernel != {"accumulation": "", "interval": 0, "decode": "auto", "splits": 1}:
            raise ValueError(f"exact: expected no settings of a kernel, found {kernel}")
        _check_scales(self.scales)
        if "e4m3" not in self.preset and self.scales != 1.0:
            raise ValueError(f"scales: {self.preset} has none, found {self.scales!r}")
        for layer in self.skip_layers:
            if not isinstance(layer, int) and layer != "sliding_window":
                raise ValueError(
                    f"skip_layers: expected numbers of layers or 'sliding_window', found {layer!r}"
                )


def _check_scales(scales: Any) -> None:
    if isinstance(scales, str) and scales in ("per-tensor", "per-head"):
        return
    if isinstance(scales, Mapping):
        each = [x for three in scales.values() for x in (three if _is_three(three) else [None])]
    else:
        each = list(scales) if _is_three(scales) else [scales]
    for x in each:
        known = isinstance(x, int | float | torch.Tensor)
        if not known or not bool(((y := torch.as_tensor(x)).isfinite() & (y > 0)).all()):
            raise ValueError("scales: expected numbers > 0, 'per-tensor', 'per-head', Scales, or "
                             f"Scales by layer, found {scales!r}")


def _is_three(x: Any) -> bool:
    return isinstance(x, tuple) and len(x) == len(Scales._fields)


class SimulatedAttention:
    """An attention function of transformers; `register` makes them."""

    def __init__(self, settings: AttentionSettings) -> None:
        self.settings = settings
        self._scales: weakref.WeakKeyDictionary[Any, Scales] = weakref.WeakKeyDictionary()

    def scales(self, model: torch.nn.Module) -> dict[int, Scales]:
        """The scales in use, by layer, of the layers that have run."""
        return {m.layer_idx: self._scales[m] for m in model.modules() if m in self._scales}

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        """query [batch, heads, len, dim], key and value [batch, KV heads, len, dim]; the attention
        mask: None, or what `_mask` makes. Returns [batch, len, heads, dim] in query's type."""
        skipped = module.layer_idx in self.settings.skip_layers or (
            sliding_window is not None and "sliding_window" in self.settings.skip_layers
        )
        _check_call(module, query, attention_mask, dropout, kwargs)
        # flash_api.cpp of FlashAttention-3: a window that holds all keys is none. All are more than
        # came if the cache has dropped some.
        keys = key.shape[2]
        if kwargs.get("position_ids") is not None:
            keys = max(keys, int(kwargs["position_ids"].max()) + 1)
        window = sliding_window if sliding_window and sliding_window < keys else None
        if skipped:
            if s_aux is not None or softcap:
                raise ValueError(
                    f"layer {module.layer_idx} is skipped: expected no sinks and no softcap"
                )
            mask = _dense_mask(query, key, attention_mask, window)
            return sdpa_attention_forward(
                module, query, key, value, mask, scaling=scaling, is_causal=mask is None
            )
        scales = self._scales_of(module, query, key, value, attention_mask)
        options = {
            "causal": True,
            "window": None if window is None else (window - 1, 0),
            "softmax_scale": scaling or 0.0,
            "softcap": softcap or 0.0,
            "sinks": None if s_aux is None else s_aux.float(),
            "threads": self.settings.threads,
        }
        q, k, v = (x.transpose(1, 2) for x in (query, key, value))
        if attention_mask is None:
            return self._run(q, k, v, scales, options), None
        out = torch.zeros_like(q)
        for row, padding in enumerate(_padding(attention_mask)):
            first = max(padding - (k.shape[1] - q.shape[1]), 0)
            real = q[row : row + 1, first:], k[row : row + 1, padding:], v[row : row + 1, padding:]
            out[row : row + 1, first:] = self._run(*real, scales, options)
        return out, None

    def _run(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scales: Scales, options: Any
    ) -> torch.Tensor:
        settings = self.settings
        if settings.preset == EXACT:
            if {q.dtype, k.dtype, v.dtype} != {torch.bfloat16}:
                raise ValueError(f"exact: expected bfloat16 Q, K and V, found {q.dtype}, "
                                 f"{k.dtype}, {v.dtype}; load the model with dtype=torch.bfloat16")
            o = encode(exact_attention(q, k, v, preset="fa3.sm90.bf16", **options), "bfloat16")
        else:
            o = attention(
                q, k, v, preset=settings.preset, accumulation=settings.accumulation,
                interval=settings.interval, decode=settings.decode, splits=settings.splits,
                q_descale=scales.q, k_descale=scales.k, v_descale=scales.v,
                allow_unverified=settings.allow_unverified, **options,
            )
        return o.to(q.dtype)

    def _scales_of(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
    ) -> Scales:
        if module in self._scales:
            return self._scales[module]
        scales = self.settings.scales
        if isinstance(scales, str):
            heads = key.shape[1] if scales == "per-head" else 1
            seen = None if mask is None else mask[:, None, :, None]
            found = Scales(
                _scale(query, heads, None if seen is None else seen[:, :, -query.shape[2] :]),
                _scale(key, heads, seen),
                _scale(value, heads, seen),
            )
        elif isinstance(scales, tuple):
            found = Scales(*scales)
        elif isinstance(scales, Mapping):
            if module.layer_idx not in scales:
                raise ValueError(f"scales: none for layer {module.layer_idx}, found {list(scales)}")
            found = Scales(*scales[module.layer_idx])
        else:
            found = Scales(scales, scales, scales)
        self._scales[module] = found
        return found


def register(name: str, settings: AttentionSettings) -> SimulatedAttention:
    """Makes `settings` an attention implementation of transformers under a name, for
    `from_pretrained(..., attn_implementation=name)` and `model.set_attn_implementation(name)`. An
    old one of that name is replaced, and its scales forgotten.

    It serves models in evaluation, under `torch.no_grad()`: causal attention with or without a
    sliding window, sinks, softcap; a growing cache, not a static one; padding on the left. Anything
    else is a ValueError or NotImplementedError that says what was found.
    """
    simulated = SimulatedAttention(settings)
    AttentionInterface.register(name, simulated)
    AttentionMaskInterface.register(name, _mask)
    return simulated


def _check_call(
    module: torch.nn.Module,
    query: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float,
    kwargs: dict[str, Any],
) -> None:
    if torch.is_grad_enabled() and query.requires_grad:
        raise NotImplementedError("lostbits attention: no gradients; call under torch.no_grad()")
    if dropout:
        raise ValueError(f"lostbits attention: expected dropout 0, found {dropout}; model.eval()")
    if attention_mask is not None and attention_mask.ndim != 2:
        raise ValueError("lostbits attention: expected no mask or [batch, len] of padding, found "
                         f"{list(attention_mask.shape)}")
    is_causal = kwargs.get("is_causal")
    if not (getattr(module, "is_causal", True) if is_causal is None else is_causal):
        raise ValueError("lostbits attention: expected causal attention of a decoder")
    for name in "position_bias", "cache":
        if kwargs.get(name) is not None:
            raise ValueError(f"lostbits attention: expected no {name}")


def _mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Any = causal_mask_function,
    attention_mask: torch.Tensor | None = None,
    local_size: int | None = None,
    config: Any = None,
    use_vmap: bool = False,
    **kwargs: Any,
) -> torch.Tensor | None:
    """No mask of len x len: None, or where rows are padded, bool [batch, kv_length]."""
    window = getattr(config, "sliding_window", None)
    plain = mask_function is causal_mask_function if local_size is None else local_size == window
    if use_vmap or not plain or not kwargs.get("allow_is_causal_skip", True):
        raise ValueError("lostbits attention: expected a causal mask, with or without a sliding "
                         "window, found one of the model's or the caller's own")
    if q_offset + q_length != kv_offset + kv_length:
        raise ValueError("lostbits attention: expected a cache that ends with the last query, not "
                         f"a static one, found {kv_offset + kv_length} keys for "
                         f"{q_offset + q_length} tokens")
    if attention_mask is None:
        return None
    seen = attention_mask[:, kv_offset : kv_offset + kv_length].bool()
    return None if seen.all() else seen


def _padding(seen: torch.Tensor) -> list[int]:
    """How many keys of each row are padding, all on the left."""
    counts = (~seen).sum(1).tolist()
    for row, count in enumerate(counts):
        if not seen[row, count:].all() or count == seen.shape[1]:
            raise ValueError("lostbits attention: expected padding on the left alone, found row "
                             f"{row} of the mask to be otherwise")
    return counts


def _dense_mask(
    query: torch.Tensor, key: torch.Tensor, seen: torch.Tensor | None, window: int | None
) -> torch.Tensor | None:
    """Which keys a query sees, bool [batch or 1, 1, q_len, kv_len]; None: as torch's is_causal."""
    q_length, kv_length = query.shape[2], key.shape[2]
    if seen is None and window is None and q_length in (1, kv_length):
        return None
    queries = torch.arange(kv_length - q_length, kv_length)[:, None]
    keys = torch.arange(kv_length)
    mask = keys <= queries
    if window is not None:
        mask &= keys > queries - window
    return mask[None, None] if seen is None else mask & seen[:, None, None, :]


def _scale(x: torch.Tensor, heads: int, seen: torch.Tensor | None) -> torch.Tensor:
    """The largest |x| of [batch, n heads, len, dim] over 448, of n heads together: [heads] float32.
    Source: compressed-tensors, calculate_qparams."""
    size = x.float().abs()
    if seen is not None:
        size = size.masked_fill(~seen, 0)
    largest = size.transpose(0, 1).reshape(heads, -1).amax(1)
    return (largest / _E4M3_MAX).clamp_min(_MIN_SCALE)


#: The names that importing this module registers.
IMPLEMENTATIONS = {
    "lostbits_fa3_fp8": AttentionSettings(),
    "lostbits_fa3_fp8_one_level": AttentionSettings(preset="fa3.sm90.e4m3.one-level"),
    "lostbits_fa3_bf16": AttentionSettings(preset="fa3.sm90.bf16"),
    "lostbits_exact": AttentionSettings(preset=EXACT),
}
for _name, _settings in IMPLEMENTATIONS.items():
    register(_name, _settings)
