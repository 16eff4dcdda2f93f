"""Generated inputs for one matrix instruction: operand codes, c words and scale codes as integers.

Random floats would hardly ever make terms of a sum meet, cancel, underflow or overflow, so most
kinds choose the exponent of the products first and the operands' exponents from it.
"""
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Format:
    """As lostbits::fp8::Format: [sign] exponent field, mantissa field, then `pad` unused bits."""
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: str  # ieee, nan_only, fnuz, finite, scale
    pad: int = 0

    @property
    def bits(self):
        return self.exponent_bits + self.mantissa_bits + self.pad + (self.specials != "scale")

    @property
    def top_field(self):
        """The largest exponent field of a finite number."""
        return (1 << self.exponent_bits) - (2 if self.specials in ("ieee", "scale") else 1)

    @property
    def min_exponent(self):
        return -self.bias if self.specials == "scale" else 1 - self.bias

    @property
    def max_exponent(self):
        return self.top_field - self.bias


FORMATS = {
    "f64": Format(11, 52, 1023, "ieee"), "f32": Format(8, 23, 127, "ieee"),
    "tf32": Format(8, 10, 127, "ieee", 13), "bf16": Format(8, 7, 127, "ieee"),
    "f16": Format(5, 10, 15, "ieee"), "e5m2": Format(5, 2, 15, "ieee"),
    "e4m3": Format(4, 3, 7, "nan_only"), "e5m2fnuz": Format(5, 2, 16, "fnuz"),
    "e4m3fnuz": Format(4, 3, 8, "fnuz"), "e3m2": Format(3, 2, 3, "finite"),
    "e2m3": Format(2, 3, 1, "finite"), "e2m1": Format(2, 1, 1, "finite"),
    "ue8m0": Format(8, 0, 127, "scale"), "ue4m3": Format(4, 3, 7, "nan_only")}


@dataclass(frozen=True)
class Unit:
    """One matrix instruction. Without block scales `scale` is None and `block` 0."""
    k: int
    a: Format
    b: Format
    acc: Format
    scale: Format = None
    block: int = 0

    @property
    def blocks(self):
        return self.k // self.block if self.block else 0

    @property
    def reach(self):
        """Least and largest exponent of a product, scales included."""
        scales = np.multiply(2, reach(self.scale)) if self.scale else 0
        return tuple(np.add(reach(self.a), reach(self.b)) + scales)

    def meet(self, low, high):
        """The exponents in [low, high] that products reach, or the nearest ones that they do."""
        low, high = np.clip((low, high), *self.reach)
        if low < high:
            return low, high
        return (low, low + 8) if low == self.reach[0] else (high - 6, high)


@dataclass
class Batch:
    """n rows of one instruction. Scales are empty where it has none."""
    a: np.ndarray        # [n, k] codes
    b: np.ndarray
    c: np.ndarray        # [n] words
    scale_a: np.ndarray  # [n, blocks] codes
    scale_b: np.ndarray
    kind: np.ndarray = None  # [n], index of KINDS

    def line(self, i):
        """The input of `lostbits dot`."""
        fields = [self.a[i], self.b[i], [self.c[i]]]
        if self.scale_a.size:
            fields += [self.scale_a[i], self.scale_b[i]]
        return " ; ".join(" ".join(f"{int(x):X}" for x in field) for field in fields)


# Codes of one format.

def raw(rng, f, shape):
    return rng.integers(0, 1 << f.bits, shape, dtype=np.uint64)


def finite(f, codes):
    """The codes with each Inf or NaN made the largest number, and FNUZ's NaN made zero."""
    magnitude_bits = f.exponent_bits + f.mantissa_bits
    sign = codes >> (magnitude_bits + f.pad) << (magnitude_bits + f.pad)
    magnitude = (codes - sign) >> f.pad
    top = (1 << magnitude_bits) - 1
    largest = {"ieee": top - (1 << f.mantissa_bits), "nan_only": top - 1, "scale": top - 1}
    low = (codes - sign) - (magnitude << f.pad)
    magnitude = np.minimum(magnitude, np.uint64(largest.get(f.specials, top)))
    if f.specials == "fnuz":
        sign = np.where(magnitude == 0, 0, sign)
    return (sign + (magnitude << f.pad) + low).astype(np.uint64)


