"""Search by evolution where every number acts in one place: candidates are judged place by place.

P kinds of numbers stand at J places round a lap. What a number changes is felt near its place and
on the straight that follows, so a candidate whose lap is good in one corner and bad in the next is
a parent of the one and not of the other: place j ranks all candidates by their cost there and takes
the mean of the better half of them. The numbers of a long lap are then found in as many generations
as those of a short one.

At each place this is the rank-mu update of CMA-ES with a diagonal covariance, without evolution
paths (Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv:1604.00772, eqs 42, 47, 49), on
mirrored samples (Brockhoff et al. 2010, "Mirrored sampling and sequential selection for evolution
strategies").
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

VARIANCE_LEARNING_RATE = 0.3  # of the variance, from one generation to the next


class SearchDistribution(struct.PyTreeNode):
    """Where a search stands: independent normal distributions."""

    mean: chex.Array  # (P, J), in the units of each kind
    std: chex.Array  # (P, J), standard deviations in the same units


def sample_steps(key: chex.PRNGKey, search: SearchDistribution, pairs: int) -> chex.Array:
    """Draw steps (2 pairs + 1, P, J) in standard deviations: none, then mirrored pairs.

    The first step, none, is that of the mean itself.
    """
    half = jax.random.normal(key, (pairs, *search.mean.shape))
    return jnp.concatenate([jnp.zeros((1, *search.mean.shape)), half, -half])


def candidates(search: SearchDistribution, steps: chex.Array) -> chex.Array:
    """Return the numbers (N, P, J) of the candidates that took these steps (N, P, J)."""
    return search.mean + search.std * steps


def rank_weights(count: int) -> chex.Array:
    """Return weights (count,) by rank: log(count/2 + 1/2) - log(rank), none negative, sum 1."""
    ranks = jnp.arange(1, count + 1)
    raw = jnp.maximum(jnp.log(count / 2 + 0.5) - jnp.log(ranks), 0.0)
    return raw / jnp.sum(raw)


def update(search: SearchDistribution, steps: chex.Array, cost: chex.Array) -> SearchDistribution:
    """Move the distributions one generation on.

    Args:
        search: the distributions that the steps were drawn from.
        steps: (N, P, J) of `sample_steps`, N >= 3.
        cost: (N, J) of each candidate at each place; less is better.
    """
    steps, cost = steps[1:], cost[1:]  # the mean has nothing to teach itself
    ranks = jnp.argsort(jnp.argsort(cost, axis=0), axis=0)
    weights = rank_weights(cost.shape[0])[ranks][:, None]
    rate = VARIANCE_LEARNING_RATE
    variance = 1.0 - rate + rate * jnp.sum(weights * steps**2, axis=0)
    return SearchDistribution(
        mean=search.mean + search.std * jnp.sum(weights * steps, axis=0),
        std=search.std * jnp.sqrt(variance),
    )
