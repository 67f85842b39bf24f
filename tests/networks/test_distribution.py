"""The squashed Gaussian against numeric integration and the change of variables done by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.networks import distribution

CASES = [(0.0, 0.6), (0.7, 0.3), (-1.5, 1.0), (2.5, 0.5)]


def density(action, mean, std):
    """p(a) of one component in float64: N(atanh a) / (1 - a²)."""
    pre_tanh = np.arctanh(action)
    return (
        np.exp(-0.5 * ((pre_tanh - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi)) / (1 - action**2)
    )


def actions(mean, std, count=400_001):
    """Actions whose values before the squashing cover the mean ± 10 std evenly."""
    return np.tanh(np.linspace(mean - 10 * std, mean + 10 * std, count))


@pytest.mark.parametrize(("mean", "std"), CASES)
def test_density_integrates_to_one_over_the_bounded_actions(mean, std):
    action = np.linspace(-1 + 1e-7, 1 - 1e-7, 2_000_001)
    pre_tanh = jnp.asarray(np.arctanh(action), jnp.float32)
    # The second component sits at its mean, where its own factor is known, so that it can be
    # divided out.
    both = jnp.stack([pre_tanh, jnp.zeros_like(pre_tanh)], axis=-1)
    found = distribution.log_prob(both, jnp.asarray([mean, 0.0]), jnp.log(jnp.asarray([std, 1.0])))
    first = np.exp(np.asarray(found, np.float64)) / density(0.0, 0.0, 1.0)
    assert np.trapezoid(first, action) == pytest.approx(1.0, abs=2e-3)


def test_log_prob_by_hand():
    # mean 0, std 1, a = tanh(1) and a = 0:
    # log N(1) - log(1 - tanh(1)²) + log N(0) - log 1 = -1/2 - 2 * 0.9189385 + 0.8675617
    found = distribution.log_prob(jnp.asarray([1.0, 0.0]), jnp.zeros(2), jnp.zeros(2))
    assert float(found) == pytest.approx(-0.5 - 2 * 0.9189385 + 0.8675617, abs=1e-5)


def test_log_prob_stays_finite_and_exact_where_the_action_is_saturated():
    # tanh is exactly ±1 in float32; log(1 - tanh²) = 2 log 2 - 2 |u| to 1e-26.
    pre_tanh = jnp.asarray([30.0, -30.0])
    found = distribution.log_prob(pre_tanh, jnp.asarray([30.0, -30.0]), jnp.zeros(2))
    assert float(found) == pytest.approx(-2 * 0.9189385 - 2 * (2 * np.log(2.0) - 60.0), rel=1e-6)


@pytest.mark.parametrize(("mean", "std"), CASES)
def test_entropy_equals_the_integral_of_minus_p_log_p(mean, std):
    action = actions(mean, std)
    action = action[np.abs(action) < 1.0]
    p = density(action, mean, std)
    expected = -np.trapezoid(p * np.log(np.maximum(p, 1e-300)), action)
    found = distribution.entropy(jnp.asarray([mean, mean]), jnp.log(jnp.asarray([std, std])))
    assert float(found) == pytest.approx(2 * expected, abs=4e-3)


def test_entropy_is_at_most_that_of_the_uniform_distribution():
    means, log_stds = jnp.linspace(-3, 3, 13), jnp.linspace(-2, 0.7, 13)
    grid = jnp.stack(jnp.meshgrid(means, log_stds), -1).reshape(-1, 2)
    found = distribution.entropy(jnp.stack([grid[:, 0]] * 2, -1), jnp.stack([grid[:, 1]] * 2, -1))
    assert float(jnp.max(found)) < 2 * np.log(2.0)
    assert float(jnp.max(found)) > 2 * np.log(2.0) - 0.1  # std near 0.9 is nearly uniform


def test_samples_follow_the_density():
    mean = jnp.asarray([0.4, -0.8])
    log_std = jnp.log(jnp.asarray([0.5, 0.9]))
    noise = jax.random.normal(jax.random.key(0), (20_000, *mean.shape))
    pre_tanh = distribution.sample(noise, mean, log_std)
    # E[p(a)^-1 1(a in box)] is the volume of the box: importance weights of a proper density.
    action = distribution.squash(pre_tanh)
    inside = jnp.all(jnp.abs(action) < 0.8, axis=-1)
    volume = jnp.mean(
        jnp.where(inside, jnp.exp(-distribution.log_prob(pre_tanh, mean, log_std)), 0.0)
    )
    assert float(volume) == pytest.approx(1.6**2, rel=0.05)
