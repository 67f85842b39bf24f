"""Arithmetic that a CPU does in one or two vector instructions; none of it accepts nan.

Why the operations of JAX take more of them stands on the page of this room (`kart_jax.xla`).
"""

import chex
import jax
import jax.numpy as jnp

from kart_jax.xla.bounds import within

MAGIC = 8388608.0  # 2^23: the float32 numbers from here to 2^24 are the whole numbers
MAGIC_BITS = 0x4B000000  # of float32 2^23


def share(a: chex.Array) -> chex.Array:
    """Return `a` clipped to 0..1."""
    return within(a, 0.0, 1.0)


def float_bits(a: chex.Array) -> chex.Array:
    """Return the bits of float32 numbers as int32."""
    return jax.lax.bitcast_convert_type(a, jnp.int32)


def from_bits(bits: chex.Array) -> chex.Array:
    """Return the float32 numbers with these 32 bits."""
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def nearest(a: chex.Array) -> chex.Array:
    """Return the nearest int32 to float32 numbers from 0 to 2^23.

    Adding 2^23 moves them into the lowest bits.
    """
    return float_bits(a + MAGIC) - MAGIC_BITS


def look_up(table: chex.Array, index: chex.Array) -> chex.Array:
    """Return `table[index]` (...) of a table (A,) for int32 indices (...) from 0 to A - 1.

    What other indices return is not defined.
    """
    return table.at[index].get(mode="promise_in_bounds", wrap_negative_indices=False)


def reciprocal(a: chex.Array) -> chex.Array:
    """Return 1 / a of positive float32 numbers, to 1e-5.

    The exponent is negated by bits, then two Newton steps follow.
    """
    guess = from_bits(0x7EF127EA - float_bits(a))
    guess = guess * (2.0 - a * guess)
    return guess * (2.0 - a * guess)


def inverse_root(a: chex.Array) -> chex.Array:
    """Return 1 / sqrt(a) of positive float32 numbers, to 0.2 %.

    The exponent is halved and negated by bits, then one Newton step follows.
    """
    guess = from_bits(0x5F3759DF - (float_bits(a) >> 1))
    return guess * (1.5 - 0.5 * a * (guess * guess))


def inverse_octave(a: chex.Array) -> chex.Array:
    """Return 1 / 2^floor(log2 a) of positive float32 numbers, by their exponent."""
    return from_bits(0x7F000000 - (float_bits(a) & 0x7F800000))


def hashed(a: chex.Array, b: chex.Array) -> chex.Array:
    """Return noise in [-1.7, 1.7) of standard deviation 1 from two int32 (...).

    A multiplicative hash, evenly spread.
    """
    h = a * jnp.int32(-1640531535) + b * jnp.int32(-2048144777)
    h = (h ^ (h >> 15)) * jnp.int32(-1028477379)
    return h.astype(jnp.float32) * (3.4641016 / 2.0**32)


def pack_rgb(red: chex.Array, green: chex.Array, blue: chex.Array) -> chex.Array:
    """Round channels to 0..255 and pack them as uint32: red in bits 0-7, then green, then blue.

    The magic number's own bits, moved up by 8 and 16, fall out of the word, and those of red are
    taken off.
    """
    r, g, b = (float_bits(within(c, 0.0, 255.0) + MAGIC) for c in (red, green, blue))
    return jax.lax.bitcast_convert_type(r + (g << 8) + (b << 16) - MAGIC_BITS, jnp.uint32)