def special(rng, f, shape):
    """Inf or NaN where the format has them, else its largest number."""
    magnitude_bits = f.exponent_bits + f.mantissa_bits
    ones = np.full(shape, (1 << magnitude_bits) - 1, dtype=np.uint64)
    if f.specials == "ieee":
        payload = rng.integers(0, 1 << f.mantissa_bits, shape, dtype=np.uint64)
        ones = (ones >> f.mantissa_bits << f.mantissa_bits) + payload * (rng.random(shape) < 0.3)
    sign = rng.integers(0, 2, shape, dtype=np.uint64)
    if f.specials == "fnuz":
        ones, sign = np.zeros_like(ones), np.ones_like(sign)
    if f.specials == "scale":
        return ones
    return (ones + (sign << magnitude_bits)).astype(np.uint64) << np.uint64(f.pad)


def near(rng, f, exponent, exact=False):
    """Numbers of the given exponents, random sign. Mantissas are random, all 0, all 1 or one bit;
    0 where `exact`: powers of two, subnormal ones too."""
    field = np.clip(exponent + f.bias, 0, f.top_field).astype(np.uint64)
    ones = (1 << f.mantissa_bits) - 1
    mantissa = rng.integers(0, ones + 1, field.shape, dtype=np.uint64)
    pick = rng.random(field.shape)
    mantissa = np.where(pick < 0.15, 0, np.where(pick > 0.85, ones, mantissa)).astype(np.uint64)
    if f.mantissa_bits:
        bit = rng.integers(0, f.mantissa_bits, field.shape, dtype=np.uint64)
        mantissa = np.where(abs(pick - 0.2) < 0.05, np.uint64(1) << bit, mantissa)
        # A subnormal's size is in its mantissa.
        mantissa = np.where(field == 0, mantissa >> bit, mantissa)
        below = np.clip(f.min_exponent - exponent, 0, f.mantissa_bits + 1).astype(np.uint64)
        power = np.where(field == 0, np.uint64(1 << f.mantissa_bits) >> below, 0)
        mantissa = np.where(exact, power, mantissa).astype(np.uint64)
    codes = ((field << f.mantissa_bits) + mantissa) << f.pad
    if f.pad:
        codes += rng.integers(0, 1 << f.pad, field.shape, dtype=np.uint64)
    if f.specials != "scale":
        codes += rng.integers(0, 2, field.shape, dtype=np.uint64) << (f.bits - 1)
    return finite(f, codes)


def reach(f):
    """Least and largest exponent of a number, subnormals included."""
    return f.min_exponent - f.mantissa_bits, f.max_exponent


def uniform(rng, low, high):
    """Integers in [low, high], elementwise; `low` where the interval is empty."""
    span = np.maximum(np.asarray(high) - low, 0) + 1
    return low + np.floor(rng.random(np.broadcast(low, high).shape) * span).astype(np.int64)


def split(rng, f, g, total):
    """Exponents of a number of f and one of g that add up to `total`, as far as they can."""
    (f_low, f_high), (g_low, g_high) = reach(f), reach(g)
    first = uniform(rng, np.clip(total - g_high, f_low, f_high),
                    np.clip(total - g_low, f_low, f_high))
    return first, total - first


# Rows.

def rows_near(rng, unit, exponent, c_exponent, exact=False, c_exact=False):
    """Products of the given exponents [n, k], and c of the given ones [n]. Scales take what the
    operands do not reach, and a random part of the rest."""
    n = len(exponent)
    scale_a = scale_b = np.zeros((n, 0), np.uint64)
    if unit.scale:
        low, high = np.add(reach(unit.a), reach(unit.b)) // 2
        wanted = exponent[:, ::unit.block] - uniform(rng, np.full((n, unit.blocks), low), high)
        ea, eb = (np.clip(e, *reach(unit.scale))
                  for e in split(rng, unit.scale, unit.scale, wanted))
        scale_a, scale_b = (near(rng, unit.scale, e, exact) for e in (ea, eb))
        exponent = exponent - np.repeat(ea + eb, unit.block, axis=1)
    ea, eb = split(rng, unit.a, unit.b, exponent)
    return Batch(near(rng, unit.a, ea, exact), near(rng, unit.b, eb, exact),
                 near(rng, unit.acc, c_exponent, c_exact), scale_a, scale_b)


