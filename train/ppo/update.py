"""The update of PPO as a recipe, and a compiled chunk of updates; all on the device."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from kart_jax.devices import KARTS
from kart_jax.env.kart import KartEnv
from train.networks import actor_critic
from train.ppo import advantage, metrics, minibatches, return_scale, rollout, surrogate
from train.ppo.config import UpdateShape
from train.ppo.hyperparameters import Hyperparameters
from train.ppo.train_state import TrainState, partition_specs

Graph = nnx.GraphDef[actor_critic.ActorCritic]


def _estimate_advantages(
    trajectory: rollout.Trajectory,
    last_value: jax.Array,
    divisor: jax.Array,
    hyper: Hyperparameters,
) -> tuple[jax.Array, jax.Array]:
    """Return advantages and weights (T, B) of a roll-out, in rewards scaled by `divisor` ().

    `last_value` (B,) is that of the observations after the last step.
    """
    values = jnp.concatenate([trajectory.value, last_value[None]])
    calculate = partial(advantage.calculate_gae, gamma=hyper.gamma, gae_lambda=hyper.gae_lambda)
    return jax.vmap(calculate, in_axes=1, out_axes=1)(
        trajectory.reward / divisor, values, trajectory.terminated, trajectory.truncated
    )


def _flatten(
    trajectory: rollout.Trajectory, advantages: jax.Array, target: jax.Array, weight: jax.Array
) -> minibatches.Samples:
    """Lay a roll-out (T, B, ...) flat (T B, ...); advantages are the normalised ones."""
    batch = surrogate.Batch(
        telemetry=trajectory.telemetry,
        features=trajectory.features,
        pre_tanh_action=trajectory.pre_tanh_action,
        log_prob=trajectory.log_prob,
        value=trajectory.value,
        advantage=advantages,
        target=target,
        weight=weight,
    )
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
    return minibatches.Samples(flat, trajectory.frames)


def update(
    graph: Graph,
    env: KartEnv,
    shape: UpdateShape,
    hyper: Hyperparameters,
    state: TrainState,
    axis: str | None = None,
) -> tuple[TrainState, metrics.UpdateMetrics]:
    """Collect a roll-out and learn from it; with the other devices of the mesh axis `axis` as one.

    The arguments are those of `chunk`; the metrics are those of this update.
    """
    collect_key, shuffle_key = jax.random.split(jax.random.fold_in(state.key, state.update))
    step_keys = jax.random.split(collect_key, shape.rollout_steps)

    # Collect trajectories.
    state, trajectory = rollout.collect_trajectories(
        step_keys, graph, env, state, hyper.gamma, axis
    )
    _, _, last_value = nnx.merge(graph, state.params)(state.observation)

    # Scale the rewards, and estimate advantages and the targets of the value.
    scale = return_scale.merge(state.scale, trajectory.discounted_return, axis)
    divisor = return_scale.divisor(scale)
    advantages, weight = _estimate_advantages(trajectory, last_value, divisor, hyper)
    target = advantages + trajectory.value
    normalised = surrogate.normalise(advantages, weight, axis)

    # Update policy and value, minibatch by minibatch.
    learning_rate = minibatches.anneal_learning_rate(state.update, hyper)
    agent, losses = minibatches.update_minibatches(
        minibatches.Agent(graph, state.params, state.opt_state),
        _flatten(trajectory, normalised, target, weight),
        minibatches.permutation(shuffle_key, shape, axis),
        learning_rate,
        hyper,
        axis,
    )

    # Report.
    report = metrics.UpdateMetrics(
        **vars(metrics.summarise_rollout(trajectory, axis)),
        losses=losses,
        explained_variance=metrics.explained_variance(trajectory.value, target, weight, axis),
        learning_rate=learning_rate,
        reward_scale=divisor,
        std=jnp.mean(jnp.exp(nnx.merge(graph, agent.params).log_std[...])),
    )
    state = dataclasses.replace(
        state,
        params=agent.params,
        opt_state=agent.opt_state,
        scale=scale,
        update=state.update + 1,
    )
    return state, report


@partial(jax.jit, static_argnums=(0, 2, 5), static_argnames="runs", donate_argnums=4)
def chunk(
    graph: Graph,
    env: KartEnv,
    shape: UpdateShape,
    hyper: Hyperparameters,
    state: TrainState,
    mesh: Mesh,
    runs: int = 1,
) -> tuple[TrainState, metrics.UpdateMetrics]:
    """Run `shape.updates_per_chunk` updates in one compiled call; the state's memory is reused.

    Args:
        graph: of the network.
        env: the environment.
        shape: of an update and of the chunk.
        hyper: of the algorithm, on each device.
        state: spread over the devices as `partition_specs` says.
        mesh: of `kart_mesh`; each device drives its own karts, gradients are summed over all.
        runs: more than 1: `hyper` and `state` are stacks of so many, which learn side by side
            without knowing each other.

    Returns:
        The state, and the metrics of each update stacked along a leading axis (updates, or updates
        and runs).
    """

    def part(
        env: KartEnv, hyper: Hyperparameters, state: TrainState
    ) -> tuple[TrainState, metrics.UpdateMetrics]:
        def one(state: TrainState, _: Any) -> tuple[TrainState, metrics.UpdateMetrics]:
            alone = partial(update, graph, env, shape, axis=KARTS)
            return (alone if runs == 1 else jax.vmap(alone))(hyper, state)

        return jax.lax.scan(one, state, length=shape.updates_per_chunk)

    split = partition_specs(runs)
    shared = PartitionSpec()
    # What is equal on all devices is so by its sums (`collectives`); the check of varying values
    # would sum gradients twice.
    spread = jax.shard_map(
        part,
        mesh=mesh,
        in_specs=(shared, shared, split),
        out_specs=(split, shared),
        check_vma=False,
    )
    return spread(env, hyper, state)
