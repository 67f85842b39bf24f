"""The loss and the reward scale against hand-computed values."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from train.networks import actor_critic, distribution
from train.ppo import minibatches, return_scale, surrogate
from train.ppo.config import PPOConfig
from train.ppo.hyperparameters import Hyperparameters

CONFIG = PPOConfig(
    vector_envs=4,
    rollout_steps=8,
    epochs=3,
    minibatch_size=8,
    learning_rate=1e-2,
    ent_coef=0.0,
    clip_ratio=0.2,
)


def batch(ratio, advantage, value, target, weight=None):
    """Samples whose probability is now `ratio` times the old one, of a policy of mean 0, std 1."""
    count = len(ratio)
    pre_tanh = jnp.zeros((count, 2))
    now = distribution.log_prob(pre_tanh, jnp.zeros((count, 2)), jnp.zeros(2))
    return surrogate.Batch(
        telemetry=jnp.zeros((count, 9)),
        features=None,
        pre_tanh_action=pre_tanh,
        log_prob=now - jnp.log(jnp.asarray(ratio)),
        value=jnp.asarray(value),
        advantage=jnp.asarray(advantage),
        target=jnp.asarray(target),
        weight=jnp.ones(count) if weight is None else jnp.asarray(weight),
    )


def ppo_loss(samples, value, config=CONFIG):
    """Loss and terms of samples whose value is now `value`."""
    count = len(samples.value)
    hyper = Hyperparameters.from_config(config, updates=10)
    return surrogate.ppo_loss(
        jnp.zeros((count, 2)),
        jnp.zeros(2),
        jnp.asarray(value),
        samples,
        jnp.sum(samples.weight),
        hyper,
    )


def test_clipped_policy_loss():
    # ratio 1.5, A = 2: min(3, 1.2 * 2) = 2.4;       ratio 0.5, A = -1: min(-0.5, -0.8) = -0.8
    # ratio 1.5, A = -1: min(-1.5, -1.2) = -1.5;     ratio 1, A = 1: 1
    # Mean (2.4 - 0.8 - 1.5 + 1) / 4 = 0.275
    samples = batch([1.5, 0.5, 1.5, 1.0], [2.0, -1.0, -1.0, 1.0], [0.0] * 4, [0.0] * 4)
    _, found = ppo_loss(samples, [0.0] * 4)
    assert float(found.policy_gradient_loss) == pytest.approx(-0.275, abs=1e-5)
    assert float(found.clip_fraction) == pytest.approx(0.75)
    # mean(ratio - 1 - log ratio) = (2 (0.5 - 0.405465) + (-0.5 + 0.693147) + 0) / 4
    assert float(found.approx_kl) == pytest.approx((2 * 0.0945349 + 0.1931472) / 4, abs=1e-5)


def test_value_loss_with_and_without_clipping():
    # Errors 1 - 0 and 3 - 2: 1/2 (1 + 1) / 2 = 0.5.
    samples = batch([1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 2.0])
    _, plain = ppo_loss(samples, [1.0, 3.0])
    assert float(plain.value_loss) == pytest.approx(0.5, abs=1e-6)
    # Moves of 1 and 3 from the old value 0 are clipped to 0.5; errors (0.5 - 0)² < 1 and
    # (0.5 - 2)² = 2.25 > 1.
    _, clipped = ppo_loss(samples, [1.0, 3.0], dataclasses.replace(CONFIG, value_clip=0.5))
    assert float(clipped.value_loss) == pytest.approx(0.5 * (1.0 + 2.25) / 2, abs=1e-6)


def test_loss_adds_up():
    config = dataclasses.replace(CONFIG, ent_coef=0.1, value_coef=0.3)
    loss, found = ppo_loss(
        batch([1.2, 0.9], [1.0, -2.0], [0.0, 1.0], [1.0, -1.0]), [0.5, 0.5], config
    )
    expected = found.policy_gradient_loss + 0.3 * found.value_loss - 0.1 * found.entropy
    assert float(loss) == pytest.approx(float(expected), abs=1e-6)


def test_a_sample_of_weight_zero_changes_nothing():
    one = batch([1.3], [1.5], [0.2], [0.7])
    two = batch([1.3, 9.0], [1.5, -50.0], [0.2, 5.0], [0.7, -80.0], weight=[1.0, 0.0])
    alone = ppo_loss(one, [0.4])
    with_cut = ppo_loss(two, [0.4, 3.0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), alone, with_cut)


def test_normalised_advantages_have_mean_zero_and_deviation_one_over_the_samples_that_count():
    advantage = jnp.asarray([1.0, 3.0, 99.0])
    weight = jnp.asarray([1.0, 1.0, 0.0])
    np.testing.assert_allclose(surrogate.normalise(advantage, weight)[:2], [-1.0, 1.0], atol=1e-6)


def test_learning_rate_falls_linearly_to_its_last_share():
    hyper = Hyperparameters.from_config(CONFIG, updates=10)
    found = [float(minibatches.anneal_learning_rate(jnp.int32(i), hyper)) for i in (0, 5, 10)]
    np.testing.assert_allclose(found, [1e-2, 5.5e-3, 1e-3], rtol=1e-6)


def learn(config):
    """One update that pays for raw actions near (1, -1): outputs before, after, and loss terms."""
    graph, params = actor_critic.build(jax.random.key(0), 0, "patches", 0.6, 0.0)
    pre_tanh = jax.random.normal(jax.random.key(1), (32, 2))
    mean, log_std, value = evaluate(graph, params)
    weight = jnp.ones(32)
    paid = -jnp.sum((pre_tanh - jnp.asarray([1.0, -1.0])) ** 2, axis=-1)
    samples = surrogate.Batch(
        telemetry=jnp.zeros((32, 9)),
        features=None,
        pre_tanh_action=pre_tanh,
        log_prob=distribution.log_prob(pre_tanh, mean, log_std),
        value=value,
        advantage=surrogate.normalise(paid, weight),
        target=jnp.ones(32),
        weight=weight,
    )

    opt_state = minibatches.optimiser(config.max_grad_norm).init(params)
    after, losses = minibatches.update_minibatches(
        minibatches.Agent(graph, params, opt_state),
        minibatches.Samples(samples, frames=None),
        minibatches.permutation(jax.random.key(2), config.shape),
        jnp.float32(1e-2),
        Hyperparameters.from_config(config, updates=10),
    )
    return mean, evaluate(graph, after.params), losses


def evaluate(graph, params):
    """Outputs of the network for 32 observations that are all alike."""
    return nnx.merge(graph, params)({"telemetry": jnp.zeros((32, 9))})


def test_learning_moves_policy_and_value_towards_what_pays():
    before, (mean, _, value), _ = learn(dataclasses.replace(CONFIG, target_kl=10.0))
    assert float(mean[0, 0]) > float(before[0, 0]) + 0.05
    assert float(mean[0, 1]) < float(before[0, 1]) - 0.05
    assert float(value[0]) > 0.05  # from 0 towards the target 1


def test_a_large_divergence_ends_the_update_early():
    before, (free, _, _), _ = learn(dataclasses.replace(CONFIG, target_kl=10.0))
    _, (stopped, _, _), _ = learn(dataclasses.replace(CONFIG, target_kl=1e-6))
    moved = float(jnp.max(jnp.abs(stopped - before)))
    assert 0.0 < moved < 0.5 * float(jnp.max(jnp.abs(free - before)))


def test_return_scale_equals_the_deviation_of_everything_seen():
    parts = [jax.random.normal(jax.random.key(i), (7, 5)) * (i + 1) + i for i in range(3)]
    scale = return_scale.initial_scale()
    assert float(return_scale.divisor(scale)) == pytest.approx(1.0)

    for part in parts:
        scale = return_scale.merge(scale, part)
    everything = np.concatenate([np.asarray(part).ravel() for part in parts])
    assert float(scale.mean) == pytest.approx(everything.mean(), rel=1e-5)
    assert float(return_scale.divisor(scale)) == pytest.approx(everything.std(), rel=1e-5)
