"""dot, mma, gemm, exact_gemm, machines: equal to the program and to recorded hardware."""

import os
import pathlib

import numpy as np
import pytest
from conftest import HOPPER, assert_same_bits, sample, words

import lostbits

CODE = {name: f"u{max(1, lostbits.finfo(name).bits // 8)}" for name in
        [m[key] for m in lostbits.machines() for key in ("a", "b", "accumulator")]}


def random_codes(rng, format, shape, special=False):
    """Codes of a format, without NaN and Inf unless `special`."""
    codes = rng.integers(0, 2 ** lostbits.finfo(format).bits, shape, dtype=np.uint64)
    codes = codes.astype(CODE.get(format, "u1"))
    if special:
        return codes
    values = lostbits.decode(codes, format)
    return np.where(np.isfinite(values), codes, np.zeros_like(codes))


def hexes(codes):
    return " ".join(f"{code:X}" for code in codes)


@pytest.mark.parametrize("special", [False, True])
def test_dot_equals_the_program_on_every_machine(program, rng, special):
    for machine in lostbits.machines():
        name, block = machine["machine"], machine["block"]
        k, rows = machine["k"] + 1, 3
        a, b = (random_codes(rng, machine[key], (rows, k), special) for key in ("a", "b"))
        c = random_codes(rng, machine["accumulator"], (rows,), special)
        lines, scales = [], {}
        if block:
            shape = (rows, -(-k // block))
            scales = {key: rng.integers(0x70, 0x7E, shape, dtype=np.uint8)
                      for key in ("scale_a", "scale_b")}
        for i in range(rows):
            fields = [a[i], b[i], c[i : i + 1], *(s[i] for s in scales.values())]
            lines.append(" ; ".join(hexes(field) for field in fields))
        theirs = program.json("dot", "-m", name, "--allow-unverified", stdin="\n".join(lines))
        ours = lostbits.dot(a, b, c, machine=name, allow_unverified=True, **scales)
        assert [int(row["d"], 16) for row in theirs["rows"]] == words(ours).tolist(), name


def test_recorded_hardware(program):
    """The sets that `lostbits verify` replays, through `dot`."""
    folder = os.environ.get("LOSTBITS_VECTORS", "")
    if not pathlib.Path(folder).is_dir() or not folder:
        pytest.skip("LOSTBITS_VECTORS names no folder of recorded hardware outputs")

    def read(path, base):
        lines = [[int(word, base) for word in line.split()] for line in path.open()]
        return np.array(lines, np.uint32).view(np.float32)

    replayed = 0
    for row in program.json("verify", folder)["sets"]:
        inner, output = row["set"].split(" -> ")
        files = {p.name[0] if p.name[0] != "d" else f"d_{p.stem.split('_')[-1]}": p
                 for p in (pathlib.Path(folder) / inner).glob("*.txt")}
        a, b = read(files["a"], 16), read(files["b"], 16)
        c = read(files["c"], 2)[:, 0] if row["uses_c"] else None
        d = lostbits.dot(a, b, c, machine=row["machine"])
        recorded = read(files[f"d_{output}"], 2)[:, 0]
        assert_same_bits(lostbits.decode(d) if output == "fp16" else d, recorded, row["set"])
        replayed += len(a)
    assert replayed >= 21_000


RECIPES = [
    {}, {"promote": 4}, {"promote": 1}, {"split_k": 3}, {"split_k": 2, "partial": "bfloat16"},
    {"split_k": 3, "split_tile": 4},
    {"promote": 4, "split_k": 2}, {"output_format": "bfloat16"}, {"output_format": "float16"},
]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
@pytest.mark.parametrize("machine", [HOPPER, "ampere:mma.sync:bf16:f32", "cdna3:mfma:f16:f32"])
def test_gemm_equals_the_program(program, rng, machine, recipe):
    a, b = sample("product")["a"], sample("product")["b"]
    cases = [(a.astype(np.float32), b.astype(np.float32)),
             (rng.standard_normal((33, 300)).astype(np.float32),
              rng.standard_normal((300, 17)).astype(np.float32) * 30)]
    arguments = [part for key, value in recipe.items()
                 for part in (f"--{key.replace('_', '-')}", value)]
    for x, y in cases:
        program.save("a.npy", x), program.save("b.npy", y)
        program.text("gemm", "a.npy", "b.npy", "-m", machine, "-o", "c.npy", "--no-error",
                     *arguments)
        ours = lostbits.gemm(x, y, machine=machine, **recipe)
        values = lostbits.decode(ours)  # .npy files of bfloat16 hold float32
        theirs = program.load("c.npy")
        assert_same_bits(values, theirs.astype(np.float32), f"{machine} {recipe}")


def test_gemm_with_scales_addend_and_transpose(program, rng):
    x = rng.standard_normal((6, 384)).astype(np.float32)
    y = rng.standard_normal((384, 130)).astype(np.float32)
    a, b = lostbits.encode(x, "e4m3"), lostbits.encode(y, "e4m3")
    scale_a = rng.uniform(0.5, 2, (6, 3)).astype(np.float32)
    scale_b = rng.uniform(0.5, 2, (3, 2)).astype(np.float32)
    c = rng.standard_normal((6, 130)).astype(np.float32)
    for name, array in {"a": a, "b": b, "bt": b.T, "sa": scale_a, "sb": scale_b, "c": c,
                        "x": x, "y": y}.items():
        program.save(f"{name}.npy", array)

    def theirs(*arguments):
        program.text("gemm", *arguments, "-m", HOPPER, "-o", "d.npy", "--no-error")
        return program.load("d.npy")

    ours = lostbits.gemm(a, b, machine=HOPPER, promote=4, scale_a=scale_a, scale_b=scale_b)
    scales = ("--promote", 4, "--scale-a", "sa.npy", "--scale-b", "sb.npy")
    assert_same_bits(ours, theirs("a.npy", "b.npy", *scales))
    assert_same_bits(lostbits.gemm(a, b.T.copy(), machine=HOPPER, b_transposed=True),
                     theirs("a.npy", "bt.npy", "--b-transposed"))
    assert_same_bits(lostbits.gemm(a, b, c, machine=HOPPER),
                     theirs("a.npy", "b.npy", "--c", "c.npy"))
    assert_same_bits(lostbits.gemm(x, y, machine=HOPPER, scale_a=0.25, scale_b=3.0),
                     theirs("x.npy", "y.npy", "--scale-a", "0.25", "--scale-b", "3"))


def test_mma_is_dot_for_every_output(rng):
    for machine in [HOPPER, "h100:mma.sync:f16:f16", "b200:nvfp4", "ampere:mma.sync:f64:f64"]:
        (row,) = lostbits.machines(machine)
        m, k, n, block = 3, row["k"] * 2, 5, row["block"]
        a = random_codes(rng, row["a"], (m, k))
        b = random_codes(rng, row["b"], (k, n))
        c = random_codes(rng, row["accumulator"], (m, n))
        scales, pairs = {}, {}
        if block:
            scales = {"scale_a": rng.integers(0x20, 0x60, (m, k // block), dtype=np.uint8),
                      "scale_b": rng.integers(0x20, 0x60, (k // block, n), dtype=np.uint8)}
            pairs = {"scale_a": np.repeat(scales["scale_a"], n, 0),
                     "scale_b": np.tile(scales["scale_b"].T, (m, 1))}
        d = lostbits.mma(a, b, c, machine=machine, **scales)
        dots = lostbits.dot(np.repeat(a, n, 0), np.tile(b.T, (m, 1)), c.reshape(-1),
                            machine=machine, **pairs)
        assert_same_bits(d, words(dots).reshape(m, n), machine)


def test_results_do_not_depend_on_threads(library, rng):
    a = lostbits.encode(library(rng.standard_normal((65, 512)).astype(np.float32)), "e4m3")
    b = lostbits.encode(library(rng.standard_normal((512, 33)).astype(np.float32)), "e4m3")
    one = lostbits.gemm(a, b, machine=HOPPER, promote=4, threads=1)
    for threads in 2, 5:
        assert_same_bits(lostbits.gemm(a, b, machine=HOPPER, promote=4, threads=threads), one)
    assert_same_bits(lostbits.exact_gemm(a, b, threads=1), lostbits.exact_gemm(a, b, threads=3))


def test_exact_gemm_is_exact(rng):
    a = rng.integers(-8, 9, (4, 100)).astype(np.float32)
    b = rng.integers(-8, 9, (100, 3)).astype(np.float32)
    assert (lostbits.exact_gemm(a, b) == a.astype(np.float64) @ b.astype(np.float64)).all()
    transposed = lostbits.exact_gemm(a, b.T.copy(), b_transposed=True)
    assert (transposed == lostbits.exact_gemm(a, b)).all()
    cancel = np.array([[2.0**60, 1, -(2.0**60)]], np.float32)
    assert lostbits.exact_gemm(cancel, np.ones((3, 1), np.float32)) == 1
    codes = lostbits.encode(a, "e4m3")
    assert (lostbits.exact_gemm(codes.view(np.uint8), codes.T.copy().view(np.uint8),
                                a_format="e4m3", b_format="e4m3") == a @ a.T).all()


def test_machines_are_the_programs(program):
    assert lostbits.machines() == program.json("machines")["machines"]
    assert lostbits.machines(HOPPER) == program.json("machines", HOPPER)["machines"]


A, B = np.ones((2, 64), np.float32), np.ones((32, 4), np.float32)


@pytest.mark.parametrize("call, says", [
    (lambda: lostbits.gemm(A, B, machine=HOPPER), "A is [2, 64] and B is [32, 4]"),
    (lambda: lostbits.mma(A, B, machine="b200:nvfp4"), "A is [2, 64] and B is [32, 4]"),
    (lambda: lostbits.exact_gemm(A, B), "A is [2, 64] and B is [32, 4]"),
    (lambda: lostbits.exact_gemm(A.astype(np.float64), A.T), "found float64"),
    (lambda: lostbits.dot(A, B, machine=HOPPER), "a is [2, 64] and b is [32, 4]"),
    (lambda: lostbits.dot(A, A, np.ones(3, np.float32), machine=HOPPER), "shape [2], found [3]"),
    (lambda: lostbits.gemm(A, A.T, np.ones((3, 3), np.float32), machine=HOPPER), "found [3, 3]"),
    (lambda: lostbits.gemm(A[0], A.T, machine=HOPPER), "found shape [64]"),
    (lambda: lostbits.gemm(A, A.T, machine="h100"), "h100"),
    (lambda: lostbits.gemm(A, A.T, machine="b200:nvfp4"), "not modelled"),
    (lambda: lostbits.gemm(A, A.T, machine=HOPPER, promote=-1), "promote: expected 0"),
    (lambda: lostbits.gemm(A, A.T, machine=HOPPER, scale_a=np.nan), "scale_a: expected finite"),
    (lambda: lostbits.gemm(A, A.T, machine=HOPPER, output_format="e4m3"), "output must be"),
    (lambda: lostbits.dot(A, A, machine="b200:nvfp4"), "scale_a: expected float8_e4m3fn scales"),
    (lambda: lostbits.gemm(A, A.T, machine="hopper:mma.sync:e4m3:f32"), "allow_unverified=True"),
    (lambda: lostbits.gemm(A.astype(np.uint16), A.T, machine=HOPPER), "found dtype uint16"),
])
def test_errors_name_both_shapes(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value) and "--" not in str(error.value)
