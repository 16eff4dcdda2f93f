"""torch's own functions as a GPU's matrix unit computes them: `scaled_mm` and `sdpa`, on the CPU.

    >>> import lostbits.torch
    >>> d = lostbits.torch.scaled_mm(a, b, scale_a, scale_b, out_dtype=torch.bfloat16)
    >>> o = lostbits.torch.sdpa(q, k, v, is_causal=True, preset="fa3.sm90.e4m3.one-level")
"""

import math
from typing import Any

try:
    import torch
except ImportError as error:
    raise ImportError(f"lostbits.torch: {error}; to install it: pip install torch") from error

from ._attention import attention
from ._codec import encode
from ._products import gemm
from ._recipes import row_of

__all__ = ["scaled_mm", "sdpa"]

_FP8 = {torch.float8_e4m3fn: "e4m3", torch.float8_e5m2: "e5m2"}
_PROMOTE = 4  # instructions of 32 k: CUTLASS's mma_promotion_interval, include/cutlass/gemm/
#               collective/sm90_mma_tma_gmma_ss_warpspecialized_fp8.hpp
_BLOCK = 128  # k and columns of a block scale; k of a kernel's tile


def scaled_mm(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    scale_a: torch.Tensor,
    scale_b: torch.Tensor,
    bias: torch.Tensor | None = None,
    scale_result: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
    use_fast_accum: bool = False,
    *,
    machine: str = "",
    promote: int | None = None,
    split_k: int = 1,
    partial: str = "float32",
    allow_unverified: bool = False,
    threads: int = 0,
) -> torch.Tensor:
    """`torch._scaled_mm` (2.13) as Hopper computes it; torch.ops.lostbits.scaled_mm, which
    torch.compile and fake tensors pass through.

    mat1      [m, k], mat2: [k, n]: float8_e4m3fn or float8_e5m2. Strides change no bit; a row-major
              mat1 and a column-major mat2, as the GPU wants them, are read without a copy
    scale_a, scale_b   what products are multiplied by, float32, > 0: one number each; [m, 1] and
              [1, n]; or [m, ceil(k / 128)] and [ceil(k / 128), ceil(n / 128)]
    bias      [n], any float type; scale_result: one float32, for FP8 outputs
    out_dtype float32, bfloat16, float16 or FP8; None: mat1's
    use_fast_accum   True: never promoted. False: promoted every 128 k (4 instructions)
    machine   "": Hopper's wgmma for mat1's and mat2's types; see `lostbits.machines`
    promote   instructions between flushes, over use_fast_accum
    split_k   ranges of k, each of whole 128 k (of whole intervals, if promote is another)
    partial, allow_unverified, threads   as in `lostbits.gemm`

    Steps, each rounded to nearest even in FP32: 1. `lostbits.gemm`. 2. Scales: one number each,
    RN(scale_a scale_b) times the sum; rows and columns, the row's, then the column's; blocks, at
    each promotion. 3. + bias. 4. FP8 outputs: * scale_result (torch's CPU operator divides by it).
    5. Rounding to out_dtype; beyond it, FP8 saturates and the others are Inf.

    What is known. One number each: every step as mmaemu 0.1.0 has it (tests/python compares), by
    which its author replayed 1,423 calls of torch 2.7.1 with cuBLASLt 12.8.3.14 on an H100 PCIe,
    bit for bit. Which shapes cuBLASLt splits is its own choice: say it by split_k, which
    `lostbits.testing.infer_recipe` looks for. Rows and columns, and bias: the CUTLASS
    kernel of torch's source (aten/src/ATen/native/cuda/RowwiseScaledMM.cu), provided nvcc fuses no
    multiply and add and torch has not swapped the operands; from CUDA 12.9 on torch asks cuBLASLt
    on Hopper, with which nothing was compared. Blocks: DeepGEMM's recipe, compared with no output
    of cuBLASLt.

    Returns [m, n]. Raises ValueError on shapes that do not fit, naming both, and as `gemm` does;
    torch itself RuntimeError for types that the operator's schema has not (promote="4").
    """
    _check_tensors(mat1=mat1, mat2=mat2, scale_a=scale_a, scale_b=scale_b)
    for name, x in ("bias", bias), ("scale_result", scale_result):
        if x is not None:
            _check_tensors(**{name: x})
    if out_dtype is not None and not isinstance(out_dtype, torch.dtype):
        raise ValueError(f"out_dtype: expected a torch.dtype, found {out_dtype!r}")
    return _scaled_mm(
        mat1, mat2, scale_a, scale_b, bias, scale_result, out_dtype, use_fast_accum, machine,
        promote, split_k, partial, allow_unverified, threads,
    )


