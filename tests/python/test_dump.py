"""lostbits.dump on tiny random models made here: the tensors are those that attention read."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from conftest import assert_same_bits

import lostbits
from lostbits import dump

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")

from lostbits import _models  # noqa: E402

WORDS = [f"w{i}" for i in range(50)]
TEXT = " ".join(WORDS[i * i % 47] for i in range(400))
SHAPE = {"vocab_size": 51, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3,
         "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16}


def tiny(kind="llama", **change):
    torch.manual_seed(1)
    shape = {**SHAPE, "initializer_range": 0.3, **change}
    if kind == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape)).eval()
    config = transformers.Gemma3TextConfig(
        **shape, sliding_window=24, query_pre_attn_scalar=25,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"])
    return transformers.Gemma3ForCausalLM(config).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Hugging Face folder with a model and a tokenizer of 50 words, and a text beside it."""
    path = tmp_path_factory.mktemp("model")
    tiny().save_pretrained(path / "tiny")
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: i for i, word in enumerate([*WORDS, "?"])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?").save_pretrained(
        path / "tiny")
    (path / "text").write_text(TEXT)
    return path


def ids(count=100):
    return torch.tensor([[i * i % 47 for i in range(count)]])


def outputs(model, ids):
    """What each layer's attention gives before its output projection, [tokens, heads, dim]."""
    seen = {}
    for layer, block in enumerate(model.model.layers):
        block.self_attn.o_proj.register_forward_pre_hook(
            lambda _, args, layer=layer: seen.__setitem__(layer, args[0][0].detach().numpy()))
    with torch.inference_mode():
        model(ids)
    return [x.reshape(len(x), SHAPE["num_attention_heads"], -1) for x in seen.values()]


@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_attention_on_the_tensors_is_the_models_own(kind):
    model = tiny(kind)
    layers = _models.capture(model, ids(), chunk=32)
    assert model.config._attn_implementation == "sdpa"  # as before
    for each, expected in zip(layers, outputs(model, ids()), strict=True):
        scale, window = each.softmax_scale, each.window
        assert scale == pytest.approx(1 / 4 if kind == "llama" else 1 / 5)
        assert window == (24 if kind == "gemma" and each.layer != 1 else None)
        o = lostbits.exact_attention(
            each.q, each.k, each.v, preset="fa3.sm90.bf16", causal=True, softmax_scale=scale,
            window=None if window is None else (window - 1, 0))
        # BF16 has 8 bits: 2^-9 of each value of V, and of logits up to about 8.
        assert np.abs(o - expected).max() < 0.02 * np.abs(expected).max()


def test_the_rotary_embedding_is_in_them():
    model = tiny()
    attention = model.model.layers[0].self_attn
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    with torch.inference_mode():
        x = model.model.layers[0].input_layernorm(model.model.embed_tokens(ids()))
        plain = [project(x).view(1, 100, -1, 16).transpose(1, 2)
                 for project in (attention.q_proj, attention.k_proj, attention.v_proj)]
        angles = model.model.rotary_emb(x, torch.arange(100)[None])
        turned = apply_rotary_pos_emb(*plain[:2], *angles)
    (layer,) = _models.capture(model, ids(), layers=[0], chunk=100)
    for ours, theirs in zip((layer.q, layer.k, layer.v), (*turned, plain[2]), strict=True):
        theirs = theirs[0].transpose(0, 1).float().numpy().astype(ml_dtypes.bfloat16)
        assert_same_bits(ours, theirs)


def test_chunks_do_not_matter():
    for kind in "llama", "gemma":
        whole, parts = (_models.capture(tiny(kind), ids(), chunk=chunk) for chunk in (100, 7))
        for one, other in zip(whole, parts, strict=True):
            for name in "qkv":
                x, y = (getattr(each, name).astype(np.float32) for each in (one, other))
                assert x.shape == y.shape and np.abs(x - y).max() < 2**-6 * np.abs(x).max()


def test_a_file_for_needle(folder, program):
    out = program.folder / "qkv.safetensors"
    arguments = [str(folder / "tiny"), str(folder / "text"), "--out", str(out), "--heads",
                 "2.1,0.0", "--context", "90", "--queries", "5"]
    assert dump.main(arguments) == 0
    tensors, metadata = dump.read(out)
    assert {name: x.shape for name, x in tensors.items()} == {
        "q": (2, 5, 3, 16), "k": (2, 90, 1, 16), "v": (2, 90, 1, 16)}
    assert metadata["heads"] == "2.1,0.0" and float(metadata["softmax_scale"]) == 0.25
    assert metadata["sliding_window"] == "0" and metadata["torch"] == torch.__version__
    assert metadata["lostbits"] == lostbits.__version__
    assert len(metadata["model_sha256"]) == len(metadata["text_sha256"]) == 64
    model = tiny()
    layers = _models.capture(model, ids(90))
    with safetensors.safe_open(out, "pt") as file:  # as others read it
        for name, x in tensors.items():
            assert_same_bits(file.get_tensor(name), x, name)
    assert_same_bits(tensors["k"][0, :, 0], layers[2].k[:, 1])
    assert_same_bits(tensors["v"][1, :, 0], layers[0].v[:, 0])
    assert_same_bits(tensors["q"][0], layers[2].q[-5:, 3:])
    assert_same_bits(tensors["q"][1], layers[0].q[-5:, :3])
    report = program.json("needle", "--qkv", out, "--rows", 5)
    assert report["q_shape"] == [2, 5, 3, 16] and report["k_shape"] == [2, 90, 1, 16]

    assert dump.main([*arguments, "--dtype", "e4m3"]) == 0
    codes, _ = dump.read(out)
    for name, x in codes.items():
        assert_same_bits(x, lostbits.encode(tensors[name], "e4m3"), name)
    report = program.json("needle", "--qkv", out)
    assert all(head["relative_error"] == 0 for head in report["heads"]
               if head["variant"] == "exact on E4M3")


