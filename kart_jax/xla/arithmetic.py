"""Arithmetic that XLA turns into one or two vector instructions on a CPU, where its own operations
take five.

Float-to-integer conversions must treat nan and overflow by the book, which costs several
instructions each (as do `jnp.minimum` and the like: `bounds.py`); XLA stores a quotient in memory
before a look-up that depends on it; and an index in square brackets may be negative, which is asked
of every one. The view counts its instructions, so it uses these instead. None of them accepts nan.
"""

import chex
import jax
import jax.numpy as jnp

from kart_jax.xla.bounds import within

MAGIC = 8388608.0  # 2^23: the float32 numbers from here to 2^24 are the whole numbers
MAGIC_BITS = 0x4B000000  # of float32 2^23


def share(a: chex.Array) -> chex.Array:
    """`a` clipped to 0..1."""
    return within(a, 0.0, 1.0)


def float_bits(a: chex.Array) -> chex.Array:
    """The bits of float32 numbers as int32."""
    return jax.lax.bitcast_convert_type(a, jnp.int32)


def from_bits(bits: chex.Array) -> chex.Array:
    """The float32 numbers with these 32 bits."""
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def nearest(a: chex.Array) -> chex.Array:
    """The nearest int32 to float32 numbers from 0 to 2^23: adding 2^23 moves them into the lowest
    bits."""
    return float_bits(a + MAGIC) - MAGIC_BITS


def look_up(table: chex.Array, index: chex.Array) -> chex.Array:
    """`table[index]` (...) of a table (A,) for int32 indices (...) from 0 to A - 1; others read
    something else."""
    return table.at[index].get(mode="promise_in_bounds", wrap_negative_indices=False)


def reciprocal(a: chex.Array) -> chex.Array:
    """1 / a of positive float32 numbers to 1e-5: halving the exponent's distance by bits, then two
    Newton steps."""
    guess = from_bits(0x7EF127EA - float_bits(a))
    guess = guess * (2.0 - a * guess)
    return guess * (2.0 - a * guess)


def inverse_root(a: chex.Array) -> chex.Array:
    """1 / sqrt(a) of positive float32 numbers to 0.2 %: half the exponent by bits, then one Newton
    step."""
    guess = from_bits(0x5F3759DF - (float_bits(a) >> 1))
    return guess * (1.5 - 0.5 * a * (guess * guess))


def inverse_octave(a: chex.Array) -> chex.Array:
    """1 / 2^floor(log2 a) of positive float32 numbers, by their exponent."""
    return from_bits(0x7F000000 - (float_bits(a) & 0x7F800000))


def hashed(a: chex.Array, b: chex.Array) -> chex.Array:
    """Noise in [-1.7, 1.7) of standard deviation 1 from two int32 (...): a multiplicative hash,
    evenly spread."""
    h = a * jnp.int32(-1640531535) + b * jnp.int32(-2048144777)
    h = (h ^ (h >> 15)) * jnp.int32(-1028477379)
    return h.astype(jnp.float32) * (3.4641016 / 2.0**32)


def pack_rgb(red: chex.Array, green: chex.Array, blue: chex.Array) -> chex.Array:
    """Round channels to 0..255 and pack them: red in bits 0-7, green in 8-15, blue in 16-23;
    uint32.

    The magic number's own bits, moved up by 8 and 16, fall out of the word, and those of red are
    taken off.
    """
    r, g, b = (float_bits(within(c, 0.0, 255.0) + MAGIC) for c in (red, green, blue))
    return jax.lax.bitcast_convert_type(r + (g << 8) + (b << 16) - MAGIC_BITS, jnp.uint32)
