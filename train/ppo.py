"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347): the loss and one update's gradient steps.

    ratio    = exp(log p_new(a) - log p_old(a))
    L_policy = -mean(min(ratio A, clip(ratio, 1 - eps, 1 + eps) A))
    L_value  = 1/2 mean((V - target)²); with value clipping the larger of that and of the error of the old value
               moved by at most value_clip
    L        = L_policy + value_coef L_value - ent_coef H

A is normalised over the roll-out to mean 0 and standard deviation 1. Every mean is weighted: a sample of weight 0
(a step cut by the time limit, see `advantage`) has no part in it. The KL divergence is estimated as
mean(ratio - 1 - log ratio) (Schulman 2020, http://joschu.net/blog/kl-approx.html), before each step; once it exceeds
1.5 target_kl the update ends.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct

from train import distribution, networks
from train.config import PPOConfig


@struct.dataclass
class Batch:
    """Samples to learn from; every field starts with the same axis N."""

    observation: networks.Observation  # (N, ...)
    raw_action: jax.Array  # (N, 2) before the squashing
    log_prob: jax.Array  # (N,) when it was driven
    value: jax.Array  # (N,) scaled reward, when it was driven
    advantage: jax.Array  # (N,) normalised
    target: jax.Array  # (N,) scaled reward
    weight: jax.Array  # (N,) 0 or 1


@struct.dataclass
class LossTerms:
    """Scalars of one gradient step, or their mean over an update."""

    policy_gradient_loss: jax.Array  # ()
    value_loss: jax.Array  # ()
    entropy: jax.Array  # () nats, of the squashed action
    approx_kl: jax.Array  # () nats
    clip_fraction: jax.Array  # () 0..1


def weighted_mean(values: jax.Array, weight: jax.Array) -> jax.Array:
    """Mean of `values` over the samples that count; both (N,) -> ()."""
    return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1.0)


def normalise(advantage: jax.Array, weight: jax.Array) -> jax.Array:
    """Bring the advantages that count to mean 0 and standard deviation 1; (...) and (...) -> (...)."""
    centred = advantage - weighted_mean(advantage, weight)
    return centred / (jnp.sqrt(weighted_mean(centred**2, weight)) + 1e-8)


def terms(
    mean: jax.Array, log_std: jax.Array, value: jax.Array, batch: Batch, config: PPOConfig
) -> tuple[jax.Array, LossTerms]:
    """The loss of the module docstring and its parts, from the network's outputs (N, 2), (2,) and (N,)."""
    log_ratio = distribution.log_prob(batch.raw_action, mean, log_std) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - config.clip_ratio, 1.0 + config.clip_ratio)
    policy_loss = -weighted_mean(jnp.minimum(ratio * batch.advantage, clipped * batch.advantage), batch.weight)
    error = (value - batch.target) ** 2
    if config.value_clip is not None:
        moved = batch.value + jnp.clip(value - batch.value, -config.value_clip, config.value_clip)
        error = jnp.maximum(error, (moved - batch.target) ** 2)
    value_loss = 0.5 * weighted_mean(error, batch.weight)
    entropy = weighted_mean(distribution.entropy(mean, log_std), batch.weight)
    loss = policy_loss + config.value_coef * value_loss - config.ent_coef * entropy
    outside = (jnp.abs(ratio - 1.0) > config.clip_ratio).astype(ratio.dtype)
    return loss, LossTerms(
        policy_gradient_loss=policy_loss,
        value_loss=value_loss,
        entropy=entropy,
        approx_kl=weighted_mean(ratio - 1.0 - log_ratio, batch.weight),
        clip_fraction=weighted_mean(outside, batch.weight),
    )


def optimiser(config: PPOConfig) -> optax.GradientTransformation:
    """Global-norm clipping, then Adam without its step size: that follows the update number, see `learning_rate`."""
    return optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam(eps=1e-5))


def learning_rate(update: jax.Array, updates: int, config: PPOConfig) -> jax.Array:
    """Step size of update number `update` of `updates`: linear from the start value to `final_learning_rate` of it."""
    done = jnp.clip(update / updates, 0.0, 1.0)
    return config.learning_rate * (1.0 - (1.0 - config.final_learning_rate) * done)


def learn(
    graph: nnx.GraphDef[networks.ActorCritic],
    params: nnx.State,
    moments: Any,
    batch: Batch,
    rate: jax.Array,
    key: jax.Array,
    config: PPOConfig,
) -> tuple[nnx.State, Any, LossTerms]:
    """Run the epochs over one roll-out, until they are done or the KL divergence ends them.

    Args:
        graph, params: the network; what of it is `networks.Frozen` stays as it is.
        moments: state of `optimiser` for the rest of it.
        batch: the N samples of the roll-out.
        rate: () step size.
        key: shuffles the samples.
        config: numbers of the algorithm.

    Returns:
        Parameters, moments, and the loss terms averaged over the gradient steps taken.

    Each minibatch is gathered on its own, so no shuffled copy of the frames ever exists; beside the network's cost
    the gather reads whole frames, each one contiguous row of 21 kB.
    """
    transform = optimiser(config)
    params, frozen = networks.divide(params)
    epochs = jax.vmap(lambda k: jax.random.permutation(k, config.steps_per_update))(
        jax.random.split(key, config.epochs)
    )
    order = epochs.reshape(config.epochs * config.minibatches, config.minibatch_size)

    def loss(params: nnx.State, part: Batch) -> tuple[jax.Array, LossTerms]:
        return terms(*nnx.merge(graph, params, frozen)(part.observation), part, config)

    def unfinished(carry: tuple[Any, ...]) -> jax.Array:
        step, _, _, _, last_kl = carry
        return (step < order.shape[0]) & (last_kl <= 1.5 * config.target_kl)

    def descend(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        step, params, moments, sums, _ = carry
        part = jax.tree.map(lambda x: jnp.take(x, order[step], axis=0), batch)
        (_, found), gradient = jax.value_and_grad(loss, has_aux=True)(params, part)
        direction, moments = transform.update(gradient, moments, params)
        params = jax.tree.map(lambda p, d: p - rate * d, params, direction)
        return step + 1, params, moments, jax.tree.map(jnp.add, sums, found), found.approx_kl

    zero = jnp.float32(0.0)
    start = (jnp.int32(0), params, moments, LossTerms(zero, zero, zero, zero, zero), zero)
    steps, params, moments, sums, _ = jax.lax.while_loop(unfinished, descend, start)
    return nnx.merge_state(params, frozen), moments, jax.tree.map(lambda x: x / steps, sums)
