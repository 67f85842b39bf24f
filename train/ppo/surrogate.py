"""The clipped surrogate loss of PPO (Schulman et al. 2017, arXiv:1707.06347).

    ratio    = exp(log p_new(a) - log p_old(a))
    L_policy = -mean(min(ratio A, clip(ratio, 1 - eps, 1 + eps) A))
    L_value  = 1/2 mean((V - target)²); with value clipping the larger of that and of the error of
               the old value moved by at most value_clip
    L        = L_policy + value_coef L_value - ent_coef H

A is normalised over the roll-out to mean 0 and standard deviation 1. Every mean is weighted: a
sample of weight 0 (a step cut by the time limit, see `advantage`) has no part in it. The KL
divergence is estimated as mean(ratio - 1 - log ratio) (Schulman 2020,
http://joschu.net/blog/kl-approx.html), before each step; once it exceeds 1.5 target_kl the update
ends.
"""

import jax
import jax.numpy as jnp
from flax import struct

from train.networks import distribution
from train.ppo.collectives import weighted_mean
from train.ppo.hyperparameters import Hyperparameters


class Batch(struct.PyTreeNode):
    """Samples to learn from; every field starts with the same axis N."""

    telemetry: jax.Array  # (N, 9)
    features: jax.Array | None  # (N, F) of the view by a frozen encoder; else None
    pre_tanh_action: jax.Array  # (N, 2) before the squashing
    log_prob: jax.Array  # (N,) when it was driven
    value: jax.Array  # (N,) scaled reward, when it was driven
    advantage: jax.Array  # (N,) normalised
    target: jax.Array  # (N,) scaled reward
    weight: jax.Array  # (N,) 0 or 1


class LossTerms(struct.PyTreeNode):
    """Scalars of one gradient step, or their mean over an update."""

    policy_gradient_loss: jax.Array  # ()
    value_loss: jax.Array  # ()
    entropy: jax.Array  # () nats, of the squashed action
    approx_kl: jax.Array  # () nats
    clip_fraction: jax.Array  # () 0..1


def normalise(advantage: jax.Array, weight: jax.Array, axis: str | None = None) -> jax.Array:
    """Bring the advantages (...) whose weight is 1 to mean 0 and standard deviation 1 -> (...)."""
    centred = advantage - weighted_mean(advantage, weight, axis)
    return centred / (jnp.sqrt(weighted_mean(centred**2, weight, axis)) + 1e-8)


def ppo_loss(
    mean: jax.Array,
    log_std: jax.Array,
    value: jax.Array,
    batch: Batch,
    count: jax.Array,
    hyper: Hyperparameters,
) -> tuple[jax.Array, LossTerms]:
    """Evaluate the loss of the module docstring and its terms.

    Args:
        mean, log_std, value: the network's outputs (N, 2), (2,) and (N,).
        batch: the N samples, of a minibatch or of one device's part of it.
        count: () sum of the weights of the whole minibatch, at least 1.
        hyper: of the algorithm.

    Returns:
        Loss () and terms; of a part, what it adds to those of the whole minibatch.
    """

    def mean_of(values: jax.Array) -> jax.Array:
        return jnp.sum(values * batch.weight) / count

    log_ratio = distribution.log_prob(batch.pre_tanh_action, mean, log_std) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    clipped = jnp.clip(ratio, 1.0 - hyper.clip_ratio, 1.0 + hyper.clip_ratio)
    policy_loss = -mean_of(jnp.minimum(ratio * batch.advantage, clipped * batch.advantage))

    error = (value - batch.target) ** 2
    if hyper.value_clip is not None:
        moved = batch.value + jnp.clip(value - batch.value, -hyper.value_clip, hyper.value_clip)
        error = jnp.maximum(error, (moved - batch.target) ** 2)
    value_loss = 0.5 * mean_of(error)

    entropy = mean_of(distribution.entropy(mean, log_std))
    loss = policy_loss + hyper.value_coef * value_loss - hyper.ent_coef * entropy

    outside = (jnp.abs(ratio - 1.0) > hyper.clip_ratio).astype(ratio.dtype)
    return loss, LossTerms(
        policy_gradient_loss=policy_loss,
        value_loss=value_loss,
        entropy=entropy,
        approx_kl=mean_of(ratio - 1.0 - log_ratio),
        clip_fraction=mean_of(outside),
    )
