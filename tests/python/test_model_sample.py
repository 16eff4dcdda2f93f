"""tests/data: tensors and figures of real models. The tensors are whole, the program takes them,
and the lines of the table that rest on them come out again."""

import csv
import hashlib
import json

import pytest
from conftest import ROOT

import lostbits
from lostbits import dump, evaluate, heads

DATA = ROOT / "tests" / "data"
SMOLLM2 = DATA / "smollm2"


def table(model):
    with (DATA / model / "heads.csv").open() as file:
        return [{name: float(x) for name, x in line.items()} for line in csv.DictReader(file)]


@pytest.fixture(scope="module")
def tensors():
    return dump.read(SMOLLM2 / "qkv.safetensors")


def test_the_file_is_the_one_described(tensors):
    path = SMOLLM2 / "qkv.safetensors"
    assert path.stat().st_size < 4 << 20
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"`{digest}`" in (SMOLLM2 / "README.md").read_text()
    found, metadata = tensors
    assert {name: x.shape for name, x in found.items()} == {
        "q": (3, 16, 3, 64), "k": (3, 8192, 1, 64), "v": (3, 8192, 1, 64)}
    assert {x.dtype.name for x in found.values()} == {"float8_e4m3fn"}
    assert metadata["heads"] == "0.2,12.0,21.2" and float(metadata["softmax_scale"]) == 1 / 8


def test_the_program_takes_it(tensors, program):
    report = program.json("needle", "--qkv", SMOLLM2 / "qkv.safetensors", "--rows", 16)
    assert report["q_shape"] == [3, 16, 3, 64] and report["saturated"] == [0, 0, 0]
    error = {(head["batch"], head["variant"]): head["relative_error"] for head in report["heads"]}
    for batch in range(3):
        assert error[batch, "exact on E4M3"] == 0  # it is E4M3 already
        assert error[batch, "FP8 one-level"] > 2 * error[batch, "FP8 two-level, every tile"]
    found, _ = tensors
    ours = lostbits.needle(*(found[name] for name in "qkv"), rows=16)
    assert ours["heads"] == report["heads"]


@pytest.mark.parametrize("place", range(3))
def test_the_table_comes_out_again(tensors, place):
    found, metadata = tensors
    layer, kv_head = map(int, metadata["heads"].split(",")[place].split("."))
    lines = [line for line in table("smollm2")
             if (line["layer"], line["kv_head"], line["context"]) == (layer, kv_head, 8192)]
    given = heads.describe(*(found[name][place] for name in "qkv"))
    assert len(lines) == len(given) == 3
    # The table's model values had not been encoded yet: their ranges differ.
    ranges = {f"{name}_{what}" for name in "qkv" for what in ("max", "over", "lost")} | {"codes"}
    for line, again in zip(lines, given, strict=True):
        names = set(again) - ranges - {"head", "kv_head"}
        assert len(names) == 15
        assert {name: line[name] for name in names} == pytest.approx(
            {name: again[name] for name in names}, rel=2e-5)


@pytest.mark.parametrize("model, layers, kv_heads, group", [("smollm2", 30, 3, 3),
                                                            ("gemma3", 18, 1, 4)])
def test_the_table_is_whole(model, layers, kv_heads, group):
    places = [(line["layer"], line["head"], line["context"]) for line in table(model)]
    assert len(places) == len(set(places))
    for context in (1024, 4096, 8192, 16384)[: 4 if model == "gemma3" else 3]:
        here = {place[:2] for place in places if place[2] == context}
        full = range(5, layers, 6) if model == "gemma3" else range(layers)  # others: a window
        assert here == {(layer, head) for layer in full for head in range(kv_heads * group)}


def test_the_evaluation_is_of_the_same_model_and_text(tensors):
    _, metadata = tensors
    with (SMOLLM2 / "evaluation.json").open() as file:
        found = json.load(file)
    for name in "model", "model_sha256", "text", "text_sha256":
        assert found[name] == metadata[name]
        assert metadata[name] in (SMOLLM2 / "README.md").read_text()
    by_context = {}
    for run in found["runs"]:
        by_context.setdefault(run["context"], []).append(run["implementation"])
        assert run["answer"] == pytest.approx(sum(run["answers"]) / run["keys"], abs=1e-3)
        assert len(run["answers"]) == run["keys"]
    assert all(names == list(evaluate.IMPLEMENTATIONS) for names in by_context.values())
    assert max(by_context) == 8000
