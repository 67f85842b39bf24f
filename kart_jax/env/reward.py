"""The reward of ONE kart: a table of named terms, each times its weight in `EnvParams.rewards`.

With the default weights a clean lap is worth a little over 5000 on any circuit: 5000 for the way
round, 100 for the line, less a few tens for drifting and steering.
"""

import dataclasses
from collections.abc import Callable

import chex
import jax.numpy as jnp

from kart_jax.env.params import RewardWeights

TOP_SPEED = 60.0  # m/s, more progress than this is a jump to another stretch and is not paid
DRIFT_SPEED = 3.0  # m/s, below it the drift angle fades out


@dataclasses.dataclass(frozen=True)
class Transition:
    """What the terms are computed from; scalars of one kart and control step."""

    progress_delta: chex.Array  # m, along the centre line
    length: chex.Array  # m, of the lap
    on_track: chex.Array  # bool, all through the step
    lap_completed: chex.Array  # bool, a valid lap
    wall_contact: chex.Array  # bool, bodywork against a barrier
    vx: chex.Array  # m/s, body frame
    vy: chex.Array  # m/s
    steering_change: chex.Array  # of the steering action
    terminated: chex.Array  # bool
    dt: float  # s


def progress(t: Transition) -> chex.Array:
    """Return the part of the lap driven: forward counts on the track only, backward always."""
    delta = jnp.clip(t.progress_delta, -TOP_SPEED * t.dt, TOP_SPEED * t.dt)
    return jnp.where(t.on_track, delta, jnp.minimum(delta, 0.0)) / t.length


def slip(t: Transition) -> chex.Array:
    """Return the drift angle atan(|vy| / sqrt(vx² + DRIFT_SPEED²)) in rad, times s."""
    return jnp.arctan(jnp.abs(t.vy) / jnp.sqrt(t.vx * t.vx + DRIFT_SPEED * DRIFT_SPEED)) * t.dt


TERMS: dict[str, Callable[[Transition], chex.Array]] = {
    "progress": progress,
    "lap": lambda t: t.lap_completed,
    "off_track": lambda t: ~t.on_track * t.dt,
    "wall": lambda t: t.wall_contact * t.dt,
    "slip": slip,
    "steering_rate": lambda t: jnp.abs(t.steering_change),
    "terminated": lambda t: t.terminated,
}


def reward_terms(transition: Transition, weights: RewardWeights) -> chex.Array:
    """Return the weighted terms (R,) float32 in table order; the reward is their sum."""
    values = [getattr(weights, name) * term(transition) for name, term in TERMS.items()]
    return jnp.stack([jnp.asarray(value, jnp.float32) for value in values])
