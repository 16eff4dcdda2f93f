"""assert_matches_hardware, infer_recipe, assert_fp8_close: right kernels pass, wrong are named.

The wrong kernels are made of `lostbits.gemm` itself, run with another recipe or on other operands.
"""

import importlib.metadata
import json
import shlex
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from conftest import HOPPER, words

import lostbits
from lostbits import testing
from lostbits._recipes import Recipe, candidates, ordinals

M, N, K = 24, 40, 1024


@pytest.fixture
def operands(rng):
    """Magnitudes that change along k: FP32 adds equal ones exactly, in any order."""
    size = np.repeat(2.0 ** rng.integers(-3, 7, (2, K // 32)), 32, axis=1)
    a = lostbits.encode(rng.standard_normal((M, K)) * size[0], "e4m3")
    b = lostbits.encode(rng.standard_normal((K, N)) * size[1][:, None], "e4m3")
    return a, b


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    """Where operands too long for a command line are written."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def failure(*arguments, **options):
    with pytest.raises(testing.HardwareMismatch) as error:
        testing.assert_matches_hardware(*arguments, **options)
    return str(error.value), error.value.result


RIGHT = [{}, {"promote": 4}, {"split_k": 4}, {"promote": 2, "split_k": 3, "partial": "bfloat16"}]


@pytest.mark.parametrize("recipe", RIGHT, ids=str)
def test_a_right_kernel_passes(operands, library, recipe):
    a, b = (library(x) for x in operands)
    for output_format in "float32", "bfloat16":
        out = lostbits.gemm(a, b, machine=HOPPER, output_format=output_format, **recipe)
        testing.assert_matches_hardware(out, a, b, machine="h100:wgmma:e4m3:f32", recipe=recipe)
    bt = lostbits.decode(b).T
    testing.assert_matches_hardware(lostbits.gemm(a, b, machine=HOPPER), a, bt, machine=HOPPER,
                                    b_transposed=True)


def test_addend_and_scales(operands, rng):
    a, b = operands
    c = rng.standard_normal((M, N)).astype(np.float32)
    out = lostbits.gemm(a, b, c, machine=HOPPER, promote=4)
    testing.assert_matches_hardware(out, a, b, c, machine=HOPPER, recipe={"promote": 4})
    text, _ = failure(out, a, b, machine=HOPPER, recipe={"promote": 4})
    assert "no known recipe" in text
    scales = {"scale_a": rng.uniform(0.5, 2, (M, K // 128)).astype(np.float32),
              "scale_b": rng.uniform(0.5, 2, (K // 128, 1)).astype(np.float32)}
    out = lostbits.gemm(a, b, machine=HOPPER, promote=4, **scales)
    testing.assert_matches_hardware(out, a, b, machine=HOPPER, recipe={"promote": 4}, **scales)
    text, result = failure(out, a, b, machine=HOPPER, recipe={"promote": 2}, **scales)
    assert result["matching_recipe"]["promote"] == 4


def test_never_promoted(operands):
    a, b = operands
    out = lostbits.gemm(a, b, machine=HOPPER)
    text, result = failure(out, a, b, machine=HOPPER, recipe={"promote": 4})
    assert f"another recipe gives every output: {HOPPER}, never promoted" in text
    assert "promoted every 4 instructions (128 k)" in text.splitlines()[0]
    assert result["matching_recipe"] == vars(Recipe(HOPPER))


@pytest.mark.parametrize("kernel, said", [
    (Recipe(HOPPER, 8), "promoted every 8 instructions (256 k)"),
    (Recipe(HOPPER, 4, 2), "split-K 2 (partial sums in float32)"),
    (Recipe(HOPPER, 0, 3, "bfloat16"), "split-K 3 (partial sums in bfloat16)"),
    (Recipe(HOPPER, 0, 3, split_tile=4), "split-K 3 of whole 128 k (partial sums in float32)"),
    (Recipe(HOPPER, 4, order="descending"), "k descending"),
    (Recipe(HOPPER, split_k=2, order="even-then-odd"), "accumulators that take turns"),
    (Recipe("ada:mma.sync:e4m3:f32", 4), "ada:mma.sync:e4m3:f32"),
    (Recipe(HOPPER + "@group=16", 4), "no known recipe"),
])
def test_another_recipe_is_named(operands, kernel, said):
    a, b = operands
    out = run(kernel, a, b)
    text, result = failure(out, a, b, machine=HOPPER, recipe={"promote": 4})
    if said == "no known recipe":  # one group of 16 on Hopper is Ada's way of adding
        assert "ada:mma.sync" in text or said in text
        return
    assert said in result["fault"], text
    assert Recipe(**result["matching_recipe"]) == kernel
    testing.assert_matches_hardware(out, a, b, machine=kernel.machine, recipe=kernel)


def run(recipe, a, b):
    """Independent of Recipe's own way to put k in order: blocks of 32, listed one by one."""
    blocks = [list(range(32 * i, 32 * i + 32)) for i in range(K // 32)]
    order = {"ascending": blocks, "descending": blocks[::-1],
             "even-then-odd": [blocks[i] for i in [*range(0, 32, 2), *range(1, 32, 2)]]}
    k = sum(order[recipe.order], [])
    return lostbits.gemm(a[:, k], b[k], machine=recipe.machine, promote=recipe.promote,
                         split_k=recipe.split_k, partial=recipe.partial,
                         split_tile=recipe.split_tile)


def test_zeros_and_a_tile_that_was_not_written(operands):
    a, b = operands
    out = lostbits.gemm(a, b, machine=HOPPER)
    text, _ = failure(np.zeros_like(out), a, b, machine=HOPPER)
    assert "every output is zero" in text
    out[8:16, 32:] = 0
    text, result = failure(out, a, b, machine=HOPPER)
    assert "outputs in rows 8 to 15, columns 32 to 39 are zeros: a tile was not written" in text
    assert result["different"] == 64 and result["first"]["index"] == [8, 32]


@pytest.mark.parametrize("first, last", [(0, 64), (512, 640), (992, 1024)])
def test_a_dropped_tile_of_k(operands, first, last):
    a, b = operands
    holed = a.copy()
    holed[:, first:last] = 0
    out = lostbits.gemm(holed, b, machine=HOPPER, promote=1)
    text, _ = failure(out, a, b, machine=HOPPER, recipe={"promote": 1})
    assert f"the products of k = {first} to {last - 1} are missing" in text


def test_exact_sums_and_one_wrong_output(operands):
    a, b = operands
    text, _ = failure(lostbits.exact_gemm(a, b).astype(np.float32), a, b, machine=HOPPER)
    assert "every output is the exact sum, rounded once" in text
    out = lostbits.gemm(a, b, machine=HOPPER)
    word = out.view(np.uint32)
    word[5, 7] += 1 << 10
    text, result = failure(out, a, b, machine=HOPPER)
    assert "1 of 960 outputs" in text and "lie in rows 5 to 5, columns 7 to 7" in text
    assert result["first"] == result["worst"] and result["worst"]["ulps"] == "1024 ulp"
    assert f"0x{word[5, 7]:08X}" in text
    word[0, 0] = 0x7FC00000
    text, _ = failure(out, a, b, machine=HOPPER)
    assert "[0, 0]: 0x7FC00000 (nan)" in text and "one of them NaN" in text


def test_a_fallback_is_not_named_another_machine(operands):
    """Few products: exact sums are also what a machine with a wide accumulator gives."""
    a, b = operands[0][:, :64], operands[1][:64]
    exact = lostbits.exact_gemm(a, b).astype(np.float32)
    text, result = failure(exact, a, b, machine=HOPPER)
    assert "every output is the exact sum, rounded once" in result["fault"], text
    match = result["matching_recipe"]
    assert match is not None and match["machine"] != HOPPER  # else the case is another
    assert f"no matrix unit added these, or {match['machine']}" in result["fault"]


def test_nan_equals_nan(operands):
    a, b = operands
    a = a.copy()
    a[0, 0] = np.nan
    out = lostbits.gemm(a, b, machine=HOPPER)
    out.view(np.uint32)[0] = 0xFFC00001
    testing.assert_matches_hardware(out, a, b, machine=HOPPER)


@pytest.mark.parametrize("k", [64, K])
def test_the_explain_command_gives_the_expected_word(program, operands, k):
    a, b = operands[0][:, :k], operands[1][:k]
    out = lostbits.gemm(a, b, machine=HOPPER, promote=2)
    out[3, 4] += 1
    text, result = failure(out, a, b, machine=HOPPER, recipe={"promote": 2})
    command, call = text.splitlines()[-2:]
    command, call = command.removeprefix("  explain  "), call.removeprefix("  or       ")
    assert command == result["explain"] and len(command) < 2200
    assert call == result["explain_python"]
    name, *arguments = shlex.split(command)
    assert name == "lostbits"
    returned = program.json(*arguments)["returned"]["word"]
    assert returned.lower() == result["first"]["expected"].split()[0].lower()
    printed = program.text(*arguments)
    run = subprocess.run([sys.executable, "-c", f"import lostbits\n{call}"], capture_output=True,
                         text=True, check=True)
    assert run.stdout.split() == printed.split()  # lines break elsewhere


def test_infer_recipe(operands, library):
    a, b = (library(x) for x in operands)
    for wanted in (Recipe(HOPPER), Recipe(HOPPER, 4), Recipe(HOPPER, 2, 4),
                   Recipe(HOPPER, 0, 3, "bfloat16"), Recipe(HOPPER, 0, 3, split_tile=4),
                   Recipe(HOPPER, 1, 3, "bfloat16", 4), Recipe(HOPPER, 4, order="descending"),
                   Recipe(HOPPER, split_k=2, order="even-then-odd")):
        out = library(run(wanted, *operands))
        assert testing.infer_recipe(a, b, out, machine=HOPPER) == [wanted]
    out = library(run(Recipe("ada:mma.sync:e4m3:f32", 4), *operands))
    assert testing.infer_recipe(a, b, out) == [Recipe("ada:mma.sync:e4m3:f32", 4)]
    assert testing.infer_recipe(a, b, out * 0) == []
    same = testing.infer_recipe(a[:, :64], b[:64], lostbits.gemm(a[:, :64], b[:64], machine=HOPPER),
                                machine=HOPPER)
    assert same[0] == Recipe(HOPPER)


def test_of_one_function_the_plainest_recipe_is_tried(operands):
    a, b = operands
    for options, plainest in [({"split_k": 8}, Recipe(HOPPER, 4)),
                              ({"split_k": 8, "promote": 4}, Recipe(HOPPER, 4)),
                              ({"split_k": 7, "promote": 4}, Recipe(HOPPER, 4, 4)),
                              ({"promote": 32}, None), ({"split_k": 11}, Recipe(HOPPER, 0, 12))]:
        out = lostbits.gemm(a, b, machine=HOPPER, **options)
        found = testing.infer_recipe(a, b, out, machine=HOPPER)
        assert found == [plainest or Recipe(HOPPER)], options


def test_candidates_are_recipes_that_run(operands):
    a, b = operands
    for recipe in candidates([HOPPER], K):
        assert run(recipe, a[:2], b[:, :2]).shape == (2, 2)
    assert len(set(candidates([HOPPER], K))) == len(list(candidates([HOPPER], K)))


@pytest.mark.parametrize("format", ["e4m3", "e5m2", "e4m3fnuz", "e8m0", "e2m1", "bf16", "f16"])
def test_ordinals_count_numbers(format):
    info = lostbits.finfo(format)
    codes = np.arange(2**info.bits, dtype=np.uint8 if info.bits <= 8 else np.uint16)
    places, nan = ordinals(codes, info.name)
    values = lostbits.decode(codes, format).astype(np.float64)
    assert (np.isnan(values) == nan).all()
    pairs = sorted(set(zip(values[~nan].tolist(), places[~nan].tolist())))
    numbers = np.unique(values[~nan])
    assert len(pairs) == len(numbers)  # one place a number, -0 with +0
    assert (np.diff([place for _, place in pairs]) == 1).all()


def test_assert_fp8_close(library):
    x = np.array([1, -1, 0.0, 448, np.nan], np.float32).astype(ml_dtypes.float8_e4m3fn)
    y = np.array([1.125, -1, -0.0, 416, np.nan], np.float32).astype(ml_dtypes.float8_e4m3fn)
    x, y = library(x), library(y)
    testing.assert_fp8_close(x, y)
    with pytest.raises(AssertionError) as error:
        testing.assert_fp8_close(x, y, ulps=0)
    assert "2 of 5 elements of float8_e4m3fn are more than 0 ulp apart" in str(error.value)
    assert "first  [0]: 0x38 (1.0) and 0x39 (1.125), 1 ulp" in str(error.value)
    with pytest.raises(AssertionError, match="NaN"):
        turned = words(x)[[4, 0, 1, 2, 3]].view(ml_dtypes.float8_e4m3fn)
        testing.assert_fp8_close(x, library(turned))
    with pytest.raises(ValueError, match=r"\[5\] of float8_e4m3fn and \[4\] of float8_e4m3fn"):
        testing.assert_fp8_close(x, y[:4])
    with pytest.raises(ValueError, match="raw codes"):
        testing.assert_fp8_close(words(x), words(y))
    testing.assert_fp8_close(words(x), words(y), format="e4m3")


@pytest.mark.parametrize("call, says", [
    (lambda a, b, d: testing.assert_matches_hardware(d[:3], a, b, machine=HOPPER),
     "out is [3, 40], A is [24, 1024], B is [1024, 40]"),
    (lambda a, b, d: testing.assert_matches_hardware(words(d), a, b, machine=HOPPER), "float32"),
    (lambda a, b, d: testing.assert_matches_hardware(d, a, b, machine=HOPPER, recipe={"splits": 1}),
     "found splits"),
    (lambda a, b, d: testing.assert_matches_hardware(d, a, b, machine="h200:qgmma"), "qgmma"),
    (lambda a, b, d: testing.assert_matches_hardware(
        d, lostbits.decode(a), b, machine=HOPPER, scale_a=2.0), "codes beside a scale"),
    (lambda a, b, d: testing.infer_recipe(lostbits.decode(a), b, d), "expected a machine"),
    (lambda a, b, d: testing.assert_matches_hardware(
        d, lostbits.encode(a, "e5m2"), b, machine=HOPPER),
     "a: expected float8_e4m3fn, which hopper:wgmma:e4m3:f32 reads, found float8_e5m2"),
    (lambda a, b, d: testing.assert_matches_hardware(
        d, a, lostbits.encode(b, "e2m1"), machine=HOPPER), "found float4_e2m1fn"),
    (lambda a, b, d: testing.assert_matches_hardware(
        d, a, b, machine=HOPPER, recipe=Recipe("ada:mma.sync:e4m3:f32", 4)),
     "expected one of hopper:wgmma:e4m3:f32, the machine asked for, found ada:mma.sync:e4m3:f32"),
    (lambda a, b, d: testing.assert_matches_hardware(d, a, b, machine=HOPPER, recipe=4),
     "recipe: expected a Recipe or some of its fields, found 4"),
    (lambda a, b, d: testing.assert_fp8_close(a, a, ulps=-1), "ulps: expected 0 or more, found -1"),
    (lambda a, b, d: Recipe(HOPPER, order="sideways"), "order: expected ascending"),
])
def test_errors(operands, call, says):
    a, b = operands
    with pytest.raises(ValueError) as error:
        call(a, b, lostbits.gemm(a, b, machine=HOPPER))
    assert says in str(error.value)


KERNELS = """
import lostbits, numpy as np, pytest
from lostbits.testing import assert_matches_hardware

r = np.random.default_rng(0)
a, b = (lostbits.encode(r.standard_normal(s), "e4m3") for s in [(4, 512), (512, 8)])
HOPPER = "hopper:wgmma:e4m3:f32"

@pytest.mark.lostbits(machine=HOPPER, recipe={"promote": 4})
@pytest.mark.parametrize("promote", [4, 0])
def test_marked(matches_hardware, promote):
    matches_hardware(lostbits.gemm(a, b, machine=HOPPER, promote=promote), a, b)

def test_plain():
    assert_matches_hardware(lostbits.gemm(a, b, machine=HOPPER) * 0, a, b, machine=HOPPER)

def test_without_machine(matches_hardware):
    matches_hardware(a, a, b)
"""


def run_pytest(pytester, *options):
    """pytest on KERNELS, with the plugin. In a build tree pytest does not find it by itself."""
    pytester.makepyfile(KERNELS)
    found = any(e.name == "lostbits" for e in importlib.metadata.entry_points(group="pytest11"))
    plugin = () if found else ("-p", "lostbits.pytest_plugin")
    return pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", *options)


def test_pytest_plugin(pytester):
    ran = run_pytest(pytester, "--strict-markers", "--lostbits-report", "report.json")
    ran.assert_outcomes(passed=1, failed=3)
    ran.stdout.fnmatch_lines(["*fault*another recipe gives every output*never promoted*",
                              "*every output is zero*", "*machine: expected one in the call*"])
    report = json.loads((pytester.path / "report.json").read_text())
    checks = [(c["test"].split("::")[1], c["outcome"], c["different"] > 0)
              for c in report["checks"]]
    assert checks == [("test_marked[4]", "passed", False), ("test_marked[0]", "failed", True),
                      ("test_plain", "failed", True)]
    assert report["lostbits"] == lostbits.__version__ and report["checks"][0]["outputs"] == 32
    assert [p.name for p in pytester.path.glob("report.json*")] == ["report.json"]


def test_a_report_into_no_folder_is_refused_at_once(pytester):
    ran = run_pytest(pytester, "--lostbits-report", "nowhere/report.json")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*expected a file in a folder, found nowhere/report.json"])
