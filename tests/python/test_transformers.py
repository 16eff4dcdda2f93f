"""lostbits.transformers: whole models against forward passes written out here.

FP8: every projection, norm and rotation is the model's own, attention is `lostbits.attention`
called by hand on codes that are written once, as a kernel writes its cache; the logits are the same
bits.

Exact: the same bits as the plain BF16 model whose softmax(Q K^T) V alone is computed in float64,
densely, with the masks that transformers makes for "eager". Stock implementations round inside
attention, each elsewhere, so their logits are compared through the model in float64.
"""

import copy

import numpy as np
import pytest
from conftest import assert_same_bits

import lostbits

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

import lostbits.transformers as lbt  # noqa: E402
from by_hand import Fp8Cache, by_hand, window_of  # noqa: E402
from transformers import DynamicCache  # noqa: E402
from transformers.masking_utils import eager_mask  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
WINDOW = 64
SHARED = {"hidden_size": 128, "intermediate_size": 128, "vocab_size": 64, "num_hidden_layers": 3,
          "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.15,
          "pad_token_id": None, "eos_token_id": None, "bos_token_id": None}


def llama(**options):
    return transformers.LlamaConfig(**SHARED, head_dim=64, **options)


def gemma(**options):
    return transformers.Gemma3TextConfig(
        **SHARED, head_dim=128, query_pre_attn_scalar=80, sliding_window=WINDOW,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], **options)


def make(config, dtype=torch.bfloat16):
    torch.manual_seed(7)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


@pytest.fixture(scope="module", params=[llama, gemma], ids=["llama", "gemma3"])
def model(request):
    """Two families: one scale a head dim, and windows, another scale, normed Q and K."""
    return make(request.param())


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.fixture
def ids():
    return torch.randint(1, 64, (2, 200), generator=torch.Generator().manual_seed(3))


def logits(model, ids, implementation, decode=0, **options):
    """Of a prefill, and of `decode` steps of a token after it, with a cache that keeps all keys."""
    model.set_attn_implementation(implementation)
    cache = DynamicCache()
    steps = ids.split([ids.shape[1] - decode] + [1] * decode, 1)
    return torch.cat([model(x, past_key_values=cache, **options).logits for x in steps], 1)


def simulated(settings, model, ids, decode=0):
    lbt.register("test", lbt.AttentionSettings(threads=1, **settings))
    return logits(model, ids, "test", decode)


# ---- FP8 --------------------------------------------------------------------------------------


def fixed(q=1.0, k=1.0, v=1.0):
    return lambda *_: [np.float32(x) for x in (q, k, v)]


def largest(per_head):
    """absmax / 448 of what comes first."""
    found = {}

    def scales(layer, q, k, v):
        if layer not in found:
            heads = k.shape[2] if per_head else 1
            found[layer] = [
                np.float32([np.abs(part).max() for part in np.split(x.float().numpy(), heads, 2)])
                / np.float32(448) for x in (q, k, v)]
        return found[layer]
    return scales


ONE_LEVEL = "fa3.sm90.e4m3.one-level"
LAYERS = {0: (1.0, 0.5, 0.25), 1: (0.3, [0.7, 0.9], [0.1, 0.2]), 2: (0.9, 0.8, 0.7)}
GIVEN = {i: lbt.Scales(*map(torch.tensor, scales)) for i, scales in LAYERS.items()}
CASES = [
    ({}, fixed(), {}),
    ({"preset": ONE_LEVEL}, fixed(), {"preset": ONE_LEVEL}),
    ({"accumulation": "every-n", "interval": 2, "splits": 2, "decode": "off"}, fixed(),
     {"accumulation": "every-n", "interval": 2, "splits": 2, "decode": "off"}),
    ({"scales": 0.5}, fixed(0.5, 0.5, 0.5), {}),
    ({"scales": lbt.Scales(0.3, 0.5, 0.7)}, fixed(0.3, 0.5, 0.7), {}),
    ({"scales": GIVEN}, lambda layer, *_: [np.float32(x) for x in LAYERS[layer]], {}),
    ({"scales": "per-tensor"}, None, {}),
    ({"scales": "per-head", "skip_layers": (1,)}, None, {}),
    ({"skip_layers": ("sliding_window",)}, fixed(), {}),
]


