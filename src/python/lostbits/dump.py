"""Writes what a real model's attention reads as tensors that `lostbits needle --qkv` takes.

    python -m lostbits.dump MODEL TEXT --out qkv.safetensors --heads 0.2,12.0
    lostbits needle --qkv qkv.safetensors --rows 16

MODEL is a .gguf file or a Hugging Face folder of a decoder, TEXT a file to read. The model runs on
the CPU in float32; Q, K and V are taken behind the rotary embedding, where a cache would store
them. The file holds

    q   [heads, queries, group, dim]   the last queries, of the query heads of one KV head
    k   [heads, context, 1, dim]       v alike

for every chosen KV head, in the order asked for: `lostbits needle` counts them as "batch". Codes
are E4M3 at scale 1 (--dtype e4m3, what vLLM's FP8 cache holds without calibrated scales) or values
in BF16. The file's metadata name the model, the text, their SHA-256, the heads, the softmax scale,
the sliding window (0: none; both one a head where they differ) and versions. needle takes
1 / sqrt(dim) for the scale, and all keys: where a model has another scale or a shorter window, a
line says so.

--table writes the figures of `lostbits.heads` of every query head as CSV, for several contexts.

Needs torch and transformers, and gguf and accelerate for .gguf files: lostbits[models].
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from . import heads
from ._codec import encode

if TYPE_CHECKING:
    from ._models import LayerTensors


__all__ = ["read", "save", "stack", "table", "write_table"]

_NAMES = {"bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3"}  # ml_dtypes' and safetensors' spelling


def stack(
    layers: Sequence[LayerTensors], chosen: Iterable[tuple[int, int]], queries: int
) -> dict[str, np.ndarray]:
    """q, k, v as this module's file has them, bfloat16, of (layer, KV head) pairs.

    Raises ValueError for a layer or head that is not there.
    """
    by_number = {each.layer: each for each in layers}
    parts: dict[str, list[np.ndarray]] = {"q": [], "k": [], "v": []}
    for layer, head in chosen:
        count = by_number[layer].k.shape[1] if layer in by_number else 0
        if not 0 <= head < count:
            raise ValueError(
                f"heads: expected LAYER.HEAD of layers {sorted(by_number)} with KV heads "
                f"0 to {max(count - 1, 0)}, found {layer}.{head}"
            )
        each = by_number[layer]
        group = each.q.shape[1] // count
        parts["q"].append(each.q[-queries:, head * group : (head + 1) * group])
        parts["k"].append(each.k[:, head : head + 1])
        parts["v"].append(each.v[:, head : head + 1])
    return {name: np.stack(each) for name, each in parts.items()}


def save(
    path: str | os.PathLike[str], tensors: dict[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """A .safetensors file of BF16 and E4M3 arrays, written beside its place and renamed."""
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, x in tensors.items():
        if x.dtype.name not in _NAMES:
            raise ValueError(f"{name}: expected bfloat16 or float8_e4m3fn, found {x.dtype.name}")
        header[name] = {
            "dtype": _NAMES[x.dtype.name],
            "shape": x.shape,
            "data_offsets": [end, end := end + x.nbytes],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # as safetensors pads
    path = pathlib.Path(path)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for x in tensors.values():
            file.write(np.ascontiguousarray(x).tobytes())
    part.replace(path)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(tensors, metadata) of a file that `save` wrote. Raises ValueError for any other."""
    raw = pathlib.Path(path).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    types = {code: np.dtype(getattr(ml_dtypes, name)) for name, code in _NAMES.items()}
    try:
        header, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
        metadata = header.pop("__metadata__", {})
        return {
            name: np.frombuffer(body[slice(*x["data_offsets"])], types[x["dtype"]]).reshape(
                x["shape"]
            )
            for name, x in header.items()
        }, metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected .safetensors with BF16 and F8_E4M3 tensors: {error}"
        ) from error


def table(
    layers: Iterable[LayerTensors], contexts: Sequence[int], rows: int = 16, threads: int = 0
) -> list[dict[str, float]]:
    """`lostbits.heads.describe` of every query head, layer by layer, context by context. A layer
    with a sliding window is described once, over the last keys of one window."""
    figures = []
    for each in layers:
        whole = len(each.k)
        if each.window and each.window < whole:
            tail = slice(whole - each.window, whole)
            parts = [(each.q[tail], each.k[tail], each.v[tail])]
        else:
            parts = [(each.q[:n], each.k[:n], each.v[:n]) for n in contexts]
        for part in parts:
            found = heads.describe(
                *part, rows=min(rows, len(part[0])), softmax_scale=each.softmax_scale,
                threads=threads,
            )
            figures += [{"layer": each.layer, **line} for line in found]
    return figures


