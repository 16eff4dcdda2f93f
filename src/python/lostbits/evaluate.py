"""Perplexity and needles of a real model under simulated attention kernels, on the CPU.

    python -m lostbits.evaluate MODEL TEXT --context 1024,8192 --out evaluation.json

MODEL is a .gguf file or a Hugging Face folder of a decoder, TEXT a file of prose. For each context
a haystack is made of the text: --keys sentences "The secret number of Alice is 52817.", each with a
name and a number of its own, stand at equal distances between its sentences. The model reads it
once under each attention implementation, and answers one question a key, "The secret number of
Alice is", through its KV cache. Reported are

    perplexity   of the text (without the needles), by position: 0 to 1k, to 2k, to 4k, ...
    found        questions whose most likely continuation is the number, digit by digit
    answer       mean log-probability of the right number, in nats

All implementations read the same tokens. Needs what `lostbits.dump` needs.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import re
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from .dump import count, numbers, place

__all__ = ["IMPLEMENTATIONS", "Haystack", "ask", "by_position", "haystack", "losses", "run"]

IMPLEMENTATIONS = (
    "sdpa",  # torch's, in float32: the model itself
    "lostbits_fa3_bf16",
    "lostbits_fa3_fp8_one_level",
    "lostbits_fa3_fp8",
)
NAMES = (
    "Alice Bruno Clara David Emma Felix Greta Henry Irene James Karin Louis Maria Nigel Olivia "
    "Peter Queenie Ralph Susan Thomas Ursula Victor Wendy Xavier Yvonne Zachary"
).split()
QUESTION = "\n\nThe secret number of {} is"


class Haystack(NamedTuple):
    """ids [1, context]; of each token whether it is the text's own; (name, number) of each key, in
    the order of their places."""

    ids: Any
    own: Any
    keys: list[tuple[str, str]]


def haystack(tokenizer: Any, text: str, context: int, keys: int, seed: int) -> Haystack:
    """The text from its beginning with `keys` needles, `context` tokens in all.

    Key i of n stands at about (i + 1/2) / n of the context, behind a sentence; before one that
    would push it off the end. Raises ValueError where the text is too short, where there are more
    keys than names, and where they do not fit.
    """
    from . import _models

    if not 0 < keys <= len(NAMES):
        raise ValueError(f"keys: expected 1 to {len(NAMES)}, found {keys}")
    draw = random.Random(f"{seed} {context}")
    numbers = [str(draw.randrange(10_000, 100_000)) for _ in range(keys)]
    hidden = list(zip(draw.sample(NAMES, keys), numbers, strict=True))
    sentences = iter(re.split(r"(?<=[.!?])(?=\s)", text))  # each with the space before it
    parts: list[Any] = []
    own: list[bool] = []
    length = 0

    def tokens(piece: str, first: bool) -> Any:
        return tokenizer(piece, return_tensors="pt", add_special_tokens=first).input_ids

    def add(piece: Any, is_text: bool) -> None:
        nonlocal length
        parts.append(piece)
        own.extend([is_text] * piece.shape[1])
        length += piece.shape[1]

    needles = [tokens(f"{QUESTION.format(name)} {number}.", False) for name, number in hidden]
    placed = 0
    while length < context:
        sentence = next(sentences, None)
        if sentence is None:
            raise ValueError(f"text: expected at least {context} tokens, found {length}")
        piece = tokens(sentence, not parts)
        while placed < keys and parts:
            behind = length + piece.shape[1] + needles[placed].shape[1]
            if length < (placed + 0.5) / keys * context and behind <= context:
                break
            add(needles[placed], False)
            placed += 1
            if length > context:
                raise ValueError(f"keys: expected no more than fit in {context} tokens, "
                                 f"found {keys}: one is cut off")
        add(piece, True)
    if placed < keys:
        raise ValueError(f"text: its sentences are too long for {keys} keys in {context} tokens")
    ids = _models.torch.cat(parts, dim=1)[:, :context]
    return Haystack(ids, _models.torch.tensor(own[:context]), hidden)


def losses(model: Any, ids: Any, hidden: Any, chunk: int = 512) -> Any:
    """-log p of tokens 1 ... n - 1 of ids [1, n], in nats, from the last layer's hidden states.

    No more than `chunk` rows of logits exist at a time. Raises ValueError for a model whose logits
    are not made of these states as here."""
    from ._models import torch

    found = []
    with torch.inference_mode():
        few = ids[:, :8]
        ours = _logits(model, model.base_model(few, use_cache=False).last_hidden_state)
        theirs = model(few, use_cache=False).logits.float()
        if not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max())):
            raise ValueError(f"model: expected logits of output embeddings and a softcap alone, "
                             f"found others in {type(model).__name__} (a logit scale?)")
        for begin in range(0, ids.shape[1] - 1, chunk):
            end = min(begin + chunk, ids.shape[1] - 1)
            logits = _logits(model, hidden[0, begin:end])
            found.append(torch.nn.functional.cross_entropy(
                logits, ids[0, begin + 1 : end + 1], reduction="none"))
    return torch.cat(found)


def _logits(model: Any, hidden: Any) -> Any:
    logits = model.get_output_embeddings()(hidden).float()
    if cap := getattr(model.config.get_text_config(), "final_logit_softcapping", None):
        logits = cap * (logits / cap).tanh()
    return logits


def by_position(losses: Any, own: Any, first: int = 1024) -> dict[str, float]:
    """Perplexity of the text's own tokens, up to `first`, then in ranges that double."""
    result, begin, end = {}, 1, first
    while begin < len(own):
        here = losses[begin - 1 : end - 1][own[begin:end]]
        if len(here):
            result[f"{begin - (begin == 1)}-{min(end, len(own))}"] = float(here.mean().exp())
        begin, end = end, 2 * end
    return result