@pytest.mark.parametrize("settings, scales, options", CASES, ids=lambda x: str(x)[:40])
def test_fp8_logits_are_those_of_lostbits_attention(model, ids, settings, scales, options):
    scales = scales or largest(settings["scales"] == "per-head")
    skipped = settings.get("skip_layers", ())
    if skipped == ("sliding_window",):
        skipped = [i for i, layer in enumerate(model.model.layers) if window_of(layer.self_attn)]
    attend = Fp8Cache(scales, skipped, **options)
    out = simulated(settings, model, ids, decode=3)
    assert out.dtype == torch.bfloat16
    assert_same_bits(out, by_hand(model, ids, attend, decode=3))


def test_a_cache_that_drops_keys_changes_nothing(model, ids):
    model.set_attn_implementation("lostbits_fa3_fp8")
    out = []
    for cache in DynamicCache(), DynamicCache(config=model.config):
        pieces = ids.split([60, 1, 1, 1, 1, 1, 1, 73, 61], 1)
        out.append(torch.cat([model(x, past_key_values=cache).logits for x in pieces], 1))
    assert_same_bits(*out)


def test_settings_differ(model, ids):
    """None of the cases above is another in disguise."""
    out = [simulated(settings, model, ids, decode=1) for settings, *_ in CASES]
    same = {(i, j) for i in range(len(out)) for j in range(i) if torch.equal(out[i], out[j])}
    assert same == (set() if window_of(model.model.layers[0].self_attn) else {(8, 0)})


def test_scales_stay_what_the_first_call_made_them(model, ids):
    attention = lbt.register("test", lbt.AttentionSettings(scales="per-head"))
    logits(model, ids[:, :50], "test")
    first = attention.scales(model)
    assert list(first) == [0, 1, 2] and all(x.shape == (2,) for x in first[0])
    second = logits(model, ids, "test")
    assert attention.scales(model) == first
    lbt.register("given", lbt.AttentionSettings(scales=first))
    assert_same_bits(logits(model, ids, "given"), second)
    assert not torch.equal(simulated({"scales": "per-head"}, model, ids), second)


# ---- Exact -----------------------------------------------------------------------------------


def float64_attention(module, query, key, value, attention_mask, scaling, **_):
    """softmax(scaling Q K^T + mask) V in float64, rounded once to BF16; scaling is a float32, as
    kernels take it."""
    group = query.shape[1] // key.shape[1]
    key, value = (x.double().repeat_interleave(group, 1) for x in (key, value))
    scores = query.double() @ key.transpose(2, 3) * float(np.float32(scaling))
    if attention_mask is not None:
        scores = scores + attention_mask
    o = scores.softmax(-1) @ value
    return lostbits.encode(o.transpose(1, 2).contiguous(), "bfloat16"), None


transformers.AttentionInterface.register("float64", float64_attention)
transformers.AttentionMaskInterface.register("float64", eager_mask)


@pytest.mark.parametrize("decode", [0, 3])
def test_exact_is_the_plain_model_with_attention_in_float64(model, ids, decode):
    plain = logits(model, ids, "float64", decode)
    assert_same_bits(logits(model, ids, "lostbits_exact", decode), plain)


@pytest.mark.parametrize("padding", [0, 5, 80, 130])
def test_exact_in_pieces_with_padding_and_a_cache_that_drops_keys(model, ids, padding):
    mask = torch.ones_like(ids)
    mask[1, :padding] = 0
    out = []
    for implementation in "lostbits_exact", "float64":
        model.set_attn_implementation(implementation)
        cache, end, parts = DynamicCache(config=model.config), 0, []
        for piece in ids.split([140, 20, 1, 39], 1):
            end += piece.shape[1]
            parts.append(model(piece, attention_mask=mask[:, :end], past_key_values=cache).logits)
        out.append(torch.cat(parts, 1)[mask.bool()])
    assert_same_bits(*out)


