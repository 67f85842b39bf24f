"""What one update tells the host: sums over the roll-out and the loss terms, reduced on the device."""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from kart_jax.env.types import Cause
from train.ppo import LossTerms, weighted_mean
from train.rollout import Trajectory


@struct.dataclass
class UpdateMetrics:
    """One update; scalars unless a shape is given."""

    episodes: chex.Array  # episodes that ended in the roll-out
    return_sum: chex.Array  # raw reward, over those episodes
    length_sum: chex.Array  # steps, over those episodes
    laps: chex.Array  # valid laps completed
    lap_time_sum: chex.Array  # s, over those laps
    lap_time_min: chex.Array  # s, inf = no lap
    off_track: chex.Array  # 0..1, share of the steps
    reward_terms: chex.Array  # (R,) mean per step, in the order of `kart_jax.env.reward.TERMS`
    causes: chex.Array  # (C,) episodes that ended by each `Cause`; the first, NONE, is always 0
    losses: LossTerms  # mean over the gradient steps
    explained_variance: chex.Array  # 1 - var(target - value) / var(target)
    learning_rate: chex.Array
    reward_scale: chex.Array  # what rewards were divided by
    std: chex.Array  # mean standard deviation of the policy before the squashing


def explained_variance(value: chex.Array, target: chex.Array, weight: chex.Array) -> chex.Array:
    """How much of the targets' variance the critic predicts: 1 = all, 0 = none; shapes (...) -> ()."""

    def variance(x: chex.Array) -> chex.Array:
        return weighted_mean((x - weighted_mean(x, weight)) ** 2, weight)

    return 1.0 - variance(target - value) / jnp.maximum(variance(target), 1e-8)


def summarise(
    trajectory: Trajectory,
    losses: LossTerms,
    variance: chex.Array,
    rate: chex.Array,
    scale: chex.Array,
    log_std: chex.Array,
) -> UpdateMetrics:
    """Reduce a roll-out of T steps and B karts, and pass the update's scalars along."""
    drive = trajectory.drive
    ended = trajectory.terminated | trajectory.truncated
    lap_time = jnp.where(drive.lap_completed, drive.lap_time, 0.0)
    causes = jax.nn.one_hot(drive.cause, len(Cause)) * ended[..., None]
    return UpdateMetrics(
        episodes=jnp.sum(ended),
        return_sum=jnp.sum(jnp.where(ended, drive.episode_return, 0.0)),
        length_sum=jnp.sum(jnp.where(ended, drive.episode_length, 0)),
        laps=jnp.sum(drive.lap_completed),
        lap_time_sum=jnp.sum(lap_time),
        lap_time_min=jnp.min(jnp.where(drive.lap_completed, drive.lap_time, jnp.inf)),
        off_track=jnp.mean(drive.off_track),
        reward_terms=jnp.mean(drive.reward_terms, axis=(0, 1)),
        causes=jnp.sum(causes, axis=(0, 1)),
        losses=losses,
        explained_variance=variance,
        learning_rate=rate,
        reward_scale=scale,
        std=jnp.mean(jnp.exp(log_std)),
    )
