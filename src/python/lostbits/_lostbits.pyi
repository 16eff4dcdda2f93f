"""
The C++ of lostbits. Use the functions of `lostbits`, which take arrays as they are.
"""

from collections.abc import Sequence
from typing import Annotated

from numpy.typing import NDArray


version: str = '0.1.0'

class NoEvidenceError(ValueError):
    pass

def format_name(name: str) -> str:
    """The name under which a format is printed, from any spelling of it."""

def formats() -> list[str]:
    """Every format."""

def attention_presets() -> list[str]:
    """Every attention kernel."""

def machine_name(name: str) -> str:
    """The full name of the one machine that a name fits."""

def finfo(name: str) -> str:
    """A format, as JSON."""

def machines(name: str) -> str:
    """The machines that a name fits, or all, as JSON."""

def attention(q: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], k: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], v: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], preset: str, accumulation: str, interval: int, decode: str, block_m: int, block_n: int, splits: int, causal: bool, window: Sequence[int], softmax_scale: float, softcap: float, q_descale: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, k_descale: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, v_descale: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, sinks: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, exp2: str, output_format: str, allow_unverified: bool, threads: int) -> tuple[tuple[NDArray, str], tuple[NDArray, str]]: ...

def exact_attention(q: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], k: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], v: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], preset: str, causal: bool, window: Sequence[int], softmax_scale: float, softcap: float, q_descale: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, k_descale: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, v_descale: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, sinks: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, threads: int) -> tuple[tuple[NDArray, str], tuple[NDArray, str]]: ...

def encode(x: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], format: str, like: str, rounding: str, overflow: str, random_bits: int, seed: int, threads: int) -> tuple[NDArray, str]: ...

def decode(codes: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], format: str, like: str, threads: int) -> tuple[NDArray, str]: ...

def from_dlpack(array: Annotated[NDArray, dict(device='cpu', writable=False)]) -> tuple[NDArray, str]: ...

def dot(a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], c: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, machine: str, scale_a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, scale_b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, allow_unverified: bool, threads: int) -> tuple[NDArray, str]: ...

def mma(a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], c: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, machine: str, scale_a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, scale_b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, allow_unverified: bool, threads: int) -> tuple[NDArray, str]: ...

def gemm(a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], c: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, machine: str, promote: int, split_k: int, split_tile: int, partial: str, scale_a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, scale_b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, output_format: str, b_transposed: bool, allow_unverified: bool, threads: int) -> tuple[NDArray, str]: ...

def exact_gemm(a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], b_transposed: bool, threads: int) -> tuple[NDArray, str]: ...

def quantize(x: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], format: str, scale: str, rule: str, threads: int) -> tuple[tuple[NDArray, str], tuple[NDArray, str], float, list[int]]: ...

def explain(line: str, a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, c: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, machine: str, scale_a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, scale_b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, promote: int, step: str, width: int, allow_unverified: bool) -> tuple[str, str]: ...

def compare(machine_a: str, machine_b: str, a: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, b: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str] | None, promote_a: int, promote_b: int, split_k_a: int, split_k_b: int, data: str, m: int, n: int, k: int, seed: int, width: int, allow_unverified: bool, threads: int) -> tuple[str, str]: ...

def measure_error(out: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], reference: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], ulp_format: str) -> tuple[str, str]: ...

def needle(contexts: Sequence[int], means: Sequence[float], weights: Sequence[float], trials: int, head_dim: int, seed: int, width: int, threads: int) -> tuple[str, str]: ...

def needle_tensors(q: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], k: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], v: tuple[Annotated[NDArray, dict(order='C', device='cpu', writable=False)], str], scale: str, rows: int, width: int, threads: int) -> tuple[str, str]: ...
