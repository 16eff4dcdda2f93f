"""lostbits.evaluate on tiny random models: its figures are those of the model called plainly."""

import json
import math

import pytest
from test_dump import SHAPE, TEXT, WORDS, folder, tiny, torch, transformers  # noqa: F401: a fixture

from lostbits import evaluate

PROSE = ". ".join(" ".join(TEXT.split()[i : i + 8]) for i in range(0, 400, 8))


class Words:
    """A tokenizer of words, of which it learns new ones as they come, with a first token 0."""

    def __init__(self):
        self.known = {"<s>": 0, **{word: i + 1 for i, word in enumerate(WORDS)}}

    def __call__(self, text, return_tensors="pt", add_special_tokens=True, verbose=True):
        words = ["<s>"] * add_special_tokens + text.split()
        ids = [self.known.setdefault(word, len(self.known)) for word in words]
        return transformers.BatchEncoding({"input_ids": torch.tensor([ids])})

    def word(self, i):
        found = next((word for word, known in self.known.items() if known == i), f"x{i}")
        self.known.setdefault(found, i)
        return found


@pytest.mark.parametrize("context", range(75, 95))
def test_no_needle_is_cut_off(words, context):
    """Sentences of 20 words, two needles of 7: one more would push the last off the end."""
    text = ". ".join(" ".join(TEXT.split()[i : i + 20]) for i in range(0, 400, 20))
    hay = evaluate.haystack(words, text, context, 2, seed=0)
    assert hay.ids.shape == (1, context) and int((~hay.own).sum()) == 14
    assert words.known[hay.keys[1][1] + "."] in hay.ids[0]


@pytest.fixture(params=["llama", "gemma"])
def model(request):
    return tiny(request.param, vocab_size=200, initializer_range=0.2)


@pytest.fixture
def words():
    return Words()


def test_a_haystack(words):
    hay = evaluate.haystack(words, PROSE, 200, 4, seed=7)
    assert hay.ids.shape == (1, 200) and hay.own.shape == (200,)
    assert len({name for name, _ in hay.keys}) == 4 and hay.ids[0, 0] == 0
    of = {i: word for word, i in words.known.items()}
    text = [of[int(i)] for i in hay.ids[0]]
    needles = [i for i in range(200) if not hay.own[i]]
    assert len(needles) == 4 * 7  # "The secret number of NAME is NUMBER."
    for (name, number), begin in zip(hay.keys, needles[::7], strict=True):
        needle = ["The", "secret", "number", "of", name, "is", number + "."]
        assert text[begin : begin + 7] == needle
    for i, begin in enumerate(needles[::7]):
        assert 0 <= begin - (i + 0.5) / 4 * 200 < 8  # a sentence
    own = [word for word, mine in zip(text, hay.own, strict=True) if mine]
    assert own[1:] == PROSE.split()[: len(own) - 1]  # nothing is lost or twice
    again = evaluate.haystack(words, PROSE, 200, 4, seed=7)
    assert (again.ids == hay.ids).all() and again.keys == hay.keys
    assert evaluate.haystack(words, PROSE, 200, 4, seed=8).keys != hay.keys


def test_losses_are_the_models(model, words):
    hay = evaluate.haystack(words, PROSE, 150, 3, seed=0)
    from lostbits import _models

    hidden, _ = _models.prefill(model, hay.ids, chunk=64)
    found = evaluate.losses(model, hay.ids, hidden, chunk=32)
    with torch.inference_mode():
        chances = model(hay.ids).logits[0].log_softmax(-1)
    expected = -chances[:-1].gather(1, hay.ids[0, 1:, None])[:, 0]
    assert torch.allclose(found, expected, atol=1e-3)
    bands = evaluate.by_position(found, hay.own, first=50)
    assert list(bands) == ["0-50", "50-100", "100-150"]
    for name, value in bands.items():
        begin, end = map(int, name.split("-"))
        mine = [expected[i - 1] for i in range(max(begin, 1), end) if hay.own[i]]
        assert value == pytest.approx(math.exp(sum(mine) / len(mine)), rel=1e-3)


