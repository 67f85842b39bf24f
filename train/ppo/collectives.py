"""Sums over samples that are spread over the devices of a mesh, so that many devices learn as one.

`axis` is the mesh axis of the `jax.shard_map` around the call; None = all samples are here.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

T = TypeVar("T")


def total(values: T, axis: str | None) -> T:
    """Sum over devices of an array or of each in a tree, elementwise."""
    return values if axis is None else jax.lax.psum(values, axis)


def least(values: jax.Array, axis: str | None) -> jax.Array:
    """Minimum over devices, elementwise."""
    return values if axis is None else jax.lax.pmin(values, axis)


def weighted_mean(values: jax.Array, weight: jax.Array, axis: str | None = None) -> jax.Array:
    """Mean of `values` over the samples that count; (...) and weights (...) of the same shape ->
    ()."""
    return total(jnp.sum(values * weight), axis) / jnp.maximum(total(jnp.sum(weight), axis), 1.0)
