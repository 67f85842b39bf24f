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

from kart_jax.env.batch import own_part
from train import distribution, film, networks
from train.across import total, weighted_mean
from train.config import PPOConfig, UpdateShape


@struct.dataclass
class Hyperparameters:
    """What a compiled update is told of the algorithm, so that runs which differ in it only share one program.

    Fields () are float32 and those of `PPOConfig` unless said otherwise; of a cohort (runs,).
    """

    learning_rate: jax.Array  # at the start
    final_learning_rate: jax.Array  # share of it that is left at the end
    updates: jax.Array  # int32, of the whole run; from `Settings`
    ent_coef: jax.Array
    gamma: jax.Array
    gae_lambda: jax.Array
    clip_ratio: jax.Array
    value_clip: jax.Array | None  # scaled reward; None = not clipped, which is another program
    value_coef: jax.Array
    max_grad_norm: jax.Array
    target_kl: jax.Array  # nats


def hyperparameters(config: PPOConfig, updates: int) -> Hyperparameters:
    """Those of a run of so many updates."""
    names = [name for name in Hyperparameters.__dataclass_fields__ if name != "updates"]
    values = {name: getattr(config, name) for name in names}
    traced: dict[str, Any] = {name: None if value is None else jnp.float32(value) for name, value in values.items()}
    return Hyperparameters(**traced, updates=jnp.int32(updates))


@struct.dataclass
class Batch:
    """Samples to learn from; every field starts with the same axis N."""

    telemetry: jax.Array  # (N, 9)
    features: jax.Array | None  # (N, F) of the view by a frozen encoder; else None
    raw_action: jax.Array  # (N, 2) before the squashing
    log_prob: jax.Array  # (N,) when it was driven
    value: jax.Array  # (N,) scaled reward, when it was driven
    advantage: jax.Array  # (N,) normalised
    target: jax.Array  # (N,) scaled reward
    weight: jax.Array  # (N,) 0 or 1


def observation(batch: Batch, shot: film.Film | None, rows: jax.Array) -> networks.Observation:
    """What the network saw in the samples `batch` (N, ...), which are the `rows` (N,) of the roll-out."""
    seen = {"telemetry": batch.telemetry, "features": batch.features}
    if shot is not None:
        seen["vision"] = film.stacks(shot, rows)
    return {name: values for name, values in seen.items() if values is not None}


@struct.dataclass
class LossTerms:
    """Scalars of one gradient step, or their mean over an update."""

    policy_gradient_loss: jax.Array  # ()
    value_loss: jax.Array  # ()
    entropy: jax.Array  # () nats, of the squashed action
    approx_kl: jax.Array  # () nats
    clip_fraction: jax.Array  # () 0..1


def normalise(advantage: jax.Array, weight: jax.Array, axis: str | None = None) -> jax.Array:
    """Bring the advantages that count to mean 0 and standard deviation 1; (...) and (...) -> (...)."""
    centred = advantage - weighted_mean(advantage, weight, axis)
    return centred / (jnp.sqrt(weighted_mean(centred**2, weight, axis)) + 1e-8)


def terms(
    mean: jax.Array, log_std: jax.Array, value: jax.Array, batch: Batch, count: jax.Array, hyper: Hyperparameters
) -> tuple[jax.Array, LossTerms]:
    """The loss of the module docstring and its parts, or what these samples add to those of a larger minibatch.

    Args:
        mean, log_std, value: the network's outputs (N, 2), (2,) and (N,).
        batch: the N samples.
        count: () sum of the weights of the whole minibatch, at least 1.
        hyper: of the algorithm.
    """

    def mean_of(values: jax.Array) -> jax.Array:
        return jnp.sum(values * batch.weight) / count

    log_ratio = distribution.log_prob(batch.raw_action, mean, log_std) - batch.log_prob
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


def optimiser(max_grad_norm: jax.Array | float) -> optax.GradientTransformation:
    """Global-norm clipping, then Adam without its step size: that follows the update number, see `learning_rate`."""
    clip = optax.clip_by_global_norm(max_grad_norm)  # pyright: ignore[reportArgumentType] - a scalar array will do
    return optax.chain(clip, optax.scale_by_adam(eps=1e-5))


