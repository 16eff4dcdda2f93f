#!/usr/bin/env python3
"""Records what installed peers make of a short list of floats: tests/fp8/peer_codes.txt.

usage: peer_codes.py > tests/fp8/peer_codes.txt

Needs numpy, ml_dtypes, torch, onnx and onnxruntime. peer_test.cc replays the record; nothing runs
this in CI. A record's line is "library format source code code ...", in the order of the inputs.
"""
import ctypes
import struct
import sys

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

FORMATS = {  # ours: ml_dtypes and torch name
    "E4M3FN": "float8_e4m3fn", "E5M2": "float8_e5m2", "E4M3": "float8_e4m3",
    "E3M4": "float8_e3m4", "E4M3FNUZ": "float8_e4m3fnuz", "E5M2FNUZ": "float8_e5m2fnuz",
    "E4M3B11FNUZ": "float8_e4m3b11fnuz", "E8M0": "float8_e8m0fnu", "E2M3": "float6_e2m3fn",
    "E3M2": "float6_e3m2fn", "E2M1": "float4_e2m1fn"}
WIDE = ["E4M3FN", "E5M2", "E4M3FNUZ", "E5M2FNUZ", "E8M0"]  # torch and ONNX
VALUES = [
    "0x0p+0", "0x1p+0", "0x1.1p+0", "0x1.3p+0", "0x1.2p+0", "0x1.6p+0", "0x1.4p+0", "0x1.8p+0",
    "0x1.cp+0", "0x1.8p+1", "0x1.4p+1", "0x1.6a09e6p+0",
    # around the largest numbers: 448, 57344, 240, 15.5, 30, 7.5, 28, 6
    "448", "464", "0x1.d00002p+8", "480", "488", "496", "500", "57344", "61439.99609375", "61440",
    "63000", "65535", "65536", "240", "247.9", "248", "15.5", "15.75", "16", "30", "31", "7.5",
    "7.75", "28", "30.5", "6", "7", "0x1.c00002p+2", "1e30", "3.4e38", "0x1.8p+127", "0x1p+127",
    # around the smallest: subnormals and their ties
    "0x1p-6", "0x1.cp-7", "0x1.ep-7", "0x1p-9", "0x1p-10", "0x1.000002p-10", "0x1.8p-10",
    "0x1p-14", "0x1.4p-15", "0x1p-16", "0x1p-17", "0x1.000002p-17", "0x1p-18", "0x1p-4",
    "0x1p-126", "0x1p-127", "0x1.4p-127", "0x1.8p-127", "0x1p-128", "0x1p-149"]
SPECIALS = [0x7F800000, 0x7FC00000, 0x7F800001, 0x7FA00000, 0x7FFFFFFF]


def inputs():
    bits = [struct.unpack("<I", struct.pack("<f", float.fromhex(v)))[0]
            if "x" in v else struct.unpack("<I", struct.pack("<f", float(v)))[0] for v in VALUES]
    bits += SPECIALS
    bits += [b | 0x80000000 for b in bits]
    return np.array(bits, dtype=np.uint32).view(np.float32)


def onnx_cast(x, to, saturate):
    """Cast of ONNX Runtime's CPU provider; its output types have no numpy twin, so by address."""
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [len(x)])
    target = helper.make_tensor_value_info("y", to, [len(x)])
    node = helper.make_node("Cast", ["x"], ["y"], to=to, saturate=saturate)
    model = helper.make_model(helper.make_graph([node], "cast", [source], [target]),
                              opset_imports=[helper.make_opsetid("", 24)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    address = binding.get_outputs()[0].data_ptr()
    return np.ctypeslib.as_array((ctypes.c_uint8 * len(x)).from_address(address)).copy()


def line(library, name, source, codes):
    print(library, name, source, *(f"{c:02x}" for c in codes))


def main():
    np.seterr(all="ignore")
    x = inputs()
    x64 = x.astype(np.float64)
    print(f"# numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}, torch "
          f"{torch.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, "
          f"python {sys.version.split()[0]}; written by tests/fp8/peer_codes.py")
    print("inputs", *(f"{b:08x}" for b in x.view(np.uint32)))
    for name, dtype in FORMATS.items():
        line("ml_dtypes", name, "FP32", x.astype(getattr(ml_dtypes, dtype)).view(np.uint8))
        line("ml_dtypes", name, "FP64", x64.astype(getattr(ml_dtypes, dtype)).view(np.uint8))
    for name in WIDE:
        dtype = getattr(torch, FORMATS[name])
        for source, values in (("FP32", x), ("FP64", x64)):
            codes = torch.from_numpy(values.copy()).to(dtype).view(torch.uint8).numpy()
            line("torch_2_12", name, source, codes)
    targets = dict(zip(WIDE, [TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2,
                              TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2FNUZ,
                              TensorProto.FLOAT8E8M0]))
    for name, to in targets.items():
        line("onnx", name, "FP32", onnx_cast(x, to, 1))
        line("onnx_nosat", name, "FP32", onnx_cast(x, to, 0))


if __name__ == "__main__":
    main()