def signed_zero(rng, f, shape):
    return finite(f, rng.integers(0, 2, shape, dtype=np.uint64) << np.uint64(f.bits - 1))


def with_zeros(rng, unit, batch, products, c):
    """Zeros of either sign in place of a or b of the products in a mask, and of c in a mask."""
    which = rng.random(products.shape) < 0.5
    batch.a = np.where(products & which, signed_zero(rng, unit.a, which.shape), batch.a)
    batch.b = np.where(products & ~which, signed_zero(rng, unit.b, which.shape), batch.b)
    batch.c = np.where(c, signed_zero(rng, unit.acc, c.shape), batch.c)
    return batch


def around(rng, unit, low, high, widths, n, c_zero=0.2):
    """Products within a width of one exponent in [low, high], c near them or zero."""
    centre = uniform(rng, np.full(n, low), np.full(n, high))
    width = rng.choice(widths, n)[:, None]
    exponent = uniform(rng, centre[:, None] - width + np.zeros((n, unit.k), int),
                       centre[:, None] + width)
    batch = rows_near(rng, unit, exponent, centre + rng.integers(-12, 16, n))
    return with_zeros(rng, unit, batch, np.zeros((n, unit.k), bool), rng.random(n) < c_zero)


def usual(unit):
    return unit.meet(unit.acc.min_exponent - 4, unit.acc.max_exponent - 8)


