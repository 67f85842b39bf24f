"""Driving B karts for T steps with the current policy, on the device."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, struct

from kart_jax.devices import own_part
from kart_jax.env.batch import step_part
from kart_jax.env.core import KartEnv
from kart_jax.env.params import EnvParams
from train.networks import actor_critic, distribution
from train.ppo import frame_store
from train.ppo.train_state import TrainState


class Drive(struct.PyTreeNode):
    """What the log wants to know of one step."""

    episode_return: jax.Array  # () raw reward of the episode so far; counts where the episode ends
    episode_length: jax.Array  # () steps of the episode so far
    lap_completed: jax.Array  # () bool, a valid lap ended on this step
    lap_time: jax.Array  # () s, nan otherwise
    off_track: jax.Array  # () bool
    reward_terms: jax.Array  # (R,) weighted, in the order of `kart_jax.env.reward.TERMS`
    cause: jax.Array  # () int32, why the episode ended, see `kart_jax.env.types.Cause`


class Trajectory(struct.PyTreeNode):
    """T steps of B karts."""

    telemetry: jax.Array  # (T, B, 9) before each step
    features: (
        jax.Array | None
    )  # (T, B, F) of the view by a frozen encoder, see `ActorCritic.digest`; else None
    film: (
        frame_store.Film | None
    )  # of the view before each step; None = telemetry or features are enough
    pre_tanh_action: jax.Array  # (T, B, 2) before the squashing
    log_prob: jax.Array  # (T, B)
    value: jax.Array  # (T, B) scaled reward
    reward: jax.Array  # (T, B) raw
    terminated: jax.Array  # (T, B) bool
    truncated: jax.Array  # (T, B) bool
    discounted: jax.Array  # (T, B) discounted return so far, raw reward
    drive: Drive  # (T, B, ...)


def collect(
    graph: nnx.GraphDef[actor_critic.ActorCritic],
    env: KartEnv,
    env_params: EnvParams,
    state: TrainState,
    key: jax.Array,
    steps: int,
    gamma: jax.Array,
    axis: str | None = None,
) -> tuple[TrainState, Trajectory]:
    """Drive `steps` steps; the state comes back with its environments moved on.

    One key per step is drawn at batch level; `gamma` () discounts the running return behind the
    reward scale. Inside `jax.shard_map` over the mesh axis `axis` the karts of `state` are this
    device's part of the batch.
    """
    network = nnx.merge(graph, state.params)
    karts = state.discounted.shape[0] * (1 if axis is None else jax.lax.axis_size(axis))

    def step(
        carry: tuple[Any, ...], step_key: jax.Array
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        observation, env_state, discounted = carry
        action_key, env_key = jax.random.split(step_key)
        digested = network.digest(observation)
        mean, log_std, value = network(digested)
        noise = own_part(jax.random.normal(action_key, (karts, *mean.shape[1:])), axis)
        raw = distribution.sample(noise, mean, log_std)
        action = distribution.squash(raw)
        seen, env_state, reward, terminated, truncated, info = step_part(
            env, env_key, env_state, action, env_params, axis=axis
        )
        discounted = gamma * discounted + reward
        picture = frame_store.newest(digested["vision"]) if "vision" in digested else None
        record = Trajectory(
            telemetry=digested["telemetry"],
            features=digested.get("features"),
            film=None,
            pre_tanh_action=raw,
            log_prob=distribution.log_prob(raw, mean, log_std),
            value=value,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            discounted=discounted,
            drive=Drive(**{name: getattr(info, name) for name in Drive.__dataclass_fields__}),
        )
        return (seen, env_state, jnp.where(terminated | truncated, 0.0, discounted)), (
            record,
            picture,
        )

    carry = (state.observation, state.env_state, state.discounted)
    (observation, env_state, discounted), (trajectory, pictures) = jax.lax.scan(
        step, carry, jax.random.split(key, steps)
    )
    if pictures is not None:
        ended = trajectory.terminated | trajectory.truncated
        trajectory = dataclasses.replace(
            trajectory, film=frame_store.record(state.observation["vision"], pictures, ended)
        )
    moved = dataclasses.replace(
        state, observation=observation, env_state=env_state, discounted=discounted
    )
    return moved, trajectory
