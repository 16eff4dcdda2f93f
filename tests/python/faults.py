#!/usr/bin/env python3
"""Applies deliberate faults to copies of the Python package, and expects its tests to fail.

usage: faults.py [--every N] [--check] FOLDER_WITH_LOSTBITS

tests/faults/run.py does the same to the C++. The faults are data, faults.json beside this file:
    name      what is wrong
    file      of src/python/lostbits
    find      text that occurs there once, or nth, from 1
    replace   what it becomes
    test      the file of tests that must notice

Run by the Python that the package was built for, with LOSTBITS_CLI set (see CMakeLists.txt).
Exit code: 0 all caught, 1 one or more missed, 2 an error in a fault, or a test red without one.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def stop(text):
    print(text)
    sys.exit(2)


def apply(fault, folder):
    path = folder / "lostbits" / fault["file"]
    parts = path.read_text().split(fault["find"])
    nth = fault.get("nth", 1)
    if len(parts) - 1 < nth or ("nth" not in fault and len(parts) != 2):
        stop(f"{fault['name']}: found {len(parts) - 1} times in {fault['file']}")
    before, after = fault["find"].join(parts[:nth]), fault["find"].join(parts[nth:])
    path.write_text(before + fault["replace"] + after)


def passes(folder, test):
    """Whether a file of tests passes; None if all of it is skipped."""
    environment = dict(os.environ, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", HERE / test],
        env=environment, capture_output=True, text=True,
    )
    if run.returncode == 5:
        print(f"SKIPPED {test}: {run.stdout.strip().splitlines()[-1]}")
        return None
    if run.returncode not in (0, 1):  # 1: tests failed; more: an error
        stop(f"{test}: pytest ended with {run.returncode}\n{run.stdout}{run.stderr}")
    return run.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=pathlib.Path)
    parser.add_argument("--every", type=int, default=1, help="every Nth fault only")
    parser.add_argument("--check", action="store_true", help="only whether they fit the tree")
    arguments = parser.parse_args()
    faults = json.loads((HERE / "faults.json").read_text())[:: arguments.every]
    missed = 0
    if not arguments.check:
        runs = {test: passes(arguments.package, test) for test in {f["test"] for f in faults}}
        for test, passed in runs.items():
            if passed is False:
                stop(f"{test} fails without a fault")
        faults = [fault for fault in faults if runs[fault["test"]]]
    for fault in faults:
        with tempfile.TemporaryDirectory(prefix="lostbits_faults_") as name:
            folder = pathlib.Path(name)
            shutil.copytree(arguments.package / "lostbits", folder / "lostbits")
            apply(fault, folder)
            if arguments.check:
                continue
            caught = passes(folder, fault["test"]) is False
            print(f"{'caught' if caught else 'MISSED'}  {fault['name']}", flush=True)
            missed += not caught
    print(f"{len(faults)} faults" + (" fit the tree" if arguments.check else f", {missed} missed"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