def test_a_table(folder):
    path = folder / "heads.csv"
    assert dump.main([str(folder / "tiny"), str(folder / "text"), "--table", str(path),
                      "--context", "64,90", "--queries", "4"]) == 0
    names, *lines = [line.split(",") for line in path.read_text().splitlines()]
    assert len(lines) == 3 * 2 * 6 and not list(folder.glob("*.part"))
    last = dict(zip(names, map(float, lines[-1]), strict=True))
    assert (last["layer"], last["head"], last["kv_head"], last["context"]) == (2, 5, 1, 90)
    layer = _models.capture(tiny(), ids(90))[2]
    found = lostbits.heads.describe(layer.q, layer.k, layer.v, rows=4)[5]
    assert {name: last[name] for name in found} == pytest.approx(found, rel=1e-5)


def test_a_window_is_described_alone():
    layers = _models.capture(tiny("gemma"), ids())
    assert [len(each.k) for each in layers] == [100] * 3  # whole in the tensors
    found = dump.table(layers, [40, 100], rows=4)
    assert [line["context"] for line in found[::6]] == [24, 40, 100, 24]


@pytest.mark.parametrize("make, says", [
    (lambda: transformers.GptOssForCausalLM(transformers.GptOssConfig(
        **SHAPE, num_local_experts=2, num_experts_per_tok=1, sliding_window=24)), "s_aux"),
    (lambda: transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**SHAPE)), "softcap"),
])
def test_what_the_capture_would_leave_out_is_refused(make, says):
    with pytest.raises(ValueError, match=f"layer 0 has .*{says}"):
        _models.capture(make().eval(), ids())


@pytest.mark.parametrize("change, says", [
    ({"--heads": "3.0"}, "numbers from 0 to 2, found 3"),
    ({"--heads": "1.2"}, "KV heads 0 to 1, found 1.2"),
    ({"--context": "401"}, "expected at least 401 tokens, found 400"),
    ({"model": "nowhere"}, "found nothing at"),
    ({"model": "text"}, "cannot read"),
])
def test_errors(folder, tmp_path, capsys, change, says):
    options = {"--heads": "0.0", "--context": "90", "--out": str(tmp_path / "x"), **change}
    model = options.pop("model", "tiny")
    arguments = [str(folder / model), str(folder / "text")]
    assert dump.main([*arguments, *(x for pair in options.items() for x in pair)]) == 2
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_windows_and_scales_that_needle_has_not_are_said(folder, tmp_path, capsys):
    tiny("gemma").save_pretrained(tmp_path / "gemma")
    for path in (folder / "tiny").glob("tokenizer*"):
        (tmp_path / "gemma" / path.name).write_bytes(path.read_bytes())
    arguments = [str(tmp_path / "gemma"), str(folder / "text"), "--out", str(tmp_path / "x"),
                 "--context", "90", "--heads"]
    capsys.readouterr()
    assert dump.main([*arguments, "1.0,2.1"]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 3
    assert "layer 2: a query sees a window of 24 keys, the file has all 90" in said
    assert all(f"layer {layer}: softmax scale 0.2, not 1 / sqrt(dim)" in said for layer in (1, 2))
    metadata = dump.read(tmp_path / "x")[1]
    assert (metadata["sliding_window"], metadata["softmax_scale"]) == ("0,24", "0.2")


@pytest.mark.parametrize("option, says", [
    (("--context", "0"), "expected N,N,... above 0, found '0'"),
    (("--context", "a"), "expected N,N,... above 0, found 'a'"),
    (("--threads", "-1"), "expected a number, 0 or more, found '-1'"),
    (("--out", "no/where"), "expected a file in a folder, found 'no/where'"),
])
@pytest.mark.parametrize("program", ["dump", "evaluate"])
def test_options_are_read_before_a_model(tmp_path, capsys, program, option, says):
    import importlib

    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(f"lostbits.{program}").main(
            ["m", "t", "--out", str(tmp_path / "x"), *option])
    assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_a_foreign_file(tmp_path):
    (tmp_path / "x").write_bytes(b"no safetensors at all")
    with pytest.raises(ValueError, match="expected .safetensors"):
        dump.read(tmp_path / "x")
    with pytest.raises(ValueError, match="found float32"):
        dump.save(tmp_path / "y", {"q": np.zeros(3, np.float32)}, {})
    with pytest.raises(ValueError, match="expected one line at least"):
        dump.write_table(tmp_path / "z", [])


def test_without_torch(tmp_path):
    """lostbits and lostbits.dump import; running says what to install."""
    code = ("import sys; sys.modules['torch'] = None\n"
            "import lostbits, lostbits.heads, lostbits.dump\n"
            "sys.exit(lostbits.dump.main(sys.argv[1:]))")
    run = subprocess.run([sys.executable, "-c", code, "m", "t", "--out", str(tmp_path / "x")],
                         capture_output=True, text=True)
    assert run.returncode == 2 and "lostbits[models]" in run.stderr
    assert run.stderr.count("\n") == 1
