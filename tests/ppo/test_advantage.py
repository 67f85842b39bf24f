"""Advantages of short trajectories, computed by hand."""

import jax.numpy as jnp
import numpy as np

from train.ppo import advantage

GAMMA = 0.5
LAMBDA = 0.5
FALSE = jnp.zeros(3, bool)


def gae(rewards, values, terminated=FALSE, truncated=FALSE):
    """Advantages and weights of one trajectory of three steps, as NumPy arrays."""
    found = advantage.calculate_gae(
        jnp.asarray(rewards), jnp.asarray(values), terminated, truncated, GAMMA, LAMBDA
    )
    return [np.asarray(x) for x in found]


def test_without_ends():
    # delta = r + V'/2 - V:  1 + 2 - 2 = 1;  2 + 3 - 4 = 1;  3 + 4 - 6 = 1
    # A2 = 1;  A1 = 1 + 1/4 = 1.25;  A0 = 1 + 1.25/4 = 1.3125
    found, weight = gae([1.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0])
    np.testing.assert_allclose(found, [1.3125, 1.25, 1.0])
    np.testing.assert_allclose(weight, 1.0)


def test_after_a_termination_nothing_is_worth_anything():
    # Step 1 terminates: delta1 = 2 - 4 = -2, and step 2 belongs to another episode.
    # A0 = 1 - 2/4 = 0.5
    found, weight = gae([1.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0], terminated=FALSE.at[1].set(True))
    np.testing.assert_allclose(found, [0.5, -2.0, 1.0])
    np.testing.assert_allclose(weight, 1.0)


def test_a_truncation_bootstraps_from_the_last_state_seen():
    # Step 1 is truncated: it has no part, and step 0 ends with V(s1): A0 = delta0 = 1 + 4/2 - 2 = 1
    found, weight = gae([1.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0], truncated=FALSE.at[1].set(True))
    np.testing.assert_allclose(found, [1.0, 0.0, 1.0])
    np.testing.assert_allclose(weight, [1.0, 0.0, 1.0])


def test_a_truncation_equals_a_roll_out_that_ends_there():
    rewards = [0.3, -1.0, 0.7]
    values = [0.1, 0.9, -0.4, 5.0]
    cut, _ = gae(rewards, values, truncated=FALSE.at[2].set(True))
    # The first two steps, with a roll-out that ends after them and bootstraps from V(s2).
    short, _ = advantage.calculate_gae(
        jnp.asarray(rewards[:2]), jnp.asarray(values[:3]), FALSE[:2], FALSE[:2], GAMMA, LAMBDA
    )
    np.testing.assert_allclose(cut[:2], short, rtol=1e-6)


def test_terminated_goes_before_truncated():
    both = FALSE.at[1].set(True)
    found, weight = gae([1.0, 2.0, 3.0], [2.0, 4.0, 6.0, 8.0], terminated=both, truncated=both)
    np.testing.assert_allclose(found, [0.5, -2.0, 1.0])
    np.testing.assert_allclose(weight, 1.0)


def test_lambda_one_is_the_discounted_return_minus_the_value():
    rewards = np.asarray([1.0, -2.0, 4.0])
    values = np.asarray([0.5, 0.25, -1.0, 3.0])
    found, _ = advantage.calculate_gae(
        jnp.asarray(rewards), jnp.asarray(values), FALSE, FALSE, 0.9, 1.0
    )
    # G0 = 1 - 2 (0.9) + 4 (0.81) + 3 (0.729) = 4.627
    np.testing.assert_allclose(found[0], 4.627 - 0.5, rtol=1e-6)
