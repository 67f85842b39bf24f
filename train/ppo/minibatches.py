"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347): the loss and one update's
gradient steps.

    ratio    = exp(log p_new(a) - log p_old(a))
    L_policy = -mean(min(ratio A, clip(ratio, 1 - eps, 1 + eps) A))
    L_value  = 1/2 mean((V - target)²); with value clipping the larger of that and of the error of the old value
               moved by at most value_clip
    L        = L_policy + value_coef L_value - ent_coef H

A is normalised over the roll-out to mean 0 and standard deviation 1. Every mean is weighted: a
sample of weight 0 (a step cut by the time limit, see `advantage`) has no part in it. The KL
divergence is estimated as mean(ratio - 1 - log ratio) (Schulman 2020,
http://joschu.net/blog/kl-approx.html), before each step; once it exceeds 1.5 target_kl the update
ends.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from kart_jax.devices import own_part
from train.networks import actor_critic
from train.ppo import frame_store
from train.ppo.collectives import total
from train.ppo.config import UpdateShape
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.surrogate import Batch, LossTerms, observation, terms


def optimiser(max_grad_norm: jax.Array | float) -> optax.GradientTransformation:
    """Global-norm clipping, then Adam without its step size: that follows the update number, see
    `learning_rate`."""
    clip = optax.clip_by_global_norm(max_grad_norm)
    return optax.chain(clip, optax.scale_by_adam(eps=1e-5))


def learning_rate(update: jax.Array, hyper: Hyperparameters) -> jax.Array:
    """Step size of update number `update`: linear from the start value to `final_learning_rate` of
    it."""
    done = jnp.clip(update / hyper.updates, 0.0, 1.0)
    return hyper.learning_rate * (1.0 - (1.0 - hyper.final_learning_rate) * done)


def order(key: jax.Array, shape: UpdateShape, axis: str | None = None) -> jax.Array:
    """Which samples each gradient step takes: indices (epochs * minibatches, samples) into this
    device's roll-out.

    The karts stand in `shape.shards` groups of equal size. Each is shuffled by a key of its own,
    and every minibatch takes as many samples from each, so a device that holds some of the groups
    needs no sample of another device, and the minibatches are the same on any number of devices. A
    roll-out (T, B, ...) lies flat as t B + b.
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
    graph: nnx.GraphDef[actor_critic.ActorCritic],
    params: nnx.State,
    moments: Any,
    batch: Batch,
    shot: frame_store.Film | None,
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

    Each minibatch is gathered on its own, so no shuffled copy of the frames ever exists; beside the
    network's cost the gather reads whole frames, each one contiguous row of 21 kB.
    """
    transform = optimiser(hyper.max_grad_norm)
    params, frozen = actor_critic.divide(params)
    rows = order(key, shape, axis)

    def loss(params: nnx.State, part: Batch, seen: actor_critic.Observation, count: jax.Array):
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
