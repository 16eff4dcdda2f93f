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

KINDS = ("raw", "finite", "cancel", "wide", "tiny", "overflow", "huge", "zeros", "specials",
         "clamp")


@dataclass
class Batch:
    """n rows of one instruction. Scales are empty where it has none."""
    kind: np.ndarray     # [n], index of KINDS
    a: np.ndarray        # [n, k] codes
    b: np.ndarray
    c: np.ndarray        # [n] words
    scale_a: np.ndarray  # [n, blocks] codes
    scale_b: np.ndarray

    def line(self, i):
        """The input of `lostbits dot`."""
        fields = [self.a[i], self.b[i], [self.c[i]]]
        if self.scale_a.size:
            fields += [self.scale_a[i], self.scale_b[i]]
        return " ; ".join(" ".join(f"{int(x):X}" for x in field) for field in fields)


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


def meet(low, high, within):
    """[low, high] cut to `within`, or the end of `within` next to it."""
    return np.clip(low, *within), np.clip(high, *within)


def generate(rng, k, a_format, b_format, acc, scale, block, n):
    """n rows. `scale` is None without block scales."""
    blocks = k // block if block else 0
    kind = np.arange(n) % len(KINDS)
    is_kind = {name: kind == i for i, name in enumerate(KINDS)}
    products = tuple(np.add(reach(a_format), reach(b_format)))
    total = products if not scale else tuple(np.add(products, np.multiply(2, reach(scale))))

    # The exponent around which a row's products lie.
    usual = meet(acc.min_exponent - 4, acc.max_exponent - 8, total)
    centre = uniform(rng, np.full(n, usual[0]), np.full(n, usual[1]))
    low = meet(acc.min_exponent - acc.mantissa_bits - 16, acc.min_exponent + 4, total)
    low = low if low[0] < low[1] else (total[0], total[0] + 8)
    centre = np.where(is_kind["tiny"], uniform(rng, np.full(n, low[0]), np.full(n, low[1])), centre)
    high = meet(acc.max_exponent - 6, acc.max_exponent + 1, total)
    high = high if high[0] < high[1] else (total[1] - 6, total[1])
    centre = np.where(is_kind["overflow"],
                      uniform(rng, np.full(n, high[0]), np.full(n, high[1])), centre)
    width = rng.choice([0, 1, 2, 4, 8], n)
    width = np.where(is_kind["wide"], rng.choice([12, 16, 24, 40], n), width)[:, None]
    exponent = uniform(rng, centre[:, None] - width + np.zeros((n, k), int),
                       centre[:, None] + width)
    one = np.arange(k)[None, :] == rng.integers(0, k, n)[:, None]
    exponent = np.where(is_kind["huge"][:, None] & one,
                        exponent + rng.integers(5, 48, n)[:, None], exponent)

    # Clamp: two powers of two and nothing else, one about the smallest subnormal result and one far
    # below it, so that the grid's lower end decides. They lie in different blocks, if there are.
    row = np.arange(n)
    at = rng.integers(0, blocks or k, n) * (block or 1)
    step = rng.integers(1, max(blocks, 2), n) * block if blocks > 1 else uniform(
        rng, np.ones(n, int), k - 1)
    lowest = acc.min_exponent - acc.mantissa_bits
    clamp = is_kind["clamp"]
    exponent[row, at] = np.where(clamp, lowest + rng.choice([-1, -1, 0, 0, 1, 3], n), exponent[row, at])
    other = (at + step) % k
    exponent[row, other] = np.where(clamp, lowest - rng.integers(1, 28, n), exponent[row, other])
    alone = clamp[:, None] & (np.arange(k) != at[:, None]) & (np.arange(k) != other[:, None])
    exact = np.broadcast_to(clamp[:, None], (n, k))

    # Scales take what the operands cannot reach, and a random part of the rest.
    scale_a = scale_b = np.zeros((n, 0), np.uint64)
    if scale:
        wanted = exponent[:, ::block] - uniform(rng, np.full((n, blocks), products[0] // 2),
                                                products[1] // 2)
        ea, eb = split(rng, scale, scale, wanted)
        ea, eb = (np.clip(e, *reach(scale)) for e in (ea, eb))
        scale_a, scale_b = (near(rng, scale, e, clamp[:, None]) for e in (ea, eb))
        exponent = exponent - np.repeat(ea + eb, block, axis=1)
    ea, eb = split(rng, a_format, b_format, exponent)
    a, b = near(rng, a_format, ea, exact), near(rng, b_format, eb, exact)

    # Pairs that cancel: neighbours, or half an instruction apart.
    for step in {1, k // 2} - {0}:
        first = np.arange(k) // step % 2 == 0
        first &= np.arange(k) + step < k
        pair = (rng.random((n, first.sum())) < 0.5) & (rng.random(n) < 0.4)[:, None]
        pair &= (is_kind["cancel"] | is_kind["huge"] | is_kind["overflow"])[:, None]
        at = np.flatnonzero(first)
        negative = finite(a_format, a[:, at] ^ np.uint64(1 << (a_format.bits - 1)))
        a[:, at + step] = np.where(pair, negative, a[:, at + step])
        b[:, at + step] = np.where(pair, b[:, at], b[:, at + step])

    # c: near the products, or zero of either sign.
    c = near(rng, acc, centre + rng.integers(-12, 16, n))
    zero = rng.integers(0, 2, n, dtype=np.uint64) << np.uint64(acc.bits - 1)
    share = np.where(is_kind["zeros"], 0.7, np.where(is_kind["tiny"], 0.5, np.where(clamp, 1, 0.2)))
    c = np.where(rng.random(n) < share, zero, c)

    some = is_kind["zeros"][:, None] & (rng.random((n, k)) < rng.choice([0.5, 0.9, 1], (n, 1)))
    some |= alone
    sign = rng.integers(0, 2, (n, k), dtype=np.uint64)
    which = rng.random((n, k)) < 0.5
    a = np.where(some & which, finite(a_format, sign << np.uint64(a_format.bits - 1)), a)
    b = np.where(some & ~which, finite(b_format, sign << np.uint64(b_format.bits - 1)), b)

    # One to three operands in a row that are Inf or NaN; c is one in a third of the rows.
    chosen = is_kind["specials"][:, None] & (rng.random((n, k)) < rng.choice([1, 3], (n, 1)) / k)
    a = np.where(chosen & which, special(rng, a_format, (n, k)), a)
    b = np.where(chosen & ~which, special(rng, b_format, (n, k)), b)
    b = np.where(chosen & which & (rng.random((n, k)) < 0.2), 0, b)
    c = np.where(is_kind["specials"] & (rng.random(n) < 0.33), special(rng, acc, n), c)
    if scale:
        rare = is_kind["specials"][:, None] & (rng.random((n, blocks)) < 0.2)
        scale_a = np.where(rare, special(rng, scale, (n, blocks)), scale_a)

    # Uniform codes last, so that nothing above tidies them.
    def put(f, codes):
        bits = raw(rng, f, codes.shape)
        shape = (-1,) + (1,) * (codes.ndim - 1)
        codes = np.where(is_kind["finite"].reshape(shape), finite(f, bits), codes)
        return np.where(is_kind["raw"].reshape(shape), bits, codes).astype(np.uint64)

    a, b, c = put(a_format, a), put(b_format, b), put(acc, c)
    if scale:
        scale_a, scale_b = put(scale, scale_a), put(scale, scale_b)
    return Batch(kind, a, b, c, scale_a, scale_b)
