"""Bounds that pass nan on, in one instruction of a CPU each.

`jnp.maximum`, `jnp.minimum` and `jnp.clip` return nan from either argument. Here it comes out of
the first; a bound is a number. Why: `kart_jax.xla`.
"""

import chex
import jax.numpy as jnp


def at_least(a: chex.Array, bound: chex.Numeric) -> chex.Array:
    """Return the larger of `a` (...) and a bound; nan where `a` is."""
    return jnp.where(a < bound, bound, a)


def at_most(a: chex.Array, bound: chex.Numeric) -> chex.Array:
    """Return the smaller of `a` (...) and a bound; nan where `a` is."""
    return jnp.where(a > bound, bound, a)


def within(a: chex.Array, low: chex.Numeric, high: chex.Numeric) -> chex.Array:
    """Return `a` (...) clipped to low..high; nan where `a` is."""
    return at_most(at_least(a, low), high)
