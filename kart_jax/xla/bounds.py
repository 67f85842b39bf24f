"""Bounds that pass nan on: what `jnp.maximum`, `jnp.minimum` and `jnp.clip` do, in one instruction
of a CPU each.

Those take five, because nan must come out of either argument. Here it comes out of the first; a
bound is a number.
"""

import chex
import jax.numpy as jnp


def at_least(a: chex.Array, bound: chex.Numeric) -> chex.Array:
    """The larger of `a` (...) and a bound; nan where `a` is."""
    return jnp.where(a < bound, bound, a)


def at_most(a: chex.Array, bound: chex.Numeric) -> chex.Array:
    """The smaller of `a` (...) and a bound; nan where `a` is."""
    return jnp.where(a > bound, bound, a)


def within(a: chex.Array, low: chex.Numeric, high: chex.Numeric) -> chex.Array:
    """`a` (...) clipped to low..high; nan where `a` is."""
    return at_most(at_least(a, low), high)
