"""The minibatches of an update: how a roll-out is shuffled, and the gradient steps on its parts."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct

from kart_jax.devices import own_part
from train.networks import actor_critic
from train.ppo.collectives import total
from train.ppo.config import UpdateShape
from train.ppo.frame_store import FrameStore, gather_stacks
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.surrogate import Batch, LossTerms, ppo_loss


class Agent(struct.PyTreeNode):
    """What learns: the network, and what its optimiser remembers."""

    graph: nnx.GraphDef[actor_critic.ActorCritic] = struct.field(pytree_node=False)  # static
    params: nnx.State  # of the network; what of it is `actor_critic.Frozen` stays as it is
    opt_state: Any  # of `optimiser`, for the parameters that learn


class Samples(struct.PyTreeNode):
    """What is learnt from: the N samples of a roll-out, or this device's part of them.

    A roll-out (T, B, ...) lies flat: row t B + b is step t of kart b.
    """

    batch: Batch  # (N, ...)
    frames: FrameStore | None  # of the view; None = telemetry or features are enough


class Descent(struct.PyTreeNode):
    """The gradient steps of an update so far."""

    step: jax.Array  # () int32, steps taken
    params: nnx.State  # those that learn
    opt_state: Any  # of `optimiser`
    loss_sums: LossTerms  # over the steps taken
    last_kl: jax.Array  # () nats, before the last step


def optimiser(max_grad_norm: jax.Array | float) -> optax.GradientTransformation:
    """Chain global-norm clipping and Adam; the step size is applied apart, it changes."""
    clip = optax.clip_by_global_norm(max_grad_norm)
    return optax.chain(clip, optax.scale_by_adam(eps=1e-5))


def anneal_learning_rate(update: jax.Array, hyper: Hyperparameters) -> jax.Array:
    """Return the step size of an update () by its number (): it falls linearly to its last share.

    The last share is `final_learning_rate` of the first, reached after `hyper.updates` updates.
    """
    done = jnp.clip(update / hyper.updates, 0.0, 1.0)
    return hyper.learning_rate * (1.0 - (1.0 - hyper.final_learning_rate) * done)


def permutation(key: jax.Array, shape: UpdateShape, axis: str | None = None) -> jax.Array:
    """Draw which samples each gradient step takes.

    The karts stand in `shape.shards` groups of equal size. Each is shuffled by a key of its own,
    and every minibatch takes as many samples from each, so a device that holds some of the groups
    needs no sample of another device, and the minibatches are the same on any number of devices.

    Returns:
        Rows (epochs * minibatches, samples) of this device's `Samples`.
    """
    group_keys = own_part(jax.random.split(key, shape.shards), axis)
    groups = group_keys.shape[0]
    karts = shape.vector_envs // shape.shards

    def shuffle(group_key: jax.Array) -> jax.Array:
        epochs = jax.vmap(lambda k: jax.random.permutation(k, shape.rollout_steps * karts))(
            jax.random.split(group_key, shape.epochs)
        )
        return epochs.reshape(shape.epochs * shape.minibatches, -1)

    picked = jax.vmap(shuffle, out_axes=1)(group_keys)  # (steps, groups, samples of one group)
    step = picked // karts
    kart = picked % karts + karts * jnp.arange(groups)[None, :, None]
    return (step * karts * groups + kart).reshape(picked.shape[0], -1)


def gather(samples: Samples, rows: jax.Array) -> tuple[Batch, actor_critic.Observation]:
    """Take the samples of some rows (M,): a batch (M, ...), and what the network saw in it."""
    batch = jax.tree.map(lambda x: jnp.take(x, rows, axis=0), samples.batch)

    observation = {"telemetry": batch.telemetry}
    if batch.features is not None:
        observation["features"] = batch.features
    if samples.frames is not None:
        observation["vision"] = gather_stacks(samples.frames, rows)
    return batch, observation


def update_minibatches(
    agent: Agent,
    samples: Samples,
    rows: jax.Array,
    learning_rate: jax.Array,
    hyper: Hyperparameters,
    axis: str | None = None,
) -> tuple[Agent, LossTerms]:
    """Take the gradient steps of an update, until they are done or the KL divergence ends them.

    Each minibatch is gathered on its own, so no shuffled copy of the frames ever exists; beside the
    network's cost the gather reads whole frames, each one contiguous row of 21 kB.

    Args:
        agent: before the update.
        samples: of the roll-out.
        rows: (steps, M) int32, the samples of each gradient step, from `permutation`.
        learning_rate: () step size.
        hyper: of the algorithm.
        axis: mesh axis over which the samples are spread.

    Returns:
        The agent, and the loss terms averaged over the gradient steps taken.
    """
    transform = optimiser(hyper.max_grad_norm)
    trainable, frozen = actor_critic.split_frozen(agent.params)

    def loss(
        params: nnx.State, batch: Batch, observation: actor_critic.Observation, count: jax.Array
    ) -> tuple[jax.Array, LossTerms]:
        network = nnx.merge(agent.graph, params, frozen)
        return ppo_loss(*network(observation), batch, count, hyper)

    def unfinished(now: Descent) -> jax.Array:
        return (now.step < rows.shape[0]) & (now.last_kl <= 1.5 * hyper.target_kl)

    def descend(now: Descent) -> Descent:
        batch, observation = gather(samples, rows[now.step])
        count = jnp.maximum(total(jnp.sum(batch.weight), axis), 1.0)
        found = jax.value_and_grad(loss, has_aux=True)(now.params, batch, observation, count)
        (_, losses), gradient = total(found, axis)

        direction, opt_state = transform.update(gradient, now.opt_state, now.params)
        return Descent(
            step=now.step + 1,
            params=jax.tree.map(lambda p, d: p - learning_rate * d, now.params, direction),
            opt_state=opt_state,
            loss_sums=jax.tree.map(jnp.add, now.loss_sums, losses),
            last_kl=losses.approx_kl,
        )

    zero = jnp.float32(0.0)
    none = LossTerms(zero, zero, zero, zero, zero)
    start = Descent(jnp.int32(0), trainable, agent.opt_state, none, zero)
    end = jax.lax.while_loop(unfinished, descend, start)

    params = nnx.merge_state(end.params, frozen)
    losses = jax.tree.map(lambda x: x / end.step, end.loss_sums)
    return dataclasses.replace(agent, params=params, opt_state=end.opt_state), losses
