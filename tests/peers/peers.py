"""What the peer tests share: running lostbits, the table of differences, the report."""
import argparse
import fnmatch
import json
import os
import subprocess
import textwrap
import zlib
from pathlib import Path

import numpy as np

from cases import KINDS

CASES = 11000
HERE = Path(__file__).parent


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("program", help="the lostbits program")
    parser.add_argument("--cases", type=int, default=CASES, help=f"rows an instruction ({CASES})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="*", metavar="PATTERN",
                        help="machines to compare, such as 'hopper:wgmma:*'; unused entries of the "
                             "table are then no error")
    parser.add_argument("--alter", default="", metavar="SETTING=VALUE",
                        help="change every machine of ours, to see the test fail: F=24")
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    return options


def ask(options, machine, lines, *more):
    if options.alter:
        machine += ("," if "@" in machine else "@") + options.alter
    run = subprocess.run([options.program, "dot", "--allow-unverified", "-m", machine, "-", *more],
                         input=lines, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"lostbits dot -m {machine}: exit code {run.returncode}\n{run.stderr}")
    return run.stdout


def row_name(options, machine, batch):
    """The row of our table that `machine` resolves to."""
    answer = json.loads(ask(options, machine, batch.line(0) + "\n", "--json"))
    return answer["machine"].partition("@")[0]


def dot(options, machine, batch):
    """The words `lostbits dot` returns for a batch."""
    lines = "".join(batch.line(i) + "\n" for i in range(len(batch.c)))
    words = ask(options, machine, lines).split()
    return np.array([int(word, 16) for word in words], dtype=np.uint64)


def seeded(seed, name):
    """A generator of its own for each instruction, whatever else runs."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


SHAPES = ("both are NaN", "only ours is NaN", "only theirs is NaN", "both are Inf",
          "only ours is Inf", "only theirs is Inf", "both are zero", "both are finite")


def shapes(f, ours, theirs):
    """For each row the index in SHAPES of what a difference there looks like."""
    infinity = np.uint64(((1 << f.exponent_bits) - 1) << f.mantissa_bits)
    mask = np.uint64((1 << (f.bits - 1)) - 1)
    mine, other = ours & mask, theirs & mask
    tests = [(mine > infinity) & (other > infinity), mine > infinity, other > infinity,
             (mine == infinity) & (other == infinity), mine == infinity, other == infinity,
             (mine == 0) & (other == 0)]
    return np.select(tests, range(len(tests)), len(tests))


def covers(entry, machine):
    return any(fnmatch.fnmatchcase(machine, p) for p in entry["machines"].split())


class Comparison:
    """Counts what differs, and whether the table says so."""

    def __init__(self, peer, options):
        self.peer, self.options = peer, options
        table = json.loads((HERE / "differences.json").read_text())
        self.entries = [e for e in table if e["peer"] == peer]
        self.counts = [0] * len(self.entries)
        self.examples = [None] * len(self.entries)
        self.machines = set()
        self.instructions = self.rows = self.differ = 0
        self.failures = []

    def wanted(self, machine):
        return fnmatch.fnmatchcase(machine, self.options.only)

    def add(self, machine, asked, acc, batch, theirs):
        """`machine` is the name in the table of differences, `asked` how lostbits is asked."""
        if row_name(self.options, asked, batch) != machine.partition("@")[0]:
            self.failures.append(f"'{asked}' is {row_name(self.options, asked, batch)}, expected "
                                 f"{machine}")
        ours = dot(self.options, asked, batch)
        self.machines.add(machine)
        self.instructions += 1
        self.rows += len(ours)
        differs = ours != theirs
        self.differ += int(differs.sum())
        if not differs.any():
            return

        def row(i):
            digits = acc.bits // 4
            return (f"  lostbits {ours[i]:0{digits}X}, {self.peer} {theirs[i]:0{digits}X}: echo "
                    f"'{batch.line(i)}' | lostbits dot --allow-unverified -m '{asked}'")

        shape = shapes(acc, ours, theirs)
        left = differs.copy()
        for number, entry in enumerate(self.entries):
            if not covers(entry, machine):
                continue
            hits = np.flatnonzero(left & (shape == SHAPES.index(entry["shape"])))
            left[hits] = False
            self.counts[number] += hits.size
            if hits.size and self.examples[number] is None:
                self.examples[number] = row(hits[0])
        left = np.flatnonzero(left)
        if left.size:
            kinds = ", ".join(sorted({list(KINDS)[batch.kind[i]] for i in left}))
            which = ", ".join(sorted({SHAPES[shape[i]] for i in left}))
            self.failures.append(f"{asked}: {left.size} of {len(ours)} rows differ, not in the "
                                 f"table (kinds: {kinds}; {which})\n"
                                 + "\n".join(row(i) for i in left[:3]))

    def finish(self):
        """Prints the table and returns the exit code."""
        for entry, count, example in zip(self.entries, self.counts, self.examples):
            if not count:
                whole = self.options.only == "*" and self.options.cases >= CASES
                if whole and any(covers(entry, machine) for machine in self.machines):
                    self.failures.append("in the table, but it did not occur: "
                                         f"{entry['machines']}, {entry['shape']}")
                continue
            print(f"\n{count} rows of {entry['machines']}: {entry['shape']}")
            for key in ("ours", "theirs", "right", "evidence"):
                print(textwrap.fill(entry[key], 96, initial_indent=f"  {key}: ",
                                    subsequent_indent="    "))
            print(example)
        print(f"\n{self.instructions} instructions, {self.rows} rows, seed {self.options.seed}: "
              f"{self.rows - self.differ} equal, {self.differ} differ, of which "
              f"{sum(self.counts)} as the table says")
        for failure in self.failures:
            print(f"FAILED: {failure}")
        return 1 if self.failures else 0
