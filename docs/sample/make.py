#!/usr/bin/env python3
"""Makes the sample tensors of this folder again, with the standard library only.

product.safetensors     a [8, 512], b [512, 8]: BF16, N(0, 1)
attention.safetensors   q [16, 2, 64], k, v [1024, 1, 64]: BF16, N(0, 1), V with a mean of 2 in
                        every channel: the common mode that makes a long FP8 sum stall
"""
import json
import pathlib
import random
import struct

HERE = pathlib.Path(__file__).parent


def bf16(x):
    (bits,) = struct.unpack("<I", struct.pack("<f", x))
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)  # nearest even, finite x


def write(name, tensors):
    header, body = {}, b""
    for key, (shape, mean) in tensors.items():
        count = 1
        for n in shape:
            count *= n
        data = b"".join(bf16(random.gauss(mean, 1)) for _ in range(count))
        header[key] = {"dtype": "BF16", "shape": shape,
                       "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + body)


random.seed(2026)
write("product.safetensors", {"a": ([8, 512], 0), "b": ([512, 8], 0)})
write("attention.safetensors",
      {"q": ([16, 2, 64], 0), "k": ([1024, 1, 64], 0), "v": ([1024, 1, 64], 2)})
