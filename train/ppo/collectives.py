"""Reductions over samples that are spread over the devices of a mesh, so that many learn as one.

`axis` is the mesh axis of the `jax.shard_map` around the call; None = all samples are here.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp

T = TypeVar("T")


def total(values: T, axis: str | None) -> T:
    """Sum an array, or each array of a tree, over the devices, elementwise."""
    return values if axis is None else jax.lax.psum(values, axis)


def minimum(values: jax.Array, axis: str | None) -> jax.Array:
    """Take the minimum over the devices, elementwise."""
    return values if axis is None else jax.lax.pmin(values, axis)


def weighted_mean(values: jax.Array, weight: jax.Array, axis: str | None = None) -> jax.Array:
    """Average `values` (...) over the samples that count, by weights of the same shape -> ()."""
    return total(jnp.sum(values * weight), axis) / jnp.maximum(total(jnp.sum(weight), axis), 1.0)
