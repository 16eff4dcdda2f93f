"""Decoder models from a GGUF file or a Hugging Face folder, and what their attention reads.

Not imported by `lostbits`: needs torch, transformers, and for GGUF files gguf and accelerate.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import pathlib
import sys
from typing import Any

import ml_dtypes
import numpy as np

try:
    import torch
    import transformers
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask
except ImportError as error:
    raise ImportError(
        f"models need torch and transformers (pip install 'lostbits[models]'): {error}"
    ) from error


@dataclasses.dataclass
class LayerTensors:
    """What one layer's attention read, rotary embedding applied: [tokens, heads, dim], bfloat16."""

    layer: int
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    softmax_scale: float
    window: int | None  # keys a query sees, itself included; None: all before it


def load(path: str | pathlib.Path) -> tuple[Any, Any]:
    """(model, tokenizer) of a .gguf file or a folder, weights dequantised to float32, on the CPU.

    Raises ValueError if nothing is there, or if transformers cannot read it.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"model: expected a .gguf file or a folder, found nothing at {path}")
    where: pathlib.Path = path
    extra: dict[str, Any] = {}
    if path.suffix == ".gguf":
        where, extra = path.parent, {"gguf_file": path.name}
    # Progress bars are for terminals alone.
    silence = contextlib.redirect_stderr(io.StringIO())
    try:
        with contextlib.nullcontext() if sys.stderr.isatty() else silence:
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, **extra)
            if extra:
                extra["quantization_config"] = transformers.GgufConfig(dequantize=True)
            model = transformers.AutoModelForCausalLM.from_pretrained(
                where, dtype=torch.float32, local_files_only=True, **extra
            )
    except (OSError, KeyError, ValueError, ImportError) as error:
        line = str(error).strip().splitlines()[0]
        raise ValueError(f"model: transformers cannot read {path}: {line}") from error
    return model.eval(), tokenizer


def tokens(tokenizer: Any, text: str, count: int) -> Any:
    """The first `count` tokens of a text, [1, count]. Raises ValueError if it has fewer."""
    ids = tokenizer(text, return_tensors="pt", verbose=False).input_ids[:, :count]
    if ids.shape[1] < count:
        raise ValueError(f"text: expected at least {count} tokens, found {ids.shape[1]}")
    return ids


def prefill(
    model: Any, ids: Any, chunk: int = 8192, keep_all: bool = False
) -> tuple[Any, Any]:
    """Hidden states [1, tokens, width] behind the last layer, and the cache: chunk tokens a step,
    so that no activation or mask has more rows. With keep_all the cache keeps the keys that a
    sliding window has left, so that it can be cropped."""
    cache = transformers.DynamicCache(config=None if keep_all else model.config)
    with torch.inference_mode():
        parts = [
            model.base_model(part, past_key_values=cache, use_cache=True).last_hidden_state
            for part in ids.split(chunk, dim=1)
        ]
        return torch.cat(parts, dim=1), cache


def capture(
    model: Any, ids: Any, layers: list[int] | None = None, chunk: int = 8192
) -> list[LayerTensors]:
    """Runs the model over ids [1, tokens]; gives what the attention of each layer read.

    layers    which, in any order; None: all
    chunk     tokens a step of the prefill: memory, not results up to float32 rounding

    The model's own attention is torch's scaled_dot_product_attention in float32. Raises ValueError
    for layers the model lacks, that attend otherwise than through transformers' interface, or that
    have sinks or a softcap.
    """
    count = model.config.get_text_config().num_hidden_layers
    layers = list(range(count)) if layers is None else layers
    if wrong := [layer for layer in layers if not 0 <= layer < count]:
        raise ValueError(f"layers: expected numbers from 0 to {count - 1}, found {wrong[0]}")
    seen: dict[int, list[tuple[Any, ...]]] = {layer: [] for layer in layers}
    facts: dict[int, tuple[float, int | None]] = {}

    def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
        layer = module.layer_idx
        # torch's function takes neither, and would leave them out without a word.
        for option, what in ("s_aux", "attention sinks"), ("softcap", "a softcap of its logits"):
            if options.get(option) is not None:
                raise ValueError(f"model: layer {layer} has {what} ({option}), which neither "
                                 "the capture nor its file can hold")
        if layer in seen:
            new = query.shape[2]  # a cache puts earlier tokens before them
            seen[layer].append(tuple(x[0, :, -new:].bfloat16() for x in (query, key, value)))
            scale = options.get("scaling") or query.shape[3] ** -0.5
            facts[layer] = float(scale), options.get("sliding_window")
        return sdpa_attention_forward(module, query, key, value, mask, **options)

    name = "lostbits_capture"
    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, sdpa_mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        prefill(model, ids, chunk)
    finally:
        model.set_attn_implementation(before)
    if missing := [layer for layer in layers if not seen[layer]]:
        raise ValueError(f"layers: layer {missing[0]} has no attention that can be read")
    return [
        LayerTensors(layer, *map(_joined, zip(*seen[layer], strict=True)), *facts[layer])
        for layer in layers
    ]


def _joined(parts: tuple[Any, ...]) -> np.ndarray:
    """[heads, tokens, dim] pieces to one [tokens, heads, dim] array."""
    whole = torch.cat(parts, dim=1).transpose(0, 1).contiguous()
    return whole.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def origin(model: str | pathlib.Path, text: pathlib.Path) -> dict[str, str]:
    """What a figure comes from: model and text with their SHA-256, and the versions that decide its
    last bits."""
    from . import __version__

    return {
        "model": pathlib.Path(model).name,
        "model_sha256": sha256(model),
        "text": text.name,
        "text_sha256": sha256(text),
        "lostbits": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def sha256(path: str | pathlib.Path) -> str:
    """Of a file; of a folder's .safetensors files, in the order of their names."""
    path, digest = pathlib.Path(path), hashlib.sha256()
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