def ask(model: Any, tokenizer: Any, cache: Any, name: str, number: str) -> tuple[float, bool]:
    """(log-probability of the number, whether greedy decoding gives it); the cache is left as it
    was."""
    from ._models import torch

    question = tokenizer(QUESTION.format(name), return_tensors="pt", add_special_tokens=False)
    answer = tokenizer(f" {number}", return_tensors="pt", add_special_tokens=False).input_ids
    ids = torch.cat([question.input_ids, answer], dim=1)
    size = answer.shape[1]
    with torch.inference_mode():
        logits = model(ids, past_key_values=cache, use_cache=True).logits[0, -size - 1 : -1].float()
    cache.crop(-ids.shape[1])
    chances = logits.log_softmax(-1).gather(1, answer[0, :, None])
    return float(chances.sum()), bool((logits.argmax(-1) == answer[0]).all())


def run(
    model: Any,
    tokenizer: Any,
    text: str,
    contexts: Sequence[int],
    keys: int = 10,
    seed: int = 0,
    implementations: Sequence[str] = IMPLEMENTATIONS,
    log: Any = None,
) -> list[dict[str, Any]]:
    """One dict a context and implementation; log, if set, is called with a line on each.

    Raises ValueError, before the first run, as `haystack` and for unknown implementations."""
    from . import _models
    from . import transformers as _registered  # noqa: F401  registers the implementations

    known = ["eager", *_models.transformers.AttentionInterface().valid_keys()]
    if unknown := [name for name in implementations if name not in known]:
        raise ValueError(f"implementations: expected some of {', '.join(known)}, "
                         f"found {unknown[0]!r}")
    haystacks = [haystack(tokenizer, text, context, keys, seed) for context in contexts]
    result = []
    before = model.config._attn_implementation
    try:
        for context, hay in zip(contexts, haystacks, strict=True):
            for name in implementations:
                start = time.monotonic()
                model.set_attn_implementation(name)
                hidden, cache = _models.prefill(model, hay.ids, keep_all=True)
                loss = losses(model, hay.ids, hidden)
                answers = [ask(model, tokenizer, cache, *key) for key in hay.keys]
                result.append({
                    "context": context,
                    "implementation": name,
                    "perplexity": by_position(loss, hay.own),
                    "found": sum(right for _, right in answers),
                    "answer": sum(chance for chance, _ in answers) / keys,
                    "answers": [round(chance, 4) for chance, _ in answers],
                    "keys": keys,
                    "seed": seed,
                })
                if log:
                    log(f"{result[-1]} {time.monotonic() - start:.0f} s")
    finally:
        model.set_attn_implementation(before)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 with one line on stderr for what cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m lostbits.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help=".gguf file or Hugging Face folder")
    parser.add_argument("text", type=pathlib.Path, help="UTF-8 prose")
    parser.add_argument("--out", type=place, help="the .json file to write; default stdout")
    parser.add_argument("--context", type=numbers, default="1024,2048,4096", metavar="N,...",
                        help="tokens of a haystack; default %(default)s")
    parser.add_argument("--keys", type=count, default=10, help="needles; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of names and numbers")
    parser.add_argument("--implementations", default=",".join(IMPLEMENTATIONS), metavar="NAME,...",
                        help="attention implementations of transformers; default %(default)s")
    parser.add_argument("--threads", type=count, default=0, help="of torch's products; 0: all")
    arguments = parser.parse_args(argv)
    try:
        from . import _models

        if arguments.threads:
            _models.torch.set_num_threads(arguments.threads)
        text = arguments.text.read_text(encoding="utf-8")
        model, tokenizer = _models.load(arguments.model)
        found = {
            **_models.origin(arguments.model, arguments.text),
            "runs": run(model, tokenizer, text, arguments.context, arguments.keys, arguments.seed,
                        arguments.implementations.split(","), _line),
        }
    except (ValueError, ImportError, OSError) as error:
        print(f"lostbits.evaluate: {error}", file=sys.stderr)
        return 2
    body = json.dumps(found, indent=1) + "\n"
    if arguments.out:
        part = arguments.out.with_name(arguments.out.name + ".part")
        part.write_text(body)
        part.replace(arguments.out)
    else:
        print(body, end="")
    return 0


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
