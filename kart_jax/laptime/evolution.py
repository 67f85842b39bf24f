"""Search by evolution where every number acts in one place: candidates are judged place by place.

P kinds of numbers stand at K places round a lap. What a number changes is felt near its place and
on the straight that follows, so a candidate whose lap is good in one bend and bad in the next is a
parent of the one and not of the other: place j ranks all candidates by their cost there and takes
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

LEARNING = 0.3  # of the variance, from one generation to the next


class Search(struct.PyTreeNode):
    """Where a search stands: independent normal distributions."""

    mean: chex.Array  # (P, K), in the units of each kind
    spread: chex.Array  # (P, K), standard deviations


def draw(key: chex.PRNGKey, search: Search, pairs: int) -> chex.Array:
    """Steps (2 pairs + 1, P, K) in standard deviations: none for the mean itself, then mirrored
    pairs."""
    half = jax.random.normal(key, (pairs, *search.mean.shape))
    return jnp.concatenate([jnp.zeros((1, *search.mean.shape)), half, -half])


def candidates(search: Search, steps: chex.Array) -> chex.Array:
    """The numbers (N, P, K) of the candidates that took these steps (N, P, K)."""
    return search.mean + search.spread * steps


def weights(count: int) -> chex.Array:
    """Weights (count,) of candidates in order of rank: log(count/2 + 1/2) - log(rank), none
    negative, sum 1."""
    raw = jnp.maximum(jnp.log(count / 2 + 0.5) - jnp.log(jnp.arange(1, count + 1)), 0.0)
    return raw / jnp.sum(raw)


def update(search: Search, steps: chex.Array, cost: chex.Array) -> Search:
    """One generation on.

    Args:
        search: the distributions that the steps were drawn from.
        steps: (N, P, K) of `draw`, N >= 3.
        cost: (N, K) of each candidate at each place; less is better.
    """
    steps, cost = steps[1:], cost[1:]  # the mean has nothing to teach itself
    ranks = jnp.argsort(jnp.argsort(cost, axis=0), axis=0)
    share = weights(cost.shape[0])[ranks][:, None]
    variance = 1.0 - LEARNING + LEARNING * jnp.sum(share * steps**2, axis=0)
    return Search(
        mean=search.mean + search.spread * jnp.sum(share * steps, axis=0),
        spread=search.spread * jnp.sqrt(variance),
    )
