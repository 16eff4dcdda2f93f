#!/usr/bin/env python3
"""Executes the notebooks, so that their outputs are what the package returns today.

usage: run.py [--check] [NOTEBOOK ...]      none: all of this folder

Without --check the outputs are written into the notebooks, without what changes from run to run:
versions, times, names of machines. --check writes nothing. Both fail where a cell raises (claims
are assertions in cells), where a picture or a notebook is too large to read on a page, and where an
output names a path of this machine. Needs nbclient and ipykernel beside lostbits and matplotlib.
Exit code: 0 fine, 1 a notebook failed, 77 a package is missing.
"""

import argparse
import base64
import io
import os
import pathlib
import re
import sys
import tempfile
import time

try:
    import ipykernel  # noqa: F401: the kernel is another process
    import matplotlib  # noqa: F401
    import nbclient
    import nbformat
    from PIL import Image  # comes with matplotlib
except ImportError as missing:
    print(f"SKIPPED: no notebook executed: {missing} (tests/python/requirements.txt)")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
PICTURE_BYTES, NOTEBOOK_BYTES = 100_000, 300_000  # so that a page with all of it loads at once
CELL_SECONDS = 300
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path):
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # one warns of its own open ports
    )
    client.execute()
    return notebook


def strip(notebook):
    """Leaves what a reader sees, the same at every run."""
    notebook.metadata = METADATA
    count = 0
    for i, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{i:02}", {}
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
            if "metadata" in output:
                output.metadata = {}
            if "image/png" in output.get("data", {}):
                output.data = {"image/png": smaller(output.data["image/png"])}


def smaller(png):
    """A PNG in base64 with 128 colours, which drawings hold, and without its writer's name."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    file = io.BytesIO()
    picture.quantize(128, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def complaints(notebook):
    """What a reader would stumble over."""
    here = [str(HERE.parent), tempfile.gettempdir() + os.sep, str(pathlib.Path.home()) + os.sep]
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            size = len(base64.b64decode(data.get("image/png", "")))
            if size > PICTURE_BYTES:
                yield f"{cell.id}: a picture of {size} bytes, expected at most {PICTURE_BYTES}"
            text = output.get("text", "") + data.get("text/plain", "")
            yield from (f"{cell.id}: its output names {path}" for path in here if path in text)
            if output.output_type == "stream" and output.name == "stderr":
                yield f"{cell.id}: wrote to stderr: {output.text.strip()[:200]}"
    size = len(nbformat.writes(notebook).encode())
    if size > NOTEBOOK_BYTES:
        yield f"a notebook of {size} bytes, expected at most {NOTEBOOK_BYTES}"


def run(path, check):
    start = time.monotonic()
    try:
        notebook = execute(path)
    except nbclient.exceptions.CellExecutionError as error:
        return [re.sub(r"\x1b\[[0-9;]*m", "", str(error))]  # without its colours
    seconds = time.monotonic() - start
    strip(notebook)
    found = list(complaints(notebook))
    if not found and not check:
        beside = path.with_name(f".{path.name}.tmp")
        nbformat.write(notebook, beside)
        beside.replace(path)
    print(f"{'FAILED' if found else 'ok'}  {path.name}  {seconds:.0f} s", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=pathlib.Path)
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    failed = False
    for path in arguments.notebooks or sorted(HERE.glob("*.ipynb")):
        for complaint in run(path, arguments.check):
            failed = True
            print(f"{path.name}: {complaint}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
