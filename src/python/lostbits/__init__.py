"""What a GPU's matrix unit does to a sum, bit for bit, on a plain CPU.

Arrays may be numpy's (with the types of ml_dtypes), torch's CPU tensors (float8 too), or anything
that speaks DLPack; results come back in the library of the first one. A contiguous array is read
where it lies. Elements of unsigned integer type are codes. No function rounds in Python: all bits
come from the C++ that the program `lostbits` runs.

    >>> import lostbits, numpy as np
    >>> a = lostbits.encode(np.full((1, 4096), 0.4375, "f4"), "e4m3")
    >>> for every in 0, 4:
    ...     print(lostbits.gemm(a, a.T, machine="hopper:wgmma:e4m3:f32", promote=every))
    >>> print(lostbits.exact_gemm(a, a.T))

An argument of a wrong type, shape or value is a ValueError that says what was expected and what
was found. (A missing or unknown one is Python's own TypeError.)
"""

from ._attention import attention, attention_presets, exact_attention
from ._codec import FormatInfo, decode, encode, finfo, formats
from ._lostbits import NoEvidenceError
from ._lostbits import version as __version__
from ._products import dot, exact_gemm, gemm, machines, mma
from ._quantize import Quantized, quantize
from ._studies import Report, compare, explain, measure_error, needle
from .testing import assert_matches_hardware

__all__ = [
    "FormatInfo",
    "NoEvidenceError",
    "Quantized",
    "Report",
    "__version__",
    "assert_matches_hardware",
    "attention",
    "attention_presets",
    "compare",
    "decode",
    "dot",
    "encode",
    "exact_attention",
    "exact_gemm",
    "explain",
    "finfo",
    "formats",
    "gemm",
    "machines",
    "measure_error",
    "mma",
    "needle",
    "quantize",
]