def cancelled(rng, unit, batch):
    """Pairs of products that cancel, neighbours or half an instruction apart, in 4 rows of 10."""
    n = len(batch.c)
    for step in {1, unit.k // 2} - {0}:
        at = np.arange(unit.k - step)
        at = at[at // step % 2 == 0]
        pair = (rng.random((n, at.size)) < 0.5) & (rng.random((n, 1)) < 0.4)
        negative = finite(unit.a, batch.a[:, at] ^ np.uint64(1 << (unit.a.bits - 1)))
        batch.a[:, at + step] = np.where(pair, negative, batch.a[:, at + step])
        batch.b[:, at + step] = np.where(pair, batch.b[:, at], batch.b[:, at + step])
    return batch


def powers(rng, unit, places, exponents, c_exponent, c_exact):
    """Powers of two at some positions, zeros elsewhere."""
    n = len(c_exponent)
    exponent, used = np.zeros((n, unit.k), int), np.zeros((n, unit.k), bool)
    for at, e in zip(places, exponents):
        exponent[np.arange(n), at] = e
        used[np.arange(n), at] = True
    batch = rows_near(rng, unit, exponent, c_exponent, True, c_exact)
    return with_zeros(rng, unit, batch, ~used, np.zeros(n, bool))


# Kinds. Each returns n rows.

def raw_rows(rng, unit, n):
    scales = [raw(rng, unit.scale, (n, unit.blocks)) if unit.scale else np.zeros((n, 0), np.uint64)
              for _ in range(2)]
    return Batch(raw(rng, unit.a, (n, unit.k)), raw(rng, unit.b, (n, unit.k)),
                 raw(rng, unit.acc, n), *scales)


def finite_rows(rng, unit, n):
    x = raw_rows(rng, unit, n)
    scales = [finite(unit.scale, s) if unit.scale else s for s in (x.scale_a, x.scale_b)]
    return Batch(finite(unit.a, x.a), finite(unit.b, x.b), finite(unit.acc, x.c), *scales)


def cancel(rng, unit, n):
    return cancelled(rng, unit, around(rng, unit, *usual(unit), [0, 1, 2, 4, 8], n))


def wide(rng, unit, n):
    return around(rng, unit, *usual(unit), [12, 16, 24, 40], n)


def tiny(rng, unit, n):
    acc = unit.acc
    low, high = unit.meet(acc.min_exponent - acc.mantissa_bits - 16, acc.min_exponent + 4)
    return around(rng, unit, low, high, [0, 1, 2, 4, 8], n, c_zero=0.5)


def overflow(rng, unit, n):
    low, high = unit.meet(unit.acc.max_exponent - 6, unit.acc.max_exponent + 1)
    return cancelled(rng, unit, around(rng, unit, low, high, [0, 1, 2, 4], n))


def huge(rng, unit, n):
    batch = cancel(rng, unit, n)
    at = np.arange(n), rng.integers(0, unit.k, n)
    low, high = usual(unit)
    far = rows_near(rng, unit, uniform(rng, np.full((n, unit.k), (low + high) // 2), high),
                    np.zeros(n, int))
    batch.a[at], batch.b[at] = far.a[at], far.b[at]
    return batch


def zeros(rng, unit, n):
    share = rng.choice([0.5, 0.9, 1], (n, 1))
    return with_zeros(rng, unit, around(rng, unit, *usual(unit), [0, 2, 8], n),
                      rng.random((n, unit.k)) < share, rng.random(n) < 0.7)


def specials(rng, unit, n):
    """About one or three operands that are Inf or NaN, at times times 0; c in a third of them."""
    batch = around(rng, unit, *usual(unit), [0, 2, 8], n)
    shape = (n, unit.k)
    chosen = rng.random(shape) < rng.choice([1, 3], (n, 1)) / unit.k
    which = rng.random(shape) < 0.5
    batch.a = np.where(chosen & which, special(rng, unit.a, shape), batch.a)
    batch.b = np.where(chosen & ~which, special(rng, unit.b, shape), batch.b)
    batch.b = np.where(chosen & which & (rng.random(shape) < 0.2), 0, batch.b).astype(np.uint64)
    batch.c = np.where(rng.random(n) < 0.33, special(rng, unit.acc, n), batch.c)
    if unit.scale:
        rare = rng.random((n, unit.blocks)) < 0.2
        batch.scale_a = np.where(rare, special(rng, unit.scale, rare.shape), batch.scale_a)
    return batch


def clamp(rng, unit, n):
    """Two products: one about the smallest subnormal result and one far below it, so that the lower
    end of the grid decides. In different blocks, if there are. c is zero."""
    at = rng.integers(0, unit.blocks or unit.k, n) * (unit.block or 1)
    if unit.blocks > 1:
        step = rng.integers(1, unit.blocks, n) * unit.block
    else:
        step = uniform(rng, np.ones(n, int), unit.k - 1)
    lowest = unit.acc.min_exponent - unit.acc.mantissa_bits
    first = lowest + rng.choice([-1, -1, -1, 0, 0, 2], n)
    second = lowest - rng.integers(4, 27, n)
    batch = powers(rng, unit, [at, (at + step) % unit.k], [first, second], first, True)
    batch.c = signed_zero(rng, unit.acc, n)
    return batch


def tie(rng, unit, n):
    """c a power of two, and up to three products: one that takes c down a binade, one of half an
    ulp of the result (13 fraction bits: E8M13), one far below that breaks the tie, or not."""
    acc = unit.acc
    bits = rng.choice([acc.mantissa_bits, acc.mantissa_bits, 13], n)
    low, high = unit.meet(acc.min_exponent - acc.mantissa_bits, acc.max_exponent - 26)
    half = uniform(rng, np.full(n, low + (high - low) // 4), np.full(n, high))
    c = half + bits + rng.choice([1, 2, 2, 2], n)
    down = np.where(rng.random(n) < 0.7, c - rng.choice([1, 3, 8, 9, 10, 12], n), half)
    below = half - rng.choice([1, 4, 6, 7, 7, 8], n)
    base = rng.integers(0, max(unit.k // 4, 1), n) * 4
    places = [np.minimum(base + i, unit.k - 1) for i in range(3)]
    return powers(rng, unit, places, [down, half, below], c, rng.random(n) < 0.7)


KINDS = {"raw": raw_rows, "finite": finite_rows, "cancel": cancel, "wide": wide, "tiny": tiny,
         "overflow": overflow, "huge": huge, "zeros": zeros, "specials": specials, "clamp": clamp,
         "tie": tie}


def generate(rng, unit, n):
    """n rows, as many of each kind."""
    parts = [make(rng, unit, len(range(i, n, len(KINDS))))
             for i, make in enumerate(KINDS.values())]
    fields = [np.concatenate([getattr(part, name) for part in parts])
              for name in ("a", "b", "c", "scale_a", "scale_b")]
    return Batch(*fields, np.repeat(np.arange(len(KINDS)), [len(part.c) for part in parts]))