def learning_rate(update: jax.Array, hyper: Hyperparameters) -> jax.Array:
    """Step size of update number `update`: linear from the start value to `final_learning_rate` of it."""
    done = jnp.clip(update / hyper.updates, 0.0, 1.0)
    return hyper.learning_rate * (1.0 - (1.0 - hyper.final_learning_rate) * done)


def order(key: jax.Array, shape: UpdateShape, axis: str | None = None) -> jax.Array:
    """Which samples each gradient step takes: indices (epochs * minibatches, samples) into this device's roll-out.

    The karts stand in `shape.shards` groups of equal size. Each is shuffled by a key of its own, and every minibatch
    takes as many samples from each, so a device that holds some of the groups needs no sample of another device,
    and the minibatches are the same on any number of devices. A roll-out (T, B, ...) lies flat as t B + b.
    """
    keys = own_part(jax.random.split(key, shape.shards), axis)
    groups, karts = keys.shape[0], shape.vector_envs // shape.shards

    def shuffle(key: jax.Array) -> jax.Array:
        epochs = jax.vmap(lambda k: jax.random.permutation(k, shape.rollout_steps * karts))(
            jax.random.split(key, shape.epochs)
        )
        return epochs.reshape(shape.epochs * shape.minibatches, -1)

    picked = jax.vmap(shuffle, out_axes=1)(keys)  # (steps, groups, samples of one group)
    step, kart = picked // karts, picked % karts + karts * jnp.arange(groups)[None, :, None]
    return (step * karts * groups + kart).reshape(picked.shape[0], -1)


def learn(
    graph: nnx.GraphDef[networks.ActorCritic],
    params: nnx.State,
    moments: Any,
    batch: Batch,
    shot: film.Film | None,
    key: jax.Array,
    rate: jax.Array,
    hyper: Hyperparameters,
    shape: UpdateShape,
    axis: str | None = None,
) -> tuple[nnx.State, Any, LossTerms]:
    """Run the epochs over one roll-out, until they are done or the KL divergence ends them.

    Args:
        graph, params: the network; what of it is `networks.Frozen` stays as it is.
        moments: state of `optimiser` for the rest of it.
        batch: the N samples of the roll-out, or this device's part of them.
        shot: what the karts saw in it; None = nothing, or the batch holds the features of it.
        key: shuffles the samples.
        rate: () step size.
        hyper: of the algorithm.
        shape: of the update.
        axis: mesh axis over which the samples are spread.

    Returns:
        Parameters, moments, and the loss terms averaged over the gradient steps taken.

    Each minibatch is gathered on its own, so no shuffled copy of the frames ever exists; beside the network's cost
    the gather reads whole frames, each one contiguous row of 21 kB.
    """
    transform = optimiser(hyper.max_grad_norm)
    params, frozen = networks.divide(params)
    rows = order(key, shape, axis)

    def loss(params: nnx.State, part: Batch, seen: networks.Observation, count: jax.Array):
        return terms(*nnx.merge(graph, params, frozen)(seen), part, count, hyper)

    def unfinished(carry: tuple[Any, ...]) -> jax.Array:
        step, _, _, _, last_kl = carry
        return (step < rows.shape[0]) & (last_kl <= 1.5 * hyper.target_kl)

    def descend(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        step, params, moments, sums, _ = carry
        part = jax.tree.map(lambda x: jnp.take(x, rows[step], axis=0), batch)
        count = jnp.maximum(total(jnp.sum(part.weight), axis), 1.0)
        seen = observation(part, shot, rows[step])
        found = jax.value_and_grad(loss, has_aux=True)(params, part, seen, count)
        (_, found), gradient = total(found, axis)
        direction, moments = transform.update(gradient, moments, params)
        params = jax.tree.map(lambda p, d: p - rate * d, params, direction)
        return step + 1, params, moments, jax.tree.map(jnp.add, sums, found), found.approx_kl

    zero = jnp.float32(0.0)
    start = (jnp.int32(0), params, moments, LossTerms(zero, zero, zero, zero, zero), zero)
    steps, params, moments, sums, _ = jax.lax.while_loop(unfinished, descend, start)
    return nnx.merge_state(params, frozen), moments, jax.tree.map(lambda x: x / steps, sums)
