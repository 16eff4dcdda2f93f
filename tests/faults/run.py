#!/usr/bin/env python3
"""Applies deliberate faults to a copy of the tree, one at a time, and expects the tests to fail.

usage: run.py [--only NAME] [--area AREA] [--every N] [--jobs N] [--build-dir DIR] [--list]
              [--check]

The faults are data: tests/faults/<area>.json, a list of
    name      what is wrong
    file      the file it goes into, from the root of the tree
    find      text that occurs there exactly once
    replace   what it becomes
    target    the CMake target of the test that must notice
    filter    the GoogleTest filter to run it with

The copy lies in build/faults/src, its build in build/faults/build. Before any fault each test must
pass there, and must run something. A fault whose text is not found once, or that does not compile,
or whose test fails without it, is an error in the fault and not a catch.

Exit code: 0 all caught, 1 one or more missed, 2 an error in a fault or in the build.
"""

import argparse
import filecmp
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEYS = {"name", "file", "find", "replace", "target", "filter"}


class FaultError(Exception):
    """Something that keeps a fault from being judged: one line."""


def load_faults(area):
    faults = []
    for path in sorted((ROOT / "tests" / "faults").glob(f"{area or '*'}.json")):
        for fault in json.loads(path.read_text(encoding="utf-8")):
            if set(fault) != KEYS:
                raise FaultError(
                    f"{path.name}: expected the keys {sorted(KEYS)}, got {sorted(fault)}")
            faults.append({**fault, "area": path.stem})
    names = [(f["area"], f["name"]) for f in faults]
    for name in names:
        if names.count(name) > 1:
            raise FaultError(f"{name[0]}.json: the name \"{name[1]}\" occurs more than once")
    return faults


def copy_tree(destination):
    """The working tree, tracked and untracked, without what git ignores. Files that are already
    there unchanged keep their time, so that a second run builds little."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    wanted = {name for name in listed if name and (ROOT / name).is_file()}
    for path in destination.rglob("*"):
        if not path.is_dir() and path.relative_to(destination).as_posix() not in wanted:
            path.unlink()
    for name in wanted:
        source, target = ROOT / name, destination / name
        if target.exists() and filecmp.cmp(source, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


class Build:
    def __init__(self, folder, jobs):
        self.source, self.binary, self.jobs = folder / "src", folder / "build", jobs
        self.log = ""

    def run(self, command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
        self.log = done.stdout
        return done.returncode == 0

    def configure(self):
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        if not self.run(["cmake", "-S", str(self.source), "-B", str(self.binary), *generator,
                         "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
                         "-DLOSTBITS_BUILD_TESTS=ON", "-DLOSTBITS_BUILD_CLI=OFF",
                         "-DLOSTBITS_INSTALL=OFF", "-DLOSTBITS_WERROR=OFF", "-DLOSTBITS_CUDA=OFF"]):
            raise FaultError("the copy does not configure:\n" + self.log[-3000:])

    def build(self, target):
        return self.run(["cmake", "--build", str(self.binary), "--target", target,
                         "--parallel", str(self.jobs)])

    def test(self, target, gtest_filter):
        """(passed, tests run): a crash or a hang is a failure."""
        found = [p for p in (self.binary / "tests").rglob(target) if os.access(p, os.X_OK) and
                 p.is_file()]
        if len(found) != 1:
            raise FaultError(f"expected one program {target}, found {len(found)}")
        try:
            done = subprocess.run([str(found[0]), f"--gtest_filter={gtest_filter}"], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  errors="replace", timeout=600, check=False)
        except subprocess.TimeoutExpired:
            self.log = "no answer within 600 s"
            return False, 0
        self.log = done.stdout
        passed = re.search(r"\[  PASSED  \] (\d+) test", done.stdout)
        return done.returncode == 0, int(passed.group(1)) if passed else 0


def check_baseline(build, faults):
    for target, gtest_filter in sorted({(f["target"], f["filter"]) for f in faults}):
        what = f"{target} --gtest_filter={gtest_filter}"
        if not build.build(target):
            raise FaultError(f"{target} does not build without a fault:\n{build.log[-3000:]}")
        good, count = build.test(target, gtest_filter)
        if not good:
            raise FaultError(f"{what} fails without a fault:\n{build.log[-3000:]}")
        if count == 0:
            raise FaultError(f"{what} runs no test (no name fits, or all are skipped)")


def is_caught(build, fault):
    path = build.source / fault["file"]
    if not path.is_file():
        raise FaultError(f"there is no file {fault['file']}")
    original = path.read_bytes()
    count = original.count(fault["find"].encode())
    if count != 1:
        raise FaultError(f"the text to find occurs {count} times in {fault['file']}, expected once")
    try:
        path.write_bytes(original.replace(fault["find"].encode(), fault["replace"].encode()))
        if not build.build(fault["target"]):
            raise FaultError("does not compile:\n" + build.log[-2000:])
        good, _ = build.test(fault["target"], fault["filter"])
        return not good
    finally:
        path.write_bytes(original)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", metavar="NAME", help="faults whose name contains NAME")
    parser.add_argument("--area", help="faults of tests/faults/AREA.json")
    parser.add_argument("--every", type=int, default=1, metavar="N",
                        help="only the first of every N faults of an area")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build" / "faults")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    parser.add_argument("--check", action="store_true",
                        help="only see that each fault's text occurs exactly once")
    args = parser.parse_args()
    try:
        faults = [f for f in load_faults(args.area) if not args.only or args.only in f["name"]]
        by_area = {}
        for fault in faults:
            by_area.setdefault(fault["area"], []).append(fault)
        faults = [f for area in by_area.values() for f in area[::max(1, args.every)]]
        if not faults:
            raise FaultError("no fault fits")
        if args.list:
            for fault in faults:
                print(f"{fault['area']}: {fault['name']}  ({fault['file']}, {fault['target']})")
            return 0
        if args.check:
            for fault in faults:
                text = (ROOT / fault["file"]).read_text(encoding="utf-8")
                if text.count(fault["find"]) != 1 or fault["find"] == fault["replace"]:
                    raise FaultError(f"{fault['area']}: {fault['name']}: expected its text once in "
                                     f"{fault['file']}, found {text.count(fault['find'])}")
            print(f"{len(faults)} faults fit the tree")
            return 0
        build = Build(args.build_dir.resolve(), args.jobs)
        copy_tree(build.source)
        build.configure()
        check_baseline(build, faults)
    except FaultError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    caught = missed = broken = 0
    for fault in sorted(faults, key=lambda f: (f["area"], f["target"])):
        label = f"{fault['area']}: {fault['name']}"
        start = time.monotonic()
        try:
            if is_caught(build, fault):
                caught += 1
                verdict = "caught"
            else:
                missed += 1
                verdict = "MISSED"
        except FaultError as error:
            broken += 1
            verdict = f"ERROR, {error}"
        print(f"{verdict:<7} {label}  ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{caught} caught, {missed} missed" + (f", {broken} in error" if broken else ""))
    return 2 if broken else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
