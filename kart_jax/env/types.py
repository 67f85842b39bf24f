"""State of one environment and what a step tells about itself."""

import enum

import chex
import jax.numpy as jnp
from flax import struct

from kart_jax.race.types import RaceState

Observation = dict[str, chex.Array]  # "telemetry" and, with vision, "vision"


class Cause(enum.IntEnum):
    """Why an episode ended; the code in `StepInfo.cause`."""

    NONE = 0  # it goes on
    OFF_TRACK = 1  # all wheels off the track for too long
    STUCK = 2  # too slow for too long
    WRONG_WAY = 3  # driven against the direction for too long
    NON_FINITE = 4  # the physics or the action was not a finite number
    TIME_LIMIT = 5  # truncated, not terminated


class Timers(struct.PyTreeNode):
    """How long each fault of K karts has lasted without a break."""

    off_track: chex.Array  # (K,) s
    stuck: chex.Array  # (K,) s
    wrong_way: chex.Array  # (K,) s

    @classmethod
    def start(cls, karts: int) -> "Timers":
        """Return the timers of K karts at zero."""
        zero = jnp.zeros(karts)
        return cls(off_track=zero, stuck=zero, wrong_way=zero)


class Episode(struct.PyTreeNode):
    """The episodes of K karts, from the start of their race."""

    timers: Timers
    length: chex.Array  # (K,) int32, control steps
    episode_return: chex.Array  # (K,) sum of the rewards

    @classmethod
    def start(cls, karts: int) -> "Episode":
        """Return the episodes of K karts before their first step."""
        return cls(
            timers=Timers.start(karts),
            length=jnp.zeros(karts, jnp.int32),
            episode_return=jnp.zeros(karts),
        )


class EnvState(struct.PyTreeNode):
    """One environment: a race of K karts, their recent pictures and their episodes."""

    race: RaceState
    episode: Episode
    frames: chex.Array | None  # (K, H, W, words) uint32, see `frames`; None unless stacked
    action: chex.Array  # (K, 2) last action, clipped
    active: chex.Array  # (K,) bool, still driving; the others stand until the race is over
    randomization: chex.Array | None  # (K, V) ± 1, of `randomise.VARIATIONS`; None = none


class StepInfo(struct.PyTreeNode):
    """What a step reports beside observation and reward; read before the auto-reset.

    Fields of an environment of one kart have no axis of karts.
    """

    final_observation: Observation | None  # (K, ...) of the state reached, if asked
    episode_return: chex.Array  # (K,) reward so far, this step counted; the return at the end
    episode_length: chex.Array  # (K,) int32, control steps so far, likewise
    lap_time: chex.Array  # (K,) s, the valid lap completed in this step; nan = none
    lap_completed: chex.Array  # (K,) bool, a valid lap was completed in this step
    reward_terms: chex.Array  # (K, R) weighted terms of the reward in the order of `reward.TERMS`
    off_track: chex.Array  # (K,) bool, all wheels were past the limits at some time in this step
    cause: chex.Array  # (K,) int32, `Cause`
    track: chex.Array  # (K,) int32, circuit driven in this step


class Outcome(struct.PyTreeNode):
    """What the rules make of one control step of K karts."""

    terminated: chex.Array  # (K,) bool, ended by a fault
    truncated: chex.Array  # (K,) bool, ended by the clock
    cause: chex.Array  # (K,) int32, `Cause`
    lap_completed: chex.Array  # (K,) bool, a valid lap
    off_track: chex.Array  # (K,) bool, all wheels were past the limits at some time
    reward_terms: chex.Array  # (K, R) weighted terms of the reward, in the order of `reward.TERMS`
