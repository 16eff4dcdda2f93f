"""The package itself: what it exports, its documentation, its stubs."""

import importlib.metadata
import inspect
import pathlib
import subprocess
import sys

import pytest
from conftest import ROOT

import lostbits
from lostbits import _lostbits, testing

SOURCE = ROOT / "src" / "python" / "lostbits"
TESTING = ["assert_fp8_close", "assert_matches_hardware", "infer_recipe"]
FUNCTIONS = [name for name in lostbits.__all__ if inspect.isfunction(getattr(lostbits, name))]


def test_what_readme_and_docs_name_is_there():
    for name in ("encode decode finfo dot mma gemm attention explain compare machines needle "
                 "exact_gemm exact_attention").split():
        assert name in FUNCTIONS, name


@pytest.mark.parametrize("name", FUNCTIONS + TESTING)
def test_functions_are_documented_and_typed(name):
    function = getattr(testing if name in TESTING else lostbits, name)
    text, signature = inspect.getdoc(function), inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter
    if name in ("attention_presets", "formats"):
        return
    assert "Raises" in text or "Errors as" in text, "what it raises"
    assert "Source:" in text or name in TESTING, "where it comes from"
    if "Arguments as" not in text and "see `" not in text:
        missing = [parameter for parameter in signature.parameters if parameter not in text]
        assert not missing


def test_stubs_are_those_of_the_module(tmp_path):
    """_lostbits.pyi is what nanobind says of the module; the rest is typed in the source."""
    assert (SOURCE / "py.typed").exists()
    pytest.importorskip("nanobind", reason="nanobind is not installed")
    new = tmp_path / "_lostbits.pyi"
    subprocess.run([sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "lostbits._lostbits",
                    "-o", new], check=True)
    assert new.read_text() == (SOURCE / "_lostbits.pyi").read_text(), (
        f"run {sys.executable} -m nanobind.stubgen -m lostbits._lostbits "
        f"-o {SOURCE / '_lostbits.pyi'}")


def test_the_module_has_the_abi_that_its_wheel_claims():
    """From Python 3.12 on: pip would offer a module of one Python to all later ones."""
    folder = pathlib.Path(lostbits.__file__).parent
    own = [d for d in importlib.metadata.distributions(name="lostbits")
           if folder == pathlib.Path(d.locate_file("lostbits"))]
    if not own:
        pytest.skip("lostbits is not installed, but found by PYTHONPATH")
    wheel = own[0].read_text("WHEEL")
    assert ("-abi3-" in wheel) == (".abi3." in _lostbits.__file__), wheel


def test_version_is_the_programs(program):
    assert program.text("--version").split() == ["lostbits", lostbits.__version__]


def test_readme_lines_run():
    """The Python lines of README.md, as a reader would paste them."""
    text = pathlib.Path(ROOT / "README.md").read_text()
    lines = text.split("```python\n")[1].split("```")[0]
    run = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    shown = [line.split("# ", 1)[1] for line in lines.splitlines() if "# " in line]
    assert shown and run.stdout.splitlines() == shown
