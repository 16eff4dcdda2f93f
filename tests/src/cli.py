"""What the tests of the program share: running it, and files for it to read.

Standard library only. A test is called as `python3 some_test.py LOSTBITS [unittest arguments]`.
"""
import fcntl
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
COMMANDS = ["formats", "encode", "decode", "machines", "dot", "explain", "verify", "gemm",
            "compare", "attention", "bench", "needle"]

# 15*15 + 1.125*3/128 - 7/8/128 + 2^-9/2 + 0.3, in E4M3 codes, c in FP32.
WORKED = "57 39 B6 01 ; 57 0C 04 30 ; 3E99999A\n"


def npy(path, shape, values, descr="<f4"):
    """A C-order .npy file, version 1. values: numbers for <f4, bytes otherwise."""
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, tuple(shape))
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = struct.pack("<%df" % len(values), *values) if descr == "<f4" else bytes(values)
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data)


def read_npy(path):
    with open(path, "rb") as file:
        raw = file.read()
    size = struct.unpack("<H", raw[8:10])[0]
    header = eval(raw[10:10 + size])  # written by this test's own program
    data = raw[10 + size:]
    if header["descr"] == "<f4":
        return header["shape"], list(struct.unpack("<%df" % (len(data) // 4), data))
    return header["shape"], list(data)


class Cli(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lostbits_cli_")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_program(self, *args, stdin=""):
        return subprocess.run([PROGRAM, *map(str, args)], input=stdin, capture_output=True,
                              text=True, cwd=self.folder, timeout=120)

    def good(self, *args, stdin="", code=0):
        run = self.run_program(*args, stdin=stdin)
        self.assertEqual(run.returncode, code, f"{args}: {run.stderr}{run.stdout}")
        return run.stdout

    def on_terminal(self, columns, *args):
        """What the program writes to a terminal of so many columns."""
        terminal, program_side = pty.openpty()
        fcntl.ioctl(program_side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        run = subprocess.Popen([PROGRAM, *map(str, args)], stdin=subprocess.DEVNULL,
                               stdout=program_side, stderr=subprocess.PIPE, cwd=self.folder)
        os.close(program_side)
        text = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # Linux says EIO once the program has closed its side
                break
            if not part:
                break
            text += part
        os.close(terminal)
        error = run.communicate(timeout=120)[1].decode()
        self.assertEqual(run.returncode, 0, f"{args}: {error}")
        return text.decode().replace("\r\n", "\n")

    def json(self, *args, stdin="", code=0):
        run = self.run_program(*args, "--json", stdin=stdin)
        self.assertEqual(run.returncode, code, f"{args}: {run.stderr}")
        self.assertEqual(run.stderr, "", args)
        result = json.loads(run.stdout)
        self.assertEqual(result["schema_version"], 1)
        self.assertEqual(result["command"], args[0])
        return result

    def bad(self, *args, stdin="", code=2, says=()):
        """One line on stderr, nothing on stdout, no file where output was asked for."""
        before = sorted(os.listdir(self.folder))
        run = self.run_program(*args, stdin=stdin)
        what = f"{args}: {run.stderr!r}"
        self.assertEqual(run.returncode, code, what)
        self.assertEqual(run.stdout, "", what)
        self.assertTrue(run.stderr.startswith("lostbits: error: "), what)
        self.assertEqual(run.stderr.count("\n"), 1, what)
        for part in says:
            self.assertIn(part, run.stderr, what)
        self.assertEqual(sorted(os.listdir(self.folder)), before, f"{args} left a file")