FAMILIES = {
    "Llama": {}, "Qwen3": {"head_dim": 64}, "Phi3": {}, "Olmo2": {}, "SmolLM3": {},
    "Granite": {"attention_multiplier": 0.2},
    "Mistral": {"sliding_window": 50}, "Cohere2": {"sliding_window": 50},
    "Gemma2": {"head_dim": 64, "sliding_window": 50, "attn_logit_softcapping": 2.0},
    "GptOss": {"head_dim": 64, "sliding_window": 50, "num_local_experts": 2,
               "num_experts_per_tok": 2},  # attention sinks
}


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_is_as_near_to_the_truth_as_eager(ids, family):
    """Attention adds its rounding to that of all other operations: without it the logits come no
    farther from those of the model in float32. A tenth is left to chance."""
    config = getattr(transformers, f"{family}Config")
    model = make(config(**SHARED, **FAMILIES[family]))
    for layer in model.model.layers:
        if hasattr(layer.self_attn, "sinks"):
            layer.self_attn.sinks.normal_()
    exact, eager = (logits(model, ids, name, decode=2) for name in ("lostbits_exact", "eager"))
    truth = logits(copy.deepcopy(model).float(), ids, "eager", decode=2)
    error, stock = ((x - truth).square().mean().sqrt() for x in (exact, eager))
    assert error <= 1.1 * stock and stock < 0.2 * truth.std()
    assert not torch.equal(exact, eager)


# ---- Around it -------------------------------------------------------------------------------


def test_skipping_every_layer_is_the_stock_model(model, ids):
    skip = simulated({"skip_layers": (0, 1, 2)}, model, ids, decode=2)
    assert_same_bits(skip, logits(model, ids, "sdpa", decode=2))


def test_padded_rows_are_rows_of_their_own(model, ids):
    """They give what lostbits.attention gives on their own tokens; scales see no padding."""
    seen, attention = [], lbt.register("test", lbt.AttentionSettings(scales="per-tensor"))

    def spy(module, query, key, value, mask, **options):
        o = attention(module, query, key, value, mask, **options)[0]
        seen.append((module, [x.transpose(1, 2) for x in (query, key, value)], o))
        return o, None
    transformers.AttentionInterface.register("test", spy)
    mask = torch.ones_like(ids)
    mask[1, :130] = 0
    logits(model, ids, "test", attention_mask=mask)
    for module, (q, k, v), o in seen:
        real = [torch.cat([x[0], x[1, 130:]]) for x in (q, k, v)]
        scales = [x.float().abs().max().numpy() / np.float32(448) for x in real]
        attend = Fp8Cache(lambda *_: scales)  # noqa: B023
        assert_same_bits(o[1:, 130:], attend(module, *(x[1:, 130:] for x in (q, k, v))))
        assert not o[1, :130].any()


