#!/usr/bin/env python3
"""README's machine table is what `lostbits machines --markdown` prints.

usage: readme_table.py SOURCE_DIR LOSTBITS [--write]
--write puts the printed table into README instead of comparing.
"""
import pathlib
import subprocess
import sys

BEGIN = "<!-- lostbits machines --markdown -->\n"
END = "<!-- end -->\n"


def main():
    readme = pathlib.Path(sys.argv[1]) / "README.md"
    printed = subprocess.run([sys.argv[2], "machines", "--markdown"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"README: expected one line {BEGIN!r} and one line {END!r}")
        return 1
    before, rest = text.split(BEGIN)
    shown, after = rest.split(END)
    if "--write" in sys.argv:
        readme.write_text(before + BEGIN + printed + END + after, encoding="utf-8")
        return 0
    if shown == printed:
        print(f"README shows the machine table: {len(printed.splitlines()) - 2} instructions")
        return 0
    ours_padded = shown.splitlines() + [""] * 99
    for number, (ours, theirs) in enumerate(zip(ours_padded, printed.splitlines())):
        if ours != theirs:
            print(f"README's machine table, line {number + 1}:\n{ours}\nprinted:\n{theirs}")
            break
    print("readme_table.py SOURCE_DIR LOSTBITS --write writes it anew")
    return 1


if __name__ == "__main__":
    sys.exit(main())