@torch.library.custom_op("lostbits::scaled_mm", mutates_args=(), device_types="cpu")
def _scaled_mm(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    scale_a: torch.Tensor,
    scale_b: torch.Tensor,
    bias: torch.Tensor | None,
    scale_result: torch.Tensor | None,
    out_dtype: torch.dtype | None,
    use_fast_accum: bool,
    machine: str,
    promote: int | None,
    split_k: int,
    partial: str,
    allow_unverified: bool,
    threads: int,
) -> torch.Tensor:
    scaling = _check_scaled_mm(mat1, mat2, scale_a, scale_b, bias, scale_result, out_dtype)
    for name, x in ("scale_a", scale_a), ("scale_b", scale_b), ("scale_result", scale_result):
        if x is not None and not (x.isfinite() & (x > 0)).all():
            raise ValueError(f"{name}: expected finite numbers > 0, found others")
    out_dtype = out_dtype or mat1.dtype
    rowwise = scaling == "rows and columns"
    plain = not rowwise and bias is None and out_dtype not in _FP8
    if not machine:
        types = dict.fromkeys((_FP8[mat1.dtype], _FP8[mat2.dtype]))
        machine = f"hopper:wgmma:{'.'.join(types)}:f32"
    if promote is None:
        promote = 0 if use_fast_accum else _PROMOTE
    if scaling == "one number each":
        scale_a, scale_b = scale_a.reshape(1), scale_b.reshape(1)
    d = gemm(
        mat1,
        mat2.t(),
        b_transposed=True,
        machine=machine,
        promote=promote,
        split_k=split_k,
        split_tile=0 if promote or split_k == 1 else _BLOCK // row_of(machine)["k"],
        partial=partial,
        scale_a=None if rowwise else scale_a,
        scale_b=None if rowwise else scale_b,
        output_format=_name(out_dtype) if plain else "float32",
        allow_unverified=allow_unverified,
        threads=threads,
    )
    if plain:
        return d
    if rowwise:
        d = d * scale_a * scale_b
    if bias is not None:
        d = d + bias.float()
    if out_dtype in _FP8 and scale_result is not None:
        d = d * scale_result
    return encode(
        d, _name(out_dtype), overflow="saturate" if out_dtype in _FP8 else "to-special"
    )


@_scaled_mm.register_fake
def _(mat1, mat2, scale_a, scale_b, bias, scale_result, out_dtype, *_):
    _check_scaled_mm(mat1, mat2, scale_a, scale_b, bias, scale_result, out_dtype)
    return mat1.new_empty(mat1.shape[0], mat2.shape[1], dtype=out_dtype or mat1.dtype)


def _check_tensors(**given: Any) -> None:
    for name, x in given.items():
        if not isinstance(x, torch.Tensor):
            raise ValueError(f"{name}: expected a tensor, found {x!r}")


