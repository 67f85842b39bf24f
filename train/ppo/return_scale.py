"""The running scale of the returns: rewards are divided by it, so that targets stay of order one.

Each kart carries its discounted return G_t = r_t + gamma (1 - done_{t-1}) G_{t-1}; the standard
deviation of all G seen so far is the scale (Engstrom et al. 2020, "Implementation matters",
arXiv:2005.12729). Batches are merged by the parallel variance formula of Chan, Golub and LeVeque
(1983).
"""

import jax
import jax.numpy as jnp
from flax import struct

from train.ppo.collectives import total


class ReturnScale(struct.PyTreeNode):
    """Mean and variance of the discounted returns seen so far."""

    mean: jax.Array  # () raw reward
    variance: jax.Array  # () raw reward²
    count: jax.Array  # () float32, samples merged


def initial_scale() -> ReturnScale:
    """Return a scale that has seen nothing; its divisor is 1."""
    return ReturnScale(mean=jnp.float32(0.0), variance=jnp.float32(1.0), count=jnp.float32(0.0))


def merge(scale: ReturnScale, returns: jax.Array, axis: str | None = None) -> ReturnScale:
    """Merge in discounted returns of any shape, those of all devices of the mesh axis `axis`."""
    count = total(jnp.float32(returns.size), axis)
    mean = total(jnp.sum(returns), axis) / count
    squares = total(jnp.sum((returns - mean) ** 2), axis)

    both = scale.count + count
    shift = mean - scale.mean
    spread = scale.variance * scale.count + squares + shift**2 * scale.count * count / both
    return ReturnScale(mean=scale.mean + shift * count / both, variance=spread / both, count=both)


def divisor(scale: ReturnScale) -> jax.Array:
    """Return what rewards are divided by, the standard deviation kept off zero: () raw reward."""
    return jnp.sqrt(scale.variance + 1e-8)