def test_a_model_from_disk_generates(model, ids, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, attn_implementation="lostbits_fa3_fp8", dtype="bfloat16")
    assert loaded.config._attn_implementation == "lostbits_fa3_fp8"
    options = {"max_new_tokens": 4, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    tokens = loaded.generate(ids, past_key_values=DynamicCache(), **options)[:, ids.shape[1] :]
    out = by_hand(model, torch.cat([ids, tokens], 1), Fp8Cache(fixed()), decode=4)
    assert torch.equal(out[:, -5:-1].argmax(-1), tokens)


def test_no_mask_of_len_by_len(model, ids):
    seen = []

    def spy(module, query, key, value, mask, **options):
        seen.append(mask)
        return query.transpose(1, 2), None
    lbt.register("test", lbt.AttentionSettings())
    transformers.AttentionInterface.register("test", spy)
    logits(model, ids, "test", decode=1)
    assert len(seen) == 6 and all(mask is None for mask in seen)


def test_float32_models(ids):
    model = make(llama(), torch.float32)
    out = simulated({}, model, ids, decode=2)
    assert out.dtype == torch.float32
    def attend(*x, cache=Fp8Cache(fixed())):
        return cache(*x).float()
    assert_same_bits(out, by_hand(model, ids, attend, decode=2))


def test_sinks_and_softcap_arrive(ids):
    attn = make(llama()).model.layers[0].self_attn
    q, k, v = (torch.randn(1, heads, 90, 64).bfloat16() for heads in (4, 2, 2))
    sinks = torch.randn(4).bfloat16()
    o, _ = lbt.SimulatedAttention(lbt.AttentionSettings())(
        attn, q, k, v, None, scaling=0.2, softcap=3.0, s_aux=sinks)
    expected = lostbits.attention(*(x.transpose(1, 2) for x in (q, k, v)), causal=True,
                                  softmax_scale=0.2, softcap=3.0, sinks=sinks.float())
    assert_same_bits(o, expected)


@pytest.mark.parametrize("window, position, local", [
    (119, None, True), (120, None, False), (120, 119, False), (120, 300, True),
])
def test_a_window_over_all_keys_is_none(window, position, local):
    """FlashAttention-3 then takes its decode kernel, whose key tiles are narrower."""
    attn = make(gemma()).model.layers[0].self_attn
    q, k, v = (torch.randn(1, heads, length, 128).bfloat16()
               for heads, length in ((4, 1), (2, 120), (2, 120)))
    o, _ = lbt.SimulatedAttention(lbt.AttentionSettings())(
        attn, q, k, v, None, scaling=0.2, sliding_window=window,
        position_ids=None if position is None else torch.tensor([[position]]))
    options = {"window": (window - 1, 0)} if local else {"decode": "on"}
    expected = lostbits.attention(*(x.transpose(1, 2) for x in (q, k, v)), causal=True,
                                  softmax_scale=0.2, **options)
    assert_same_bits(o, expected)


def test_zeros_have_a_scale():
    attn = make(llama()).model.layers[0].self_attn
    q, k = (torch.randn(1, heads, 9, 64).bfloat16() for heads in (4, 2))
    attention = lbt.SimulatedAttention(lbt.AttentionSettings(scales="per-head"))
    o, _ = attention(attn, q, k, torch.zeros_like(k), None)
    assert not o.any()


def right_padded(model, ids):
    mask = torch.ones_like(ids)
    mask[1, -9:] = 0
    return model(ids, attention_mask=mask)


@pytest.mark.parametrize("call, error, says", [
    (lambda m, ids: torch.enable_grad()(m)(ids), NotImplementedError, "torch.no_grad()"),
    (lambda m, ids: m(ids, attention_mask=torch.ones(2, 1, 200, 200)), ValueError,
     "found [2, 1, 200, 200]"),
    (right_padded, ValueError, "padding on the left alone, found row 1"),
    (lambda m, ids: m(ids, past_key_values=transformers.StaticCache(m.config, max_cache_len=256)),
     ValueError, "not a static one, found 256 keys for 200 tokens"),
    (lambda m, ids: m(ids[:1], use_cache=False, position_ids=torch.arange(200)[None] % 100),
     ValueError, "expected a causal mask"),
    (lambda m, ids: m.float()(ids), ValueError, "bfloat16 Q, K and V, found torch.float32"),
])
def test_what_it_does_not_do_is_said(ids, call, error, says):
    model = make(llama())
    model.set_attn_implementation("lostbits_exact")
    with pytest.raises(error) as raised:
        call(model, ids)
    assert says in str(raised.value)


def test_bidirectional_and_dropout_are_refused(ids):
    model = make(gemma(use_bidirectional_attention=True))
    model.set_attn_implementation("lostbits_fa3_fp8")
    with pytest.raises(ValueError, match="expected a causal mask"):
        model(ids)
    model = make(llama(attention_dropout=0.1)).train()
    model.set_attn_implementation("lostbits_fa3_fp8")
    with pytest.raises(ValueError, match="expected dropout 0, found 0.1"):
        model(ids)


@pytest.mark.parametrize("settings, says", [
    ({"preset": "fa4"}, "preset: expected one of fa3.sm90.e4m3"),
    ({"scales": "per-token"}, "scales: expected numbers"),
    ({"scales": None}, "scales: expected numbers > 0.*found None"),
    ({"scales": -1.0}, "found -1.0"),
    ({"scales": lbt.Scales(1.0, 0.0, 1.0)}, "expected numbers > 0"),
    ({"scales": (1.0, 1.0)}, "expected numbers > 0"),
    ({"scales": {0: 1.0}}, "Scales by layer, found"),
    ({"accumulation": "two-level"}, "unknown accumulation 'two-level'"),
    ({"accumulation": "per-tile", "interval": 4}, "interval: expected 0 without"),
    ({"preset": "exact", "accumulation": "per-tile"}, "exact: expected no settings"),
    ({"preset": "exact", "scales": "per-head"}, "exact has none"),
    ({"preset": "fa3.sm90.bf16", "scales": 0.5}, "fa3.sm90.bf16 has none"),
    ({"skip_layers": ("sliding",)}, "found 'sliding'"),
    ({"skip_layers": "sliding_window"}, "found 's'"),
])
def test_settings_are_checked(settings, says):
    with pytest.raises(ValueError, match=says):
        lbt.AttentionSettings(**settings)


def test_a_layer_without_given_scales(ids):
    with pytest.raises(ValueError, match="scales: none for layer 1, found"):
        simulated({"scales": {0: lbt.Scales()}}, make(llama()), ids)