def _check_scaled_mm(
    mat1: torch.Tensor,
    mat2: torch.Tensor,
    scale_a: torch.Tensor,
    scale_b: torch.Tensor,
    bias: torch.Tensor | None,
    scale_result: torch.Tensor | None,
    out_dtype: torch.dtype | None,
) -> str:
    """How the operands are scaled; ValueError if anything does not fit."""
    if out_dtype not in (None, torch.float32, torch.bfloat16, torch.float16, *_FP8):
        raise ValueError(f"out_dtype: expected float32, bfloat16, float16, float8_e4m3fn or "
                         f"float8_e5m2, found {out_dtype}")
    if mat1.dtype not in _FP8 or mat2.dtype not in _FP8:
        raise ValueError(f"mat1, mat2: expected float8_e4m3fn or float8_e5m2, found {mat1.dtype}, "
                         f"{mat2.dtype}")
    if mat1.ndim != 2 or mat2.ndim != 2 or mat1.shape[1] != mat2.shape[0]:
        raise ValueError(f"mat1, mat2: expected [m, k] and [k, n], found {list(mat1.shape)}, "
                         f"{list(mat2.shape)}")
    (m, k), n = mat1.shape, mat2.shape[1]
    if scale_a.dtype != torch.float32 or scale_b.dtype != torch.float32:
        raise ValueError(f"scale_a, scale_b: expected float32, found {scale_a.dtype}, "
                         f"{scale_b.dtype}")
    if bias is not None and (tuple(bias.shape) != (n,) or not bias.is_floating_point()):
        raise ValueError(f"bias: expected [{n}] floats, found {list(bias.shape)} {bias.dtype}")
    if scale_result is not None:
        if scale_result.numel() != 1 or scale_result.dtype != torch.float32:
            raise ValueError(f"scale_result: expected one float32, found "
                             f"{list(scale_result.shape)} {scale_result.dtype}")
    blocks = -(-k // _BLOCK), -(-n // _BLOCK)
    shapes = tuple(scale_a.shape), tuple(scale_b.shape)
    if scale_a.numel() == 1 and scale_b.numel() == 1:
        return "one number each"
    if shapes == ((m, 1), (1, n)):
        return "rows and columns"
    if shapes == ((m, blocks[0]), blocks):
        return "blocks"
    raise ValueError(f"scale_a, scale_b: expected one number each, [{m}, 1] and [1, {n}], or [{m}, "
                     f"{blocks[0]}] and {list(blocks)}, found {list(shapes[0])}, {list(shapes[1])}")


def sdpa(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    **options: Any,
) -> torch.Tensor:
    """`torch.nn.functional.scaled_dot_product_attention` as an attention kernel computes it.

    query     [..., heads, q_len, dim]; key, value: [..., KV heads, kv_len, dim]; fewer KV heads
              only with enable_gqa. At most one axis before the heads. FP8 codes (e4m3) are taken as
              they are, values are encoded (see `lostbits.attention`)
    is_causal query i sees keys 0 to i, also where there are more keys than queries: torch's causal
              starts at the top left, `lostbits.attention`'s ends at the bottom right
    scale     None: 1 / sqrt(dim)
    options   all else of `lostbits.attention`: preset, accumulation, interval, decode, splits,
              q_descale, k_descale, v_descale, softcap, sinks, exp2, output_format, threads, ...

    Returns query's shape in bfloat16, what the kernels store, whatever query's type.

    Raises NotImplementedError for gradients, ValueError for a mask, for dropout, and on shapes that
    do not fit, naming all three. Source: sim/attention.h.
    """
    _check_tensors(query=query, key=key, value=value)
    if attn_mask is not None:
        raise ValueError("attn_mask: expected None, the kernels take no mask; is_causal is one")
    if dropout_p != 0:
        raise ValueError(f"dropout_p: expected 0, found {dropout_p}")
    if torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value)):
        raise NotImplementedError("sdpa: no gradients; call it under torch.no_grad()")
    number = isinstance(scale, int | float)
    if scale is not None and not (number and math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale: expected a number > 0, found {scale!r}")
    shapes = [list(x.shape) for x in (query, key, value)]
    fits = all(x.ndim in (3, 4) and x.ndim == query.ndim for x in (query, key, value))
    if not fits or (not enable_gqa and query.shape[-3] != key.shape[-3]):
        raise ValueError(f"query, key, value: expected [..., heads, len, dim] of as many heads (or "
                         f"enable_gqa), found {shapes[0]}, {shapes[1]}, {shapes[2]}")
    for name in "causal", "window", "softmax_scale":
        if name in options:
            raise ValueError(f"{name}: not an option of sdpa; is_causal and scale are")
    q_len, kv_len = query.shape[-2], key.shape[-2]
    if is_causal and q_len < kv_len:  # keys that no query sees
        key, value = key[..., :q_len, :], value[..., :q_len, :]
    elif is_causal and q_len > kv_len:  # the last queries see all keys
        options["window"] = (-1, q_len - kv_len)
    q, k, v = (x.transpose(-3, -2) for x in (query, key, value))
    o = attention(
        q, k, v, causal=is_causal and q_len <= kv_len, softmax_scale=scale or 0.0, **options
    )
    if isinstance(o, tuple):
        return (o[0].transpose(-3, -2), *o[1:])
    return o.transpose(-3, -2)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
