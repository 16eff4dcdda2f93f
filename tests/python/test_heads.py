"""Figures of attention heads: against the needle study's own haystacks, and by hand."""

import numpy as np
import pytest

import lostbits
from lostbits import heads


def haystack(rng, keys, mu, dim=64):
    """V of the needle study: mu times a sign a channel, plus one of 64 random +-1 codewords."""
    signs, book = (np.sign(rng.standard_normal(shape)) for shape in (dim, (64, dim)))
    return mu * signs + book[rng.integers(64, size=keys)]


@pytest.mark.parametrize("mu", [0, 0.5, 2])
def test_the_common_mode_of_a_haystack_is_found(rng, mu):
    found = heads.value_figures(haystack(rng, 8192, mu))
    # 64 codewords leave a mean of 1/8 a channel, which adds to mu's square.
    assert found["mu"] == pytest.approx(np.hypot(mu, 1 / 8), abs=0.03)
    assert found["v_signal"] == pytest.approx(1, abs=0.02)
    assert (found["mu_half"] > 0.5) == (mu >= 0.5)


def test_figures_of_values_by_hand():
    v = np.array([[1.0, 3], [3, -3]])
    assert heads.value_figures(v) == pytest.approx({
        "v_common": np.sqrt((2**2 + 0) / 2), "v_signal": np.sqrt((1 + 9) / 2),
        "mu": np.sqrt(4 / 10), "mu_max": 2, "mu_half": 0.5,
    })
    assert heads.key_figures(np.array([[1.0, -2, 3], [0, 1, -30]])) == {"k_outlier": 15}
    x = np.array([0, 2.0**-10, 2.0**-9, 448, -449, 1, 1, 1])
    assert heads.range_figures(x, "x") == {"x_max": 449, "x_over": 1 / 8, "x_lost": 1 / 8}


def test_figures_of_weights_by_hand():
    # The first row's logits are 0. The last row's: of the largest weight, that of key 1, key 2 has
    # 5.1e-6, above 2^-18 = 3.8e-6 (though not of all weight), and key 3 has 1.1e-6.
    q = np.array([[0.0, 0], [1, 0]])
    k = np.array([[0.0, 0], [np.log(2), 0], [-11.5, 0], [-13, 0]])
    found = heads.weight_figures(q, k, softmax_scale=1.0)
    weight = np.exp(k[:, 0])
    total = weight.sum()
    assert found == pytest.approx({
        "top_weight": (1 / 3 + 2 / total) / 2, "first_weight": (1 / 3 + 1 / total) / 2,
        "keys_used": (3 + total**2 / (weight**2).sum()) / 2, "keys_lost": (0 + 1 / 4) / 2,
    })


def test_errors_are_those_of_attention_called_by_hand(rng):
    keys, rows = 3000, 8
    k = rng.standard_normal((keys, 2, 64)) * 0.3
    v = np.stack([haystack(rng, keys, mu) for mu in (0, 2)], axis=1)
    q = rng.standard_normal((rows, 4, 64))
    found = heads.error_figures(q, k, v)
    codes = [lostbits.encode(x, "e4m3") for x in (q, k, v)]
    exact = lostbits.exact_attention(*codes, causal=True)
    one = lostbits.attention(*codes, preset="fa3.sm90.e4m3.one-level", causal=True,
                             output_format="float32")
    for head in range(4):
        size = np.linalg.norm(exact[:, head])
        error = np.linalg.norm(one[:, head] - exact[:, head]) / size
        assert found["one_level"][head] == pytest.approx(error, rel=1e-9)
        gain = np.vdot(one[:, head], exact[:, head]) / size**2
        assert found["one_level_gain"][head] == pytest.approx(gain, rel=1e-9)
    assert (found["two_level"][2:] < found["one_level"][2:] / 4).all()  # the common mode of 2
    assert (found["one_level_gain"][2:] < 0.99).all() and (found["two_level_gain"] > 0.99).all()
    assert (found["codes"] > 1e-5).all()
    already = heads.error_figures(*codes)
    assert (already["codes"] == 0).all() and (already["one_level"] == found["one_level"]).all()


def test_a_context_is_a_prefix(rng):
    q, k, v = (rng.standard_normal((600, heads, 64)) for heads in (4, 2, 2))
    whole = heads.describe(q, k, v, context=500, rows=3)
    part = heads.describe(q[497:500], k[:500], v[:500], rows=3)
    assert whole == part and [line["kv_head"] for line in part] == [0, 0, 1, 1]
    assert whole == heads.describe(q[400:], k, v, context=500, rows=3)
    by_hand = heads.weight_figures(*(lostbits.encode(x, "e4m3")
                                     for x in (q[497:500, 3], k[:500, 1])))
    assert {name: part[3][name] for name in by_hand} == by_hand


@pytest.mark.parametrize("call, says", [
    (lambda x: heads.describe(x, x[:, :, :32], x), "k [64, 2, 32]"),
    (lambda x: heads.describe(x, x, x, context=65), "context 65"),
    (lambda x: heads.describe(x[-4:], x, x, context=40), "queries of keys 60 to 63"),
    (lambda x: heads.value_figures(x), "[keys, dim]"),
    (lambda x: heads.key_figures(x), "k: expected [keys, dim], found [64, 2, 64]"),
    (lambda x: heads.weight_figures(x[:, 0], x[:9, 0]), "rows up to keys"),
])
def test_errors(call, says, rng):
    with pytest.raises(ValueError) as error:
        call(rng.standard_normal((64, 2, 64)))
    assert says in str(error.value)