def test_logits_that_are_scaled_are_refused(words):
    hay = evaluate.haystack(words, PROSE, 150, 3, seed=0)
    shape = {**SHAPE, "vocab_size": 200, "initializer_range": 0.3}
    del shape["head_dim"]
    model = transformers.GraniteForCausalLM(transformers.GraniteConfig(
        **shape, logits_scaling=2.0)).eval()
    with pytest.raises(ValueError, match="found others in GraniteForCausalLM"):
        evaluate.run(model, words, PROSE, [150], keys=3, implementations=["sdpa"])
    model.config.logits_scaling = 1.0
    model = transformers.GraniteForCausalLM(model.config).eval()
    evaluate.losses(model, hay.ids, torch.zeros(1, 150, 48))


def test_an_answer_through_the_cache_is_the_models_own(model, words):
    hay = evaluate.haystack(words, PROSE, 100, 2, seed=0)
    from lostbits import _models

    _, cache = _models.prefill(model, hay.ids, keep_all=True)
    name = hay.keys[0][0]
    question = words(evaluate.QUESTION.format(name), add_special_tokens=False).input_ids
    with torch.inference_mode():
        chances = model(torch.cat([hay.ids, question], 1)).logits[0, -1].log_softmax(-1)
    best = int(chances.argmax())
    word, other = words.word(best), words.word((best + 1) % 100)
    for _ in range(2):  # the cache is left as it was
        found, right = evaluate.ask(model, words, cache, name, word)
        assert right and found == pytest.approx(float(chances[best]), abs=1e-3)
    found, right = evaluate.ask(model, words, cache, name, other)
    assert not right and found == pytest.approx(float(chances[(best + 1) % 100]), abs=1e-3)
    two, _ = evaluate.ask(model, words, cache, name, f"{word} {other}")
    with torch.inference_mode():
        ids = torch.cat([hay.ids, question, torch.tensor([[best]])], 1)
        after = model(ids).logits[0, -1].log_softmax(-1)
    assert two == pytest.approx(float(chances[best] + after[(best + 1) % 100]), abs=1e-3)


def test_nothing_runs_before_all_is_checked(words, monkeypatch):
    monkeypatch.setattr("lostbits._models.prefill", None)
    model = tiny()
    with pytest.raises(ValueError, match="expected some of eager, .*found 'spda'"):
        evaluate.run(model, words, PROSE, [200], implementations=["sdpa", "spda"])
    with pytest.raises(ValueError, match="at least 9000 tokens"):
        evaluate.run(model, words, PROSE, [200, 9000], keys=3)


def test_runs_differ_by_their_attention_alone(model, words):
    lines = []
    found = evaluate.run(model, words, PROSE, [200], keys=3, log=lines.append)
    assert len(found) == len(lines) == len(evaluate.IMPLEMENTATIONS)
    assert model.config._attn_implementation == "sdpa"
    plain, bf16, one, two = (run["answer"] for run in found)
    assert plain == pytest.approx(bf16, abs=0.05)  # BF16's 8 bits
    assert len({plain, bf16, one, two}) == 4
    for run in found:
        assert run["keys"] == 3 == len(run["answers"]) and 0 <= run["found"] <= 3
        assert run["answer"] == pytest.approx(sum(run["answers"]) / 3, abs=1e-4)
        assert all(1 < value < 1e4 for value in run["perplexity"].values())
    json.dumps(found)


def test_the_program(folder, tmp_path, capsys):  # noqa: F811
    (tmp_path / "prose").write_text(PROSE)
    model, out = str(folder / "tiny"), tmp_path / "out.json"
    options = ["--context", "100,128", "--keys", "2", "--implementations", "sdpa"]
    assert evaluate.main([model, str(tmp_path / "prose"), *options, "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert [run["context"] for run in found["runs"]] == [100, 128]
    assert {"model_sha256", "text_sha256", "lostbits", "torch", "transformers"} < set(found)
    assert found["text"] == "prose" and len(found["model_sha256"]) == 64
    capsys.readouterr()
    assert evaluate.main([model, str(folder / "text"), *options]) == 2  # one sentence
    line = capsys.readouterr().err
    assert "too long for 2 keys" in line and line.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "prose"]


@pytest.mark.parametrize("arguments, says", [
    ((PROSE, 100, 99), "expected 1 to 26, found 99"),
    ((PROSE, 1000, 4), "expected at least 1000 tokens, found"),
    ((PROSE.replace(".", ""), 100, 4), "sentences are too long"),
    ((PROSE, 50, 6), "than fit in 50 tokens, found 6: one is cut off"),
])
def test_errors(words, arguments, says):
    with pytest.raises(ValueError) as error:
        evaluate.haystack(words, *arguments, seed=0)
    assert says in str(error.value)
