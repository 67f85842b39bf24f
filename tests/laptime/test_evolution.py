"""The search place by place: its samples, its weights, and how it gets to a known optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kart_jax.laptime import evolution
from kart_jax.laptime.evolution import SearchDistribution

PAIRS = 16


def fresh(knots):
    return SearchDistribution(jnp.zeros((2, knots)), jnp.full((2, knots), 0.3))


def test_samples_are_the_mean_and_mirrored_pairs():
    steps = evolution.sample_steps(jax.random.key(0), fresh(8), PAIRS)
    assert steps.shape == (2 * PAIRS + 1, 2, 8)
    assert (np.asarray(steps[0]) == 0.0).all()
    np.testing.assert_array_equal(steps[1 : PAIRS + 1], -steps[PAIRS + 1 :])
    np.testing.assert_allclose(
        evolution.candidates(SearchDistribution(jnp.ones((2, 8)), jnp.ones((2, 8))), steps),
        1.0 + steps,
    )


def test_the_better_half_is_weighed_by_rank():
    weights = np.asarray(evolution.rank_weights(4))
    # log(2.5) - log(1), log(2.5) - log(2), over their sum; ranks 3 and 4 are worse than the median.
    first, second = np.log(2.5), np.log(1.25)
    np.testing.assert_allclose(
        weights, np.array([first, second, 0.0, 0.0]) / (first + second), rtol=1e-5
    )


def test_only_the_order_of_the_costs_counts():
    search, key = fresh(8), jax.random.key(1)
    steps = evolution.sample_steps(key, search, PAIRS)
    cost = jax.random.normal(jax.random.key(2), (2 * PAIRS + 1, 8))
    plain, bent = (evolution.update(search, steps, c) for c in (cost, jnp.exp(3.0 * cost) + 100.0))
    np.testing.assert_array_equal(plain.mean, bent.mean)
    np.testing.assert_array_equal(plain.std, bent.std)


def goal(knots):
    """The optimum (2, knots) of `felt`: two waves round the lap, independent of the number of
    places."""
    angle = 2 * jnp.pi * jnp.arange(knots) / 8
    return jnp.stack([jnp.sin(angle), 0.5 * jnp.cos(angle)])


def felt(numbers):
    """Costs (J,) of one candidate (2, J): a bowl about `goal`, felt at a place and at the one that
    follows."""
    bowl = jnp.sum((numbers - goal(numbers.shape[-1])) ** 2, axis=0)
    return bowl + jnp.roll(bowl, -1)


@pytest.mark.parametrize("knots", [8, 128])
def test_a_long_lap_needs_no_more_generations_than_a_short_one(knots):
    def generation(search, key):
        steps = evolution.sample_steps(key, search, PAIRS)
        return evolution.update(
            search, steps, jax.vmap(felt)(evolution.candidates(search, steps))
        ), None

    search, _ = jax.lax.scan(generation, fresh(knots), jax.random.split(jax.random.key(3), 40))
    assert float(jnp.abs(search.mean - goal(knots)).max()) < 0.1  # it began 1 away
    assert float(search.std.max()) < 0.1
