"""The roll-out: B karts are driven for T steps with the current policy, on the device."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, struct

from kart_jax.devices import own_part
from kart_jax.env.batch import step_part
from kart_jax.env.kart import KartEnv
from train.networks import actor_critic, distribution
from train.ppo.frame_store import FrameStore, newest_frame, store_frames
from train.ppo.train_state import TrainState


class StepStats(struct.PyTreeNode):
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
    features: jax.Array | None  # (T, B, F) of the view, see `ActorCritic.encode_frozen`; else None
    frames: FrameStore | None  # of the view; None = telemetry or features are enough
    pre_tanh_action: jax.Array  # (T, B, 2) before the squashing
    log_prob: jax.Array  # (T, B)
    value: jax.Array  # (T, B) scaled reward
    reward: jax.Array  # (T, B) raw
    terminated: jax.Array  # (T, B) bool
    truncated: jax.Array  # (T, B) bool
    discounted_return: jax.Array  # (T, B) of the episode so far, raw reward
    stats: StepStats  # (T, B, ...)


class Decision(struct.PyTreeNode):
    """What the policy makes of the observations of B karts."""

    encoded: actor_critic.Observation  # (B, ...) what is kept of them to learn from
    pre_tanh_action: jax.Array  # (B, 2)
    log_prob: jax.Array  # (B,)
    value: jax.Array  # (B,) scaled reward


class Karts(struct.PyTreeNode):
    """B karts between two steps; the fields are those of `TrainState`."""

    observation: actor_critic.Observation  # (B, ...)
    env_state: Any  # (B, ...)
    discounted_return: jax.Array  # (B,) raw reward


def decide(
    key: jax.Array,
    network: actor_critic.ActorCritic,
    observation: actor_critic.Observation,
    axis: str | None = None,
) -> Decision:
    """Draw actions for B karts, with `key` for the whole batch.

    Inside `jax.shard_map` over the mesh axis `axis` they are this device's part of it.
    """
    encoded = network.encode_frozen(observation)
    mean, log_std, value = network(encoded)

    karts, components = mean.shape
    if axis is not None:
        karts *= jax.lax.axis_size(axis)
    noise = own_part(jax.random.normal(key, (karts, components)), axis)
    pre_tanh = distribution.sample(noise, mean, log_std)
    return Decision(encoded, pre_tanh, distribution.log_prob(pre_tanh, mean, log_std), value)


def collect_trajectories(
    step_keys: jax.Array,
    graph: nnx.GraphDef[actor_critic.ActorCritic],
    env: KartEnv,
    state: TrainState,
    gamma: jax.Array,
    axis: str | None = None,
) -> tuple[TrainState, Trajectory]:
    """Drive T steps; the state comes back with its karts moved on.

    Args:
        step_keys: (T,) one for each step of the whole batch.
        graph: of the network.
        env: the environment, driven with its default parameters.
        state: before the roll-out. Inside `jax.shard_map` over the mesh axis `axis` its karts are
            this device's part of the batch.
        gamma: () discount of the running return behind the reward scale.
        axis: mesh axis over which the karts are spread.
    """
    network = nnx.merge(graph, state.params)

    def step(
        karts: Karts, step_key: jax.Array
    ) -> tuple[Karts, tuple[Trajectory, jax.Array | None]]:
        action_key, env_key = jax.random.split(step_key)

        decision = decide(action_key, network, karts.observation, axis)
        observation, env_state, reward, terminated, truncated, info = step_part(
            env,
            env_key,
            karts.env_state,
            distribution.squash(decision.pre_tanh_action),
            env.default_params,
            axis=axis,
        )
        discounted_return = gamma * karts.discounted_return + reward

        encoded = decision.encoded
        frame = newest_frame(encoded["vision"]) if "vision" in encoded else None
        transition = Trajectory(
            telemetry=encoded["telemetry"],
            features=encoded.get("features"),
            frames=None,
            pre_tanh_action=decision.pre_tanh_action,
            log_prob=decision.log_prob,
            value=decision.value,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            discounted_return=discounted_return,
            stats=StepStats(
                **{field.name: getattr(info, field.name) for field in dataclasses.fields(StepStats)}
            ),
        )
        carried_return = jnp.where(terminated | truncated, 0.0, discounted_return)
        return Karts(observation, env_state, carried_return), (transition, frame)

    start = Karts(state.observation, state.env_state, state.discounted_return)
    end, (trajectory, frames) = jax.lax.scan(step, start, step_keys)

    if frames is not None:
        ended = trajectory.terminated | trajectory.truncated
        stored = store_frames(state.observation["vision"], frames, ended)
        trajectory = dataclasses.replace(trajectory, frames=stored)
    return dataclasses.replace(state, **vars(end)), trajectory
