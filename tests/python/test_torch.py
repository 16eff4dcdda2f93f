"""lostbits.torch: scaled_mm against torch's own and step by step, sdpa against torch's own."""

import ml_dtypes
import numpy as np
import pytest
from conftest import HOPPER, assert_same_bits

import lostbits

torch = pytest.importorskip("torch", reason="torch is not installed")

import lostbits.torch as lt  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
F = torch.nn.functional
TYPES = {torch.float32: np.float32, torch.bfloat16: ml_dtypes.bfloat16, torch.float16: np.float16,
         torch.float8_e4m3fn: ml_dtypes.float8_e4m3fn}


@pytest.fixture
def draw():
    """float32 tensors of a shape, from a generator of the test's own."""
    generator = torch.Generator().manual_seed(20261122)
    return lambda *shape: torch.randn(*shape, generator=generator)


def operands(draw, m=24, k=256, n=40, types=(torch.float8_e4m3fn,) * 2):
    return draw(m, k).to(types[0]), draw(n, k).to(types[1]).t()


def scales(draw, m, k, n):
    """One of every kind, none of them a power of two."""
    def positive(*shape):
        return draw(*shape).abs() + 0.01
    return {
        "numbers": (positive(()), positive(())),
        "vectors of one": (positive(1), positive(1)),
        "rows and columns": (positive(m, 1), positive(1, n)),
        "blocks": (positive(m, -(-k // 128)), positive(-(-k // 128), -(-n // 128))),
    }


# ---- scaled_mm -------------------------------------------------------------------------------


@pytest.mark.parametrize("out_dtype", [None, *TYPES], ids=str)
@pytest.mark.parametrize("kind", ["numbers", "rows and columns"])
def test_equals_torch_where_nothing_rounds(draw, kind, out_dtype):
    """Small integers and powers of two: every order of sums gives these bits."""
    a, b = (draw(n, 32).mul(2).round().clamp(-2, 2).to(torch.float8_e4m3fn) for n in (24, 48))
    pair = [torch.exp2(x.round()) for x in scales(draw, 24, 32, 48)[kind]]
    bias = draw(48).mul(4).round().bfloat16()
    for options in {}, {"bias": bias}:
        ours = lt.scaled_mm(a, b.t(), *pair, out_dtype=out_dtype, **options)
        theirs = torch._scaled_mm(a, b.t(), *pair, out_dtype=out_dtype, **options)
        assert ours.dtype == theirs.dtype
        assert_same_bits(ours + 0 if ours.dtype.itemsize > 1 else ours,
                         theirs + 0 if ours.dtype.itemsize > 1 else theirs)


@pytest.mark.parametrize("out_dtype", TYPES, ids=str)
@pytest.mark.parametrize("kind", ["numbers", "vectors of one", "rows and columns", "blocks"])
def test_every_step_by_hand(draw, kind, out_dtype):
    a, b = operands(draw)
    scale_a, scale_b = scales(draw, 24, 256, 40)[kind]
    result = torch.tensor(1.7)
    for bias in None, draw(40).bfloat16():
        for schedule in {}, {"use_fast_accum": True}, {"promote": 2, "split_k": 3}:  # k = 256
            if kind == "blocks" and schedule:
                continue
            d = lt.scaled_mm(a, b, scale_a, scale_b, bias, result, out_dtype, **schedule)
            gemm = {"promote": 0 if schedule.get("use_fast_accum") else 4, **schedule}
            gemm.pop("use_fast_accum", None)
            if kind == "blocks":
                gemm |= {"scale_a": scale_a, "scale_b": scale_b}
            s = lostbits.gemm(a, b, machine=HOPPER, **gemm).numpy()
            sa, sb = scale_a.numpy(), scale_b.numpy()
            if kind == "rows and columns":
                s = (s * sa) * sb
            elif kind != "blocks":
                s = s * (sa * sb)
            if bias is not None:
                s = s + bias.float().numpy()
            if out_dtype == torch.float8_e4m3fn:
                s = np.clip(s * result.numpy(), -448, 448)
            assert s.dtype == np.float32 and d.dtype == out_dtype
            assert_same_bits(d, s.astype(TYPES[out_dtype]), f"{bias is None} {schedule}")


def test_fast_accum_is_one_level(draw):
    """0.4375^2 * 4096 = 784: the unpromoted sum stalls."""
    a = torch.full((1, 4096), 0.4375).to(torch.float8_e4m3fn)
    one = torch.tensor(1.0)
    d = [lt.scaled_mm(a, a.t(), one, one, out_dtype=torch.float32, use_fast_accum=fast).item()
         for fast in (False, True)]
    assert d[0] == 784 and d[1] < 784


def test_ranges_of_k_are_whole_tiles(draw):
    a, b = operands(draw, k=500)
    one = torch.tensor(1.0)
    for fast, promote in (True, 0), (False, 4):
        d = lt.scaled_mm(a, b, one, one, None, None, torch.float32, fast, split_k=3)
        parts = [lostbits.gemm(a[:, part], b[part], machine=HOPPER, promote=promote)
                 for part in (slice(0, 256), slice(256, 500))]
        assert_same_bits(d, parts[0] + parts[1])


E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2


@pytest.mark.parametrize("types", [(E4M3, E4M3), (E4M3, E5M2), (E5M2, E4M3)], ids=str)
@pytest.mark.parametrize("k, values", [(128, "any"), (640, "normal"), (1312, "wide")])
def test_equals_mmaemu(types, k, values):
    """Another model of torch._scaled_mm, compared with an H100 PCIe by its author."""
    mmaemu = pytest.importorskip("mmaemu", reason="mmaemu is not installed")
    generator = torch.Generator().manual_seed(k)

    def operand(rows, dtype):
        if values == "any":
            return torch.randint(0, 256, (rows, k), generator=generator).byte().view(dtype)
        size = 2 if values == "wide" else 0
        x, y = (torch.randn(rows, k, generator=generator) for _ in range(2))
        return (x * torch.exp2(size * y)).to(dtype)
    a, b = operand(8, types[0]), operand(16, types[1]).t()
    pair, result = (torch.tensor(0.37), torch.tensor(1.9)), torch.tensor(0.7)
    outputs = [*TYPES, E5M2] if E5M2 in types else TYPES  # cuBLASLt refuses the other
    for out_dtype in outputs:
        scale_result = result if out_dtype in (E4M3, E5M2) else None
        for fast in False, True:
            for split in (1, 2, 3) if k > 128 else (1,):
                ours = lt.scaled_mm(a, b, *pair, None, scale_result, out_dtype, fast, split_k=split,
                                    threads=1)
                theirs = mmaemu.scaled_mm(
                    a, b, *pair, None, scale_result, out_dtype, fast,
                    splitk=1 if split == 1 else (split, "contiguous"))
                assert_same_bits(ours, theirs, f"{out_dtype} fast {fast} split {split}")


@pytest.mark.parametrize("types, machine", [
    ((torch.float8_e4m3fn, torch.float8_e5m2), "hopper:wgmma:e4m3.e5m2:f32"),
    ((torch.float8_e5m2, torch.float8_e4m3fn), "hopper:wgmma:e5m2.e4m3:f32"),
    ((torch.float8_e5m2, torch.float8_e5m2), "hopper:wgmma:e5m2:f32"),
])
def test_the_machine_is_of_the_operands_types(draw, types, machine):
    a, b = operands(draw, types=types)
    one = torch.tensor(1.0)
    d = lt.scaled_mm(a, b, one, one, out_dtype=torch.float32)
    assert_same_bits(d, lostbits.gemm(a, b, machine=machine, promote=4))
    ada = "ada:mma.sync:e4m3:f32"
    a, b = operands(draw)
    d = lt.scaled_mm(a, b, one, one, out_dtype=torch.float32, machine=ada, promote=0)
    assert_same_bits(d, lostbits.gemm(a, b, machine=ada))


def test_saturates_and_strides_change_nothing(draw):
    a, b = operands(draw)
    big = torch.tensor(1e4)
    d = lt.scaled_mm(a, b, big, big)
    assert d.dtype == torch.float8_e4m3fn and d.float().abs().max() == 448
    assert torch.isinf(lt.scaled_mm(a, b, big, big, draw(40).half(), out_dtype=torch.float16)).any()
    one = torch.tensor(1.0)
    strided = torch.stack([a, a], 2)[..., 0], b.contiguous()
    assert_same_bits(lt.scaled_mm(*strided, one, one), lt.scaled_mm(a, b, one, one))


def test_fake_tensors_and_compile(draw):
    from torch._subclasses.fake_tensor import FakeTensorMode

    a, b = operands(draw)
    one = torch.tensor(1.0)
    with FakeTensorMode() as mode:
        fake = [mode.from_tensor(x) for x in (a, b, one, one)]
        for out_dtype in None, torch.bfloat16:
            d = lt.scaled_mm(*fake, out_dtype=out_dtype)
            assert d.shape == (24, 40) and d.dtype == (out_dtype or torch.float8_e4m3fn)
        with pytest.raises(ValueError, match="mat1, mat2"):
            lt.scaled_mm(fake[0], *fake[:1], *fake[2:])
    compiled = torch.compile(lambda *x: lt.scaled_mm(*x, out_dtype=torch.float32) + 1,
                             backend="eager", fullgraph=True)
    assert_same_bits(compiled(a, b, one, one),
                     lt.scaled_mm(a, b, one, one, out_dtype=torch.float32) + 1)
    torch.library.opcheck(
        torch.ops.lostbits.scaled_mm.default,
        (a, b, one, one, None, None, None, False, "", None, 1, "float32", False, 1),
        test_utils="test_faketensor",  # the others compare FP8 tensors with allclose, which fails
    )


A, B = torch.ones(16, 32).to(torch.float8_e4m3fn), torch.ones(32, 48).to(torch.float8_e4m3fn)
ONE = torch.tensor(1.0)


@pytest.mark.parametrize("call, says", [
    (lambda: lt.scaled_mm(A, A, ONE, ONE), "[m, k] and [k, n], found [16, 32], [16, 32]"),
    (lambda: lt.scaled_mm(A.float(), B, ONE, ONE), "found torch.float32, torch.float8_e4m3fn"),
    (lambda: lt.scaled_mm(A, B, ONE.double(), ONE), "expected float32, found torch.float64"),
    (lambda: lt.scaled_mm(A, B, torch.ones(15, 1), torch.ones(1, 48)), "found [15, 1], [1, 48]"),
    (lambda: lt.scaled_mm(A, B, torch.ones(16, 1), ONE), "[16, 1] and [1, 48]"),
    (lambda: lt.scaled_mm(A, B, ONE, ONE, torch.ones(16)), "expected [48] floats, found [16]"),
    (lambda: lt.scaled_mm(A, B, ONE, ONE, None, torch.ones(2)), "one float32, found [2]"),
    (lambda: lt.scaled_mm(A, B, ONE, ONE, machine="hopper:wgmma:e4"), "hopper:wgmma:e4"),
    (lambda: lt.scaled_mm(A, B, -ONE, ONE), "scale_a"),
    (lambda: lt.scaled_mm(A, B, torch.ones(16, 1), torch.zeros(1, 48)), "scale_b: expected finite"),
    (lambda: lt.scaled_mm(A, B, ONE, ONE, None, ONE * torch.nan), "scale_result: expected finite"),
    (lambda: lt.scaled_mm(A, B, 1.0, ONE), "scale_a: expected a tensor, found 1.0"),
    (lambda: lt.scaled_mm(A, B, ONE, ONE, out_dtype="bfloat16"), "expected a torch.dtype"),
    (lambda: lt.scaled_mm(A, B, torch.ones(16, 1), torch.ones(1, 48), out_dtype=torch.float64),
     "out_dtype: expected float32, bfloat16"),
    (lambda: lt.scaled_mm(A.to("meta"), B.to("meta"), ONE.to("meta"), ONE.to("meta"),
                          out_dtype=torch.int8), "found torch.int8"),
])
def test_scaled_mm_errors(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value)


# ---- sdpa ------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("q_len, kv_len", [(70, 70), (33, 200), (200, 33), (1, 90), (90, 1)])
@pytest.mark.parametrize("heads_kv, scale", [(4, None), (2, 0.31)])
def test_is_torch_s_attention(draw, q_len, kv_len, causal, heads_kv, scale):
    """The BF16 kernel rounds P and the output to 8 bits: 2^-9 of sum(weight |V|) each, and its FP32
    steps stay far below a third 2^-9."""
    q = draw(2, 4, q_len, 64).bfloat16()
    k, v = draw(2, heads_kv, kv_len, 64).bfloat16(), draw(2, heads_kv, kv_len, 64).bfloat16()
    options = {"is_causal": causal, "scale": scale, "enable_gqa": heads_kv != 4}
    o = lt.sdpa(q, k, v, preset="fa3.sm90.bf16", **options)
    assert o.shape == q.shape and o.dtype == torch.bfloat16
    exact = F.scaled_dot_product_attention(q.double(), k.double(), v.double(), **options)
    size = F.scaled_dot_product_attention(q.double(), k.double(), v.double().abs(), **options)
    assert ((o.double() - exact).abs() <= 3 * 2**-9 * size).all()


def test_is_lostbits_attention(draw):
    q, k, v = (draw(2, 4, 300, 64) for _ in "qkv")
    transposed = [x.transpose(1, 2) for x in (q, k, v)]
    for options in (
        {}, {"preset": "fa3.sm90.e4m3.one-level", "k_descale": 0.5, "v_descale": 0.25},
        {"accumulation": "every-n", "interval": 2, "splits": 2, "decode": "off"},
    ):
        o = lt.sdpa(q, k, v, is_causal=True, scale=0.2, **options)
        expected = lostbits.attention(*transposed, causal=True, softmax_scale=0.2, **options)
        assert_same_bits(o, expected.transpose(1, 2), str(options))
    codes = [lostbits.encode(x, "e4m3") for x in (q, k, v)]
    assert_same_bits(lt.sdpa(*codes), lt.sdpa(q, k, v))
    o, lse = lt.sdpa(q[0], k[0], v[0], return_lse=True)
    assert_same_bits(o, lt.sdpa(q, k, v)[0])
    assert lse.shape == (1, 4, 300)


Q = torch.ones(1, 4, 8, 64)


@pytest.mark.parametrize("call, error, says", [
    (lambda: lt.sdpa(Q, Q.numpy(), Q), ValueError, "key: expected a tensor"),
    (lambda: lt.sdpa(Q, Q, Q, torch.ones(8, 8)), ValueError, "attn_mask: expected None"),
    (lambda: lt.sdpa(Q, Q, Q, dropout_p=0.1), ValueError, "dropout_p: expected 0, found 0.1"),
    (lambda: lt.sdpa(Q.clone().requires_grad_(), Q, Q), NotImplementedError, "torch.no_grad()"),
    (lambda: lt.sdpa(Q, Q[:, :2], Q[:, :2]), ValueError, "enable_gqa"),
    (lambda: lt.sdpa(Q, Q[:, :3], Q[:, :3], enable_gqa=True), ValueError, "heads of Q a multiple"),
    (lambda: lt.sdpa(Q[0, 0], Q[0, 0], Q[0, 0]), ValueError, "found [8, 64], [8, 64], [8, 64]"),
    (lambda: lt.sdpa(Q, Q, Q, scale=0.0), ValueError, "scale: expected a number > 0"),
    (lambda: lt.sdpa(Q, Q, Q, scale="1"), ValueError, "scale: expected a number > 0, found '1'"),
    (lambda: lt.sdpa(Q, Q, Q, window=(3, 0)), ValueError, "window: not an option"),
    (lambda: lt.sdpa(Q, Q, Q, preset="sm100.e4m3"), lostbits.NoEvidenceError, "allow_unverified"),
])
def test_sdpa_errors(call, error, says):
    with pytest.raises(error) as raised:
        call()
    assert says in str(raised.value)
