"""The metrics of one update, reduced on the device for the host to log."""

import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env.types import Cause
from train.ppo.collectives import minimum, total, weighted_mean
from train.ppo.rollout import Trajectory
from train.ppo.surrogate import LossTerms


class RolloutMetrics(struct.PyTreeNode):
    """One roll-out; scalars unless a shape is given."""

    episodes: jax.Array  # episodes that ended in the roll-out
    return_sum: jax.Array  # raw reward, over those episodes
    length_sum: jax.Array  # steps, over those episodes
    laps: jax.Array  # valid laps completed
    lap_time_sum: jax.Array  # s, over those laps
    lap_time_min: jax.Array  # s, inf = no lap
    off_track: jax.Array  # 0..1, share of the steps
    reward_terms: jax.Array  # (R,) mean per step, in the order of `kart_jax.env.reward.TERMS`
    causes: jax.Array  # (C,) episodes that ended by each `Cause`; the first, NONE, is always 0


class UpdateMetrics(RolloutMetrics):
    """One update: its roll-out, and what was learnt from it."""

    losses: LossTerms  # mean over the gradient steps
    explained_variance: jax.Array  # 1 - var(target - value) / var(target)
    learning_rate: jax.Array  # of Adam in this update
    reward_scale: jax.Array  # what rewards were divided by
    std: jax.Array  # mean standard deviation of the policy before the squashing


def explained_variance(
    value: jax.Array, target: jax.Array, weight: jax.Array, axis: str | None = None
) -> jax.Array:
    """Measure the share of the targets' variance that the critic predicts: 1 = all; (...) -> ()."""

    def variance(x: jax.Array) -> jax.Array:
        return weighted_mean((x - weighted_mean(x, weight, axis)) ** 2, weight, axis)

    return 1.0 - variance(target - value) / jnp.maximum(variance(target), 1e-8)


def summarise_rollout(trajectory: Trajectory, axis: str | None = None) -> RolloutMetrics:
    """Reduce a roll-out of T steps and B karts on each device of the mesh axis `axis`."""

    def add(values: jax.Array) -> jax.Array:
        return total(jnp.sum(values, axis=(0, 1)), axis)

    stats = trajectory.stats
    ended = trajectory.terminated | trajectory.truncated
    lap_time = jnp.where(stats.lap_completed, stats.lap_time, 0.0)
    causes = jax.nn.one_hot(stats.cause, len(Cause)) * ended[..., None]

    return RolloutMetrics(
        episodes=add(ended),
        return_sum=add(jnp.where(ended, stats.episode_return, 0.0)),
        length_sum=add(jnp.where(ended, stats.episode_length, 0)),
        laps=add(stats.lap_completed),
        lap_time_sum=add(lap_time),
        lap_time_min=minimum(
            jnp.min(jnp.where(stats.lap_completed, stats.lap_time, jnp.inf)), axis
        ),
        off_track=add(stats.off_track) / add(jnp.ones_like(lap_time)),
        reward_terms=add(stats.reward_terms) / add(jnp.ones_like(lap_time)),
        causes=add(causes),
    )
