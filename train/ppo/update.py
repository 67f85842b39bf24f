"""One update of training, and a compiled chunk of them; all on the device."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from kart_jax.devices import KARTS
from kart_jax.env.core import KartEnv
from train.networks import actor_critic
from train.ppo import (
    advantage,
    hyperparameters,
    metrics,
    minibatches,
    return_scale,
    rollout,
    surrogate,
)
from train.ppo.config import UpdateShape
from train.ppo.train_state import TrainState, layout

Graph = nnx.GraphDef[actor_critic.ActorCritic]


def _batch(
    trajectory: rollout.Trajectory,
    last_value: jax.Array,
    divisor: jax.Array,
    hyper: hyperparameters.Hyperparameters,
    axis: str | None,
) -> tuple[surrogate.Batch, jax.Array]:
    """Samples of a roll-out (T, B, ...) -> (T B, ...), and how much of the targets the critic had
    foreseen ()."""
    values = jnp.concatenate([trajectory.value, last_value[None]])
    estimate = partial(advantage.gae, gamma=hyper.gamma, gae_lambda=hyper.gae_lambda)
    advantages, weight = jax.vmap(estimate, in_axes=1, out_axes=1)(
        trajectory.reward / divisor, values, trajectory.terminated, trajectory.truncated
    )
    target = advantages + trajectory.value
    samples = surrogate.Batch(
        telemetry=trajectory.telemetry,
        features=trajectory.features,
        pre_tanh_action=trajectory.pre_tanh_action,
        log_prob=trajectory.log_prob,
        value=trajectory.value,
        advantage=surrogate.normalise(advantages, weight, axis),
        target=target,
        weight=weight,
    )
    foreseen = metrics.explained_variance(trajectory.value, target, weight, axis)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), samples), foreseen


def update(
    graph: Graph,
    env: KartEnv,
    shape: UpdateShape,
    hyper: hyperparameters.Hyperparameters,
    state: TrainState,
    axis: str | None = None,
) -> tuple[TrainState, metrics.UpdateMetrics]:
    """Drive a roll-out, judge it, learn from it; with the other devices of the mesh axis `axis` as
    one."""
    drive_key, learn_key = jax.random.split(jax.random.fold_in(state.key, state.update))
    # Drive.
    state, trajectory = rollout.collect(
        graph, env, env.default_params, state, drive_key, shape.rollout_steps, hyper.gamma, axis
    )
    _, _, last_value = nnx.merge(graph, state.params)(state.observation)
    # Judge.
    scale = return_scale.merge(state.scale, trajectory.discounted, axis)
    divisor = return_scale.divisor(scale)
    samples, foreseen = _batch(trajectory, last_value, divisor, hyper, axis)
    # Learn.
    rate = minibatches.learning_rate(state.update, hyper)
    params, moments, losses = minibatches.learn(
        graph,
        state.params,
        state.optimiser,
        samples,
        trajectory.film,
        learn_key,
        rate,
        hyper,
        shape,
        axis,
    )
    # Report.
    log_std = nnx.merge(graph, params).log_std[...]
    report = metrics.summarise(trajectory, losses, foreseen, rate, divisor, log_std, axis)
    state = dataclasses.replace(
        state, params=params, optimiser=moments, scale=scale, update=state.update + 1
    )
    return state, report


@partial(jax.jit, static_argnums=(0, 2, 5), static_argnames="runs", donate_argnums=4)
def chunk(
    graph: Graph,
    env: KartEnv,
    shape: UpdateShape,
    hyper: hyperparameters.Hyperparameters,
    state: TrainState,
    mesh: Mesh,
    runs: int = 1,
) -> tuple[TrainState, metrics.UpdateMetrics]:
    """`shape.updates_per_chunk` updates in one compiled call; the state's memory is reused.

    Args:
        graph: of the network.
        env: the environment.
        shape: of an update and of the chunk.
        hyper: of the algorithm, on each device.
        state: spread over the devices as `state.layout` says.
        mesh: of `kart_mesh`; each device drives its own karts, gradients are summed over all.
        runs: more than 1: `hyper` and `state` are stacks of so many, which learn side by side
            without knowing each other.

    Returns:
        The state, and the metrics of each update stacked along a leading axis (updates, or updates
        and runs).
    """

    def part(
        env: KartEnv, hyper: hyperparameters.Hyperparameters, state: TrainState
    ) -> tuple[TrainState, metrics.UpdateMetrics]:
        def one(state: TrainState, _: Any) -> tuple[TrainState, metrics.UpdateMetrics]:
            alone = partial(update, graph, env, shape, axis=KARTS)
            return (alone if runs == 1 else jax.vmap(alone))(hyper, state)

        return jax.lax.scan(one, state, length=shape.updates_per_chunk)

    spec, shared = layout(runs), PartitionSpec()
    # What is equal on all devices is so by its sums (`across`); the check of varying values would
    # sum gradients twice.
    split = jax.shard_map(
        part, mesh=mesh, in_specs=(shared, shared, spec), out_specs=(spec, shared), check_vma=False
    )
    return split(env, hyper, state)
