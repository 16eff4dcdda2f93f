#!/usr/bin/env python3
"""Fails on an include that points back: fp8 <- sim <- cuda <- src; only fp8/hd.h names __CUDACC__."""
import pathlib
import re
import sys

ORDER = ["fp8", "sim", "cuda", "src"]
SUFFIXES = {".h", ".cc", ".cu", ".cuh"}


def problems(root):
    for rank, folder in enumerate(ORDER):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in SUFFIXES:
                continue
            text = path.read_text(encoding="utf-8")
            for number, line in enumerate(text.splitlines(), 1):
                found = re.match(r'\s*#\s*include\s+["<](\w+)/', line)
                if found and found[1] in ORDER and ORDER.index(found[1]) > rank:
                    yield f"{path}:{number}: {folder}/ must not include {found[1]}/"
                if "__CUDACC__" in line and path.name != "hd.h":
                    yield f"{path}:{number}: only fp8/hd.h names __CUDACC__"


def main():
    root = pathlib.Path(sys.argv[1])
    if not (root / "fp8" / "hd.h").is_file():
        sys.exit(f"include_direction: {root} is not a lostbits checkout")
    found = list(problems(root))
    print("\n".join(found) or "includes point one way")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
