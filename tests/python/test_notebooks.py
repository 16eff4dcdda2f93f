"""notebooks/run.py notices a notebook that is wrong, and the notebooks here are as it writes them.

The notebooks themselves run under `ctest -L notebooks`.
"""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

RUN = ROOT / "notebooks" / "run.py"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURE = "import matplotlib.pyplot as plt, numpy as np\nplt.imshow(np.random.rand(9, 9));"


def run(folder, *cells, check=True):
    path = folder / "x.ipynb"
    v4 = nbformat.v4
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells]), path)
    before = path.read_bytes()
    done = subprocess.run([sys.executable, RUN, *(["--check"] if check else []), path],
                          capture_output=True, text=True, timeout=120)
    return done, before, path.read_bytes()


def test_check_writes_nothing(tmp_path):
    done, before, after = run(tmp_path, "print(1)")
    assert done.returncode == 0 and "ok  x.ipynb" in done.stdout and before == after


def test_the_same_bytes_twice(tmp_path):
    first, second = (run(tmp_path, "print(1)", PICTURE.replace("np.random.rand(9, 9)", "np.eye(9)"),
                         "2", check=False)[2] for _ in range(2))
    assert first == second
    outputs = [cell["outputs"] for cell in json.loads(first)["cells"]]
    assert outputs[0][0]["text"] == ["1\n"] and outputs[2][0]["data"] == {"text/plain": ["2"]}
    assert list(outputs[1][0]["data"]) == ["image/png"] and outputs[1][0]["metadata"] == {}


@pytest.mark.parametrize("cell, says", [
    ("assert 1 == 2", "AssertionError"),
    ("1 / 0", "ZeroDivisionError"),
    ("import os; print(os.path.expanduser('~') + '/x')", "names"),
    ("import sys; print('careful', file=sys.stderr)", "stderr: careful"),
    ("print('x' * 400_000)", "a notebook of 40"),
    (PICTURE.replace("9, 9", "900, 900").replace("plt.imshow(", "plt.figure(figsize=(15, 15)); "
     "plt.imshow("), "a picture of"),
])
def test_what_is_wrong_is_said(tmp_path, cell, says):
    done, before, after = run(tmp_path, cell, check=False)
    assert done.returncode == 1 and says in done.stdout and "x.ipynb: " in done.stdout
    assert "\x1b" not in done.stdout and before == after


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_executed_and_stripped(path):
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"]
               ) or path.stem.startswith("08")
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    assert list(notebook["metadata"]) == ["kernelspec", "language_info"]
    assert any("assert " in "".join(cell["source"]) for cell in code)
    first, last = (["".join(cell["source"]) for cell in notebook["cells"]
                    if cell["cell_type"] == "markdown"][i] for i in (0, -1))
    assert "**Question.**" in first
    assert any("**Answer.**" in "".join(cell["source"]) for cell in notebook["cells"]), last


def test_readme_names_every_notebook():
    text = (ROOT / "notebooks" / "README.md").read_text()
    assert [path.name for path in NOTEBOOKS if f"]({path.name})" not in text] == []