def write_table(path: str | os.PathLike[str], figures: Sequence[dict[str, float]]) -> None:
    """CSV with six significant digits. Raises ValueError without a line."""
    if not figures:
        raise ValueError("figures: expected one line at least, found none")
    path = pathlib.Path(path)
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(figures[0])
        writer.writerows([[f"{value:.6g}" for value in line.values()] for line in figures])
    part.replace(path)


def numbers(text: str) -> list[int]:
    """The argument of a program: N,N,..., all above 0."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"expected N,N,... above 0, found {text!r}")
    return [int(part) for part in parts]


def count(text: str) -> int:
    """The argument of a program: 0, 1, 2, ..."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number, 0 or more, found {text!r}")
    return int(text)


def place(text: str) -> pathlib.Path:
    """The argument of a program: a file to write, in a folder that is there."""
    path = pathlib.Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file in a folder, found {text!r}")
    return path


def _heads(text: str) -> list[tuple[int, int]]:
    try:
        return [(int(layer), int(head)) for layer, head in (x.split(".") for x in text.split(","))]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LAYER.HEAD,..., found {text!r}") from None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m lostbits.dump",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help=".gguf file or Hugging Face folder")
    parser.add_argument("text", type=pathlib.Path, help="UTF-8 text, read from its beginning")
    parser.add_argument("--out", type=place, help="the .safetensors file to write")
    parser.add_argument("--table", type=place, help="the .csv file to write")
    parser.add_argument("--heads", type=_heads, help="KV heads as LAYER.HEAD,...; default all")
    parser.add_argument("--context", type=numbers, default=[4096], metavar="N,...",
                        help="tokens; --out has the longest, --table all; default %(default)s")
    parser.add_argument("--queries", type=count, default=16,
                        help="last queries kept or averaged over; default %(default)s")
    parser.add_argument("--dtype", choices=["bf16", "e4m3"], default="bf16")
    parser.add_argument("--chunk", type=count, default=8192,
                        help="tokens a step of the prefill (memory); default %(default)s")
    parser.add_argument("--threads", type=count, default=0, help="0: all")
    arguments = parser.parse_args(argv)
    if not arguments.out and not arguments.table:
        parser.error("expected --out or --table, found neither")
    if not arguments.chunk:
        parser.error("--chunk: expected 1 or more, found 0")
    if not 0 < arguments.queries < min(arguments.context):
        parser.error(f"--queries: expected 1 to {min(arguments.context) - 1}, "
                     f"found {arguments.queries}")
    return arguments


def _write(arguments: argparse.Namespace, layers: Sequence[LayerTensors]) -> None:
    """The tensors that --out asks for."""
    from . import _models

    chosen = arguments.heads or [
        (each.layer, head) for each in layers for head in range(each.k.shape[1])
    ]
    tensors = stack(layers, chosen, arguments.queries)
    if arguments.dtype == "e4m3":
        tensors = {name: encode(x, "e4m3") for name, x in tensors.items()}
    by_number = {each.layer: each for each in layers}
    scales = {layer: by_number[layer].softmax_scale for layer, _ in chosen}
    windows = {layer: by_number[layer].window for layer, _ in chosen}
    for layer, scale in scales.items():
        if abs(scale * tensors["q"].shape[3] ** 0.5 - 1) > 1e-6:
            print(f"lostbits.dump: layer {layer}: softmax scale {scale}, not 1 / sqrt(dim)",
                  file=sys.stderr)
    for layer, window in windows.items():
        if window and window < tensors["k"].shape[1]:
            print(f"lostbits.dump: layer {layer}: a query sees a window of {window} keys, the file "
                  f"has all {tensors['k'].shape[1]}", file=sys.stderr)
    metadata = {
        "heads": ",".join(f"{layer}.{head}" for layer, head in chosen),
        "softmax_scale": _list(scales[layer] for layer, _ in chosen),
        "sliding_window": _list(windows[layer] or 0 for layer, _ in chosen),
        **_models.origin(arguments.model, arguments.text),
    }
    save(arguments.out, tensors, metadata)


def _list(values: Iterable[float]) -> str:
    """One value where all are the same, else one a head."""
    found = [repr(x) for x in values]
    return found[0] if len(set(found)) == 1 else ",".join(found)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 with one line on stderr for what cannot be used."""
    arguments = _arguments(argv)
    try:
        from . import _models

        if arguments.threads:
            _models.torch.set_num_threads(arguments.threads)
        text = arguments.text.read_text(encoding="utf-8")
        model, tokenizer = _models.load(arguments.model)
        ids = _models.tokens(tokenizer, text, max(arguments.context))
        wanted = arguments.heads and sorted({layer for layer, _ in arguments.heads})
        layers = _models.capture(
            model, ids, None if arguments.table else wanted, arguments.chunk
        )
        if arguments.out:
            _write(arguments, layers)
        if arguments.table:
            figures = table(layers, arguments.context, arguments.queries, arguments.threads)
            write_table(arguments.table, figures)
    except (ValueError, ImportError, OSError) as error:
        print(f"lostbits.dump: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
