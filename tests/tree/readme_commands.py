#!/usr/bin/env python3
"""Runs every command that README shows and compares what it prints, character for character.

A ```console block holds lines "$ command" followed by the output; "..." stands for any further
lines. usage: readme_commands.py SOURCE_DIR FOLDER_OF_LOSTBITS [--print]
--print writes the blocks anew instead of comparing them.
"""
import os
import pathlib
import re
import subprocess
import sys


def blocks(text):
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.splitlines()


def agree(shown, printed):
    if shown and shown[-1] == "...":
        return printed[: len(shown) - 1] == shown[:-1] and len(printed) > len(shown) - 1
    return shown == printed


def main():
    source, folder = pathlib.Path(sys.argv[1]), sys.argv[2]
    environment = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}")
    failed = skipped = passed = 0
    for command, shown in blocks((source / "README.md").read_text(encoding="utf-8")):
        if "../shared" in command and not (source / ".." / "shared").is_dir():
            print(f"SKIPPED, no ../shared on this machine: {command}")
            skipped += 1
            continue
        ran = subprocess.run(command, shell=True, cwd=source, env=environment, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        printed = ran.stdout.splitlines()
        if "--print" in sys.argv:
            print(f"$ {command}\n{ran.stdout}")
        elif not agree(shown, printed):
            print(f"README: $ {command}\nexpected:\n" + "\n".join(shown) +
                  f"\nprinted (exit code {ran.returncode}):\n" + "\n".join(printed))
            failed += 1
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
